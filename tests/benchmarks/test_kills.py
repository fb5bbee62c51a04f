"""What `avjury bench kills` counts as lost and as doubled."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import psutil
import pytest

from benchmarks.kills import Seen, build_killer, doubled, due_in, lost_in_the_end, lost_over_a_start, make_black
from benchmarks.live.service import Origin


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def black(number, opened, closed=None, **values):
    state = "open" if closed is None else "closed"
    return {"id": number, "stream": "one", "detector": "video.black", "state": state, "opened_at": at(opened),
            "closed_at": None if closed is None else at(closed), "reopenings": 0, **values}  # fmt: skip


def told(number, change, key, reopenings=0):
    return {"id": number, "change": change, "key": key, "reopenings": reopenings}


def test_an_incident_that_is_gone_or_open_again_after_a_start_is_lost():
    before = {"a": black("a", 1, 3), "b": black("b", 5)}
    assert lost_over_a_start(before, {**before, "c": black("c", 9)}) == []
    assert lost_over_a_start(before, {**before, "b": black("b", 5, 7)}) == []
    [gone] = lost_over_a_start(before, {"a": before["a"]})
    assert "b of one is not there" in gone
    [again] = lost_over_a_start(before, {**before, "a": black("a", 1)})
    assert "is open" in again
    assert lost_over_a_start(before, {**before, "a": black("a", 1, reopenings=1)}) == []  # it came back


def test_two_incidents_at_the_same_time_and_two_keys_of_one_change_are_doubled():
    once = [told("a", "opened", "1"), told("a", "opened", "1"), told("a", "closed", "2")]
    assert doubled([black("a", 1, 3), black("b", 3, 5)], once) == []
    assert len(doubled([black("a", 1, 3), black("b", 2, 5)], once)) == 1
    assert len(doubled([black("a", 1), black("b", 2, 5)], once)) == 1
    assert doubled([black("a", 1), black("b", 2, 5, stream="two")], once) == []
    assert len(doubled([], [*once, told("a", "opened", "3")])) == 1
    assert doubled([], [*once, told("a", "opened", "3", reopenings=1)]) == []


def test_what_nobody_was_told_of_and_what_no_incident_spans_is_lost():
    both = [told("a", "opened", "1"), told("a", "closed", "2")]
    assert lost_in_the_end([black("a", 10, 12)], both, [("one", 10.0)]) == []
    assert len(lost_in_the_end([black("a", 10, 12)], both[:1], [])) == 1
    assert len(lost_in_the_end([black("a", 10, 12)], both[1:], [])) == 1
    assert len(lost_in_the_end([black("a", 10)], both, [])) == 1
    assert len(lost_in_the_end([black("a", 10, 12)], both, [("one", 18.0)])) == 1
    assert len(lost_in_the_end([black("a", 10, 12)], both, [("two", 10.0)])) == 1


def test_a_black_picture_is_due_where_its_channel_was_judged_around_it():
    # It begins 3 s after the connection's first picture, is known half a second later, and comes again every 8 s.
    seen = Seen(judged={"one": (100.0, 120.0)})
    assert due_in(seen, [("one", 100.0)]) == [("one", 103.5), ("one", 111.5)]  # 119.5 is too near to the kill
    assert due_in(seen, [("one", 97.5)]) == [("one", 109.0)]  # at 101 it began too soon after the first look
    assert due_in(seen, [("two", 100.0)]) == []
    late = Seen(judged={"one": (100.0, 120.0)}, late={"one": [104.0], "two": [111.0]})
    assert due_in(late, [("one", 100.0)]) == [("one", 111.5)]  # it said that it could not keep up
    assert due_in(late, [("one", 100.0)], late=True) == [("one", 103.5)]


def test_a_black_picture_that_was_not_sent_in_time_is_not_due_or_counted_by_itself():
    seen, both = Seen(judged={"one": (100.0, 120.0)}), [("one", 100.0), ("one", 107.0)]
    assert due_in(seen, both, {both[0]: 106.0}) == [("one", 110.5)]  # opened anew; 103.5 was not over when it ended
    assert due_in(seen, both, {both[0]: 107.0}) == [("one", 103.5), ("one", 110.5)]
    for held in (("one", 104.0, 106.0), ("one", 90.0, 107.0)):
        assert due_in(seen, both[:1], held=[held]) == [("one", 111.5)]
        assert due_in(seen, both[:1], held=[held], late=True) == [("one", 103.5)]
    assert len(due_in(seen, both[:1], held=[("two", 90.0, 120.0)])) == 2


def test_the_sender_tells_when_its_channels_begin_are_held_up_and_end(tmp_path):
    origin = Origin(make_black(tmp_path))
    try:
        [sender] = [one for one in psutil.Process().children() if "benchmarks.live.origin" in one.cmdline()]
        with socket.create_connection(("127.0.0.1", origin.port)) as reader:
            reader.sendall(b"GET /one.ts HTTP/1.1\r\n\r\n")
            assert until(lambda: origin.connections)
            sender.suspend()
            time.sleep(1.5)
            sender.resume()
            assert until(lambda: origin.late)
        assert until(lambda: origin.ended)
    finally:
        origin.close()
    [connection] = origin.connections
    [(channel, since, over)] = origin.late
    assert channel == connection[0] == "one"
    assert connection[1] <= since < over - 1 < origin.ended[connection]


def until(told, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not told() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(told())


@pytest.mark.parametrize(
    ("at", "left"), [("2", {"x", "1"}), ("3", {"x", "1", "2"}), ("-3", {"y", "1", "2"}), ("9", {"y", "1", "2", "3"})]
)
def test_a_service_is_killed_before_or_after_its_chosen_write_and_no_other_process_is(tmp_path, at, left):
    library = build_killer(tmp_path)
    if library is None:
        pytest.skip("no C compiler")
    program = """
import os, pathlib
file = open("x", "w")
os.fsync(file.fileno())
pathlib.Path("1").touch()
os.fdatasync(file.fileno())
pathlib.Path("2").touch()
os.rename("x", "y")
pathlib.Path("3").touch()
"""
    environment = {**os.environ, "LD_PRELOAD": str(library), "KILL_AT_WRITE": at}
    for word, there in (("child", {"y", "1", "2", "3"}), ("serve", left)):
        folder = tmp_path / word
        folder.mkdir()
        done = subprocess.run([sys.executable, "-c", program, word], env=environment, cwd=folder, check=False)
        assert done.returncode == (0 if "3" in there else -signal.SIGKILL)
        assert {path.name for path in folder.iterdir()} == there

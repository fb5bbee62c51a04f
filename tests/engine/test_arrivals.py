"""Packets that wait too long are let go up to the newest key frame, in place and counted."""

import struct
import threading
import time

import pytest

from engine.ingest.arrivals import Arrivals
from engine.ingest.messages import _PACKET, Kind, Skipped, head_of
from engine.ingest.ring import Record
from engine.turns import Turn, Turns


def packet(arrived, *, key=False, video=True, size=10):
    flags = key * 1 | video * 4
    content = _PACKET.pack(flags, 0, 0, 0, 0, 1, 1000, 0.0, 0.0, 0.0, -1, arrived, size) + bytes(size)
    return Record(1, Kind.PACKET, content)


def taken(arrivals):
    """What comes out, each packet as its arrival."""
    out = []
    while (item := arrivals.take(0)) is not None:
        if isinstance(item, Skipped):
            out.append(("skipped", item.packets))
        elif item.kind == Kind.PACKET:
            out.append(round(head_of(item.content).arrived, 3))
        else:
            out.append(Kind(item.kind).name)
    return out


def test_what_is_taken_in_time_comes_out_as_it_went_in():
    arrivals = Arrivals()
    for n in range(100):
        arrivals.put(packet(n / 25, key=n % 25 == 0))
        arrivals.put(packet(n / 25, video=False))
        if n % 20 == 19:
            assert len(taken(arrivals)) == 40
    assert arrivals.skipped_packets == 0


def test_a_queue_that_nobody_empties_goes_on_at_the_newest_key_frame():
    arrivals = Arrivals(most_seconds=2.0)
    for n in range(53):  # a key frame a second; the one at 2.0 s is the newest
        arrivals.put(packet(n / 25, key=n % 25 == 0))
    out = taken(arrivals)
    assert out[0] == ("skipped", 50)
    assert out[1] == 2.0
    assert out[-1] == 2.08
    assert (arrivals.skips, arrivals.skipped_packets) == (1, 50)


def test_without_a_young_key_frame_everything_goes_until_the_next_one_comes():
    arrivals = Arrivals(most_seconds=2.0)
    arrivals.put(packet(0.0, key=True))
    for n in range(1, 80):
        arrivals.put(packet(n / 25))
        arrivals.put(packet(n / 25, video=False))
    assert taken(arrivals) == []
    arrivals.put(packet(3.2, key=True))
    arrivals.put(packet(3.24))
    assert taken(arrivals) == [("skipped", 159), 3.2, 3.24]
    assert arrivals.skips == 1


def test_a_stream_without_key_frames_goes_on_after_ten_seconds():
    arrivals = Arrivals(most_seconds=2.0)
    for n in range(14 * 25):
        arrivals.put(packet(n / 25))
    out = taken(arrivals)
    assert out[0][0] == "skipped"
    assert 12.0 < out[1] < 12.1


def test_sound_alone_goes_on_where_it_is():
    arrivals = Arrivals(most_seconds=2.0)
    arrivals.has_video = False
    for n in range(110):
        arrivals.put(packet(n / 50, video=False))
    out = taken(arrivals)
    assert out[0] == ("skipped", arrivals.skipped_packets)
    assert out[1] >= 1.8


def test_what_is_not_a_packet_is_never_let_go():
    arrivals = Arrivals(most_seconds=2.0)
    arrivals.put(Record(1, Kind.OPENED, b""))
    for n in range(60):
        arrivals.put(packet(n / 25, key=n == 55))
        arrivals.put(Record(1, Kind.RAW, struct.pack("<q", n) + b"x"))
    arrivals.put(Record(1, Kind.ENDED, b""))
    out = taken(arrivals)
    assert out[0] == "OPENED"
    assert out[-1] == "ENDED"
    assert ("skipped", arrivals.skipped_packets) in out


@pytest.mark.parametrize("has_video", [True, False])
def test_memory_is_bounded_whatever_arrives_at_once(has_video):
    arrivals = Arrivals(most_bytes=1 << 20)
    arrivals.has_video = has_video
    for n in range(5000):
        arrivals.put(packet(n * 1e-4, video=has_video, size=1000))
        assert arrivals._bytes <= (1 << 20) + 2000
    assert arrivals.skipped_packets > 3000


def test_the_age_is_that_of_the_oldest_packet():
    arrivals = Arrivals()
    assert arrivals.age(5.0) == 0.0
    arrivals.put(Record(1, Kind.OPENED, b""))
    arrivals.put(packet(4.0))
    arrivals.put(packet(4.5))
    assert arrivals.age(5.0) == 1.0
    arrivals.clear()
    assert arrivals.age(5.0) == 0.0


def taker(arrivals, seconds):
    """A thread that waits for the next record, and when it had it."""
    found = []

    def take():
        began = time.monotonic()
        item = arrivals.take(seconds)
        found.append((item, time.monotonic() - began))

    thread = threading.Thread(target=take)
    thread.start()
    deadline = time.monotonic() + 10
    while not arrivals._changed._waiters:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return thread, found


@pytest.mark.parametrize(
    "come",
    [
        pytest.param([packet(1.0), packet(1.0, video=False)], id="a picture"),
        pytest.param([Record(1, Kind.ENDED, b"")], id="the end"),
        pytest.param([packet(1.0, video=False), packet(1.06, video=False)], id="sound that has waited"),
    ],
)
def test_whoever_takes_is_woken_at_once_for(come):
    arrivals = Arrivals()
    thread, found = taker(arrivals, 60)
    for record in come:
        arrivals.put(record)
    thread.join(30)
    assert found[0][0] == come[0]


def test_sound_wakes_nobody_where_pictures_come():
    arrivals = Arrivals()
    thread, found = taker(arrivals, 0.3)
    for n in range(3):
        arrivals.put(packet(1.0 + n * 0.02, video=False))
    thread.join(30)
    item, waited = found[0]
    assert head_of(item.content).arrived == 1.0  # it is found by looking
    assert waited >= 0.3


def test_sound_of_a_stream_without_pictures_wakes():
    arrivals = Arrivals()
    arrivals.has_video = False
    thread, found = taker(arrivals, 60)
    arrivals.put(packet(1.0, video=False))
    thread.join(30)
    assert head_of(found[0][0].content).arrived == 1.0


def test_a_turn_lasts_while_there_is_something_to_take():
    turns = Turns(1)
    arrivals = Arrivals(turn=Turn(turns))
    arrivals.put(packet(1.0, key=True), packet(1.04))
    assert arrivals.take(0) is not None
    assert not turns.enter(0)
    assert arrivals.take(0) is not None
    assert not turns.enter(0)
    assert arrivals.take(0) is None
    assert turns.enter(0)

"""The fleet with its real processes: streams come and go, what dies is replaced, and only what it held is touched."""

import logging
import os
import shutil
import signal
import threading
import time
from types import SimpleNamespace

import av
import psutil
import pytest
from live_kit import encode, wait
from senders import free_port

from engine.errors import CapacityError, ConfigError
from engine.landlock import version as landlock_version
from engine.service.contract import StreamPlan
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import FleetSettings
from engine.service.places import Group

DETECTORS = {name: {} for name in ("stream.stall", "stream.missing_video", "video.freeze", "audio.silence")}
# Every picture is at most white, so by this rule all is black.
BLACK = {"video.black": {"pixel_black_th": 1.0, "black_min_duration": 0.2}}


class Told:
    """Remembers what the fleet told."""

    def __init__(self) -> None:
        self.incidents, self.seconds, self.statuses, self.evidence = [], [], [], []
        self.threads = set()

    def on_incident(self, incident, change, session, at) -> None:
        self.threads.add(threading.current_thread().name)
        self.incidents.append((incident.stream, change, incident.detector, incident.closed_by, session))
        assert abs(at - time.time()) < 60

    def on_second(self, second, session, at) -> None:
        self.threads.add(threading.current_thread().name)
        self.seconds.append((second, session, at, time.monotonic()))

    def on_status(self, status) -> None:
        self.threads.add(threading.current_thread().name)
        self.statuses.append(status)

    def on_evidence(self, incident_id, session, kind, content) -> None:
        self.evidence.append((incident_id, session, kind, content))

    def of(self, stream):
        return [(second, session, at) for second, session, at, _ in self.seconds if second.stream == stream]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    # Without colour: a threshold of 1 makes every picture black, but no colourful one.
    return str(encode(tmp_path_factory.mktemp("fleet") / "clip.ts", 4, drawn="hue=s=0"))


def started(**given):
    told = Told()
    fleet = LocalFleet(FleetSettings(groups=(Group("main", device="cpu", slots=8),), **given))
    fleet.start(told)
    return fleet, told


@pytest.fixture(scope="module")
def running(clip, tmp_path_factory):
    """One fleet for all tests, two streams to a reader."""
    evidence = {"pre_roll_seconds": 1.0, "post_roll_seconds": 1.0, "most_seconds": 3.0}
    others = psutil.Process().children()  # what tests before this one left, as multiprocessing's resource tracker
    fleet, told = started(streams_per_ingest=2, evidence=evidence, handover=tmp_path_factory.mktemp("data") / "clips")
    try:
        assert "main" in fleet.ready()
        wait(lambda: fleet.ready() is None, 90)
        yield fleet, told
    finally:
        began = time.monotonic()
        children = [child for child in psutil.Process().children() if child not in others]
        fleet.stop(10.0)
        assert time.monotonic() - began < 11
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
        assert told.threads == {"fleet reports"}


def plan(stream, clip, detectors=None, **given):
    chosen = DETECTORS if detectors is None else detectors
    return StreamPlan(stream, clip, chosen, **{"loop": True, "private_addresses": True, **given})


def judged(fleet, stream, seconds=30):
    """Wait until a stream's pictures are measured; its status then."""

    def measures():
        counters = fleet.engines()[0].stream_counters.get(stream, {})
        return fleet.status(stream).state == "running" and counters.get("frames_measured", 0) > 0

    wait(measures, seconds, lambda: (fleet.status(stream), fleet.engines()))
    return fleet.status(stream)


def reader_of(fleet, stream):
    return next((pid for pid, streams in fleet.readers().values() if stream in streams), 0)


@pytest.fixture
def streams(running):
    """Streams of one test: they are removed after it."""
    fleet, _ = running
    yield
    for name in fleet.statuses():
        fleet.remove(name)
    wait(lambda: fleet.engines()[0].streams == 0, 10)


def test_a_stream_is_judged_from_when_it_is_applied_until_it_is_removed(running, clip, streams):
    fleet, told = running
    fleet.apply(plan("one", clip, BLACK))
    assert fleet.status("one").state == "starting"
    status = judged(fleet, "one")
    assert (status.engine, status.device, status.decoder) == ("main", "cpu", "software")
    assert status.video == "h264 160x96 25 fps"
    assert "48000 Hz" in status.audio
    wait(lambda: ("one", "opened", "video.black", None, status.session) in told.incidents, 10)
    wait(lambda: len(told.of("one")) > 2, 10)
    _, session, at = told.of("one")[-1]
    assert session == status.session
    assert 0 < time.time() - at < 8
    wait(lambda: {"thumbnail", "clip", "series"} <= {e[2] for e in told.evidence if e[1] == session}, 15)
    shown = {kind: content for _, of, kind, content in told.evidence if of == session}
    assert shown["thumbnail"].startswith(b"\xff\xd8")
    with av.open(str(shown["clip"])) as cut:
        assert len(list(cut.decode(video=0))) > 25
    assert fleet.thumbnail("one").startswith(b"\xff\xd8")
    assert fleet.thumbnail("nobody") is None
    fleet.remove("one")
    assert fleet.status("one") is None
    wait(lambda: ("one", "closed", "video.black", "removed", session) in told.incidents, 10)
    assert [s.state for s in told.statuses if s.id == "one"] == ["starting", "running"]


def test_an_engine_says_how_it_is(running, clip, streams):
    fleet, _ = running
    fleet.apply(plan("one", clip))
    judged(fleet, "one")
    wait(lambda: fleet.engines()[0].latency_buckets.get(float("inf"), 0) > 25, 10)
    [engine] = fleet.engines()
    assert (engine.name, engine.device, engine.up, engine.streams) == ("main", "cpu", True, 1)
    assert 0 < engine.load <= 1
    assert 0 < engine.headroom_streams <= 7
    assert engine.resident_bytes > 100 << 20
    buckets = list(engine.latency_buckets.values())
    assert buckets == sorted(buckets)
    assert set(engine.stage_buckets) == {"ingest", "decode", "queue", "measure", "judge"}
    for stage, counts in engine.stage_buckets.items():
        assert list(counts.values()) == sorted(counts.values())
        assert counts[float("inf")] > 10, stage
        assert engine.stage_sums[stage] > 0
    # A picture waits, is measured and judged, and that is all there is between its decoding and its verdict.
    after_decoding = sum(engine.stage_sums[stage] for stage in ("queue", "measure", "judge"))
    assert (
        0 < after_decoding <= 1.05 * engine.latency_sum
    )  # a batch of several counts once in it, and once for each there
    assert engine.counters["frames_decoded"] >= engine.stream_counters["one"]["frames_decoded"] > 0


def test_pausing_closes_and_going_on_is_a_new_session(running, clip, streams):
    fleet, told = running
    fleet.apply(plan("one", clip, BLACK))
    first = judged(fleet, "one").session
    wait(lambda: ("one", "opened", "video.black", None, first) in told.incidents, 10)
    fleet.apply(plan("one", clip, BLACK, paused=True))
    assert fleet.status("one").state == "paused"
    wait(lambda: ("one", "closed", "video.black", "removed", first) in told.incidents, 10)
    fleet.apply(plan("one", clip, BLACK))
    assert judged(fleet, "one").session not in (first, "")


def test_other_detectors_are_no_new_session_and_another_address_is_one(running, clip, streams, tmp_path):
    fleet, told = running
    fleet.apply(plan("one", clip, BLACK))
    session = judged(fleet, "one").session
    wait(lambda: ("one", "opened", "video.black", None, session) in told.incidents, 10)
    fleet.apply(plan("one", clip, DETECTORS, priority=80))
    wait(lambda: ("one", "closed", "video.black", "removed", session) in told.incidents, 10)
    fleet.unheeded({"one"})
    seen = fleet.engines()[0].stream_counters["one"]["frames_measured"]
    wait(lambda: fleet.engines()[0].stream_counters["one"]["frames_measured"] > seen + 25, 10)
    fleet.unheeded(())
    assert fleet.status("one").session == session
    other = tmp_path / "other.ts"
    os.link(clip, other)
    fleet.apply(plan("one", str(other), DETECTORS))
    assert judged(fleet, "one").session != session


@pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
def test_a_source_in_another_folder_is_read_by_a_process_that_may_look_there(running, clip, streams, tmp_path):
    fleet, _ = running
    fleet.apply(plan("first", clip))
    judged(fleet, "first")
    other = tmp_path / "elsewhere" / "clip.ts"
    other.parent.mkdir()
    shutil.copyfile(clip, other)
    fleet.apply(plan("second", str(other)))
    judged(fleet, "second")
    first, second = reader_of(fleet, "first"), reader_of(fleet, "second")
    beside = f"--may-read={other.parent}"
    assert (beside in psutil.Process(first).cmdline(), beside in psutil.Process(second).cmdline()) == (False, True)
    # A stream whose address changes moves with it.
    fleet.apply(plan("first", str(other)))
    judged(fleet, "first")
    assert beside in psutil.Process(reader_of(fleet, "first")).cmdline()


def test_a_file_that_ends_and_one_that_is_not_there_are_told(running, clip, streams, tmp_path):
    fleet, told = running
    fleet.apply(plan("ends", clip, loop=False))
    fleet.apply(plan("absent", str(tmp_path / "absent.ts"), loop=False))
    fleet.apply(plan("forbidden", clip, loop=False, private_addresses=False))
    wait(lambda: fleet.status("absent").state == "failed", 20)
    assert "file not found" in fleet.status("absent").detail
    wait(lambda: fleet.status("forbidden").state == "failed", 20)
    assert fleet.status("forbidden").cause == "not_allowed"
    wait(lambda: fleet.status("ends").state == "ended", 20)
    wait(lambda: len(told.of("ends")) >= 5, 20)  # they may come after the word that it has ended
    assert [s.second for s, _, _ in told.of("ends")] == list(range(5))  # the sound ends a little after 4.0
    assert sum(s.frames_measured for s, _, _ in told.of("ends")) == 100


@pytest.mark.slow
def test_what_the_processes_log_says_its_stream(running, streams, caplog):
    fleet, _ = running
    fleet.apply(plan("news: late", f"http://127.0.0.1:{free_port()}/x.ts", loop=False))
    lines = []

    def found():
        lines[:] = [line for line in caplog.records if "connection refused" in line.getMessage()]
        return lines

    wait(found, 20)
    assert lines[0].stream == "news: late"
    assert not lines[0].getMessage().startswith("news")


def test_a_reader_that_crashes_costs_its_own_streams_five_seconds_and_others_nothing(running, clip, streams):
    fleet, told = running
    for name in ("a", "b", "c"):
        fleet.apply(plan(name, clip))
    sessions = {name: judged(fleet, name).session for name in ("a", "b", "c")}
    pid = reader_of(fleet, "a")
    assert pid == reader_of(fleet, "b") != reader_of(fleet, "c")
    measured = fleet.engines()[0].stream_counters["a"]["frames_measured"]
    os.kill(pid, signal.SIGSEGV)
    killed = time.monotonic()
    wait(lambda: fleet.engines()[0].stream_counters["a"]["frames_measured"] > measured + 30, 8)
    assert time.monotonic() - killed < 7  # five seconds, and thirty pictures more
    assert reader_of(fleet, "a") not in (pid, 0)
    assert fleet.status("a").session == sessions["a"]
    assert (fleet.status("a").restarts, fleet.status("c").restarts) == (1, 0)
    wait(lambda: len(told.of("c")) > 8, 15)
    seconds = [s for s, session, _ in told.of("c") if session == sessions["c"]]
    assert [s.second for s in seconds] == list(range(len(seconds)))
    assert all(s.frames_measured >= 24 for s in seconds[1:])
    assert not [i for i in told.incidents if i[0] == "c" and i[4] == sessions["c"]]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP], ids=lambda how: how.name)
def test_a_reader_that_dies_or_hangs_is_replaced_within_three_seconds_of_that(running, clip, streams, how):
    """`-rP` shows how long it took."""
    fleet, told = running
    for name in ("a", "b", "c"):
        fleet.apply(plan(name, clip))
    for name in ("a", "b", "c"):
        judged(fleet, name)
    pid = reader_of(fleet, "a")
    assert pid != reader_of(fleet, "c")
    restarts = fleet.status("a").restarts
    others = len(told.of("c"))
    os.kill(pid, how)
    began = time.monotonic()
    # One that hangs is given eight seconds to say something.
    wait(lambda: reader_of(fleet, "a") not in (pid, 0), 20)
    replaced = time.monotonic() - began
    before = fleet.engines()[0].stream_counters["a"]["frames_measured"]
    wait(lambda: fleet.engines()[0].stream_counters["a"]["frames_measured"] > before, 20)
    again = time.monotonic() - began
    logging.getLogger(__name__).warning(
        "%s: replaced after %.2f s, judged again after %.2f s", how.name, replaced, again
    )
    wait(lambda: len(told.of("c")) > others + 4, 15)
    assert replaced < (8 if how == signal.SIGSTOP else 0) + 3
    assert not psutil.pid_exists(pid)
    assert (fleet.status("a").restarts, fleet.status("c").restarts) == (restarts + 1, 0)
    seconds = [s for s, _, _ in told.of("c")[others:]]
    assert [s.second for s in seconds] == list(range(seconds[0].second, seconds[-1].second + 1))
    assert all(s.frames_measured >= 24 for s in seconds)


def test_a_stream_that_kills_its_reader_is_quarantined_and_its_company_goes_on(running, clip, streams):
    fleet, told = running
    for name in ("bad", "good"):
        fleet.apply(plan(name, clip))
    for name in ("bad", "good"):
        judged(fleet, name)
    assert reader_of(fleet, "bad") == reader_of(fleet, "good")
    for _ in range(5):
        wait(lambda: reader_of(fleet, "bad") and psutil.pid_exists(reader_of(fleet, "bad")), 10)
        pid = reader_of(fleet, "bad")
        os.kill(pid, signal.SIGSEGV)
        wait(lambda pid=pid: reader_of(fleet, "bad") != pid, 10)
    wait(lambda: fleet.status("bad").state == "quarantined", 10, lambda: (fleet.statuses(), fleet.readers()))
    status = fleet.status("bad")
    assert status.cause == "crashed_5_times"
    assert "apply it again" in status.detail
    assert any(s.id == "bad" and s.state == "quarantined" for s in told.statuses)
    judged(fleet, "good", 10)
    assert fleet.status("good").restarts < 5
    fleet.apply(plan("bad", clip))  # somebody has seen to it
    judged(fleet, "bad")


@pytest.mark.slow
def test_an_engine_that_is_killed_is_back_and_judges_its_streams_in_new_sessions(running, clip, streams):
    fleet, _ = running
    fleet.apply(plan("one", clip))
    session = judged(fleet, "one").session
    [before] = fleet.engines()
    os.kill(before.pid, signal.SIGKILL)
    killed = time.monotonic()
    wait(lambda: fleet.engines()[0].pid not in (0, before.pid), 10)
    assert time.monotonic() - killed < 3
    assert "main" in fleet.ready()
    assert fleet.status("one").state == "starting"
    assert fleet.status("one").cause == "engine_restart"
    status = judged(fleet, "one", 60)
    assert status.session not in (session, "")
    assert status.restarts == 1
    assert fleet.ready() is None
    [after] = fleet.engines()
    assert after.restarts == before.restarts + 1
    assert after.counters["frames_decoded"] > before.counters["frames_decoded"]  # what was counted stays counted


@pytest.mark.slow
def test_what_is_open_at_the_end_is_told_and_not_closed(clip):
    fleet, told = started()
    try:
        fleet.apply(plan("one", clip, BLACK))
        wait(lambda: fleet.ready() is None, 60)
        session = judged(fleet, "one").session
        wait(lambda: ("one", "opened", "video.black", None, session) in told.incidents, 10)
        count = len(told.incidents)
    finally:
        began = time.monotonic()
        fleet.stop(10.0)
    assert time.monotonic() - began < 10
    assert ("one", "updated", "video.black", None, session) in told.incidents[count:]
    assert not [i for i in told.incidents if i[1] == "closed"]


def test_more_streams_than_slots_and_wrong_plans_are_refused_with_the_reason(clip):
    fleet = LocalFleet(FleetSettings(groups=(Group("left", slots=1), Group("right", slots=1))))
    fleet.apply(plan("one", clip))
    fleet.apply(plan("two", clip))
    assert {fleet.status(s).engine for s in ("one", "two")} == {"left", "right"}
    with pytest.raises(CapacityError) as refused:
        fleet.apply(plan("three", clip))
    assert refused.value.headroom_streams == 0
    assert fleet.status("three") is None
    with pytest.raises(ConfigError, match="left, right"):
        fleet.apply(plan("three", clip, group="middle"))
    with pytest.raises(ConfigError):
        fleet.apply(plan("one", clip, {"video.blck": {}}))
    fleet.apply(plan("three", clip, paused=True))
    with pytest.raises(CapacityError):
        fleet.apply(plan("three", clip))
    fleet.remove("one")
    fleet.apply(plan("three", clip))
    assert fleet.status("three").engine == "left"
    fleet.stop()


def test_the_stream_that_was_there_at_every_death_is_quarantined_and_not_its_changing_company(clip):
    fleet = LocalFleet(FleetSettings(groups=(Group("main", slots=8),)))
    names = ("culprit", "one", "two", "three")
    for name in names:
        fleet.apply(plan(name, clip))
    keeper = fleet._keeper
    for n, company in enumerate(("one", "two", "three", "one", "two")):
        assert fleet.status("culprit").state == "starting"
        keeper._blame(["culprit", company], 100.0 + 10 * n, 60.0)
    assert {name: fleet.status(name).state for name in names} == {
        "culprit": "quarantined", "one": "starting", "two": "starting", "three": "starting"
    }  # fmt: skip
    for n in range(9):  # always together: it takes twice as many, and then only one of them
        keeper._blame(["one", "two"], 200.0 + n, 60.0)
        assert fleet.status("one").state == fleet.status("two").state == "starting"
    keeper._blame(["one", "two"], 210.0, 60.0)
    assert {fleet.status("one").state, fleet.status("two").state} == {"starting", "quarantined"}
    for n in range(20):  # too rarely
        keeper._blame(["three"], 300.0 + 16 * n, 60.0)
    assert fleet.status("three").state == "starting"
    fleet.stop()


def test_an_engine_that_compiles_is_given_longer_before_it_is_taken_for_hung(clip):
    fleet = LocalFleet(FleetSettings(groups=(Group("main"),), hang_seconds=300.0))
    keeper, engine = fleet._keeper, fleet._keeper._roster.engines["main"]
    killed = []
    said = SimpleNamespace(heard_at=0.0, lost=False, ended=lambda: None, kill=lambda: killed.append(now))
    for compiles, ready, moments in ((False, False, (299.0, 301.0)), (True, False, (1199.0, 1201.0)),
                                     (True, True, (299.0, 301.0))):  # fmt: skip
        engine.compiles, engine.ready, engine.child = compiles, ready, said
        killed.clear()
        for now in moments:
            keeper._keep_engine(engine, now)
        assert killed == [moments[1]]
    engine.child = None
    fleet.stop()


@pytest.mark.slow
def test_streams_say_that_the_kernels_are_compiled_where_they_wait_for_that(clip, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "none-yet"))
    fleet, told = started()
    try:
        fleet.apply(plan("early", clip))
        assert (fleet.status("early").state, fleet.status("early").cause) == ("starting", "engine_starting")
        wait(lambda: "compiles the kernels" in fleet.status("early").detail, 60)
        assert "compiles the kernels" in fleet.ready()
        fleet.apply(plan("late", clip))
        assert "compiles the kernels" in fleet.status("late").detail
        wait(lambda: {s.id for s in told.statuses if "compiles the kernels" in s.detail} == {"early", "late"}, 5)
        assert [record for record in caplog.records if "compiles the kernels" in record.getMessage()]
        assert {engine.up for engine in fleet.engines()} == {False}
    finally:
        fleet.stop(2.0)

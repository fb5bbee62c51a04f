"""The engine as a service runs it: streams of another process, changed while they run, and never behind in silence."""

import gc
import os
import signal
import time
import weakref
from collections import Counter

import pytest
from live_kit import encode, live, wait
from on_air import OnAir
from senders import free_port

from engine.detectors import all_detectors
from engine.errors import ConfigError
from engine.overload import OverloadSettings
from engine.pipeline import check
from engine.service.roster import UNHEEDED
from engine.spec import EngineSettings, NetworkSettings, StreamSpec

# What an outage, a cut or a seam could be mistaken for.
OUTAGES = {
    name: {}
    for name in (
        *("stream.stall", "stream.missing_video", "stream.missing_audio", "stream.timestamps", "stream.continuity"),
        *("stream.bitrate", "stream.av_offset", "video.black", "video.freeze", "audio.silence", "audio.click"),
    )
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def clip(folder):
    # Without colour: a threshold of 1 makes every picture black, but no colourful one.
    return encode(folder / "clip.ts", 4, drawn="hue=s=0")


@pytest.fixture(scope="module")
def kit():
    with live() as made:
        yield made


@pytest.fixture
def name(request, kit):
    """A stream of the test's own, gone after it."""
    yield request.node.name
    kit.call(lambda: kit.engine.remove(request.node.name))


def told(incidents):
    return [(i.detector, i.start, i.end, i.score, i.severity, i.cause) for i in incidents]


@pytest.mark.parametrize("container", ["ts", "mp4", "mkv"])
def test_another_process_reading_makes_no_difference_to_the_verdicts(folder, kit, name, container):
    black = r"drawbox=t=fill:color=black:enable=between(t\,0.99\,3)"
    path = encode(folder / f"black.{container}", 5, drawn=black)
    chosen = {"video.black": {"black_min_duration": 0.5}, "stream.continuity": {}, "stream.bitrate": {"minimum": 2000}}
    [here] = check([StreamSpec("here", str(path), chosen)], EngineSettings(device="cpu"))
    assert "video.black" in {i.detector for i in here.incidents}
    kit.take(name, path, chosen)
    kit.wait(lambda: name in kit.heard.ended, 30)
    there = kit.heard.ended[name]
    assert there.error is None
    counted = ("frames_decoded", "frames_measured", "audio_seconds", "duration", "decode_errors")
    assert [getattr(there.summary, c) for c in counted] == [getattr(here.summary, c) for c in counted]
    heard = Counter((d, change) for of, change, d, _ in kit.heard.incidents if of == name and change != "updated")
    assert heard == Counter((i.detector, change) for i in here.incidents for change in ("opened", "closed"))
    for incident in here.incidents:
        assert kit.heard.starts[name, incident.detector] == pytest.approx(incident.start, abs=1e-6)


@pytest.mark.slow
def test_a_looped_file_goes_on_and_its_seams_are_no_incidents(kit, name, clip):
    [once] = check([StreamSpec("once", str(clip))], EngineSettings(device="cpu"))
    quiet = {d.name: {} for d in all_detectors()}
    for incident in once.incidents:  # what the clip itself has is told in every round
        quiet.pop(incident.detector, None)
    assert len(quiet) > 30
    kit.take(name, clip, quiet, loop=True)
    kit.wait(lambda: len(kit.heard.seconds.get(name, ())) >= 13, 40)
    assert kit.found(name) == set()
    seconds = kit.heard.seconds[name][:13]
    assert [s.second for s in seconds] == list(range(13))
    assert all(s.frames_measured >= 24 for s in seconds[1:-1])  # the sound is a little longer than the pictures
    assert kit.heard.report(name).media_seconds > 12


def test_detectors_change_without_opening_the_source_again(kit, name, clip):
    kit.take(name, clip, {"video.black": {}, "video.freeze": {}}, loop=True)
    kit.wait(lambda: kit.frames(name) > 10, 20)
    source = kit.engine._sources[name]
    # Every picture is at most white: the whole stream is black by this rule.
    kit.take(name, clip, {"video.black": {"pixel_black_th": 1.0, "black_min_duration": 0.2}}, loop=True)
    kit.wait(lambda: (name, "opened", "video.black", None) in kit.heard.incidents, 10)
    kit.take(name, clip, {"video.freeze": {}}, loop=True)
    kit.wait(lambda: (name, "closed", "video.black", "removed") in kit.heard.incidents, 10)
    assert kit.engine._sources[name] is source
    assert not kit.engine._find(name).reader.progress.stalled
    with pytest.raises(ConfigError):
        kit.take(name, clip, {"video.freeze": {"noise": -1}}, loop=True)
    measured = kit.frames(name)
    kit.wait(lambda: kit.frames(name) > measured + 25, 10)


def test_a_picture_is_made_when_it_is_asked_for(kit, name, clip):
    kit.take(name, clip, OUTAGES, loop=True)
    kit.wait(lambda: kit.frames(name) > 5, 20)
    assert name not in kit.heard.pictures
    kit.call(lambda: kit.engine.snap(name))
    kit.wait(lambda: name in kit.heard.pictures, 60)  # the first one may have to load what encodes it
    assert kit.heard.pictures[name].startswith(b"\xff\xd8")


def test_a_stream_that_was_removed_is_closed_and_leaves_nothing(kit, clip):
    kit.take("gone", clip, {"video.black": {"pixel_black_th": 1.0, "black_min_duration": 0.2}}, loop=True)
    kit.wait(lambda: ("gone", "opened", "video.black", None) in kit.heard.incidents, 20)
    kit.call(lambda: kit.engine.remove("gone"))
    assert ("gone", "closed", "video.black", "removed") in kit.heard.incidents
    assert "gone" not in kit.engine.counters.streams
    assert "gone" not in kit.engine.outcomes
    assert "gone" not in kit.engine._sources


def test_a_stream_that_the_engine_left_waiting_skips_to_now_and_says_so(kit, name, clip):
    kit.take(name, clip, OUTAGES, loop=True)
    kit.wait(lambda: kit.frames(name) > 25, 20)
    kit.call(lambda: time.sleep(5))
    kit.wait(lambda: kit.heard.report(name).counters["skips"] > 0, 5)
    kit.wait(lambda: kit.heard.report(name).lag_seconds < 0.5, 10)
    said = kit.heard.report(name)
    assert said.counters["packets_skipped"] > 25
    until = said.media_seconds
    kit.wait(lambda: len(kit.heard.seconds.get(name, ())) > until + 2, 15)
    assert kit.found(name) == set(), kit.heard.incidents
    seconds = kit.heard.seconds[name]
    assert [s.second for s in seconds] == list(range(len(seconds)))
    skipped = [set(s.unknown) for s in seconds if s.frames_measured == 0]
    assert all({"video.freeze", "video.black"} <= unknown for unknown in skipped)
    assert any("audio.silence" in unknown for unknown in skipped)


@pytest.mark.slow
def test_a_reader_that_dies_is_an_outage_of_its_streams_and_they_go_on(kit, name, clip):
    kit.take(name, clip, OUTAGES, loop=True)
    kit.wait(lambda: kit.frames(name) > 25, 20)
    kit.reader._process.send_signal(signal.SIGSEGV)
    kit.reader._process.wait(10)
    kit.reader.close()
    measured = kit.frames(name)
    try:
        kit.wait(lambda: (name, "opened", "stream.stall", None) in kit.heard.incidents, 10)
        kit.wait(lambda: kit.heard.report(name).cause == "ingest_restart", 5)
    finally:
        kit.start_reader()
    kit.wait(lambda: (name, "closed", "stream.stall", "recovered") in kit.heard.incidents, 10)
    kit.wait(lambda: kit.frames(name) > measured + 50, 10)
    assert kit.found(name) == {"stream.stall"}
    seconds = kit.heard.seconds[name]
    assert [s.second for s in seconds] == list(range(len(seconds)))


def test_a_new_engine_takes_over_the_connections_that_are_open(kit, name, clip):
    kit.take(name, clip, OUTAGES, loop=True)
    kit.wait(lambda: kit.frames(name) > 25, 20)
    kit.link()  # as the supervisor does when the engine is another one
    measured = kit.frames(name)
    kit.wait(lambda: kit.frames(name) > measured + 50, 8)
    assert kit.found(name) == set()


class Slow:
    """Makes an engine's measuring take so long for each picture, from now until it is undone."""

    def __init__(self, engine, seconds: float) -> None:
        self.engine, self.real, self.seconds = engine, engine._measure.frames, seconds
        engine._measure.frames = self.frames

    def frames(self, batch):
        time.sleep(self.seconds * len(batch.surfaces))
        return self.real(batch)

    def undo(self) -> None:
        self.engine._measure.frames = self.real


def test_a_source_that_is_lost_is_shown_with_its_cause_before_it_has_stalled(folder, kit, name):
    with OnAir({"one": encode(folder / "air.ts", 40)}) as air:
        kit.take(name, air.url("one"), OUTAGES)
        kit.wait(lambda: kit.frames(name) > 25 and kit.state(name) == "running", 20)
        air.off.add("one")
        kit.wait(lambda: kit.state(name) == "stalled", 3)
        assert kit.heard.report(name).cause in ("ended", "http_404")
        assert "stream.stall" not in kit.found(name)
        kit.wait(lambda: kit.heard.report(name).cause == "http_404", 10)
        assert "404" in kit.heard.report(name).detail
        air.off.clear()
        kit.wait(lambda: kit.state(name) == "running", 15)
        assert (kit.heard.report(name).cause, kit.heard.report(name).detail) == (None, "")


QUICK = OverloadSettings(lag_seconds=0.4, patience_seconds=0.5, settle_seconds=1.0, calm_seconds=1.0, calm=0.9)


@pytest.mark.slow
def test_under_load_the_network_sees_nothing_and_again_when_it_is_over(clip):
    def seen(kit):
        """Of the latest second that is given out."""
        seconds = kit.heard.seconds.get("one")
        return seconds[-1].frames_seen_by_network if seconds else 0

    with live(overload=QUICK, network=NetworkSettings(5.0)) as kit:
        kit.take("one", clip, {"video.corruption": {}}, loop=True)
        kit.wait(lambda: seen(kit) >= 3, 40)
        slow = Slow(kit.engine, 0.08)
        kit.wait(lambda: seen(kit) == 0, 30)
        assert kit.heard.report("one").counters["frames_seen_by_network"] > 0
        slow.undo()
        kit.wait(lambda: seen(kit) >= 3, 60)


@pytest.mark.slow
def test_under_load_fewer_pictures_are_judged_and_all_again_when_it_is_over(clip):
    detectors = OUTAGES | {"video.flash": {}, "video.stutter": {}, "video.black": {"pixel_black_th": 1.0}}
    with live(overload=QUICK) as kit:
        kit.take("one", clip, detectors, loop=True)
        kit.wait(lambda: ("one", "opened", "video.black", None) in kit.heard.incidents, 30)
        slow = Slow(kit.engine, 0.08)  # 12 pictures a second at most, where 25 come
        kit.wait(lambda: kit.heard.report("one").sampling < 0.5, 20)
        kit.wait(lambda: kit.heard.report("one").lag_seconds < 0.4, 15)
        lowered = len(kit.heard.seconds["one"]) + 2
        kit.wait(lambda: len(kit.heard.seconds["one"]) > lowered + 1, 15)
        second = kit.heard.seconds["one"][lowered]
        assert 1 <= second.frames_measured <= 8
        assert second.frames_decoded >= 24
        assert second.audio_seconds == pytest.approx(1.0, abs=0.15)  # sound comes last
        assert {"video.flash", "video.stutter"} <= set(second.unknown)
        assert "video.freeze" not in second.unknown
        assert kit.heard.report("one").counters["frames_left_out"] > 15
        slow.undo()
        kit.wait(lambda: kit.heard.report("one").sampling == 1.0, 30)
        full = len(kit.heard.seconds["one"]) + 2
        kit.wait(lambda: len(kit.heard.seconds["one"]) > full + 1, 15)
        assert kit.heard.seconds["one"][full].frames_measured >= 24
        assert "video.flash" not in kit.heard.seconds["one"][full].unknown
        assert kit.found("one") == {"video.black"}, kit.heard.incidents
        assert ("one", "closed", "video.black", "removed") not in kit.heard.incidents


def test_what_its_readers_take_is_not_others(kit, monkeypatch):
    told, said = [], []
    monkeypatch.setattr(kit.engine._overload, "decide", lambda *given: said.append(given[-1]))
    monkeypatch.setattr(kit.engine._machine, "load", lambda own, waiting, service: told.append(set(service)) or own)
    monkeypatch.setattr(kit.engine._machine, "others", 0.35)
    kit.wait(lambda: 0.35 in said, 30)
    assert told[0] == {os.getpid(), os.getppid(), kit.reader.pid}


def test_a_stream_that_is_gone_leaves_nothing_that_waits_to_be_searched_for(kit, clip):
    url = f"http://127.0.0.1:{free_port()}/live.ts"
    gone, kept = [], []
    for number in range(6):
        kit.take(f"brief{number}", url if number % 3 == 0 else clip, loop=number % 3 != 0)
        stream = kit.call(lambda name=f"brief{number}": kit.engine._find(name))
        gone += [weakref.ref(stream.reader), weakref.ref(stream.reader._source)]
        if number % 3 == 2:
            kit.wait(lambda reader=stream.reader: reader._transport is not None and reader.counters.frames_decoded, 30)
            gone.append(weakref.ref(stream.reader._transport))
        stream = None
        gc.disable()
        try:
            kit.call(lambda name=f"brief{number}": kit.engine.remove(name))
            kit.wait(lambda: kit.call(lambda: None) is None, 5)
            kept += [one() for one in gone if one() is not None]
        finally:
            gc.enable()
        assert kept == []


@pytest.mark.slow
def test_the_lowest_priorities_are_shed_first_and_come_back(clip):
    with live(overload=QUICK) as kit:
        for stream, priority in (("low", 10), ("middle", 50), ("high", 90)):
            kit.take(stream, clip, OUTAGES, loop=True, priority=priority)
        kit.wait(lambda: all(kit.frames(s) > 10 for s in ("low", "middle", "high")), 30)
        slow = Slow(kit.engine, 0.45)  # two pictures a second, of three streams
        kit.wait(lambda: kit.state("low") == "shed", 40)
        assert kit.state("high") != "shed"
        said = kit.heard.report("low")
        assert (said.sampling, said.cause) == (0.0, "overload")
        assert kit.heard.reports[-1].headroom_streams == 0
        # Room may come back within a second: then no whole one would have passed unseen.
        kit.wait(lambda: any(set(s.unknown) == set(OUTAGES) for s in kit.heard.seconds.get("low", ())), 30)
        slow.undo()
        kit.wait(lambda: all(kit.state(s) == "running" for s in ("low", "middle", "high")), 40)
        kit.wait(lambda: all(kit.heard.report(s).sampling == 1.0 for s in ("low", "middle", "high")), 60)
        measured = kit.frames("low")
        kit.wait(lambda: kit.frames("low") > measured + 25, 10)
        unseen = [set(s.unknown) for s in kit.heard.seconds["low"] if s.frames_measured == 0]
        assert all({"video.black", "video.freeze"} <= unknown for unknown in unseen)
        assert any(unknown == set(OUTAGES) for unknown in unseen)
        assert kit.heard.reports[-1].counters["streams_shed"] >= 1
        # What was not looked at is no defect; an engine that was stuck for seconds is told by its lag.
        assert {d for s in ("low", "middle", "high") for d in kit.found(s)} <= {"stream.stall"}


@pytest.mark.slow
def test_under_load_a_dead_stream_stays_and_what_nobody_is_told_of_goes_first(clip):
    with live(overload=QUICK) as kit:
        kit.take("dead", f"http://127.0.0.1:{free_port()}/live.ts", OUTAGES, priority=1)
        kit.take("works", clip, OUTAGES, loop=True, priority=90)
        kit.take("other", clip, OUTAGES, loop=True, priority=50)
        kit.wait(lambda: kit.state("dead") == "stalled" and all(kit.frames(s) > 10 for s in ("works", "other")), 30)
        kit.take("works", clip, OUTAGES, loop=True, priority=90 + UNHEEDED)  # as in a maintenance window
        assert kit.engine.headroom() <= 61  # a place is kept for the dead one
        slow = Slow(kit.engine, 0.7)
        kit.wait(lambda: kit.state("works") == "shed", 40)
        assert (kit.state("dead"), kit.state("other")) == ("stalled", "running")
        kit.wait(lambda: "stream.stall" in kit.found("dead"), 15)
        slow.undo()
        kit.wait(lambda: kit.state("works") == "running", 40)


@pytest.mark.slow
def test_streams_that_come_and_go_leave_no_thread_handle_or_memory_behind(clip):
    psutil = pytest.importorskip("psutil")
    with live() as kit:
        mine, reader = psutil.Process(), psutil.Process(kit.reader.pid)

        def cycle(n):
            for k in range(n):
                stream = f"s{k % 3}"
                kit.take(stream, clip, OUTAGES, loop=True)
                kit.wait(lambda stream=stream: kit.frames(stream) > 2, 20)
                kit.call(lambda stream=stream: kit.engine.remove(stream))

        def held():
            wait(lambda: reader.num_threads() <= 2, 10)
            return [(p.num_threads(), p.num_fds()) for p in (mine, reader)]

        cycle(20)
        before, memory = held(), [p.memory_info().rss for p in (mine, reader)]
        cycle(100)
        assert held() == before
        grown = [p.memory_info().rss - was for p, was in zip((mine, reader), memory, strict=True)]
        assert max(grown) < 12 << 20, grown  # a leak of one picture or packet queue a cycle would be more


def test_warming_up_leaves_no_trace_in_the_verdicts(folder, kit, name):
    black = r"drawbox=t=fill:color=black:enable=between(t\,0.99\,3)"
    path = encode(folder / "cold.ts", 5, drawn=black)
    chosen = {"video.black": {"black_min_duration": 0.5}}
    kit.call(kit.engine.warm_up)
    kit.call(kit.engine.warm_up)
    kit.take(name, path, chosen)
    kit.wait(lambda: name in kit.heard.ended, 30)
    assert kit.heard.starts[name, "video.black"] == pytest.approx(1.0, abs=0.03)
    assert kit.heard.ended[name].summary.frames_measured == 125


def test_what_starting_took_is_no_load_of_the_first_second():
    """Else an engine that has only come up refuses streams."""
    assert time.process_time() > 2, "this process has loaded and compiled no engine"
    with live() as fresh:
        fresh.wait(lambda: fresh.heard.reports, 10)
        assert fresh.heard.reports[0].load < 0.9

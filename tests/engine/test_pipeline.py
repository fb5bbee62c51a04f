"""The engine over real files: same verdicts alone and in company, one stream's trouble stays its own."""

import subprocess
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media import ffmpeg_exe

from engine.errors import DeviceError
from engine.listener import Silent
from engine.measure import Measure
from engine.pipeline import Engine, check
from engine.reader import StreamReader
from engine.spec import EngineSettings, StreamSpec
from engine.verdicts import Severity

CPU = EngineSettings(device="cpu")


def encode(path, *, video=None, audio=None, options=()):
    """A clip from lavfi sources; lossless, so that what the filters did is what is judged."""
    inputs = [part for source in (video, audio) if source for part in ("-f", "lavfi", "-i", source)]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-c:a", "flac"]
    command = [ffmpeg_exe(), "-y", "-v", "error", *inputs, *codecs, *options, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return str(path)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    black = r"drawbox=t=fill:color=black:enable=between(t\,1.99\,4.5)"
    mute = r"asetnsamples=480:p=0,volume=0:enable=between(t\,2.9999\,5.4999)"
    return {
        "defects": encode(
            folder / "defects.mkv",
            video=f"testsrc2=s=322x182:r=25:d=8,{black}",
            audio=f"anoisesrc=d=8:a=0.3:seed=1:r=48000,{mute}",
        ),
        "other": encode(folder / "other.mkv", video="mandelbrot=s=160x120:r=30", options=("-t", "4")),
        "sound": encode(folder / "sound.flac", audio="sine=440:d=9:r=44100"),
        "dying": encode(
            folder / "dying.mkv", video="testsrc2=s=160x120:r=25:d=14", audio="anoisesrc=d=4:a=0.3:seed=2:r=48000"
        ),
        "garbage": str(folder / "garbage.mp4"),
    }


@pytest.fixture(scope="module", autouse=True)
def _garbage(clips):
    with open(clips["garbage"], "wb") as file:
        file.write(np.random.default_rng(3).bytes(50_000))


def verdicts(outcome):
    return [(i.detector, i.start, i.end, i.score, i.measures, i.closed_by) for i in outcome.incidents]


def judged(specs, **settings):
    return check(specs, EngineSettings(device="cpu", trace=True, **settings))


@pytest.fixture(scope="module")
def alone(clips):
    [outcome] = judged([StreamSpec("a", clips["defects"])])
    assert {i.detector for i in outcome.incidents} >= {"video.black", "audio.silence"}
    return outcome


@settings(max_examples=12, deadline=None)
@given(
    before=st.lists(st.sampled_from(["other", "garbage", "sound", "defects"]), max_size=2),
    after=st.lists(st.sampled_from(["other", "garbage", "sound", "defects"]), max_size=2),
    max_batch=st.integers(1, 8),
    max_wait_seconds=st.sampled_from([None, 0.0, 0.002, 0.02]),
)
def test_the_same_file_gives_the_same_verdicts_whatever_the_batch_and_the_company(
    clips, alone, before, after, max_batch, max_wait_seconds
):
    specs = [StreamSpec(f"{place}{n}", clips[name]) for place, names in (("b", before), ("c", after))
             for n, name in enumerate(names)]  # fmt: skip
    specs.insert(len(before), StreamSpec("a", clips["defects"]))
    beside = judged(specs, max_batch=max_batch, max_wait_seconds=max_wait_seconds)[len(before)]
    assert verdicts(beside) == verdicts(alone)
    for track, trace in alone.trace.items():
        np.testing.assert_array_equal(beside.trace[track].values, trace.values)
        np.testing.assert_array_equal(beside.trace[track].times, trace.times)


def test_a_broken_input_ends_with_its_reason_and_touches_no_other(clips):
    good, bad = check([StreamSpec("good", clips["other"]), StreamSpec("bad", clips["garbage"])], CPU)
    assert good.error is None
    assert good.summary.frames_measured == 120
    assert bad.summary is None
    assert bad.error.stream == "bad"
    assert bad.error.exit_code == 3


def test_a_bug_in_reading_ends_its_stream_alone_and_the_log_says_where(clips, monkeypatch, caplog):
    whole = StreamReader._read_connection

    def with_a_bug(self):
        if self.stream == "bad":
            raise KeyError("a bug")
        whole(self)

    monkeypatch.setattr(StreamReader, "_read_connection", with_a_bug)
    bad, good = check([StreamSpec("bad", clips["other"]), StreamSpec("good", clips["other"])], CPU)
    assert "KeyError" in bad.error.why
    assert good.error is None
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "bad" in record.getMessage()
    assert "with_a_bug" in caplog.text


def test_every_frame_and_block_is_measured_and_counted(clips):
    [outcome] = check([StreamSpec("a", clips["defects"])], CPU)
    summary = outcome.summary
    assert (summary.frames_decoded, summary.frames_measured) == (200, 200)
    assert summary.audio_seconds == pytest.approx(8.0)
    assert summary.duration == pytest.approx(8.0, abs=1e-3)
    assert (summary.decoder, summary.device, summary.decode_errors) == ("software", "cpu", 0)


def test_each_stream_second_comes_once_with_its_coverage_and_what_held(clips):
    class Seconds(Silent):
        def __init__(self):
            self.rows = []

        def on_second(self, second):
            self.rows.append(second)

    listener = Seconds()
    check([StreamSpec("a", clips["defects"], {"video.black": {}, "audio.silence": {}})], CPU, listener)
    assert [row.second for row in listener.rows] == list(range(8))
    assert all(row.frames_measured == 25 for row in listener.rows)
    assert all(row.audio_seconds == pytest.approx(1.0) for row in listener.rows)
    assert [row.second for row in listener.rows if "video.black" in row.open] == [2, 3, 4]
    assert [row.second for row in listener.rows if "audio.silence" in row.open] == [3, 4, 5]


def test_an_input_without_sound_is_worth_a_warning_and_one_that_loses_it_is_critical(clips):
    [never] = check([StreamSpec("never", clips["other"])], CPU)
    assert [i for i in never.incidents if i.detector == "stream.missing_audio"] == []  # 4 s long: not yet missing
    [lost] = check([StreamSpec("lost", clips["dying"], {"stream.missing_audio": {}})], CPU)
    [incident] = lost.incidents
    assert incident.severity is Severity.CRITICAL
    assert incident.start == pytest.approx(4.0, abs=0.1)
    assert incident.end == pytest.approx(14.0, abs=0.1)
    [absent] = check([StreamSpec("sound", clips["sound"], {"stream.missing_video": {}})], CPU)
    [incident] = absent.incidents
    assert (incident.severity, incident.cause, incident.start) == (Severity.WARNING, "absent_track", 0.0)


def test_stop_ends_soon_closes_what_is_open_and_still_sums_up(clips):
    opened = threading.Event()

    class WhenOpen(Silent):
        def on_incident(self, incident, change):
            if incident.detector == "video.black":
                opened.set()

    engine = Engine(EngineSettings(device="cpu", realtime=True), WhenOpen())
    engine.add(StreamSpec("a", clips["defects"], {"video.black": {"black_min_duration": 0.2}}))
    stopper = threading.Thread(target=lambda: (opened.wait(60), engine.stop()))
    stopper.start()
    engine.run()
    stopper.join(10)
    outcome = engine.outcomes["a"]
    assert [(i.detector, i.closed_by) for i in outcome.incidents] == [("video.black", "removed")]
    assert 0 < outcome.summary.frames_measured < 200


def test_thumbnails_are_taken_at_the_defect(clips):
    settings = EngineSettings(device="cpu", thumbnails=True)
    [outcome] = check([StreamSpec("a", clips["defects"], {"video.black": {}})], settings)
    [incident] = outcome.incidents
    assert outcome.thumbnails[incident.id].startswith(b"\xff\xd8")


def test_readers_leave_no_thread_behind(clips):
    before = threading.active_count()
    check([StreamSpec(name, clips[name]) for name in ("other", "sound", "garbage")], CPU)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("clip", "late"),
    [("other", 2.5), pytest.param("dying", 7.5, marks=pytest.mark.slow)],
    ids=["a track that is not there", "a track that ends early"],
)
def test_seconds_are_told_as_they_pass_whatever_tracks_there_are(clips, clip, late):
    """Neither a track that the input never had nor one that has gone holds back what is known of the other."""
    told = {}

    class Watcher(Silent):
        media = 0.0

        def on_progress(self, stream, media_seconds, duration):
            self.media = media_seconds

        def on_second(self, second):
            told[second.second] = self.media

    check([StreamSpec("live", clips[clip])], EngineSettings(device="cpu", realtime=True), Watcher())
    assert max(media - second for second, media in told.items()) < late + 1.0  # its own second, and the last ones


class Heard(Silent):
    def __init__(self):
        self.seconds = []

    def on_second(self, second):
        self.seconds.append(second)


def frames_that_fit(monkeypatch, most, error):
    """The memory of the device is enough for so many pictures at a time."""
    measure = Measure.frames

    def frames(self, batch):
        if len(batch.numbers) > most:
            raise error
        return measure(self, batch)

    monkeypatch.setattr(Measure, "frames", frames)


def test_out_of_memory_halves_the_batch_and_the_seconds_say_what_was_left_out(clips, monkeypatch, caplog):
    frames_that_fit(monkeypatch, 1, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    heard = Heard()
    specs = [StreamSpec(name, clips[name]) for name in ("defects", "other")]
    outcomes = check(specs, EngineSettings(device="cpu", max_wait_seconds=0.5), heard)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert "at most 1 are judged at a time" in caplog.text
    assert caplog.text.count("out of memory on cpu") == 1
    left_out = [s for s in heard.seconds if s.frames_measured < s.frames_decoded]
    assert sum(s.frames_decoded - s.frames_measured for s in left_out) == 2
    assert "video.black" in {i.detector for i in outcomes[0].incidents}


def test_an_error_of_our_own_is_not_taken_for_one_of_cuda(clips, monkeypatch):
    frames_that_fit(monkeypatch, 0, RuntimeError("shapes of other sizes"))
    with pytest.raises(RuntimeError, match=r"^shapes of other sizes$"):
        check([StreamSpec("other", clips["other"])], CPU)


def test_one_picture_too_many_for_the_memory_ends_with_a_clear_error(clips, monkeypatch):
    frames_that_fit(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    with pytest.raises(DeviceError, match="the GPU failed: CUDA out of memory"):
        check([StreamSpec("other", clips["other"])], CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
    ],
)
def test_an_error_that_cuda_does_not_recover_from_ends_with_a_clear_error(clips, monkeypatch, error):
    frames_that_fit(monkeypatch, 0, error)
    with pytest.raises(DeviceError, match=r"illegal memory access.*start again"):
        check([StreamSpec("other", clips["other"])], CPU)
    for thread in threading.enumerate():
        if "other" in thread.name:
            thread.join(5)
            assert not thread.is_alive()

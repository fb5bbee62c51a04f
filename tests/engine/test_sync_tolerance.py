"""By how much sound may be early or late: less where somebody speaks than where nobody does."""

import math
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hearing_net import hearing_net
from made_pattern import write_pattern
from made_programme import write_programme

from engine.detectors import detector
from engine.judge import Judge
from engine.lip_sync import LipSync
from engine.measure.ticks import tick_rows
from engine.media import StreamTick
from engine.pipeline import check
from engine.reference_sync import Compared
from engine.spec import AudioNetworkSettings, EngineSettings, StreamSpec
from engine.speech import Speech
from engine.sync_tolerance import judged, tolerance
from models.weight_files import write_weights

LIMITS = detector("av.sync").settle()
SPOKEN, OTHER = 1.0, 0.0


@pytest.mark.parametrize(
    ("offset", "in_speech", "elsewhere"),
    [
        (-0.04, False, False),
        (-0.07, True, None),
        (-0.09, True, None),
        (-0.12, True, True),
        (0.12, False, False),
        (0.15, True, None),
        (0.185, True, None),
        (0.2, True, True),
    ],
)
def test_an_offset_is_too_much_sooner_where_somebody_speaks(offset, in_speech, elsewhere):
    """None: it decides nothing."""
    assert (judged(LIMITS, offset, SPOKEN) > 1 + 1e-9) is in_speech
    # A pattern, and what nobody listens to.
    assert judged(LIMITS, offset, None) == judged(LIMITS, offset, SPOKEN)
    error = judged(LIMITS, offset, OTHER)
    assert math.isnan(error) if elsewhere is None else (error > 1 + 1e-9) is elsewhere
    assert tolerance(LIMITS, OTHER).allows(offset) is not elsewhere or elsewhere is False


def test_a_fixed_tolerance_can_be_asked_for():
    fixed = detector("av.sync").settle({"speech": 0})
    assert tolerance(fixed, OTHER).milliseconds == (-45.0, 125.0)
    # Nowhere less is tolerated than where somebody speaks.
    wide = detector("av.sync").settle({"late": 0.3, "early": 0.2})
    assert tolerance(wide, OTHER).milliseconds == tolerance(wide, SPOKEN).milliseconds == (-200.0, 300.0)


def test_the_share_of_speech_is_of_what_was_listened_to_in_a_span():
    speech = Speech()
    assert speech.share(0.0, 10.0) is None
    for at, said in ((1.0, 0.9), (9.0, 0.3), (19.0, 0.2), (29.0, 0.7)):
        speech.add(at, said if at < 10 else lambda said=said: said)
    assert speech.share(0.0, 30.0) == 0.5
    assert speech.share(2.0, 28.0) == 0.0
    assert speech.share(29.0, 29.0) == 1.0
    assert speech.share(-5.0, 0.5) is None
    # Nothing was listened to in it: what was said last.
    assert speech.share(10.0, 18.0) == 0.0
    assert speech.share(40.0, 50.0) == 1.0
    speech.forget(18.0)
    assert speech.share(10.0, 18.0) == 0.0
    assert speech.share(0.0, 30.0) == pytest.approx(1 / 3)


class Windows:
    """A reference of which every window is known."""

    needed_from = 0.0
    latest = latest_told = None

    def __init__(self, offset):
        self.offset, self.next = offset, 10.0

    def settled(self, known_until):
        found = []
        while self.next <= known_until:
            middle = (max(0.0, self.next - 30.0) + self.next) / 2
            found.append(Compared(middle, self.next, self.offset(middle), 0.0, 0.9, True))
            self.next += 2.0
        return found

    def agreeing(self, window):
        return [window]


def test_what_speech_has_opened_lasts_through_music_until_the_offset_is_gone():
    speech = Speech()
    for at in range(1, 300, 5):
        speech.add(float(at), 0.9 if at < 80 or at > 160 else 0.1)
    # 70 ms early until 200 s, beside music in between.
    sync = LipSync(None, Windows(lambda at: -0.07 if at < 200 else -0.02), "a", None, speech)
    judge, found = Judge([detector("av.sync")], "cpu", 1), []
    judge.open_slot(0, {"av.sync": detector("av.sync").rule()})
    for second in range(1, 280):
        for row in sync.rows(LIMITS, float(second)):
            tick = StreamTick(row.at, row.at, sync_error=row.sync_error)
            found += judge.submit(tick_rows([(0, tick)])).transitions()
    assert [(one.kind, one.at) for one in found] == [("opened", 5.0), ("closed", 201.0)]


def test_music_alone_opens_nothing_that_speech_would():
    speech = Speech()
    speech.add(1.0, 0.1)
    sync = LipSync(None, Windows(lambda at: -0.07), "a", None, speech)
    assert all(math.isnan(row.sync_error) for row in sync.rows(LIMITS, 100.0))
    fixed = LipSync(None, Windows(lambda at: -0.07), "a", None, speech)
    rows = fixed.rows(detector("av.sync").settle({"speech": 0}), 100.0)
    rows = [row for row in rows if not math.isnan(row.sync_error)]
    assert len(rows) == 46
    assert rows[0].cause == "sound is 70 ms early (against a); 45 ms are tolerated where somebody speaks"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Listens twice in ten seconds, to a network that takes a loud tone of 640 Hz for speech."""
    weights = tmp_path_factory.mktemp("weights") / "hearing.safetensors"
    write_weights(weights, hearing_net().net.state_dict(), {"network": "audio", "version": "test"})
    return AudioNetworkSettings(0.2, weights)


def compared(reference, others, network=None, parameters=None):
    """What is said of streams beside a reference: detectors that told, their causes, and the summary's verdict."""
    detectors = {"av.sync": parameters or {}}
    specs = [StreamSpec("reference", str(reference), {})]
    specs += [StreamSpec(path.stem, str(path), detectors, reference="reference") for path in others]
    outcomes = check(specs, EngineSettings(device="cpu", audio_network=network))
    assert [one.error for one in outcomes] == [None] * len(specs)
    return [([one.detector for one in o.incidents], [one.cause for one in o.incidents], o.summary.av_sync)
            for o in outcomes[1:]]  # fmt: skip


def test_seventy_milliseconds_are_told_in_speech_and_not_in_music(tmp_path, network):
    streams = {}
    for name, tone in (("speech", (0, 20)), ("music", None)):
        for late in (0.0, -0.07, -0.12, 0.15, 0.2):
            path = tmp_path / f"{name}{1000 * late:+.0f}.mkv"
            write_programme(path, 1, seconds=20, sound_late=late, tone=tone, codecs=("libx264", "pcm_s16le"))
            streams[name, late] = path
    told = {}
    for name in ("speech", "music"):
        others = [path for (of, late), path in streams.items() if of == name and late]
        found = compared(streams[name, 0.0], others, network)
        told |= {path.stem: one for path, one in zip(others, found, strict=True)}
    early = {"tolerance_ms": [-45.0, 125.0], "content": "speech"}
    wide = {"tolerance_ms": [-90.0, 185.0], "content": "other"}
    for stem, (incidents, causes, summary) in told.items():
        applies = early if stem.startswith("speech") else wide
        offset = float(stem.removeprefix("speech").removeprefix("music"))
        assert summary["offset_ms"] == pytest.approx(offset, abs=12), stem
        assert {key: summary[key] for key in applies} == applies, stem
        out = not applies["tolerance_ms"][0] <= offset <= applies["tolerance_ms"][1]
        assert incidents == (["av.sync"] if out else []), stem
        assert summary["verdict"] == ("out_of_sync" if out else "in_sync"), stem
        assert all("where somebody speaks" in cause for cause in causes) or not stem.startswith("speech")
    assert {stem for stem, (incidents, _, _) in told.items() if incidents} == {
        "speech-70", "speech-120", "speech+150", "speech+200", "music-120", "music+200",
    }  # fmt: skip
    assert told["music-120"][1][0].endswith("; 90 ms are tolerated where nobody speaks")
    # Where nobody listens, and where a fixed tolerance is asked for, it is as in speech.
    for wanted in ({"network": None}, {"network": network, "parameters": {"speech": 0}}):
        [(incidents, _, summary)] = compared(streams["music", 0.0], [streams["music", -0.07]], **wanted)
        assert incidents == ["av.sync"]
        assert summary["tolerance_ms"] == [-45.0, 125.0]


def test_a_test_pattern_keeps_its_limits(tmp_path, network):
    path = write_pattern(tmp_path / "early.mkv", -0.07, codec="pcm_s16le")
    settings = EngineSettings(device="cpu", audio_network=network)
    [outcome] = check([StreamSpec("pattern", str(path), {"av.sync": {}, "audio.hum": {}})], settings)
    assert [one.cause for one in outcome.incidents] == [
        "sound is 70 ms early (flashes and beeps); 45 ms are tolerated"
    ]  # fmt: skip
    assert outcome.summary.av_sync["tolerance_ms"] == [-45.0, 125.0]
    assert outcome.summary.av_sync["content"] is None


def write_shifted(source, path, late, seconds):
    """The first seconds of a clip, its pictures as they are, its sound later by so many seconds, or earlier."""
    with av.open(str(source)) as there, av.open(str(path), "w") as here:
        video, audio = there.streams.video[0], there.streams.audio[0]
        pictures = here.add_stream_from_template(video)
        sound = here.add_stream("pcm_s16le", rate=48000, layout="stereo")
        resampler, parts = av.AudioResampler(format="s16", layout="stereo", rate=48000), []
        begins = None
        for packet in there.demux(video, audio):
            if packet.dts is None or packet.pts * packet.time_base > seconds:
                continue
            if packet.stream is video:
                packet.stream = pictures
                here.mux(packet)
                continue
            for frame in packet.decode():
                begins = frame.time if begins is None else begins
                parts += [piece.to_ndarray().reshape(-1, 2) for piece in resampler.resample(frame)]
        samples, shift = np.concatenate(parts), round(48000 * (late + begins))
        samples = np.concatenate([np.zeros((max(0, shift), 2), np.int16), samples[max(0, -shift) :]])
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        here.mux(sound.encode(frame))
        here.mux(sound.encode(None))
    return path


@pytest.mark.parametrize(
    ("clip", "content", "told"),
    [
        ("lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4", "speech", ["-70", "-120"]),
        ("mediaelement_echo-hereweare_270p30_vp8.webm", "other", ["-120"]),
    ],
)
def test_a_real_talk_and_real_music_as_the_weights_of_the_package_hear_them(media, tmp_path, clip, content, told):
    torch.set_num_threads(1)
    made = {late: write_shifted(media / "real_av" / clip, tmp_path / f"{late}.mkv", late / 1000, 14.0)
            for late in (0, -30, -70, -120)}  # fmt: skip
    found = compared(made[0], [made[-30], made[-70], made[-120]], AudioNetworkSettings())
    for (late, path), (_, _, summary) in zip(list(made.items())[1:], found, strict=True):
        assert summary["content"] == content, path
        assert summary["offset_ms"] == pytest.approx(late, abs=20)
    names = ["-30", "-70", "-120"]
    assert [name for name, (incidents, _, _) in zip(names, found, strict=True) if incidents] == told

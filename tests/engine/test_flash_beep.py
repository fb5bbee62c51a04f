"""Lip sync by flashes and beeps, over real files."""

from fractions import Fraction

import av
import numpy as np
import pytest

from engine.flash_beep import FlashBeep, SoundOnsets
from engine.media import AudioBlock
from engine.pipeline import EngineSettings, StreamSpec, check

RATE = 25


def write_pattern(path, offset, *, seconds=8.0, codec="aac", beeps=True, area=1.0, rate=RATE, seed=0):
    """A flash of one picture every second, and a beep of 40 ms that begins `offset` seconds after its first moment."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "20"})
        pictures.width, pictures.height, pictures.pix_fmt = 160, 96, "yuv420p"
        sound = container.add_stream(codec, rate=48000, layout="stereo")
        resampler = av.AudioResampler(
            format=sound.codec_context.format.name, layout="stereo", rate=48000,
            frame_size=sound.codec_context.frame_size or 1024,
        )  # fmt: skip
        for index in range(round(seconds * rate)):
            grey = rng.integers(30, 40, (96, 160, 3)).astype(np.uint8)
            if index % rate == rate // 2:
                grey[: round(96 * area)] = 235
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        samples = rng.normal(0, 1e-4, round(seconds * 48000)).astype(np.float32)
        t = np.arange(1920) / 48000
        for second in range(int(seconds)):
            begin = round((second + (rate // 2) / rate + offset) * 48000)
            if beeps and 0 <= begin < len(samples) - 1920:
                samples[begin : begin + 1920] += (0.5 * np.cos(2 * np.pi * 1000 * t)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.tile(samples, (2, 1)), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return path


def judged(path):
    outcome = check([StreamSpec("pattern", str(path), {"av.sync": {}})], EngineSettings(device="cpu"))[0]
    assert outcome.error is None
    return outcome.incidents, outcome.summary.av_sync


@pytest.mark.parametrize(
    ("offset", "name", "codec", "area"),
    [
        (0.0, "zero.mp4", "aac", 1.0),
        (0.2, "late.ts", "mp2", 1.0),
        (-0.09, "early.mkv", "pcm_s16le", 1.0),
        (0.04, "part.mp4", "aac", 0.15),
    ],
)
def test_the_offset_is_found_within_two_milliseconds(tmp_path, offset, name, codec, area):
    incidents, found = judged(write_pattern(tmp_path / name, offset, codec=codec, area=area))
    assert found["offset_ms"] == pytest.approx(1000 * offset, abs=2.0)
    assert found["confidence"] >= 0.8
    out = not -0.045 <= offset <= 0.125
    assert found["verdict"] == ("out_of_sync" if out else "in_sync")
    assert [incident.detector for incident in incidents] == (["av.sync"] if out else [])
    if out:
        assert f"{abs(1000 * offset):.0f} ms {'late' if offset > 0 else 'early'}" in incidents[0].cause


def test_flashes_without_beeps_are_no_verdict(tmp_path):
    incidents, found = judged(write_pattern(tmp_path / "mute.mp4", 0.0, beeps=False))
    assert found == {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
    assert incidents == []


def test_a_sound_that_sets_in_is_found_to_the_sample():
    onsets = SoundOnsets()
    samples = np.zeros(48000, np.float32)
    samples[12345:14000] = 0.3
    for at in range(0, 48000, 4800):
        onsets.take(AudioBlock("", at / 48000, samples[None, at : at + 4800], 4800, (1.0,), 1.0))
    onsets.finish()
    assert list(onsets.found) == [pytest.approx(12345 / 48000, abs=1e-9)]


def test_beeps_at_random_are_no_verdict():
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(20):
        onsets = SoundOnsets()
        onsets.found.extend(sorted(rng.uniform(0, 12, 12)))
        onsets.until = 60.0
        pattern = FlashBeep(onsets)
        for index in range(300):
            pattern.picture(index / 25, 0.8 if index % 25 == 12 else 0.1)
        told += bool(pattern.settled(last=True))
    assert told == 0


def test_a_cut_to_a_brighter_scene_is_no_flash():
    onsets = SoundOnsets()
    onsets.found.extend([1.0, 2.0, 3.0, 4.0, 5.0])
    onsets.until = 60.0
    pattern = FlashBeep(onsets)
    for index in range(150):
        pattern.picture(index / 25, 0.1 + 0.15 * (index // 25))
    assert pattern.settled(last=True) == []
    assert pattern.verdict(0.125, 0.045)["verdict"] == "unknown"

"""What benchmarks take for a healthy channel has nothing that a detector of sound tells."""

import av
import numpy as np

from benchmarks.kills import CHANNEL_SECONDS, make_black
from benchmarks.looped import healthy_sound, loop_clip
from engine.detectors import all_detectors
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis.sound_clip import write_sound


def _incidents(path):
    sound = {declared.name: {} for declared in all_detectors() if declared.name.startswith("audio.")}
    (outcome,) = check([StreamSpec("clip", str(path), sound)], EngineSettings(device="cpu"))
    assert outcome.error is None
    return {incident.detector for incident in outcome.incidents}


def _coded(path, samples):
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="stereo")
        for at in range(0, samples.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, at : at + 1024]), "fltp", "stereo")
            frame.sample_rate, frame.pts = 48000, at
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def test_nothing_is_told_of_a_healthy_channel_that_is_repeated(tmp_path):
    unit = _coded(tmp_path / "unit.mp4", healthy_sound(8.0))
    looped = loop_clip(unit, tmp_path / "looped.mkv", 40.0)
    assert not _incidents(looped)


def test_what_comes_every_eight_seconds_does_so_for_ten_minutes(tmp_path):
    """The sound of a unit lasts a little longer than its pictures; it does not push the next one back."""
    times = {"video": [], "audio": []}
    with av.open(str(make_black(tmp_path))) as channel:
        for packet in channel.demux():
            if packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    pictures, sound = (np.array(times[kind]) for kind in ("video", "audio"))
    assert len(pictures) == round(25 * CHANNEL_SECONDS)
    np.testing.assert_allclose(pictures - pictures[0], np.arange(len(pictures)) / 25, atol=1e-4)
    # 375 frames of 1024 samples are eight seconds.
    assert len(sound) == round(CHANNEL_SECONDS * 48000 / 1024)
    assert np.diff(sound).max() < 1.1 * 1024 / 48000


def test_noise_alone_is_told_of_a_channel(tmp_path):
    noise = np.random.default_rng(1).normal(0, 0.05, (2, 8 * 48000)).astype(np.float32)
    write_sound(tmp_path / "noise.flac", noise)
    assert "audio.noise" in _incidents(tmp_path / "noise.flac")

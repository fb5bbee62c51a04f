"""Sound of every layout, rate and format is judged alike, from end to end, and nothing of it stops the engine."""

import math
import subprocess

import numpy as np
import pytest
from made_sound import noise_like
from media import ffmpeg_exe

from engine.detectors import DETECTORS
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

SOUND = {d.name: {} for d in DETECTORS if d.track == "audio"}
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}

FORMATS = [
    ("wav", "pcm_u8", 8_000, 1),
    ("wav", "pcm_s16le", 192_000, 2),
    ("wav", "pcm_s24le", 96_000, 6),
    ("wav", "pcm_s32le", 44_100, 8),
    ("wav", "pcm_f32le", 22_050, 3),
    ("wav", "pcm_f64le", 48_000, 4),
    ("flac", "flac", 96_000, 8),
    ("m4a", "aac", 48_000, 2),
    ("m4a", "alac", 44_100, 2),
    ("ts", "ac3", 48_000, 6),
    ("mka", "eac3", 44_100, 6),
    ("mp2", "mp2", 32_000, 2),
    ("mp3", "libmp3lame", 16_000, 1),
    ("mka", "libopus", 48_000, 8),
    ("ogg", "libvorbis", 44_100, 5),
]


def encode(path, codec, rate, channels, signal, *options):
    """Encode (n,) samples at 48 kHz, the same in every channel but for its level."""
    gains = 1 - 0.05 * np.arange(channels)
    raw = (signal[:, None] * gains).astype("<f4").tobytes()
    command = [ffmpeg_exe(), "-v", "error", "-f", "f32le", "-ar", "48000", "-ac", str(channels), "-i", "-",
               "-af", f"aformat=channel_layouts={LAYOUTS[channels]}", "-c:a", codec, "-ar", str(rate), *options,
               "-y", str(path)]  # fmt: skip
    subprocess.run(command, input=raw, check=True, timeout=120)


def judged(path):
    [outcome] = check([StreamSpec("s", str(path), SOUND)], EngineSettings(device="cpu"))
    assert outcome.error is None
    return outcome


@pytest.mark.parametrize(("suffix", "codec", "rate", "channels"), FORMATS)
def test_a_silence_is_found_at_its_time_in_every_format(tmp_path, suffix, codec, rate, channels):
    # 1.5 to 3.75 s, without the click that a hard edge would be.
    signal = noise_like(5.0)[0] * np.interp(np.arange(240_000), [71_760, 72_000, 180_000, 180_240], [1, 0, 0, 1])
    path = tmp_path / f"silence.{suffix}"
    encode(path, codec, rate, channels, signal)
    outcome = judged(path)
    [incident] = [i for i in outcome.incidents if i.detector not in ("audio.noise", "audio.mono")]
    assert incident.detector == "audio.silence"
    # Lossy codecs spread what is beside it; MP3 and TS begin with the encoder's delay.
    assert incident.start == pytest.approx(1.5, abs=0.15)
    assert incident.end == pytest.approx(3.75, abs=0.1)
    loudness = outcome.summary.loudness
    assert loudness.integrated == pytest.approx(-25.0, abs=12.0)
    assert -40 < loudness.true_peak < 0


@pytest.mark.parametrize("samples", [1, 47, 480, 4799, 4801])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_a_file_of_few_samples_is_judged(tmp_path, samples, channels):
    path = tmp_path / "short.wav"
    encode(path, "pcm_s16le", 48_000, channels, noise_like(1.0)[0][:samples])
    outcome = judged(path)
    assert outcome.incidents == []
    assert outcome.summary.audio_seconds == pytest.approx(samples / 48_000, abs=1e-6)
    assert outcome.summary.loudness.integrated is None
    assert math.isfinite(outcome.summary.loudness.true_peak)


def test_a_stream_whose_layout_changes_goes_on_being_judged(tmp_path):
    """Stereo, 5.1, stereo: no channel is lost, nothing clicks, and a silence after it is found."""
    signal = noise_like(3.0)[0]
    silent = signal.copy()
    silent[24_000:129_600] = 0.0
    parts = [(2, signal, 0.0), (6, signal, 3.0), (2, silent, 6.0)]
    whole = b""
    for index, (channels, part, offset) in enumerate(parts):
        path = tmp_path / f"part{index}.ts"
        encode(path, "ac3", 48_000, channels, part, "-output_ts_offset", str(offset), "-muxdelay", "0")
        whole += path.read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(whole)
    outcome = judged(joined)
    assert [i.detector for i in outcome.incidents] == ["audio.silence"]
    assert outcome.incidents[0].start == pytest.approx(6.5, abs=0.1)

"""What is planted before a lossy coder is found behind it, at its time."""

import subprocess

import numpy as np
import pytest
from made_sound import music_like, speech_like
from media import ffmpeg_exe

from engine.detectors import DETECTORS
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis import sound
from models.synthesis.sound_clip import write_sound

SOUND = tuple(d.name for d in DETECTORS if d.track == "audio")
CODERS = {"aac": ("aac", "128k", "mp4"), "ac3": ("ac3", "192k", "mkv"), "opus": ("libopus", "128k", "mkv")}
START, END = 4.03, 16.53


def incidents(tmp_path, samples, coder, names=SOUND):
    codec, rate, suffix = CODERS[coder]
    source, coded = tmp_path / "source.flac", tmp_path / f"coded.{suffix}"
    write_sound(source, samples)
    command = [ffmpeg_exe(), "-y", "-v", "error", "-i", str(source), "-c:a", codec, "-b:a", rate, str(coded)]
    subprocess.run(command, check=True, timeout=60)
    [outcome] = check([StreamSpec("s", str(coded), {name: {} for name in names})], EngineSettings(device="cpu"))
    assert outcome.error is None
    return outcome.incidents


# Opus tilts drawn carriers by more than HISS_TILT, real clips by less (decision 0115).
@pytest.mark.parametrize("coder", ["aac", "ac3"])
@pytest.mark.parametrize("carrier", [speech_like, music_like])
def test_noise_of_38_db_below_full_scale(tmp_path, carrier, coder):
    samples, _ = sound.plant_noise(carrier(20.0), START, END)
    [incident] = [i for i in incidents(tmp_path, samples, coder) if i.detector == "audio.noise"]
    assert incident.start == pytest.approx(START, abs=0.35)
    assert incident.end == pytest.approx(END, abs=0.35)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("carrier", [speech_like, music_like])
def test_no_noise_where_none_was_planted(tmp_path, carrier, coder):
    assert [i.detector for i in incidents(tmp_path, carrier(12.0), coder)] == []


@pytest.mark.parametrize("coder", CODERS)
def test_two_channels_that_are_the_same(tmp_path, coder):
    samples, _ = sound.plant_mono(music_like(20.0), START, END)
    [incident] = [i for i in incidents(tmp_path, samples, coder) if i.detector == "audio.mono"]
    assert incident.start == pytest.approx(START, abs=0.3)
    assert incident.end == pytest.approx(END, abs=0.3)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("carrier", [speech_like, music_like])
def test_a_channel_that_is_12_db_down_in_a_programme_that_leans_both_ways(tmp_path, carrier, coder):
    samples, _ = sound.plant_imbalance(
        carrier(20.0, right=1.0) if carrier is speech_like else carrier(20.0), START, END, 12.0
    )
    [incident] = [i for i in incidents(tmp_path, samples, coder) if i.detector == "audio.imbalance"]
    assert incident.start == pytest.approx(START, abs=0.35)
    assert incident.end == pytest.approx(END, abs=0.35)


def test_one_loud_beat_on_a_side_is_no_imbalance(tmp_path):
    samples = music_like(12.0)
    time = np.arange(24_000) / 48_000
    for at in (3.0, 6.0):
        begin = round(at * 48_000)
        samples[0, begin : begin + 24_000] += (0.7 * np.exp(-8 * time) * np.sin(2 * np.pi * 180 * time)).astype(
            np.float32
        )
    assert "audio.imbalance" not in {i.detector for i in incidents(tmp_path, samples, "ac3")}


def test_a_passage_that_is_raised_until_it_is_cut_off_has_no_jumps_of_its_level(tmp_path):
    samples, _ = sound.plant_clipping(0.1 * music_like(24.0), 8.0, 16.0, drive_db=12.0)
    assert len(incidents(tmp_path, samples, "aac", ("audio.level_jump",))) == 2
    told = [i.detector for i in incidents(tmp_path, samples, "aac")]
    assert "audio.clipping" in told
    assert "audio.level_jump" not in told


def test_an_offset_of_one_channel_of_a_quiet_programme_is_no_imbalance(tmp_path):
    samples, _ = sound.plant_offset(0.2 * music_like(20.0), START, END, 0.05)
    told = [i.detector for i in incidents(tmp_path, samples, "aac")]
    assert "audio.dc" in told
    assert "audio.imbalance" not in told


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("samples", [1, 10, 40])
def test_clicks_are_found_behind_a_coder_at_their_times(tmp_path, coder, samples):
    spoilt = 0.4 * music_like(8.0)
    places = (2.013, 4.551, 6.3337)
    for place in places:
        begin = round(place * 48_000)
        spoilt[:, begin : begin + samples] += 0.6
    told = [i for i in incidents(tmp_path, spoilt, coder, ("audio.click",)) if i.detector == "audio.click"]
    assert [i.start for i in told] == pytest.approx(places, abs=0.003)


@pytest.mark.parametrize("coder", CODERS)
def test_beats_that_ring_on_are_no_clicks_behind_a_coder(tmp_path, coder):
    beats = 0.4 * music_like(8.0)
    time = np.arange(9_600) / 48_000
    noise = np.random.default_rng(3).standard_normal(9_600)
    for place in (2.013, 4.551, 6.3337):
        begin = round(place * 48_000)
        beats[:, begin : begin + 9_600] += (0.25 * noise * np.exp(-time / 0.02)).astype(np.float32)
    assert incidents(tmp_path, beats, coder, ("audio.click",)) == []

"""RMS, peak and DC offset of each channel against astats, and the phase against aphasemeter, block by block."""

import re
import subprocess

import numpy as np
import pytest
import torch
from made_clips import make
from media import ffmpeg_exe, media_dir

from kernels.sound_features import Feature, FeatureState, sound_features

# astats and aphasemeter print six decimals, of decibels for levels, and compute in float64 and float32.
LEVEL_DB = 0.001
OFFSET = 2e-6
PHASE = 1e-4

CLIPS = [
    "known_answer/essentia_flamenco.flac",
    "known_answer/essentia_long_voice.flac",
    "real_av/fate_PVA_talk_544x576i25_mpeg2.pva",
    "real_av/mdn_rabbit320_240p30.mp4",
    "loudness/pyloudnorm_piano.flac",
]


def clip(name):
    if name is None:
        return make("phase.wav", video=None, audio="pcm_s16le", seconds=2.0)
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    return folder / name


def printed(path, audio_filter):
    """Per block of 4800 samples what a filter puts into the metadata, by key."""
    chain = f"aresample=48000,asetnsamples=4800:p=0,{audio_filter},ametadata=print:file=-"
    command = [ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a:0", "-af", chain, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    blocks = re.split(r"^frame:.*$", done.stdout.decode(), flags=re.MULTILINE)[1:]
    return [dict(re.findall(r"^lavfi\.(?:astats\.)?([\w.]+)=(\S+)$", block, re.MULTILINE)) for block in blocks]


def features(path):
    """Rows of our features of the same samples."""
    command = [ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a:0", "-af", "aresample=48000", "-f", "f32le",
               "-ac", "2", "-"]  # fmt: skip
    raw = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
    signal = np.frombuffer(raw, np.float32).reshape(-1, 2).T
    state, rows = FeatureState.allocate(1), []
    for begin in range(0, signal.shape[1], 4800):
        part = signal[:, begin : begin + 4800]
        samples = np.zeros((1, 8, 4800), np.float32)
        samples[0, :2, : part.shape[1]] = part
        numbers = (torch.tensor([count]) for count in (2, part.shape[1], 0))
        rows.append(sound_features(state, torch.from_numpy(samples), *numbers)[0].numpy())
    return rows


@pytest.mark.parametrize("name", [None, *CLIPS])
def test_levels_and_offsets_are_those_of_astats(name):
    path = clip(name)
    chain = "aformat=fltp:channel_layouts=stereo,astats=metadata=1:reset=1:measure_overall=none"
    theirs, ours = printed(path, chain), features(path)
    assert len(theirs) == len(ours) > 15
    for block, row in zip(theirs[:-1], ours, strict=False):  # the last one is not whole
        for channel in (0, 1):
            level = float(block[f"{channel + 1}.RMS_level"])
            power = row[Feature.POWER + channel]
            if power > 1e-12:
                assert 10 * np.log10(power) == pytest.approx(level, abs=LEVEL_DB)
            offset = float(block[f"{channel + 1}.DC_offset"])
            assert row[Feature.MEAN + channel] == pytest.approx(offset, abs=OFFSET)
        peak = max(float(block[f"{channel}.Peak_level"]) for channel in (1, 2))
        highest = np.nanmax(row[Feature.ENVELOPE : Feature.SLOPE])
        if highest > 1e-6:
            assert 20 * np.log10(highest) == pytest.approx(peak, abs=LEVEL_DB)


@pytest.mark.parametrize("name", [None, *CLIPS])
def test_phase_is_that_of_aphasemeter(name):
    path = clip(name)
    theirs, ours = printed(path, "aformat=flt:channel_layouts=stereo,aphasemeter=video=0"), features(path)
    assert len(theirs) == len(ours) > 15
    for block, row in zip(theirs[:-1], ours, strict=False):
        assert row[Feature.PHASE] == pytest.approx(float(block["aphasemeter.phase"]), abs=PHASE)

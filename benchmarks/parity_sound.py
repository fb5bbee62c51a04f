"""avjury's measures of sound beside those of FFmpeg's filters, on the same clips."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import ffmpeg_filters
from benchmarks.parity import Compared
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from kernels.sound_features import Feature, FeatureState, sound_features

CLIPS = (
    "known_answer/essentia_flamenco.flac",
    "known_answer/essentia_long_voice.flac",
    "real_av/fate_PVA_talk_544x576i25_mpeg2.pva",
    "real_av/mdn_rabbit320_240p30.mp4",
    "loudness/pyloudnorm_piano.flac",
)
LOUD = (*CLIPS, "loudness/ebu3341-7_3342-5.flac", "loudness/ebu3342-1.flac", "loudness/ebu3341-16_truepeak.flac")
SILENT = ("loudness/ebu3341-4.flac", "loudness/ebu3341-10-20.flac", "real_av/imageio_cockatoo_720p20_444_mp3.mp4")
BLOCK = 4800
# Levels below this are compared as no signal.
QUIETEST_POWER, QUIETEST_PEAK = 1e-12, 1e-6


def features(clip: Path) -> list[npt.NDArray[np.float64]]:
    """Rows of our features of each whole 100 ms of a clip's sound at 48 kHz."""
    command = [ffmpeg_filters.ffmpeg(), "-v", "error", "-i", str(clip), "-map", "0:a:0", "-af", "aresample=48000",
               "-f", "f32le", "-ac", "2", "-"]  # fmt: skip
    raw = subprocess.run(command, capture_output=True, timeout=120, check=True, stdin=subprocess.DEVNULL).stdout
    signal = np.frombuffer(raw, np.float32).reshape(-1, 2).T
    state, rows = FeatureState.allocate(1), []
    for begin in range(0, signal.shape[1] - BLOCK + 1, BLOCK):
        samples = np.zeros((1, 8, BLOCK), np.float32)
        samples[0, :2] = signal[:, begin : begin + BLOCK]
        counts = (torch.tensor([count]) for count in (2, BLOCK, 0))
        rows.append(sound_features(state, torch.from_numpy(samples), *counts)[0].numpy())
    return rows


def astats(folder: Path) -> Iterator[Compared]:
    """Level, peak and offset of each block."""
    level = peak = offset = 0.0
    values = 0
    for name in CLIPS:
        chain = "aformat=fltp:channel_layouts=stereo,astats=metadata=1:reset=1:measure_overall=none"
        theirs, ours = ffmpeg_filters.sound(folder / name, chain), features(folder / name)
        for block, row in zip(theirs, ours, strict=False):  # FFmpeg's last one need not be whole
            values += 1
            for channel in (0, 1):
                power = row[Feature.POWER + channel]
                if power > QUIETEST_POWER:
                    printed = float(block[f"astats.{channel + 1}.RMS_level"])
                    level = max(level, abs(10 * np.log10(power) - printed))
                printed = float(block[f"astats.{channel + 1}.DC_offset"])
                offset = max(offset, abs(row[Feature.MEAN + channel] - printed))
            highest = np.nanmax(row[Feature.ENVELOPE : Feature.SLOPE])
            if highest > QUIETEST_PEAK:
                printed = max(float(block[f"astats.{channel}.Peak_level"]) for channel in (1, 2))
                peak = max(peak, abs(20 * np.log10(highest) - printed))
    yield Compared("astats", "RMS_level", "level of a channel", "largest difference, dB", level, 0.001, values)
    yield Compared("astats", "Peak_level", "peak", "largest difference, dB", peak, 0.001, values)
    yield Compared("astats", "DC_offset", "offset of a channel", "largest difference", offset, 2e-6, values)


def aphasemeter(folder: Path) -> Iterator[Compared]:
    """The phase of each block."""
    worst, values = 0.0, 0
    for name in CLIPS:
        theirs = ffmpeg_filters.sound(folder / name, "aformat=flt:channel_layouts=stereo,aphasemeter=video=0")
        for block, row in zip(theirs, features(folder / name), strict=False):
            values += 1
            worst = max(worst, abs(row[Feature.PHASE] - float(block["aphasemeter.phase"])))
    yield Compared("aphasemeter", "phase", "phase", "largest difference", worst, 1e-4, values)


def ebur128(folder: Path) -> Iterator[Compared]:
    """Programme loudness, range and true peak; FFmpeg prints one decimal."""
    worst = {"I": 0.0, "LRA": 0.0, "Peak": 0.0}
    values = 0
    for name in LOUD:
        chain = "aresample=48000,ebur128=peak=true:framelog=quiet"
        _, log = ffmpeg_filters.run("-i", folder / name, "-map", "0:a:0", "-af", chain, "-f", "null", "-")
        summary = log[log.rfind("Summary:") :]
        [outcome] = check([StreamSpec("clip", str(folder / name), {"audio.loudness": {}, "audio.true_peak": {}})],
                          EngineSettings("cpu"))  # fmt: skip
        if outcome.summary is None or outcome.summary.loudness is None:
            raise outcome.error or RuntimeError(f"{name} has no sound")
        ours = outcome.summary.loudness
        values += 1
        for key, mine, unit in (("I", ours.integrated, "LUFS"), ("LRA", ours.range, "LU"),
                                ("Peak", ours.true_peak, "dBFS")):  # fmt: skip
            printed = re.findall(rf"{key}: +(\S+) {unit}", summary)
            if mine is not None and printed:
                worst[key] = max(worst[key], abs(mine - float(printed[-1])))
    for key, measured, unit, tolerance in (("I", "integrated", "LU", 0.1), ("LRA", "range", "LU", 0.2),
                                           ("Peak", "true_peak", "dB", 0.2)):  # fmt: skip
        yield Compared("ebur128", key, measured, f"largest difference, {unit}", worst[key], tolerance + 0.05, values)


def silencedetect(folder: Path) -> Iterator[Compared]:
    """Starts and ends of silence."""
    worst, values = 0.0, 0
    for name in SILENT:
        _, log = ffmpeg_filters.run("-i", folder / name, "-map", "0:a:0", "-af", "silencedetect", "-f", "null", "-")
        [outcome] = check([StreamSpec("clip", str(folder / name), {"audio.silence": {}})], EngineSettings("cpu"))
        last = outcome.summary.audio_seconds if outcome.summary else 0.0
        starts, ends = (re.findall(rf"silence_{which}: ?(-?[\d.]+)", log) for which in ("start", "end"))
        theirs = [(float(a), float(b)) for a, b in zip(starts, [*ends, last][: len(starts)], strict=True)]
        ours = [(incident.start, last if incident.end is None else incident.end) for incident in outcome.incidents]
        values += len(theirs)
        for mine, their in zip(ours, theirs, strict=True):
            worst = max(worst, *(abs(a - b) for a, b in zip(mine, their, strict=True)))
    yield Compared("silencedetect", "start, end", "audio.silence", "largest difference, s", worst, 0.02, values)


COMPARISONS = (astats, aphasemeter, ebur128, silencedetect)

"""Runs the ffmpeg program's detectors over a clip and reads what they say."""

import math
import re
import subprocess
from dataclasses import dataclass, field

from media import ffmpeg_exe

NUMBER = r"(-?[\d.]+(?:e-?\d+)?)"


@dataclass
class Intervals:
    """Starts with their ends; math.inf where the defect ran to the end of the stream."""

    freeze: list[tuple[float, float]] = field(default_factory=list)
    black: list[tuple[float, float]] = field(default_factory=list)
    silence: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Ebur128:
    """What ebur128 sums up, in LUFS, LU and dBTP."""

    integrated: float
    range: float
    true_peak: float


def run_filters(clip, *options):
    """ffmpeg's log of a clip run through filters into nothing."""
    command = [ffmpeg_exe(), "-hide_banner", "-nostats", "-i", str(clip), *options, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, timeout=280, check=False)
    return done.stderr.decode("utf-8", "replace")


def pairs(log, start, end):
    """(start, end) of each `start: x` ... `end: y` in a log, in order."""
    found = []
    for match in re.finditer(rf"(?:{start}: ?{NUMBER})|(?:{end}: ?{NUMBER})", log):
        if match[1] is not None:
            found.append((float(match[1]), math.inf))
        elif found:
            found[-1] = (found[-1][0], float(match[2]))
    return found


def video_intervals(clip):
    """freezedetect and blackdetect at their defaults over the clip's best video track; None if it has none."""
    log = run_filters(clip, "-map", "0:V:0", "-vf", "freezedetect,blackdetect")
    if "matches no streams" in log or "Output #0" not in log:
        return None
    black = [(float(a), float(b)) for a, b in re.findall(rf"black_start: ?{NUMBER} black_end: ?{NUMBER}", log)]
    return Intervals(freeze=pairs(log, "freeze_start", "freeze_end"), black=black)


def silences(clip):
    """silencedetect at its defaults over the clip's best audio track; None if it has none."""
    log = run_filters(clip, "-map", "0:a:0", "-af", "silencedetect")
    if "matches no streams" in log or "Output #0" not in log:
        return None
    return pairs(log, "silence_start", "silence_end")


def ebur128(clip):
    """ebur128's summary with true peak, of the sound at 48 kHz; None if the clip has no audio track.

    Left to itself ebur128 runs BS.1770's filter at the sound's own rate, which reads 0.25 LU more at 8 kHz; the
    standard gives the filter at 48 kHz.
    """
    log = run_filters(clip, "-map", "0:a:0", "-af", "aresample=48000,ebur128=peak=true:framelog=quiet")
    summary = log[log.rfind("Summary:") :]
    values = [re.search(pattern, summary) for pattern in (r"I: +(\S+) LUFS", r"LRA: +(\S+) LU", r"Peak: +(\S+) dBFS")]
    if "Summary:" not in log or not all(values):
        return None
    return Ebur128(*(float(value[1]) for value in values))

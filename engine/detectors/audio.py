"""What can be heard to be wrong in the sound."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import SHORTEST_SECONDS, duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# EBU R 128 s1 (short-form content) allows a maximum short-term level of -18 LUFS at a target of -23 LUFS; streaming
# services play at up to -14 LUFS integrated, whose loud passages reach some 5 LU more. Above -9 LUFS short-term
# nobody has meant it.
LOUDEST_SHORT_TERM_LUFS = -9.0
SHORT_TERM_SECONDS = 3.0  # its window
# EBU R 128's target. How far from it a programme may be is for a profile to say: nothing else is wrong everywhere.
TARGET_LUFS = -23.0
ANY_DISTANCE_LU = 70.0
# EBU R 128: the maximum permitted true peak level of a programme is -1 dBTP. Much of what is on the internet passes it
# (nine of the clean clips), and few hear it: a piece of information, not an alarm.
MAX_TRUE_PEAK_DBTP = -1.0
# Share of a block's samples that are at full scale beyond what an unclipped waveform puts there (kernels/audio_stats).
# A limiter's single touches are no clipping.
CLIPPED_SHARE = 0.02
# A coder lets the sound reach some milliseconds into a silence: two seconds of it end as 1.997 s behind MP3 and AC-3.
CODED_EDGES_SECONDS = 0.005


def _silence(p: Mapping[str, float]) -> Rule:
    lasts = max(p["duration"] - CODED_EDGES_SECONDS, SHORTEST_SECONDS / 2)
    return Rule(1.0, 1.0, below=False, set_seconds=lasts, clear_seconds=0.0)


def _loudness(p: Mapping[str, float]) -> Rule:
    return Rule(
        p["max_short_term"], p["max_short_term"] - 1.0, below=False, set_seconds=p["duration"], clear_seconds=1.0
    )


def _programme(p: Mapping[str, float]) -> Rule:
    return Rule(p["tolerance"], p["tolerance"], below=False, set_seconds=0.0, clear_seconds=0.0)


def _minute(p: Mapping[str, float]) -> Rule:
    return Rule(p["tolerance"], p["tolerance"], below=False, set_seconds=p["duration"], clear_seconds=0.0)


def _true_peak(p: Mapping[str, float]) -> Rule:
    return Rule(p["max_true_peak"], p["max_true_peak"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _clipping(p: Mapping[str, float]) -> Rule:
    return Rule(p["share"], p["share"], below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


SILENCE = Detector(
    name="audio.silence",
    track="audio",
    column="quiet",
    severity=Severity.CRITICAL,
    summary="No sample is above the noise level. Parameters and defaults of FFmpeg's silencedetect.",
    viewer="hears nothing, and looks for the remote control.",
    parameters=(
        Parameter("noise", 0.001, "level", 0.0, 1.0, "loudest sample (1.0 full scale) that is silence"),
        duration("duration", 2.0, "shortest silence that is an incident, less 5 ms for a coder", SHORTEST_SECONDS),
    ),
    make_rule=_silence,
    onset=OnsetRule.SAMPLES,
    samples=("quiet_lead", "quiet_tail"),
    closing_counts=True,
)

LOUDNESS = Detector(
    name="audio.loudness",
    track="audio",
    column="short_term",
    severity=Severity.WARNING,
    summary="Too loud over three seconds (EBU R 128 short-term, ITU-R BS.1770); too quiet is for audio.silence.",
    viewer="is startled, and turns the volume down, as at an advertisement that is too loud.",
    parameters=(
        Parameter("max_short_term", LOUDEST_SHORT_TERM_LUFS, "LUFS", -70.0, 20.0, "loudest short-term level"),
        duration("duration", 1.0, "how long it has to be too loud"),
    ),
    make_rule=_loudness,
    fills_seconds=SHORT_TERM_SECONDS,
)

_TARGET = Parameter("target", TARGET_LUFS, "LUFS", -70.0, 0.0, "EBU R 128: -23; ATSC A/85: -24")

PROGRAMME_LOUDNESS = Detector(
    name="audio.programme_loudness",
    track="audio",
    column="programme_error",
    severity=Severity.WARNING,
    summary="A programme that has ended was louder or quieter than its target (integrated, ITU-R BS.1770).",
    viewer="has to change the volume from one programme or channel to the next.",
    parameters=(
        _TARGET,
        Parameter("tolerance", ANY_DISTANCE_LU, "LU", 0.1, ANY_DISTANCE_LU, "largest distance; profiles narrow it"),
    ),
    make_rule=_programme,
)

MINUTE_LOUDNESS = Detector(
    name="audio.minute_loudness",
    track="audio",
    column="minute_error",
    severity=Severity.WARNING,
    summary="The last minute was louder or quieter than the target (gated as a programme, ITU-R BS.1770); for what has "
    "no end.",
    viewer="has to change the volume after changing to this channel.",
    parameters=(
        _TARGET,
        Parameter("tolerance", ANY_DISTANCE_LU, "LU", 0.1, ANY_DISTANCE_LU, "largest distance; profiles narrow it"),
        duration("duration", 60.0, "how long it has to last, the first such minute included"),
    ),
    make_rule=_minute,
    onset=OnsetRule.SAMPLES,
    samples=("minute_lead", "minute_tail"),
    dominated_by=("audio.loudness",),
)

TRUE_PEAK = Detector(
    name="audio.true_peak",
    track="audio",
    column="true_peak_db",
    severity=Severity.INFO,
    summary="The reconstructed waveform peaks above EBU R 128's limit (true peak by ITU-R BS.1770 annex 2).",
    viewer="hears distortion on peaks after a lossy codec or a cheap converter, though the samples look right.",
    parameters=(
        Parameter("max_true_peak", MAX_TRUE_PEAK_DBTP, "dBTP", -60.0, 20.0, "highest true peak"),
        duration("hold", 2.0, "peaks closer together than this are one incident"),
    ),
    make_rule=_true_peak,
)

CLIPPING = Detector(
    name="audio.clipping",
    track="audio",
    column="clipped",
    severity=Severity.WARNING,
    summary="Tops of the waveform are cut off: runs of samples stick at full scale, or flat at any level.",
    viewer="hears harsh, crackling distortion in loud passages.",
    parameters=(
        Parameter("share", CLIPPED_SHARE, "ratio", 0.0001, 1.0, "share of clipped samples in a 100 ms block"),
        duration("duration", 0.1, "how long it has to clip"),
        duration("hold", 5.0, "clipping closer together than this is one incident"),
    ),
    make_rule=_clipping,
)

DETECTORS = (SILENCE, LOUDNESS, PROGRAMME_LOUDNESS, MINUTE_LOUDNESS, TRUE_PEAK, CLIPPING)

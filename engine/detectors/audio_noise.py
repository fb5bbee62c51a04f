"""What is in the sound that should not be: tones, hum, hiss, offset; docs/decisions/0005-sound-thresholds.md."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# No 100 ms of the clean clips pass 0.99; a 1 kHz tone through 16 bit, AAC or MP3 stays above 0.999.
TONE_PURITY = 0.99
# Clean clips stay below -100 dBFS but for two: real hum of 50 and 60 Hz at -57 and -62 dBFS.
HUM_DBFS = -55.0
# The noisiest clean clips keep -51 and -55 dBFS for three seconds.
HISS_DBFS = -48.0
# Wind into a microphone holds an offset of 0.011 for 3.5 seconds, and of 0.008 for five; nothing else in the clean
# clips has 0.002 for as long. What is 1 % off is a little less in some of its blocks, and after a coder.
DC_OFFSET = 0.009


def _tone(p: Mapping[str, float]) -> Rule:
    return Rule(p["purity"], p["purity"], below=False, set_seconds=p["duration"], clear_seconds=0.3)


def _level(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], p["threshold"] - 3.0, below=False, set_seconds=p["duration"], clear_seconds=1.0)


def _dc(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], 0.8 * p["threshold"], below=False, set_seconds=p["duration"], clear_seconds=0.5)


TONE = Detector(
    name="audio.tone",
    track="audio",
    column="tone",
    severity=Severity.WARNING,
    summary="A single steady tone and nothing else: a line-up tone that was left on, channel breaks included.",
    viewer="hears a test tone instead of the programme.",
    parameters=(
        Parameter("purity", TONE_PURITY, "ratio", 0.5, 1.0, "share of the sound that is one sine"),
        duration("duration", 5.0, "how long it has to last"),
    ),
    make_rule=_tone,
    onset=OnsetRule.SAMPLES,
    samples=("tone_lead", "tone_tail"),
)

HUM = Detector(
    name="audio.hum",
    track="audio",
    column="hum",
    severity=Severity.WARNING,
    summary="A steady 50 or 60 Hz with its harmonics, within 1 Hz: mains hum.",
    viewer="hears a low hum under everything, clearest in pauses.",
    parameters=(
        Parameter("threshold", HUM_DBFS, "dB", -120.0, 0.0, "level of a sine of the same power, dB below full scale"),
        duration("duration", 3.0, "how long it has to last"),
    ),
    make_rule=_level,
    onset=OnsetRule.SAMPLES,
    samples=("hum_lead", "hum_tail"),
    dominated_by=("audio.tone",),
)

NOISE = Detector(
    name="audio.noise",
    track="audio",
    column="hiss",
    severity=Severity.WARNING,
    summary="Broadband noise that never stops: even the quietest 10 ms of three seconds hold it, also when coded.",
    viewer="hears hiss under everything, clearest in pauses.",
    parameters=(
        Parameter("threshold", HISS_DBFS, "dB", -120.0, 0.0, "level of as much white noise, dB below full scale"),
        duration("duration", 3.0, "how long it has to last"),
    ),
    make_rule=_level,
    onset=OnsetRule.SAMPLES,
    samples=("hiss_lead", "hiss_tail"),
    dominated_by=("audio.tone", "audio.clipping"),
)

DC = Detector(
    name="audio.dc",
    track="audio",
    column="offset",
    severity=Severity.WARNING,
    summary="The waveform does not swing around zero.",
    viewer="hears clicks at cuts and has less headroom; speakers get warm for nothing.",
    parameters=(
        Parameter("threshold", DC_OFFSET, "level", 0.0001, 1.0, "steady offset (1.0 full scale)"),
        duration("duration", 5.0, "how long it has to last"),
    ),
    make_rule=_dc,
    onset=OnsetRule.SAMPLES,
    samples=("offset_lead", "offset_tail"),
)

DETECTORS = (TONE, HUM, NOISE, DC)

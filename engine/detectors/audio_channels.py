"""What is wrong with channels of sound against each other; docs/decisions/0005-sound-thresholds.md.

While the louder channel is below -60 dBFS their measures have no value, so silence is never told as one of these; after
2 s of it, what was before does not go on.
That left and right have changed places is not judged: nothing in the sound says which of them is which. LFE has a mark
of its own, so that a wrong order of surround channels shows (docs/decisions/0025-wrong-order-of-channels.md).
"""

import math
from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import LONGEST_SECONDS, SHORTEST_SECONDS, duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# FFmpeg's aphasemeter has 170 degrees and no weights. By power, over 2 s, the most opposed clean clip (a piano before
# two distant microphones) lies at 121.
PHASE_ANGLE = 130.0
# aphasemeter's default is 0, which no lossy codec leaves of two equal channels: two of five blocks differ by less.
MONO_TOLERANCE = 1e-5
# Clean clips stay below 6.6 dB over 2 s; single blocks have up to 11.8.
IMBALANCE_DB = 10.0
# Surround channels rest for long in films; a channel that has been used for 10 s and then has nothing, not even noise,
# for a minute may still be one of those.
SURROUND_SECONDS = 60.0


# The same as of the first two, for as long as a channel has to be lost: effects are on one side for a while.
SURROUND_IMBALANCE_DB = 12.0
# Levels of late follow a tenth a block: what is 20 dB down is 12 dB down after 2.8 s, and before it was as loud.
AROUND_SECONDS = 3.0
# The measure needs five seconds of sound before it says anything.
SWAPPED_SECONDS = 10.0


def _phase(p: Mapping[str, float]) -> Rule:
    limit = math.cos(math.radians(p["angle"]))
    return Rule(limit, limit + 0.1, below=True, set_seconds=p["duration"], clear_seconds=0.5)


def _mono(p: Mapping[str, float]) -> Rule:
    limit = 1.0 - p["tolerance"]
    return Rule(limit, limit, below=False, set_seconds=p["duration"], clear_seconds=0.0)


def _imbalance(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], p["threshold"] - 2.0, below=False, set_seconds=p["duration"], clear_seconds=0.5)


def _swapped(p: Mapping[str, float]) -> Rule:
    # The measure is itself for how long.
    return Rule(p["duration"], SHORTEST_SECONDS, below=False, set_seconds=0.0, clear_seconds=0.0)


def _lost(p: Mapping[str, float]) -> Rule:
    return Rule(1.0, 1.0, below=False, set_seconds=p["duration"], clear_seconds=0.0)


CHANNEL_LOST = Detector(
    name="audio.channel_lost",
    track="audio",
    column="channel_lost",
    severity=Severity.CRITICAL,
    summary="One of the first two channels is below -80 dBFS while the other sounds.",
    viewer="hears one side only; whoever listens with one ear or speaker may hear nothing.",
    parameters=(duration("duration", 2.0, "how long it has to be silent; silencedetect's default"),),
    make_rule=_lost,
)

SURROUND_LOST = Detector(
    name="audio.surround_lost",
    track="audio",
    column="surround_lost",
    severity=Severity.WARNING,
    summary="A channel beyond the first two, not LFE, is below -80 dBFS after it has sounded, while another sounds.",
    viewer="misses dialogue (centre) or surroundings; a stereo downmix loses it too.",
    parameters=(duration("duration", SURROUND_SECONDS, "how long it has to be silent"),),
    make_rule=_lost,
)

SURROUND_IMBALANCE = Detector(
    name="audio.surround_imbalance",
    track="audio",
    column="surround_imbalance",
    severity=Severity.WARNING,
    summary="One of two surround channels that belong together is much louder than the other all the time.",
    viewer="hears surround sound that leans to one side.",
    parameters=(
        Parameter("threshold", SURROUND_IMBALANCE_DB, "dB", 0.1, 120.0, "difference of their levels"),
        duration("duration", SURROUND_SECONDS, "how long it has to last"),
    ),
    make_rule=_imbalance,
    fills_seconds=AROUND_SECONDS,
    # Not by audio.surround_lost: of a channel without sound the measure says nothing, and a master that begins to hold
    # in every pause would begin this one's minute anew.
    dominated_by=("audio.channel_swap",),
)

CHANNEL_SWAP = Detector(
    name="audio.channel_swap",
    track="audio",
    column="swapped_seconds",
    severity=Severity.CRITICAL,
    summary="Surround channels are in another order: LFE carries high notes, and another channel low ones alone.",
    viewer="hears dialogue or effects from the wrong speaker, or a subwoofer that speaks.",
    parameters=(Parameter("duration", SWAPPED_SECONDS, "s", 10.0, LONGEST_SECONDS, "how long it has to last"),),
    make_rule=_swapped,
    onset=OnsetRule.BACKDATED,
)

PHASE = Detector(
    name="audio.phase",
    track="audio",
    column="polarity",
    severity=Severity.WARNING,
    summary="The first two channels are in opposite phase: mixed to mono they cancel. aphasemeter's measure, by power, "
    "over 2 s, of all frequencies or the low ones.",
    viewer="hears hollow sound in stereo, and on a phone or any mono speaker next to nothing.",
    parameters=(
        Parameter("angle", PHASE_ANGLE, "", 90.0, 180.0, "degrees between the channels from which on it is one"),
        duration("duration", 2.0, "how long it has to last; aphasemeter's default"),
    ),
    make_rule=_phase,
    onset=OnsetRule.SAMPLES,
    samples=("polarity_lead", "polarity_tail"),
)

MONO = Detector(
    name="audio.mono",
    track="audio",
    column="mono",
    severity=Severity.INFO,
    summary="The first two channels of a track carry the same over 2 s, by two of five blocks, as coders change the "
    "others. aphasemeter's measure, weighted by power.",
    viewer="hears a narrow centre where stereo was promised; right for speech that was recorded so.",
    parameters=(
        Parameter("tolerance", MONO_TOLERANCE, "", 0.0, 1.0, "distance from a correlation of 1 that is still mono"),
        duration("duration", 10.0, "how long it has to last; a voice in the middle is mono for some seconds"),
    ),
    make_rule=_mono,
    onset=OnsetRule.SAMPLES,
    samples=("mono_lead", "mono_tail"),
    dominated_by=("audio.tone",),
)

IMBALANCE = Detector(
    name="audio.imbalance",
    track="audio",
    column="imbalance",
    severity=Severity.WARNING,
    summary="One of the first two channels is much louder than the other over 2 s, and most of the time.",
    viewer="hears the programme lean to one side.",
    parameters=(
        Parameter("threshold", IMBALANCE_DB, "dB", 0.1, 120.0, "difference of their levels"),
        duration("duration", 3.0, "how long it has to last"),
    ),
    make_rule=_imbalance,
    onset=OnsetRule.SAMPLES,
    samples=("imbalance_lead", "imbalance_tail"),
    dominated_by=("audio.channel_lost",),
)

DETECTORS = (CHANNEL_LOST, SURROUND_LOST, SURROUND_IMBALANCE, CHANNEL_SWAP, PHASE, MONO, IMBALANCE)

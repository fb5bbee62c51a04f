"""What happens to the sound at once: clicks, gaps, pieces that repeat, jumps of its level, lost high frequencies.

Thresholds: docs/decisions/0005-sound-thresholds.md.
"""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import LONGEST_SECONDS, SHORTEST_SECONDS, duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# Clean clips stay below 17, drawn voices below 28; 25 where sound is clipped, which is told as that.
CLICK_RATIO = 30.0
# The largest in the clean clips is 8 dB by this measure, between two advertisements; less is not looked for.
LEVEL_JUMP_DB = 9.0
SHORTEST_GAP = 0.01
LONGEST_GAP = 3.5
LEVEL_SECONDS = 4.0
# What `sound_repeats` takes for a repeat; of clean sound it takes none for longer than 1.3 s (decision 0132).
REPEATS = 0.95
STUTTER_SECONDS = 1.5
# Of 3.9 hours of music, speech and films one passage has nothing above 5 kHz for as long as 16 s, filtered on purpose.
BANDWIDTH_SECONDS = 20.0


def _click(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _dropout(p: Mapping[str, float]) -> Rule:
    return Rule(p["shortest"], p["shortest"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _stutter(p: Mapping[str, float]) -> Rule:
    return Rule(REPEATS, REPEATS, below=False, set_seconds=p["duration"], clear_seconds=0.3)


def _level_jump(p: Mapping[str, float]) -> Rule:
    # A jump is known after LEVEL_SECONDS, and for as long after it another onset can look like one.
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=0.0, clear_seconds=2 * LEVEL_SECONDS)


def _bandwidth(p: Mapping[str, float]) -> Rule:
    # The measure is itself for how long.
    return Rule(p["duration"], SHORTEST_SECONDS, below=False, set_seconds=0.0, clear_seconds=2.0)


CLICK = Detector(
    name="audio.click",
    track="audio",
    column="click",
    severity=Severity.WARNING,
    summary="A click: the third difference of a few samples stands out of what is before and after it, near and far.",
    viewer="hears a click or crackle.",
    parameters=(
        Parameter("threshold", CLICK_RATIO, "", 1.0, 1e6, "its peak over the rms around it"),
        duration("hold", 1.0, "clicks closer together than this are one incident"),
    ),
    make_rule=_click,
    onset=OnsetRule.PASSING,
    samples=("click_from", "click_to"),
    # Where a piece begins again there may be an edge, and a gap where it holds one.
    dominated_by=("audio.clipping", "audio.stutter"),
)

DROPOUT = Detector(
    name="audio.dropout",
    track="audio",
    column="dropout",
    severity=Severity.WARNING,
    summary="All channels fall by 26 dB or more at once, or to nothing at all, and come back at once; what lasts is "
    "audio.silence.",
    viewer="hears a gap: a syllable or a beat is missing.",
    parameters=(
        Parameter("shortest", SHORTEST_GAP, "s", 0.01, 3.5, "shortest gap that is an incident"),
        Parameter("longest", LONGEST_GAP, "s", 0.01, 3.5, "longest; less where audio.silence has a shorter duration"),
        duration("hold", 0.0, "gaps closer together than this are one incident"),
    ),
    make_rule=_dropout,
    onset=OnsetRule.PASSING,
    samples=("dropout_from", "dropout_to"),
    dominated_by=("audio.stutter",),
)

STUTTER = Detector(
    name="audio.stutter",
    track="audio",
    column="repeats",
    severity=Severity.CRITICAL,
    summary="The same piece of 20 to 500 ms again and again, as of a stuck buffer, or of a drum machine alone.",
    viewer="hears a stutter or a buzz instead of the programme.",
    parameters=(
        duration("duration", STUTTER_SECONDS, "how long it has to repeat itself; a single note 2.5 s at least"),
    ),
    make_rule=_stutter,
    onset=OnsetRule.SAMPLES,
    samples=("repeats_lead", "repeats_tail"),
    dominated_by=("audio.tone",),
    # Drums from a machine, with nothing beside them, repeat themselves as exactly (decision 0132).
    optional=True,
)

LEVEL_JUMP = Detector(
    name="audio.level_jump",
    track="audio",
    column="level_jump",
    severity=Severity.WARNING,
    summary="The level changes at once, and stays changed for four seconds.",
    viewer="is startled by the sound, or suddenly cannot follow it.",
    parameters=(Parameter("threshold", LEVEL_JUMP_DB, "dB", 6.0, 120.0, "change of level, up or down"),),
    make_rule=_level_jump,
    onset=OnsetRule.PASSING,
    samples=("jump_from", "jump_to"),
    fills_seconds=LEVEL_SECONDS,
    # Sound that is raised until it is cut off, or too loud, jumps where it is raised and where that ends; and a piece
    # that is stuck is louder or quieter than the programme was (decision 0140).
    dominated_by=("audio.tone", "audio.clipping", "audio.loudness", "audio.stutter"),
)

BANDWIDTH = Detector(
    name="audio.bandwidth",
    track="audio",
    column="narrow_seconds",
    severity=Severity.WARNING,
    summary="Nothing is above 5 kHz any longer in sound that had it: a telephone's band, or a resampling to 8 kHz.",
    viewer="hears dull, muffled sound, as through a telephone or a wall.",
    parameters=(
        Parameter("duration", BANDWIDTH_SECONDS, "s", 5.0, LONGEST_SECONDS, "how long it has to be gone, of sound"),
    ),
    make_rule=_bandwidth,
    onset=OnsetRule.BACKDATED,
    dominated_by=("audio.tone",),
    # A guest on the telephone and an old recording are as narrow, and meant (decision 0141).
    optional=True,
)

DETECTORS = (CLICK, DROPOUT, STUTTER, LEVEL_JUMP, BANDWIDTH)

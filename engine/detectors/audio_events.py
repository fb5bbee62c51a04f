"""What happens to the sound at once: clicks, gaps, jumps of its level; docs/decisions/0005-sound-thresholds.md."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# Clean clips stay below 17, drawn voices below 28; 25 where sound is clipped, which is told as that.
CLICK_RATIO = 30.0
# The largest in the clean clips is 8 dB by this measure, between two advertisements; less is not looked for.
LEVEL_JUMP_DB = 9.0
SHORTEST_GAP = 0.01
LONGEST_GAP = 3.5
LEVEL_SECONDS = 4.0


def _click(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _dropout(p: Mapping[str, float]) -> Rule:
    return Rule(p["shortest"], p["shortest"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _level_jump(p: Mapping[str, float]) -> Rule:
    # A jump is known after LEVEL_SECONDS, and for as long after it another onset can look like one.
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=0.0, clear_seconds=2 * LEVEL_SECONDS)


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
    dominated_by=("audio.clipping",),
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
    # Sound that is raised until it is cut off jumps where it is raised and where that ends.
    dominated_by=("audio.tone", "audio.clipping"),
)

DETECTORS = (CLICK, DROPOUT, LEVEL_JUMP)

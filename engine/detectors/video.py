"""What can be seen to be wrong in the pictures."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# Thresholds that FFmpeg does not give: it measures blocks and blur, and leaves the judgement to its user. From real
# clips, clean and spoilt: docs/decisions/0002-blockiness-threshold.md and 0024-steep-edges.md.
BLOCKINESS_THRESHOLD = 0.05
BLUR_THRESHOLD = 3.5
# A hundredth of a second is below any frame duration; a freeze or black of no duration is every picture.
SHORTEST_SECONDS = 0.01
LONGEST_SECONDS = 86_400.0


def duration(name: str, default: float, what: str, minimum: float = 0.0) -> Parameter:
    """A duration in media seconds."""
    return Parameter(name, default, "s", minimum, LONGEST_SECONDS, what)


def _freeze(p: Mapping[str, float]) -> Rule:
    return Rule(p["noise"], p["noise"], below=True, set_seconds=p["duration"], clear_seconds=0.0)


def _black(p: Mapping[str, float]) -> Rule:
    th = p["picture_black_ratio_th"]
    return Rule(th, th, below=False, set_seconds=p["black_min_duration"], clear_seconds=0.0)


def lasting(p: Mapping[str, float]) -> Rule:
    """Above `threshold` for `duration`; closes when it was below nine tenths of it for as long.

    Sources name no hysteresis; a tenth keeps a value that wavers at its threshold from making an incident a second.
    """
    threshold = p["threshold"]
    return Rule(threshold, 0.9 * threshold, below=False, set_seconds=p["duration"], clear_seconds=p["duration"])


def _blocky(p: Mapping[str, float]) -> Rule:
    # Blocks come and go with key frames: what has opened stays open until there are clearly fewer.
    threshold = p["threshold"]
    return Rule(threshold, 0.6 * threshold, below=False, set_seconds=p["duration"], clear_seconds=p["duration"])


BLACK = Detector(
    name="video.black",
    track="video",
    column="black_ratio",
    severity=Severity.CRITICAL,
    summary="The picture is black. Parameters and defaults of FFmpeg's blackdetect.",
    viewer="sees nothing and takes the channel for dead.",
    parameters=(
        duration("black_min_duration", 2.0, "shortest black that is an incident", SHORTEST_SECONDS),
        Parameter(
            "picture_black_ratio_th", 0.98, "ratio", 0.0, 1.0, "share of black pixels that makes a picture black"
        ),
        Parameter("pixel_black_th", 0.10, "ratio", 0.0, 1.0, "luma at or below this share of the range is black"),
    ),
    make_rule=_black,
    closing_counts=True,
)

FREEZE = Detector(
    name="video.freeze",
    track="video",
    column="mafd",
    severity=Severity.CRITICAL,
    summary="The picture does not change. Parameters and defaults of FFmpeg's freezedetect; not while it is black.",
    viewer="sees a still picture while the sound goes on, and takes the player for stuck.",
    parameters=(
        Parameter("noise", 0.001, "level", 0.0, 1.0, "largest mean difference (1.0 full scale) that is no change"),
        duration("duration", 2.0, "shortest freeze that is an incident", SHORTEST_SECONDS),
    ),
    make_rule=_freeze,
    onset=OnsetRule.SINCE_PREVIOUS,
    closing_counts=True,
    dominated_by=("video.black", "video.uniform", "video.bars", "video.slate"),
)

BLOCKINESS = Detector(
    name="video.blockiness",
    track="video",
    column="blocks",
    severity=Severity.WARNING,
    summary="Edges of blocks stand out of smooth surroundings, on a grid in both directions; decision 0002.",
    viewer="sees squares where there should be shades and texture: too few bits, worst in motion and on large screens.",
    parameters=(
        Parameter("threshold", BLOCKINESS_THRESHOLD, "ratio", 0.001, 0.5, "share of the grid's edges that stand out"),
        duration("duration", 2.0, "how long it has to be blocky"),
    ),
    make_rule=_blocky,
    onset=OnsetRule.EARLIER,
    since="blocks_since",
    closing_counts=True,
    # A test pattern's bars and fields lie on a grid by design.
    # What is blurred has nothing that hides a coder's blocks, however few they are.
    dominated_by=("video.bars", "video.uniform", "video.slate", "video.corruption", "video.blur"),
)

BLUR = Detector(
    name="video.blur",
    track="video",
    column="blur",
    severity=Severity.WARNING,
    summary="Even the steepest edges are wide, more so than this stream's usually are; decision 0024.",
    viewer="sees a soft picture without detail, as out of focus or scaled up.",
    parameters=(
        Parameter(
            "threshold",
            BLUR_THRESHOLD,
            "",
            1.0,
            8.0,
            "samples over which the steepest tenth of the edges rises, at 480 lines",
        ),
        duration("duration", 2.0, "how long it has to be blurred"),
    ),
    make_rule=lasting,
    closing_counts=True,
    dominated_by=("video.black", "video.uniform", "video.bars", "video.slate"),
)

DETECTORS = (BLACK, FREEZE, BLOCKINESS, BLUR)

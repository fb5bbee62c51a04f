"""What transmission and capture break in pictures. Measures: engine/measure; numbers: decisions 0019 and 0048."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# Share of the picture from which planted damage counts as visible.
CORRUPT_SHARE = 0.01
# The logarithm of how much likelier the last pictures are with a tear at a row than without: decision 0048.
TEARING_EVIDENCE = 20.0
# Of the rows that have detail: clean clips have none that are displaced, those that jitter a quarter and more. Effects
# are shorter than half a second. Decision 0138.
JITTER_SHARE = 0.1
JITTER_SECONDS = 0.5


def _held(p: Mapping[str, float]) -> Rule:
    return Rule(p["share"], p["share"], below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


def _jitters(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


def _torn(p: Mapping[str, float]) -> Rule:
    enough = p["evidence"]
    return Rule(enough, 0.5 * enough, below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


CORRUPTION = Detector(
    name="video.corruption",
    track="video",
    column="corruption",
    severity=Severity.CRITICAL,
    summary="Blocks are damaged or badly concealed, the decoder says so, or a picture no scene shows; 0019 and 0122.",
    viewer="sees torn, smeared or coloured blocks, a negative, wrong colours, or a picture that rolls.",
    parameters=(
        Parameter("share", CORRUPT_SHARE, "ratio", 0.0, 1.0, "smallest share of the picture that is damaged"),
        duration("duration", 0.0, "how long it has to be damaged"),
        duration("hold", 1.0, "damage closer together than this is one incident"),
        Parameter("network_looks", 1.0, "", 0.0, 60.0, "times engine.network.pictures_per_second, for this stream"),
        Parameter("source_height", 0.0, "count", 0.0, 8640.0, "lines of its pictures before a scaler; 0: as they are"),
        Parameter("source_width", 0.0, "count", 0.0, 15360.0, "samples of a line then; 0: what keeps the shape"),
        Parameter("network_judges", 0.0, "", 0.0, 1.0, "1: what it says counts, as engine.network.judges has it"),
    ),
    make_rule=_held,
    onset=OnsetRule.EARLIER,
    since="broken_since",
    dominated_by=("video.black", "video.uniform", "video.bars", "video.slate"),
)

TEARING = Detector(
    name="video.tearing",
    track="video",
    column="tearing",
    severity=Severity.WARNING,
    summary="Pictures show two moments, one above and one below a row, as unsynchronised capture gives them.",
    viewer="sees a horizontal break that moves through the picture.",
    parameters=(
        Parameter("evidence", TEARING_EVIDENCE, "", 1.0, 30.0, "for a tear at one row, of the last pictures"),
        duration("duration", 0.0, "how long it has to go on"),
        duration("hold", 1.0, "tearing closer together than this is one incident"),
    ),
    make_rule=_torn,
    onset=OnsetRule.EARLIER,
    since="tearing_since",
    # Pictures woven of two fields are torn at every other row, and coarse ones at the edges of their steps.
    dominated_by=(
        "video.corruption",
        "video.combing",
        "video.line_jitter",
        "video.uniform",
        "video.bars",
        "video.slate",
        "video.blockiness",
        "video.banding",
    ),
)

LINE_JITTER = Detector(
    name="video.line_jitter",
    track="video",
    column="line_jitter",
    severity=Severity.WARNING,
    summary="Rows are shifted sideways, each by itself, as of a bad time base or a lost horizontal lock; 0138.",
    viewer="sees edges that tear into a fringe and shiver, as of a worn tape.",
    parameters=(
        Parameter("threshold", JITTER_SHARE, "ratio", 0.0, 1.0, "smallest share of the rows that is displaced"),
        duration("duration", JITTER_SECONDS, "how long rows have to jitter"),
        duration("hold", 1.0, "jitter closer together than this is one incident"),
    ),
    make_rule=_jitters,
    onset=OnsetRule.EARLIER,
    since="line_jitter_since",
    dominated_by=("video.black", "video.uniform", "video.bars", "video.slate"),
)

DETECTORS = (CORRUPTION, LINE_JITTER, TEARING)

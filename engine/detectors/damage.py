"""What transmission and capture break in pictures. Measures: engine/measure/damage.py; numbers: decision 0019."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration
from engine.verdicts import Severity

# Share of the picture from which planted damage counts as visible.
CORRUPT_SHARE = 0.01
# Most of the pictures of about half a second, or several of them at the same row.
TEARING_SHARE = 0.6


def _held(p: Mapping[str, float]) -> Rule:
    return Rule(p["share"], p["share"], below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


def _torn(p: Mapping[str, float]) -> Rule:
    share = p["share"]
    return Rule(share, 0.8 * share, below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


CORRUPTION = Detector(
    name="video.corruption",
    track="video",
    column="corruption",
    severity=Severity.CRITICAL,
    summary="Blocks of the picture are damaged or badly concealed, or the decoder says so; decision 0019.",
    viewer="sees torn, smeared or coloured blocks, often until the next key frame.",
    parameters=(
        Parameter("share", CORRUPT_SHARE, "ratio", 0.0, 1.0, "smallest share of the picture that is damaged"),
        duration("duration", 0.0, "how long it has to be damaged"),
        duration("hold", 1.0, "damage closer together than this is one incident"),
    ),
    make_rule=_held,
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
        Parameter("share", TEARING_SHARE, "ratio", 0.01, 1.0, "share of torn pictures over about half a second"),
        duration("duration", 0.0, "how long it has to go on"),
        duration("hold", 1.0, "tearing closer together than this is one incident"),
    ),
    make_rule=_torn,
    # Pictures woven of two fields are torn at every other row.
    dominated_by=("video.corruption", "video.combing", "video.uniform", "video.bars", "video.slate"),
)

DETECTORS = (CORRUPTION, TEARING)

"""Slates that users registered. Measure: engine/slates.py."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration
from engine.verdicts import Severity

# Mean difference of the tiles, in 8-bit codes. Coding, scaling and another colour matrix leave 2 or less; pictures of
# one scene, a second apart, differ by more.
SLATE_DISTANCE = 4.0


def _near(p: Mapping[str, float]) -> Rule:
    distance = p["distance"]
    return Rule(distance, 1.25 * distance, below=True, set_seconds=p["duration"], clear_seconds=0.0)


SLATE = Detector(
    name="video.slate",
    track="video",
    column="slate_distance",
    severity=Severity.WARNING,
    summary="A picture that was registered as a slate (`slates` of the configuration) is shown.",
    viewer="sees a notice of the channel instead of the programme.",
    parameters=(
        Parameter("distance", SLATE_DISTANCE, "", 0.0, 64.0, "largest mean difference of its tiles, in 8-bit codes"),
        duration("duration", 2.0, "how long the slate has to be shown"),
    ),
    make_rule=_near,
    closing_counts=True,
)

DETECTORS = (SLATE,)

"""A detector that another package brings: pictures so dark that nobody sees much in them, without being black."""

from collections.abc import Mapping

from engine.detectors import Detector, Parameter, Rule
from engine.verdicts import Severity


def _dark(p: Mapping[str, float]) -> Rule:
    # Bad is at or below the threshold; it closes at a level that is clearly above, so that noise does not reopen it.
    return Rule(p["luma"], 1.2 * p["luma"], below=True, set_seconds=p["duration"], clear_seconds=1.0)


NIGHT = Detector(
    name="night.too_dark",
    track="video",
    column="luma_mean",  # any measure of docs/detectors.md; none is measured twice
    severity=Severity.WARNING,
    summary="The picture is so dark that nothing can be recognised, but it is not black.",
    viewer="recognises nothing, and turns up the brightness.",
    parameters=(
        Parameter("luma", 0.11, "ratio", 0.0, 1.0, "mean luma, of full scale, that is too dark"),
        Parameter("duration", 3.0, "s", 0.0, 86_400.0, "how long it has to be dark"),
    ),
    make_rule=_dark,
    dominated_by=("video.black",),  # black is told as black
)

DETECTORS = (NIGHT,)

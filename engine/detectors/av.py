"""Sound against picture, and a stream against its reference. Measures: engine/lip_sync.py."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration
from engine.verdicts import Severity

# ITU-R BT.1359-1: what viewers detect.
LATE_SECONDS = 0.125
EARLY_SECONDS = 0.045


def _out_of_sync(p: Mapping[str, float]) -> Rule:
    # An offset at its limit, which the measure puts at 1, is within it.
    return Rule(1.0 + 1e-9, 1.0 + 1e-9, below=False, set_seconds=p["duration"], clear_seconds=0.0)


SYNC = Detector(
    name="av.sync",
    track="stream",
    column="sync_error",
    severity=Severity.CRITICAL,
    summary="Sound is early or late, by a test pattern of flashes and beeps or by comparing with a reference stream.",
    viewer="sees lips that do not fit the words; sound that is early disturbs more than sound that is late.",
    parameters=(
        Parameter("late", LATE_SECONDS, "s", 0.001, 1.0, "by which sound may be late (ITU-R BT.1359)"),
        Parameter("early", EARLY_SECONDS, "s", 0.001, 1.0, "by which sound may be early"),
        duration("duration", 0.0, "how long it has to be out of sync"),
    ),
    make_rule=_out_of_sync,
)


def _another_programme(p: Mapping[str, float]) -> Rule:
    return Rule(0.5, 0.5, below=False, set_seconds=p["duration"], clear_seconds=0.0)


REFERENCE_MISMATCH = Detector(
    name="av.reference_mismatch",
    track="stream",
    column="reference_mismatch",
    severity=Severity.CRITICAL,
    summary="Pictures and sound are not those of the stream's reference.",
    viewer="sees another programme than the one that is meant to be on.",
    parameters=(duration("duration", 10.0, "how long it has to be another programme"),),
    make_rule=_another_programme,
)

DETECTORS = (SYNC, REFERENCE_MISMATCH)

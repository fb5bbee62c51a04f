"""Sound against picture, and a stream against its reference. Measures: engine/lip_sync.py, engine/sync_tolerance.py."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration
from engine.verdicts import Severity

# ITU-R BT.1359-1: what viewers detect; and what they no longer accept.
LATE_SECONDS = 0.125
EARLY_SECONDS = 0.045
ACCEPTED_LATE_SECONDS = 0.185
ACCEPTED_EARLY_SECONDS = 0.090
# In 30 s the audio network listens three or four times: one of these is enough.
SPEECH_SHARE = 0.25


def _out_of_sync(p: Mapping[str, float]) -> Rule:
    # An offset at its limit, which the measure puts at 1, is within it.
    return Rule(1.0 + 1e-9, 1.0 + 1e-9, below=False, set_seconds=p["duration"], clear_seconds=0.0)


SYNC = Detector(
    name="av.sync",
    track="stream",
    column="sync_error",
    severity=Severity.CRITICAL,
    summary="Sound is early or late, by a test pattern of flashes and beeps or by comparing with a reference stream; "
    "where nobody speaks it may be more.",
    viewer="sees lips that do not fit the words; sound that is early disturbs more than sound that is late.",
    parameters=(
        Parameter("late", LATE_SECONDS, "s", 0.001, 1.0, "by which sound may be late (ITU-R BT.1359)"),
        Parameter("early", EARLY_SECONDS, "s", 0.001, 1.0, "by which sound may be early"),
        Parameter(
            "speech",
            SPEECH_SHARE,
            "ratio",
            0.0,
            1.0,
            "share of speech from which on these apply, where the audio network listens; 0: always",
        ),
        Parameter(
            "late_without_speech",
            ACCEPTED_LATE_SECONDS,
            "s",
            0.001,
            1.0,
            "by which sound may be late below that share, if that is more than late",
        ),
        Parameter(
            "early_without_speech",
            ACCEPTED_EARLY_SECONDS,
            "s",
            0.001,
            1.0,
            "by which sound may be early below that share, if that is more than early",
        ),
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

"""What goes wrong before there is a picture or a sound to judge."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import LONGEST_SECONDS, SHORTEST_SECONDS, duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# Viewers and operators call a lost track an outage after some seconds; a reconnect or an ad break is over by then.
MISSING_SECONDS = 5.0


def _decode_errors(p: Mapping[str, float]) -> Rule:
    return Rule(p["errors"], p["errors"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _missing(p: Mapping[str, float]) -> Rule:
    # The measure is itself the time for which the track has been missing, so nothing is left to wait for; the track is
    # back when the measure is, so any value above nothing keeps it open.
    return Rule(p["duration"], SHORTEST_SECONDS, below=False, set_seconds=0.0, clear_seconds=0.0)


DECODE_ERRORS = Detector(
    name="stream.decode_errors",
    track="stream",
    column="decode_errors",
    severity=Severity.CRITICAL,
    summary="Packets or pictures arrive damaged, so viewers see or hear the damage or its concealment.",
    parameters=(
        Parameter("errors", 1.0, "count", 1.0, 1e9, "damaged packets and pictures in one second"),
        duration("hold", 2.0, "errors closer together than this are one incident"),
    ),
    make_rule=_decode_errors,
)


def _missing_track(track: str, what: str) -> Detector:
    return Detector(
        name=f"stream.missing_{track}",
        track="stream",
        column=f"{track}_missing_seconds",
        severity=Severity.CRITICAL,
        summary=f"The stream goes on without {what}, or never had one.",
        parameters=(
            Parameter("duration", MISSING_SECONDS, "s", 1.0, LONGEST_SECONDS, "how long it has to be missing"),
        ),
        make_rule=_missing,
        onset=OnsetRule.BACKDATED,
    )


MISSING_VIDEO = _missing_track("video", "a picture")
MISSING_AUDIO = _missing_track("audio", "a sound")

DETECTORS = (DECODE_ERRORS, MISSING_VIDEO, MISSING_AUDIO)

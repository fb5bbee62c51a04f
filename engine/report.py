"""One self-contained HTML page of what was found, to be sent to whoever has to repair it; or the same as JSON."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.detectors import Detector, all_detectors
from engine.evidence.series import Points, thinned
from engine.outcome import Outcome
from engine.output import incident_record, summary_record

# More points than a screen has columns show nothing more, and an hour of every detector's would be 100 MB.
MOST_POINTS: Final = 1200
# Of an incident's own plot, and how much time it shows besides the incident.
INCIDENT_POINTS: Final = 240
AROUND_SECONDS: Final = 5.0


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the page; or what is on it as JSON, where the file is called so.

    Args:
        path: of the file, overwritten.
        outcomes: of engines that ran with `trace` and `thumbnails`.
    Raises: OSError if the file cannot be written.
    """
    if path.suffix == ".json":
        path.write_text(json.dumps([report_data(outcome) for outcome in outcomes]), encoding="utf-8")
        return
    from engine.report_page import page

    path.write_text(page(outcomes), encoding="utf-8")


def report_data(outcome: Outcome) -> dict[str, Any]:
    """What the page says of an input, for programs: the same numbers, rounded as there."""
    return {
        "stream": outcome.stream,
        "verdict": overall(outcome),
        "error": None if outcome.error is None else outcome.error.line(),
        "input": described(outcome),
        "summary": None if outcome.summary is None else summary_record(outcome.summary),
        "verdicts": [asdict(verdict) for verdict in verdicts(outcome)],
        "incidents": [
            {
                **incident_record(incident),
                "thumbnail": _encoded(outcome.thumbnails.get(incident.id)),
                "overlay": _encoded(outcome.overlays.get(incident.id)),
            }
            for incident in outcome.incidents
        ],
        "timelines": [
            {"detector": declared.name, "measure": declared.column, "threshold": outcome.thresholds[declared.name],
             "seconds": line.times.round(3).tolist(), "values": _rounded(line)}
            for declared, line in lines(outcome)
        ],
    }  # fmt: skip


def overall(outcome: Outcome) -> str:
    """ "failed" with a critical incident, "warned" with a lesser one, "passed" with none; "not judged" without pictures
    or sound."""
    if outcome.summary is None:
        return "not judged"
    worst = {str(incident.severity) for incident in outcome.incidents}
    return "failed" if "critical" in worst else "warned" if "warning" in worst else "passed"


def described(outcome: Outcome) -> dict[str, str]:
    """What the container says of the input."""
    info = outcome.info
    if info is None:
        return {}
    told = {"container": info.container}
    if info.video is not None:
        video = info.video
        rate = f", {video.frame_rate:.4g} fps" if video.frame_rate else ""
        profile = f" {video.profile}" if video.profile else ""
        scan = ", interlaced" if video.interlaced else ""
        told["pictures"] = f"{video.codec}{profile} {video.width}x{video.height} {video.pixel_format}{rate}{scan}"
    if info.audio is not None:
        told["sound"] = f"{info.audio.codec} {info.audio.sample_rate} Hz {info.audio.layout}"
    return told


def _encoded(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else base64.b64encode(jpeg).decode()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of an input.

    Args:
        detector: its name.
        severity: of its incidents.
        threshold: the value of its measure from which it is bad.
        incidents: how many.
        seconds: that they lasted, in all.
        verdict: "passed", "failed", or "not measured" where nothing of its measure was there.
    """

    detector: str
    severity: str
    threshold: float
    incidents: int
    seconds: float
    verdict: str


def verdicts(outcome: Outcome) -> list[Verdict]:
    """One of each enabled detector, those with incidents first."""
    measured = {declared.name for declared, _ in known(outcome)}
    found = []
    for declared in all_detectors():
        if declared.name not in outcome.thresholds:
            continue
        mine = [incident for incident in outcome.incidents if incident.detector == declared.name]
        seconds = sum(incident.duration or 0.0 for incident in mine)
        verdict = "failed" if mine else "passed" if declared.name in measured else "not measured"
        found.append(
            Verdict(declared.name, str(declared.severity), outcome.thresholds[declared.name], len(mine),
                    round(seconds, 3), verdict)
        )  # fmt: skip
    return sorted(found, key=lambda one: not one.incidents)


def known(outcome: Outcome) -> list[tuple[Detector, Points]]:
    """The measure of each enabled detector, where there are values of it, those with incidents first.

    A reader of dozens of flat lines would not find them.
    """
    told = {incident.detector for incident in outcome.incidents}
    found = []
    for declared in sorted(all_detectors(), key=lambda one: one.name not in told):
        trace = outcome.trace.get(declared.track)
        if declared.name not in outcome.thresholds or trace is None or declared.column not in trace.columns:
            continue
        values = trace.values[:, trace.columns.index(declared.column)]
        there = np.isfinite(values)
        if there.any():
            found.append((declared, Points(trace.times[there], values[there])))
    return found


def lines(outcome: Outcome) -> list[tuple[Detector, Points]]:
    """The same, with no more points than are shown."""
    return [(declared, thinned(line, MOST_POINTS)) for declared, line in known(outcome)]


def _rounded(line: Points) -> list[float]:
    return [float(f"{value:.4g}") for value in line.values.tolist()]

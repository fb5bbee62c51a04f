"""One self-contained HTML page of what was found, to be sent to whoever has to repair it; or the same as JSON."""

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.detectors import Detector, all_detectors
from engine.evidence.series import Points, thinned
from engine.outcome import Outcome
from engine.output import incident_record, summary_record
from engine.verdicts import Incident

# More points than a screen has columns show nothing more, and an hour of every detector's would be 100 MB.
MOST_POINTS: Final = 1200
# Of an incident's own plot, and how much time it shows besides the incident.
INCIDENT_POINTS: Final = 240
AROUND_SECONDS: Final = 5.0
# What pictures and plots of incidents may take of the report of an hour, which is to stay below 5 MB: it is mailed.
DETAIL_BYTES_PER_HOUR: Final = 2_500_000
_PLOT_BYTES: Final = 5_000


@dataclass(frozen=True, slots=True)
class Background:
    """What a report says of its inputs besides what was found.

    Args:
        profiles: what each stream was judged against, in words.
        evidence: per incident id, the files of it by kind ("clip", "thumbnail", "overlay", "series"), as paths from
            the report's folder.
    """

    profiles: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def write_report(path: Path, outcomes: Sequence[Outcome], background: Background | None = None) -> None:
    """Write the page; or what is on it as JSON, where the file is called so.

    Args:
        path: of the file, overwritten.
        outcomes: of engines that ran with `trace` and `thumbnails`.
        background: what else is known.
    Raises: OSError if the file cannot be written.
    """
    background = background or Background()
    if path.suffix == ".json":
        shown = detailed(outcomes)
        told = [report_data(outcome, background, shown) for outcome in outcomes]
        path.write_text(json.dumps(told), encoding="utf-8")
        return
    from engine.report_page import page

    path.write_text(page(outcomes, background), encoding="utf-8")


def detailed(outcomes: Sequence[Outcome]) -> frozenset[str]:
    """The incidents that are shown with pictures and plot: all, or as many as a report of that length has room for.

    The first one of each detector comes before any second one, so that a defect that flaps hides no other.
    """
    seconds = sum(outcome.summary.duration for outcome in outcomes if outcome.summary is not None)
    room = DETAIL_BYTES_PER_HOUR * max(1.0, seconds / 3600)
    ordered = []
    for outcome in outcomes:
        before: Counter[str] = Counter()
        for incident in outcome.incidents:
            jpegs = (outcome.thumbnails.get(incident.id, b""), outcome.overlays.get(incident.id, b""))
            taken = _PLOT_BYTES + sum(len(jpeg) for jpeg in jpegs) * 4 / 3
            ordered.append((before[incident.detector], -incident.severity.rank, incident.start, incident.id, taken))
            before[incident.detector] += 1
    chosen = set()
    for *_, one, taken in sorted(ordered):
        room -= taken
        if room < 0:
            break
        chosen.add(one)
    return frozenset(chosen)


def around(incident: Incident, line: Points | None, until: float) -> Points | None:
    """The measure of an incident's detector in its time and a little around it; None where there is nothing of it.

    Args:
        line: of the detector; None where it was not measured.
        until: the end of the input.
    """
    if line is None:
        return None
    since, to = span_around(incident, until)
    near = (line.times >= since) & (line.times <= to)
    return thinned(Points(line.times[near], line.values[near]), INCIDENT_POINTS) if near.any() else None


def span_around(incident: Incident, until: float) -> tuple[float, float]:
    """What an incident's own plot shows."""
    end = until if incident.end is None else incident.end
    return max(0.0, incident.start - AROUND_SECONDS), end + AROUND_SECONDS


def ends(outcome: Outcome) -> float:
    """Media seconds up to which anything is known of an input."""
    until = max((float(trace.times[-1]) for trace in outcome.trace.values() if len(trace.times)), default=0.0)
    return until if outcome.summary is None else max(until, outcome.summary.duration)


def noticed(declared: Detector) -> str:
    """What a viewer notices of a detector's incident."""
    return f"A viewer {declared.viewer.rstrip('.')}." if declared.viewer else declared.summary


def report_data(
    outcome: Outcome, background: Background | None = None, shown: frozenset[str] | None = None
) -> dict[str, Any]:
    """What the page says of an input, for programs: the same numbers, rounded as there.

    Args:
        shown: incidents with pictures and plot; as many as there is room for unless given.
    """
    background = background or Background()
    shown = detailed([outcome]) if shown is None else shown
    full = {declared.name: line for declared, line in known(outcome)}
    until = ends(outcome)
    return {
        "stream": outcome.stream,
        "profile": background.profiles.get(outcome.stream),
        "verdict": overall(outcome),
        "error": None if outcome.error is None else outcome.error.line(),
        "input": described(outcome),
        "summary": None if outcome.summary is None else summary_record(outcome.summary),
        "verdicts": [asdict(verdict) for verdict in verdicts(outcome)],
        "incidents": [
            {
                **incident_record(incident),
                **_told(outcome, incident),
                "evidence": dict(background.evidence.get(incident.id, {})),
                **(_details(outcome, incident, full.get(incident.detector), until) if incident.id in shown else {}),
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


def _told(outcome: Outcome, incident: Incident) -> dict[str, Any]:
    declared = next(one for one in all_detectors() if one.name == incident.detector)
    threshold = outcome.thresholds.get(incident.detector)
    return {"viewer": noticed(declared), "measure": declared.column, "threshold": threshold}


def _details(outcome: Outcome, incident: Incident, line: Points | None, until: float) -> dict[str, Any]:
    near = around(incident, line, until)
    return {
        "thumbnail": _encoded(outcome.thumbnails.get(incident.id)),
        "overlay": _encoded(outcome.overlays.get(incident.id)),
        "around": None if near is None else {"seconds": near.times.round(3).tolist(), "values": _rounded(near)},
    }


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

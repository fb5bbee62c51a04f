"""What became of planted defects, and what false alarms can prove."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import quantiles
from engine.certainty import CONFIDENCE, false_per_hour_at_most, recall_at_least
from engine.detectors import Detector
from engine.verdicts import Incident
from models.synthesis.planted import Planted

__all__ = ["APART_SECONDS", "CONFIDENCE", "Tally", "false_per_hour_at_most", "figures", "overlaps", "precision",
           "recall_at_least", "set_seconds", "tally"]  # fmt: skip

# Goals of every detector at its defaults.
GOAL_RECALL = 0.95
GOAL_FALSE_PER_HOUR = 0.1
GOAL_LATE_FRAMES = 2.0
# What is told of one stream closer together than this is one alarm.
APART_SECONDS = 5.0


@dataclass
class Tally:
    """What became of one kind of planted defect.

    Args:
        detector: that is meant for it.
        planted, found: how many.
        onset_errors: seconds by which an incident starts late, of those found.
        detection_seconds: from the planted start until it was known, of those found.
        late_frames: how many pictures later than the set duration that was.
        missed: where those are that were not found.
        no_room: clips into which it could not be planted so that a viewer sees it.
        besides: incidents of other detectors that the clip has not without it, by detector.
    """

    detector: str = ""
    planted: int = 0
    found: int = 0
    onset_errors: list[float] = field(default_factory=list)
    detection_seconds: list[float] = field(default_factory=list)
    late_frames: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    no_room: list[str] = field(default_factory=list)
    besides: Counter[str] = field(default_factory=Counter)


def overlaps(incident: Incident, planted: Planted, slack: float = 0.1) -> bool:
    """Whether an incident is of the planted time."""
    end = incident.end if incident.end is not None else incident.start
    return incident.start <= planted.end + slack and end >= planted.start - slack


def tally(
    into: Tally, name: str, planted: Sequence[Planted], found: Sequence[Incident], clean: set[str], *,
    set_seconds: float = 0.0, rate: float = 25.0,
) -> None:  # fmt: skip
    """Count one spoilt copy.

    Args:
        into: of this kind of defect.
        name: of the copy, for the list of what was missed.
        planted: what is in it.
        found: incidents of the copy.
        clean: detectors that raise something on the unspoilt clip too.
        set_seconds: how long the detector has to see it, at its defaults.
        rate: pictures per second.
    """
    for one in planted:
        into.detector = one.detector
        hits = [i for i in found if i.detector == one.detector and overlaps(i, one)]
        into.planted += 1
        if hits:
            into.found += 1
            into.onset_errors.append(min((i.start - one.start for i in hits), key=abs))
            known = [i.decided_at - one.start for i in hits if i.decided_at is not None]
            if known:
                into.detection_seconds.append(min(known))
                into.late_frames.append((min(known) - set_seconds) * rate)
        else:
            into.missed.append(f"{name} at {one.start:.2f} s")
    meant = {one.detector for one in planted}
    into.besides.update({i.detector for i in found} - meant - clean)


def figures(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """The tallies as plain numbers and lists."""
    return {
        name: {
            "detector": counted.detector,
            "planted": counted.planted,
            "found": counted.found,
            "recall": round(counted.found / counted.planted, 3) if counted.planted else None,
            "recall_at_least": round(recall_at_least(counted.found, counted.planted), 3) if counted.planted else None,
            "onset_error_seconds": quantiles(counted.onset_errors) if counted.onset_errors else None,
            "detection_seconds": quantiles(counted.detection_seconds) if counted.detection_seconds else None,
            "known_in_time": sum(late <= GOAL_LATE_FRAMES + 1e-6 for late in counted.late_frames),
            "late_frames": quantiles(counted.late_frames) if counted.late_frames else None,
            "missed": counted.missed,
            "no_room": counted.no_room,
            "told_besides": dict(counted.besides),
        }
        for name, counted in tallies.items()
    }


def precision(name: str, parts: Sequence[Mapping[str, Any]], false_alarms: int) -> tuple[int, int]:
    """How many of a detector's incidents were of a defect planted for it.

    Args:
        name: of the detector.
        parts: `figures` of each part of the benchmark.
        false_alarms: of it on clean content.
    Returns: right ones and all.
    """
    right = sum(counted["found"] for part in parts for counted in part.values() if counted["detector"] == name)
    besides = sum(counted["told_besides"].get(name, 0) for part in parts for counted in part.values())
    return right, right + besides + false_alarms


def set_seconds(declared: Detector) -> float:
    """How long a detector has to see its defect, at its defaults."""
    return declared.rule().set_seconds

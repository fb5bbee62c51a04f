"""What became of planted defects, and what false alarms can prove."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import quantiles
from engine.detectors import Detector
from engine.verdicts import Incident
from models.synthesis.planted import Planted

# Goals of every detector at its defaults.
GOAL_RECALL = 0.95
GOAL_FALSE_PER_HOUR = 0.1
GOAL_LATE_FRAMES = 2.0
CONFIDENCE = 0.95


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


def false_per_hour_at_most(alarms: int, hours: float, confidence: float = CONFIDENCE) -> float:
    """The highest rate of false alarms that so few in so long do not rule out.

    Source: Garwood 1936, the exact upper limit of a Poisson rate; 3.0 over the hours where there was none.
    """
    if hours <= 0:
        return math.inf
    low, high = float(alarms), alarms + 20.0 + 10 * math.sqrt(alarms + 1)
    for _ in range(200):
        mean = (low + high) / 2
        at_most = sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(alarms + 1))
        low, high = (mean, high) if at_most > 1 - confidence else (low, mean)
    return high / hours


def recall_at_least(found: int, planted: int, confidence: float = CONFIDENCE) -> float:
    """The lowest recall that so many of so many do not rule out.

    Source: Clopper and Pearson 1934, the exact lower limit of a binomial share.
    """
    if not found:
        return 0.0
    low, high = 0.0, found / planted
    for _ in range(100):
        share = (low + high) / 2
        as_many = sum(
            math.comb(planted, k) * share**k * (1 - share) ** (planted - k) for k in range(found, planted + 1)
        )
        low, high = (share, high) if as_many < 1 - confidence else (low, share)
    return low


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

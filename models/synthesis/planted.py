"""What a planter says about a defect that it planted: the ground truth that verdicts are compared with."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Planted:
    """One defect at a known place.

    Args:
        detector: "area.defect", the detector that has to find it.
        start, end: media seconds from the material's first sample or picture: the first bad moment, and the first
            good one after it.
        strength: how strong, in the unit that the planting function documents; larger is easier to notice.
        parameters: what else repeats the planting exactly (seed, frequency, channel, ...).

    Raises: ValueError if the times are no interval.
    """

    detector: str
    start: float
    end: float
    strength: float
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 <= self.start < self.end < math.inf):
            raise ValueError(f"{self.detector} from {self.start} to {self.end} s is no interval of a programme")

    @property
    def duration(self) -> float:
        """Seconds from the first bad moment to the first good one."""
        return self.end - self.start

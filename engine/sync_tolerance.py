"""By how much sound may be early or late: less where somebody speaks than where nobody does.

ITU-R BT.1359-1 has two pairs of limits: those from which on viewers notice (45 ms early, 125 ms late), and those from
which on they do not put up with it (90 ms early, 185 ms late).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What applies to an offset.

    Args:
        late, early: seconds by which sound may be.
        content: what was heard: speech, or something else; None where that does not matter, or nobody listened.
    """

    late: float
    early: float
    content: Literal["speech", "other"] | None = None

    def allows(self, offset: float) -> bool:
        """Whether sound that is so many seconds late is in sync."""
        return -self.early <= offset <= self.late

    def error(self, offset: float) -> float:
        """An offset in seconds over the limit on its side; above 1 it is too much."""
        return offset / self.late if offset > 0 else -offset / self.early

    def words(self, offset: float) -> str:
        """The limit on the side of an offset, for people."""
        heard = {"speech": " where somebody speaks", "other": " where nobody speaks", None: ""}[self.content]
        return f"{1000 * (self.late if offset > 0 else self.early):.0f} ms are tolerated{heard}"

    @property
    def milliseconds(self) -> tuple[float, float]:
        """In sync is sound that is so many milliseconds late: from, to."""
        return -round(1000 * self.early, 1), round(1000 * self.late, 1)

    def as_json(self) -> dict[str, object]:
        """As a summary tells it."""
        return {"tolerance_ms": list(self.milliseconds), "content": self.content}


def tolerance(limits: Mapping[str, float], speech: float | None) -> Tolerance:
    """The one that applies.

    Args:
        limits: the parameters of av.sync.
        speech: the share of speech in what the offset was measured over; None: of a test pattern, or nobody listened.
    """
    strict = Tolerance(limits["late"], limits["early"])
    if speech is None:
        return strict
    if speech >= limits["speech"]:
        return Tolerance(strict.late, strict.early, "speech")
    late, early = limits["late_without_speech"], limits["early_without_speech"]
    return Tolerance(max(strict.late, late), max(strict.early, early), "other")


def judged(limits: Mapping[str, float], offset: float, speech: float | None) -> float:
    """What av.sync judges: an offset over the limit that applies; NaN where it decides nothing.

    Where nobody speaks, what lies between both pairs of limits opens no incident, and ends none that speech before it
    has opened: the offset is still there, and is seen again as soon as somebody speaks.
    """
    applies = tolerance(limits, speech)
    if applies.content == "other" and applies.allows(offset) and not tolerance(limits, None).allows(offset):
        return math.nan
    return applies.error(offset)

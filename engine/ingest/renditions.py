"""Which of several renditions of one programme is judged."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendition:
    """One of them.

    Args:
        name: as its playlist or manifest calls it; "" where it does not.
        width, height: luma samples; 0 where unknown.
        bits_per_second: as announced; 0 where unknown.
    """

    name: str
    width: int
    height: int
    bits_per_second: int


def choose(renditions: Sequence[Rendition], rule: str) -> int:
    """The index of the one that a rule means.

    Args:
        renditions: at least one.
        rule: "best" and "worst" by height, then by rate; a height as "720": that one, else the nearest below it, else
            the lowest; of several of one height the one of the highest rate.
    Raises: ValueError for any other rule.
    """
    ranks = [(one.height, one.bits_per_second) for one in renditions]
    if rule == "best":
        return ranks.index(max(ranks))
    if rule == "worst":
        return ranks.index(min(ranks))
    if not rule.isdigit():
        raise ValueError(f"{rule!r} is neither best, worst nor a height")
    below = [rank for rank in ranks if rank[0] <= int(rule)]
    if below:
        return ranks.index(max(below))
    lowest = min(height for height, _ in ranks)
    return ranks.index(max(rank for rank in ranks if rank[0] == lowest))

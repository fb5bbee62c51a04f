"""Which of several renditions of one programme is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# A playlist may name hundreds; each is a stream to be judged where all are asked for.
_MOST_NAMED: Final = 8


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
        rule: "best" and "worst" by height, then by rate; "all" as "best" (the others are further streams); a height as
            "720": that one, else the nearest below it, else the lowest; of several of one height the one of the
            highest rate, or with "720@2500" the one nearest to so many kilobits a second.
    Raises: ValueError for any other rule.
    """
    ranks = [(one.height, one.bits_per_second) for one in renditions]
    if rule in ("best", "all"):
        return ranks.index(max(ranks))
    if rule == "worst":
        return ranks.index(min(ranks))
    rule, _, rate = rule.partition("@")
    if not rule.isdigit() or (rate and not rate.isdigit()):
        raise ValueError(f"{rule!r} is neither best, worst nor a height")
    same = [rank for rank in ranks if rank[0] == int(rule)]
    if rate and same:
        return ranks.index(min(same, key=lambda rank: abs(rank[1] - 1000 * int(rate))))
    below = [rank for rank in ranks if rank[0] <= int(rule)]
    if below:
        return ranks.index(max(below))
    lowest = min(height for height, _ in ranks)
    return ranks.index(max(rank for rank in ranks if rank[0] == lowest))


def rules(renditions: Sequence[Rendition], chosen: int) -> tuple[str, ...]:
    """A rule for each rendition that chooses it and no other; that of the chosen one first, then from the highest down.

    Those without a height have none, and of more than eight the lowest are left out.
    """
    heights = [one.height for one in renditions]
    order = sorted(range(len(renditions)), key=lambda n: (n != chosen, -heights[n], -renditions[n].bits_per_second))
    named = []
    for n in order:
        if heights[n] < 10:
            continue
        rate = round(renditions[n].bits_per_second / 1000)
        named.append(f"{heights[n]}@{rate}" if heights.count(heights[n]) > 1 and rate else str(heights[n]))
    return tuple(dict.fromkeys(named))[:_MOST_NAMED]

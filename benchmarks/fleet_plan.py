"""`avjury plan --streams ...`: how many instances a mix of streams takes, what they cost, and what the limit is.

An instance is filled as the cluster fills an engine: to `cluster.fill` of what it can do. Kinds of streams share it,
each taking of every resource the share that benchmarks/plan.py knows of it alone. Streams are shared out evenly, and
none is divided, so each instance has to have room for its part of every kind, rounded up. Beyond that there are as many
more as may be lost. What every row rests on is said beside it, as for one instance.
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.plan import CLIPS, Figures, Wanted, limits_of, priced, size_of
from engine.cluster.placement import DEFAULT_LIMITS

MOST_STREAMS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """So many streams of one kind."""

    count: int
    wanted: Wanted

    def __str__(self) -> str:
        wanted = self.wanted
        return f"{self.count}:{wanted.codec}:{wanted.width}x{wanted.height}:{wanted.rate:g}"


@dataclass(frozen=True, slots=True)
class Nodes:
    """Instances of one type.

    Args:
        instance: its type.
        count: with the spare ones; None where they cannot judge all of it.
        spare: of these, how many may be lost.
        streams: that they judge.
        hour: US dollars of all together.
        full: share of what the busiest is allowed, once the spare ones are lost.
        binds: the resource that is nearest to its limit then; or why they cannot.
        measured: from figures of our own; else published ones.
    """

    instance: str
    count: int | None
    spare: int
    streams: int
    hour: float | None
    full: float
    binds: str
    measured: bool


def parse_kind(text: str, detectors: tuple[str, ...] | None) -> Kind:
    """COUNT:CODEC:WIDTHxHEIGHT:RATE. Raises: ValueError with what is wrong."""
    words = text.split(":")
    if len(words) != 4:
        raise ValueError(f"streams are COUNT:CODEC:WIDTHxHEIGHT:RATE as 400:h264:1920x1080:25, not {text}")
    count, codec, size, rate = words
    if not count.isdecimal() or not 1 <= int(count) <= MOST_STREAMS:
        raise ValueError(f"a number of streams is 1 to {MOST_STREAMS:,}, not {count}")
    if codec not in CLIPS:
        raise ValueError(f"a codec is one of {', '.join(CLIPS)}, not {codec}")
    try:
        pictures = float(rate)
    except ValueError:
        raise ValueError(f"a rate is a number of pictures a second, not {rate}") from None
    return Kind(int(count), Wanted(codec, *size_of(size), pictures, detectors))


def nodes(kinds: Sequence[Kind], instance: str, spare: int, figures: Figures) -> Nodes:
    """How many of one instance type judge all of it, and can lose so many.

    Raises: ValueError for an instance type or codec that is not known, or less than none to spare.
    """
    if spare < 0:
        raise ValueError(f"no fewer than 0 nodes can be spared, not {spare}")
    of = priced(instance, figures)
    measured = of["gpu"] is None
    streams = sum(kind.count for kind in kinds)
    limits: list[tuple[int, Mapping[str, float]]] = []
    for kind in kinds:
        found = limits_of(kind.wanted, instance, figures)
        if isinstance(found, str):
            return Nodes(instance, None, spare, streams, None, 0.0, f"{kind}: {found}", measured)
        limits.append((kind.count, found))
    full, binds = fullest(limits, streams)
    if full > 1.0:
        return Nodes(
            instance, None, spare, streams, None, full, f"one stream of each kind is too much; {binds}", measured
        )
    # The least number that holds it: more instances never have more each.
    low, high = 1, streams
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fullest(limits, middle)[0] <= 1.0 else (middle + 1, high)
    full, binds = fullest(limits, low)
    count = low + spare
    return Nodes(instance, count, spare, streams, count * float(of["hour"]), full, binds, measured)


def fullest(limits: Sequence[tuple[int, Mapping[str, float]]], instances: int) -> tuple[float, str]:
    """How full the fullest of so many instances is, as a share of what it is allowed, and of which resource.

    Args:
        limits: of each kind how many streams there are, and how many of it alone each resource allows.
    """
    used: defaultdict[str, float] = defaultdict(float)
    for count, of in limits:
        for name, most in of.items():
            used[name] += math.ceil(count / instances) / most if most > 0 else math.inf
    binds = max(used, key=lambda name: used[name])
    return used[binds] / DEFAULT_LIMITS.fill, binds


def fleets(kinds: Sequence[Kind], spare: int, figures: Figures) -> list[tuple[Nodes, ...]]:
    """Fleets of one type each, and one in which every kind is where it costs least; the cheapest first."""
    types = list(figures.prices["instances"])
    found: list[tuple[Nodes, ...]] = [(nodes(kinds, instance, spare, figures),) for instance in types]
    cheapest: defaultdict[str, list[Kind]] = defaultdict(list)
    for kind in kinds:
        alone = [nodes([replace(kind, count=MOST_STREAMS)], instance, 0, figures) for instance in types]
        able = [one for one in alone if one.hour is not None]
        if able:
            cheapest[min(able, key=lambda one: one.hour or math.inf).instance].append(kind)
    if len(cheapest) > 1 and sum(map(len, cheapest.values())) == len(kinds):
        found.append(tuple(nodes(some, instance, spare, figures) for instance, some in cheapest.items()))
    return sorted(found, key=lambda fleet: (cost(fleet) is None, cost(fleet) or 0.0))


def cost(fleet: Sequence[Nodes]) -> float | None:
    """US dollars an hour of all of it; None where it cannot judge everything."""
    hours = [one.hour for one in fleet if one.hour is not None]
    return sum(hours) if len(hours) == len(fleet) else None


def told(
    texts: Sequence[str],
    spare: int,
    instance: str | None,
    detectors: tuple[str, ...] | None,
    figures: Figures,
    *,
    as_json: bool,
) -> str:
    """What the command prints. Raises: ValueError."""
    kinds = [parse_kind(text, detectors) for text in texts]
    found = [(nodes(kinds, instance, spare, figures),)] if instance else fleets(kinds, spare, figures)
    if as_json:
        rows = [{"dollars_per_hour": cost(fleet),
                 "nodes": [{"instance": n.instance, "count": n.count, "spare": n.spare, "streams": n.streams,
                            "dollars_per_hour": n.hour, "full": round(n.full, 4), "binds": n.binds,
                            "measured": n.measured} for n in fleet]} for fleet in found]  # fmt: skip
        return json.dumps({"fleets": rows, "results": figures.files()})
    lines = ["| instances | spare | $ an hour | $ per stream-hour | full | what binds | figures |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    streams = sum(kind.count for kind in kinds)
    for fleet in found:
        hour = cost(fleet)
        per = ("", "") if hour is None else (f"{hour:.2f}", f"{hour / streams:.4f}")
        which = " + ".join(n.instance if n.count is None else f"{n.count} x {n.instance}" for n in fleet)
        spares = " + ".join("" if n.count is None else str(n.spare) for n in fleet)
        shares = " + ".join("" if n.count is None else f"{n.full:.0%}" for n in fleet)
        basis = "measured" if all(n.measured for n in fleet) else "published, not measured"
        lines.append(
            f"| {which} | {spares} | {per[0]} | {per[1]} | {shares} | {' + '.join(n.binds for n in fleet)} | {basis} |"
        )
    lines.append("")
    for measured, name in ((True, "of what was measured"), (False, "by published figures, not measured")):
        best = next((f for f in found if cost(f) is not None and all(n.measured for n in f) == measured), None)
        if best is not None:
            which = " and ".join(f"{n.count} x {n.instance}" for n in best)
            lines.append(f"Cheapest {name}: {which}, {cost(best):.2f} $ an hour.")
    return "\n".join(lines)

"""Plans as they go through the database, and the units that a stream is judged as."""

import fnmatch
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from engine.service.contract import StreamPlan
from engine.store.owners import UnitPlan


def local_name(stream: str, part: int) -> str:
    """What a unit is called within one engine's fleet. No stream's own id has a ~ in it."""
    return stream if part == 0 else f"{stream}~{part}"


def stream_of(name: str) -> str:
    """The stream of a name in the fleet."""
    return name.partition("~")[0]


def units_of(plan: StreamPlan) -> tuple[UnitPlan, ...]:
    """The units of a stream: one for each subset of its detectors that has any, or itself."""
    shares = _shared_out(plan)
    labels = dict(plan.labels)
    if plan.group:
        labels["group"] = plan.group
    return tuple(
        UnitPlan(
            stream=plan.id,
            part=part,
            plan=_kept(replace(plan, detectors=detectors, shadow=plan.shadow if part == 0 else None)),
            priority=plan.priority,
            labels=labels,
            # Streams that are compared have one engine: the reference's name holds them together.
            together=(plan.reference or plan.id) if part == 0 else f"{plan.id}~{part}",
            paused=plan.paused,
        )
        for part, detectors in enumerate(shares)
    )


def plan_from(kept: Mapping[str, Any]) -> StreamPlan:
    """A plan as it was kept."""
    known = {name: value for name, value in kept.items() if name in StreamPlan.__dataclass_fields__}
    return StreamPlan(
        **known
        | {
            "subsets": tuple(tuple(patterns) for patterns in known.get("subsets", ())),
            "windows": tuple(known.get("windows", ())),
        }
    )


def _kept(plan: StreamPlan) -> dict[str, Any]:
    kept = asdict(plan)
    kept["subsets"] = [list(patterns) for patterns in plan.subsets]
    kept["windows"] = [dict(window) for window in plan.windows]
    return kept


def _shared_out(plan: StreamPlan) -> list[dict[str, Mapping[str, object]]]:
    """The detectors of each engine: each goes to the first subset that names it, else to the first of all."""
    if len(plan.subsets) < 2:
        return [dict(plan.detectors)]
    shares: list[dict[str, Mapping[str, object]]] = [{} for _ in plan.subsets]
    for name, given in plan.detectors.items():
        chosen = 0
        for index, patterns in enumerate(plan.subsets):
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                chosen = index
                break
        shares[chosen][name] = given
    return [share for share in shares if share] or [{}]

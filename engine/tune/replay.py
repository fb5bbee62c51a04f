"""What a detector would have told of measures that were taken, with other parameters: the judge itself, run again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from engine.detectors import Detector, Rule, all_detectors
from engine.errors import ConfigError
from engine.judge import Judge
from engine.media import Measures
from engine.outcome import Trace

# Rows that are judged in one call.
_CHUNK: Final = 4096
# Values of a parameter that are tried; the nearer to the present one, the closer they lie.
STEPS: Final = 32


@dataclass(frozen=True, slots=True)
class Knob:
    """A parameter that can be tried on measures that were taken.

    Args:
        parameter: its name.
        kind: "threshold" changes from which value on it is bad, "duration" for how long.
        values: to be tried, the present one first, each less sensitive than the one before.
    """

    parameter: str
    kind: str
    values: tuple[float, ...]


def masters_of(declared: Detector) -> list[Detector]:
    """The detectors that keep this one from opening, and those that keep them."""
    known = {one.name: one for one in all_detectors()}
    found: dict[str, Detector] = {}
    left = list(declared.dominated_by)
    while left:
        name = left.pop()
        if name in known and name not in found and known[name].track == declared.track:
            found[name] = known[name]
            left += known[name].dominated_by
    return list(found.values())


def alarms(trace: Trace, declared: Detector, rule: Rule, others: Mapping[str, Rule]) -> int:
    """How often a detector opens over a trace.

    Args:
        trace: of its track, with `until`.
        declared: the detector.
        rule: tried.
        others: present rules of the enabled detectors; those that dominate it are judged too.
    """
    assert trace.until is not None
    masters = [one for one in masters_of(declared) if one.name in others]
    judged = [declared, *masters]
    names = {column for one in judged for column in (one.column, *(one.samples or ()), *filter(None, (one.since,)))}
    if not names <= set(trace.columns):
        return 0
    columns = tuple(name for name in trace.columns if name in names)
    values = np.ascontiguousarray(trace.values[:, [trace.columns.index(name) for name in columns]])
    judge = Judge(judged, "cpu", 1)
    judge.open_slot(0, {declared.name: rule, **{one.name: others[one.name] for one in masters}})
    count = 0
    for at in range(0, len(values), _CHUNK):
        part = slice(at, at + _CHUNK)
        rows = Measures(
            track=declared.track,
            columns=columns,
            # One stream's rows, one after the other: the CPU's judge takes them in this order.
            slots=torch.zeros(len(values[part]), dtype=torch.int64),
            start=torch.from_numpy(trace.times[part].astype(np.float64)),
            known_until=torch.from_numpy(trace.until[part].astype(np.float64)),
            values=torch.from_numpy(values[part]),
        )
        count += sum(one.kind == "opened" and one.detector == declared.name for one in judge.judge(rows))
    return count


def knobs(declared: Detector, present: Mapping[str, float]) -> list[Knob]:
    """The parameters that can be tried, thresholds first.

    Args:
        declared: the detector.
        present: all of its parameters.
    """
    before = declared.rule(present)
    found = []
    for parameter in declared.parameters:
        value = present[parameter.name]
        ends = {end: _rule(declared, {**present, parameter.name: end})
                for end in (parameter.minimum, parameter.maximum) if end != value}  # fmt: skip
        for kind, moved in (("threshold", _less_sensitive), ("duration", _slower)):
            limit = next((end for end, rule in ends.items() if rule is not None and moved(before, rule)), None)
            if limit is None:
                continue
            tried = [value + (limit - value) * (step / STEPS) ** 2 for step in range(STEPS + 1)]
            kept = [v for v in tried if _rule(declared, {**present, parameter.name: v}) is not None]
            found.append(Knob(parameter.name, kind, tuple(_rounded(v) if v != value else v for v in kept)))
            break
    return sorted(found, key=lambda knob: knob.kind != "threshold")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _less_sensitive(before: Rule, after: Rule) -> bool:
    return after.enter < before.enter if before.below else after.enter > before.enter


def _slower(before: Rule, after: Rule) -> bool:
    return after.set_seconds > before.set_seconds and after.enter == before.enter


def _rule(declared: Detector, parameters: Mapping[str, float]) -> Rule | None:
    try:
        return declared.rule(parameters)
    except ConfigError:
        return None  # it contradicts another parameter


def first_allowed(counts: Sequence[int], most: int) -> int | None:
    """The first step from which on no count is above `most`; None where there is none."""
    allowed = None
    for step in range(len(counts) - 1, -1, -1):
        if counts[step] > most:
            break
        allowed = step
    return allowed

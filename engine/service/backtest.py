"""What other parameters of a detector would have found in the seconds that are kept, and what the present ones do.

Seconds carry the lowest and the highest value of a measure, not every picture's. A stretch is therefore `certain` where
whole bad seconds add up to the time that the rule asks for, and `possible` where it takes the seconds at its edges,
which were bad in part. Times are true to a second.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.detectors import detector
from engine.detectors.base import Detector, Rule
from engine.errors import ConfigError
from engine.level_columns import level_names
from engine.service.history import Rows
from engine.store.records import wall_text

# Seconds of a live stream come one after the other; beyond this, something is missing between two.
_GAP_SECONDS: Final = 2.5

Marks = npt.NDArray[np.bool_]


def tried(rows: Rows, name: str, parameters: Mapping[str, float], others: Mapping[str, Rule]) -> list[dict[str, Any]]:
    """The stretches in which a detector would have been open.

    Args:
        rows: seconds in order.
        name: the detector's.
        parameters: all of its.
        others: the stream's present rules by detector; those that dominate this one keep it from opening.
    """
    declared = detector(name)
    rule = declared.rule(parameters)
    masters = np.zeros(len(rows), dtype=bool)
    for master in declared.dominated_by:
        if master in others:
            masters |= _touched(rows, detector(master), others[master], others[master].enter)
    return _stretches(rows, declared, rule, masters)


def judged_by_rule(declared: Detector, parameters: Mapping[str, float]) -> dict[str, bool]:
    """For each parameter whether it can be tried on kept seconds: whether it changes the rule, and not what is
    measured."""
    before = declared.rule(parameters)
    found = {}
    for parameter in declared.parameters:
        value = parameters[parameter.name]
        moved = [v for v in (value * 1.5 + 1e-3, value * 0.5) if parameter.minimum <= v <= parameter.maximum]
        found[parameter.name] = any(_rule(declared, {**parameters, parameter.name: v}) != before for v in moved)
    return found


def _rule(declared: Detector, parameters: Mapping[str, float]) -> Rule | None:
    try:
        return declared.rule(parameters)
    except ConfigError:
        return None  # it contradicts another parameter, which only a rule's own parameter can


def _touched(rows: Rows, declared: Detector, rule: Rule, threshold: float) -> Marks:
    """Whether something in a second was bad."""
    column = level_names().index(declared.column)
    found: Marks = rows["low"][:, column] <= threshold if rule.below else rows["high"][:, column] >= threshold
    return found


def _filled(rows: Rows, declared: Detector, rule: Rule, threshold: float) -> Marks:
    """Whether all of a second was bad."""
    column = level_names().index(declared.column)
    found: Marks = rows["high"][:, column] <= threshold if rule.below else rows["low"][:, column] >= threshold
    return found


def _stretches(rows: Rows, declared: Detector, rule: Rule, masters: Marks) -> list[dict[str, Any]]:
    # float32 values against thresholds that were written in float64: equal ones are to be equal.
    enter, leave = float(np.float32(rule.enter)), float(np.float32(rule.exit))
    bad = _touched(rows, declared, rule, enter) & ~masters
    stays = _touched(rows, declared, rule, leave)
    whole = _filled(rows, declared, rule, enter)
    at: list[float] = rows["at"].tolist()
    column = level_names().index(declared.column)
    worst = rows["low"][:, column] if rule.below else rows["high"][:, column]
    found: list[dict[str, Any]] = []
    done = -1
    for first, last in _runs(bad, at):
        opening = _opening(whole[first : last + 1].tolist(), rule.set_seconds)
        if last <= done or opening is None:
            continue
        offset, certain = opening
        start, end = max(first + offset, done + 1), last
        index = end
        while index + 1 < len(at) and at[index + 1] - at[end] < rule.clear_seconds + _GAP_SECONDS:
            index += 1
            if not stays[index] and at[index] - at[end] >= rule.clear_seconds:
                break
            end = index if stays[index] else end
        span = worst[start : end + 1]
        peak = float(np.nanmin(span) if rule.below else np.nanmax(span))
        found.append(
            {
                "since": wall_text(at[start]),
                "until": wall_text(at[end] + 1.0),
                "seconds": round(at[end] - at[start] + 1.0, 3),
                "worst": float(f"{peak:.6g}"),
                "certain": certain,
            }
        )
        done = end
    return found


def _runs(bad: Marks, at: list[float]) -> list[tuple[int, int]]:
    """First and last index of each run of bad seconds that follow each other."""
    found: list[tuple[int, int]] = []
    for index in np.flatnonzero(bad).tolist():
        if found and found[-1][1] == index - 1 and at[index] - at[index - 1] < _GAP_SECONDS:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


def _opening(whole: list[bool], set_seconds: float) -> tuple[int, bool] | None:
    """Where in a run of bad seconds it opens, and whether for certain; None where it does not.

    Args:
        whole: of each second, whether all of it was bad.
        set_seconds: for which it has to be bad without a break.
    """
    if set_seconds <= 0:
        return 0, True
    # Seconds that were bad in part are where what lasted may have begun or ended.
    parts = [-1, *(index for index, all_of_it in enumerate(whole) if not all_of_it), len(whole)]
    between = [(a, b, b - a - 1) for a, b in pairwise(parts)]
    for a, _, seconds in between:
        if seconds >= set_seconds:
            return a + 1, True
    for a, b, seconds in between:
        if seconds + (a >= 0) + (b < len(whole)) >= set_seconds:
            return max(a, 0), False
    return None

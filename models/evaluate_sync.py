"""How good the sync network is, on clips that it was never trained on, shifted by known amounts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.sync_net import WINDOW_STEPS, SyncNet, offset_of
from models.sync_signals import STEP_SECONDS
from models.train_sync import Rows, spans, window_of

# By so much sound is made late.
SHIFTS: Final = (-0.72, -0.4, -0.2, -0.08, 0.0, 0.08, 0.2, 0.4, 0.72)
WITHIN_SECONDS: Final = 0.04
# Of the windows that are judged so many have to be right.
GOAL_RIGHT: Final = 0.9
HOP_SECONDS: Final = 2.0
LEAST_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class Tried:
    """A window that was judged.

    Args:
        clip: its name.
        error: seconds by which the offset is wrong; infinite where there is none that is right.
        margin: how sure the network was.
    """

    clip: str
    error: float
    margin: float


def tries(net: SyncNet, clips: Sequence[tuple[str, Rows]]) -> tuple[list[Tried], list[Tried], int]:
    """Windows of clips in each shift; windows with the sound of another clip; and how many had nothing to judge by."""
    own, others, nothing = [], [], 0
    for number, (name, rows) in enumerate(clips):
        low, high = spans(rows, LEAST_STEPS)
        if high <= low:
            nothing += 1
            continue
        steps = min(WINDOW_STEPS, LEAST_STEPS + int((high - low) / STEP_SECONDS))
        _, high = spans(rows, steps)
        strange = clips[(number + 1) % len(clips)][1]
        for begin in np.arange(low, max(high, low + 1e-6), HOP_SECONDS):
            for shift in SHIFTS:
                found = window_of(rows, float(begin), steps, shift)
                if found is None:
                    nothing += 1
                    continue
                said = _said(net, *found)
                own.append(Tried(name, abs(said[0] - shift), said[1]))
            mixed = {**rows, "sound_times": strange["sound_times"], "bands": strange["bands"]}
            found = window_of(mixed, float(begin), steps) if len(clips) > 1 else None
            if found is not None:
                others.append(Tried(name, math.inf, _said(net, *found)[1]))
    return own, others, nothing


def _said(net: SyncNet, motion: torch.Tensor, sound: torch.Tensor) -> tuple[float, float]:
    with torch.inference_mode():
        offset = offset_of(net(motion[None], sound[None])[0])
    return offset.seconds, offset.margin


def evaluate_sync(net: SyncNet, clips: Sequence[tuple[str, Rows]]) -> Mapping[str, Any]:
    """All figures.

    Returns: at a few margins the share of windows that are judged, and of those the share within 40 ms; the margin that
        would reach the goal, None where none does; a logistic curve of the margin; and the clips.
    """
    own, others, nothing = tries(net, clips)
    margins = np.array([t.margin for t in own + others])
    right = np.array([t.error <= WITHIN_SECONDS + 1e-9 for t in own + others], bool)
    of_own = np.array([True] * len(own) + [False] * len(others), bool)
    rows: list[dict[str, float | None]] = []
    for share in (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05):
        if not len(margins):
            break
        least = float(np.quantile(margins, 1 - share))
        told = margins >= least
        rows.append({
            "margin": round(least, 3),
            "judged": round(float(told[of_own].mean()), 4),
            "within_40_ms": round(float(right[told].mean()), 4),
            "foreign_sound_judged": round(float(told[~of_own].mean()), 4) if (~of_own).any() else None,
        })  # fmt: skip
    reached = [row for row in rows if (row["within_40_ms"] or 0.0) >= GOAL_RIGHT]
    slope, bias = _logistic(margins, right)
    return {
        "clips": [name for name, _ in clips],
        "windows": len(own),
        "windows_with_foreign_sound": len(others),
        "windows_with_nothing_to_judge_by": nothing,
        "median_error_seconds": round(float(np.median([t.error for t in own])), 4) if own else None,
        "chance_within_40_ms": round(3 / 51, 4),
        "at": rows,
        "margin_that_reaches_the_goal": reached[0]["margin"] if reached else None,
        "slope": round(slope, 5),
        "bias": round(bias, 5),
        "by_clip": {
            name: round(float(np.mean([t.error <= WITHIN_SECONDS + 1e-9 for t in own if t.clip == name])), 3)
            for name in sorted({t.clip for t in own})
        },
    }


def _logistic(margins: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and bias of the curve that fits best, by Newton's method with a little of a prior."""
    at, bias_and_slope = np.stack([np.ones_like(margins), margins], axis=1), np.zeros(2)
    for _ in range(50):
        said = 1 / (1 + np.exp(-np.clip(at @ bias_and_slope, -30, 30)))
        gradient = at.T @ (right - said) - 0.1 * bias_and_slope
        curvature = (at * (said * (1 - said))[:, None]).T @ at + 0.1 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        bias_and_slope += np.clip(step, -2, 2)
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(bias_and_slope[1]), float(bias_and_slope[0])

"""`avjury::judge`: one step of every detector's state machine, for the rows of one track.

The rules, per slot and detector:

- A value is bad at or past the threshold, inclusive on both sides as in FFmpeg's freezedetect and blackdetect: ENTER
  while the detector is ok or pending, EXIT while it is open or clearing (hysteresis).
- ok -> pending at a bad row. Its onset is the tail of the row before where that ended badly, else the row's own (see
  OnsetRule).
- pending -> open when `known_until - onset >= SET_SECONDS` at a bad row (freezedetect's rule). Where CLOSING_COUNTS,
  a good row decides too: if it was bad long enough up to that row's first good moment, the detector opens and closes
  at once (blackdetect judges so; freezedetect does it for a picture that was held across a hole).
- open -> clearing at a row that is good by EXIT; clearing -> ok when that has held for CLEAR_SECONDS, and the end is
  the first good moment, not the moment of the decision; a bad row before that reopens it. Where a row dates its change
  back (EARLIER), the end is that moment, but what has to hold is counted from the row.
- Dominance: a detector does not open while one of its enabled masters is pending, open or clearing on that slot; when
  the last one lets go, what was bad before does not count (onset >= the master's end). One that is already open closes
  in its own time. Masters come earlier in the column order, so one pass over a row settles it.
- NaN: this row says nothing about the detector. (SINCE_PREVIOUS: a picture with no earlier one to compare with is a
  different picture, hence good.)
- A hole between rows is ordinary media time.
- PEAK is the worst value, MEAN the mean, of the bad rows since the onset; if the badness lay between two rows, both
  are the threshold.

The result depends on nothing but each slot's own rows in their order. On a CPU core a call takes some
10 us, nearly all of it for handing over nine tensors: 64 rows take 3 us more than one.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.judge import cpu
from kernels.judge.layout import (
    DETECTOR_FIELDS,
    EVENT_FIELDS,
    EVENTS_PER_DETECTOR,
    NEW,
    RULE_FIELDS,
    STATE_FIELDS,
    TIME_TOLERANCE,
    DetectorField,
    EventKind,
    OnsetRule,
    Phase,
    RuleField,
    StateField,
)

_library: Any = torch.library.Library("avjury", "FRAGMENT")  # type: ignore[no-untyped-call]
# Not `torch.library.custom_op`: its bookkeeping of mutated arguments in Python costs 16 us a call, and this one is
# called for every decoded frame.
_library.define(
    "judge(Tensor slots, Tensor start, Tensor known_until, Tensor values, Tensor detectors, Tensor rules, "
    "Tensor(a!) state, Tensor(b!) events, Tensor(c!) counts, int depth) -> ()"
)


def new_state(slots: int, detectors: int, device: torch.device | str = "cpu") -> Tensor:
    """(slots, detectors, STATE_FIELDS) float64: nothing was seen yet."""
    return torch.tensor(NEW, dtype=torch.float64).repeat(slots, detectors, 1).to(device)


def check_layout(
    slots: Tensor,
    start: Tensor,
    known_until: Tensor,
    values: Tensor,
    detectors: Tensor,
    rules: Tensor,
    state: Tensor,
    events: Tensor,
    counts: Tensor,
) -> None:
    """Refuse tensors that a kernel would misread.

    Raises: ValueError with the shapes and types received.
    """
    n, d, s = slots.shape[0], detectors.shape[0], state.shape[0]
    right = (
        slots.shape == (n,)
        and start.shape == (n,)
        and known_until.shape == (n,)
        and values.dim() == 2
        and values.shape[0] == n
        and detectors.shape == (d, DETECTOR_FIELDS)
        and rules.shape == (s, d, RULE_FIELDS)
        and state.shape == (s, d, STATE_FIELDS)
        and events.dim() == 3
        and events.shape[0] >= n
        and events.shape[1:] == (EVENTS_PER_DETECTOR * d, EVENT_FIELDS)
        and counts.dim() == 1
        and counts.shape[0] >= n
        and slots.dtype == detectors.dtype == torch.int64
        and counts.dtype in (torch.int32, torch.uint8)
        and all(t.dtype == torch.float64 for t in (start, known_until, values, rules, state, events))
        and all(t.is_contiguous() for t in (slots, start, known_until, detectors, rules, state, events, counts))
    )
    if not right:
        named = {
            "slots": slots,
            "start": start,
            "known_until": known_until,
            "values": values,
            "detectors": detectors,
            "rules": rules,
            "state": state,
            "events": events,
            "counts": counts,
        }
        raise ValueError(
            "judge cannot read these tensors: "
            + ", ".join(f"{name} {tuple(t.shape)} {t.dtype} strides {t.stride()}" for name, t in named.items())
        )


judge_arrays: Any = cpu.judge  # numba compiles it; it carries no types. `judge` of host tensors, for their arrays


def _judge_cpu(
    slots: Tensor,
    start: Tensor,
    known_until: Tensor,
    values: Tensor,
    detectors: Tensor,
    rules: Tensor,
    state: Tensor,
    events: Tensor,
    counts: Tensor,
    depth: int,
) -> None:
    judge_arrays(
        slots.numpy(),
        start.numpy(),
        known_until.numpy(),
        values.numpy(),
        detectors.numpy(),
        rules.numpy(),
        state.numpy(),
        events.numpy(),
        counts.numpy(),
    )


def _judge_cuda(
    slots: Tensor,
    start: Tensor,
    known_until: Tensor,
    values: Tensor,
    detectors: Tensor,
    rules: Tensor,
    state: Tensor,
    events: Tensor,
    counts: Tensor,
    depth: int,
) -> None:
    from kernels.judge import gpu  # Triton is not loaded on machines without a GPU

    gpu.judge(slots, start, known_until, values, detectors, rules, state, events, counts, depth)


def _judge_fake(*args: Any) -> None:
    check_layout(*args[:9])


_library.impl("judge", _judge_cpu, "CPU")
_library.impl("judge", _judge_cuda, "CUDA")
torch.library.register_fake("avjury::judge", _judge_fake, lib=_library)

_op: Final = torch.ops.avjury.judge.default


def judge(
    slots: Tensor,
    start: Tensor,
    known_until: Tensor,
    values: Tensor,
    detectors: Tensor,
    rules: Tensor,
    state: Tensor,
    events: Tensor,
    counts: Tensor,
    depth: int,
) -> None:
    """Judge rows; changes `state`, `events` and `counts`.

    All tensors lie on one device and are contiguous except `values`; `check_layout` says what is wrong with others
    (not called here: it costs more than the judging).

    Args:
        slots: (N,) int64: slot of each row, all different; below 0 skips the row (its count is 0).
        start: (N,) float64, media seconds at which each row begins.
        known_until: (N,) float64, media seconds up to which its values hold.
        values: (N, C) float64 measures, NaN where there is none; any strides.
        detectors: (D, DETECTOR_FIELDS) int64, D <= MOST_DETECTORS, masters before those they dominate.
        rules: (S, D, RULE_FIELDS) float64.
        state: (S, D, STATE_FIELDS) float64, from `new_state`.
        events: (>= N, 2 D, EVENT_FIELDS) float64; the first counts[n] of row n are written, ordered by detector,
            "opened" before "closed".
        counts: (>= N,) int32 or uint8; the first N are written.
        depth: longest chain of dominance counted in detectors, at least 1 (`dominance_depth`).
    """
    if slots.is_cuda:
        _op(slots, start, known_until, values, detectors, rules, state, events, counts, depth)
    else:  # straight to it: the dispatcher takes longer than the judging
        _judge_cpu(slots, start, known_until, values, detectors, rules, state, events, counts, depth)


def dominance_depth(masters: Sequence[int]) -> int:
    """Detectors in the longest chain of dominance.

    Args:
        masters: MASTERS mask of each detector, masters first.
    """
    depths: list[int] = []
    for mask in masters:
        depths.append(1 + max((depths[m] for m in range(len(depths)) if mask >> m & 1), default=0))
    return max(depths, default=1)


def close_row(
    state: npt.NDArray[np.float64],
    rules: npt.NDArray[np.float64],
    detectors: npt.NDArray[np.int64],
    at: float,
) -> list[tuple[int, EventKind, float, float, float, float]]:
    """End one slot's stream: close what is open and start anew. Runs on the host; a stream ends once.

    An open detector closes at the end, a clearing one at its first good moment. A pending one is dropped, unless
    CLOSING_COUNTS and it was bad long enough up to the end; so was, for SAMPLES, the tail of the last block.

    Args:
        state: (D, STATE_FIELDS), the slot's; it is reset.
        rules: (D, RULE_FIELDS), the slot's.
        detectors: (D, DETECTOR_FIELDS).
        at: media second at which the track ended.
    Returns: events as rows of (detector, kind, at, decided_at, peak, mean).
    """
    events: list[tuple[int, EventKind, float, float, float, float]] = []
    for d, (now, rule, declared) in enumerate(zip(state, rules, detectors, strict=True)):
        if not rule[RuleField.ENABLED]:
            continue
        phase, onset, count = Phase(int(now[StateField.PHASE])), float(now[StateField.ONSET]), now[StateField.COUNT]
        seen = phase != Phase.OK and count > 0
        peak = float(now[StateField.PEAK] if seen else rule[RuleField.ENTER])
        mean = float(now[StateField.SUM] / count if seen else rule[RuleField.ENTER])
        if phase in (Phase.OPEN, Phase.CLEARING):
            end = max(float(now[StateField.CLEAR_ONSET]) if phase == Phase.CLEARING else at, onset)
            events.append((d, EventKind.CLOSED, end, at, peak, mean))
            now[StateField.RELEASED] = end
            continue
        by_samples = declared[DetectorField.ONSET] == OnsetRule.SAMPLES
        if math.isnan(onset) or not (phase == Phase.PENDING or by_samples):
            continue
        masters = int(declared[DetectorField.MASTERS])
        for m in range(d):
            if masters >> m & 1 and rules[m, RuleField.ENABLED]:
                onset = max(onset, float(state[m, StateField.RELEASED]))
        long_enough = at > onset and at - onset >= rule[RuleField.SET_SECONDS] - TIME_TOLERANCE
        counts = bool(declared[DetectorField.CLOSING_COUNTS]) and long_enough
        if counts:
            events.append((d, EventKind.OPENED, onset, at, peak, mean))
            events.append((d, EventKind.CLOSED, at, at, peak, mean))
        if counts or phase == Phase.PENDING:
            now[StateField.RELEASED] = at
    state[:] = NEW
    return events

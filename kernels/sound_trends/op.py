"""`avjury::sound_trends`: what the features of blocks say together, one step per row."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from kernels.sound_features.layout import FEATURES, MAX_CHANNELS
from kernels.sound_trends.layout import COLUMNS, GAP_LEVELS, GAP_LONGEST_SECONDS, NEVER, STATE_SIZE, Scalar

_library: Any = torch.library.Library("avjury", "FRAGMENT")  # type: ignore[no-untyped-call]
# Not `torch.library.custom_op`, for the reason that kernels/judge/op.py gives.
_library.define(
    "sound_trends(Tensor features, Tensor valid, Tensor weights, Tensor momentary, Tensor slots, Tensor(a!) state, "
    "Tensor(b!) out) -> ()"
)


@dataclass(frozen=True, slots=True, eq=False)
class TrendState:
    """What is remembered of each slot's features, on the device of the kernel.

    Args:
        values: (slots, STATE_SIZE) float64; see layout.py.
    """

    values: Tensor

    @classmethod
    def allocate(cls, slots: int, device: torch.device | str = "cpu") -> "TrendState":
        """Memory for `slots` streams (11 kB each); each needs a `reset` before its first block."""
        return cls(torch.zeros((slots, STATE_SIZE), dtype=torch.float64, device=device))

    def reset(self, slot: int, longest_gap_seconds: float = GAP_LONGEST_SECONDS, target_lufs: float = -23.0) -> None:
        """Forget everything about `slot`, for the next stream that will occupy it.

        Args:
            slot: which.
            longest_gap_seconds: a longer gap is no dropout.
            target_lufs: what a minute's loudness is compared with.
        """
        row = self.values[slot]
        row.zero_()
        row[Scalar.LAST_LOUD : Scalar.LAST_LOUD + len(GAP_LEVELS)] = NEVER
        row[Scalar.GAP_END] = row[Scalar.CODED_LOUD] = row[Scalar.CODED_FELL] = NEVER
        row[Scalar.LONGEST] = 1000.0 * longest_gap_seconds
        row[Scalar.TARGET] = target_lufs


def _cpu(
    features: Tensor, valid: Tensor, weights: Tensor, momentary: Tensor, slots: Tensor, state: Tensor, out: Tensor
) -> None:
    from kernels.sound_trends import cpu  # numba compiles on import: only where it is needed

    cpu.sound_trends(features, valid, weights, momentary, slots, state, out)


def _cuda(
    features: Tensor, valid: Tensor, weights: Tensor, momentary: Tensor, slots: Tensor, state: Tensor, out: Tensor
) -> None:
    from kernels.sound_trends import gpu  # triton is absent on some CPU-only platforms

    gpu.sound_trends(features, valid, weights, momentary, slots, state, out)


def _fake(*_: Tensor) -> None:
    return None


_library.impl("sound_trends", _cpu, "CPU")
_library.impl("sound_trends", _cuda, "CUDA")
torch.library.register_fake("avjury::sound_trends", _fake, lib=_library)

_op: Final = torch.ops.avjury.sound_trends.default


def sound_trends(
    state: TrendState, features: Tensor, valid: Tensor, weights: Tensor, momentary: Tensor, slots: Tensor, out: Tensor
) -> None:
    """Take one block of each of N streams, which changes `state`, and say what is known after it.

    A block of fewer than 4800 samples comes before a hole: after it what needs several blocks begins anew, but for the
    minute of loudness, and of its own columns only those of the channels have values.

    Args:
        state: memory of all slots, on the same device.
        features: (N, FEATURES) float64 of `sound_features`.
        valid: (N,) int64: samples of each block, 1..4800.
        weights: (N, 8) float64: loudness weight of each channel; 0 for LFE and beyond the real channels.
        momentary: (N,) float64: loudness of the 400 ms before the block's end, LUFS; NaN where there is none. Any
            stride.
        slots: (N,) int64: all different, below the state's number of slots.
        out: (N, len(COLUMNS)) float64, written; rows at any distance. NaN where a measure says nothing.
    Raises: ValueError if a shape or dtype is another: the kernels trust them.
    Source: aphasemeter, silencedetect (FFmpeg); minimum statistics (Martin 2001) for hiss; ITU-R BS.1770-5 for the
        minute; the rest is our own, with its thresholds in layout.py.
    """
    rows = slots.shape[0]
    if not (
        features.shape == (rows, FEATURES)
        and weights.shape == (rows, MAX_CHANNELS)
        and momentary.shape == valid.shape == (rows,)
        and out.shape == (rows, len(COLUMNS))
        and valid.dtype == slots.dtype == torch.int64
        and features.dtype == weights.dtype == momentary.dtype == out.dtype == torch.float64
    ):
        received = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in (features, valid, weights, momentary, slots, out))
        raise ValueError(
            f"sound_trends: wanted (N, {FEATURES}) features, (N,) valid, (N, 8) weights, (N,) momentary and slots, "
            f"(N, {len(COLUMNS)}) out; float64 and int64; got {received}"
        )
    _op(features, valid, weights, momentary, slots, state.values, out)

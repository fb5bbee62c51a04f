"""`avjury::sound_repeats`: whether 100 ms of sound are the same as what was 20 to 500 ms before."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from kernels.sound_repeats.layout import BLOCK, COARSE_RING, COLUMNS, MAX_CHANNELS, RING, SCALARS

_library: Any = torch.library.Library("avjury", "FRAGMENT")  # type: ignore[no-untyped-call]
# Not `torch.library.custom_op`, for the reason that kernels/judge/op.py gives.
_library.define(
    "sound_repeats(Tensor samples, Tensor channels, Tensor valid, Tensor slots, Tensor(a!) ring, "
    "Tensor(b!) coarse, Tensor(c!) scalars, Tensor(d!) out) -> ()"
)


@dataclass(frozen=True, slots=True, eq=False)
class RepeatState:
    """The last 700 ms of each slot, on the device of the kernel.

    Args:
        ring: (slots, RING) float32: mean of the channels at 8 kHz; the block with number n is at n % RING_BLOCKS.
        coarse: (slots, COARSE_RING) float32: the same at 2 kHz.
        scalars: (slots, SCALARS) float64; see layout.py.
    """

    ring: Tensor
    coarse: Tensor
    scalars: Tensor

    @classmethod
    def allocate(cls, slots: int, device: torch.device | str = "cpu") -> "RepeatState":
        """Memory for `slots` streams that have heard nothing yet (28 kB each)."""
        return cls(
            torch.zeros((slots, RING), dtype=torch.float32, device=device),
            torch.zeros((slots, COARSE_RING), dtype=torch.float32, device=device),
            torch.zeros((slots, SCALARS), dtype=torch.float64, device=device),
        )

    def reset(self, slot: int) -> None:
        """Forget everything about `slot` (no wait on a CUDA device)."""
        self.scalars[slot].zero_()


def _cpu(
    samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, ring: Tensor, coarse: Tensor, scalars: Tensor,
    out: Tensor,
) -> None:  # fmt: skip
    from kernels.sound_repeats import cpu  # numba compiles on import: only where it is needed

    cpu.sound_repeats(samples, channels, valid, slots, ring, coarse, scalars, out)


def _cuda(
    samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, ring: Tensor, coarse: Tensor, scalars: Tensor,
    out: Tensor,
) -> None:  # fmt: skip
    from kernels.sound_repeats import gpu  # triton is absent on some CPU-only platforms

    gpu.sound_repeats(samples, channels, valid, slots, ring, coarse, scalars, out)


def _fake(*_: Tensor) -> None:
    return None


_library.impl("sound_repeats", _cpu, "CPU")
_library.impl("sound_repeats", _cuda, "CUDA")
torch.library.register_fake("avjury::sound_repeats", _fake, lib=_library)

_op: Final = torch.ops.avjury.sound_repeats.default


def sound_repeats(
    state: RepeatState, samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, out: Tensor
) -> None:
    """Take one block of each of N streams, which changes `state`, and say whether it repeats what was before it.

    Samples that are not a number count as 0, larger ones than +80 dBFS as that. A block of fewer than 4800 samples
    comes before a hole: it has no values, and nothing before it is compared with what follows. Nothing repeats in the
    first 600 ms. A row does not depend on what else is in the batch.

    Args:
        state: memory of all slots, on the same device.
        samples: (N, C, 4800) float32, C 1 to 8, full scale 1.0, 48 kHz; the samples of a channel adjacent.
        channels: (N,) int64: real channels, 1..C; the others are not read.
        valid: (N,) int64: real samples per channel, 1..4800.
        slots: (N,) int64: all different, below the state's number of slots.
        out: (N, len(COLUMNS)) float64, written; rows at any distance.
    Raises: ValueError if a shape or dtype is another: the kernels trust them.
    Source: our own.
    """
    rows, wide = samples.shape[0], samples.shape[1] if samples.dim() == 3 else 0
    whole = samples.shape == (rows, wide, BLOCK) and 1 <= wide <= MAX_CHANNELS and samples.dtype == torch.float32
    counts = all(t.shape == (rows,) and t.dtype == torch.int64 for t in (channels, valid, slots))
    if not (whole and counts and out.shape == (rows, len(COLUMNS)) and out.dtype == torch.float64):
        received = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in (samples, channels, valid, slots, out))
        raise ValueError(
            f"sound_repeats: wanted (N, 1..8, 4800) float32, three (N,) int64 and (N, {len(COLUMNS)}) float64, got "
            f"{received}"
        )
    _op(samples, channels, valid, slots, state.ring, state.coarse, state.scalars, out)

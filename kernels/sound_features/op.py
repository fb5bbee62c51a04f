"""`avjury::sound_features`: a row of features of 100 ms of sound, for what is judged over several blocks."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from kernels.sound_features.layout import BLOCK, FEATURES, HISTORY, MAX_CHANNELS

_library: Any = torch.library.Library("avjury", "FRAGMENT")  # type: ignore[no-untyped-call]
# Not `torch.library.custom_op`, for the same reason as in kernels/judge: it costs more per call than the measuring.
_library.define(
    "sound_features(Tensor samples, Tensor channels, Tensor valid, Tensor slots, Tensor(a!) history, "
    "Tensor(b!) known) -> Tensor"
)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureState:
    """The last samples of each slot, on the device of the kernel.

    Args:
        history: (slots, 387) float64: mean of the channels.
        known: (slots,) int64: 1 where the next block follows on `history`, 0 at a stream's start and after a block
            that was not whole.
    """

    history: Tensor
    known: Tensor

    @classmethod
    def allocate(cls, slots: int, device: torch.device | str = "cpu") -> "FeatureState":
        """Memory for `slots` streams that have heard nothing yet (3 kB each)."""
        return cls(
            torch.zeros((slots, HISTORY), dtype=torch.float64, device=device),
            torch.zeros(slots, dtype=torch.int64, device=device),
        )

    def reset(self, slot: int) -> None:
        """Forget everything about `slot` (no wait on a CUDA device)."""
        self.history[slot].zero_()
        self.known[slot] = 0


def _cpu(samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, history: Tensor, known: Tensor) -> Tensor:
    from kernels.sound_features import cpu  # numba compiles on import: only where it is needed

    return cpu.sound_features(samples, channels, valid, slots, history, known)


def _cuda(samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, history: Tensor, known: Tensor) -> Tensor:
    from kernels.sound_features import gpu  # triton is absent on some CPU-only platforms

    return gpu.sound_features(samples, channels, valid, slots, history, known)


def _fake(samples: Tensor, *_: Tensor) -> Tensor:
    return samples.new_empty((samples.shape[0], FEATURES), dtype=torch.float64)


_library.impl("sound_features", _cpu, "CPU")
_library.impl("sound_features", _cuda, "CUDA")
torch.library.register_fake("avjury::sound_features", _fake, lib=_library)

_op: Final = torch.ops.avjury.sound_features.default


def sound_features(state: FeatureState, samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor) -> Tensor:
    """Features of one block of each of N streams, which changes `state`.

    Samples that are not a number count as 0, larger ones than +80 dBFS as that. A block of fewer than 4800 samples has
    only the features of its channels; the others are NaN. A row does not depend on what else is in the batch.

    Args:
        state: memory of all slots, on the same device.
        samples: (N, C, 4800) float32, C 1 to 8, full scale 1.0, 48 kHz; the samples of a channel adjacent.
        channels: (N,) int64: real channels, 1..C; the others are not read.
        valid: (N,) int64: real samples per channel, 1..4800.
        slots: (N,) int64: all different, below the state's number of slots.
    Returns: (N, FEATURES) float64 on the same device; columns by `Feature`.
    Raises: ValueError if a shape or dtype is another: the kernels trust them.
    """
    rows, wide = samples.shape[0], samples.shape[1] if samples.dim() == 3 else 0
    whole = samples.shape == (rows, wide, BLOCK) and 1 <= wide <= MAX_CHANNELS and samples.dtype == torch.float32
    if not (whole and all(t.shape == (rows,) and t.dtype == torch.int64 for t in (channels, valid, slots))):
        received = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in (samples, channels, valid, slots))
        raise ValueError(f"sound_features: wanted (N, 1..8, 4800) float32 and three (N,) int64, got {received}")
    result: Tensor = _op(samples, channels, valid, slots, state.history, state.known)
    return result

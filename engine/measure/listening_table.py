"""Windows that the audio network hears, in one piece, for a GPU: what is uploaded at once before launches play back."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.audio_hearing import WINDOW_SAMPLES

_CHANNELS: Final = 2
_WORDS_PER_WINDOW: Final = _CHANNELS * WINDOW_SAMPLES // 2  # two samples of float32 in one int64


class WindowInputs:
    """What differs from one time of listening to the next; see `engine.measure.graphs.Uploaded`.

    Args:
        rows: windows, even, so that their samples begin at a multiple of 16 bytes.
        device: where the network runs.
    """

    def __init__(self, rows: int, device: torch.device) -> None:
        self.table = torch.zeros(rows + rows * _WORDS_PER_WINDOW, dtype=torch.int64, device=device)
        self.slots = self.table[:rows]
        self.windows = self.table[rows:].view(torch.float32).view(rows, _CHANNELS, WINDOW_SAMPLES)

    def fill(self, staged: Tensor) -> None:
        """Upload what `stage_windows` made. Rows beyond its windows keep the sound of earlier ones."""
        self.table[: len(staged)].copy_(staged, non_blocking=True)


def stage_windows(
    ring: npt.NDArray[np.float32], slots: Sequence[int], orders: Sequence[Sequence[int]], rows: int, spare_slot: int,
    *, pinned: bool,
) -> Tensor:  # fmt: skip
    """The table on the host, for `WindowInputs.fill`.

    Args:
        ring: (slots, 2, blocks, samples): the sound of each slot.
        slots: whose windows.
        orders: for each of these, its blocks as they follow each other.
        rows: as many or more; those beyond lie in `spare_slot`.
        spare_slot: nobody's.
        pinned: page-locked: an upload from other memory waits for all that was launched before it.
    """
    count = len(slots)
    staged = torch.empty(rows + count * _WORDS_PER_WINDOW, dtype=torch.int64, pin_memory=pinned)
    numbers = staged.numpy()
    numbers[:count], numbers[count:rows] = slots, spare_slot
    windows = numbers[rows:].view(np.float32).reshape(count, _CHANNELS, *ring.shape[2:])
    for window, slot, order in zip(windows, slots, orders, strict=True):
        np.take(ring[slot], order, axis=1, out=window)
    return staged

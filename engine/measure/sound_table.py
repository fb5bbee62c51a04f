"""A batch of sound in one piece, for a GPU: what is uploaded at once, and then measured by launches that play back."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from engine.batch import BLOCK_SAMPLES, MAX_CHANNELS
from engine.media import AudioBatch

# int64: slot, channels, valid, the slot under which it is followed; float64: pts, until, clip level, weights.
_WHOLE: Final = 4
_WORDS_PER_BLOCK: Final = BLOCK_SAMPLES // 2  # two samples of float32 in one int64
_ALIGNMENT: Final = 2  # words


def _width(rows: int) -> int:
    """Of a column of numbers: each begins at a multiple of 16 bytes, as those of pictures do (graphs.py)."""
    return -(-rows // _ALIGNMENT) * _ALIGNMENT


def _numbers_size(rows: int) -> int:
    return (_WHOLE + 3) * _width(rows) + rows * MAX_CHANNELS


class SoundInputs:
    """What differs from batch to batch of sound; see `engine.measure.graphs.Uploaded`.

    Args:
        rows: of the batch.
        channels: most of a block.
        device: where the kernels run.
    """

    def __init__(self, rows: int, channels: int, device: torch.device) -> None:
        numbers, width = _numbers_size(rows), _width(rows)
        size = numbers + rows * channels * _WORDS_PER_BLOCK
        self.table = torch.zeros(size, dtype=torch.int64, device=device)
        whole = self.table[: _WHOLE * width].view(_WHOLE, width)[:, :rows]
        real = self.table[_WHOLE * width : numbers].view(torch.float64)
        self.slots, self.channels, self.valid, self.followed = whole
        self.pts, self.until, self.clip_level = real[: 3 * width].view(3, width)[:, :rows]
        self.weights = real[3 * width :].view(rows, MAX_CHANNELS)
        self.samples = self.table[numbers:].view(torch.float32).view(rows, channels, BLOCK_SAMPLES)

    def fill(self, staged: Tensor) -> None:
        """Upload what `stage_sound` made. Rows beyond the batch keep the samples of an earlier one."""
        self.table[: len(staged)].copy_(staged, non_blocking=True)


def stage_sound(batch: AudioBatch, rows: int, channels: int, spare_slot: int, *, pinned: bool) -> Tensor:
    """A batch's table on the host, for `SoundInputs.fill`.

    Args:
        batch: N blocks.
        rows: N or more; those beyond lie in slots of nobody's, all different, as the kernels want them.
        channels: at least those of the batch.
        spare_slot: the first of these, and the one under which such rows are followed.
        pinned: page-locked, so that the upload does not wait.
    """
    count = len(batch.slots)
    numbers, width = _numbers_size(rows), _width(rows)
    staged = torch.empty(numbers + count * channels * _WORDS_PER_BLOCK, dtype=torch.int64, pin_memory=pinned)
    whole = staged[: _WHOLE * width].numpy().reshape(_WHOLE, width)[:, :rows]
    real = staged[_WHOLE * width : numbers].numpy().view(np.float64)
    times = real[: 3 * width].reshape(3, width)[:, :rows]
    weights = real[3 * width :].reshape(rows, MAX_CHANNELS)
    whole[0, count:] = spare_slot + np.arange(rows - count)
    whole[1, count:], whole[2, count:], whole[3, count:] = 1, BLOCK_SAMPLES, spare_slot
    times[:, count:], weights[count:] = 1.0, 0.0
    whole[0, :count] = whole[3, :count] = batch.slots.numpy()
    whole[1, :count], whole[2, :count] = batch.channels.numpy(), batch.valid.numpy()
    times[0, :count] = batch.pts.numpy()
    times[1, :count] = times[0, :count] + batch.seconds.numpy()
    times[2, :count] = batch.clip_level.numpy()
    weights[:count] = batch.weights.numpy()
    own = batch.samples.shape[1]
    samples = staged[numbers:].numpy().view(np.float32).reshape(count, channels, BLOCK_SAMPLES)
    samples[:, :own] = batch.samples.numpy()  # what lies beyond a block's own channels is not read
    return staged

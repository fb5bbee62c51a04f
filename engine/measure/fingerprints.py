"""Rows that pictures are known by, of the streams that are compared with others."""

import numpy as np
import torch
from torch import Tensor

from engine.fingerprints import Rows, regions_of
from engine.media import FrameBatch
from kernels.layout import REFERENCE_FIELDS
from kernels.tile_stats import tile_stats


class Fingerprints:
    """Keeps the mean luma of the regions of pictures.

    Args:
        device: where the kernels run.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: dict[int, Rows] = {}  # by slot

    def keep(self, slot: int, rows: Rows | None) -> None:
        """Where the rows of a slot's pictures go from now on; None keeps none."""
        if rows is None:
            self._kept.pop(slot, None)
        else:
            self._kept[slot] = rows

    def kept(self, slot: int) -> Rows:
        """The rows of a slot's pictures."""
        return self._kept[slot]

    def take(self, batch: FrameBatch, frames: Tensor) -> None:
        """Keep the rows of those pictures of a batch that are compared.

        Args:
            batch: the pictures.
            frames: (N, FRAME_FIELDS) int64 on the device.
        """
        chosen = [row for row, slot in enumerate(batch.numbers) if slot in self._kept]
        if not chosen:
            return
        if len(chosen) < len(batch.numbers):
            frames = frames[torch.tensor(chosen).to(self._device, non_blocking=True)]
        nothing = torch.zeros((len(chosen), REFERENCE_FIELDS), dtype=torch.int64, device=self._device)
        regions = regions_of(tile_stats(frames, nothing)[:, 0]).to(torch.float32)
        pts = batch.pts.numpy()
        for place, row in enumerate(chosen):
            self._kept[batch.numbers[row]].append(np.array([pts[row]]), regions[place : place + 1])

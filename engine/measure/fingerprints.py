"""Rows that pictures are known by, of the streams that are compared with others, or whose motion is heard."""

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
        self._tiles: dict[int, Rows] = {}  # by slot, of those whose lip sync the network judges

    def keep(self, slot: int, rows: Rows | None) -> None:
        """Where the rows of a slot's pictures go from now on; None keeps none."""
        if rows is None:
            self._kept.pop(slot, None)
        else:
            self._kept[slot] = rows

    def keep_tiles(self, slot: int, rows: Rows | None) -> None:
        """The same of every tile by itself."""
        if rows is None:
            self._tiles.pop(slot, None)
        else:
            self._tiles[slot] = rows

    def kept(self, slot: int) -> Rows:
        """The rows of a slot's pictures."""
        return self._kept[slot]

    def take(self, batch: FrameBatch, frames: Tensor) -> None:
        """Keep the rows of those pictures of a batch that are compared.

        Args:
            batch: the pictures.
            frames: (N, FRAME_FIELDS) int64 on the device.
        """
        chosen = [row for row, slot in enumerate(batch.numbers) if slot in self._kept or slot in self._tiles]
        if not chosen:
            return
        if len(chosen) < len(batch.numbers):
            rows = torch.tensor(chosen, pin_memory=self._device.type == "cuda")
            frames = frames[rows.to(self._device, non_blocking=True)]
        nothing = torch.zeros((len(chosen), REFERENCE_FIELDS), dtype=torch.int64, device=self._device)
        tiles = tile_stats(frames, nothing)[:, 0]
        regions = regions_of(tiles).to(torch.float32)
        pts = batch.pts.numpy()
        for place, row in enumerate(chosen):
            slot, at = batch.numbers[row], np.array([pts[row]])
            if slot in self._kept:
                self._kept[slot].append(at, regions[place : place + 1])
            if slot in self._tiles:
                self._tiles[slot].append(at, tiles[place : place + 1].to(torch.float32))

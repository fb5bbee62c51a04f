"""Rows that pictures are known by, of the streams that are compared with others."""

from collections.abc import Collection, Mapping

import numpy as np
import torch

from engine.fingerprints import Rows as KeptRows
from engine.fingerprints import regions_of
from engine.measure.arithmetic import Arithmetic
from engine.measure.rows import Rows
from kernels.layout import REFERENCE_FIELDS
from kernels.tile_stats import tile_stats


class Fingerprints:
    """The part that keeps the mean luma of a picture's regions. It fills no column.

    Args:
        arithmetic: of the device.
    """

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._device = arithmetic.device
        self._kept: dict[int, KeptRows] = {}  # by slot

    def keep(self, slot: int, rows: KeptRows | None) -> None:
        """Where the rows of a slot's pictures go from now on; None keeps none."""
        if rows is None:
            self._kept.pop(slot, None)
        else:
            self._kept[slot] = rows

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        """Rows are kept over a change of detectors."""

    def fill(self, rows: Rows) -> None:
        if not self._kept:
            return
        chosen = [row for row, slot in enumerate(rows.batch.numbers) if slot in self._kept]
        if not chosen:
            return
        index = torch.tensor(chosen)
        frames = rows.frames[index.to(self._device, non_blocking=True)]
        nothing = torch.zeros((len(chosen), REFERENCE_FIELDS), dtype=torch.int64, device=self._device)
        regions = regions_of(tile_stats(frames, nothing)[:, 0]).to(torch.float32)
        pts = rows.batch.pts.numpy()
        for place, row in enumerate(chosen):
            self._kept[rows.batch.numbers[row]].append(np.array([pts[row]]), regions[place : place + 1])

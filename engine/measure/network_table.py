"""Pictures that the network looks at, in one piece, for a GPU: what is uploaded at once before launches play back."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engine.media import FrameBatch
from kernels.layout import FRAME_FIELDS

_OTHERS: Final = 2  # slot, full range; and two numbers per place that is chosen by chance


class LookInputs:
    """What differs from one look to the next; see `engine.measure.graphs.Uploaded`.

    Args:
        rows: pictures.
        places: chosen by chance in each.
        device: where the network runs.
    """

    def __init__(self, rows: int, places: int, device: torch.device) -> None:
        self.table = torch.zeros((rows * (FRAME_FIELDS + _OTHERS + 2 * places)), dtype=torch.int64, device=device)
        ends = [rows * FRAME_FIELDS, rows * (FRAME_FIELDS + 1), rows * (FRAME_FIELDS + 2)]
        frames, self.slots, self.ranges, chance = torch.tensor_split(self.table, ends)
        self.frames, self.chance = frames.view(rows, FRAME_FIELDS), chance.view(rows, places, 2)

    def fill(self, staged: Tensor) -> None:
        """Upload what `stage_looks` made."""
        self.table.copy_(staged, non_blocking=True)


def stage_looks(
    batch: FrameBatch, due: Sequence[int], chance: Sequence[Sequence[tuple[int, int]]], rows: int, spare_slot: int,
    *, pinned: bool,
) -> Tensor:  # fmt: skip
    """The table on the host, for `LookInputs.fill`.

    Args:
        batch: at hand.
        due: rows of it.
        chance: for each of these, the corners of the places chosen by chance.
        rows: as many or more; those beyond have no picture and lie in `spare_slot`.
        spare_slot: nobody's.
        pinned: page-locked, so that the upload does not wait.
    """
    count, places = len(due), len(chance[0])
    staged = torch.zeros(rows * (FRAME_FIELDS + _OTHERS + 2 * places), dtype=torch.int64, pin_memory=pinned)
    ends = np.cumsum([rows * FRAME_FIELDS, rows, rows])
    frames, slots, ranges, corners = np.split(staged.numpy(), ends)
    chosen = list(due)
    frames.reshape(rows, FRAME_FIELDS)[:count] = batch.frames.numpy()[chosen]
    slots[:count], slots[count:] = batch.slots.numpy()[chosen], spare_slot
    ranges[:count] = [batch.surfaces[row].full_range for row in chosen]
    corners.reshape(rows, places, 2)[:count] = chance
    return staged

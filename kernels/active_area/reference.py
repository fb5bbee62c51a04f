"""active_area, plain and slow: the definition that the fast versions are held to. For tests only."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.active_area.op import COLUMNS, LIMIT
from kernels.frame_stats.reference import plane_at
from kernels.layout import Field


def leading(black: npt.NDArray[np.bool_]) -> float:
    """Share of the lines up to the first that is not black."""
    return float((~black).argmax() / len(black)) if not black.all() else 1.0


def active_area(frames: Tensor) -> Tensor:
    """The op's definition; see kernels/active_area/op.py."""
    out = np.full((frames.shape[0], len(COLUMNS)), np.nan)
    for n, frame in enumerate(frames.tolist()):
        if not frame[Field.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        stored = plane_at(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH], width, height, 1, depth)
        codes = stored.astype(np.int64) >> frame[Field.SHIFT]
        limit = LIMIT << (depth - 8)
        rows, columns = codes.sum(axis=1) // width <= limit, codes.sum(axis=0) // height <= limit
        out[n] = leading(rows), leading(rows[::-1]), leading(columns), leading(columns[::-1])
    return torch.from_numpy(out)

"""fields, plainly: what the other two versions have to give."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.fields.layout import COLUMNS, MARGIN, pair_step, pairs
from kernels.frame_stats.reference import plane_at
from kernels.layout import Field, ReferenceField


def fields(frames: Tensor, references: Tensor) -> Tensor:
    """The op's definition; see kernels/fields/op.py."""
    out: npt.NDArray[np.float64] = np.full((frames.shape[0], len(COLUMNS)), np.nan)
    for n, (frame, reference) in enumerate(zip(frames.tolist(), references.tolist(), strict=True)):
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        if not frame[Field.LUMA_ADDRESS] or not reference[ReferenceField.LUMA_ADDRESS] or not pairs(height):
            continue
        this, earlier = (
            plane_at(address, pitch, width, height, 1, depth).astype(np.int64) >> frame[Field.SHIFT]
            for address, pitch in (
                (frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH]),
                (reference[ReferenceField.LUMA_ADDRESS], reference[ReferenceField.LUMA_PITCH]),
            )
        )
        step = pair_step(height)
        top = MARGIN + 2 * np.arange(step // 2, pairs(height), step)
        many = 2 * len(top) * width << (depth - 8)
        for column, (middle, around, lines) in enumerate(
            ((earlier, this, top), (earlier, this, top + 1), (this, earlier, top), (this, earlier, top + 1))
        ):
            apart = np.abs(2 * middle[lines] - around[lines - 1] - around[lines + 1])
            out[n, column] = float(apart.sum()) / float(many)
        both = np.concatenate([top, top + 1])
        apart = np.abs(2 * this[both] - this[both - 1] - this[both + 1])
        out[n, 4] = float(apart.sum()) / float(2 * many)
    return torch.from_numpy(out)

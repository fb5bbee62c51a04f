"""From exact sums to the columns: the same float64 operations for every version."""

import torch
from torch import Tensor

from kernels.layout import Field
from kernels.siti.op import PARTS


def columns(sums: Tensor, frames: Tensor, references: Tensor) -> Tensor:
    """The columns of siti.

    Args:
        sums: (N, 4) int64: of the gradients' squares, of their lengths in PARTS of a code, of the differences' squares,
            of the differences.
        frames, references: the tables.
    Returns: (N, 2) float64.
    """
    seen = frames[:, Field.LUMA_ADDRESS] != 0
    width, height = frames[:, Field.WIDTH], frames[:, Field.HEIGHT]
    unit = torch.exp2((frames[:, Field.BIT_DEPTH] - 8).to(torch.float64))
    inner = ((width - 2).clamp(min=0) * (height - 2).clamp(min=0)).to(torch.float64)
    total = sums.to(torch.float64)  # below 2**63, and rounded the same everywhere

    def deviation(squares: Tensor, mean: Tensor, count: Tensor) -> Tensor:
        return ((squares / count - mean * mean).clamp(min=0.0)).sqrt() / unit

    spatial = deviation(total[:, 0], total[:, 1] / PARTS / inner, inner)
    pixels = (width * height).to(torch.float64)
    temporal = deviation(total[:, 2], total[:, 3] / pixels, pixels)
    nothing = torch.full_like(spatial, torch.nan)
    spatial = torch.where(seen & (inner > 0), spatial, nothing)
    return torch.stack([spatial, torch.where(seen & (references[:, 0] != 0), temporal, nothing)], dim=1)

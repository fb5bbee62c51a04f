"""siti, plain and slow: the definition that the fast versions are held to. For tests only."""

import math

import numpy as np
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field, ReferenceField
from kernels.siti.op import PARTS


def gradient_squares(luma: Plane) -> Plane:
    """(height - 2, width - 2): squared length of the Sobel gradient."""

    def smoothed(p: Plane, axis: int) -> Plane:
        return p[:-2] + 2 * p[1:-1] + p[2:] if axis == 0 else p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]

    down, across = smoothed(luma, 1), smoothed(luma, 0)
    squares: Plane = (down[2:] - down[:-2]) ** 2 + (across[:, 2:] - across[:, :-2]) ** 2
    return squares


def siti(frames: Tensor, references: Tensor) -> Tensor:
    """The op's definition; see kernels/siti/op.py."""
    out = np.full((frames.shape[0], 2), np.nan)
    for n, (frame, reference) in enumerate(zip(frames.tolist(), references.tolist(), strict=True)):
        if not frame[Field.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        unit = 1 << (depth - 8)

        def codes(address: int, pitch: int, size: tuple[int, int, int] = (width, height, depth)) -> Plane:
            return plane_at(address, pitch, size[0], size[1], 1, size[2]).astype(np.int64)

        luma = codes(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH]) >> frame[Field.SHIFT]
        if width > 2 and height > 2:
            squares = gradient_squares(luma)
            lengths = sum(math.isqrt(int(square) * PARTS * PARTS) for square in squares.flat)
            mean = lengths / PARTS / squares.size
            out[n, 0] = math.sqrt(max(0.0, int(squares.sum()) / squares.size - mean * mean)) / unit
        if reference[ReferenceField.LUMA_ADDRESS]:
            earlier = codes(reference[ReferenceField.LUMA_ADDRESS], reference[ReferenceField.LUMA_PITCH])
            apart = luma - (earlier >> frame[Field.SHIFT])
            mean = int(apart.sum()) / apart.size
            out[n, 1] = math.sqrt(max(0.0, int((apart * apart).sum()) / apart.size - mean * mean)) / unit
    return torch.from_numpy(out)

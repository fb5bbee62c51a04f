"""frame_stats, plain and slow: the definition that the fast versions are held to. For tests only."""

import ctypes

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.columns import COLUMNS
from kernels.layout import Field, ReferenceField

Plane = npt.NDArray[np.int64]


def plane_at(address: int, pitch: int, width: int, height: int, step: int, depth: int) -> npt.NDArray[np.generic]:
    """The stored samples in host memory as a (height, width) view that can be written to."""
    dtype = np.dtype(np.uint8) if depth == 8 else np.dtype("<u2")
    size = (height - 1) * pitch + ((width - 1) * step + 1) * dtype.itemsize
    memory = memoryview((ctypes.c_uint8 * size).from_address(address)).cast("B")
    return np.ndarray((height, width), dtype, memory, strides=(pitch, step * dtype.itemsize))


def frame_stats(frames: Tensor, references: Tensor, retain: Tensor) -> Tensor:
    """The same as kernels.frame_stats.frame_stats, for tables of host addresses."""
    rows = [
        _row(f, r, k) for f, r, k in zip(frames.tolist(), references.tolist(), retain.tolist(), strict=True)
    ]  # fmt: skip
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), len(COLUMNS))


def _planes(row: list[int], frame: list[int]) -> list[npt.NDArray[np.generic]]:
    """Luma, U and V of a frame row or of a reference row (whose fields begin in the same order)."""
    is_frame = len(row) == len(Field)
    luma_pitch = row[Field.LUMA_PITCH if is_frame else ReferenceField.LUMA_PITCH]
    chroma_pitch = row[Field.CHROMA_PITCH if is_frame else ReferenceField.CHROMA_PITCH]
    depth, step = frame[Field.BIT_DEPTH], frame[Field.CHROMA_STEP]
    planes = [plane_at(row[0], luma_pitch, frame[Field.WIDTH], frame[Field.HEIGHT], 1, depth)]
    if frame[Field.CHROMA_WIDTH]:
        size = frame[Field.CHROMA_WIDTH], frame[Field.CHROMA_HEIGHT]
        planes += [plane_at(row[k], chroma_pitch, *size, step, depth) for k in (1, 2)]
    return planes


def _row(frame: list[int], reference: list[int], retain: list[int]) -> list[float]:
    if frame[Field.LUMA_ADDRESS] == 0:
        return [float("nan")] * len(COLUMNS)
    stored = _planes(frame, frame)
    codes = [plane.astype(np.int64) >> frame[Field.SHIFT] for plane in stored]
    full, luma = 1 << frame[Field.BIT_DEPTH], codes[0]
    height, width = luma.shape
    mafd = luma_difference = float("nan")
    if reference[ReferenceField.LUMA_ADDRESS]:
        earlier = [plane.astype(np.int64) >> frame[Field.SHIFT] for plane in _planes(reference, frame)]
        sums = [int(np.abs(a - b).sum()) for a, b in zip(codes, earlier, strict=True)]
        mafd = sum(sums) / (sum(plane.size for plane in codes) * full)
        luma_difference = sums[0] / (luma.size * full)
    if retain[ReferenceField.LUMA_ADDRESS]:
        for target, source in zip(_planes(retain, frame), stored, strict=True):
            target[:] = source
    values = {
        "mafd": mafd,
        "luma_difference": luma_difference,
        "black_ratio": int((luma <= frame[Field.BLACK_LEVEL]).sum()) / luma.size,
        "luma_mean": int(luma.sum()) / (luma.size * full),
        "luma_min": int(luma.min()) / full,
        "luma_max": int(luma.max()) / full,
        "gradient": int(np.abs(np.diff(luma, axis=1)).sum()) / (max(1, (width - 1) * height) * full),
    }
    return [values[name] for name in COLUMNS]

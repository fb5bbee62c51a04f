"""frame_stats, plain and slow: the definition that the fast versions are held to. For tests only."""

import ctypes

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.columns import COLUMNS, PERIOD_MAX, PERIOD_MIN, QUOTIENT_ONE, STRIP_WIDTH, row_step, strip_step
from kernels.layout import Field, ReferenceField

Plane = npt.NDArray[np.int64]


def plane_at(address: int, pitch: int, width: int, height: int, step: int, depth: int) -> npt.NDArray[np.generic]:
    """The stored samples in host memory as a (height, width) view that can be written to."""
    dtype = np.dtype(np.uint8) if depth == 8 else np.dtype("<u2")
    size = (height - 1) * pitch + ((width - 1) * step + 1) * dtype.itemsize
    memory = memoryview((ctypes.c_uint8 * size).from_address(address)).cast("B")
    return np.ndarray((height, width), dtype, memory, strides=(pitch, step * dtype.itemsize))


def edge_profile(luma8: Plane, lines: npt.NDArray[np.int64]) -> Plane:
    """Sums over the given rows of the blocking quotients between neighbouring columns, in units of 1/QUOTIENT_ONE."""
    width = luma8.shape[1]
    profile = np.zeros(width, np.int64)
    steps = np.abs(np.diff(luma8, axis=1))
    for i in range(3, width - 4):
        around = steps[:, i - 3 : i].sum(axis=1) + steps[:, i + 1 : i + 4].sum(axis=1)
        quotients = steps[:, i] * QUOTIENT_ONE // np.maximum(1, around)
        profile[i] = quotients[lines].sum()
    return profile


def strongest_period(profile: Plane) -> float:
    """The largest ratio, over all periods, of the mean on a grid's lines to the mean elsewhere; 0 where undefined."""
    strongest = 0.0
    lines = range(3, len(profile) - 4)
    for period in range(PERIOD_MIN, PERIOD_MAX + 1):
        on = [int(profile[i - 1 : i + 2].max()) for i in lines if i % period == period - 1]
        off = [int(profile[i]) for i in lines if i % period != period - 1]
        if on and sum(off) > 0:
            strongest = max(strongest, float(sum(on)) * len(off) / (float(sum(off)) * len(on)))
    return strongest


def blockiness(luma8: Plane, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> float:
    """FFmpeg's blockdetect value of one 8-bit picture, looking at the given rows and columns."""
    return max(strongest_period(edge_profile(luma8, rows)), strongest_period(edge_profile(luma8.T, columns)))


def sampled_rows(height: int) -> npt.NDArray[np.int64]:
    """The rows in which vertical edges are looked for."""
    step = row_step(height)
    return np.arange(step // 2 + 1, height, step)


def sampled_columns(width: int) -> npt.NDArray[np.int64]:
    """The columns in which horizontal edges are looked for."""
    step = strip_step(width)
    if step == 1:
        return np.arange(1, width)
    strips = [s for s in range(step // 2, width, step) if (s + 1) * STRIP_WIDTH <= width]
    return np.array([s * STRIP_WIDTH + k for s in strips for k in range(STRIP_WIDTH)], np.int64)


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
    luma8 = luma >> (frame[Field.BIT_DEPTH] - 8)
    values = {
        "mafd": mafd,
        "luma_difference": luma_difference,
        "black_ratio": int((luma <= frame[Field.BLACK_LEVEL]).sum()) / luma.size,
        "luma_mean": int(luma.sum()) / (luma.size * full),
        "luma_min": int(luma.min()) / full,
        "luma_max": int(luma.max()) / full,
        "gradient": int(np.abs(np.diff(luma, axis=1)).sum()) / (max(1, (width - 1) * height) * full),
        "blockiness": blockiness(luma8, sampled_rows(height), sampled_columns(width)),
    }
    return [values[name] for name in COLUMNS]

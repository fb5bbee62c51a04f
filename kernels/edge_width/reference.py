"""The plain version: one picture, one pixel, one step at a time. Used by tests only."""

import ctypes
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.layout import Field

_MASK = (
    (2, 4, 5, 4, 2),
    (4, 9, 12, 9, 4),
    (5, 12, 15, 12, 5),
    (4, 9, 12, 9, 4),
    (2, 4, 5, 4, 2),
)
_STEPS = {"horizontal": (1, 0), "vertical": (0, 1), "down": (1, 1), "up": (1, -1)}


def luma_in_8_bits(row: list[int]) -> npt.NDArray[np.int64]:
    """(height, width) codes of a frame row, read where they lie."""
    height, width, pitch = row[Field.HEIGHT], row[Field.WIDTH], row[Field.LUMA_PITCH]
    depth, shift = row[Field.BIT_DEPTH], row[Field.SHIFT]
    luma = np.empty((height, width), np.int64)
    for y in range(height):
        start = row[Field.LUMA_ADDRESS] + y * pitch
        line = ctypes.string_at(start, width if depth == 8 else 2 * width)
        luma[y] = np.frombuffer(line, np.uint8 if depth == 8 else "<u2")
    return luma >> (shift + depth - 8)


def smooth(luma: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """5x5 Gaussian in integers; the two outer rows and columns stay as they are."""
    height, width = luma.shape
    out = luma.copy()
    for y in range(2, height - 2):
        for x in range(2, width - 2):
            total = sum(_MASK[j][i] * int(luma[y + j - 2, x + i - 2]) for j in range(5) for i in range(5))
            out[y, x] = total // 159
    return out


def slopes(picture: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], dict[tuple[int, int], str]]:
    """|gx| + |gy| per pixel (0 on the rim), and the direction of each inner pixel by (y, x)."""
    height, width = picture.shape
    slope = np.zeros((height, width), np.int64)
    direction: dict[tuple[int, int], str] = {}
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            p = [[int(v) for v in line] for line in picture[y - 1 : y + 2, x - 1 : x + 2]]
            gx = (p[0][2] + 2 * p[1][2] + p[2][2]) - (p[0][0] + 2 * p[1][0] + p[2][0])
            gy = (p[2][0] + 2 * p[2][1] + p[2][2]) - (p[0][0] + 2 * p[0][1] + p[0][2])
            slope[y, x] = abs(gx) + abs(gy)
            angle = math.degrees(math.atan2(abs(gy), abs(gx)))
            if gx != 0 and angle < 22.5:
                direction[y, x] = "horizontal"
            elif gx == 0 or angle > 67.5:
                direction[y, x] = "vertical"
            else:
                direction[y, x] = "down" if (gx > 0) == (gy > 0) else "up"
    return slope, direction


def find_edges(
    slope: npt.NDArray[np.int64], direction: dict[tuple[int, int], str], low: int = 15, high: int = 30
) -> list[tuple[int, int]]:
    """(y, x) of local maxima above `high`, and of those above `low` that touch one."""
    peaks: dict[tuple[int, int], int] = {}
    for (y, x), toward in direction.items():
        dx, dy = _STEPS[toward]
        if slope[y, x] > slope[y + dy, x + dx] and slope[y, x] > slope[y - dy, x - dx]:
            peaks[y, x] = int(slope[y, x])

    def touches_strong(y: int, x: int) -> bool:
        return any(peaks.get((y + j, x + i), 0) > high for j in (-1, 0, 1) for i in (-1, 0, 1))

    return [at for at, peak in peaks.items() if peak > high or (peak > low and touches_strong(*at))]


def width_in_tenths(picture: npt.NDArray[np.int64], y: int, x: int, toward: str, radius: int = 50) -> int:
    """Width of the edge at (y, x); 0 where it has none or the search leaves the picture."""
    height, width = picture.shape
    dx, dy = _STEPS[toward]
    sign = 1 if picture[y, x] > picture[y - dy, x - dx] else -1
    steps = 0
    for way in (-1, 1):
        for k in range(radius):
            there_y, there_x = y + way * (k + 1) * dy, x + way * (k + 1) * dx
            if not (0 <= there_y < height and 0 <= there_x < width):
                return 0
            rise = int(picture[there_y, there_x]) - int(picture[y + way * k * dy, x + way * k * dx])
            if rise * sign * way <= 0:
                break
            steps += 1
    return steps * (10 if 0 in (dx, dy) else 7)


def _measure(row: list[int]) -> list[float]:
    luma = luma_in_8_bits(row)
    picture = smooth(luma)
    slope, direction = slopes(picture)
    edges = find_edges(slope, direction)
    widths = [w for y, x in edges if (w := width_in_tenths(picture, y, x, direction[y, x])) > 0]
    share = len(edges) / luma.size
    if sum(widths) < 20:  # blurdetect's own limit: two samples of width in the whole picture
        return [math.nan, share]
    return [sum(widths) / len(widths) / 10, share]


def edge_width(frames: Tensor) -> Tensor:
    """See kernels/edge_width/op.py."""
    rows = [[math.nan] * 2 if row[Field.LUMA_ADDRESS] == 0 else _measure(row) for row in frames.tolist()]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 2)

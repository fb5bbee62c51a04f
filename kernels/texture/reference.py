"""texture, plain and slow: the definition that the fast versions are held to. For tests only."""

import math

import numpy as np
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field
from kernels.texture import columns as c


def chroma_share(y: int, extent: int, chroma_extent: int) -> int:
    """Index of the chroma sample that goes with luma index y."""
    return y >> ((chroma_extent < extent) + (2 * chroma_extent < extent))


def out_of_range(luma: Plane, u: Plane, v: Plane, depth: int) -> float:
    """Share of pixels whose luma or chroma is outside limited range."""
    one = 1 << (depth - 8)
    bad = (luma < c.LOWEST * one) | (luma > c.HIGHEST_LUMA * one)
    if u.size:
        rows = [chroma_share(y, luma.shape[0], u.shape[0]) for y in range(luma.shape[0])]
        columns = [chroma_share(x, luma.shape[1], u.shape[1]) for x in range(luma.shape[1])]
        for plane in (u, v):
            wrong = (plane < c.LOWEST * one) | (plane > c.HIGHEST_CHROMA * one)
            bad |= wrong[np.ix_(rows, columns)]
    return int(bad.sum()) / luma.size


def saturation(u: Plane, v: Plane, depth: int) -> float:
    """Mean length of (U, V), each rounded down, over full scale."""
    excess = max(0, depth - c.SATURATION_BITS)
    bits = depth - excess
    middle = 1 << (bits - 1)
    total = sum(
        math.isqrt((int(a) - middle) ** 2 + (int(b) - middle) ** 2)
        for a, b in zip((u >> excess).flat, (v >> excess).flat, strict=True)
    )
    return total / (u.size << bits)


def blocks(fine: Plane) -> list[tuple[int, int]]:
    """(y, x) of the first sample of each block that is looked at."""
    height, width = fine.shape
    step = c.band_step(height)
    return [
        (2 + c.BAND_ROWS * band, 1 + c.BLOCK_WIDTH * k)
        for band in range(step // 2, c.bands(height), step)
        for k in range(c.blocks(width))
    ]


def measures_of_blocks(fine: Plane) -> tuple[float, float, float, float]:
    """Combing, noise, banding and grain."""
    at = blocks(fine)
    if not at:
        return 0.0, 0.0, 0.0, 0.0
    combed = banded = wide = blank = 0
    noise, grains = [], []
    for y, x in at:

        def moved(down: int, right: int, y: int = y, x: int = x) -> Plane:
            return fine[y + down : y + down + c.BAND_ROWS, x + right : x + right + c.BLOCK_WIDTH]

        here = moved(0, 0)
        frame = int(np.abs(2 * here - moved(-1, 0) - moved(1, 0)).sum())
        field = int(np.abs(2 * here - moved(-2, 0) - moved(2, 0)).sum())
        combed += frame >= c.COMB_DIFFERENCE * c.BLOCK_SAMPLES and c.COMB_LESS * frame >= c.COMB_MORE * field
        corners = moved(-1, -1) + moved(-1, 1) + moved(1, -1) + moved(1, 1)
        sides = moved(-1, 0) + moved(1, 0) + moved(0, -1) + moved(0, 1)
        laplacian, span = int(np.abs(4 * here + corners - 2 * sides).sum()), here.max() - here.min()
        loud = min(c.NOISE_BINS - 1, laplacian >> c.NOISE_BIN_BITS)
        if c.NOISE_DARKEST <= here.sum() <= c.NOISE_BRIGHTEST:
            noise.append(loud)
            grains.append(c.GRAIN * span <= laplacian)
        else:
            blank += here.sum() < c.NOISE_DARKEST or loud < c.NOISE_QUIET
        beside = [np.abs(here - moved(0, -1)), np.abs(here - moved(-1, 0))]
        steps = sum(int((apart >= c.BAND_STEP_MIN).sum()) for apart in beside)
        faint = sum(int((apart > 0).sum()) for apart in beside) - steps
        stepped = faint <= c.BAND_FAINT_MAX and c.BAND_CHANGES_MIN <= steps <= c.BAND_CHANGES_MAX
        banded += stepped and span <= c.BAND_SPAN_MAX
        wide += stepped and span <= c.WIDE_SPAN_MAX
    shows = noise and c.NOISE_SHARE * (len(at) - blank) >= len(at)
    quiet = sorted(noise)[-(-len(noise) // c.NOISE_SHARE) - 1] if shows else 0
    worse = max(c.WIDE_WHOLE * banded, c.WIDE_PART * wide)
    near = [grain for loud, grain in zip(noise, grains, strict=True) if quiet <= 2 * loud and loud <= quiet]
    grain = sum(near) / len(near) if quiet else 0.0
    return combed / len(at), quiet * c.NOISE_UNIT, worse / (c.WIDE_WHOLE * len(at)), grain


def bars(luma8: Plane, u8: Plane, v8: Plane) -> float:
    """Share of sampled points that have their bar's colour, for the best kind and layout."""
    height, width = luma8.shape
    best = 0.0
    for start, span, count in c.BAR_LAYOUTS:
        for colours in c.bar_colours():
            right = 0
            for bar in range(count):
                for k in range(c.BAR_COLUMNS):
                    for row in range(c.BAR_ROWS):
                        x = width * (start * 4 * count + span * (4 * bar + k + 1)) // (32 * count)
                        y = height * (2 * row + 1) // (4 * c.BAR_ROWS)
                        cy, cx = chroma_share(y, height, u8.shape[0]), chroma_share(x, width, u8.shape[1])
                        found = luma8[y, x], u8[cy, cx], v8[cy, cx]
                        right += all(abs(a - b) <= c.BAR_TOLERANCE for a, b in zip(found, colours[bar], strict=True))
            best = max(best, right / (count * c.BAR_COLUMNS * c.BAR_ROWS))
    return best


def _row(frame: list[int]) -> list[float]:
    nan = float("nan")
    if frame[Field.LUMA_ADDRESS] == 0:
        return [nan] * len(c.COLUMNS)
    depth, shift, full = frame[Field.BIT_DEPTH], frame[Field.SHIFT], 1 << frame[Field.BIT_DEPTH]
    size = frame[Field.WIDTH], frame[Field.HEIGHT]
    luma = plane_at(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH], *size, 1, depth).astype(np.int64) >> shift
    u = v = np.zeros((0, 0), np.int64)
    if frame[Field.CHROMA_WIDTH]:
        size = frame[Field.CHROMA_WIDTH], frame[Field.CHROMA_HEIGHT]
        u, v = (
            plane_at(frame[k], frame[Field.CHROMA_PITCH], *size, frame[Field.CHROMA_STEP], depth).astype(np.int64)
            >> shift
            for k in (Field.U_ADDRESS, Field.V_ADDRESS)
        )
    one = 1 << (depth - 8)
    combing, noise, banding, grain = measures_of_blocks(luma << 2 if depth == 8 else (luma << 2) >> (depth - 8))
    steps = max(1, u.shape[0] * (u.shape[1] - 1)) * full
    tolerated = (luma >= c.TOLERATED_LOWEST * one) & (luma <= c.TOLERATED_HIGHEST * one)
    values = {
        "u_mean": int(u.sum()) / (u.size * full) if u.size else nan,
        "v_mean": int(v.sum()) / (v.size * full) if u.size else nan,
        "saturation": saturation(u, v, depth) if u.size else nan,
        "u_gradient": int(np.abs(np.diff(u, axis=1)).sum()) / steps if u.size else nan,
        "v_gradient": int(np.abs(np.diff(v, axis=1)).sum()) / steps if u.size else nan,
        "out_of_range": out_of_range(luma, u, v, depth),
        "out_of_tolerance": int((~tolerated).sum()) / luma.size,
        "combing": combing,
        "noise": noise,
        "banding": banding,
        "bars": bars(luma >> (depth - 8), u >> (depth - 8), v >> (depth - 8)) if u.size else 0.0,
        "grain": grain,
    }
    return [values[name] for name in c.COLUMNS]


def texture(frames: Tensor) -> Tensor:
    """The same as kernels.texture.texture, for tables of host addresses."""
    rows = [_row(frame) for frame in frames.tolist()]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), len(c.COLUMNS))

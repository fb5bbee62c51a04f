"""Planting defects of the picture: pure functions on planes.

A picture is three planes (Y, U, V) of unsigned integers, 8-bit or more, planar; a planter takes the pictures of a clip
and gives others of the same shapes, and never writes to those it was given. What is random is drawn from a seed and the
picture's index, so that the same call gives the same pictures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.unsignedinteger]
Picture = tuple[Plane, Plane, Plane]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What a planter sees of one picture of the clip.

    Args:
        now: the picture as it is.
        previous: the one before it; itself where there is none.
        before: the last one before the defect began; itself where there is none.
        index: of the picture within the defect, from 0.
        progress: how far through the defect it is, 0 at its first picture, below 1.
        depth: bits of a sample.
        rng: its own stream of random numbers.
    """

    now: Picture
    previous: Picture
    before: Picture
    index: int
    progress: float
    depth: int
    rng: np.random.Generator


Plant = Callable[[Moment, float], Picture]


def _clipped(values: npt.NDArray[np.floating[Any]], like: Plane, depth: int) -> Plane:
    clipped: Plane = np.clip(np.rint(values), 0, (1 << depth) - 1).astype(like.dtype)
    return clipped


def _flat(picture: Picture, depth: int, y: float, u: float, v: float) -> Picture:
    """One colour, in 8-bit codes."""
    scale = 1 << (depth - 8)
    levels = zip(picture, (y, u, v), strict=True)
    first, second, third = (np.full_like(plane, round(level * scale)) for plane, level in levels)
    return first, second, third


def combing(at: Moment, strength: float) -> Picture:
    """The lower field comes from the picture before. `strength`: share of the width that is woven, from the left."""

    def weave(now: Plane, previous: Plane) -> Plane:
        woven = now.copy()
        width = round(now.shape[1] * min(1.0, strength))
        woven[1::2, :width] = previous[1::2, :width]
        return woven

    y, u, v = (weave(now, previous) for now, previous in zip(at.now, at.previous, strict=True))
    return y, u, v


def noise(at: Moment, strength: float) -> Picture:
    """White noise on luma, half of it on chroma. `strength`: its standard deviation in 8-bit codes."""
    scale = strength * (1 << (at.depth - 8))
    y, u, v = (
        _clipped(plane + at.rng.normal(0.0, scale * share, plane.shape), plane, at.depth)
        for plane, share in zip(at.now, (1.0, 0.5, 0.5), strict=True)
    )
    return y, u, v


def banding(at: Moment, strength: float) -> Picture:
    """Where luma is smooth, its noise is gone and it is cut to steps. `strength`: a step in 8-bit codes."""
    scale = 1 << (at.depth - 8)
    luma = at.now[0].astype(np.float64)
    smooth = smoothed(luma)
    steps = np.floor(smooth / (strength * scale)) * strength * scale
    # Detail stays: coders keep it, and cutting it off would plant blur.
    return _clipped(np.where(is_smooth(luma, smooth, at.depth), steps, luma), at.now[0], at.depth), *at.now[1:]


def smoothed(luma: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of 9x9 samples around each."""
    for axis in (0, 1):
        padded = np.pad(luma, [(4, 4) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        size = luma.shape[axis]
        luma = np.mean([np.take(padded, range(k, k + size), axis) for k in range(9)], axis=0)
    return luma


def is_smooth(luma: npt.NDArray[np.float64], smooth: npt.NDArray[np.float64], depth: int) -> npt.NDArray[np.bool_]:
    """Where samples differ from the mean around them by little: 3 codes of 8 bits on average."""
    return smoothed(np.abs(luma - smooth)) <= 3.0 * (1 << (depth - 8))


def levels(at: Moment, strength: float) -> Picture:
    """Full range in a stream of limited range. `strength`: 1 stretches 16..235 to 0..255, more clips."""
    scale = 1 << (at.depth - 8)
    gain = 1 + (255 / 219 - 1) * strength
    luma = (at.now[0] - 125.5 * scale) * gain + 127.5 * scale
    middle = 128.0 * scale
    u, v = (_clipped((plane - middle) * gain + middle, plane, at.depth) for plane in at.now[1:])
    return _clipped(luma, at.now[0], at.depth), u, v


def chroma_loss(at: Moment, strength: float) -> Picture:
    """Colour fades to grey. `strength`: share of it that is gone."""
    middle = float(1 << (at.depth - 1))
    u, v = (_clipped((plane - middle) * (1 - strength) + middle, plane, at.depth) for plane in at.now[1:])
    return at.now[0], u, v


def plane_loss(at: Moment, strength: float) -> Picture:
    """U is lost: all of it has one code. `strength`: that code, in 8 bits."""
    return at.now[0], np.full_like(at.now[1], round(strength) << (at.depth - 8)), at.now[2]


def bars(at: Moment, strength: float) -> Picture:
    """Eight colour bars, BT.601, limited range. `strength`: their amplitude, 0.75 or 1."""
    red, blue = 0.299, 0.114
    colours = []
    for r, g, b in ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)):
        y = (red * r + (1 - red - blue) * g + blue * b) * strength
        u, v = (b * strength - y) / (2 - 2 * blue), (r * strength - y) / (2 - 2 * red)
        colours.append((16 + 219 * y, 128 + 224 * u, 128 + 224 * v))

    def draw(plane: Plane, component: int) -> Plane:
        bar = np.arange(plane.shape[1]) * 8 // plane.shape[1]
        row = np.array([colour[component] for colour in colours])[bar] * (1 << (at.depth - 8))
        return _clipped(np.tile(row, (plane.shape[0], 1)), plane, at.depth)

    return draw(at.now[0], 0), draw(at.now[1], 1), draw(at.now[2], 2)


def uniform(at: Moment, strength: float) -> Picture:
    """One green, as of a decoder without data. `strength`: 1 all of the picture, less: the lower part of it."""
    green = _flat(at.now, at.depth, 80, 90, 80)

    def cover(now: Plane, flat: Plane) -> Plane:
        kept = round(now.shape[0] * (1 - min(1.0, strength)))
        return np.concatenate([now[:kept], flat[kept:]])

    y, u, v = (cover(now, flat) for now, flat in zip(at.now, green, strict=True))
    return y, u, v


def colour_flash(at: Moment, strength: float) -> Picture:
    """Every two seconds, at 25 a second, some pictures are one green. `strength`: how many."""
    return _flat(at.now, at.depth, 80, 90, 80) if at.index % 50 < strength else at.now


def no_data(at: Moment, strength: float) -> Picture:
    """The lower part is what a decoder shows that got nothing: every code is 0. `strength`: share of its height."""

    def cut(now: Plane) -> Plane:
        kept = round(now.shape[0] * (1 - strength))
        return np.concatenate([now[:kept], np.zeros_like(now[kept:])])

    y, u, v = (cut(now) for now in at.now)
    return y, u, v


def freeze(at: Moment, strength: float) -> Picture:
    """The picture before the defect stands. `strength` has no meaning."""
    return at.before


def partial_freeze(at: Moment, strength: float) -> Picture:
    """A part of the picture stands. `strength`: share of its height, from below."""

    def hold(now: Plane, before: Plane) -> Plane:
        moving = round(now.shape[0] * (1 - strength))
        return np.concatenate([now[:moving], before[moving:]])

    y, u, v = (hold(now, before) for now, before in zip(at.now, at.before, strict=True))
    return y, u, v


def black(at: Moment, strength: float) -> Picture:
    """Black. `strength`: 1 all of the light is gone."""
    flat = _flat(at.now, at.depth, 16, 128, 128)
    y, u, v = (
        _clipped(now * (1 - strength) + dark * strength, now, at.depth) for now, dark in zip(at.now, flat, strict=True)
    )
    return y, u, v


# Of `flash`: pictures from the first transition to the seventh, with which flashes are more than three.
FLASH_PICTURES: Final = 18


def flash(at: Moment, strength: float) -> Picture:
    """Every third pair of pictures is light (FLASH_PICTURES). `strength`: how near to white, 0 to 1."""
    return (_lighter(at, strength), at.now[1], at.now[2]) if at.index // 2 % 3 == 0 else at.now


def flicker(at: Moment, strength: float) -> Picture:
    """Every second picture is lighter. `strength`: how near to white, 0 to 1."""
    return (_lighter(at, strength), at.now[1], at.now[2]) if at.index % 2 else at.now


def stutter(at: Moment, strength: float) -> Picture:
    """Pictures at random repeat the one before. `strength`: share of them."""
    return at.previous if at.rng.random() < strength else at.now


def repeats_at(index: int, strength: float, seed: int = 0) -> bool:
    """Whether `stutter` lets a picture of a clip repeat the one before."""
    return bool(_draws(seed, index).random() < strength)


def _draws(seed: int, index: int) -> np.random.Generator:
    """What is random of one picture."""
    return np.random.default_rng((seed, index))


def _lighter(at: Moment, strength: float) -> Plane:
    white = 235.0 * (1 << (at.depth - 8))
    return _clipped(at.now[0] + (white - at.now[0]) * strength, at.now[0], at.depth)


def tearing(at: Moment, strength: float) -> Picture:
    """The picture below a row is the one before. `strength`: share of the height that is late."""

    def tear(now: Plane, previous: Plane) -> Plane:
        row = round(now.shape[0] * (1 - strength))
        return np.concatenate([now[:row], previous[row:]])

    y, u, v = (tear(now, previous) for now, previous in zip(at.now, at.previous, strict=True))
    return y, u, v


def letterbox(at: Moment, strength: float) -> Picture:
    """Black above and below. `strength`: share of the height that is covered."""

    def cover(now: Plane, dark: Plane) -> Plane:
        rows = round(now.shape[0] * strength / 2)
        return np.concatenate([dark[:rows], now[rows : now.shape[0] - rows], dark[now.shape[0] - rows :]])

    flat = _flat(at.now, at.depth, 16, 128, 128)
    y, u, v = (cover(now, dark) for now, dark in zip(at.now, flat, strict=True))
    return y, u, v


def block_dropout(at: Moment, strength: float) -> Picture:
    """Macroblocks of 16x16 luma samples are replaced by grey. `strength`: share of them."""
    height, width = at.now[0].shape
    lost = at.rng.random((-(-height // 16), -(-width // 16))) < strength

    def drop(now: Plane, grey: Plane) -> Plane:
        down, across = 16 * now.shape[0] // height or 1, 16 * now.shape[1] // width or 1
        mask = np.kron(lost, np.ones((down, across), bool))
        mask = np.pad(mask, [(0, max(0, n - m)) for n, m in zip(now.shape, mask.shape, strict=True)])
        return np.where(mask[: now.shape[0], : now.shape[1]], grey, now)

    flat = _flat(at.now, at.depth, 128, 128, 128)
    y, u, v = (drop(now, grey) for now, grey in zip(at.now, flat, strict=True))
    return y, u, v


def blur(at: Moment, strength: float) -> Picture:
    """Out of focus. `strength`: standard deviation of the blur in samples of a picture with 720 lines."""

    def soften(plane: Plane, sigma: float) -> Plane:
        radius = max(1, round(3 * sigma))
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-3)) ** 2)
        soft = plane.astype(np.float32)
        for axis in (0, 1):
            size = soft.shape[axis]
            padded = np.pad(soft, [(radius, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            parts = (w * np.take(padded, range(k, k + size), axis) for k, w in enumerate(weights / weights.sum()))
            soft = sum(parts, np.zeros_like(soft))
        return _clipped(soft, plane, at.depth)

    y, u, v = (soften(plane, strength * plane.shape[0] / 720) for plane in at.now)
    return y, u, v


def rolling(at: Moment, strength: float) -> Picture:
    """The picture runs up and comes back from below: vertical hold is lost. `strength`: heights a picture."""
    height = at.now[1].shape[0]
    rows = round(height * strength * (at.index + 1)) % height

    def roll(plane: Plane) -> Plane:
        return np.roll(plane, -rows * plane.shape[0] // height, axis=0)

    return roll(at.now[0]), roll(at.now[1]), roll(at.now[2])


def line_jitter(at: Moment, strength: float) -> Picture:
    """Each row lies elsewhere, another way in each picture. `strength`: standard deviation in shares of the width."""
    height, width = at.now[0].shape
    samples = at.rng.normal(0.0, strength * width, height)

    def shift(plane: Plane) -> Plane:
        own = samples[:: -(-height // plane.shape[0])][: plane.shape[0]] * plane.shape[1] / width
        along = np.arange(plane.shape[1]) - np.rint(own).astype(np.int64)[:, None]
        return np.take_along_axis(plane, along % plane.shape[1], axis=1)

    return shift(at.now[0]), shift(at.now[1]), shift(at.now[2])


def row_smear(at: Moment, strength: float) -> Picture:
    """Rows below one repeat it. `strength`: share of the height, from below."""

    def smear(now: Plane) -> Plane:
        kept = max(1, round(now.shape[0] * (1 - strength)))
        return np.concatenate([now[:kept], np.repeat(now[kept - 1 : kept], now.shape[0] - kept, axis=0)])

    y, u, v = (smear(now) for now in at.now)
    return y, u, v


def column_smear(at: Moment, strength: float) -> Picture:
    """Columns right of one repeat it. `strength`: share of the width, from the right."""

    def smear(now: Plane) -> Plane:
        kept = max(1, round(now.shape[1] * (1 - strength)))
        return np.concatenate([now[:, :kept], np.repeat(now[:, kept - 1 : kept], now.shape[1] - kept, axis=1)], axis=1)

    y, u, v = (smear(now) for now in at.now)
    return y, u, v


def chroma_noise(at: Moment, strength: float) -> Picture:
    """White noise on chroma alone. `strength`: its standard deviation in 8-bit codes."""
    scale = strength * (1 << (at.depth - 8))
    u, v = (_clipped(plane + at.rng.normal(0.0, scale, plane.shape), plane, at.depth) for plane in at.now[1:])
    return at.now[0], u, v


def planes_swapped(at: Moment, strength: float) -> Picture:
    """U and V have changed places. `strength` has no meaning."""
    return at.now[0], at.now[2], at.now[1]


def _inverted(plane: Plane, depth: int) -> Plane:
    turned: Plane = ((1 << depth) - 1 - plane).astype(plane.dtype)
    return turned


def chroma_inverted(at: Moment, strength: float) -> Picture:
    """U and V run the other way: every colour is its opposite. `strength` has no meaning."""
    return at.now[0], _inverted(at.now[1], at.depth), _inverted(at.now[2], at.depth)


def negative(at: Moment, strength: float) -> Picture:
    """Luma runs the other way, and from a `strength` of 2 on chroma too."""
    u, v = (_inverted(plane, at.depth) if strength >= 2 else plane for plane in at.now[1:])
    return _inverted(at.now[0], at.depth), u, v


# By the name of what is planted: the planter, and the detector that has to find it.
PLANTERS: Mapping[str, tuple[Plant, str]] = {
    "combing": (combing, "video.combing"),
    "noise": (noise, "video.noise"),
    "banding": (banding, "video.banding"),
    "blur": (blur, "video.blur"),
    "levels": (levels, "video.levels"),
    "chroma_loss": (chroma_loss, "video.chroma_loss"),
    "plane_loss": (plane_loss, "video.chroma_loss"),
    "bars": (bars, "video.bars"),
    "uniform": (uniform, "video.uniform"),
    "freeze": (freeze, "video.freeze"),
    "partial_freeze": (partial_freeze, "video.partial_freeze"),
    "black": (black, "video.black"),
    "flash": (flash, "video.flash"),
    "flicker": (flicker, "video.flicker"),
    "stutter": (stutter, "video.stutter"),
    "tearing": (tearing, "video.tearing"),
    "letterbox": (letterbox, "video.letterbox"),
    "block_dropout": (block_dropout, "video.corruption"),
    "colour_flash": (colour_flash, "video.corruption"),
    "no_data": (no_data, "video.corruption"),
    "rolling": (rolling, "video.corruption"),
    "line_jitter": (line_jitter, "video.line_jitter"),
    "row_smear": (row_smear, "video.corruption"),
    "column_smear": (column_smear, "video.corruption"),
    "chroma_noise": (chroma_noise, "video.noise"),
    "planes_swapped": (planes_swapped, "video.corruption"),
    "chroma_inverted": (chroma_inverted, "video.corruption"),
    "negative": (negative, "video.corruption"),
}


def plant(
    pictures: Iterator[Picture], what: str, *, rate: Fraction, start: float, end: float, strength: float,
    depth: int = 8, seed: int = 0,
) -> Iterator[Picture]:  # fmt: skip
    """The pictures with a defect in those that begin from `start` on and before `end`.

    Args:
        pictures: of the clip, in order, at a constant rate; all of one shape.
        what: a name of PLANTERS.
        rate: pictures per second.
        start, end: media seconds.
        strength: see the planter.
        depth: bits of a sample.
        seed: of what is random.
    Raises: KeyError for an unknown name.
    """
    previous: Picture | None = None
    before: Picture | None = None
    begun: int | None = None
    for index, now in enumerate(pictures):
        seconds = float(index / rate)
        if start <= seconds < end:
            begun = index if begun is None else begun
            moment = Moment(
                now,
                now if previous is None else previous,
                now if before is None else before,
                index - begun,
                (seconds - start) / (end - start),
                depth,
                _draws(seed, index),
            )
            yield PLANTERS[what][0](moment, strength)
        else:
            if begun is None:
                before = now
            yield now
        previous = now


def plant_at(
    pictures: Sequence[Picture], index: int, what: str, *, rate: Fraction, start: float, end: float, strength: float,
    depth: int = 8, seed: int = 0,
) -> Picture:  # fmt: skip
    """One picture of what `plant` gives, for who has all pictures.

    Args:
        pictures: of the clip.
        index: of a picture that begins from `start` on and before `end`.
        what, rate, start, end, strength, depth, seed: as for `plant`.
    Raises: KeyError for an unknown name.
    """
    begun = next(k for k in range(index + 1) if float(k / rate) >= start)
    progress = (float(index / rate) - start) / (end - start)
    moment = Moment(
        pictures[index],
        pictures[max(0, index - 1)],
        pictures[max(0, begun - 1)],
        index - begun,
        progress,
        depth,
        _draws(seed, index),
    )
    return PLANTERS[what][0](moment, strength)


def moving_pattern(
    width: int, height: int, depth: int = 8, speed: float = 6.0, seed: int = 0
) -> Iterator[Picture]:  # fmt: skip
    """Endless pictures that move: sky above, shapes, edges and colours, a little grain; chroma 4:2:0, limited range.

    Args:
        width, height: luma samples.
        depth: bits of a sample.
        speed: samples per picture to the left.
        seed: of the grain.
    """
    dtype = np.uint8 if depth == 8 else np.uint16
    scale = 1 << (depth - 8)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    cy, cx = np.mgrid[0 : -(-height // 2), 0 : -(-width // 2)].astype(np.float64) * 2
    for index in count():
        rng = np.random.default_rng((seed, index, 7))
        moved, chroma_moved = x + speed * index, cx + speed * index
        luma = 122 + 58 * np.sin(moved / 37 + y / 90) + 42 * np.sign(np.sin(moved / 61) * np.sin(y / 47))
        luma += 12 * np.sin(y / 5) * (np.sin(moved / 150) > 0.3)
        sky = 70 + 90 * y / height + 12 * np.sin(moved / 240)
        luma = np.where(y < 0.45 * height, sky, luma) + rng.normal(0, 1.0, luma.shape)
        u = 128 + 30 * np.sin(chroma_moved / 80)
        v = 128 + 30 * np.cos(chroma_moved / 110 + cy / 70)
        yield (
            np.clip(np.rint(luma * scale), 16 * scale, 235 * scale).astype(dtype),
            np.rint(u * scale).astype(dtype),
            np.rint(v * scale).astype(dtype),
        )

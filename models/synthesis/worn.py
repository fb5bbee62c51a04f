"""Pictures that came worn before anybody sent them: coarsely coded by a camera, made larger, or off an old film.

It is how much of what is broadcast looks, and no damage of its transmission. Nobody can tell what else is wrong there.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np

from models.synthesis.coded_pictures import evenly_coded
from models.synthesis.picture import Picture, Plane
from models.synthesis.planted_cases import resized

# What a worn picture leaves nobody able to tell.
DOUBTFUL: Final = ("blockiness", "blur", "banding", "ringing", "noise", "dropout")
# Coders, the format that each is given, and its quantisers.
_CODERS: Final[Mapping[str, tuple[str, tuple[int, int]]]] = {
    "mjpeg": ("yuvj420p", (6, 24)),
    "mpeg4": ("yuv420p", (8, 28)),
    "mpeg2video": ("yuv420p", (8, 28)),
    "flv1": ("yuv420p", (8, 28)),
}
# Samples that an old film is off its place from picture to picture, the standard deviation.
_WEAVE: Final = 0.7


def worn(pictures: Sequence[Picture], rate: Fraction, rng: np.random.Generator) -> list[Picture]:
    """The pictures as something before the coder left them.

    Args:
        pictures: of a window.
        rate: pictures per second.
        rng: of what is random.
    """
    way: Callable[[Sequence[Picture], Fraction, np.random.Generator], list[Picture]]
    way = (_by_a_camera, _by_a_camera, _enlarged, _of_film)[int(rng.integers(4))]
    shown = way(pictures, rate, rng)
    # A coder that kept pictures back has shown fewer of them.
    return shown if len(shown) == len(pictures) else list(pictures)


def _by_a_camera(pictures: Sequence[Picture], rate: Fraction, rng: np.random.Generator) -> list[Picture]:
    """Through a coder of cameras and of old files, at one coarse quantiser."""
    codec = str(rng.choice(list(_CODERS)))
    pixels, (finest, coarsest) = _CODERS[codec]
    # Log-uniform: most are coarse rather than very coarse.
    quantiser = round(float(np.exp(rng.uniform(np.log(finest), np.log(coarsest)))))
    return evenly_coded(pictures, rate, codec, pixels, quantiser, int(rng.choice([1, 12, 50])))


def _enlarged(pictures: Sequence[Picture], rate: Fraction, rng: np.random.Generator) -> list[Picture]:
    """Made larger out of a small picture, which was coarsely coded, as a camera did, in half of the cases."""
    factor, sharpen = float(rng.uniform(1.3, 3.0)), float(rng.uniform(0.0, 0.8))
    source = _by_a_camera(pictures, rate, rng) if rng.random() < 0.5 else pictures
    return [resized(picture, factor, sharpen) for picture in source]


def _of_film(pictures: Sequence[Picture], rate: Fraction, rng: np.random.Generator) -> list[Picture]:
    """Off an old film: it flickers and weaves, has grain and scratches, and dust on single pictures."""
    flicker, grain = float(rng.uniform(0.0, 0.12)), float(rng.uniform(1.0, 7.0))
    dust, colourless = float(rng.uniform(0.0, 8.0)), rng.random() < 0.7
    height, width = pictures[0][0].shape
    scratches = [(int(rng.integers(width)), float(rng.uniform(-60, 60))) for _ in range(int(rng.integers(0, 4)))]
    shown = []
    for y, u, v in pictures:
        down, right = (round(n) for n in rng.normal(0, _WEAVE, 2))
        rows, columns = (np.clip(np.arange(n) + by, 0, n - 1) for n, by in ((height, down), (width, right)))
        luma = y[rows][:, columns].astype(np.float64) * (1 + rng.normal(0, flicker))
        for column, step in scratches:
            if rng.random() < 0.8:
                luma[:, (column + int(rng.integers(-1, 2))) % width] += step
        for _ in range(int(rng.poisson(dust))):
            row, column = int(rng.integers(height)), int(rng.integers(width))
            tall, wide = (int(n) for n in rng.integers(1, 7, 2))
            luma[row : row + tall, column : column + wide] += float(rng.choice([-90, 90]))
        # Grain is some samples wide.
        noise = rng.normal(0, grain, (height + 1, width + 1))
        luma += (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1]) / 2
        shown.append((_clipped(luma), *(np.full_like(plane, 128) if colourless else plane for plane in (u, v))))
    return [(a, b, c) for a, b, c in shown]


def _clipped(plane: np.ndarray[Any, np.dtype[np.float64]]) -> Plane:
    rounded: Plane = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return rounded

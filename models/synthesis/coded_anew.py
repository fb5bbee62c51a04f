"""Damage that was there before the last coder: a broken contribution that a transcoder decoded, scaled and coded anew.

No decoder tells of it, and what was scaled has its blocks' borders nowhere in particular. It is what a monitor behind a
packager sees of everything that broke before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.artifact_net import TILE
from models.synthesis.coded_pictures import recoded
from models.synthesis.picture import Picture
from models.synthesis.picture_clip import frame_of, planes_of
from models.synthesis.tile_truth import UNKNOWN, Maps

# From half of the size to a little more than half as much again: the steps of a ladder, and of what is made larger.
_FACTORS: Final = (0.4, 1.6)
# Share of what is coded anew that keeps its size.
_SAME_SIZE: Final = 0.4
_SCALERS: Final = ("BILINEAR", "BICUBIC", "LANCZOS", "AREA")
# A tile of the new picture is damaged where so much of it was, and whole where less than the other was anything else.
_DAMAGED: Final = 0.4
_NEXT_TO_NOTHING: Final = 0.02

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Anew:
    """How pictures are coded anew.

    Args:
        size: rows and columns, both even.
        scaler: libswscale's name of it.
        codec: libav's name of the coder.
        options: of the coder.
        group: pictures from one key picture to the next.
    """

    size: tuple[int, int]
    scaler: str
    codec: str
    options: Mapping[str, str]
    group: int


def some_way(size: tuple[int, int], least: int, rng: np.random.Generator) -> Anew:
    """A transcoder, as they differ.

    Args:
        size: rows and columns of the pictures.
        least: rows, and columns, that are left at least of pictures that have as many.
        rng: chooses.
    """
    lowest = max(_FACTORS[0], min(1.0, least / min(size)))
    # Log-uniform: as often smaller as larger by the same factor.
    factor = 1.0 if rng.random() < _SAME_SIZE else float(np.exp(rng.uniform(np.log(lowest), np.log(_FACTORS[1]))))
    rows, columns = (round(n * factor / 2) * 2 for n in size)
    codec = str(rng.choice(["libx264", "libx264", "libx265", "mpeg2video"]))
    quality = int(rng.integers(18, 32))
    if codec == "libx264":
        options = {"crf": str(quality), "preset": str(rng.choice(["ultrafast", "veryfast", "fast"]))}
    elif codec == "libx265":
        options = {"crf": str(quality), "preset": "ultrafast", "x265-params": "log-level=none"}
    else:
        quantiser = str(int(rng.integers(2, 9)))
        options = {"qmin": quantiser, "qmax": quantiser}
    return Anew((rows, columns), str(rng.choice(_SCALERS)), codec, options, int(rng.choice([12, 25, 50, 250])))


def scaled(picture: Picture, way: Anew) -> Picture:
    """A picture at the transcoder's size."""
    if picture[0].shape == way.size:
        return picture
    rows, columns = way.size
    return planes_of(frame_of(picture).reformat(width=columns, height=rows, interpolation=way.scaler), 8)


def coded_anew(pictures: Sequence[Picture], rate: Fraction, way: Anew) -> list[Picture]:
    """The pictures as they are shown behind the transcoder; a coder may keep some back."""
    return recoded([scaled(picture, way) for picture in pictures], rate, way.codec, way.options, way.group)


def truth_behind(truth: Maps, size: tuple[int, int], way: Anew) -> Maps:
    """What is true of the tiles behind the transcoder.

    Args:
        truth: (rows, columns, labels) of the pictures before it, of TILE samples.
        size: rows and columns of samples of those pictures.
        way: the transcoder.
    Returns: the same of the tiles of the scaled pictures.
    """
    if way.size == size:
        return truth
    down, across = (
        _overlaps(tiles, new // TILE, new / old)
        for tiles, new, old in zip(truth.shape[:2], way.size, size, strict=True)
    )

    def share(where: npt.NDArray[np.bool_]) -> Any:
        return np.einsum("ij,jkl,mk->iml", down, where.astype(np.float64), across)

    # What lay beyond the last whole tile nobody knows.
    damaged, known = share(truth == 1), share(truth != UNKNOWN)
    whole = (damaged <= _NEXT_TO_NOTHING) & (known >= 1 - _NEXT_TO_NOTHING)
    found: Maps = np.where(damaged >= _DAMAGED, 1, np.where(whole, 0, UNKNOWN)).astype(np.uint8)
    return found


def _overlaps(tiles: int, new_tiles: int, factor: float) -> Floats:
    """(new_tiles, tiles): which share of each new tile each old one covers, along one side."""
    old, new = np.arange(tiles) * TILE * factor, np.arange(new_tiles)[:, None] * float(TILE)
    common = np.minimum(old + TILE * factor, new + TILE) - np.maximum(old, new)
    covered: Floats = common.clip(min=0.0) / TILE
    return covered

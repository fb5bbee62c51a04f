"""The perceptual hash of a picture: the brightness of its 16x9 tiles, and the colour of 4x3 larger ones.

It keeps what a viewer recognises a slate by, and nothing of its size, coding or noise. As text it is "s1:" and 224
characters.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigError
from kernels.tile_stats.grid import TILE_COLUMNS, TILE_ROWS, TILES

PREFIX: Final = "s1:"
# Colour is kept in larger tiles: 4 columns of 4 tiles, 3 rows of 3.
COLOUR_COLUMNS: Final = 4
COLOUR_ROWS: Final = 3
COLOURS: Final = COLOUR_COLUMNS * COLOUR_ROWS
SIZE: Final = TILES + 2 * COLOURS
# A picture whose tiles vary by less than this (standard deviation, 8-bit codes) is no slate: black or one colour.
LEAST_DETAIL: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Slate:
    """A picture to look for.

    Args:
        name: as the configuration calls it.
        levels: (SIZE,) uint8: luma of the tiles row by row, U and V of the larger ones, 0..255 for the whole range.
    """

    name: str
    levels: npt.NDArray[np.uint8]

    @classmethod
    def parse(cls, name: str, text: str) -> "Slate":
        """The slate of a hash. Raises: ConfigError if it is none."""
        body = text.strip().removeprefix(PREFIX)
        try:
            levels = np.frombuffer(base64.b64decode(body, validate=True), np.uint8)
        except (binascii.Error, ValueError):
            levels = np.zeros(0, np.uint8)
        if not text.strip().startswith(PREFIX) or levels.size != SIZE:
            raise ConfigError(
                "not a slate's hash",
                stream=name,
                why=f"{text[:24]!r} is not {PREFIX} and {-(-SIZE // 3) * 4} characters of base64",
                remedy="`avjury slate IMAGE` prints one",
            )
        return cls.of(name, levels)

    @classmethod
    def of(cls, name: str, levels: npt.NDArray[np.uint8]) -> "Slate":
        """A slate of these levels. Raises: ConfigError if they are nearly one colour."""
        detail = float(levels[:TILES].std())
        if detail < LEAST_DETAIL:
            raise ConfigError(
                "not a slate",
                stream=name,
                why=f"the picture is nearly one colour (tiles vary by {detail:.1f} codes, {LEAST_DETAIL:g} at least)",
                remedy="video.black and video.uniform tell such pictures",
            )
        return cls(name, levels)

    @property
    def text(self) -> str:
        """The hash as text."""
        return PREFIX + base64.b64encode(self.levels.tobytes()).decode("ascii")


def levels(tiles: Any, full_range: Any, xp: Any) -> Any:
    """What is compared with slates, of N pictures.

    Args:
        tiles: (N, 4, TILES) float64 of tile_stats; NaN for chroma that there is not.
        full_range: (N, 1) bool: codes span the whole depth, else 16..235 and 16..240.
        xp: numpy or torch, of which both are.
    Returns: (N, SIZE) float64, 0..255 for the whole range; grey pictures have the levels of grey.
    """
    luma = xp.where(full_range, tiles[:, 0], (tiles[:, 0] * 256 - 16) / 219 * 255 / 256) * 256
    parts = [luma]
    for plane in (2, 3):
        level = xp.where(full_range, tiles[:, plane], (tiles[:, plane] * 256 - 128) / 224 * 255 / 256 + 0.5) * 256
        level = xp.where(xp.isnan(level), 128.0, level)
        shape = (-1, COLOUR_ROWS, TILE_ROWS // COLOUR_ROWS, COLOUR_COLUMNS, TILE_COLUMNS // COLOUR_COLUMNS)
        parts.append(level.reshape(shape).mean(4).mean(2).reshape(-1, COLOURS))
    return xp.concatenate(parts, 1)


def distances(pictures: Any, slates: Any) -> Any:
    """How far pictures are from slates: the larger of the mean differences of luma and of colour, 8-bit codes.

    Args:
        pictures: (N, SIZE) float64 of `levels`.
        slates: (S, SIZE) float64, of the same library.
    Returns: (N, S) float64.
    """
    apart = abs(pictures[:, None] - slates[None])
    luma, colour = apart[:, :, :TILES].mean(2), apart[:, :, TILES:].mean(2)
    return luma + (colour - luma).clip(0.0)

"""What is true of the tiles of a picture: nothing wrong, something wrong, or nobody can tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.artifact_net import LABELS, TILE
from models.synthesis.picture import Picture, Plane

# Truth of a tile that nobody could tell.
UNKNOWN: Final = 255
# Mean absolute difference over a tile, in 8-bit codes: below the first nothing changed, from the second on it shows.
NOTHING, SHOWS = 1.0, 4.0
Maps = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A picture with the one before it and the truth.

    Args:
        earlier, now: of one shape.
        truth: (rows, columns, labels) uint8: 0, 1 or UNKNOWN, by tiles of TILE samples from the corner on.
        kind: how it was made.
        before: what was shown before `earlier`, the oldest first; none where it was not asked for.
    """

    earlier: Picture
    now: Picture
    truth: Maps
    kind: str
    before: Sequence[Picture] = ()


def tile_means(plane: npt.NDArray[Any]) -> Floats:
    """(rows, columns): the mean of each tile of TILE samples; what is beyond the last whole one is left."""
    rows, columns = plane.shape[0] // TILE, plane.shape[1] // TILE
    tiles = plane[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE)
    means: Floats = tiles.mean(axis=(1, 3), dtype=np.float64)
    return means


def apart(a: Plane, b: Plane) -> Floats:
    """(rows, columns): mean absolute difference of each tile."""
    return tile_means(np.abs(a.astype(np.int16) - b.astype(np.int16)))


def colour_apart(one: Picture, other: Picture) -> Floats:
    """(rows, columns): how far the chroma of each tile is apart, U and V together."""
    both = [np.repeat(np.repeat(np.abs(a.astype(np.int16) - b), 2, 0), 2, 1) for a, b in zip(one[1:], other[1:],
                                                                                       strict=True)]  # fmt: skip
    return tile_means(both[0]) + tile_means(both[1])


def energy(luma: Plane) -> Floats:
    """(rows, columns): mean slope of each tile."""
    values = luma.astype(np.float64)
    return tile_means(np.abs(np.diff(values, axis=1, append=values[:, -1:])) + np.abs(
        np.diff(values, axis=0, append=values[-1:])))  # fmt: skip


def clean_truth(picture: Picture) -> Maps:
    """Nothing is wrong anywhere."""
    return np.zeros((picture[0].shape[0] // TILE, picture[0].shape[1] // TILE, len(LABELS)), np.uint8)


def graded(truth: Maps, label: str, amount: Floats, nothing: float, shows: float) -> Maps:
    """Where there is enough of it the label is true, where there is little nobody can tell."""
    column = LABELS.index(label)
    truth[..., column] = np.where(amount >= shows, 1, np.where(amount <= nothing, 0, UNKNOWN))
    return truth


def unsure(truth: Maps, labels: Sequence[str], where: npt.NDArray[np.bool_] | None = None) -> Maps:
    """Nobody can tell these."""
    for label in labels:
        column = truth[..., LABELS.index(label)]
        column[... if where is None else where] = UNKNOWN
    return truth

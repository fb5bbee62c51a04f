"""What of damage can be seen in a picture: not what only differs from what was sent.

A decoder that conceals a lost part by copying it from a picture before shows a part of the programme, only not the one
that is due. Whoever looks at the picture, or at it and the one before, cannot know that, but where it does not fit what
is beside it. Nor is anything seen of what fits all around, however wrong: a caption that should have come, say.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from models.artifact_net import TILE
from models.synthesis.picture import Picture, Plane
from models.synthesis.tile_truth import Floats, apart, colour_apart

# Closer than this to what another picture of the programme shows there, in 8-bit codes, a tile is that picture's.
SAME: Final = 3.0
# A tile's border is a seam where the step across it exceeds those beside it by so many codes more than was sent.
SEAM: Final = 8.0


def shows(
    shown: Picture, sent: Picture, others: Iterable[Picture], differs: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Where damage can be seen.

    Args:
        shown: the picture as the decoder shows it.
        sent: as it was sent.
        others: as they were sent shortly before and after.
        differs: (rows, columns) tiles in which `shown` is not `sent`.
    Returns: (rows, columns): those of them that have a seam, and those that hang together with one of these and show no
        other picture's content.
    """
    if not differs.any():
        return differs
    of_another = np.zeros_like(differs)
    for other in others:
        of_another |= np.maximum(apart(shown[0], other[0]), colour_apart(shown, other)) < SAME
    # Among edges one more is not seen.
    seam = seams(shown[0]) - _most_around(seams(sent[0])) >= SEAM
    found: npt.NDArray[np.bool_] = _touched(differs, seam) & (~of_another | seam)
    return found


def _touched(tiles: npt.NDArray[np.bool_], seeds: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(rows, columns): those of `tiles` that hang together, edge to edge, with one that is among `seeds`."""
    found, before = tiles & seeds, 0
    while (count := int(found.sum())) > before:
        before = count
        around = np.pad(found, 1)
        found = tiles & (found | around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:])
    return found


def _most_around(tiles: Floats) -> Floats:
    """(rows, columns): the most of each tile and the eight around it."""
    around = np.pad(tiles, 1, constant_values=-np.inf)
    found: Floats = np.lib.stride_tricks.sliding_window_view(around, (3, 3)).max(axis=(2, 3))
    return found


def seams(luma: Plane) -> Floats:
    """(rows, columns): of each tile the border across which luma steps most beyond the steps beside it, in codes."""
    values = luma.astype(np.float64)
    rows, columns = values.shape[0] // TILE, values.shape[1] // TILE
    found = np.full((rows, columns), -np.inf)
    for axis in (0, 1):
        turned = values[: rows * TILE, : columns * TILE].swapaxes(0, axis)
        step = np.abs(np.diff(turned, axis=0))
        at = np.arange(TILE, len(turned), TILE) - 1
        across = step[at] - np.maximum(step[at - 1], step[at + 1])
        borders = across.reshape(len(at), -1, TILE).mean(axis=2)
        own = found.swapaxes(0, axis)
        own[:-1] = np.maximum(own[:-1], borders)
        own[1:] = np.maximum(own[1:], borders)
    return found

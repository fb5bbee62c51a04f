"""The maps of a picture and of those before it, as a stream that is looked at picture by picture gives them."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from models.artifact_history import KEPT, with_next
from models.artifact_net import AS_IT_IS, LABELS, MIRRORED_TOO, TILE, ArtifactNet, network_input, told_over
from models.synthesis.picture import Picture
from models.synthesis.tile_truth import Case

# More maps before a picture change nothing of what is usual.
MOST_MAPS: Final = 47
_CORRUPTION: Final = LABELS.index("corruption")
# Cases of one window share pictures; a map takes half a second of a slow core.
_REMEMBERED: Final = 256

Floats = npt.NDArray[np.float32]


def logits_of(net: ArtifactNet, earlier: Picture, now: Picture, turns: Sequence[tuple[int, ...]] = AS_IT_IS) -> Floats:
    """(rows, columns): how sure the network is of damage in each whole tile of a picture.

    Args:
        net: for use.
        earlier, now: of one shape.
        turns: as of `told_over`; the picture as it is, unless told.
    """
    height, width = (size // TILE * TILE for size in now[0].shape)
    both = (earlier, now)
    luma = np.stack([p[0][:height, :width] for p in both])[None]
    chroma = np.stack([[p[k][: height // 2, : width // 2] for k in (1, 2)] for p in both])[None]
    with torch.inference_mode():
        inputs = network_input(torch.from_numpy(luma), torch.from_numpy(chroma))
        told: Floats = told_over(net, inputs.contiguous(memory_format=torch.channels_last), _CORRUPTION, turns)[
            0
        ].numpy()
    return told


class MapSeries:
    """Makes maps, each once.

    Args:
        net: for use.
        turns: as of `told_over`; as the engine makes maps of whole pictures, unless told.
    """

    def __init__(self, net: ArtifactNet, turns: Sequence[tuple[int, ...]] = MIRRORED_TOO) -> None:
        self._net, self._turns = net, turns
        # With the pictures: what is gone may leave its number to another.
        self._made: OrderedDict[tuple[int, int], tuple[Picture, Picture, Floats]] = OrderedDict()

    def of(self, case: Case) -> Floats:
        """(n, rows, columns): the maps of a case's picture, which is the last, and of those before it."""
        pictures = [*case.before, case.earlier, case.now][-MOST_MAPS - 1 :]
        shape = case.now[0].shape
        return np.stack([self._map(a, b) for a, b in pairwise(pictures) if a[0].shape == b[0].shape == shape])

    def _map(self, earlier: Picture, now: Picture) -> Floats:
        key = id(earlier), id(now)
        if key not in self._made:
            self._made[key] = earlier, now, logits_of(self._net, earlier, now, self._turns)
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key][2]


def seen_with(maps: Floats, step: int = 1) -> Floats:
    """(INPUTS, rows, columns): what the last map is seen with, where so many pictures are between looks.

    Args:
        maps: (n, rows, columns), as `MapSeries.of` gives them.
        step: 1: every picture was looked at; the last one always.
    """
    rows = torch.from_numpy(np.ascontiguousarray(maps[::-1][::step][::-1], dtype=np.float32))[:, None]
    kept, count = torch.zeros((1, KEPT, *rows.shape[2:])), torch.zeros(1, dtype=torch.int64)
    for now in rows:
        seen, kept = with_next(kept, count, now)
        count = count + 1
    found: Floats = seen[0].numpy()
    return found

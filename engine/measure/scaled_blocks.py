"""Damage that was there before pictures were scaled: torn blocks on the grid that they had when they were coded.

A contribution that broke, decoded and scaled by a transcoder, has its torn blocks on no grid of 16 any more. Whoever
says how large its pictures were (`source_height` of `video.corruption`) has them looked for on the grid that they had
then. They tell nothing by themselves, as the grid of the coder behind the scaler lies on theirs here and there: they
make the stream ask for a second look (second_looks.py; decision 0157).
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.damage import BlockEvidence
from engine.measure.host import fold_damage
from engine.measure.rows import Fact, Rows
from kernels.scaled_blocks import COLUMNS, scaled_blocks
from kernels.scaled_blocks.layout import BLOCK

# Where no width is given: a multiple of a block that keeps the shape but for so small a part, as pictures often have,
# else an even number.
SHAPE_KEPT: Final = 0.003
# Blocks of the picture's own grid that are torn tear borders of this one too, as both lie on each other here and there:
# about so many for each, at a scale of 1 and more; below it as many more as these blocks are smaller.
LEAST_OF_OWN: Final = 0.5

_OWN_CORNERS: Final = place("torn_corners")
_BLOCKS: Final = places(COLUMNS)
# Of a compiled function no types are known.
_fold_damage: Final[Any] = fold_damage


def coded_size(xp: Any, width: Any, height: Any, source_width: Any, source_height: Any) -> tuple[Any, Any]:
    """Width and height that pictures had when they were coded; 0 where nobody said so, or it is the same.

    Args:
        xp: numpy or torch.
        width, height: (N,) float64, of the pictures, likewise the others.
        source_width, source_height: as the detector's parameters have them; 0: not told.
    """
    exact = width * source_height / height
    blocks, even = BLOCK * xp.floor(exact / BLOCK + 0.5), 2 * xp.floor(exact / 2 + 0.5)
    likely = xp.where(abs(blocks - exact) <= SHAPE_KEPT * exact, blocks, even)
    coded_width = xp.where(source_width > 0, source_width, likely)
    differs = (source_height > 0) & ((coded_width != width) | (source_height != height))
    return xp.where(differs, coded_width, 0.0), xp.where(differs, source_height, 0.0)


class ScaledBlocks:
    """The part of `scaled_blocks`. It comes behind the one of `torn_blocks`.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        heard: whether anybody looks where it asks; else nothing is looked for.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, heard: bool) -> None:
        self._arithmetic, self._heard = arithmetic, heard
        self._height, self._width = arithmetic.column(slots), arithmetic.column(slots)
        self._any: set[int] = set()  # slots
        self.said = BlockEvidence(arithmetic, slots)
        """What they say."""

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        own = parameters.get("video.corruption", {}) if self._heard and "corruption" in wanted else {}
        self._height[slot], self._width[slot] = own.get("source_height", 0.0), own.get("source_width", 0.0)
        (self._any.add if own.get("source_height", 0.0) > 0 else self._any.discard)(slot)
        self.said.forget(slot)

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        if not self._any:
            return
        arithmetic, view, facts, slots = self._arithmetic, rows.view, rows.facts, rows.slots
        xp = arithmetic.xp
        size = facts[Fact.WIDTH], facts[Fact.HEIGHT]
        coded_width, coded_height = coded_size(xp, *size, self._width[slots], self._height[slots])
        table = torch.zeros((len(rows.values), 2), dtype=torch.int64, device=arithmetic.device)
        coded = arithmetic.view(table)
        coded[:, 0], coded[:, 1] = coded_width, coded_height
        view[:, _BLOCKS] = arithmetic.view(scaled_blocks(rows.frames, rows.references, table))
        corners, corners_off, sides, sides_off = (view[:, k] for k in range(_BLOCKS.start, _BLOCKS.stop))
        smaller = coded_height / facts[Fact.HEIGHT]
        of_own = view[:, _OWN_CORNERS] * (smaller * smaller).clip(LEAST_OF_OWN, torch.inf)
        explained = xp.where(of_own >= corners, of_own, 0.0)
        off = xp.where(corners_off > explained, corners_off, explained)
        self._weigh(rows, (corners, off, sides, sides_off), coded_width * coded_height / (BLOCK * BLOCK))

    def _weigh(self, rows: Rows, counts: tuple[Any, Any, Any, Any], area: Any) -> None:
        """As `BlockEvidence.weigh`, on either device; nobody has asked the decoder, of which `torn_blocks` has told."""
        if not self._arithmetic.on_host:
            self.said.weigh(rows.slots, rows.pts, counts, None, area)
            return
        # As the compiled loop takes it: no rows woven, no colour, and room for what is told.
        nothing = np.full_like(area, np.nan)
        values = np.stack((*counts, np.zeros_like(area), nothing, nothing), axis=1)
        facts = rows.facts.copy()
        facts[Fact.CORRUPT], facts[Fact.WIDTH], facts[Fact.HEIGHT] = 0.0, area * BLOCK, BLOCK
        _fold_damage(values, 0, 5, 6, facts, self._height > 0, rows.slots, rows.pts, *self.said.host)

"""What is measured of every picture on the CPU: one compiled call per picture, and one per batch for what follows.

Each call from Python, each array that is handed over and each view of one costs as much as the arithmetic of a row, so
what `frame_stats`, `Change` and `TornBlocks` do one after the other on a GPU is here done together.
"""

from typing import Any, Final

import numpy as np
from torch import Tensor

from engine.measure.change import BLACK_RATIO, STRONG_COLOUR, Change
from engine.measure.columns import place, places
from engine.measure.damage import TornBlocks
from engine.measure.host_pictures import follow, measure_samples
from engine.measure.jumps import LIMITS, Jumps
from engine.measure.rows import Rows
from engine.measure.schedule import BURST, LARGE, RESERVE_SECONDS, Together
from kernels.temporal import COLUMNS as TEMPORAL_COLUMNS
from kernels.tile_stats import MEASURES, TILES
from kernels.torn_blocks import COLUMNS as TORN_COLUMNS
from kernels.workers import for_each_row

_GRADIENT: Final = place("gradient")
_TEMPORAL: Final = places(TEMPORAL_COLUMNS)
_TORN: Final = places(TORN_COLUMNS)
# Of compiled functions no types are known.
_measure_samples: Final[Any] = measure_samples
_follow: Final[Any] = follow
# As engine/measure/host_pictures.py takes them.
_COLUMNS: Final = (
    place("luma_difference"), place("luma_mean"), _GRADIENT, place("black_ratio"), place("colour_spread"),
    _TEMPORAL.start, _TEMPORAL.stop, _TORN.start, place("broken_colour"), place("corruption"), place("colour"),
    place("mafd"),
)  # fmt: skip


class EveryPicture:
    """The kernels that need every picture, and the question which of the others are due.

    Args:
        change, torn, jumps: the parts whose state it keeps up.
        schedules: of the other parts.
        slots: number of slots.
    """

    def __init__(self, change: Change, torn: TornBlocks, jumps: Jumps, schedules: Together, slots: int) -> None:
        self._schedules = schedules
        # One table for both: compiled code finds a row of it by the slot.
        self._wanted = np.zeros((slots, 2), np.int64)
        change.wanted, torn.wanted = self._wanted.T
        state = self._wanted, *change.host, *torn.said.host, jumps.state, LIMITS
        self._known = *state, *schedules.tables, BURST, RESERVE_SECONDS, LARGE
        self._make_tiles(0)

    def _make_tiles(self, rows: int) -> None:
        """Room for what `tile_stats` gives of a batch of so many pictures."""
        self.tiles = np.empty((rows, len(MEASURES), TILES))
        """What `tile_stats` gave of the last pictures whose streams want it."""
        self._addresses = self.tiles.ctypes.data, self._wanted.ctypes.data

    def fill(self, rows: Rows, retain: Tensor, slots: Tensor) -> int:
        """Fill the columns of `frame_stats`, `Change` and `TornBlocks`.

        Args:
            rows: nothing is filled in yet.
            retain: as `frame_stats` takes it.
            slots: of the rows.
        Returns: bit p is set where rows are due for the p-th schedule.
        """
        count, view = slots.shape[0], rows.view
        if len(self.tiles) != count:
            self._make_tiles(count)
        given = (
            rows.frames.data_ptr(), rows.references.data_ptr(), retain.data_ptr(), slots.data_ptr(),
            rows.values.data_ptr(), view.strides[0], _TORN.start * view.itemsize, *self._addresses,
        )  # fmt: skip
        if count == 1:
            _measure_samples(0, *given)
        else:
            for_each_row(lambda row: _measure_samples(row, *given), count)
        due = self._schedules.room(count)
        found: int = _follow(
            view, _COLUMNS, BLACK_RATIO, STRONG_COLOUR, rows.facts, rows.slots, rows.pts, self.tiles, *self._known, due
        )
        self._schedules.looked(found, due)
        return found

"""What the tiles of pictures do from picture to picture."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.host import set_where_at_least
from engine.measure.rows import Fact, Rows
from kernels.temporal import COLUMNS, new_state, temporal
from kernels.temporal.op import luminance_table
from kernels.tile_stats import MEASURES, TILES, tile_stats

# FFmpeg's blackdetect: picture_black_ratio_th.
BLACK_RATIO: Final = 0.98

_LUMA, _GRADIENT, _BLACK = place("luma_difference"), place("gradient"), place("black_ratio")
_SPREAD, _TEMPORAL = place("colour_spread"), places(COLUMNS)
# Corruption is also told by the colours that tiles have, and a loss of colour looked for when they change.
_NAMES: Final = frozenset((*COLUMNS, "corruption", "chroma_loss"))


def host_tile_stats() -> Callable[[Tensor, Tensor, int], None]:
    """What `tile_stats` runs on the CPU, without its check of the tables, which are our own."""
    from kernels.tile_stats.cpu import tile_stats_into  # numba loads in a second: only where it is needed

    return tile_stats_into


class Change:
    """The part of `tile_stats` and `temporal`, which need every picture.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self._state = new_state(slots, arithmetic.device)
        self._any: set[int] = set()  # slots that want it
        self._wanted = arithmetic.view(torch.zeros(slots, dtype=torch.int64, device=arithmetic.device))
        if arithmetic.on_host:
            # Views, and the compiled loop itself: handing over nine tensors takes longer than the loop.
            from kernels.temporal.cpu import steps  # numba loads in a second: only where it is needed

            self._steps: Any = steps
            self._tiles_into = host_tile_stats()
            self._make_tiles(0)
            self._host_state = self._state.numpy()
            self._luminance = luminance_table(arithmetic.device).numpy()

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self._state[slot] = new_state(1, self._arithmetic.device)[0]
        needed = not _NAMES.isdisjoint(wanted)
        self._wanted[slot] = needed
        (self._any.add if needed else self._any.discard)(slot)

    def _make_tiles(self, rows: int) -> None:
        """Room for what `tile_stats` gives of a batch of so many pictures."""
        self._tiles = np.empty((rows, len(MEASURES), TILES))
        self._tiles_at = self._tiles.ctypes.data

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        if not self._any:
            return
        frames, view, wanted = rows.frames, rows.view, self._wanted[rows.slots]
        ranges = rows.facts[Fact.FULL_RANGE]  # in the order of Range
        # Black has one colour too, and a name of its own: an incident of one colour ends where black begins.
        if self._arithmetic.on_host:
            if 0 in wanted.tolist():  # in less time than numpy's own question
                if not wanted.any():
                    return
                frames = rows.only(wanted != 0, self._arithmetic)
            if len(self._tiles) != len(wanted):
                self._make_tiles(len(wanted))
            self._tiles_into(frames, rows.references, self._tiles_at)
            self._steps(
                self._tiles, view[:, _LUMA], view[:, _GRADIENT], rows.pts, ranges.astype(np.int64), rows.slots,
                self._host_state, self._luminance, view[:, _TEMPORAL],
            )  # fmt: skip
            set_where_at_least(view, _BLACK, BLACK_RATIO, _SPREAD, 1.0)
            return
        rows.values[:, _TEMPORAL] = temporal(
            tile_stats(frames * wanted[:, None], rows.references),  # address 0: not measured
            rows.values[:, _LUMA],  # scdet looks at luma alone
            rows.values[:, _GRADIENT],
            rows.pts,
            ranges.to(torch.int64),
            rows.slots,
            self._state,
        )
        view[:, _SPREAD] = self._arithmetic.xp.where(view[:, _BLACK] >= BLACK_RATIO, 1.0, view[:, _SPREAD])

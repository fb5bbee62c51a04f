"""What the tiles of pictures do from picture to picture."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.rows import Fact, Rows
from kernels.temporal import COLUMNS, new_state, temporal
from kernels.temporal.op import luminance_table
from kernels.tile_stats import tile_stats

# FFmpeg's blackdetect: picture_black_ratio_th.
BLACK_RATIO: Final = 0.98
# Of full scale: a picture whose chroma is further from grey on average is not black, however dark its luma is. All of a
# decoder's planes at 0 are bright green, while the chroma of black that is tinted or noisy stays below half of it.
STRONG_COLOUR: Final = 0.2

_LUMA, _GRADIENT, _BLACK = place("luma_difference"), place("gradient"), place("black_ratio")
_MEAN: Final = place("luma_mean")
_SPREAD, _TEMPORAL = place("colour_spread"), places(COLUMNS)
_COLOUR: Final = place("colour")
# Corruption is also told by the colours that tiles have, a loss of colour looked for when they change, and what is dark
# in a strong colour is not black.
_NAMES: Final = frozenset((*COLUMNS, "corruption", "chroma_loss", "black_ratio"))


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
        self.wanted = arithmetic.view(torch.zeros(slots, dtype=torch.int64, device=arithmetic.device))
        """(S,) int64, 1 or 0."""
        self.tiles: Any = None
        """On tensors: what `tile_stats` gave of the last pictures, (N, measures, TILES) float64."""
        self.host: Any = None
        """What engine/measure/every_picture.py goes by: the state, and the table of luminance."""
        if arithmetic.on_host:
            self.host = self._state.numpy(), luminance_table(arithmetic.device).numpy()

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self._state[slot] = new_state(1, self._arithmetic.device)[0]
        needed = not _NAMES.isdisjoint(wanted)
        self.wanted[slot] = needed
        (self._any.add if needed else self._any.discard)(slot)

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        """On tensors; on the host see engine/measure/every_picture.py."""
        if not self._any:
            return
        frames, view, wanted = rows.frames, rows.view, self.wanted[rows.slots]
        self.tiles = tile_stats(frames * wanted[:, None], rows.references)  # address 0: not measured
        rows.values[:, _TEMPORAL] = temporal(
            self.tiles,
            rows.values[:, _MEAN],
            rows.values[:, _LUMA],  # scdet looks at luma alone
            rows.values[:, _GRADIENT],
            rows.pts,
            rows.facts[Fact.FULL_RANGE].to(torch.int64),  # in the order of Range
            rows.slots,
            self._state,
        )
        # NaN, of pictures without chroma, is none.
        view[:, _BLACK] = self._arithmetic.xp.where(view[:, _COLOUR] > STRONG_COLOUR, 0.0, view[:, _BLACK])
        # Black has one colour too, and a name of its own: an incident of one colour ends where black begins.
        view[:, _SPREAD] = self._arithmetic.xp.where(view[:, _BLACK] >= BLACK_RATIO, 1.0, view[:, _SPREAD])

"""When pictures changed at once, by which the onset of what is not looked at in every picture is dated."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place
from engine.measure.rows import Rows

# A picture changed at once if luma or chroma changed by so many times the most of late, which is forgotten at this pace
# a picture, and by this at least. The largest jump of the last seconds counts: nothing is dated back further
# (decision 0137).
JUMP: Final = 1.4
KEPT: Final = 0.85
LEAST: Final = 0.3 / 256
BACK_SECONDS: Final = 0.6
LIMITS: Final = JUMP, KEPT, LEAST, BACK_SECONDS

_LUMA, _MAFD = place("luma_difference"), place("mafd")
# Those that are dated by it.
_NAMES: Final = frozenset(("noise", "banding", "out_of_tolerance", "texture_since", "blocks", "blocks_since",
                              "line_jitter", "line_jitter_since"))  # fmt: skip


class Jumps:
    """What of every picture's change is remembered.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self._any: set[int] = set()  # slots
        self.state = arithmetic.view(torch.zeros((4, slots), dtype=torch.float64, device=arithmetic.device))
        """(4, S) float64 as engine/measure/host.py takes it, which keeps it up on the host."""

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        (self._any.discard if _NAMES.isdisjoint(wanted) else self._any.add)(slot)
        self.state[:, slot], self.state[2, slot] = torch.nan, 0.0

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        """`host.note_jump` on tensors: it fills no column."""
        if not self._any:
            return
        xp, view, slots, pts = self._arithmetic.xp, rows.view, rows.slots, rows.pts
        (most, of_chroma, by, at), luma = self.state, view[:, _LUMA]
        chroma = 3 * view[:, _MAFD] - 2 * luma  # of 4:2:0 a third of the samples are chroma
        before, chroma_before, seen = most[slots], of_chroma[slots], luma == luma
        first = xp.isnan(before)
        jump = xp.maximum(luma / before.clip(LEAST, None), chroma / chroma_before.clip(LEAST, None))
        larger = (jump >= JUMP) & ((jump >= by[slots]) | ~(abs(pts - at[slots]) < BACK_SECONDS))  # NaN too
        by[slots], at[slots] = xp.where(larger, jump, by[slots]), xp.where(larger, pts, at[slots])
        for column, change, was in ((most, luma, before), (of_chroma, chroma, chroma_before)):
            column[slots] = xp.where(seen, xp.where(first, change, xp.maximum(change, KEPT * was)), was)

    def since(self, slots: Any, pts: Any, looked: Any) -> Any:
        """(N,) seconds since the latest jump; 0 where that was before the last look or too long ago.

        Args:
            slots, pts: of the rows.
            looked: (N,) media seconds of the last look; NaN, of the first, gives 0.
        """
        xp, at = self._arithmetic.xp, self.state[3][slots]
        back = xp.where(at > looked, pts - at, 0.0)
        return xp.where(back <= BACK_SECONDS, back, 0.0)

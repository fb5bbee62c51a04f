"""How far pictures are from the slates that users registered."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place
from engine.measure.rows import Fact, Rows
from engine.measure.schedule import Schedule
from engine.slates import SIZE, Slate, distances, levels
from kernels.tile_stats import tile_stats

# A slate stays for long; its coming is a cut, which changes the gradient.
SLATE_INTERVAL_SECONDS: Final = 0.5
SLATE_GRADIENT_CHANGE: Final = 0.1
NAME: Final = "slate_distance"

_GRADIENT, _DISTANCE = place("gradient"), place(NAME)


class Slates:
    """The part of the perceptual hashes.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        slates: what to look for; without any nothing is measured.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, slates: Sequence[Slate] = ()) -> None:
        self._arithmetic = arithmetic
        self.schedule = Schedule(
            slots,
            arithmetic,
            interval=SLATE_INTERVAL_SECONDS,
            loss=SLATE_GRADIENT_CHANGE,
            gain=SLATE_GRADIENT_CHANGE,
        )
        known = np.array([slate.levels for slate in slates], np.float64).reshape(len(slates), SIZE)
        self._any = bool(slates)
        self._known = arithmetic.view(torch.from_numpy(known).to(arithmetic.device))

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self.schedule.open_slot(slot, self._any and NAME in wanted)

    @property
    def runs(self) -> bool:
        return self._any

    def fill(self, rows: Rows) -> None:
        """`slate_distance` is the distance from the nearest slate, in 8-bit codes."""
        if not self._any:
            return
        arithmetic, view = self._arithmetic, rows.view
        due = self.schedule.due(rows.slots, rows.pts, view[:, _GRADIENT])
        if due is None:
            return
        tiles = arithmetic.view(tile_stats(rows.only(due, arithmetic), rows.references))
        pictures = levels(tiles, rows.facts[Fact.FULL_RANGE][:, None] != 0, arithmetic.xp)
        found = distances(pictures, self._known)
        nearest = found.min(1) if arithmetic.on_host else found.amin(1)
        view[:, _DISTANCE] = arithmetic.xp.where(due, nearest, torch.nan)

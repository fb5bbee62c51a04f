"""Blocks of a coarse encoder: about once a second, because they take every line of a picture."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import torch

from engine.measure import jumps
from engine.measure.aim import Aim
from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.host_folds import fold_blocks
from engine.measure.jumps import Jumps
from engine.measure.rows import Rows
from engine.measure.schedule import Schedule
from kernels.blockiness import COLUMNS, blockiness

# A starved encoder stays so for longer, and most of what starves it, or ends that, changes the gradient.
BLOCKS_INTERVAL_SECONDS = 0.5
BLOCKS_GRADIENT_CHANGE: Final = 0.15
# Coded blocks stand out in key frames and are smeared by motion until the next one, so it is the mean of late that is
# judged, and pictures with some blocks are looked at more often. A picture with more of them counts as half a second.
BLOCKY: Final = 0.02
BLOCKY_INTERVAL_SECONDS: Final = 0.25
MEAN_SECONDS: Final = 1.5
RISE_SECONDS: Final = 0.5
# What has had no blocks for so long is not between two key frames: the mean is forgotten in a sixth of the time.
QUIET_SECONDS: Final = 1.0
FORGETS_FASTER: Final = 6.0
# The mean is late: what is blocky has been so since the first such picture. No onset is dated back further than this.
BACK_SECONDS: Final = 0.6

_GRADIENT, _BLOCKS, _BLOCK_EDGES = place("gradient"), places(COLUMNS), place("block_edges")
_MEAN, _SINCE = place("blocks"), place("blocks_since")
_NAMES: Final = frozenset((*COLUMNS, "blocks", "blocks_since"))
# As engine/measure/host_folds.py takes them.
_COLUMNS: Final = _BLOCK_EDGES, _MEAN, _SINCE
_LIMITS: Final = (
    MEAN_SECONDS, RISE_SECONDS, BLOCKY, BLOCKY_INTERVAL_SECONDS, BLOCKS_GRADIENT_CHANGE, QUIET_SECONDS, FORGETS_FASTER,
    BACK_SECONDS, jumps.BACK_SECONDS,
)  # fmt: skip


class Blocks:
    """The part of the `blockiness` kernel.

    `blocks` is the mean of `block_edges` over about the last second and a half, `blocks_since` the seconds since the
    first of the pictures in a row that were blocky, or that were not.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        jumps: by which the first picture that is blocky, or no longer is, is dated.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, jumps: Jumps) -> None:
        self._arithmetic, self._jumps = arithmetic, jumps
        self.schedule = Schedule(
            slots,
            arithmetic,
            interval=BLOCKS_INTERVAL_SECONDS,
            loss=BLOCKS_GRADIENT_CHANGE,
            gain=BLOCKS_GRADIENT_CHANGE,
            rate=1 / BLOCKY_INTERVAL_SECONDS,
        )
        self._aim = Aim(arithmetic, slots, ("video.blockiness",), ("blocks",), BLOCKS_INTERVAL_SECONDS,
                        ("blocks_since",))  # fmt: skip
        self._mean, self._at = arithmetic.column(slots), arithmetic.column(slots, torch.nan)
        # When the pictures began to be blocky, or not to be, and which of both it is.
        self._began, self._blocky = arithmetic.column(slots, torch.nan), arithmetic.column(slots)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self.schedule.open_slot(slot, not _NAMES.isdisjoint(wanted))
        self._aim.open_slot(slot, parameters)
        self._mean[slot], self._at[slot] = 0.0, torch.nan
        self._began[slot], self._blocky[slot] = torch.nan, 0.0

    @property
    def runs(self) -> bool:
        return self.schedule.runs

    def fill(self, rows: Rows) -> None:
        due = self.schedule.due(rows.slots, rows.pts, rows.view[:, _GRADIENT])
        if due is None:
            return
        table = rows.only(due, self._arithmetic)
        view, slots, xp = rows.view, rows.slots, self._arithmetic.xp
        view[:, _BLOCKS] = self._arithmetic.view(blockiness(table, rows.room.side))
        if self._arithmetic.on_host:
            state, aim = self.schedule.state, self._aim.host
            fold_blocks(
                view,
                _COLUMNS,
                slots,
                rows.pts,
                due,
                self._mean,
                self._at,
                self._began,
                self._blocky,
                self._jumps.state[3],
                _LIMITS,
                state,
                aim,
            )
            return
        now, before = view[:, _BLOCK_EDGES], self._mean[slots]
        step = rows.pts - self._at[slots]
        step = xp.where(step > 0, step, 0.0)  # NaN too
        quiet = (now < BLOCKY) & (self._blocky[slots] == 0) & (rows.pts - self._began[slots] >= QUIET_SECONDS)
        step = xp.where(now > before, step.clip(RISE_SECONDS, None), xp.where(quiet, FORGETS_FASTER * step, step))
        mean = xp.where(due, before + (now - before) * (1 - xp.exp(-step / MEAN_SECONDS)), before)
        back = self._jumps.since(slots, rows.pts, self._at[slots])
        self._mean[slots], self._at[slots] = mean, xp.where(due, rows.pts, self._at[slots])
        view[:, _MEAN] = xp.where(due, mean, torch.nan)
        view[:, _SINCE] = self._since(slots, rows.pts, due, now, rows.pts - back)
        interval = self._aim.interval(view, slots, rows.pts, due)
        often = ((now >= BLOCKY) | (mean >= BLOCKY)) & (interval > BLOCKY_INTERVAL_SECONDS)
        interval = xp.where(often, BLOCKY_INTERVAL_SECONDS, interval)
        self.schedule.pace(slots, due, due, interval=interval, gain=BLOCKS_GRADIENT_CHANGE)

    def _since(self, slots: Any, pts: Any, due: Any, now: Any, first: Any) -> Any:
        """(N,) `blocks_since` of the rows that are due; of those that turned it began at `first`."""
        xp, blocky = self._arithmetic.xp, (now >= BLOCKY) * 1.0
        turned = due & ~((blocky == self._blocky[slots]) & (pts >= self._began[slots]))  # NaN too
        began = xp.where(turned, first, self._began[slots])
        self._began[slots] = began
        self._blocky[slots] = xp.where(due, blocky, self._blocky[slots])
        since = pts - began
        since = xp.where(now >= BLOCKY, since.clip(None, BACK_SECONDS), since)
        return xp.where(due, since, torch.nan)

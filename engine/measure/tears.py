"""What unsynchronised capture leaves in pictures: rows at which two moments meet. Decision 0048."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import torch

from engine.measure import host
from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place
from engine.measure.damage import Clock
from engine.measure.rows import Fact, Rows
from engine.measure.schedule import Schedule
from kernels.tear import tear

# Tears are looked for so often; and with every picture as long as a row has so much evidence.
TEAR_INTERVAL_SECONDS: Final = 0.2
SUSPECTED: Final = 3.0
# Evidence begins at this, and grows by this with what is torn.
SOME: Final = 0.5
# It is the same row's within this share of the height.
SAME_ROW: Final = 0.003
# A picture's blocks at a torn row seem torn in this share of those that move, at least; elsewhere in LEAST_USUAL, or in
# as many as in the rows of its kind: multiples of eight, of four, and others, as coding leaves steps on its own grid.
TORN_SHARE: Final = 0.1
LEAST_USUAL: Final = 0.005
USUAL_SECONDS: Final = 0.4
# What one picture says of a row, as the logarithm of how much likelier it is torn, is no more than this for it, and no
# less than this against it; and is forgotten in EVIDENCE_SECONDS.
MOST_FOR: Final = 5.0
MOST_AGAINST: Final = -1.0
EVIDENCE_SECONDS: Final = 1.3
MOST_EVIDENCE: Final = 30.0
# Where so many blocks, and more than twice those that seem torn, fit worse across time, the row is none of a tear.
MANY_AGAINST: Final = 3
FITS_WORSE: Final = -2.5
# Of a tear in so many of the first or last rows, or this share of the height, nobody sees anything.
EDGE_ROWS: Final = 5
EDGE_SHARE: Final = 50
# Of two looks this close, a picture whose brightness changed by so much of its mean difference is in a fade: beside an
# edge that stands, it fits the earlier one better across time.
FADE_SECONDS: Final = 0.1
FADES: Final = 0.6
# Below this mean difference (of full scale) nothing moves that could be torn.
LEAST_MOTION: Final = 0.25 / 256

_MAFD, _LUMA, _MEAN = place("mafd"), place("luma_difference"), place("luma_mean")
_PLACE, _TEARING, _SINCE = place("tear_place"), place("tearing"), place("tearing_since")
_NAMES: Final = frozenset(("tear_place", "tearing", "tearing_since"))
# As engine/measure/host.py takes them.
_LIMITS: Final = (
    TORN_SHARE, LEAST_USUAL, MOST_FOR, MOST_AGAINST, MOST_EVIDENCE, EDGE_ROWS, EDGE_SHARE, MANY_AGAINST, FITS_WORSE,
    EVIDENCE_SECONDS, USUAL_SECONDS, SUSPECTED, TEAR_INTERVAL_SECONDS, SOME, SAME_ROW,
)  # fmt: skip
_COLUMNS: Final = _PLACE, _TEARING, _SINCE
# Rows for which evidence is kept; of a taller picture those below are not looked at.
_ROWS: Final = 2176


class Tears:
    """The part of `tear`.

    `tearing` is the evidence that a row is torn, of the row that has the most: how much likelier the last pictures are
    with a tear at that row than without one, as a logarithm. `tear_place` is that row over the height. `tearing_since`
    is how long ago the evidence began, while it grows; or since the picture after the last with which it grew.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        # `rate` is no bound: every picture may be looked at.
        self.schedule = Schedule(
            slots, arithmetic, interval=TEAR_INTERVAL_SECONDS, loss=0.0, gain=0.0, rate=1000.0, watches=False
        )
        self._clock = Clock(arithmetic, slots)
        self._any: set[int] = set()  # slots
        # Pictures that repeat keep their reference (engine/references.py), and say the same of it again and again: the
        # one of a slot that is `used` is not looked at twice. `noise`: what is a repeat.
        self._used, self._noise = arithmetic.column(slots), arithmetic.column(slots)
        # The same on the host, which knows when references change: the one that was looked at by its number.
        self._looked_at = np.full(slots, -1, np.int64)
        self._height = arithmetic.column(slots)  # of the last picture
        self._brightness = arithmetic.column(slots)  # mean luma of the last picture that was due
        # The most evidence of a row, and which row; when it began there; when it ceased to grow, NaN while it grows.
        self._most, self._began = arithmetic.column(slots), arithmetic.column(slots, torch.nan)
        self._rests, self._where = arithmetic.column(slots, torch.nan), arithmetic.column(slots)
        # Evidence of each row that the part below it is late, and that it is ahead.
        self._evidence = arithmetic.view(torch.zeros((slots, 2, _ROWS), dtype=torch.float64, device=arithmetic.device))
        # Blocks that seem torn, and those that move, lately and by the kind of row.
        self._usual = arithmetic.view(torch.zeros((slots, 2, 3), dtype=torch.float64, device=arithmetic.device))

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        needed = not _NAMES.isdisjoint(wanted)
        (self._any.add if needed else self._any.discard)(slot)
        self.schedule.open_slot(slot, needed)
        self._used[slot], self._looked_at[slot] = 0.0, -1
        self._noise[slot] = parameters.get("video.freeze", {}).get("noise", 0.001)
        self._clock.forget(slot)
        self._height[slot] = self._most[slot] = self._brightness[slot] = 0.0
        self._began[slot] = self._rests[slot] = torch.nan
        self._evidence[slot] = 0.0
        self._usual[slot] = 0.0

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        """Fill the columns of the rows that are due; the others stay NaN."""
        if not self._any:
            return
        arithmetic, view, slots, pts = self._arithmetic, rows.view, rows.slots, rows.pts
        if arithmetic.on_host:
            self._fill_on_host(rows)
            return
        xp = arithmetic.xp
        due = self.schedule.due(slots, pts, xp.ones_like(pts))
        kept_reference = view[:, _MAFD] <= self._noise[slots]
        used = self._used[slots] > 0
        self._used[slots] = (kept_reference & (used | due)) * xp.ones_like(pts)
        height = rows.facts[Fact.HEIGHT]
        # The fields of an interlaced picture are two moments as well, row by row.
        whole = rows.facts[Fact.INTERLACED] == 0
        soon = abs(pts - self._clock.last[slots]) <= FADE_SECONDS  # NaN, of the first, is not
        brighter = abs(view[:, _MEAN] - self._brightness[slots])
        fades = soon & (brighter >= FADES * view[:, _LUMA])
        self._brightness[slots] = xp.where(due, view[:, _MEAN], self._brightness[slots])
        looked = due & ~used & (view[:, _LUMA] >= LEAST_MOTION) & whole & ~fades
        counted = tear(rows.only(looked, arithmetic), rows.references, min(rows.room.height, _ROWS))
        step = self._clock.since(slots, pts, due)
        same = (height == self._height[slots]) * xp.ones_like(pts)  # rows of another size are other rows
        self._height[slots] = xp.where(due, height, self._height[slots])
        kept, kept_usual = xp.exp(-step / EVIDENCE_SECONDS) * same, xp.exp(-step / USUAL_SECONDS) * same
        most, where = self._fold(counted, height, slots, due, kept, kept_usual)
        view[:, _TEARING] = xp.where(due, most, torch.nan)
        view[:, _PLACE] = xp.where(due, where, torch.nan)
        view[:, _SINCE] = self._since(slots, pts, due, most, where, kept)
        self.schedule.pace(slots, due, most >= SUSPECTED, interval=xp.zeros_like(pts), gain=0.0)

    def _fill_on_host(self, rows: Rows) -> None:
        view, slots, pts = rows.view, rows.slots, rows.pts
        due = self.schedule.due(slots, pts, np.ones_like(pts))
        if due is None:
            return
        looked = np.empty_like(due)
        host.look_for_tears(
            view, (_LUMA, _MEAN), (LEAST_MOTION, FADES, FADE_SECONDS), rows.facts, slots, pts, due,
            rows.reference_changes, self._looked_at, self._brightness, self._clock.last, looked,
        )  # fmt: skip
        counted = tear(rows.only(looked, self._arithmetic), rows.references, min(rows.room.height, _ROWS)).numpy()
        known = self._clock.last, self._height, self._evidence, self._usual
        grown = self._most, self._where, self._began, self._rests
        host.fold_tears(view, _COLUMNS, counted, rows.facts, slots, pts, due, *known, grown, _LIMITS,
                        self.schedule.state)  # fmt: skip

    def _since(self, slots: Any, pts: Any, due: Any, most: Any, where: Any, kept: Any) -> Any:
        """(N,) `tearing_since` of the rows that are due."""
        xp, before = self._arithmetic.xp, self._most[slots]
        elsewhere = abs(where - self._where[slots]) > SAME_ROW
        began = xp.where((before < SOME) | elsewhere, pts, self._began[slots])
        grows = most >= before * kept + SOME
        known = xp.isnan(self._rests[slots])
        rests = xp.where(grows, torch.nan, xp.where(known, pts, self._rests[slots]))
        for column, value in ((self._most, most), (self._where, where), (self._began, began), (self._rests, rests)):
            column[slots] = xp.where(due, value, column[slots])
        return xp.where(due, pts - xp.where(grows, began, rests), torch.nan)

    def _fold(self, counted: Any, height: Any, slots: Any, due: Any, kept: Any, kept_usual: Any) -> tuple[Any, Any]:
        """`host.fold_tears` on tensors."""
        device, count = counted.device, counted.shape[2]
        heights = height.clip(min=1.0).to(torch.int64)[:, None]
        row = torch.arange(count, device=device)
        kind = torch.where(row % 8 == 0, 2, torch.where(row % 4 == 0, 1, 0))
        torn, against, moving = counted[:, :2].double(), counted[:, 2].double(), counted[:, 3].double()
        either = torn.amax(dim=1)
        of_kind = torch.stack([kind == k for k in range(3)]).double()  # (3, rows)
        by_kind = either[:, None] * of_kind  # (N, 3, rows)
        # Without the row that has the most, which may be torn.
        seen = torch.stack(
            [by_kind.sum(dim=2) - by_kind.amax(dim=2), (moving[:, None] * of_kind).sum(dim=2)], dim=1
        )  # (N, 2, 3)
        usual = self._usual[slots] * kept_usual[:, None, None] + seen
        self._usual[slots] = torch.where(due[:, None, None], usual, self._usual[slots])
        q = (2 * usual[:, 0] / usual[:, 1].clip(min=1.0)).clip(LEAST_USUAL, 0.5)
        p = torch.maximum((3 * q).clip(max=0.9), torch.full_like(q, TORN_SHARE))
        gain, loss = torch.log(p / q)[:, kind], torch.log((1 - p) / (1 - q))[:, kind]
        said = torn * gain[:, None] + (moving[:, None] - torn) * loss[:, None]
        said = torch.where((torn > 0) & (torn <= against[:, None]), said.clip(max=0.0), said)
        said = said.clip(MOST_AGAINST, MOST_FOR)
        fits_worse = (against[:, None] >= MANY_AGAINST) & (against[:, None] > 2 * torn)
        said = torch.where(fits_worse, torch.full_like(said, FITS_WORSE), said)
        edge = (heights // EDGE_SHARE).clip(min=EDGE_ROWS)
        inside = (row >= edge) & (row < heights - edge) & (moving > 0)
        said = torch.where(inside[:, None], said, 0.0)
        before = self._evidence[slots, :, :count]
        evidence = (before * kept[:, None, None] + said).clip(0.0, MOST_EVIDENCE)
        self._evidence[slots, :, :count] = torch.where(due[:, None, None], evidence, before)
        most = evidence.flatten(1).amax(dim=1)
        # The first of those that have as much; `argmax` of 0 and 1 is the first 1.
        first = (evidence == most[:, None, None]).flatten(1).int().argmax(dim=1) % count
        return most, first.double() / heights[:, 0]

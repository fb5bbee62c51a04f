"""Whether the fields of interlaced pictures follow each other in the order that the stream says."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.rows import Fact, Rows
from kernels.fields import COLUMNS, fields

# What pictures say of the order adds up, and is forgotten in this time.
POOL_SECONDS: Final = 0.06
# A picture counts for no more than so many usual ones: a cut says nothing of the order, and differs the most.
MOST_USUAL: Final = 2.0
# Fields that follow each other are hardly farther from the next one's lines than from those of their own picture (0.9
# to 1.3 times in real clips); pictures of one moment that move are, and have no order. idet has 1.5 for one picture.
MOST_WITHIN: Final = 2.0
# The sums need a picture or two to turn: the order has been so since the first of the pictures in a row that say so by
# themselves, no longer ago than this.
BACK_SECONDS: Final = 0.15
# Below this mean difference (of full scale) nothing moves, and so nothing has an order.
LEAST_MOTION: Final = 0.25 / 256

_LUMA, _FIELDS, _ORDER = place("luma_difference"), places(COLUMNS), place("field_order")
_SINCE: Final = place("field_order_since")
_NAMES: Final = frozenset((*COLUMNS, "field_order", "field_order_since"))


class Fields:
    """The part of `fields`, for pictures that are interlaced and say which field is first.

    `field_order` is how much farther fields lie apart in the order that the stream says than in the other one, over
    a few pictures: 1 where both fit as well, less where the stream is right. No value where nothing moves.
    `field_order_since` is for how long pictures have said so one by one.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self._any: set[int] = set()  # slots
        self._wanted = arithmetic.column(slots)  # 1 where it is
        self._without: Any = None  # the facts, on the host, of pictures none of which has an order
        self._last = arithmetic.column(slots, torch.nan)  # media time of the last picture that counted
        # When pictures began to say what the last one says of the order, and what that is: 1 that it is wrong.
        self._began, self._says = arithmetic.column(slots, torch.nan), arithmetic.column(slots)
        # Sums over the last pictures: of what speaks against the order that is said, for it, and of their weights.
        self._against, self._for = arithmetic.column(slots), arithmetic.column(slots)
        self._weight, self._within = arithmetic.column(slots), arithmetic.column(slots)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        needed = not _NAMES.isdisjoint(wanted)
        self._wanted[slot] = needed
        (self._any.add if needed else self._any.discard)(slot)
        self._last[slot] = self._began[slot] = torch.nan
        self._says[slot] = 0.0
        self._against[slot] = self._for[slot] = self._weight[slot] = self._within[slot] = 0.0

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        """Fill the columns of the rows that have an order to judge; the others stay NaN."""
        if not self._any or rows.facts is self._without:
            return
        arithmetic, view, slots, pts = self._arithmetic, rows.view, rows.slots, rows.pts
        xp, orders = arithmetic.xp, rows.facts[Fact.TOP_FIELD_FIRST]
        ordered = (orders >= 0) & (rows.facts[Fact.INTERLACED] > 0)
        if arithmetic.on_host and True not in ordered.tolist():
            self._without = rows.facts
            return
        judged = ordered & (self._wanted[slots] > 0)
        if arithmetic.on_host and True not in judged.tolist():
            return
        looked = judged & (view[:, _LUMA] >= LEAST_MOTION)
        view[:, _FIELDS] = arithmetic.view(fields(rows.only(looked, arithmetic), rows.references))
        measured = (view[:, k] for k in range(_FIELDS.start, _FIELDS.stop))
        earlier_top, earlier_bottom, later_top, later_bottom, within = measured
        if_top, if_bottom = earlier_top + later_bottom, earlier_bottom + later_top
        looked = looked & ~xp.isnan(if_top)
        step = pts - self._last[slots]
        kept = xp.where(step > 0, xp.exp(-xp.where(step > 0, step, 0.0) / POOL_SECONDS), 0.0)  # NaN and backwards too
        sums = (self._against, self._for, self._weight, self._within)
        against, fits, weight, inside = (column[slots] * kept for column in sums)
        # Of an order that is right the far fields are those that it says are far apart.
        now_against, now_for = xp.where(orders > 0, if_bottom, if_top), xp.where(orders > 0, if_top, if_bottom)
        says = (now_against > now_for) * 1.0
        goes_on = (says == self._says[slots]) & (pts >= self._began[slots])  # NaN is not
        began = xp.where(goes_on, self._began[slots], pts)
        both = now_against + now_for
        usual = (against + fits) / xp.where(weight > 0, weight, 1.0)
        too_much = (weight > 0) & (both > MOST_USUAL * usual)
        share = xp.where(too_much, MOST_USUAL * usual / xp.where(both > 0, both, 1.0), 1.0)
        against, fits = against + share * now_against, fits + share * now_for
        weight, inside = weight + share, inside + share * within
        known = (*sums, self._last, self._began, self._says)
        for column, value in zip(known, (against, fits, weight, inside, pts, began, says), strict=True):
            column[slots] = xp.where(looked, value, column[slots])
        ratio = against / xp.where(fits > 0, fits, 1.0)
        # Each of the two is the mean over one field and that over the other.
        of_one_moment = fits > 2 * MOST_WITHIN * inside
        as_pooled = (says > 0) == (ratio > 1)
        since = xp.where(as_pooled & (pts - began <= BACK_SECONDS), pts - began, 0.0)
        view[:, _SINCE] = xp.where(looked, since, torch.nan)
        view[:, _ORDER] = xp.where(looked & (fits > 0), xp.where(of_one_moment, 1.0, ratio), torch.nan)

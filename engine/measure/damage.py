"""What damaged transmission leaves in pictures: broken blocks."""

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.rows import Fact, Rows
from kernels.torn_blocks import COLUMNS as TORN_COLUMNS
from kernels.torn_blocks import torn_blocks
from kernels.torn_blocks.layout import BLOCK

# Evidence of several pictures adds up, and is forgotten in this time.
EVIDENCE_SECONDS: Final = 0.5
# From this logit on a picture is evidence, in proportion to what is above it, up to MOST_EVIDENCE; 1 is enough. One
# picture of real clips without damage stays below ENOUGH_LOGIT (decision 0019).
LEAST_LOGIT: Final = 0.25
ENOUGH_LOGIT: Final = 4.75
MOST_EVIDENCE: Final = 3.0
# One or two blocks come apart in graphics and captions too.
LEAST_CORNERS: Final = 3
# What a stream has as a rule is no damage: grain, water, a coarse encoder, a clock burnt in. The rule is a mean over
# this time, which rises by no more than doubling and a few blocks a picture.
USUAL_SECONDS: Final = 1.5
USUAL_RISE: Final = 8.0
# A coarse encoder tears many blocks in some pictures, one after a key frame for one: half of the most of the last
# seconds is usual too, and so nothing is known of a stream before it has gone on for a while.
PEAK_SHARE: Final = 0.5
# Few blocks come by chance: a picture that is evidence has more than the most of the last seconds, by so many roots of
# that.
PEAK_ROOTS: Final = 2.0
PEAK_SECONDS: Final = 5.0
# The three other grids show what chance does to a picture like this one: the coding grid has to have more torn corners
# than any of them had in the last seconds, of pictures that are no evidence.
OTHERS_SHARE: Final = 1.0
# Less than evidence is doubt, which asks for a second look (second_looks.py): a picture that has as many corners, by so
# many roots more than the most of the last seconds, and such a logit. It fades as evidence does.
DOUBT_CORNERS: Final = 2
DOUBT_ROOTS: Final = 1.0
DOUBT_LOGIT: Final = -1.0
WINDOW_SECONDS: Final = 0.8
# Damage that is told, and of which so many pictures in a row were evidence, goes on and is no key picture's: it becomes
# usual at this pace only, and its most does not count. It is over with the first picture that is no evidence, while of
# single pictures the damage stays until it is drawn over.
STEADY_PICTURES: Final = 4
STEADY_PACE: Final = 0.02
# What the decoder says counts as seen: libav marks pictures in which it concealed something.
DECODER_EVIDENCE: Final = 1.5
# Blocks with a torn corner are this share of the damaged ones, in the middle of what was planted.
CORNER_SHARE: Final = 0.04
# Damage that is told covers this share of the picture at least: what the truth of planted damage calls visible.
LEAST_SHARE: Final = 0.01

_CORRUPTION: Final = place("corruption")
_BROKEN_COLOUR: Final = place("broken_colour")
_BLOCKS: Final = places(TORN_COLUMNS)
_WOVEN: Final = place("woven")
# Combing is looked for when rows of two moments meet.
_BLOCK_NAMES: Final = frozenset((*TORN_COLUMNS, "corruption", "combing"))


# As engine/measure/host.py takes them.
_LIMITS: Final = (
    LEAST_LOGIT, ENOUGH_LOGIT, MOST_EVIDENCE, EVIDENCE_SECONDS, USUAL_SECONDS, USUAL_RISE, DECODER_EVIDENCE,
    CORNER_SHARE, LEAST_SHARE, LEAST_CORNERS, PEAK_SHARE, PEAK_SECONDS, WINDOW_SECONDS, STEADY_PICTURES, STEADY_PACE,
    BLOCK * BLOCK, PEAK_ROOTS, OTHERS_SHARE, DOUBT_CORNERS, DOUBT_ROOTS, DOUBT_LOGIT,
)  # fmt: skip


@cache
def _weights() -> tuple[float, float, float]:
    """Of corners, of sides, and the constant: models/fit_corruption.py."""
    fitted = json.loads((files("models") / "weights" / "corruption_blocks.json").read_text(encoding="utf-8"))
    return fitted["corners"], fitted["sides"], fitted["constant"]


class Clock:
    """Seconds since a slot's last picture."""

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._xp = arithmetic.xp
        self.last = arithmetic.column(slots, torch.nan)
        """Media seconds of the last picture of each slot; NaN where there was none."""

    def forget(self, slot: int) -> None:
        self.last[slot] = torch.nan

    def since(self, slots: Any, pts: Any, seen: Any) -> Any:
        """(N,) seconds, 0 for the first and where time goes back; where `seen` the clock starts anew."""
        before = self.last[slots]
        step = pts - before
        self.last[slots] = self._xp.where(seen, pts, before)
        return self._xp.where(step > 0, step, 0.0)  # NaN too


class BlockEvidence:
    """What torn blocks say of each slot's pictures, one after the other.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self._clock = Clock(arithmetic, slots)
        self._evidence, self._share = arithmetic.column(slots), arithmetic.column(slots)
        self._usual_corners, self._usual_sides = arithmetic.column(slots), arithmetic.column(slots)
        # The most torn corners of a picture: of this window, and of those before it; and when both began.
        self._most_now, self._most_before = arithmetic.column(slots), arithmetic.column(slots)
        # The most of the other grids.
        self._most_of_others = arithmetic.column(slots)
        # The most torn corners when the latest pictures of evidence in a row began, and how many those are.
        self._now_then, self._before_then = arithmetic.column(slots), arithmetic.column(slots)
        self._in_a_row = arithmetic.column(slots)
        self._window, self._began = arithmetic.column(slots, torch.nan), arithmetic.column(slots, torch.nan)
        self._corners, self._sides, self._constant = _weights()
        self._doubt, self._of_decoder = arithmetic.column(slots), arithmetic.column(slots)
        self._host_state = np.zeros((slots, 15))
        self.host: Any = None
        """What engine/measure/host.py goes by: the state, the fitted weights, the limits."""
        self.evidence: Any = self._evidence
        """(S,) float64, of the last pictures of each slot; 1 is enough."""
        self.doubt: Any = self._doubt
        """(S,) float64, 1 where the last picture is in doubt, and fading from there."""
        self.of_decoder: Any = self._of_decoder
        """(S,) float64, how much of the evidence is the decoder's word."""
        if arithmetic.on_host:
            self.evidence, self.doubt = self._host_state[:, 1], self._host_state[:, 13]
            self.of_decoder = self._host_state[:, 14]
            fitted = np.array((self._corners, self._sides, self._constant))
            self.host = self._host_state, fitted, np.array(_LIMITS, np.float64)

    def forget(self, slot: int) -> None:
        """A stream moves in."""
        self._clock.forget(slot)
        for column in (self._evidence, self._doubt, self._of_decoder, self._share, self._usual_corners,
                       self._usual_sides):  # fmt: skip
            column[slot] = 0.0
        self._host_state[slot] = np.nan, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.nan, np.nan, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        self._most_now[slot] = self._most_before[slot] = self._most_of_others[slot] = 0.0
        self._now_then[slot] = self._before_then[slot] = self._in_a_row[slot] = 0.0
        self._window[slot] = self._began[slot] = torch.nan

    def weigh(self, slots: Any, pts: Any, counts: tuple[Any, Any, Any, Any], marked: Any, area: Any) -> Any:
        """The share of each picture that is damaged; 0 unless the evidence is enough. On tensors; on the host see
        engine/measure/host.py.

        Args:
            slots, pts: (N,).
            counts: (N,) each: torn corners, those of the other grids, torn sides, those of the other grids.
            marked: (N,) bool: the decoder says so; None: nobody has asked it.
            area: (N,) float64, blocks of the picture.
        """
        xp = self._arithmetic.xp
        corners, corners_off, sides, sides_off = counts
        step = self._clock.since(slots, pts, pts == pts)
        usual_corners, long_enough = self._usual_of(slots, pts, step)
        others = self._most_of_others[slots] * xp.exp(-step / PEAK_SECONDS)
        by_chance = xp.maximum(xp.maximum(corners_off, usual_corners), OTHERS_SHARE * others)
        more_corners = xp.log1p(corners) - xp.log1p(by_chance)
        more_sides = xp.log1p(sides) - xp.log1p(xp.maximum(sides_off, self._usual_sides[slots]))
        logit = self._corners * more_corners + self._sides * more_sides + self._constant
        evidence = ((logit - LEAST_LOGIT) / (ENOUGH_LOGIT - LEAST_LOGIT)).clip(0.0, MOST_EVIDENCE)
        # NaN, where there was nothing to compare with, is less than any number.
        most = self._most_before[slots]
        enough = (corners >= LEAST_CORNERS) & (corners >= most + PEAK_ROOTS * most**0.5)
        evidence = xp.where(enough & long_enough, evidence, 0.0)
        in_doubt = (corners >= DOUBT_CORNERS) & (corners >= most + DOUBT_ROOTS * most**0.5) & (logit >= DOUBT_LOGIT)
        if marked is not None:
            evidence = xp.where(marked, evidence + DECODER_EVIDENCE, evidence)
        share = xp.where(evidence > 0, corners / (CORNER_SHARE * area), 0.0)
        share = xp.where(xp.isnan(share), 0.0, share)
        kept = xp.exp(-step / EVIDENCE_SECONDS)
        of_decoder = self._of_decoder[slots] * kept
        if marked is not None:
            of_decoder = (of_decoder + xp.where(marked, DECODER_EVIDENCE, 0.0)).clip(0.0, MOST_EVIDENCE)
        self._of_decoder[slots] = of_decoder
        total = (self._evidence[slots] * kept + evidence).clip(0.0, MOST_EVIDENCE)
        doubt = xp.where(in_doubt & long_enough, 1.0, 0.0)
        self._doubt[slots] = xp.maximum(self._doubt[slots] * kept, doubt)
        looked = ~xp.isnan(corners)
        learns = looked & (evidence == 0)
        self._most_of_others[slots] = xp.where(learns, xp.maximum(others, corners_off), others)
        over = looked & (evidence == 0) & (self._in_a_row[slots] >= STEADY_PICTURES)
        total = xp.where(over, 0.0, total)
        lasts = self._goes_on(slots, corners, evidence > 0, total >= 1.0)
        learnt = (1 - xp.exp(-step / USUAL_SECONDS)) * xp.where(lasts, STEADY_PACE, 1.0)
        for usual, found in ((self._usual_corners, corners), (self._usual_sides, sides)):
            rise = xp.minimum(found, 2 * usual[slots] + USUAL_RISE) - usual[slots]
            usual[slots] = usual[slots] + xp.where(xp.isnan(rise), 0.0, rise) * learnt
        share = xp.maximum(self._share[slots] * kept, share).clip(0.0, 1.0)
        self._evidence[slots], self._share[slots] = total, share
        return xp.where(total >= 1.0, share.clip(LEAST_SHARE, 1.0), 0.0)

    def _usual_of(self, slots: Any, pts: Any, step: Any) -> tuple[Any, Any]:
        """How many torn corners are usual, before these; and which streams have gone on for long enough to say so."""
        xp = self._arithmetic.xp
        began = self._began[slots]
        began = xp.where(pts >= began, began, pts)  # NaN, and time that goes back, too
        over = ~(pts - self._window[slots] < WINDOW_SECONDS) | (pts < self._window[slots])
        forgotten = xp.exp(-step / PEAK_SECONDS)
        self._began[slots], self._window[slots] = began, xp.where(over, pts, self._window[slots])
        for most, earlier in ((self._most_now, self._most_before), (self._now_then, self._before_then)):
            now, before = most[slots], earlier[slots] * forgotten
            most[slots] = xp.where(over, 0.0, now)
            earlier[slots] = xp.where(over, xp.maximum(before, now), before)
        usual = xp.maximum(self._usual_corners[slots], PEAK_SHARE * self._most_before[slots])
        return usual, pts - began >= WINDOW_SECONDS

    def _goes_on(self, slots: Any, corners: Any, is_evidence: Any, is_told: Any) -> Any:
        """Whether damage goes on; else the picture's corners count for the most of its window."""
        xp = self._arithmetic.xp
        looked = ~xp.isnan(corners)
        now, before = self._most_now[slots], self._most_before[slots]
        in_a_row = xp.where(is_evidence, self._in_a_row[slots] + 1, 0.0)
        lasts = looked & is_told & (in_a_row >= STEADY_PICTURES)
        most = xp.maximum(now, xp.where(looked, corners, 0.0))
        now_then = xp.where(is_evidence, self._now_then[slots], most)
        before_then = xp.where(is_evidence, self._before_then[slots], before)
        for column, value in (
            (self._most_now, xp.where(lasts, now_then, most)),
            (self._most_before, xp.where(lasts, before_then, before)),
            (self._in_a_row, xp.where(looked, in_a_row, self._in_a_row[slots])),
            (self._now_then, xp.where(looked, now_then, self._now_then[slots])),
            (self._before_then, xp.where(looked, before_then, self._before_then[slots])),
        ):
            column[slots] = value
        return lasts


class TornBlocks:
    """The part of `torn_blocks`.

    `corruption` is the share of the picture that is damaged, as far as its torn blocks tell; 0 unless the evidence of
    the last pictures, and what the decoder says, is enough.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self.wanted = arithmetic.view(torch.zeros(slots, dtype=torch.bool, device=arithmetic.device))
        """(S,) bool."""
        self._any: set[int] = set()  # slots
        self.said = BlockEvidence(arithmetic, slots)
        """What they say."""

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        needed = not _BLOCK_NAMES.isdisjoint(wanted)
        self.wanted[slot] = needed
        (self._any.add if needed else self._any.discard)(slot)
        self.said.forget(slot)

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        """On tensors; on the host see engine/measure/every_picture.py."""
        if not self._any:
            return
        arithmetic, view, slots = self._arithmetic, rows.view, rows.slots
        xp, wanted = arithmetic.xp, self.wanted[slots]
        view[:, _BLOCKS] = arithmetic.view(torn_blocks(rows.only(wanted, arithmetic), rows.references))
        # As it should be where it is known that there are two fields.
        view[:, _WOVEN] *= 1 - rows.facts[Fact.INTERLACED]
        corners, corners_off, sides, sides_off = (view[:, k] for k in range(_BLOCKS.start, _WOVEN))
        area = rows.facts[Fact.WIDTH] * rows.facts[Fact.HEIGHT] / (BLOCK * BLOCK)
        counts, marked = (corners, corners_off, sides, sides_off), rows.facts[Fact.CORRUPT] != 0
        told = self.said.weigh(slots, rows.pts, counts, marked, area)
        view[:, _CORRUPTION] = xp.where(wanted, told, torch.nan)
        # What has a colour that only a broken decoder gives is damaged, whatever its blocks say; where either is NaN,
        # what the blocks say.
        share, colour = view[:, _CORRUPTION], view[:, _BROKEN_COLOUR]
        view[:, _CORRUPTION] = xp.where(colour > share, colour, share)

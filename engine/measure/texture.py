"""Levels, colour, combing, noise, banding and bars; and from the colour, its loss."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

import torch

from engine.measure.aim import Aim
from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.host_folds import fold_texture
from engine.measure.jumps import BACK_SECONDS, Jumps
from engine.measure.rows import Fact, Rows
from engine.measure.schedule import BURST, Schedule
from kernels.fields import fields
from kernels.texture import COLUMNS, texture

# What it shows lasts, and most of what brings it changes the gradient. It is a little more than half a second, so that
# the pictures looked at walk through every rhythm in which pictures repeat.
TEXTURE_INTERVAL_SECONDS: Final = 0.51
# A picture with so many combed blocks is looked at again soon: one alone, as at a cut between two fields, is no defect.
# The next five at once, which a pulldown that combs two of five does not get past; once a second, so that what is
# combed all the time does not cost more than that.
COMBED: Final = 0.002
COMBED_INTERVAL_SECONDS: Final = 0.2
COMBED_PICTURES: Final = 5.0
COMBED_REST_SECONDS: Final = 1.0
# Neighbours this far apart on average, as a share of full scale, in pictures that change by nearly as much: of snow
# nothing stays where it was. Clean pictures lie below 0.06, a page of text that runs up at 0.08, changing by two thirds
# of that; half a picture of snow has 0.14. Of white noise neighbours are 2/sqrt(pi) standard deviations apart.
SNOW_GRADIENT: Final = 0.1
SNOW_CHANGE: Final = 0.85
NEIGHBOURS_APART: Final = 2 / math.sqrt(math.pi)
# Where less than this share of the blocks that noise is measured by is of grain, and the picture stands, changing by
# less than this share of what so much noise changes by, it is what the picture shows: a page full of text (decision
# 0161). Noise that is new in each picture changes by about as much as that; 0.09 is the most that coders change such a
# page by. Two pictures of noise are 2/sqrt(pi) standard deviations apart.
LEAST_GRAIN: Final = 0.6
STANDS: Final = 0.25 * NEIGHBOURS_APART
# The same of chroma, the mean of both planes: clean pictures reach 1.5 of 256 codes, and change by far less than that.
CHROMA_SNOW_GRADIENT: Final = 4.0 / 256
CHROMA_SNOW_CHANGE: Final = 0.7
# Rows of a building that are two apart are combed as they are. What two fields do goes with motion, so that one of the
# orders of fields fits the earlier picture better: per combed block by these codes, and by this ratio at least
# (decision 0065); and what it says of a picture holds for those around it, as pictures repeat and scenes rest.
VOUCHED_CODES: Final = 16.0
VOUCHED_RATIO: Final = 1.02
VOUCHED_SECONDS: Final = 3.0
# So much less or more of the colour, and this mean length of (U, V) besides, are looked at at once.
COLOUR_CHANGE: Final = 0.25
COLOUR_SLACK: Final = 2 / 256
# So many more borders of blocks at which rows of two moments meet, above twice as many as at the last look, are looked
# at at once: what is combed begins without a change of gradient or colour (decision 0131).
WOVEN_RISE: Final = 0.002
TEXTURE_GRADIENT_CHANGE: Final = 0.15
# A picture that had a mean saturation of at least this much had colour, in shares of full scale (3 of 256).
COLOURFUL: Final = 3 / 256
# Below this gradient (half an 8-bit code) a picture is too empty for its colour to be missed.
EMPTY_GRADIENT: Final = 0.5 / 256
# A chroma plane with less gradient than this (a twentieth of a code), beside one with four times as much, is lost, if
# it is grey or both were there once: a page of two browns has one value of U (decision 0159). So is one whose mean is
# outside limited range.
LOST_GRADIENT: Final = 0.05 / 256
LOWEST_CHROMA: Final = 16 / 256
HIGHEST_CHROMA: Final = 240 / 256
# A coder takes up to its next key picture to draw a plane flat that has been lost: it has been so since its mean came
# this close to grey at once, by so much from one look to the next. No onset is dated back further.
GREY: Final = 0.4 / 256
TO_GREY: Final = 1.0 / 256
PLANE_BACK_SECONDS: Final = 2.0
# Of colours a coder leaves a trace for a while too: what is lost was so from when this share of it was gone, no longer
# ago than this.
MOSTLY_GONE: Final = 0.75
FADE_BACK_SECONDS: Final = 1.0

_GRADIENT, _TEXTURE = place("gradient"), places(COLUMNS)
_LUMA, _NOISE, _MAFD = place("luma_difference"), place("noise"), place("mafd")
_GRAIN: Final = place("grain")
_U_MEAN, _V_MEAN, _SATURATION = place("u_mean"), place("v_mean"), place("saturation")
_U_GRADIENT, _V_GRADIENT = place("u_gradient"), place("v_gradient")
_COMBING, _CHROMA_LOSS, _SINCE = place("combing"), place("chroma_loss"), place("combing_since")
_LOSS_SINCE, _CHANGED_SINCE = place("chroma_loss_since"), place("texture_since")
_COLOUR, _WOVEN = place("colour"), place("woven")
_RANGES: Final = [place("out_of_range"), place("out_of_tolerance")]
_NAMES: Final = frozenset((*COLUMNS, "chroma_loss", "chroma_loss_since", "combing_since", "texture_since"))
# As engine/measure/host_folds.py takes them.
_COLUMNS: Final = (
    _GRADIENT, _U_MEAN, _V_MEAN, _SATURATION, _U_GRADIENT, _V_GRADIENT, *_RANGES, _COMBING, _CHROMA_LOSS, _SINCE,
    _LOSS_SINCE, _CHANGED_SINCE,
)  # fmt: skip
_LIMITS: Final = (
    COLOURFUL, EMPTY_GRADIENT, LOST_GRADIENT, LOWEST_CHROMA, HIGHEST_CHROMA, COMBED, COMBED_INTERVAL_SECONDS,
    TEXTURE_GRADIENT_CHANGE, COMBED_PICTURES, COMBED_REST_SECONDS, float(BURST), GREY,
    TO_GREY, PLANE_BACK_SECONDS, BACK_SECONDS, MOSTLY_GONE, FADE_BACK_SECONDS,
)  # fmt: skip
# Those that have to last, and what they judge.
_DETECTORS: Final = ("video.noise", "video.banding", "video.levels", "video.chroma_loss", "video.bars")
_JUDGED: Final = ("noise", "banding", "out_of_tolerance", "chroma_loss", "bars")
_DATED: Final = ("texture_since", "texture_since", "texture_since", "chroma_loss_since", None)


class Texture:
    """The part of the `texture` kernel.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        jumps: by which what a look finds and the one before did not is dated.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, jumps: Jumps) -> None:
        self._arithmetic, self._jumps = arithmetic, jumps
        self.schedule = Schedule(
            slots,
            arithmetic,
            interval=TEXTURE_INTERVAL_SECONDS,
            loss=TEXTURE_GRADIENT_CHANGE,
            gain=TEXTURE_GRADIENT_CHANGE,
            rate=1 / COMBED_INTERVAL_SECONDS,
            slack=COLOUR_SLACK,
            part=COLOUR_CHANGE,
            beside=_COLOUR,
            sign=_WOVEN,
            rise=WOVEN_RISE,
        )
        self._aim = Aim(arithmetic, slots, _DETECTORS, _JUDGED, TEXTURE_INTERVAL_SECONDS, _DATED)
        known = torch.zeros((14, slots), dtype=torch.float64, device=arithmetic.device)
        self._known = arithmetic.view(known)
        # Saturation of the last colourful picture; loss of colour, of the last one that says something of it; combing
        # of the last picture, and before it, and when they were; what is combed; how many pictures are still to be
        # looked at because of it, and since when; since when the means of U and of V are grey,
        # and those means; and since when the colour is mostly gone, NaN while it is not.
        self._colour, self._loss, *found = self._known
        self._combed, self._when, (self._enough, self._left, self._closely) = found[:2], found[2:4], found[4:7]
        self._grey, self._gone = found[7:11], found[11]
        self._enough[:], self._known[4:6], self._known[8:] = torch.inf, torch.nan, torch.nan
        self._vouched = arithmetic.column(slots, torch.nan)  # when fields last vouched for combing

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self.schedule.open_slot(slot, not _NAMES.isdisjoint(wanted))
        self._aim.open_slot(slot, parameters)
        self._known[:, slot] = 0.0
        self._known[4:6, slot] = self._known[8:, slot] = torch.nan
        self._vouched[slot] = torch.nan
        self._enough[slot] = parameters.get("video.combing", {}).get("threshold", torch.inf)

    @property
    def runs(self) -> bool:
        return self.schedule.runs

    def fill(self, rows: Rows) -> None:
        view, slots = rows.view, rows.slots
        due = self.schedule.due(slots, rows.pts, view[:, _GRADIENT], view[:, _COLOUR], view[:, _WOVEN])
        if due is None:
            return
        view[:, _TEXTURE] = self._arithmetic.view(texture(rows.only(due, self._arithmetic)))
        self._stand(view, due)
        self._snow(view, due)
        self._vouch(rows, due)
        if self._arithmetic.on_host:
            state, aim = self.schedule.state, self._aim.host
            known = self._known, self._jumps.state[3]
            fold_texture(view, _COLUMNS, rows.facts, slots, rows.pts, due, *known, _LIMITS, state, aim)
            return
        # Before `_comb`, which takes the time of the last look.
        changed = self._jumps.since(slots, rows.pts, self._when[0][slots])
        view[:, _CHANGED_SINCE] = self._arithmetic.xp.where(due, changed, torch.nan)
        limited, progressive = 1 - rows.facts[Fact.FULL_RANGE], 1 - rows.facts[Fact.INTERLACED]
        for column in _RANGES:
            view[:, column] *= limited  # nothing of full range can be outside; NaN, where it is not due, stays
        view[:, _COMBING] *= progressive  # as it should be: whoever shows it knows that it has two fields
        self._comb(view, slots, rows.pts, due)
        self._fade(view, slots, rows.pts, due, changed)
        xp, interval = self._arithmetic.xp, self._aim.interval(view, slots, rows.pts, due)
        combed = self._combed[0][slots] >= COMBED
        rested = ~(abs(rows.pts - self._closely[slots]) < COMBED_REST_SECONDS)  # NaN too
        begins = due & combed & rested
        self._closely[slots] = xp.where(begins, rows.pts, self._closely[slots])
        left = xp.where(begins, COMBED_PICTURES, (self._left[slots] - 1).clip(0.0, None))
        self._left[slots] = xp.where(due, left, self._left[slots])
        at_once = left > 0
        interval = xp.where(combed & (interval > COMBED_INTERVAL_SECONDS), COMBED_INTERVAL_SECONDS, interval)
        interval = xp.where(at_once, 0.0, interval)
        self.schedule.pace(slots, due, due, interval=interval, gain=TEXTURE_GRADIENT_CHANGE, granted=at_once)

    def _stand(self, view: Any, due: Any) -> None:
        """A page full of letters that stands: no noise."""
        xp, noise = self._arithmetic.xp, view[:, _NOISE]
        # NaN, where there is no earlier picture, does not stand.
        page = due & (view[:, _GRAIN] < LEAST_GRAIN) & (256 * view[:, _LUMA] < STANDS * noise)
        view[:, _NOISE] = xp.where(page, 0.0, noise)

    def _snow(self, view: Any, due: Any) -> None:
        """Snow over a part of the picture: the quietest blocks, by which noise is measured, lie in the rest of it."""
        xp, gradient = self._arithmetic.xp, view[:, _GRADIENT]
        # NaN, where there is no earlier picture, is no snow.
        snows = due & (gradient >= SNOW_GRADIENT) & (view[:, _LUMA] >= SNOW_CHANGE * gradient)
        codes = 255 / NEIGHBOURS_APART * gradient
        view[:, _NOISE] = xp.where(snows, xp.maximum(view[:, _NOISE], codes), view[:, _NOISE])
        # Of 4:2:0 a third of the samples are chroma.
        steps, change = (view[:, _U_GRADIENT] + view[:, _V_GRADIENT]) / 2, 3 * view[:, _MAFD] - 2 * view[:, _LUMA]
        snows = due & (steps >= CHROMA_SNOW_GRADIENT) & (change >= CHROMA_SNOW_CHANGE * steps)
        codes = 255 / NEIGHBOURS_APART * steps
        view[:, _NOISE] = xp.where(snows, xp.maximum(view[:, _NOISE], codes), view[:, _NOISE])

    def _vouch(self, rows: Rows, due: Any) -> None:
        """Combing that fields do not vouch for is no more than COMBED: looked at again soon, and told by nobody."""
        arithmetic, view, slots, pts = self._arithmetic, rows.view, rows.slots, rows.pts
        xp, combing = arithmetic.xp, view[:, _COMBING]
        looked = due & (combing >= COMBED) & (rows.facts[Fact.INTERLACED] == 0) & (self._enough[slots] < torch.inf)
        if arithmetic.on_host and True not in looked.tolist():
            return
        apart = arithmetic.view(fields(rows.only(looked, arithmetic), rows.references))
        if_top, if_bottom = apart[:, 0] + apart[:, 3], apart[:, 1] + apart[:, 2]
        further, nearer = xp.maximum(if_top, if_bottom), xp.minimum(if_top, if_bottom)
        # NaN, where there is no earlier picture, is less than any number.
        fits = (further - nearer >= VOUCHED_CODES * combing) & (further >= VOUCHED_RATIO * nearer)
        vouched = xp.where(looked & fits, pts, self._vouched[slots])
        self._vouched[slots] = vouched
        unsure = looked & ~(abs(pts - vouched) < VOUCHED_SECONDS)  # NaN too
        view[:, _COMBING] = xp.where(unsure, COMBED, combing)

    def _comb(self, view: Any, slots: Any, pts: Any, due: Any) -> None:
        """The median of the last three pictures, as only what moves is combed, and not all of the time; and since when:
        the first of the three that was as the median says.
        """
        xp, (last, earlier) = self._arithmetic.xp, self._combed
        now, one, two = view[:, _COMBING], last[slots], earlier[slots]
        median = xp.maximum(xp.minimum(one, two), xp.minimum(xp.maximum(one, two), now))
        at_one, at_two = (column[slots] for column in self._when)
        enough = self._enough[slots]
        is_combed = median >= enough
        first = xp.where((now >= enough) == is_combed, pts, at_one)
        first = xp.where((one >= enough) == is_combed, at_one, first)
        first = xp.where(is_combed & (two >= enough), at_two, first)
        last[slots], earlier[slots] = xp.where(due, now, one), xp.where(due, one, two)
        for column, value in zip(self._when, (pts, at_one), strict=True):
            column[slots] = xp.where(due, value, column[slots])
        view[:, _COMBING] = xp.where(due, median, torch.nan)
        view[:, _SINCE] = xp.where(due, pts - first, torch.nan)  # NaN where there was none: now

    def _fade(self, view: Any, slots: Any, pts: Any, due: Any, changed: Any) -> None:
        """What is lost of the colour that there was, and since when; of a plane that is lost, everything.

        Args:
            changed: (N,) seconds since the picture changed at once; 0 where it did not since the last look.
        """
        xp, gradient = self._arithmetic.xp, view[:, _GRADIENT]
        colour, saturation = self._colour, view[:, _SATURATION]
        before = colour[slots]
        less = xp.minimum(view[:, _U_GRADIENT], view[:, _V_GRADIENT])
        more = xp.maximum(view[:, _U_GRADIENT], view[:, _V_GRADIENT])
        lowest = xp.minimum(view[:, _U_MEAN], view[:, _V_MEAN])
        highest = xp.maximum(view[:, _U_MEAN], view[:, _V_MEAN])
        impossible = (lowest < LOWEST_CHROMA) | (highest > HIGHEST_CHROMA)
        flat = xp.where(view[:, _U_GRADIENT] <= view[:, _V_GRADIENT], view[:, _U_MEAN], view[:, _V_MEAN])
        one_flat = (less < LOST_GRADIENT) & (more > 4 * LOST_GRADIENT)
        plane_lost = (one_flat & ((abs(flat - 0.5) < TO_GREY) | (before > 0))) | impossible
        faded = xp.where(before > 0, (1 - saturation / xp.where(before > 0, before, 1.0)).clip(0.0, 1.0), 0.0)
        loss = xp.where(plane_lost, 1.0, faded)
        # An empty card says nothing: what was lost before it is still lost.
        empty = ((gradient < EMPTY_GRADIENT) & (saturation < COLOURFUL) & ~impossible) | xp.isnan(saturation)
        loss = xp.where(empty, self._loss[slots], loss)
        self._loss[slots] = xp.where(due, loss, self._loss[slots])
        view[:, _CHROMA_LOSS] = xp.where(due, loss, torch.nan)
        dated = plane_lost & ~impossible & ~empty
        for mine, steps, other, grey, last in (
            (_U_MEAN, _U_GRADIENT, _V_GRADIENT, self._grey[0], self._grey[2]),
            (_V_MEAN, _V_GRADIENT, _U_GRADIENT, self._grey[1], self._grey[3]),
        ):
            mean, began = view[:, mine], grey[slots]
            at_once = abs(mean - last[slots]) >= TO_GREY  # NaN is not
            began = xp.where(pts >= began, began, xp.where(at_once, pts, torch.nan))
            began = xp.where(abs(mean - 0.5) < GREY, began, torch.nan)
            grey[slots], last[slots] = xp.where(due, began, grey[slots]), xp.where(due, mean, last[slots])
            lost = dated & (view[:, steps] <= view[:, other])
            since = xp.where(lost & (pts >= began), (pts - began).clip(None, PLANE_BACK_SECONDS), 0.0)
            if mine == _U_MEAN:
                longest = since
        gone = self._gone[slots]
        gone = xp.where(loss < MOSTLY_GONE, torch.nan, xp.where(pts >= gone, gone, pts - changed))
        self._gone[slots] = xp.where(due, gone, self._gone[slots])
        fade = xp.where(pts >= gone, (pts - gone).clip(None, FADE_BACK_SECONDS), 0.0)
        view[:, _LOSS_SINCE] = xp.where(due, xp.maximum(fade, xp.maximum(longest, since)), torch.nan)
        colourful = due & ~plane_lost & ~one_flat & (saturation >= COLOURFUL)
        colour[slots] = xp.where(colourful, saturation, before)

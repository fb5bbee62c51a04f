"""Features of single blocks -> measures that need several: what is judged of channels, gaps, hum, hiss, tones, levels.

One code path for the CPU and the GPU, as in engine/measure/: numpy views of host tensors, or device tensors.
"""

import math
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from kernels.sound_features.layout import (
    BLOCK,
    CLICK_BIN,
    ENVELOPE_BIN,
    ENVELOPE_BINS,
    HISS_BINS,
    HUM_FREQUENCIES,
    MAX_CHANNELS,
    Feature,
)

COLUMNS: Final = (
    "phase",  # mean over the samples of 2xy / (x^2 + y^2) of the first two channels, -1..1 (FFmpeg's aphasemeter)
    "correlation",  # the same weighted by power, sum of 2xy over sum of x^2 + y^2: 1 is mono, -1 opposite phase
    "imbalance",  # level of the louder over that of the quieter of the first two channels, dB
    "channel_lost",  # 1 where one of the first two channels is without sound while the other sounds
    "offset",  # steady part of a channel's mean, of the channel with most, linear
    "offset_lead",  # samples of a good block at its head that were bad; below 0: it ended before
    "offset_tail",  # samples at its tail, and before, that were bad if the next block is
    "hum",  # steady power at a mains frequency and its harmonics, as level of a sine, dBFS
    "hum_lead",
    "hum_tail",
    "hiss",  # steady noise between the sounds, as level of white noise, dBFS
    "hiss_lead",
    "hiss_tail",
    "tone",  # 1 for a single sine of steady frequency and level
    "tone_lead",
    "tone_tail",
    "click",  # peak of the third difference over the rms of that around it
    "click_from",  # samples from the block's start, may be below 0
    "click_to",
    "dropout",  # length of a gap that ended here, s; 0: none
    "dropout_from",
    "dropout_to",
    "level_jump",  # change of level that has lasted for LEVEL_SECONDS, dB; 0: none
    "jump_from",
    "jump_to",
)
_AT: Final = {name: index for index, name in enumerate(COLUMNS)}

# Below this level nothing is said about channels against each other, or about tones: what is left of a pause is the
# recording's noise, which has no stereo image. -60 dBFS is silencedetect's limit.
SOUNDING_POWER: Final = 1e-6
# A channel without sound: 80 dB below full scale is below 16-bit dither and above nothing that is meant.
LOST_POWER: Final = 1e-8
POWER_FLOOR: Final = 1e-12

HUM_BLOCKS: Final = 30  # 3 s: a note 1 Hz away turns three times against the hum, and cancels
HUM_COHERENCE: Final = 0.6  # share of the power at its frequency that is steady
HISS_BLOCKS: Final = 30
TONE_ANGLE: Final = 0.01  # cosine: 3 Hz at 1 kHz
TONE_LEVEL_DB: Final = 1.0

GAP_LEVEL: Final = 0.0005  # -66 dBFS
GAP_EDGE: Final = 0.01
GAP_SHORTEST: Final = 10  # ms
GAP_LONGEST_SECONDS: Final = 3.5
SAMPLE_RATE: Final = 48_000
_DELAY: Final = 10  # ms that are looked at on either side of a gap's edge, or a click
_EDGE: Final = 5  # ms of which the level beside a gap is the mean

LEVEL_SECONDS: Final = 4.0
_LEVEL_BLOCKS: Final = 40
# Of each third of the time the second loudest block: that of speech does not follow its pauses, as a mean does, and
# one bang is not enough.
_LEVEL_PARTS: Final = 3
_LEVEL_RANK: Final = 11
_NEVER: Final = -1e9
_SILENT_DB: Final = 10 * math.log10(POWER_FLOOR)
_SOUNDING_DB: Final = 10 * math.log10(SOUNDING_POWER)


class SoundTrends:
    """What is remembered of each slot's features.

    Args:
        device: of the features.
        slots: number of slots.
        on_host: whether numpy computes; None: where `device` is the CPU.
    """

    def __init__(self, device: torch.device, slots: int, on_host: bool | None = None) -> None:
        self._on_host = device.type == "cpu" if on_host is None else on_host
        self._xp: Any = np if self._on_host else torch
        shapes = {
            "count": (),  # whole blocks without a hole
            "means": (MAX_CHANNELS,),
            "hum": (HUM_BLOCKS, 2 * len(HUM_FREQUENCIES)),
            "hiss": (HISS_BLOCKS,),
            "angle": (),
            "level": (),
            "levels": (2 * _LEVEL_BLOCKS,),
            "envelope": (ENVELOPE_BINS,),
            "last_loud": (),  # ms from the start of the next block, below 0
            "before": (),  # level at it
            "longest": (),  # ms
        }
        self._state: dict[str, Any] = {}
        for name, shape in shapes.items():
            tensor = torch.zeros((slots, *shape), dtype=torch.float64, device=device)
            self._state[name] = tensor.numpy() if self._on_host else tensor
        numbers = torch.arange(2 * ENVELOPE_BINS, dtype=torch.float64, device=device)
        self._numbers: Any = numbers.numpy() if self._on_host else numbers

    def reset(self, slot: int, longest_gap_seconds: float = GAP_LONGEST_SECONDS) -> None:
        """A stream moves in.

        Args:
            slot: which is free.
            longest_gap_seconds: a longer gap is no dropout.
        """
        for values in self._state.values():
            values[slot] = 0.0
        self._state["last_loud"][slot] = _NEVER
        self._state["longest"][slot] = 1000.0 * longest_gap_seconds

    def add(self, slots: Tensor, features: Tensor, valid: Tensor, out: Tensor) -> None:
        """Take one block of each slot.

        Args:
            slots: (N,) int64, on the device.
            features: (N, FEATURES), as `sound_features` gives them.
            valid: (N,) int64: samples of each block.
            out: (N, len(COLUMNS)) float64, written: NaN where a measure says nothing.
        """
        xp, state = self._xp, self._state
        rows, row, length = (t.numpy() if self._on_host else t for t in (slots, features, valid))
        columns = out.numpy() if self._on_host else out
        count = state["count"][rows]
        power = row[:, Feature.POWER : Feature.POWER + MAX_CHANNELS]
        level = self._decibels(power.sum(1) / xp.where(power > 0, 1.0, 0.0).sum(1).clip(1.0))
        self._compare_channels(row, columns)
        self._offset(rows, row, count, columns)
        self._hum(rows, row, count, columns)
        self._hiss(rows, row, count, columns)
        self._tone(rows, row, count, level, columns)
        self._gaps_and_clicks(rows, row, count, columns)
        self._level_jump(rows, count, level, columns)
        # A block that is not whole comes before a hole: nothing goes on after it, and its features are not there.
        whole = length == BLOCK
        columns[:, _AT["hum"] :] = xp.where(whole[:, None], columns[:, _AT["hum"] :], math.nan)
        state["count"][rows] = xp.where(whole, count + 1, 0.0)

    def _decibels(self, power: Any) -> Any:
        return 10 * self._xp.log10(power.clip(POWER_FLOOR))

    def _push(self, name: str, rows: Any, value: Any) -> Any:
        """Append to each slot's ring, the newest last, and give the rings."""
        ring = self._state[name][rows]
        ring[:, :-1] = ring[:, 1:] + 0.0  # not in place: source and target overlap
        ring[:, -1] = value
        self._state[name][rows] = ring
        return ring

    def _compare_channels(self, row: Any, columns: Any) -> None:
        xp = self._xp
        left, right = row[:, Feature.POWER], row[:, Feature.POWER + 1]
        side, mid = row[:, Feature.SIDE], row[:, Feature.MID]
        louder = xp.where(left > right, left, right)
        quieter = xp.where(left > right, right, left)
        pair = (side == side) & (louder >= SOUNDING_POWER)  # NaN: one channel
        columns[:, _AT["phase"]] = xp.where(pair, row[:, Feature.PHASE], math.nan)
        columns[:, _AT["correlation"]] = xp.where(pair, 1 - 2 * side / (side + mid).clip(POWER_FLOOR), math.nan)
        difference = self._decibels(louder) - self._decibels(quieter)
        columns[:, _AT["imbalance"]] = xp.where(pair, difference, math.nan)
        columns[:, _AT["channel_lost"]] = xp.where(pair, xp.where(quieter < LOST_POWER, 1.0, 0.0), math.nan)

    def _offset(self, rows: Any, row: Any, count: Any, columns: Any) -> None:
        """What two blocks have of the same sign: the mean of a low tone changes its sign from block to block."""
        xp = self._xp
        mean = row[:, Feature.MEAN : Feature.MEAN + MAX_CHANNELS]
        before = self._state["means"][rows]
        smaller = xp.where(abs(mean) < abs(before), abs(mean), abs(before))
        steady = xp.where((mean * before > 0) & (count > 0)[:, None], smaller, 0.0)
        columns[:, _AT["offset"]] = xp.amax(steady, 1)
        self._delay(columns, "offset", count, 1, 1.0, 0.0)  # known from the second block on
        self._state["means"][rows] = mean

    def _delay(self, columns: Any, name: str, count: Any, blocks: int, tail: float, lead: float) -> None:
        """How late the measure `name` follows, which needs `blocks` of them."""
        xp = self._xp
        columns[:, _AT[f"{name}_lead"]] = lead * BLOCK
        columns[:, _AT[f"{name}_tail"]] = xp.where(count + 1 < blocks, count + 1, tail) * BLOCK

    def _hum(self, rows: Any, row: Any, count: Any, columns: Any) -> None:
        """The mean over 3 s of the amplitude at each mains frequency, where it is most of what is there."""
        xp = self._xp
        goes_on = count > 0
        state = self._state["hum"]
        state[rows] = xp.where(goes_on[:, None, None], state[rows], 0.0)  # what was before a hole is not heard on
        ring = self._push("hum", rows, row[:, Feature.HUM : Feature.HISS])
        mean = ring.mean(1)
        steady = (mean * mean).reshape(-1, len(HUM_FREQUENCIES), 2).sum(2)
        all_of_it = (ring * ring).mean(1).reshape(-1, len(HUM_FREQUENCIES), 2).sum(2)
        kept = xp.where(steady >= HUM_COHERENCE * all_of_it, steady, 0.0)
        family = xp.amax(kept.reshape(-1, 2, len(HUM_FREQUENCIES) // 2).sum(2), 1)
        columns[:, _AT["hum"]] = self._decibels(family)
        # Where a share f of the window holds a hum, that share of its power is steady.
        self._delay(columns, "hum", count, 1, HUM_COHERENCE * HUM_BLOCKS, (HUM_COHERENCE - 1) * HUM_BLOCKS)

    def _hiss(self, rows: Any, row: Any, count: Any, columns: Any) -> None:
        """The quietest 10 ms of 3 s (minimum statistics, Martin 2001), of high frequencies."""
        xp = self._xp
        quietest = xp.amin(row[:, Feature.HISS : Feature.HISS + HISS_BINS], 1)
        ring = self._push("hiss", rows, quietest)
        known = count + 1 >= HISS_BLOCKS
        columns[:, _AT["hiss"]] = xp.where(known, self._decibels(xp.amin(ring, 1)), _SILENT_DB)
        self._delay(columns, "hiss", count, HISS_BLOCKS, HISS_BLOCKS - 1, 0.0)

    def _tone(self, rows: Any, row: Any, count: Any, level: Any, columns: Any) -> None:
        xp, state = self._xp, self._state
        angle = row[:, Feature.TONE]
        same = (count > 0) & (abs(angle - state["angle"][rows]) <= TONE_ANGLE)
        same = same & (abs(level - state["level"][rows]) <= TONE_LEVEL_DB) & (level >= _SOUNDING_DB)
        columns[:, _AT["tone"]] = xp.where(same, row[:, Feature.PURITY], 0.0)
        # Known from the second whole block on; it begins and ends anywhere in the block before.
        self._delay(columns, "tone", count, 2, 1.5, 0.5)
        state["angle"][rows], state["level"][rows] = angle, level

    def _gaps_and_clicks(self, rows: Any, row: Any, count: Any, columns: Any) -> None:
        xp, state = self._xp, self._state
        current = row[:, Feature.ENVELOPE : Feature.ENVELOPE + ENVELOPE_BINS]
        current = xp.where(current == current, current, 0.0)
        before = xp.where((count > 0)[:, None], state["envelope"][rows], 0.0)
        both = np.concatenate((before, current), 1) if self._on_host else torch.cat((before, current), 1)
        state["envelope"][rows] = current
        sums = both.cumsum(1)

        at, ratio = row[:, Feature.CLICK_AT], row[:, Feature.CLICK]
        at = xp.where(at == at, at, 0.0)
        columns[:, _AT["click"]] = xp.where(self._beside_gap(both, at), 0.0, ratio)
        columns[:, _AT["click_from"]] = at - CLICK_BIN / 2
        columns[:, _AT["click_to"]] = at + CLICK_BIN / 2

        # Bins are numbered from the start of the block before; those from `first` up to `last` are decided now.
        first, last = ENVELOPE_BINS - _DELAY, 2 * ENVELOPE_BINS - _DELAY
        heard = xp.where(count > 0, state["last_loud"][rows], _NEVER)
        level_before = state["before"][rows]
        loud = both >= GAP_LEVEL
        if self._on_host and loud[:, first - 1 : last].all():  # nothing ends in it, as in nearly every block
            state["last_loud"][rows] = last - 1.0 - ENVELOPE_BINS
            state["before"][rows] = (sums[:, last - 1] - sums[:, last - 1 - _EDGE]) / _EDGE
            for name in ("dropout", "dropout_from", "dropout_to"):
                columns[:, _AT[name]] = 0.0
            return
        number = self._numbers
        last_loud = self._running_maximum(xp.where(loud[:, :last], number[:last], _NEVER), heard[:, None])
        # Mean of the last bins up to each one, from where there are so many.
        level = (sums[:, _EDGE:] - sums[:, :-_EDGE]) / _EDGE
        until = last_loud[:, first - 1 : last - 1]
        inside = until >= _EDGE
        place = self._whole(xp.where(inside, until - _EDGE, 0.0))
        gathered = np.take_along_axis(level, place, 1) if self._on_host else torch.gather(level, 1, place)
        fallen = xp.where(inside, gathered, level_before[:, None])
        risen = level[:, first - 1 : last - 1]  # of the _EDGE bins from each one on
        length = number[first:last] - 1 - until
        longest = state["longest"][rows][:, None]
        ended = loud[:, first:last] & (length >= GAP_SHORTEST) & (length <= longest)
        ended = ended & (fallen >= GAP_EDGE) & (risen >= GAP_EDGE)
        length = xp.where(ended, length, 0.0)
        which = length.argmax(1)
        gap = xp.amax(length, 1)
        end = (first - ENVELOPE_BINS + which) * float(ENVELOPE_BIN)
        columns[:, _AT["dropout"]] = gap * ENVELOPE_BIN / SAMPLE_RATE
        columns[:, _AT["dropout_from"]] = xp.where(gap > 0, end - gap * ENVELOPE_BIN, 0.0)
        columns[:, _AT["dropout_to"]] = xp.where(gap > 0, end, 0.0)
        state["last_loud"][rows] = last_loud[:, last - 1] - ENVELOPE_BINS
        newest = last_loud[:, last - 1]
        inside = newest >= _EDGE
        place = self._whole(xp.where(inside, newest - _EDGE, 0.0))[:, None]
        gathered = np.take_along_axis(level, place, 1) if self._on_host else torch.gather(level, 1, place)
        state["before"][rows] = xp.where(inside, gathered[:, 0], level_before)

    def _beside_gap(self, both: Any, at: Any) -> Any:
        """Whether one side of a place is a gap and the other is not: then it is the gap's edge and no click."""
        xp = self._xp
        bin_at = (ENVELOPE_BINS + at / ENVELOPE_BIN)[:, None]
        distance = self._numbers - bin_at
        before = xp.amax(xp.where((distance > -_DELAY) & (distance < -2), both, 0.0), 1) >= GAP_LEVEL
        after = xp.amax(xp.where((distance < _DELAY) & (distance > 1), both, 0.0), 1) >= GAP_LEVEL
        return before != after

    def _running_maximum(self, values: Any, start: Any) -> Any:
        values[:, :1] = self._xp.where(values[:, :1] > start, values[:, :1], start)
        return np.maximum.accumulate(values, axis=1) if self._on_host else torch.cummax(values, 1).values

    def _whole(self, values: Any) -> Any:
        return values.astype(np.int64) if self._on_host else values.long()

    def _level_jump(self, rows: Any, count: Any, level: Any, columns: Any) -> None:
        """The level of the 4 s up to now against that of the 4 s before, where it changed at once."""
        xp = self._xp
        ring = self._push("levels", rows, level)
        half = _LEVEL_BLOCKS
        before, after = self._loud_parts(ring[:, : half - 1]), self._loud_parts(ring[:, half + 1 :])
        up = xp.amin(after, 1) - xp.amax(before, 1)
        down = xp.amin(before, 1) - xp.amax(after, 1)
        change = xp.where(up > down, up, -down)
        lasting = (xp.amax(before, 1) >= _SOUNDING_DB) & (xp.amax(after, 1) >= _SOUNDING_DB) & ((up > 0) | (down > 0))
        sign = xp.where(change > 0, 1.0, -1.0)
        steps = [
            sign * (ring[:, k + 1] + ring[:, k + 2] - ring[:, k - 1] - ring[:, k]) / 2
            for k in (half - 2, half - 1, half)
        ]
        here = (steps[1] >= steps[0]) & (steps[1] > steps[2]) & (steps[1] >= abs(change) / 2)
        known = lasting & here & (count + 1 >= 2 * half)
        columns[:, _AT["level_jump"]] = xp.where(known, abs(change), 0.0)
        columns[:, _AT["jump_from"]] = -(half - 1.0) * BLOCK
        columns[:, _AT["jump_to"]] = -(half - 2.0) * BLOCK

    def _loud_parts(self, levels: Any) -> Any:
        """The level of each third of (N, 39) levels."""
        parts = levels.reshape(-1, _LEVEL_PARTS, (_LEVEL_BLOCKS - 1) // _LEVEL_PARTS)
        ordered = np.sort(parts, axis=2) if self._on_host else torch.sort(parts, dim=2).values
        return ordered[:, :, _LEVEL_RANK]

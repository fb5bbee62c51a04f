"""What is done for every picture on the CPU, compiled: a call of numpy on one value costs as much as all of this."""

import math
from enum import IntEnum

import numpy as np

from kernels.rows import compiled


class When(IntEnum):
    """Columns of a schedule's state, one row per slot."""

    WANTED = 0  # 1: a detector of the slot needs the measure
    AT = 1  # media time of the last measure; NaN: none yet
    WATCHED = 2  # what was watched, then
    INTERVAL = 3
    GAIN = 4
    CREDIT = 5  # measures for which there was room after the last one


_WANTED, _AT, _WATCHED, _INTERVAL, _GAIN, _CREDIT = (int(column) for column in When)


@compiled
def due_rows(state, loss, burst, rate, slots, pts, watched):
    """Schedule.due on the host: which rows are due, and how many."""
    due = np.zeros(slots.shape[0], np.bool_)
    count = 0
    for row in range(slots.shape[0]):
        own = state[slots[row]]
        if own[_WANTED] == 0.0:
            continue
        before, now = own[_WATCHED], watched[row]
        rested = abs(pts[row] - own[_AT])  # NaN where it was never measured
        same = now >= (1.0 - loss) * before and now <= (1.0 + own[_GAIN]) * before
        room = own[_CREDIT] + rested * rate
        if not (rested < own[_INTERVAL] and same) and not room < 1.0:
            due[row] = True
            own[_AT] = pts[row]
            own[_WATCHED] = now
            own[_CREDIT] = (room if room < burst else burst) - 1.0
            count += 1
    return due, count


@compiled
def set_where_at_least(values, column, threshold, target, value):
    """values[row, target] = value for the rows whose `column` is at least the threshold."""
    for row in range(values.shape[0]):
        if values[row, column] >= threshold:
            values[row, target] = value


@compiled
def fold_damage(blocks, areas, marked, wanted, slots, pts, state, fitted, limits, corruption):
    """TornBlocks.fill on the host, from the kernel's columns on: each row in turn.

    Args:
        blocks: (N, 4) float64, the columns of `torn_blocks`.
        areas: (N,) blocks in the picture; marked: (N,) bool, what the decoder says.
        wanted: (S,) bool.
        slots, pts: (N,).
        state: (S, 5) float64: last time (NaN: none), evidence, share, usual corners, usual sides.
        fitted: weights of corners and sides, and the constant.
        limits: least logit, enough logit, most evidence, seconds of evidence, usual seconds, usual rise, evidence of
            the decoder, share of corners, least share, least corners.
        corruption: (N,) float64, filled.
    """
    least, enough, most, evidence_seconds, usual_seconds, usual_rise, said, corner_share, least_share, fewest = limits
    for row in range(slots.shape[0]):
        slot = slots[row]
        last, known, shown = state[slot, 0], state[slot, 1], state[slot, 2]
        usual, usual_sides = state[slot, 3], state[slot, 4]
        corners, corners_off, sides, sides_off = blocks[row, 0], blocks[row, 1], blocks[row, 2], blocks[row, 3]
        evidence, share, rise, rise_sides = 0.0, 0.0, 0.0, 0.0
        if not math.isnan(corners):
            if corners >= fewest:
                logit = (
                    fitted[0] * (math.log1p(corners) - math.log1p(max(corners_off, usual)))
                    + fitted[1] * (math.log1p(sides) - math.log1p(max(sides_off, usual_sides)))
                    + fitted[2]
                )
                evidence = min(max((logit - least) / (enough - least), 0.0), most)
            rise = min(corners, 2.0 * usual + usual_rise) - usual
            rise_sides = min(sides, 2.0 * usual_sides + usual_rise) - usual_sides
        if marked[row]:
            evidence += said
        if evidence > 0.0 and not math.isnan(corners):
            share = corners / (corner_share * areas[row])
        step = pts[row] - last
        if not step > 0.0:  # NaN too
            step = 0.0
        kept = math.exp(-step / evidence_seconds)
        evidence = min(max(known * kept + evidence, 0.0), most)
        share = min(max(shown * kept, share, 0.0), 1.0)
        state[slot, 0] = pts[row]
        state[slot, 1], state[slot, 2] = evidence, share
        learnt = 1.0 - math.exp(-step / usual_seconds)
        state[slot, 3], state[slot, 4] = usual + rise * learnt, usual_sides + rise_sides * learnt
        told = min(max(share, least_share), 1.0) if evidence >= 1.0 else 0.0
        corruption[row] = told if wanted[slot] else np.nan

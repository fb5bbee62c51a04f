"""What is done for every picture on the CPU, compiled: a call of numpy on one value costs as much as all of this."""

import math
from enum import IntEnum

import numpy as np

from engine.measure.rows import Fact
from kernels.rows import compiled


class When(IntEnum):
    """Columns of a schedule's state, one row per slot."""

    WANTED = 0  # 1: a detector of the slot needs the measure
    AT = 1  # media time of the last measure; NaN: none yet
    WATCHED = 2  # what was watched, then
    INTERVAL = 3
    GAIN = 4
    CREDIT = 5  # measures for which there was room after the last one
    BESIDE = 6  # what was watched beside it, then
    SIGN = 7  # the sign that was watched, then
    RESERVED = 8  # media time of the last measure for which there was no room; NaN: none yet


_WIDTH, _HEIGHT = int(Fact.WIDTH), int(Fact.HEIGHT)
_CORRUPT, _INTERLACED = int(Fact.CORRUPT), int(Fact.INTERLACED)
_WANTED, _AT, _WATCHED, _INTERVAL, _GAIN, _CREDIT, _BESIDE, _SIGN, _RESERVED = (int(column) for column in When)


@compiled
def due_rows(
    state, loss, burst, reserve_seconds, many, rate, slots, pts, watched, beside, slack, part, sign, sign_rise, due
):  # fmt: skip
    """Schedule.due on the host: which rows are due, (N,) bool, filled; returns how many.

    The caller makes room for it: to make an array here takes numba as long as all the rest.
    """
    count = 0
    due[:] = False
    for row in range(slots.shape[0]):
        own = state[slots[row]]
        if own[_WANTED] == 0.0:
            continue
        before, now = own[_WATCHED], watched[row]
        rested = abs(pts[row] - own[_AT])  # NaN where it was never measured
        same = now >= (1.0 - loss) * before and now <= (1.0 + own[_GAIN]) * before
        large = not (now >= (1.0 - many * loss) * before and now <= (1.0 + many * own[_GAIN]) * before)
        large = large or abs(beside[row] - own[_BESIDE]) > slack + part * own[_BESIDE]
        large = large or sign[row] > sign_rise + 2.0 * own[_SIGN]
        room = own[_CREDIT] + rested * rate
        waits = rested < own[_INTERVAL]
        # NaN, where there was none, is not less.
        reserved = large and waits and room < 1.0 and not abs(pts[row] - own[_RESERVED]) < reserve_seconds
        if reserved or not (waits and ((same and not large) or room < 1.0)):
            due[row] = True
            if reserved:
                own[_RESERVED] = pts[row]
            own[_AT] = pts[row]
            own[_WATCHED] = now
            own[_BESIDE] = beside[row]
            own[_SIGN] = sign[row] if sign[row] > 0.0 else 0.0  # NaN too
            own[_CREDIT] = (room if room < burst else burst) - 1.0
            count += 1
    return count


@compiled
def due_of_all(states, settings, burst, reserve_seconds, many, view, column, slots, pts, due):
    """`due_rows` of several schedules, some of which watch a column of the rows.

    Args:
        states: (P, S, len(When)) float64.
        settings: (P, 8) float64: loss, rate, and whether the column is watched; else nothing is, and 1 stands for it;
            slack and part of what is watched beside it, and its column: below 0 it is the same; and the column of the
            sign, below 0 where there is none, and its rise.
        view: (N, columns) float64.
        due: (P, N) bool, filled.
    Returns: bit p is set where the p-th has rows that are due.
    """
    found = 0
    watched, beside, sign = np.empty(slots.shape[0]), np.empty(slots.shape[0]), np.empty(slots.shape[0])
    for part in range(states.shape[0]):
        own = settings[part]
        watches, other, signs = own[2] != 0.0, int(own[5]), int(own[6])
        for row in range(slots.shape[0]):
            watched[row] = view[row, column] if watches else 1.0
            beside[row] = view[row, other] if other >= 0 else watched[row]
            sign[row] = view[row, signs] if signs >= 0 else 0.0
        if due_rows(
            states[part], own[0], burst, reserve_seconds, many, own[1], slots, pts, watched, beside, own[3], own[4],
            sign, own[7], due[part],
        ):  # fmt: skip
            found |= 1 << part
    return found


@compiled
def set_pace(state, slot, interval, gain):
    """Schedule.pace on the host, of one slot."""
    state[slot, _INTERVAL], state[slot, _GAIN] = interval, gain


@compiled
def grant(state, slot, burst):
    """Schedule.pace's `granted` on the host, of one slot."""
    state[slot, _CREDIT] = burst


@compiled
def next_look(aim, view, row, slot, at):
    """Aim.interval on the host, of one row that is due.

    Args:
        aim: columns (K,) int64, and those of the seconds since when, -1 where there is none; enter, lasts, since:
            (K, S) float64; and the usual seconds, slack and least seconds.
    """
    columns, earlier, enter, lasts, since, usual, slack, least = aim
    found = usual
    for k in range(columns.shape[0]):
        now = np.nan
        if view[row, columns[k]] >= enter[k, slot]:
            began = at
            if earlier[k] >= 0 and view[row, earlier[k]] > 0.0:
                began = at - view[row, earlier[k]]
            now = began if math.isnan(since[k, slot]) else since[k, slot]
        since[k, slot] = now
        left = now + lasts[k, slot] - at - slack  # NaN where it is not bad
        if 0.0 < left < found:
            found = left
    return max(found, least)


@compiled
def note_jump(jumps, limits, slot, luma, chroma, at):
    """How a picture that changes by so much stands out: Jumps.fill of engine/measure/jumps.py on the host.

    Args:
        jumps: (4, S) float64: the most that luma and chroma changed by of late, by how much the largest jump of late
            exceeded it, and when that was.
        limits: of the smallest jump; what is kept of the most with each picture; the least most; seconds of late.
    """
    jump, kept, least, seconds = limits
    if math.isnan(luma) or math.isnan(chroma):
        return
    most, of_chroma = jumps[0, slot], jumps[1, slot]
    if math.isnan(most):  # the first change
        jumps[0, slot], jumps[1, slot] = luma, chroma
        return
    by = max(luma / max(most, least), chroma / max(of_chroma, least))
    if by >= jump and (by >= jumps[2, slot] or not abs(at - jumps[3, slot]) < seconds):  # NaN too
        jumps[2, slot], jumps[3, slot] = by, at
    jumps[0, slot], jumps[1, slot] = max(luma, kept * most), max(chroma, kept * of_chroma)


@compiled
def fold_damage(values, first, colour, corruption, facts, wanted, slots, pts, state, fitted, limits):
    """TornBlocks.fill on the host: what of torn blocks and the decoder's word is damage.

    Args:
        values: (N, columns) float64; of these the five from `first` on are those of `torn_blocks`, `colour` is how much
            has a colour that only a broken decoder gives, and `corruption` is filled.
        facts: (len(Fact), N) float64.
        wanted: (S,) bool.
        slots, pts: (N,).
        state: (S, 15) float64: last time (NaN: none), evidence, share, usual corners, usual sides, most corners of a
            picture in this window and before it, when the window and the stream began (NaN: not yet), how many pictures
            in a row were evidence, the most corners of a picture, in the window and before it, when they began, the
            most corners of the other grids, doubt, and how much of the evidence is the decoder's word.
        fitted: (3,) float64, weights of corners and sides, and the constant.
        limits: (21,) float64: least logit, enough logit, most evidence, seconds of evidence, usual seconds, usual rise,
            evidence of the decoder, share of corners, least share, least corners, share of peaks, seconds of peaks, of
            windows, pictures of evidence in a row that are damage which goes on, pace at which that becomes usual,
            samples of a block, roots of the most that a picture of evidence has more, share of the other grids' most;
            and of a picture of doubt the least corners, the roots, and the least logit.
    """
    least, enough, most, evidence_seconds = limits[0], limits[1], limits[2], limits[3]
    usual_seconds, usual_rise, said, corner_share = limits[4], limits[5], limits[6], limits[7]
    least_share, fewest, peak_share, peak_seconds = limits[8], limits[9], limits[10], limits[11]
    window_seconds, steady, pace, block, roots = limits[12], limits[13], limits[14], limits[15], limits[16]
    others_share, fewest_of_doubt, roots_of_doubt, least_of_doubt = limits[17], limits[18], limits[19], limits[20]
    for row in range(slots.shape[0]):
        own, at = state[slots[row]], pts[row]
        corners, corners_off = values[row, first], values[row, first + 1]
        sides, sides_off = values[row, first + 2], values[row, first + 3]
        # As it should be where it is known that there are two fields.
        values[row, first + 4] *= 1.0 - facts[_INTERLACED, row]
        looked = not math.isnan(corners)
        step = at - own[0]
        if not step > 0.0:  # NaN too
            step = 0.0
        if not at >= own[8]:  # NaN, and time that goes back, too
            own[8] = at
        forgotten = math.exp(-step / peak_seconds)
        own[6] *= forgotten
        own[11] *= forgotten
        own[12] *= forgotten
        if not at - own[7] < window_seconds or at < own[7]:
            own[5], own[6], own[7] = 0.0, max(own[6], own[5]), at
            own[10], own[11] = 0.0, max(own[10], own[11])
        usual = max(own[3], peak_share * own[6])
        evidence, share, doubt = 0.0, 0.0, 0.0
        root = math.sqrt(own[6])
        if looked and corners >= fewest_of_doubt and at - own[8] >= window_seconds:
            logit = (
                fitted[0] * (math.log1p(corners) - math.log1p(max(corners_off, usual, others_share * own[12])))
                + fitted[1] * (math.log1p(sides) - math.log1p(max(sides_off, own[4])))
                + fitted[2]
            )
            if corners >= fewest and corners >= own[6] + roots * root:
                evidence = min(max((logit - least) / (enough - least), 0.0), most)
            if corners >= own[6] + roots_of_doubt * root and logit >= least_of_doubt:
                doubt = 1.0
        kept = math.exp(-step / evidence_seconds)
        own[14] *= kept
        if facts[_CORRUPT, row] != 0.0:
            evidence += said
            own[14] = min(own[14] + said, most)
        own[1] = min(max(own[1] * kept + evidence, 0.0), most)
        own[13] = max(own[13] * kept, doubt)
        if looked:
            if evidence > 0.0:
                share = corners / (corner_share * (facts[_WIDTH, row] * facts[_HEIGHT, row] / block))
            if evidence == 0.0:
                if own[9] >= steady:
                    own[1] = 0.0
                own[9], own[10], own[11] = 0.0, max(own[5], corners), own[6]
                own[12] = max(own[12], corners_off)
            own[9] += evidence > 0.0
            lasts = own[9] >= steady and own[1] >= 1.0
            if lasts:
                own[5], own[6] = own[10], own[11]
            learnt = (1.0 - math.exp(-step / usual_seconds)) * (pace if lasts else 1.0)
            own[3] += (min(corners, 2.0 * own[3] + usual_rise) - own[3]) * learnt
            own[4] += (min(sides, 2.0 * own[4] + usual_rise) - own[4]) * learnt
            if not lasts:
                own[5] = max(own[5], corners)
        own[0] = at
        own[2] = min(max(own[2] * kept, share, 0.0), 1.0)
        told = min(max(own[2], least_share), 1.0) if own[1] >= 1.0 else 0.0
        told = told if wanted[slots[row]] else np.nan
        # What has such a colour is damaged, whatever its blocks say; where either is NaN, what the blocks say.
        values[row, corruption] = values[row, colour] if values[row, colour] > told else told


@compiled
def look_for_tears(values, columns, limits, facts, slots, pts, due, changes, looked_at, brightness, last, looked):
    """Of the rows that are due: which to look at for tears, (N,) bool, filled.

    Args:
        values: (N, columns) float64; columns: luma_difference, luma_mean.
        limits: least motion; what fades, as a share of it, within how many seconds.
        pts: (N,).
        changes: (S,) int64, how often each slot's reference has changed; looked_at: (S,), that number when it was due.
        brightness, last: (S,) float64: luma_mean of the last picture that was due, and its time.
    """
    luma, mean = columns
    least_motion, fades, fade_seconds = limits
    for row in range(slots.shape[0]):
        slot = slots[row]
        looked[row] = (
            due[row]
            and looked_at[slot] != changes[slot]
            and values[row, luma] >= least_motion
            and facts[_INTERLACED, row] == 0.0
        )
        if due[row]:
            brighter = abs(values[row, mean] - brightness[slot])
            if abs(pts[row] - last[slot]) <= fade_seconds and brighter >= fades * values[row, luma]:
                looked[row] = False
            looked_at[slot], brightness[slot] = changes[slot], values[row, mean]


@compiled
def fold_tears(values, columns, counted, facts, slots, pts, due, last, heights, evidence, usual, grown, limits, state):
    """Tears.fill on the host: what the counts of `tear` say of each row, added to what was known of it.

    Args:
        values: (N, columns) float64; columns: tear_place, tearing, tearing_since.
        counted: (N, 4, rows) int32, the columns of `tear`.
        facts: (len(Fact), N) float64.
        slots, pts: (N,).
        due: (N,) bool; nothing is done of the others.
        last, heights: (S,) float64: time and height of the last picture that was due.
        evidence: (S, 2, R) float64, R at least `rows`; by row, that what is below is late, and that it is ahead.
        usual: (S, 2, 3) float64: blocks that seem torn and those that move, in rows that are no multiple of four, those
            that are, and multiples of eight.
        grown: four of (S,) float64: the most evidence of a row and which row, as a share of the height; when it began
            there; when it ceased to grow, NaN while it grows.
        limits: share of torn blocks, least usual share, most for, most against, most evidence, rows at the edge, and
            the share of the height that the edge is at least; how many blocks that fit worse across time are
            many, and what they say; seconds of evidence and of what is usual; evidence that is suspected, and the
            interval where there is less; evidence that is some; and the share of the height within which a row is the
            same.
        state: of the schedule.
    """
    torn_share, least_usual, most_for, most_against, most_evidence, edge_rows, edge_share, many, worse = limits[:9]
    evidence_seconds, usual_seconds, suspected, interval, some, same_row = limits[9:]
    place_column, tearing_column, since_column = columns
    most, where, began, rests = grown
    gain, loss = np.zeros(3), np.zeros(3)
    for n in range(slots.shape[0]):
        if not due[n]:
            continue
        slot = slots[n]
        whole, own, lately = int(facts[_HEIGHT, n]), evidence[slot], usual[slot]
        height = min(whole, counted.shape[2])
        step = pts[n] - last[slot]
        if not step > 0.0:  # NaN too
            step = 0.0
        kept, kept_usual = math.exp(-step / evidence_seconds), math.exp(-step / usual_seconds)
        if heights[slot] != whole:  # rows of another size are other rows
            kept = kept_usual = 0.0
        last[slot], heights[slot] = pts[n], whole
        for kind in range(3):
            # Without the row that has the most, which may be torn.
            total, highest, moving = 0, 0, 0
            first, step = (1, 1) if kind == 0 else (4, 8) if kind == 1 else (0, 8)
            for y in range(first, height, step):
                if kind == 0 and y % 4 == 0:
                    continue
                either = max(counted[n, 0, y], counted[n, 1, y])
                total += either
                highest = max(highest, either)
                moving += counted[n, 3, y]
            lately[0, kind] = lately[0, kind] * kept_usual + (total - highest)
            lately[1, kind] = lately[1, kind] * kept_usual + moving
            q = min(max(2 * lately[0, kind] / max(lately[1, kind], 1.0), least_usual), 0.5)
            p = max(min(3 * q, 0.9), torn_share)
            gain[kind], loss[kind] = math.log(p / q), math.log((1 - p) / (1 - q))
        edge = max(whole // edge_share, edge_rows)
        best, place = 0.0, 0
        for direction in range(2):
            for y in range(height):
                value = own[direction, y] * kept
                moving = counted[n, 3, y]
                if moving > 0 and edge <= y < whole - edge:
                    kind = 2 if y % 8 == 0 else 1 if y % 4 == 0 else 0
                    torn = counted[n, direction, y]
                    said = torn * gain[kind] + (moving - torn) * loss[kind]
                    if 0 < torn <= counted[n, 2, y]:
                        said = min(said, 0.0)
                    said = min(max(said, most_against), most_for)
                    if counted[n, 2, y] >= many and counted[n, 2, y] > 2 * torn:
                        said = worse
                    value += said
                value = min(max(value, 0.0), most_evidence)
                own[direction, y] = value
                if value > best:
                    best, place = value, y
        at_row, before = place / whole, most[slot]
        if before < some or abs(at_row - where[slot]) > same_row:
            began[slot] = pts[n]
        grows = best >= before * kept + some
        if grows:
            rests[slot] = np.nan
        elif math.isnan(rests[slot]):
            rests[slot] = pts[n]
        most[slot], where[slot] = best, at_row
        values[n, tearing_column], values[n, place_column] = best, at_row
        values[n, since_column] = pts[n] - (began[slot] if grows else rests[slot])
        set_pace(state, slot, 0.0 if best >= suspected else interval, 0.0)

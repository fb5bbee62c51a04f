"""What is done for every picture on the CPU, compiled: a call of numpy on one value costs as much as all of this."""

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

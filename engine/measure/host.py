"""What is done for every picture on the CPU, compiled: a call of numpy on one value costs as much as all of this."""

import numpy as np

from kernels.rows import compiled


@compiled
def due_rows(wanted, at, last, interval, gain, credit, loss, burst, rate, slots, pts, watched):
    """Schedule.due on the host: which rows are due, and how many."""
    due = np.zeros(slots.shape[0], np.bool_)
    count = 0
    for row in range(slots.shape[0]):
        slot = slots[row]
        if not wanted[slot]:
            continue
        before, now = last[slot], watched[row]
        rested = abs(pts[row] - at[slot])  # NaN where it was never measured
        same = now >= (1.0 - loss) * before and now <= (1.0 + gain[slot]) * before
        room = credit[slot] + rested * rate
        if not (rested < interval[slot] and same) and not room < 1.0:
            due[row] = True
            credit[slot] = (room if room < burst else burst) - 1.0
            at[slot] = pts[row]
            last[slot] = now
            count += 1
    return due, count

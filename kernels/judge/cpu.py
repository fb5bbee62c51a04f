"""The state machine on the CPU: one compiled loop over rows and detectors."""

import math

from numba import njit

from kernels.judge.layout import (
    GAP_SECONDS,
    SAMPLE_RATE,
    TIME_TOLERANCE,
    WORSE_BY,
    DetectorField,
    EventField,
    EventKind,
    OnsetRule,
    Phase,
    RuleField,
    StateField,
)

# numba folds plain integers of the module into the code; members of an IntEnum it would look up.
_COLUMN, _ONSET_RULE, _AUX0, _AUX1, _CLOSING_COUNTS, _MASTERS = (int(f) for f in DetectorField)
_ENABLED, _BELOW, _ENTER, _EXIT, _SET, _CLEAR = (int(f) for f in RuleField)
_PHASE, _ONSET, _CLEAR_ONSET, _PEAK, _SUM, _COUNT, _RELEASED, _REPORTED, _SEEN_UNTIL, _CLEARS_FROM = (
    int(f) for f in StateField
)
_OK, _PENDING, _OPEN, _CLEARING = (float(p) for p in Phase)
_OPENED, _WORSE, _CLOSED = (float(k) for k in EventKind)
_SINCE_PREVIOUS, _SAMPLES, _BACKDATED, _PASSING, _EARLIER = (
    int(OnsetRule.SINCE_PREVIOUS),
    int(OnsetRule.SAMPLES),
    int(OnsetRule.BACKDATED),
    int(OnsetRule.PASSING),
    int(OnsetRule.EARLIER),
)
_E_DETECTOR, _E_KIND, _E_AT, _E_DECIDED, _E_PEAK, _E_MEAN = (int(f) for f in EventField)


@njit(nogil=True, cache=True)
def _write(events, row, count, detector, kind, at, decided_at, peak, mean):
    event = events[row, count]
    event[_E_DETECTOR] = detector
    event[_E_KIND] = kind
    event[_E_AT] = at
    event[_E_DECIDED] = decided_at
    event[_E_PEAK] = peak
    event[_E_MEAN] = mean
    return count + 1


@njit(nogil=False, cache=True)  # as `kernels.rows.brief`
def judge(slots, start, known_until, values, detectors, rules, state, events, counts):
    """See op.py; every argument is the numpy view of the tensor there."""
    for row in range(slots.shape[0]):
        slot = slots[row]
        n = 0
        if slot >= 0:
            began = start[row]
            until = known_until[row]
            for d in range(detectors.shape[0]):
                rule = rules[slot, d]
                if rule[_ENABLED] == 0.0:
                    continue
                now = state[slot, d]
                seen_until = now[_SEEN_UNTIL]
                now[_SEEN_UNTIL] = until
                value = values[row, detectors[d, _COLUMN]]
                onset_rule = detectors[d, _ONSET_RULE]
                own_onset = began
                ended_at = began
                tail = math.nan
                if onset_rule == _SINCE_PREVIOUS:
                    tail = began
                elif math.isnan(value):
                    continue
                phase = now[_PHASE]
                if onset_rule == _SAMPLES:
                    ended_at = began + values[row, detectors[d, _AUX0]] / SAMPLE_RATE
                    at_tail = values[row, detectors[d, _AUX1]]
                    if at_tail > 0.0:
                        tail = until - at_tail / SAMPLE_RATE
                    if phase == _OK and abs(began - seen_until) > GAP_SECONDS:
                        now[_ONSET] = math.nan
                elif onset_rule == _BACKDATED:
                    own_onset = until - value
                earlier = onset_rule == _EARLIER
                if earlier:
                    seconds = values[row, detectors[d, _AUX0]]
                    if seconds > 0.0:  # NaN: now
                        own_onset = began - seconds
                        ended_at = own_onset
                passing = onset_rule == _PASSING
                passed_at = began
                if passing:
                    own_onset = began + values[row, detectors[d, _AUX0]] / SAMPLE_RATE
                    passed_at = began + values[row, detectors[d, _AUX1]] / SAMPLE_RATE

                is_open = phase in (_OPEN, _CLEARING)
                limit = rule[_EXIT] if is_open else rule[_ENTER]
                below = rule[_BELOW] != 0.0
                bad = value <= limit if below else value >= limit

                held = False
                floor = -math.inf
                masters = detectors[d, _MASTERS]
                if earlier:
                    floor = now[_RELEASED]
                if masters != 0:
                    for m in range(d):
                        if (masters >> m) & 1 and rules[slot, m, _ENABLED] != 0.0:
                            held = held or state[slot, m, _PHASE] != _OK
                            floor = max(floor, state[slot, m, _RELEASED])

                if bad:
                    if passing:
                        held = held or own_onset <= floor + TIME_TOLERANCE
                        if is_open:
                            passed_at = max(passed_at, now[_CLEAR_ONSET])
                        else:
                            now[_ONSET] = own_onset
                    if is_open:
                        now[_PHASE] = _CLEARING if passing else _OPEN
                        if passing:
                            now[_CLEAR_ONSET] = passed_at
                            now[_CLEARS_FROM] = passed_at
                    elif phase == _OK:
                        now[_PHASE] = _PENDING
                        now[_COUNT] = 0.0
                        if math.isnan(now[_ONSET]):
                            now[_ONSET] = own_onset
                    if not is_open:
                        now[_ONSET] = max(now[_ONSET], floor)
                        if held:
                            now[_COUNT] = 0.0
                            continue
                    if now[_COUNT] == 0.0:
                        now[_PEAK] = value
                        now[_SUM] = value
                    else:
                        now[_PEAK] = min(now[_PEAK], value) if below else max(now[_PEAK], value)
                        now[_SUM] += value
                    now[_COUNT] += 1.0
                    peak = now[_PEAK]
                    if is_open:
                        change = abs(peak - now[_REPORTED])
                        if change > 0.0 and change > WORSE_BY * abs(now[_REPORTED]):
                            now[_REPORTED] = peak
                            n = _write(events, row, n, d, _WORSE, began, until, peak, now[_SUM] / now[_COUNT])
                    elif until - now[_ONSET] >= rule[_SET] - TIME_TOLERANCE:
                        now[_PHASE] = _CLEARING if passing else _OPEN
                        if passing:
                            now[_CLEAR_ONSET] = passed_at
                            now[_CLEARS_FROM] = passed_at
                        now[_REPORTED] = peak
                        n = _write(events, row, n, d, _OPENED, now[_ONSET], until, peak, now[_SUM] / now[_COUNT])
                    continue

                if phase == _OPEN:
                    phase = _CLEARING
                    now[_PHASE] = _CLEARING
                    now[_CLEAR_ONSET] = ended_at
                    now[_CLEARS_FROM] = began if earlier else ended_at
                if phase == _CLEARING:
                    if until - now[_CLEARS_FROM] < rule[_CLEAR] - TIME_TOLERANCE:
                        continue
                    end = max(now[_CLEAR_ONSET], now[_ONSET])
                    n = _write(events, row, n, d, _CLOSED, end, until, now[_PEAK], now[_SUM] / now[_COUNT])
                    now[_RELEASED] = end
                elif not math.isnan(now[_ONSET]):
                    if phase == _PENDING:
                        now[_RELEASED] = ended_at
                    onset = max(now[_ONSET], floor)
                    if (
                        detectors[d, _CLOSING_COUNTS] != 0
                        and not held
                        and ended_at > onset
                        and ended_at - onset >= rule[_SET] - TIME_TOLERANCE
                    ):
                        seen = phase == _PENDING and now[_COUNT] > 0.0
                        peak = now[_PEAK] if seen else rule[_ENTER]
                        mean = now[_SUM] / now[_COUNT] if seen else rule[_ENTER]
                        n = _write(events, row, n, d, _OPENED, onset, until, peak, mean)
                        n = _write(events, row, n, d, _CLOSED, ended_at, until, peak, mean)
                        now[_RELEASED] = ended_at
                now[_PHASE] = _OK
                now[_ONSET] = tail
        counts[row] = n

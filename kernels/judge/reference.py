"""The state machine for one slot in plain Python, to be read beside op.py. Used only by tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from kernels.judge.layout import GAP_SECONDS, SAMPLE_RATE, TIME_TOLERANCE, WORSE_BY, EventKind, OnsetRule, Phase


@dataclass
class ReferenceDetector:
    """One detector with its rule; `masters` are indices of earlier detectors."""

    column: int
    onset_rule: OnsetRule
    enter: float
    exit: float
    below: bool
    set_seconds: float
    clear_seconds: float
    closing_counts: bool = False
    masters: tuple[int, ...] = ()
    aux: tuple[int, int] = (-1, -1)
    enabled: bool = True


@dataclass
class _State:
    phase: Phase = Phase.OK
    onset: float | None = None
    clear_onset: float = 0.0
    clears_from: float = 0.0
    values: list[float] = field(default_factory=list)
    released: float = -math.inf
    reported: float = 0.0
    seen_until: float | None = None


Event = tuple[int, EventKind, float, float, float, float]


class ReferenceJudge:
    """Judges the rows of one slot, one after the other."""

    def __init__(self, detectors: Sequence[ReferenceDetector]) -> None:
        self.detectors = detectors
        self.states = [_State() for _ in detectors]

    def row(self, start: float, known_until: float, values: Sequence[float]) -> list[Event]:
        """Events of one row, in the order of the detectors: (detector, kind, at, decided_at, peak, mean)."""
        events: list[Event] = []
        for index, detector in enumerate(self.detectors):
            if detector.enabled:
                events += self._row(index, start, known_until, values)
                self.states[index].seen_until = known_until
        return events

    def _row(self, index: int, start: float, known_until: float, values: Sequence[float]) -> list[Event]:
        detector, state = self.detectors[index], self.states[index]
        value = values[detector.column]
        own_onset, ended_at, tail = start, start, None
        if detector.onset_rule == OnsetRule.SINCE_PREVIOUS:
            tail = start
        elif math.isnan(value):
            return []
        if detector.onset_rule == OnsetRule.SAMPLES:
            ended_at = start + values[detector.aux[0]] / SAMPLE_RATE
            if values[detector.aux[1]] > 0:
                tail = known_until - values[detector.aux[1]] / SAMPLE_RATE
            if state.phase == Phase.OK and state.seen_until is not None and abs(start - state.seen_until) > GAP_SECONDS:
                state.onset = None
        elif detector.onset_rule == OnsetRule.BACKDATED:
            own_onset = known_until - value
        elif detector.onset_rule == OnsetRule.EARLIER and values[detector.aux[0]] > 0:
            own_onset = ended_at = start - values[detector.aux[0]]
        passed_at = None
        if detector.onset_rule == OnsetRule.PASSING:
            own_onset = start + values[detector.aux[0]] / SAMPLE_RATE
            passed_at = start + values[detector.aux[1]] / SAMPLE_RATE

        is_open = state.phase in (Phase.OPEN, Phase.CLEARING)
        limit = detector.exit if is_open else detector.enter
        bad = value <= limit if detector.below else value >= limit
        masters = [self.states[m] for m in detector.masters if self.detectors[m].enabled]
        held = any(master.phase != Phase.OK for master in masters)
        floor = max([master.released for master in masters], default=-math.inf)
        if detector.onset_rule == OnsetRule.EARLIER:
            floor = max(floor, state.released)
        if bad:
            held = held or (passed_at is not None and own_onset <= floor + TIME_TOLERANCE)
            events = self._bad(index, value, own_onset, start, known_until, held, floor)
            if passed_at is not None and state.phase == Phase.OPEN:
                state.phase = Phase.CLEARING
                state.clear_onset = passed_at if not is_open else max(passed_at, state.clear_onset)
                state.clears_from = state.clear_onset
            return events
        return self._good(index, start, ended_at, tail, known_until, held, floor)

    def _bad(
        self, index: int, value: float, own_onset: float, start: float, known_until: float, held: bool, floor: float
    ) -> list[Event]:
        detector, state = self.detectors[index], self.states[index]
        if state.phase in (Phase.OPEN, Phase.CLEARING):
            state.phase = Phase.OPEN
            state.values.append(value)
            peak = self._peak(index)
            if peak != state.reported and abs(peak - state.reported) > WORSE_BY * abs(state.reported):
                state.reported = peak
                return [(index, EventKind.WORSE, start, known_until, peak, self._mean(index))]
            return []
        if state.phase == Phase.OK:
            state.phase = Phase.PENDING
            state.values = []
            if state.onset is None:
                state.onset = own_onset
        if detector.onset_rule == OnsetRule.PASSING:
            state.onset = own_onset
        assert state.onset is not None
        state.onset = max(state.onset, floor)
        if held:
            state.values = []
            return []
        state.values.append(value)
        if known_until - state.onset >= detector.set_seconds - TIME_TOLERANCE:
            state.phase = Phase.OPEN
            state.reported = self._peak(index)
            return [(index, EventKind.OPENED, state.onset, known_until, self._peak(index), self._mean(index))]
        return []

    def _good(
        self,
        index: int,
        start: float,
        ended_at: float,
        tail: float | None,
        known_until: float,
        held: bool,
        floor: float,
    ) -> list[Event]:
        detector, state = self.detectors[index], self.states[index]
        events: list[Event] = []
        if state.phase == Phase.OPEN:
            state.phase = Phase.CLEARING
            state.clear_onset = ended_at
            state.clears_from = start if detector.onset_rule == OnsetRule.EARLIER else ended_at
        if state.phase == Phase.CLEARING:
            if known_until - state.clears_from < detector.clear_seconds - TIME_TOLERANCE:
                return []
            assert state.onset is not None
            end = max(state.clear_onset, state.onset)
            events.append((index, EventKind.CLOSED, end, known_until, self._peak(index), self._mean(index)))
            state.released = end
        elif state.onset is not None:
            if state.phase == Phase.OK:
                state.values = []
            onset = max(state.onset, floor)
            if (
                detector.closing_counts
                and not held
                and ended_at > onset
                and ended_at - onset >= detector.set_seconds - TIME_TOLERANCE
            ):
                peak, mean = self._peak(index), self._mean(index)
                events.append((index, EventKind.OPENED, onset, known_until, peak, mean))
                events.append((index, EventKind.CLOSED, ended_at, known_until, peak, mean))
            if events or state.phase == Phase.PENDING:
                state.released = ended_at
        state.phase = Phase.OK
        state.onset = tail
        return events

    def close(self, at: float) -> list[Event]:
        """Events of the stream's end at `at`; every detector starts anew."""
        events: list[Event] = []
        for index, detector in enumerate(self.detectors):
            state = self.states[index]
            masters = [self.states[m] for m in detector.masters if self.detectors[m].enabled]
            floor = max([master.released for master in masters], default=-math.inf)
            if not detector.enabled:
                continue
            peak, mean = self._peak(index), self._mean(index)
            if state.phase in (Phase.OPEN, Phase.CLEARING):
                assert state.onset is not None
                end = max(state.clear_onset if state.phase == Phase.CLEARING else at, state.onset)
                events.append((index, EventKind.CLOSED, end, at, peak, mean))
                state.released = end
            elif state.onset is not None and (state.phase == Phase.PENDING or detector.onset_rule == OnsetRule.SAMPLES):
                onset = max(state.onset, floor)
                long_enough = at > onset and at - onset >= detector.set_seconds - TIME_TOLERANCE
                if detector.closing_counts and long_enough:
                    if state.phase == Phase.OK:
                        state.values = []
                        peak, mean = self._peak(index), self._mean(index)
                    events.append((index, EventKind.OPENED, onset, at, peak, mean))
                    events.append((index, EventKind.CLOSED, at, at, peak, mean))
                if state.phase == Phase.PENDING or (detector.closing_counts and long_enough):
                    state.released = at
        self.states = [_State() for _ in self.detectors]
        return events

    def _peak(self, index: int) -> float:
        detector, values = self.detectors[index], self.states[index].values
        if not values:  # bad between two rows only: as bad as it has to be
            return detector.enter
        return min(values) if detector.below else max(values)

    def _mean(self, index: int) -> float:
        values = self.states[index].values
        return sum(values) / len(values) if values else self.detectors[index].enter

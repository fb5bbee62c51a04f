"""Measures -> Transitions: the slots' state on the device, and what of it crosses to the host.

Per row a byte or two cross from a GPU, the number of its events and how bright it is; the events themselves follow only
where there are any, on a stream of their own, so that nothing waits for work that was queued later.

Not thread-safe; called from the engine's loop only.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.detectors import Detector, Rule
from engine.errors import ConfigError, MeasureError
from engine.media import Measures
from engine.verdicts import Transition
from kernels.judge import op
from kernels.judge.layout import (
    DETECTOR_FIELDS,
    EVENT_FIELDS,
    EVENTS_PER_DETECTOR,
    MOST_DETECTORS,
    RULE_FIELDS,
    EventKind,
    Phase,
    RuleField,
    StateField,
)

Kind = Literal["opened", "worse", "closed"]
_KINDS: dict[int, Kind] = {EventKind.OPENED: "opened", EventKind.WORSE: "worse", EventKind.CLOSED: "closed"}


class Pending(Protocol):
    """Rows that were handed to the device."""

    def transitions(self) -> list[Transition]:
        """What came of them, in the order of the rows; waits for the device. To be called once.

        For the CPU before the next `submit`; for one slot in the order of submission.
        """

    def brightness(self) -> list[float]:
        """Of pictures judged on a GPU, as a share of full scale each, in steps of 1/255; after `transitions`."""

    def asks(self) -> list[int]:
        """Of pictures judged on a GPU, 1 for each that asks to be looked at again, else 0; after `transitions`."""


class _Nothing:
    """No detector judges this track."""

    def transitions(self) -> list[Transition]:
        return []

    def brightness(self) -> list[float]:
        return []

    def asks(self) -> list[int]:
        return []


class _Track:
    """One track's tables. Detectors lie masters first, so `names` need not be in the order given."""

    def __init__(self, detectors: Sequence[Detector], device: torch.device, capacity: int) -> None:
        self.detectors = _masters_first(detectors)
        self.names = [declared.name for declared in self.detectors]
        self.device = device
        d = len(self.detectors)
        if d > MOST_DETECTORS:
            raise ConfigError(
                "too many detectors on one track",
                why=f"{d} judge {self.detectors[0].track}",
                remedy=f"choose at most {MOST_DETECTORS}",
            )
        self.masters = [
            sum(1 << self.names.index(name) for name in declared.dominated_by if name in self.names)
            for declared in self.detectors
        ]
        self.depth = op.dominance_depth(self.masters)
        # The host's copy is the one that is edited, and read when a slot closes.
        self.host_rules = torch.zeros((capacity, d, RULE_FIELDS), dtype=torch.float64)
        self.rules = self.host_rules if device.type == "cpu" else self.host_rules.to(device)
        self.state = op.new_state(capacity, d, device)
        if device.type == "cpu":
            # Views: handing over nine tensors with each row takes longer than the judging.
            self.rules_view, self.state_view = self.rules.numpy(), self.state.numpy()
        self.columns: tuple[str, ...] | None = None
        self.host_table = np.zeros((d, DETECTOR_FIELDS), dtype=np.int64)
        self.table = torch.zeros((0, DETECTOR_FIELDS), dtype=torch.int64)
        self.room = 0
        self.reserve(1)

    def set_rules(self, slot: int, rules: Mapping[str, Rule]) -> None:
        """The rules of a slot; those of other tracks' detectors are left alone."""
        for d, name in enumerate(self.names):
            row = self.host_rules[slot, d]
            row.zero_()
            if name in rules:
                rule = rules[name]
                row[RuleField.ENABLED] = 1.0
                row[RuleField.BELOW] = float(rule.below)
                row[RuleField.ENTER] = rule.enter
                row[RuleField.EXIT] = rule.exit
                row[RuleField.SET_SECONDS] = rule.set_seconds
                row[RuleField.CLEAR_SECONDS] = rule.clear_seconds
        if self.rules is not self.host_rules:
            self.rules[slot] = self.host_rules[slot].to(self.device)

    def reserve(self, rows: int) -> None:
        """Room for the events of so many rows, on the CPU, where they are read before the next call."""
        if rows > self.room:
            shape = (rows, EVENTS_PER_DETECTOR * len(self.detectors), EVENT_FIELDS)
            self.room = rows
            self.events = torch.zeros(shape, dtype=torch.float64)
            self.counts = torch.zeros(rows, dtype=torch.int32)
            self.host_events, self.host_counts = self.events.numpy(), self.counts.numpy()

    def bind(self, columns: tuple[str, ...]) -> None:
        """Find each detector's measures among the columns.

        Raises: MeasureError if one is not there.
        """
        for d, declared in enumerate(self.detectors):
            head, tail = declared.samples or (declared.since, None)
            missing = [name for name in (declared.column, head, tail) if name is not None and name not in columns]
            if missing:
                raise MeasureError(
                    f"{declared.name} cannot judge",
                    why=f"nothing measures {', '.join(missing)} on {declared.track}; there are {', '.join(columns)}",
                    remedy="leave the detector out, or correct the measures that it declares",
                )
            self.host_table[d] = (
                columns.index(declared.column),
                declared.onset,
                columns.index(head) if head else -1,
                columns.index(tail) if tail else -1,
                declared.closing_counts,
                self.masters[d],
            )
        self.table = torch.from_numpy(self.host_table.copy()).to(self.device)
        self.columns = columns

    def read(self, slot: int, count: int, events: npt.NDArray[np.float64]) -> list[Transition]:
        """The first `count` events of a row."""
        return [
            Transition(slot, self.names[int(d)], _KINDS[int(kind)], at, decided_at, peak, mean)
            for d, kind, at, decided_at, peak, mean in events[:count].tolist()
        ]


class _OnHost:
    """Rows that the CPU has judged already."""

    __slots__ = ("_slots", "_track")

    def __init__(self, track: _Track, slots: Tensor) -> None:
        self._track, self._slots = track, slots

    def transitions(self) -> list[Transition]:
        track = self._track
        counts = track.host_counts[: self._slots.shape[0]].tolist()
        if not any(counts):
            return []
        slots = self._slots.tolist()
        found: list[Transition] = []
        for row, count in enumerate(counts):
            found += track.read(slots[row], count, track.host_events[row])
        return found

    def brightness(self) -> list[float]:
        return []  # whoever wants it has the rows

    def asks(self) -> list[int]:
        return []


class _Told:
    """Rows whose transitions were read at once."""

    __slots__ = ("_transitions",)

    def __init__(self, transitions: list[Transition]) -> None:
        self._transitions = transitions

    def transitions(self) -> list[Transition]:
        return self._transitions

    def brightness(self) -> list[float]:
        return []

    def asks(self) -> list[int]:
        return []


class _OnDevice:
    """Rows in flight on a GPU."""

    def __init__(self, judge: "Judge", track: _Track, slots: Tensor, events: Tensor, tally: Tensor) -> None:
        self._judge, self._track, self._slots, self._events = judge, track, slots, events
        self._tally = torch.empty(tally.shape, dtype=torch.uint8, pin_memory=True)
        self._tally.copy_(tally, non_blocking=True)
        judge.device_to_host_bytes += self._tally.nbytes
        # Blocking: a thread that waits for an event of the other kind spins, whatever the context's flag says.
        self._done: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._done.record()

    def transitions(self) -> list[Transition]:
        self._done.synchronize()
        counts = self._tally[-1, : len(self._slots)].tolist()
        found: list[Transition] = []
        if any(counts):
            rows = [row for row, count in enumerate(counts) if count]
            most = max(counts)
            with torch.cuda.stream(self._judge.copies()):
                wanted = [self._events[row, :most].to("cpu", non_blocking=False) for row in rows]
            self._judge.device_to_host_bytes += sum(events.nbytes for events in wanted)
            slots = self._slots.tolist()
            for row, events in zip(rows, wanted, strict=True):
                found += self._track.read(slots[row], counts[row], events.numpy())
        return found

    def brightness(self) -> list[float]:
        return [level / 255 for level in self._tally[0, : len(self._slots)].tolist()] if len(self._tally) > 1 else []

    def asks(self) -> list[int]:
        found: list[int] = self._tally[1, : len(self._slots)].tolist() if len(self._tally) > 1 else []
        return found


class Judge:
    """The verdicts of many streams, each in its slot.

    Args:
        detectors: all that any slot may use.
        device: where the measures are.
        capacity: number of slots.
    Raises: ConfigError if detectors dominate each other in a circle.
    """

    def __init__(self, detectors: Sequence[Detector], device: torch.device | str, capacity: int) -> None:
        self.device = torch.device(device)
        self.device_to_host_bytes = 0
        self._copies: torch.cuda.Stream | None = None
        # Ticks are made on the host; to hand them to a GPU would take longer than to judge them.
        where = {"video": self.device, "audio": self.device, "stream": torch.device("cpu")}
        self._tracks = {
            track: _Track([d for d in detectors if d.track == track], at, capacity)
            for track, at in where.items()
            if any(d.track == track for d in detectors)
        }

    def open_slot(self, slot: int, rules: Mapping[str, Rule]) -> None:
        """Begin a stream in a free slot.

        Args:
            slot: 0 to capacity - 1.
            rules: of the detectors that judge it, by name.
        Raises: ConfigError for a detector that this judge was not made with.
        """
        unknown = set(rules) - {name for track in self._tracks.values() for name in track.names}
        if unknown:
            raise ConfigError(
                "the engine was not made with these detectors",
                why=", ".join(sorted(unknown)),
                remedy="give the engine every detector that one of its streams uses",
            )
        for track in self._tracks.values():
            track.set_rules(slot, rules)
            track.state[slot] = op.new_state(1, len(track.names), track.device)[0]

    def change_rules(
        self, slot: int, rules: Mapping[str, Rule], at: Mapping[str, float], suspended: Collection[str] = ()
    ) -> list[Transition]:
        """Judge a slot by other rules from here on.

        What was submitted before has to be read first (`Pending.transitions`).

        Args:
            slot: the stream's.
            rules: of the detectors that judge it from now on; a detector that did before goes on from its state.
            at: media second at which each track stands, which is where a detector that is left out closes.
            suspended: detectors that neither judge nor close, until rules are given for them again.
        Returns: what closed.
        """
        found: list[Transition] = []
        for name, track in self._tracks.items():
            state = track.state[slot].cpu().numpy().copy()
            leaving = track.host_rules[slot].numpy().copy()
            gone = [d for d, of in enumerate(track.names) if of not in rules and of not in suspended]
            leaving[[d for d in range(len(track.names)) if d not in gone], RuleField.ENABLED] = 0.0
            ended = state.copy()
            events = op.close_row(ended, leaving, track.host_table, at[name])
            found += [
                Transition(slot, track.names[d], _KINDS[kind], when, decided_at, peak, mean)
                for d, kind, when, decided_at, peak, mean in events
            ]
            state[gone] = ended[gone]
            track.set_rules(slot, {of: rule for of, rule in rules.items() if of not in suspended})
            track.state[slot] = torch.from_numpy(state).to(track.device)
            if track.device.type == "cuda":
                self.device_to_host_bytes += state.nbytes
        return found

    def submit(self, measures: Measures) -> Pending:
        """Judge rows. On a GPU this only queues the work.

        Args:
            measures: rows of one track; a slot's rows come in the order of time.
        Raises: MeasureError if a detector's measure is not among the columns.
        """
        track = self._tracks.get(measures.track)
        if track is None:
            return _Nothing()
        if measures.columns is not track.columns and measures.columns != track.columns:
            track.bind(measures.columns)
        n = measures.slots.shape[0]
        if track.device.type == "cpu":
            if n > track.room:
                track.reserve(n)
            start = measures.start.numpy()
            op.judge_arrays(
                measures.slots.numpy(),
                start,
                start if measures.known_until is measures.start else measures.known_until.numpy(),
                measures.values.numpy(),
                track.host_table,
                track.rules_view,
                track.state_view,
                track.host_events,
                track.host_counts,
            )
            judged = _OnHost(track, measures.slots)
            # On a GPU they are asked for when the batches before them are done, and by then others were judged.
            return judged if self.device.type == "cpu" else _Told(judged.transitions())
        return self._launch(track, measures, n)

    def judge(self, measures: Measures) -> list[Transition]:
        """`submit` and wait."""
        return self.submit(measures).transitions()

    def close_slot(self, slot: int, at: float | Mapping[str, float]) -> list[Transition]:
        """End a slot's stream: close what is open, forget the rest. The slot is free afterwards.

        What was submitted before has to be read first (`Pending.transitions`).

        Args:
            slot: the stream's.
            at: media second at which it ended, for each track ("video", "audio", "stream") or for all.
        """
        found: list[Transition] = []
        for name, track in self._tracks.items():
            end = at if isinstance(at, (int, float)) else at[name]
            state = track.state[slot].cpu().numpy().copy()
            events = op.close_row(state, track.host_rules[slot].numpy(), track.host_table, float(end))
            found += [
                Transition(slot, track.names[d], _KINDS[kind], when, decided_at, peak, mean)
                for d, kind, when, decided_at, peak, mean in events
            ]
            if track.device.type == "cuda":
                self.device_to_host_bytes += state.nbytes
        self.open_slot(slot, {})
        return found

    def interrupt(self, slot: int, tracks: Sequence[str] = ("video", "audio")) -> None:
        """Nothing is known of the time from the last picture and sound of a slot to the next ones.

        What is open stays open; what was only about to open, because something lasted, begins anew.

        Args:
            slot: the stream's.
            tracks: of which nothing is known.
        """
        for name in tracks:
            track = self._tracks.get(name)
            if track is not None:
                state = track.state[slot]
                held = state[:, StateField.PHASE] >= Phase.OPEN
                state[:, StateField.PHASE] = torch.where(held, state[:, StateField.PHASE], float(Phase.OK))
                state[:, StateField.ONSET] = torch.where(held, state[:, StateField.ONSET], torch.nan)

    def copies(self) -> torch.cuda.Stream:
        """The stream on which events cross."""
        if self._copies is None:
            self._copies = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        return self._copies

    def _upload(self, measures: Measures) -> tuple[Tensor, Tensor, Tensor]:
        """Slots and times of rows that the host made."""
        staged = torch.empty((3, measures.slots.shape[0]), dtype=torch.float64, pin_memory=True)
        staged[0].view(torch.int64).copy_(measures.slots)
        staged[1].copy_(measures.start)
        staged[2].copy_(measures.known_until)
        rows = staged.to(self.device, non_blocking=True)
        return rows[0].view(torch.int64), rows[1], rows[2]

    def _launch(self, track: _Track, measures: Measures, n: int) -> Pending:
        with torch.cuda.device(self.device):
            slots, start, until = measures.device_rows or self._upload(measures)
            shape = (n, EVENTS_PER_DETECTOR * len(track.names), EVENT_FIELDS)
            events = torch.empty(shape, dtype=torch.float64, device=self.device)
            tally = measures.tally
            if tally is None:
                tally = torch.empty((1, n), dtype=torch.uint8, device=self.device)
            op.judge(
                slots,
                start,
                until,
                measures.values,
                track.table,
                track.rules,
                track.state,
                events,
                tally[-1],  # two per detector at most
                track.depth,
            )
            return _OnDevice(self, track, measures.slots, events, tally)


def _masters_first(detectors: Sequence[Detector]) -> tuple[Detector, ...]:
    """The same detectors, each after those that dominate it.

    Raises: ConfigError if there is no such order.
    """
    waiting, placed = list(detectors), list[Detector]()
    while waiting:
        held_back = {declared.name for declared in waiting}
        free = [declared for declared in waiting if not held_back.intersection(declared.dominated_by)]
        if not free:
            raise ConfigError(
                "detectors dominate each other in a circle",
                why=", ".join(sorted(held_back)),
                remedy="take one out of `dominated_by`",
            )
        placed += free
        waiting = [declared for declared in waiting if declared not in free]
    return tuple(placed)

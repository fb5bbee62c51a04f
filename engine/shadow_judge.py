"""A second judge over the same measures: what other rules would find, beside what the stream's own find.

Nothing is decoded or measured for it. What it finds is no incident: nobody is told of it but who asked for it. Touched
by the engine's loop only.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch

from engine.detectors import Rule, all_detectors
from engine.incidents import Change, IncidentBook
from engine.judge import Judge, Pending
from engine.media import Measures
from engine.verdicts import ClosedBy, Incident, Transition

Found = tuple[Incident, Change]


class ShadowJudge:
    """The rules beside of those slots that have some.

    Args:
        device: where the measures are.
        slots: of the engine.
    """

    def __init__(self, device: torch.device, slots: int) -> None:
        self._judge = Judge(all_detectors(), device, slots)
        self._books: dict[int, IncidentBook] = {}

    @property
    def device_to_host_bytes(self) -> int:
        """Copied since the start."""
        return self._judge.device_to_host_bytes

    def open(self, slot: int, stream: str, rules: Mapping[str, Rule]) -> None:
        """Judge a slot by these rules too, from here on."""
        self._judge.open_slot(slot, rules)
        self._books[slot] = IncidentBook(stream)

    def change(
        self, slot: int, rules: Mapping[str, Rule], at: Mapping[str, float], suspended: Collection[str] = ()
    ) -> list[Found]:
        """Other rules, or others that are suspended; see Judge.change_rules."""
        if slot not in self._books:
            return []
        return [self._apply(one, "removed") for one in self._judge.change_rules(slot, rules, at, suspended)]

    def submit(self, measures: Measures) -> Pending | None:
        """Judge rows; None where no slot of them has rules beside."""
        if not any(slot in self._books for slot in measures.slots.tolist()):
            return None
        return self._judge.submit(measures)

    def found(self, pending: Pending) -> Iterator[Found]:
        """What came of rows that were submitted."""
        for transition in pending.transitions():
            if transition.slot in self._books:  # it may have been closed while they were in flight
                yield self._apply(transition, "recovered")

    def interrupt(self, slot: int, tracks: Sequence[str] = ("video", "audio")) -> None:
        """See Judge.interrupt."""
        if slot in self._books:
            self._judge.interrupt(slot, tracks)

    def close(self, slot: int, at: Mapping[str, float], closed_by: ClosedBy) -> list[Found]:
        """End what is judged beside on a slot: what is open closes."""
        if slot not in self._books:
            return []
        found = [self._apply(one, closed_by) for one in self._judge.close_slot(slot, at)]
        del self._books[slot]
        return found

    def _apply(self, transition: Transition, closed_by: ClosedBy) -> Found:
        book = self._books[transition.slot]
        found = book.apply(transition, closed_by=closed_by)
        if found[1] == "closed":
            book.forget_closed()
        return found

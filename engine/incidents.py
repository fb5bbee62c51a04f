"""Transition -> Incident: one book per stream, in which each defect is opened once and closed once."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Literal

from engine.detectors import Detector, detector
from engine.verdicts import ClosedBy, Incident, Transition

Change = Literal["opened", "updated", "closed"]


def incident_id(stream: str, detector_name: str, start: float) -> str:
    """16 hex digits that are the same whenever the same defect is found again, in any run and on any machine.

    The start counts in whole milliseconds, so that the last bit of a float does not make another incident of it.
    """
    text = "|".join((stream, detector_name, f"{round(start * 1000)}"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class IncidentBook:
    """The incidents of one stream, in the order in which they opened.

    Args:
        stream: the stream's id.
        lookup: detector by name; the installed ones unless told.
    """

    def __init__(self, stream: str, lookup: Callable[[str], Detector] = detector) -> None:
        self.stream = stream
        self._lookup = lookup
        self._open: dict[str, Incident] = {}
        self._closed: list[Incident] = []

    def apply(self, transition: Transition, closed_by: ClosedBy = "recovered") -> tuple[Incident, Change]:
        """Take a transition in.

        Args:
            transition: the next one of this stream.
            closed_by: why it closes, if it does and has not been good since an earlier moment.
        Returns: the incident as it now is (the book's own object, which later transitions change), and what changed.
        Raises: ValueError if it opens what is open, or concerns what is not; the judge does neither.
        """
        name = transition.detector
        declared = self._lookup(name)
        if (transition.kind == "opened") == (name in self._open):
            raise ValueError(f"{self.stream}: {name} {transition.kind} at {transition.at}, open: {sorted(self._open)}")
        if transition.kind == "opened":
            self._open[name] = Incident(
                id=incident_id(self.stream, name, transition.at),
                stream=self.stream,
                detector=name,
                severity=declared.severity,
                start=transition.at,
                score=transition.peak,
                decided_at=transition.decided_at,
            )
        incident = self._open[name]
        incident.score = transition.peak
        incident.measures = {f"{declared.column}_peak": transition.peak, f"{declared.column}_mean": transition.mean}
        if transition.kind == "closed":
            incident.end = transition.at
            # What was good again before the stream's end was not ended by that, however soon after it came.
            incident.closed_by = "recovered" if transition.at < transition.decided_at else closed_by
            self._closed.append(self._open.pop(name))
            return incident, "closed"
        return incident, "opened" if transition.kind == "opened" else "updated"

    def open(self) -> tuple[Incident, ...]:
        """Those that are open, oldest first."""
        return tuple(self._open.values())

    def all(self) -> Iterator[Incident]:
        """All, in the order of their starts, then of their detectors' names."""
        return iter(sorted((*self._closed, *self._open.values()), key=lambda i: (i.start, i.detector)))

    def forget_closed(self) -> None:
        """Let go of what is over; a stream that runs for months cannot keep it."""
        self._closed.clear()

    def end(self, at: float, closed_by: ClosedBy) -> list[Incident]:
        """Close what is still open, where no judge can say how it ended (its process died).

        Args:
            at: media second up to which the stream was seen.
            closed_by: why.
        """
        left = list(self._open.values())
        for incident in left:
            incident.end = max(at, incident.start)
            incident.closed_by = closed_by
        self._open.clear()
        self._closed += left
        return left

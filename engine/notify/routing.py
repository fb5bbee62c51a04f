"""Which change of an incident is told to which sinks. Asked inside the store's transaction: quick, and no I/O."""

import fnmatch
import hashlib
from typing import Final

from engine.settings.notify import NotifySection, RouteSection
from engine.store.records import Change, Delivery, IncidentRecord
from engine.store.sql import DAMPING_SECONDS
from engine.verdicts import Severity

# A defect that comes back is reported when it has held for its detector's set duration, which is rarely longer.
SET_SECONDS: Final = 5.0
# The outbox's column holds 512 characters; a stream's id and a few labels can be longer together.
_LONGEST_GROUPING: Final = 200


class Routing:
    """The routes of a configuration.

    Args:
        section: what is configured.
        damping_seconds: the store's: a defect that comes back no later than this is the same incident continued.
    """

    def __init__(self, section: NotifySection, damping_seconds: float = DAMPING_SECONDS) -> None:
        self._routes = tuple(section.routes)
        self._closed_hold_seconds = damping_seconds + SET_SECONDS if damping_seconds > 0 else 0.0

    def __call__(self, record: IncidentRecord, change: Change) -> list[Delivery]:
        """Who is to be told, each sink once."""
        deliveries: dict[str, Delivery] = {}
        for route in self._routes:
            if not matches(route, record, change):
                continue
            hold = route.hold_seconds
            if change == "closed":
                own = route.closed_hold_seconds
                hold = self._closed_hold_seconds if own is None else own
            grouping = group(route, record)
            for sink in route.sinks:
                deliveries.setdefault(sink, Delivery(sink, grouping, hold))
            if route.stop:
                break
        return list(deliveries.values())


def matches(route: RouteSection, record: IncidentRecord, change: Change) -> bool:
    """Whether a route is for that change."""
    names = {*record.streams, record.stream, record.subject}
    return (
        change in route.changes
        and record.severity.rank >= Severity(route.severity).rank
        and any(fnmatch.fnmatchcase(record.detector, pattern) for pattern in route.detectors)
        and any(fnmatch.fnmatchcase(name, pattern) for pattern in route.streams for name in names)
        and all(
            name in record.labels and fnmatch.fnmatchcase(record.labels[name], pattern)
            for name, pattern in route.labels.items()
        )
    )


def group(route: RouteSection, record: IncidentRecord) -> str:
    """What the notices of one message have in common: equal text, same message."""
    parts = []
    for name in route.group_by:
        if name.startswith("labels."):
            value = record.labels.get(name.removeprefix("labels."), "")
        else:
            value = {
                "incident": record.id,
                "stream": record.stream,
                "channel": record.subject,
                "detector": record.detector,
                "area": record.detector.split(".")[0],
                "severity": str(record.severity),
            }[name]
        parts.append(f"{name}={value}")
    text = "\n".join(parts)
    return text if len(text) <= _LONGEST_GROUPING else hashlib.sha256(text.encode()).hexdigest()

"""What a profile that is tried beside the live one would change: incidents of both, and which go together.

Filled by the fleet's reporting thread, read by the API's threads. What was seen is kept as lines of JSON in one file of
the data folder, which `avjury shadow` reads too; a file of another profile is begun anew. It holds the latest
MOST_RECORDS incidents. Nothing of a shadow reaches recorder, stores or notifier.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from engine.detectors import detector
from engine.service.contract import Change, EvidenceKind, FleetListener, StreamPlan, StreamStatus
from engine.service.core import Core
from engine.store.records import Recorded, wall_text
from engine.verdicts import Incident, StreamSecond

FILE: Final = "shadow.jsonl"
MOST_RECORDS: Final = 20_000

Side = Literal["live", "shadow"]
Key = tuple[str, str, str, str, float]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Seen:
    """An incident as it is compared.

    Args:
        side: whose rules found it.
        stream, session, detector, severity: its own.
        start, end: media seconds of the session; end is None while it is open.
        opened_at: Unix second at which it was told.
    """

    side: Side
    stream: str
    session: str
    detector: str
    severity: str
    start: float
    end: float | None
    opened_at: float

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return (self.side, self.stream, self.session, self.detector, round(self.start, 3))


class ShadowBook:
    """The incidents of both sides. Any thread.

    Args:
        folder: of its file; made if it is not there.
        profile: that is tried.
        clock: Unix seconds.
    """

    def __init__(self, folder: Path, profile: str, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._failing = False
        self.profile = profile
        self.since = clock()
        self._seen: OrderedDict[Key, Seen] = OrderedDict()
        found = read_book(self._path)
        if found is not None and found[0]["profile"] == profile:
            self.since = found[0]["since"]
            self._seen = OrderedDict((one.key, one) for one in found[1])
        with self._lock:
            self._rewrite()

    def take(self, side: Side, incident: Incident, change: Change, session: str, at: float) -> None:
        """An incident changed; see FleetListener.on_incident. Never raises."""
        if change == "updated":
            return
        one = Seen(side, incident.stream, session, incident.detector, str(incident.severity), incident.start,
                   incident.end, at)  # fmt: skip
        with self._lock:
            before = self._seen.get(one.key)
            if before is not None:
                one.opened_at = before.opened_at
            self._seen[one.key] = one
            if len(self._seen) > MOST_RECORDS:
                # A tenth at a time: the file is written anew for it.
                for _ in range(MOST_RECORDS // 10):
                    self._seen.popitem(last=False)
                self._rewrite()
            else:
                self._append(one)

    def seen(self) -> list[Seen]:
        """All of both sides, in the order in which they opened."""
        with self._lock:
            return list(self._seen.values())

    def _append(self, one: Seen) -> None:
        with self._told(), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(one)) + "\n")

    def _rewrite(self) -> None:
        with self._told():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_suffix(".part")
            with beside.open("w", encoding="utf-8") as file:
                file.write(json.dumps({"profile": self.profile, "since": self.since}) + "\n")
                file.writelines(json.dumps(asdict(one)) + "\n" for one in self._seen.values())
            os.replace(beside, self._path)

    @contextlib.contextmanager
    def _told(self) -> Any:
        """A disk that is full costs what a restart would have found, and nothing else."""
        try:
            yield
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("what the shadow finds cannot be kept: %s", error.strerror or error)
            self._failing = True


def read_book(path: Path) -> tuple[dict[str, Any], list[Seen]] | None:
    """The file's head (`profile`, `since`) and what is in it; None where there is none, or no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        head = json.loads(lines[0])
        if not (isinstance(head["profile"], str) and isinstance(head["since"], float)):
            return None
    except (OSError, ValueError, LookupError, TypeError):
        return None
    seen: OrderedDict[Key, Seen] = OrderedDict()
    for line in lines[1:]:
        with contextlib.suppress(ValueError, TypeError):  # the last line of a crash
            one = Seen(**json.loads(line))
            seen[one.key] = one
    return head, list(seen.values())


def compared(seen: Iterable[Seen]) -> dict[str, list[dict[str, Any]]]:
    """Which incidents only the live profile has, which only the shadow, and which both.

    Two go together where they are of one detector in one session of a stream, and overlap.
    """
    sides: dict[str, dict[tuple[str, str, str], list[Seen]]] = {"live": {}, "shadow": {}}
    for one in seen:
        sides[one.side].setdefault((one.stream, one.session, one.detector), []).append(one)
    found: dict[str, list[dict[str, Any]]] = {"only_live": [], "only_shadow": [], "both": []}
    for place, live in sides["live"].items():
        others = sides["shadow"].get(place, [])
        for one in live:
            match = next((other for other in others if _overlap(one, other)), None)
            if match is None:
                found["only_live"].append(_shown(one))
            else:
                found["both"].append({**_shown(one), "shadow_start": match.start, "shadow_end": match.end})
    for place, shadows in sides["shadow"].items():
        live = sides["live"].get(place, [])
        found["only_shadow"] += [_shown(one) for one in shadows if not any(_overlap(one, other) for other in live)]
    for items in found.values():
        items.sort(key=lambda item: item["opened_at"], reverse=True)
    return found


def _overlap(one: Seen, other: Seen) -> bool:
    return (other.end is None or one.start <= other.end) and (one.end is None or other.start <= one.end)


def _shown(one: Seen) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "detector": one.detector,
        "severity": one.severity,
        "start": round(one.start, 3),
        "end": None if one.end is None else round(one.end, 3),
        "opened_at": wall_text(one.opened_at),
    }


def report(head: Mapping[str, Any], seen: Iterable[Seen], most: int = 200) -> dict[str, Any]:
    """What would change, for people and programs.

    Args:
        head: `profile` and `since`.
        seen: incidents of both sides.
        most: of each list; `counts` has all.
    """
    sorted_out = compared(seen)
    counts: dict[str, Counter[str]] = {}
    for kind, items in sorted_out.items():
        for item in items:
            counts.setdefault(item["detector"], Counter())[kind] += 1
    return {
        "profile": head["profile"],
        "since": wall_text(head["since"]),
        "counts": [
            {"detector": name, **{kind: counted[kind] for kind in ("only_live", "only_shadow", "both")}}
            for name, counted in sorted(counts.items())
        ],
        **{kind: items[:most] for kind, items in sorted_out.items()},
    }


def not_tried(plans: Iterable[StreamPlan]) -> list[str]:
    """What the shadow says that cannot be judged beside: parameters that change what is measured, not the rule."""
    from engine.service.backtest import judged_by_rule

    found = set()
    for plan in plans:
        for name, given in (plan.shadow or {}).items():
            declared = detector(name)
            now, then = declared.settle(plan.detectors.get(name, {})), declared.settle(given)
            by_rule = judged_by_rule(declared, now)
            found |= {f"{name}.{key}" for key, value in then.items() if value != now[key] and not by_rule[key]}
    return sorted(found)


class Shadow:
    """The book of the profile that is tried now; another profile begins another book.

    Args:
        folder: of its file.
        core: whose configuration says which profile is tried.
    """

    def __init__(self, folder: Path, core: Core) -> None:
        self._folder = folder
        self._core = core
        self._lock = threading.Lock()
        self._book: ShadowBook | None = None

    def book(self) -> ShadowBook | None:
        """None where no profile is tried."""
        profile = self._core.config.shadow.profile
        with self._lock:
            if profile is None:
                self._book = None
            elif self._book is None or self._book.profile != profile:
                self._book = ShadowBook(self._folder, profile)
            return self._book

    def tried(self, stream: str) -> bool:
        """Whether a profile is tried on a stream."""
        wanted = self._core.all().get(stream)
        return wanted is not None and wanted.plan.shadow is not None

    def as_json(self) -> dict[str, Any]:
        """What would change, as the API shows it."""
        book = self.book()
        if book is None:
            return {"profile": None, "streams": 0, "not_tried": []}
        plans = [wanted.plan for wanted in self._core.all().values() if wanted.plan.shadow is not None]
        return {
            **report({"profile": book.profile, "since": book.since}, book.seen()),
            "streams": len(plans),
            "not_tried": not_tried(plans),
        }


class ShadowListener:
    """Stands before the service's listener: what shadows find goes to the book, what is live there and on.

    Args:
        shadow: the book.
        beyond: who is told of everything live.
    """

    def __init__(self, shadow: Shadow, beyond: FleetListener) -> None:
        self._shadow = shadow
        self._beyond = beyond

    def on_incident(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Compared where its stream is tried, and handed on."""
        book = self._shadow.book()
        if book is not None and self._shadow.tried(incident.stream):
            book.take("live", incident, change, session, at)
        self._beyond.on_incident(incident, change, session, at)

    def on_recorded(self, told: Recorded) -> None:
        """Handed on."""
        self._beyond.on_recorded(told)

    def on_shadow(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Compared, and nothing else."""
        book = self._shadow.book()
        if book is not None:
            book.take("shadow", incident, change, session, at)

    def on_second(self, second: StreamSecond, session: str, at: float) -> None:
        """Handed on."""
        self._beyond.on_second(second, session, at)

    def on_status(self, status: StreamStatus) -> None:
        """Handed on."""
        self._beyond.on_status(status)

    def on_evidence(self, incident_id: str, session: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """Handed on."""
        self._beyond.on_evidence(incident_id, session, kind, content)

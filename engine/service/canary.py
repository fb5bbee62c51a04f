"""The canary: a channel of the service's own with known defects in it, and what the engines find of them.

Run by: one thread, `canary`, which starts the source (engine/canary_source.py, a process of its own that ends with this
thread), reads what it says, and starts it again when it dies. The fleet's reporting thread hands in what the engines
told of the channel. Nothing of it reaches the recorder, the stores, the notifier or the page's channels: the listener
that stands before theirs keeps it (`CanaryListener`). It ends by `stop`; if it dies, avjury_canary_up says so.
"""

import json
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.detectors import all_detectors, detector
from engine.errors import AvjuryError
from engine.service.contract import Change, EvidenceKind, Fleet, FleetListener, StreamPlan, StreamStatus
from engine.settings.canary import CANARY, CanarySection
from engine.store.records import Recorded
from engine.verdicts import Incident, StreamSecond

LATENCY_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0)
RECENT: Final = 20
"""Plantings of a detector from which its recall is told."""
# What was heard a little before its planting was said is still of it: pictures are coded in steps.
_EARLY_SECONDS: Final = 1.0
_PASS_SECONDS: Final = 0.5
_RESTART_SECONDS: Final = 5.0
_MOST_TOLD: Final = 200

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Planting:
    """A defect that was planted.

    Args:
        detector: that has to find it.
        at, until: Unix seconds at which its first bad bytes were sent, and the last.
        besides: detectors that tell of its effects, and are right.
        found_after: seconds after which it was told; None while it was not.
        missed: it was not told in time.
    """

    detector: str
    at: float
    until: float
    besides: tuple[str, ...]
    found_after: float | None = None
    missed: bool = False


@dataclass(slots=True)
class Score:
    """What became of one detector's plantings since the service began."""

    planted: int = 0
    found: int = 0
    missed: int = 0
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))
    latency: Counter[float] = field(default_factory=Counter)
    latency_sum: float = 0.0

    @property
    def recall(self) -> float | None:
        """Share of the last plantings that was found; None before the first one was judged."""
        return sum(self.recent) / len(self.recent) if self.recent else None


class CanaryBook:
    """Compares what was planted with what was told. Any thread.

    Args:
        wait_seconds: a defect that is not told so long after it ended was missed.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait = wait_seconds
        self._lock = threading.Lock()
        self._open: list[Planting] = []
        self._scores: dict[str, Score] = {}
        self._told: deque[Planting] = deque(maxlen=_MOST_TOLD)
        self.unexpected: Counter[str] = Counter()
        """Incidents that nobody planted, by detector."""
        self.last_found_at = 0.0

    def planted(self, one: Planting) -> None:
        """A defect begins."""
        with self._lock:
            self._open.append(one)
            self._told.append(one)
            self._scores.setdefault(one.detector, Score()).planted += 1

    def told(self, name: str, at: float) -> None:
        """An incident of the canary opened.

        Args:
            name: its detector.
            at: Unix second.
        """
        with self._lock:
            for one in self._open:
                if one.detector == name and one.found_after is None and at >= one.at - _EARLY_SECONDS:
                    one.found_after = max(0.0, at - one.at)
                    score = self._scores[name]
                    score.found += 1
                    score.recent.append(True)
                    score.latency[next((b for b in LATENCY_BOUNDS if one.found_after <= b), float("inf"))] += 1
                    score.latency_sum += one.found_after
                    self.last_found_at = at
                    return
            if any(name == one.detector or name in one.besides for one in self._open):
                return
            self.unexpected[name] += 1
            log.warning("the canary: %s, which nobody planted", name)

    def settle(self, now: float, running: bool) -> None:
        """Give up what was not told in time.

        Args:
            now: Unix seconds.
            running: the channel is judged; while it is not, nothing can be missed, and avjury_canary_up is 0.
        """
        with self._lock:
            for one in [one for one in self._open if now > one.until + self._wait]:
                self._open.remove(one)
                if one.found_after is None and running:
                    one.missed = True
                    score = self._scores[one.detector]
                    score.missed += 1
                    score.recent.append(False)
                    log.error("the canary: a planted defect was missed (%s)", one.detector)

    def interrupted(self) -> None:
        """The source is gone: nothing can be said of what was just planted."""
        with self._lock:
            self._open.clear()

    def scores(self) -> Mapping[str, Score]:
        """By detector; not to be changed."""
        with self._lock:
            return dict(self._scores)

    def recent(self) -> list[Planting]:
        """The last plantings, the youngest first."""
        with self._lock:
            return list(reversed(self._told))


class Canary:
    """Runs the channel.

    Args:
        settings: of the configuration.
        folder: where its coded programme is kept.
        fleet: that judges it.
        clock: Unix seconds.
    """

    def __init__(
        self, settings: CanarySection, folder: Path, fleet: Fleet, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self.book = CanaryBook(settings.wait_seconds)
        self._folder = folder
        self._fleet = fleet
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """End the source, and the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_seconds)

    @property
    def up(self) -> bool:
        """Whether the channel is judged."""
        status = self._fleet.status(CANARY)
        return self._thread.is_alive() and status is not None and status.state in ("running", "stalled")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve()
            except (OSError, ValueError, AvjuryError) as error:
                log.error("the canary's source failed: %s", error)
            self.book.interrupted()
            self._stopping.wait(_RESTART_SECONDS)
        self._fleet.remove(CANARY)

    def _serve(self) -> None:
        """One life of the source."""
        command = [sys.executable, "-P", "-m", "engine.canary_source", "--folder", str(self._folder)]
        command += ["--every", str(self.settings.every_seconds), "--detectors", ",".join(self.settings.detectors)]
        command += ["--parent", str(os.getpid())]
        # Secrets of the service's own are none of its business.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AVJURY_")}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            try:
                self._listen(process.stdout.fileno())
            finally:
                process.kill()
        if not self._stopping.is_set():
            log.error("the canary's source ended with %d; it is started again", process.returncode)

    def _listen(self, descriptor: int) -> None:
        """Hear the source until it ends, or `stop`."""
        os.set_blocking(descriptor, False)
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if selector.select(_PASS_SECONDS):
                    content = os.read(descriptor, 65_536)
                    if not content:
                        return
                    *lines, rest = (rest + content).split(b"\n")
                    for line in lines:
                        self._take(json.loads(line))
                self.book.settle(self._clock(), self.up)

    def _take(self, said: Mapping[str, Any]) -> None:
        if said["says"] == "listening":
            chosen: dict[str, dict[str, object]] = {one.name: {} for one in all_detectors() if not one.optional}
            self._fleet.apply(
                StreamPlan(CANARY, f"tcp://127.0.0.1:{said['port']}", detectors=chosen, priority=0,
                           private_addresses=True)
            )  # fmt: skip
        elif said["says"] == "planted":
            self.book.planted(Planting(said["detector"], said["at"], said["until"], tuple(said["besides"])))
        elif said["says"] == "left":
            log.warning("the canary's source lost its reader: %s", said["why"])
            self.book.interrupted()


class CanaryListener:
    """Stands before the service's listener, and keeps what is of the canary.

    Args:
        book: of the canary.
        beyond: who is told of everything else.
    """

    def __init__(self, book: CanaryBook, beyond: FleetListener) -> None:
        self._book = book
        self._beyond = beyond
        self._ours: deque[str] = deque(maxlen=1000)

    def on_incident(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Of the canary: compared with what was planted."""
        if incident.stream != CANARY:
            self._beyond.on_incident(incident, change, session, at)
            return
        if change == "opened":
            self._ours.append(incident.id)
            self._book.told(incident.detector, time.time())

    def on_recorded(self, told: Recorded) -> None:
        """Handed on: the canary's are kept nowhere."""
        self._beyond.on_recorded(told)

    def on_shadow(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Nothing is tried on the canary."""
        self._beyond.on_shadow(incident, change, session, at)

    def on_second(self, second: StreamSecond, session: str, at: float) -> None:
        """Of the canary: not kept, for nobody's availability is made of it."""
        if second.stream != CANARY:
            self._beyond.on_second(second, session, at)

    def on_status(self, status: StreamStatus) -> None:
        """Of the canary: avjury_canary_up shows it."""
        if status.id != CANARY:
            self._beyond.on_status(status)
        elif status.state in ("failed", "shed", "quarantined"):
            log.warning("the canary is not judged: %s %s", status.state, status.cause or "")

    def on_evidence(self, incident_id: str, session: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """Of the canary: thrown away."""
        if incident_id not in self._ours:
            self._beyond.on_evidence(incident_id, session, kind, content)
        elif isinstance(content, Path):
            content.unlink(missing_ok=True)


def canary_json(canary: Canary | None) -> dict[str, Any]:
    """The canary as the API shows it."""
    if canary is None:
        return {"enabled": False, "up": False, "detectors": [], "unexpected": {}, "items": []}
    scores = canary.book.scores()
    return {
        "enabled": True,
        "up": canary.up,
        "detectors": [
            {
                "detector": name,
                "planted": score.planted,
                "found": score.found,
                "missed": score.missed,
                "recall": score.recall,
                "mean_seconds": round(score.latency_sum / score.found, 3) if score.found else None,
                "set_seconds": detector(name).rule().set_seconds,
            }
            for name, score in sorted(scores.items())
        ],
        "unexpected": dict(canary.book.unexpected),
        "items": [
            {
                "detector": one.detector,
                "at": round(one.at, 3),
                "found_after_seconds": None if one.found_after is None else round(one.found_after, 3),
                "missed": one.missed,
            }
            for one in canary.book.recent()
        ],
    }

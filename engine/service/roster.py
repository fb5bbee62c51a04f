"""Which stream is where: what is wanted of the engines, and what is told them.

Owned by the fleet; every method is called under `guard`. Nothing here waits: what is said is queued, and written by the
fleet's thread, which `wake` lets look.
"""

import contextlib
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from msgspec import structs

from engine.errors import CapacityError, ConfigError
from engine.ingest.control import IngestSays, Stop
from engine.ingest.sandbox import paths_of
from engine.service.children import Child
from engine.service.contract import FleetListener, StreamPlan, StreamState
from engine.service.fleet_settings import FleetSettings
from engine.service.messages import DropIngest, Judge, Remove, SupervisorSays
from engine.service.places import WAITS, EnginePlace, IngestPlace, StreamPlace
from engine.wire import ConnectionLost

# Below every priority, the order among them kept.
UNHEEDED: Final = -101
_log: Final = logging.getLogger(__name__)

Call = Callable[[FleetListener], None]


class Roster:
    """The fleet's places.

    Args:
        settings: of the fleet.
    """

    def __init__(self, settings: FleetSettings) -> None:
        self.settings = settings
        self.guard = threading.RLock()
        self.engines = {group.name: EnginePlace(group) for group in settings.groups}
        self.ingests: dict[str, IngestPlace] = {}
        self.streams: dict[str, StreamPlace] = {}
        self.leaving: list[Child[IngestSays]] = []
        """Ingest processes that are ending as they should."""
        self.unheeded: frozenset[str] = frozenset()
        """Streams of whose incidents nobody is told now."""
        self.calls: list[Call] = []
        """What the listener is to be told."""
        self.woken, self._wake_end = socket.socketpair()
        for end in (self.woken, self._wake_end):
            end.setblocking(False)
        self._names = 0

    def wake(self) -> None:
        """Let the fleet's thread look again."""
        with contextlib.suppress(OSError):  # it is awake already
            self._wake_end.send(b"!")

    def close(self) -> None:
        """Let go of the sockets, once the thread has ended."""
        self.woken.close()
        self._wake_end.close()

    def say(self, engine: EnginePlace, message: SupervisorSays, fds: tuple[int, ...] = ()) -> None:
        """Tell an engine that is there."""
        if engine.child is None:
            return
        try:
            engine.child.channel.send(message, fds=fds)
        except ConnectionLost:
            engine.child.lost = True

    def set_state(self, place: StreamPlace, state: StreamState, cause: str | None = None, detail: str = "") -> None:
        """A stream's state; the listener is told where it changed."""
        if (place.state, place.cause) != (state, cause):
            place.since = time.time()
        place.state, place.cause, place.detail = state, cause, detail
        self.tell_status(place)

    def tell_status(self, place: StreamPlace) -> None:
        """Have the listener told how a stream is, unless it was told that already."""
        status = place.status()
        told = (status.state, status.cause, status.detail, status.engine, status.session, status.sampling)
        if told != place.told:
            place.told = told
            self.calls.append(lambda listener: listener.on_status(status))

    def tell_waiting(self, engine: EnginePlace) -> None:
        """An engine that starts has come on: its streams say what they wait for, or that they wait no more."""
        for place in self.judged_by(engine):
            if place.state == "starting" and place.cause in (None, WAITS):
                self.set_state(place, "starting", *engine.waiting())

    def order(self, place: StreamPlace) -> Judge:
        """What a stream's engine is told."""
        order = place.order()
        return structs.replace(order, priority=order.priority + UNHEEDED) if place.plan.id in self.unheeded else order

    def set_unheeded(self, streams: frozenset[str]) -> None:
        """Nobody is told of these streams' incidents now; under load they go first."""
        changed, self.unheeded = streams ^ self.unheeded, streams
        for place in self.streams.values():
            if place.plan.id in changed and place.session and place.engine is not None and place.engine.ready:
                self.say(place.engine, self.order(place))

    def judged_by(self, engine: EnginePlace) -> list[StreamPlace]:
        """The streams of an engine."""
        return [place for place in self.streams.values() if place.engine is engine and place.session]

    def read_by(self, ingest: IngestPlace) -> list[StreamPlace]:
        """The streams of an ingest process."""
        return [place for place in self.streams.values() if place.ingest is ingest]

    def choose(self, plan: StreamPlan) -> EnginePlace:
        """The engine with the most room; of streams that are compared with each other the same one.

        Raises: ConfigError for an unknown group, or one that parts such streams; CapacityError.
        """
        if plan.group and plan.group not in self.engines:
            raise ConfigError(
                "no such stream group",
                stream=plan.id,
                why=f"there is no group {plan.group!r}",
                remedy=f"use one of: {', '.join(self.engines)}",
            )
        beside = self._beside(plan)
        if beside is not None and plan.group not in ("", beside.group.name):
            raise ConfigError(
                "streams that are compared are parted",
                stream=plan.id,
                why=f"it would be judged in group {plan.group!r}, and what it is compared with is in "
                f"{beside.group.name!r}",
                remedy="put both into one group; to move them, take `reference` away first",
            )
        limit = self.settings.load_limit
        rooms = {
            name: engine.headroom(len(self.judged_by(engine)), limit)
            for name, engine in self.engines.items()
            if plan.group in (name if engine.group.named_only else "", name) and beside in (None, engine)
        }
        if not rooms:
            raise ConfigError(
                "no stream group takes it",
                stream=plan.id,
                why="the groups that it could go to judge some detectors only, and take the streams that name them",
                remedy=f"write `group` with one of: {', '.join(self.engines)}",
            )
        name = max(rooms, key=lambda one: rooms[one])
        if rooms[name] < 1:
            loads = [e.report.load for n, e in self.engines.items() if n in rooms and e.report is not None]
            raise CapacityError(
                "capacity exceeded",
                stream=plan.id,
                why=f"no engine has room for one more stream (load {max(loads, default=0.0):.0%}, limit {limit:.0%})",
                remedy="remove or pause streams, judge less of them, or add an engine or a machine",
                headroom_streams=0,
            )
        return self.engines[name]

    def _beside(self, plan: StreamPlan) -> EnginePlace | None:
        """The engine that already judges what a stream is compared with; None while none does."""
        for place in self.streams.values():
            other = place.plan
            shared = plan.reference is not None and plan.reference in (other.id, other.reference)
            linked = shared or other.reference == plan.id
            if linked and other.id != plan.id and place.session and place.engine is not None:
                return place.engine
        return None

    def begin(self, place: StreamPlace, engine: EnginePlace) -> None:
        """Judge a stream, in a new session."""
        place.engine = engine
        place.session = uuid.uuid4().hex[:12]
        engine.added += 1
        if place.ingest is None:
            place.ingest = self._ingest_for(engine, place.plan)
        if engine.ready:
            self.say(engine, self.order(place))

    def halt(self, place: StreamPlace) -> None:
        """Judge a stream no more."""
        engine, ingest = place.engine, place.ingest
        if place.session and engine is not None and engine.ready:
            self.say(engine, Remove(place.plan.id))
        if place.said is None and engine is not None and engine.added:
            engine.added -= 1  # it came and went between two reports: it takes no room
        place.end_session()
        place.engine = place.ingest = None
        if ingest is not None:
            self.drop_if_idle(ingest)

    def take_in(self, plan: StreamPlan) -> None:
        """A stream that is not known yet. Raises: as `choose`."""
        engine = None if plan.paused else self.choose(plan)
        place = self.streams[plan.id] = StreamPlace(plan, time.time())
        if engine is not None:
            self.begin(place, engine)
            self.set_state(place, "starting", *engine.waiting())
        else:
            self.set_state(place, "paused")

    def change(self, place: StreamPlace, plan: StreamPlan) -> None:
        """A stream is wanted otherwise; where its input stays the same, it is not opened again. Raises: as `choose`."""
        before = place.plan
        if plan.paused:
            place.plan = plan
            self.halt(place)
            self.set_state(place, "paused")
            return
        engine = place.engine
        stays = engine is not None and plan.group in ("", engine.group.name)
        if place.session and engine is not None and stays and self._beside(plan) in (None, engine):
            place.plan = plan
            if _input_of(before) == _input_of(plan):
                if engine.ready and _judged_of(before) != _judged_of(plan):
                    self.say(engine, self.order(place))
                return
            if place.ingest is not None and not self._serves(place.ingest, plan):
                self.halt(place)
            place.end_session()
            self.begin(place, engine)
            self.set_state(place, "starting", *engine.waiting())
            return
        chosen = self.choose(plan)
        self.halt(place)
        place.plan = plan
        place.suspicion.deaths.clear()
        self.begin(place, chosen)
        self.set_state(place, "starting", *chosen.waiting())

    def _serves(self, ingest: IngestPlace, plan: StreamPlan) -> bool:
        return not self.settings.ingest_sandbox or ingest.may_read(plan.url)

    def _ingest_for(self, engine: EnginePlace, plan: StreamPlan) -> IngestPlace:
        """An ingest process with room for one more stream, which may open its source."""
        for ingest in self.ingests.values():
            room = len(self.read_by(ingest)) < self.settings.streams_per_ingest
            if ingest.engine is engine and not ingest.alone and room and self._serves(ingest, plan):
                return ingest
        idle = [one for one in self.ingests.values() if one.engine is engine]
        found = self.new_ingest(engine)
        for ingest in idle:
            self.drop_if_idle(ingest)  # it is no longer the only one
        return found

    def paths_for(self, ingest: IngestPlace) -> frozenset[str]:
        """What an ingest process that is started now has to read of the file system."""
        mine = (paths_of(place.plan.url) for place in self.read_by(ingest))
        return self.settings.ingest_paths.union(*mine)

    def new_ingest(self, engine: EnginePlace, *, alone: bool = False) -> IngestPlace:
        """A further ingest process; the fleet's thread starts it."""
        self._names += 1
        ingest = IngestPlace(f"ingest-{self._names}", engine, alone=alone)
        ingest.restarts.due = time.monotonic()
        self.ingests[ingest.name] = ingest
        return ingest

    def drop_if_idle(self, ingest: IngestPlace) -> None:
        """End an ingest process without streams, unless it is the only one of its engine."""
        if self.read_by(ingest) or ingest.name not in self.ingests:
            return
        others = [i for i in self.ingests.values() if i.engine is ingest.engine and i is not ingest and not i.alone]
        if not others and not ingest.alone:
            return
        del self.ingests[ingest.name]
        self.say(ingest.engine, DropIngest(ingest.name))
        child = ingest.child
        if child is not None:
            with contextlib.suppress(ConnectionLost):
                child.channel.send(Stop())
            self.leaving.append(child)


def _judged_of(plan: StreamPlan) -> StreamPlan:
    """The plan without what an engine is not told."""
    return replace(plan, labels={}, subsets=(), windows=())


def _input_of(plan: StreamPlan) -> tuple[str, bool, str, bool]:
    return (plan.url, plan.loop, plan.rendition, plan.private_addresses)

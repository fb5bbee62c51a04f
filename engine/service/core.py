"""What is to be judged: the streams of the operator's file and those of the API, kept in step with store and fleet.

Run by: the API's threads and the housekeeper; changes go one after the other, readers never wait. Each change is
checked whole, then kept, then handed to the fleet; after a crash between the two, the next start hands it over.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from engine.config import Config, Stream, reference_problem
from engine.configured import Known
from engine.errors import AvjuryError, CapacityError, ConfigError
from engine.ingest.url_policy import UrlPolicy
from engine.service.contract import Fleet, StreamStatus
from engine.service.desired import (
    Wanted,
    merged,
    stream_of,
    wanted_from_api,
    wanted_from_file,
    with_overlay,
)
from engine.service.errors import ConflictError, NotFoundError
from engine.service.maintenance import named, suppressed
from engine.service.renditions import ALL, parents, part, parts_of
from engine.settings.maintenance import Window
from engine.store.records import StreamRecord
from engine.store.streams import Streams

# What the API may change of a stream that is written in the operator's file.
OVERLAY_KEYS: Final = frozenset(("paused",))

log = logging.getLogger(__name__)


class Core:
    """The wanted streams.

    Args:
        config: of the start.
        known: every detector with its parameters' names.
        streams: where they are kept.
        fleet: that judges them.
        clock: Unix seconds.
    """

    def __init__(
        self, config: Config, known: Known, streams: Streams, fleet: Fleet, clock: Callable[[], float] = time.time
    ) -> None:
        self.config = config
        self._known = known
        self._streams = streams
        self._fleet = fleet
        self._clock = clock
        self._lock = threading.RLock()
        # Never changed in place: readers take it as it is.
        self._wanted: Mapping[str, Wanted] = {}
        self._refused: dict[str, tuple[float, AvjuryError]] = {}

    def start(self) -> None:
        """Take up the streams of the file, and those that the API added before.

        Raises: ConfigError; StoreError.
        """
        with self._lock:
            self._take_over(self.config, strict=False)
            self._fleet.keep_only(self._wanted)

    def reload(self, config: Config) -> dict[str, list[str]]:
        """Take another configuration; all of it, or none where it is wrong. Unchanged streams are not touched.

        Returns: the ids that were added, changed and removed.
        Raises: ConfigError where a stream of the API does not fit it; StoreError.
        """
        with self._lock:
            return self._take_over(config, strict=True)

    def _take_over(self, config: Config, *, strict: bool) -> dict[str, list[str]]:
        kept = {record.id: record for record in self._streams.sources()}
        wanted: dict[str, Wanted] = {}
        part_parents = parents(kept)
        for stream in config.streams:
            wanted[stream.id] = wanted_from_file(config, self._known, stream, kept.get(stream.id))
        for record in kept.values():
            if record.origin != "api" or record.id in part_parents:
                continue
            if record.id in wanted:
                log.warning("the stream of the API is in the configuration now, which counts",
                            extra={"stream": record.id})  # fmt: skip
                continue
            try:
                wanted[record.id] = wanted_from_api(config, self._known, stream_of(record), record)
            except ConfigError as error:
                if strict:
                    raise ConfigError(
                        "a stream of the API does not fit this configuration",
                        stream=record.id,
                        why=error.why,
                        remedy=f"{error.remedy}; or delete the stream",
                    ) from error
                log.error("%s: kept, but not judged", error, extra={"stream": record.id})
        for part_id, parent_id in part_parents.items():
            parent = wanted.get(parent_id)
            if parent is not None and parent.stream.rendition == ALL and part_id not in wanted:
                wanted[part_id] = part(parent, kept[part_id].rendition)
        if len(wanted) > config.service.max_streams:
            raise ConfigError(
                "too many streams",
                why=f"{len(wanted)} are wanted, service.max_streams is {config.service.max_streams}",
                remedy="raise the limit, or take some out",
            )
        before = self._wanted
        for stream_id, one in wanted.items():
            there = kept.get(stream_id)
            if one.origin == "config" and (there is None or not _same(one.record(), there)):
                wanted[stream_id] = self._keep(one)
        for stream_id, record in kept.items():
            if stream_id not in wanted and (record.origin == "config" or stream_id in part_parents):
                self._streams.delete(stream_id)
        self.config = config
        self._wanted = wanted
        gone = [stream_id for stream_id in before if stream_id not in wanted]
        added = [stream_id for stream_id in wanted if stream_id not in before]
        changed = [i for i, one in wanted.items() if i in before and before[i].sent != one.sent]
        for stream_id in gone:
            self._refused.pop(stream_id, None)
            self._fleet.remove(stream_id)
        for stream_id in (*changed, *added):
            self._apply(wanted[stream_id])
        return {"added": added, "changed": changed, "removed": gone}

    def all(self) -> Mapping[str, Wanted]:
        """The wanted streams by id."""
        return self._wanted

    def get(self, stream_id: str) -> Wanted:
        """One stream.

        Raises: NotFoundError.
        """
        wanted = self._wanted.get(stream_id)
        if wanted is None:
            raise NotFoundError(
                "no such stream", stream=stream_id, why="none has this id", remedy="GET /api/v1/streams lists them"
            )
        return wanted

    def status(self, stream_id: str) -> StreamStatus:
        """How a wanted stream is.

        Raises: NotFoundError.
        """
        wanted = self.get(stream_id)
        return self._shown(wanted, self._fleet.status(stream_id))

    def statuses(self) -> dict[str, StreamStatus]:
        """How all wanted streams are."""
        known = self._fleet.statuses()
        return {stream_id: self._shown(wanted, known.get(stream_id)) for stream_id, wanted in self._wanted.items()}

    def _shown(self, wanted: Wanted, status: StreamStatus | None) -> StreamStatus:
        stream_id = wanted.stream.id
        refused = self._refused.get(stream_id)
        if refused is not None:
            since, error = refused
            if isinstance(error, CapacityError):
                return StreamStatus(stream_id, "shed", since, cause="capacity_exceeded", detail=error.line())
            return StreamStatus(stream_id, "failed", since, cause="refused", detail=error.line())
        if status is None:
            return StreamStatus(stream_id, "paused" if wanted.plan.paused else "starting", wanted.updated_at)
        return status

    def suppressed(self, stream_id: str, at: float) -> bool:
        """Whether nobody is told of what begins on a stream at a moment (Unix seconds)."""
        wanted = self._wanted.get(stream_id)
        return wanted is not None and suppressed(wanted.windows, at)

    def all_suppressed(self, at: float) -> frozenset[str]:
        """The streams of which that is so."""
        return frozenset(
            stream_id
            for stream_id, wanted in self._wanted.items()
            if suppressed((*wanted.stream.maintenance, *wanted.windows_here), at)
        )

    def add(self, stream: Stream) -> tuple[Wanted, bool]:
        """Take a stream of the API in. The same one again changes nothing.

        Returns: the stream, and whether it is new.
        Raises: SourceError for an address that is not allowed; ConfigError; ConflictError where another stream has the
            id; CapacityError; StoreError.
        """
        stream = _with_named_windows(stream)
        self.check_address(stream)
        with self._lock:
            wanted = wanted_from_api(self.config, self._known, stream)
            self._check_reference(stream)
            there = self._wanted.get(stream.id)
            if there is not None:
                if there.origin == "api" and there.stream == stream:
                    return there, False
                raise ConflictError(
                    "the id is taken",
                    stream=stream.id,
                    why="the configuration file names a stream of this id"
                    if there.origin == "config"
                    else "another stream has it",
                    remedy="choose another id, or PATCH the stream that is there",
                )
            if len(self._wanted) >= self.config.service.max_streams:
                raise CapacityError(
                    "capacity exceeded",
                    stream=stream.id,
                    why=f"service.max_streams is {self.config.service.max_streams}",
                    remedy="delete a stream, or raise the limit",
                )
            kept = self._keep(wanted)
            try:
                self._fleet.apply(kept.sent)
            except AvjuryError:
                self._streams.delete(stream.id)
                raise
            self._wanted = {**self._wanted, stream.id: kept}
            return kept, True

    def change(self, stream_id: str, patch: Mapping[str, Any]) -> Wanted:
        """Change a stream by a merge patch. Of a stream of the file only whether it is paused.

        Raises: NotFoundError; ConflictError; ConfigError; SourceError; CapacityError; StoreError.
        """
        before = self._whole(stream_id)
        if before.origin == "config":
            if not set(patch) <= OVERLAY_KEYS or not isinstance(patch.get("paused"), bool | None):
                raise ConflictError(
                    "the stream belongs to the configuration file",
                    stream=stream_id,
                    why="the API may only pause it, and add maintenance windows",
                    remedy="change the file, and POST /api/v1/reload",
                )
            return self.pause(stream_id, bool(patch.get("paused")))
        stream = _with_named_windows(merged(before.stream, patch))
        if stream.id != stream_id:
            raise ConflictError(
                "the id cannot be changed",
                stream=stream_id,
                why=f"{stream.id!r} would be another stream",
                remedy="delete this one, and add the other",
            )
        if stream.url != before.stream.url:
            self.check_address(stream)
        with self._lock:
            before = self.get(stream_id)
            self._check_reference(stream)
            return self._replace(
                replace(wanted_from_api(self.config, self._known, stream), created_at=before.created_at)
            )

    def pause(self, stream_id: str, paused: bool) -> Wanted:
        """Pause a stream, or go on with it.

        Raises: NotFoundError; ConflictError where the file pauses it; CapacityError; StoreError.
        """
        with self._lock:
            before = self._whole(stream_id)
            if before.origin == "api":
                stream = before.stream.model_copy(update={"paused": paused})
                return self._replace(replace(before, stream=stream, plan=replace(before.plan, paused=paused)))
            if before.stream.paused and not paused:
                raise ConflictError(
                    "the configuration file pauses the stream",
                    stream=stream_id,
                    why="its `paused` is true",
                    remedy="change the file, and POST /api/v1/reload",
                )
            return self._replace(with_overlay(before, paused=paused))

    def add_window(self, stream_id: str, window: Window) -> Window:
        """Add a maintenance window; the same one again changes nothing.

        Raises: NotFoundError; ConflictError for another one of that id; StoreError.
        """
        window = named(window)
        with self._lock:
            before = self._whole(stream_id)
            for there in before.windows:
                if there.id == window.id:
                    if there == window:
                        return there
                    raise ConflictError(
                        "the id is taken",
                        stream=stream_id,
                        why=f"another window is called {window.id!r}",
                        remedy="choose another id, or delete that window",
                    )
            self._replace(_with_windows(before, (*_own_windows(before), window)))
            return window

    def remove_window(self, stream_id: str, window_id: str) -> None:
        """Take a maintenance window away.

        Raises: NotFoundError; ConflictError where the file has it; StoreError.
        """
        with self._lock:
            before = self._whole(stream_id)
            if window_id not in {window.id for window in before.windows}:
                raise NotFoundError(
                    "no such window", stream=stream_id, why="none has this id", remedy="GET the stream: it has them"
                )
            ours = _own_windows(before)
            left = tuple(window for window in ours if window.id != window_id)
            if len(left) == len(ours):
                raise ConflictError(
                    "the configuration file has the window",
                    stream=stream_id,
                    why="the API does not change the file",
                    remedy="change the file, and POST /api/v1/reload",
                )
            self._replace(_with_windows(before, left))

    def remove(self, stream_id: str) -> None:
        """Take a stream of the API out. Its incidents stay, closed.

        Raises: NotFoundError; ConflictError for a stream of the file; StoreError.
        """
        with self._lock:
            if self._whole(stream_id).origin == "config":
                raise ConflictError(
                    "the stream belongs to the configuration file",
                    stream=stream_id,
                    why="it would be back after the next start",
                    remedy="take it out of the file, and POST /api/v1/reload",
                )
            others = [one.stream.id for one in self._wanted.values() if one.stream.reference == stream_id]
            if others:
                raise ConflictError(
                    "other streams are compared with it",
                    stream=stream_id,
                    why=f"it is the reference of {', '.join(others[:5])}{' and others' if len(others) > 5 else ''}",
                    remedy="take their `reference` away first",
                )
            for gone in (*self._parts(stream_id), stream_id):
                self._drop(gone)

    def _check_reference(self, stream: Stream) -> None:
        """Refuse what a stream cannot be compared with.

        Raises: ConfigError.
        """
        streams = {stream_id: one.stream for stream_id, one in self._wanted.items()} | {stream.id: stream}
        for one in streams.values():
            # The stream's own reference, and its being one, which another group may end.
            problem = reference_problem(one, streams) if stream.id in (one.id, one.reference) else None
            if problem is not None:
                raise ConfigError("wrong stream", stream=one.id, why=f"reference: {problem[0]}", remedy=problem[1])

    def _drop(self, stream_id: str) -> None:
        self._streams.delete(stream_id)
        self._wanted = {i: one for i, one in self._wanted.items() if i != stream_id}
        self._refused.pop(stream_id, None)
        self._fleet.remove(stream_id)

    def _whole(self, stream_id: str) -> Wanted:
        """One stream, which is to be changed.

        Raises: NotFoundError; ConflictError for a part of another one.
        """
        wanted = self.get(stream_id)
        if wanted.part_of is not None:
            raise ConflictError(
                "the stream is a rendition of another one",
                stream=stream_id,
                why=f"{wanted.part_of!r} is judged in all its renditions",
                remedy=f"change {wanted.part_of!r}",
            )
        return wanted

    def _parts(self, stream_id: str) -> dict[str, Wanted]:
        return {i: one for i, one in self._wanted.items() if one.part_of == stream_id}

    def follow_renditions(self) -> None:
        """Judge what the sources of streams with `rendition: all` offer, as their readers say by now.

        Raises: StoreError.
        """
        if all(one.stream.rendition != ALL for one in self._wanted.values()):
            return
        statuses = self._fleet.statuses()
        with self._lock:
            for stream_id, parent in self._wanted.items():
                status = statuses.get(stream_id)
                if parent.stream.rendition != ALL or status is None or not status.renditions:
                    continue  # it is not open now: nothing is known of what it offers
                offered = parts_of(parent, status.renditions)
                there = self._parts(stream_id)
                for gone in there.keys() - offered.keys():
                    self._drop(gone)
                for name in offered.keys() - there.keys() - self._wanted.keys():
                    if len(self._wanted) < self.config.service.max_streams:
                        self._take_part(offered[name])

    def _take_part(self, wanted: Wanted) -> None:
        kept = self._keep(wanted)
        self._apply(kept)
        self._wanted = {**self._wanted, kept.stream.id: kept}

    def retry_refused(self) -> None:
        """Hand the fleet again what it had no room for."""
        for stream_id in list(self._refused):
            with self._lock:
                wanted = self._wanted.get(stream_id)
                if wanted is not None and stream_id in self._refused:
                    self._apply(wanted)

    def check_address(self, stream: Stream) -> None:
        """Refuse an address that callers of the API may not open. Names are resolved, which may take a while.

        Raises: SourceError.
        """
        policy = UrlPolicy(allow_files=False, allow_private=self.config.service.api_private_addresses)
        policy.check(stream.url, stream.id)

    def _replace(self, wanted: Wanted) -> Wanted:
        """Keep a changed stream, and hand it to the fleet where that concerns it."""
        stream_id = wanted.stream.id
        before = self.get(stream_id)
        kept = self._keep(wanted)
        if before.sent != kept.sent:
            try:
                self._fleet.apply(kept.sent)
            except AvjuryError:
                self._keep(before)
                raise
            self._refused.pop(stream_id, None)
        self._wanted = {**self._wanted, stream_id: kept}
        for name, before_part in self._parts(stream_id).items():
            if kept.stream.rendition == ALL:
                self._take_part(replace(part(kept, before_part.stream.rendition), created_at=before_part.created_at))
            else:
                self._drop(name)
        return kept

    def _keep(self, wanted: Wanted) -> Wanted:
        record = self._streams.put(wanted.record())
        return replace(wanted, created_at=record.created_at, updated_at=record.updated_at)

    def _apply(self, wanted: Wanted) -> None:
        """Hand a stream to the fleet; one that it has no room for stays wanted."""
        stream_id = wanted.stream.id
        try:
            self._fleet.apply(wanted.sent)
        except AvjuryError as error:
            if stream_id not in self._refused:
                log.warning("not taken in: %s", error, extra={"stream": stream_id})
            since = self._refused.get(stream_id, (self._clock(), error))[0]
            self._refused[stream_id] = (since, error)
        else:
            self._refused.pop(stream_id, None)


def _with_named_windows(stream: Stream) -> Stream:
    return stream.model_copy(update={"maintenance": [named(window) for window in stream.maintenance]})


def _own_windows(wanted: Wanted) -> tuple[Window, ...]:
    """Those that the API may change."""
    return tuple(map(named, wanted.windows_here if wanted.origin == "config" else wanted.stream.maintenance))


def _with_windows(wanted: Wanted, windows: tuple[Window, ...]) -> Wanted:
    if wanted.origin == "config":
        return with_overlay(wanted, windows=windows)
    return replace(wanted, stream=wanted.stream.model_copy(update={"maintenance": list(windows)}))


def _same(wanted: StreamRecord, kept: StreamRecord) -> bool:
    return replace(kept, created_at=0.0, updated_at=0.0) == wanted

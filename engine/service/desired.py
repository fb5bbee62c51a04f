"""A stream as it is wanted, from the operator's file or from the API, and the plan that the fleet gets of it."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from engine.config import Config, Stream, check_stream
from engine.config_document import explain, spell, telling_first
from engine.configured import Known, check_parameters, chosen_detectors
from engine.errors import ConfigError
from engine.ingest.url_policy import redact
from engine.service.contract import StreamPlan
from engine.service.maintenance import named
from engine.settings.maintenance import Window
from engine.store.records import Origin, StreamRecord, wall_text


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream that is to be judged.

    Args:
        stream: as it was written, its secrets in it.
        origin: who wrote it.
        plan: what the fleet gets.
        paused_here: of a stream of the file: paused through the API.
        windows_here: of a stream of the file: added through the API.
        created_at, updated_at: Unix seconds.
        part_of: id of the stream of whose renditions it is one; None for what was written itself.
    """

    stream: Stream = field(repr=False)
    origin: Origin
    plan: StreamPlan
    paused_here: bool = False
    windows_here: tuple[Window, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0
    part_of: str | None = None

    @property
    def sent(self) -> StreamPlan:
        """The plan as the fleet gets it."""
        return replace(self.plan, windows=tuple(window.as_json() for window in self.windows))

    @property
    def channel(self) -> str | None:
        """What its incidents are collapsed by; of a stream that is judged in all renditions at least itself."""
        return self.stream.channel or (self.stream.id if self.stream.rendition == "all" else None)

    @property
    def windows(self) -> tuple[Window, ...]:
        """All maintenance windows, each with an id."""
        return tuple(named(window) for window in (*self.stream.maintenance, *self.windows_here))

    def record(self) -> StreamRecord:
        """What is kept of it. Of a stream of the file that is what the file does not say."""
        stream, ours = self.stream, self.origin == "config"
        return StreamRecord(
            id=stream.id,
            url=stream.url,
            channel=self.channel,
            profile=stream.profile,
            detectors=stream.detectors,
            priority=stream.priority,
            labels=stream.labels,
            origin=self.origin,
            paused=self.paused_here if ours else stream.paused,
            maintenance=tuple(w.as_json() for w in (self.windows_here if ours else self.windows)),
            group=stream.group,
            loop=stream.loop,
            rendition=stream.rendition,
            reference=stream.reference,
            subsets=tuple(map(tuple, stream.subsets)),
        )

    def as_json(self) -> dict[str, Any]:
        """As the API shows it, its secrets hidden."""
        shown = self.stream.model_dump(mode="json", exclude={"maintenance"})
        return shown | {
            "url": redact(self.stream.url),
            "channel": self.channel,
            "part_of": self.part_of,
            "paused": self.plan.paused,
            "maintenance": [window.as_json() for window in self.windows],
            "origin": self.origin,
            "created_at": wall_text(self.created_at),
            "updated_at": wall_text(self.updated_at),
        }


def wanted_from_file(config: Config, known: Known, stream: Stream, kept: StreamRecord | None) -> Wanted:
    """A stream of the operator's file.

    Args:
        kept: what the store has of it, from an earlier run or from when it belonged to the API.
    Raises: ConfigError.
    """
    here = kept.paused if kept is not None and kept.origin == "config" else False
    windows = kept.maintenance if kept is not None and kept.origin == "config" else ()
    return Wanted(
        stream=stream,
        origin="config",
        plan=_plan(config, known, stream, stream.paused or here, private_addresses=True),
        paused_here=here,
        windows_here=tuple(Window.model_validate(dict(window)) for window in windows),
        created_at=0.0 if kept is None else kept.created_at,
        updated_at=0.0 if kept is None else kept.updated_at,
    )


def wanted_from_api(config: Config, known: Known, stream: Stream, kept: StreamRecord | None = None) -> Wanted:
    """A stream that was added through the API.

    Raises: ConfigError for wrong detectors, parameters or profile.
    """
    check_stream(config, stream, known, check_parameters)
    return Wanted(
        stream=stream,
        origin="api",
        plan=_plan(config, known, stream, stream.paused, private_addresses=config.service.api_private_addresses),
        created_at=0.0 if kept is None else kept.created_at,
        updated_at=0.0 if kept is None else kept.updated_at,
    )


def stream_of(record: StreamRecord) -> Stream:
    """A stream of the API as it was kept (with its true address).

    Raises: ConfigError if this release does not take it any more.
    """
    return parse_stream(
        {
            "id": record.id,
            "url": record.url,
            "channel": record.channel,
            "group": record.group,
            "profile": record.profile,
            "detectors": dict(record.detectors),
            "priority": record.priority,
            "labels": dict(record.labels),
            "loop": record.loop,
            "rendition": record.rendition,
            "reference": record.reference,
            "subsets": [list(patterns) for patterns in record.subsets],
            "paused": record.paused,
            "maintenance": [dict(window) for window in record.maintenance],
        }
    )


def parse_stream(value: Mapping[str, Any]) -> Stream:
    """A stream from plain values.

    Raises: ConfigError naming the key and what is allowed.
    """
    try:
        return Stream.model_validate(dict(value))
    except ValidationError as error:
        problems = [explain(item, Stream) for item in telling_first(error.errors())]
        path, why, remedy = problems[0]
        others = len({where for where, _, _ in problems}) - 1
        more = f" (and {others} more)" if others else ""
        key = spell(path)
        raise ConfigError("wrong stream", why=f"{key}: {why}{more}" if key else f"{why}{more}", remedy=remedy) from None


def merged(stream: Stream, patch: Mapping[str, Any]) -> Stream:
    """The stream after a JSON merge patch: null takes a key back to its default.

    Raises: ConfigError.
    Source: RFC 7396.
    """
    before = stream.model_dump(mode="json")
    after = _merge(before, patch)
    if after.get("url") == redact(stream.url):
        after["url"] = stream.url  # given back as it was shown
    return parse_stream(after)


def _merge(target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = _merge(result.get(key), value)
        else:
            result[key] = value
    return result


def with_overlay(wanted: Wanted, *, paused: bool | None = None, windows: tuple[Window, ...] | None = None) -> Wanted:
    """A stream of the file with what the API says of it."""
    paused_here = wanted.paused_here if paused is None else paused
    return replace(
        wanted,
        plan=replace(wanted.plan, paused=wanted.stream.paused or paused_here),
        paused_here=paused_here,
        windows_here=wanted.windows_here if windows is None else windows,
    )


def _plan(config: Config, known: Known, stream: Stream, paused: bool, *, private_addresses: bool) -> StreamPlan:
    return StreamPlan(
        id=stream.id,
        url=stream.url,
        detectors=chosen_detectors(config, known, stream),
        group=stream.group,
        priority=stream.priority,
        paused=paused,
        loop=stream.loop,
        rendition=stream.rendition,
        private_addresses=private_addresses,
        reference=stream.reference,
        shadow=_shadow(config, known, stream),
        labels=stream.labels,
        subsets=tuple(map(tuple, stream.subsets)),
    )


def _shadow(config: Config, known: Known, stream: Stream) -> dict[str, dict[str, object]] | None:
    """What is tried beside on a stream: its detectors as they would be with the profile that is tried."""
    name = config.shadow.profile
    if name is None or not any(fnmatch.fnmatchcase(stream.id, pattern) for pattern in config.shadow.streams):
        return None
    return chosen_detectors(config, known, stream.model_copy(update={"profile": name}))

"""YAML + environment -> checked values. A mistake is told with its line, its key and what is allowed.

Parsed once, at the start of a command; the parts get values, never the configuration. What a detector's parameters
may be is the detector's own declaration, which the caller hands in.
"""

import fnmatch
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from engine.config_document import Document, Path_, apply_environment, close_name, explain, spell, telling_first
from engine.errors import AvjuryError, ConfigError
from engine.settings.auth import AuthSection
from engine.settings.canary import CANARY, CanarySection
from engine.settings.cluster import ClusterSection
from engine.settings.maintenance import Window
from engine.settings.notify import NotifySection
from engine.settings.processes import ProcessesSection
from engine.settings.section import FilePath, Section
from engine.settings.service import ServiceSection
from engine.settings.shadow import ShadowSection
from engine.settings.slates import Slate
from engine.settings.storage import StorageSection
from engine.whole_pictures import LEAST_RATE

Scalar = bool | int | float | str
# A detector is switched (true, false) or given parameters (and thereby switched on).
DetectorTable = dict[str, bool | dict[str, Scalar]]

CheckParameters = Callable[[str, Mapping[str, object]], None]
"""Raises ConfigError if a detector's parameters are wrong."""


class NetworkSection(Section):
    """The artifact network, which maps damage of pictures."""

    pictures_per_second: Annotated[
        float, Field(ge=0, le=60, description="how many of each stream it looks at; 0 leaves it out")
    ] = 1.0
    whole_pictures: Annotated[
        bool,
        Field(description="it looks at whole pictures, and at what they showed before; from 8 pictures a second on"),
    ] = False
    judges: Annotated[
        bool, Field(description="what it says counts for video.corruption; else it is measured and shown only")
    ] = False
    confirms: Annotated[
        bool, Field(description="where blocks are torn a little it is asked for a second opinion, which counts")
    ] = True
    weights: Annotated[
        FilePath | None, Field(description="weights of your own, as safetensors; null: those of the package")
    ] = None

    @model_validator(mode="after")
    def _looks_often_enough(self) -> Self:
        if self.whole_pictures and self.pictures_per_second < LEAST_RATE:
            raise ValueError(
                f"whole_pictures needs pictures_per_second of {LEAST_RATE:g} at least, not "
                f"{self.pictures_per_second:g}: of fewer pictures nothing is told by those before"
            )
        return self


class AudioNetworkSection(Section):
    """The audio network, which hears defects of sound and what kind of sound it is."""

    windows_per_second: Annotated[
        float, Field(ge=0, le=2, description="how often it listens to two seconds of each stream; 0 leaves it out")
    ] = 0.1
    weights: Annotated[
        FilePath | None, Field(description="weights of your own, as safetensors; null: those of the package")
    ] = None


class SyncNetworkSection(Section):
    """The sync network, which judges lip sync where there is neither a test pattern nor a reference."""

    judges: Annotated[bool, Field(description="it is used; off, because its measured quality does not suffice")] = False
    weights: Annotated[
        FilePath | None, Field(description="weights of your own, as safetensors; null: those of the package")
    ] = None


class EngineSection(Section):
    """How the engine runs."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")] = "auto"
    max_batch: Annotated[int, Field(ge=1, le=4096, description="most pictures in one batch")] = 256
    max_wait_seconds: Annotated[
        float | None,
        Field(ge=0, le=1, description="how long a ready picture waits for other streams; null chooses by the device"),
    ] = None
    graphs: Annotated[
        bool, Field(description="on a GPU, record the launches of a batch once and play them back for the others")
    ] = True
    decode_threads: Annotated[
        int | None, Field(ge=0, le=64, description="threads per software decoder; 0 takes all cores, null is 1")
    ] = None
    network: NetworkSection = NetworkSection()
    audio_network: AudioNetworkSection = AudioNetworkSection()
    sync_network: SyncNetworkSection = SyncNetworkSection()


class Profile(Section):
    """A named choice of detectors and parameters, for streams to refer to."""

    detectors: DetectorTable = Field(default_factory=dict)


# What a name may be: it is part of addresses, file names, metrics and pages.
NAME: Final = r"^[\w(][\w .:@+()#,=\-]{0,199}$"
_NAME_TEXT: Final = "letters, digits, spaces and . _ - : @ + ( ) # , = ; at most 200, the first a letter or digit"
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,99}")
_LABEL_VALUE_CHARACTERS: Final = 1000
_MAX_LABELS: Final = 50


class Stream(Section):
    """One stream to judge.

    Args:
        id: unique.
        url: file path or URL.
        channel: streams of the same channel are renditions of it; their incidents are one.
        group: the engine that is to judge it; "" lets the service choose.
        profile, detectors: what is judged, and how.
        priority: who is kept under overload.
        labels: for people, routes and filters.
        loop: a file is read again when it has ended, as if it were live.
        rendition: which variant of a master playlist is judged.
        reference: id of a stream of the same programme that this one is compared with.
        subsets: which of its detectors are judged by different engines of a cluster.
        paused: known, but not opened.
        maintenance: when nobody is told of its incidents.
    """

    id: Annotated[str, Field(pattern=NAME, description=_NAME_TEXT)]
    url: Annotated[str, Field(min_length=1, max_length=4096)]
    channel: Annotated[str | None, Field(pattern=NAME, description=_NAME_TEXT)] = None
    group: Annotated[str, Field(pattern=r"^[\w.\-]{0,64}$", description="letters, digits, _ . -")] = ""
    profile: str | None = None
    detectors: DetectorTable = Field(default_factory=dict)
    priority: Annotated[
        int, Field(ge=0, le=100, description="0 to 100: who is kept under overload; higher stays longer")
    ] = 50
    labels: dict[str, str] = Field(default_factory=dict)
    loop: bool = False
    rendition: Annotated[
        str,
        Field(
            pattern=r"^(best|worst|all|[1-9]\d{1,4}(@[1-9]\d{0,5})?)$",
            description="best, worst, all, or a height as 720, or 720@2500 with its kilobits a second",
        ),
    ] = "best"
    reference: Annotated[
        str | None,
        Field(pattern=NAME, description="id of a stream of the same programme that this one is compared with"),
    ] = None
    subsets: Annotated[
        list[list[str]],
        Field(
            max_length=8,
            description="on a cluster, patterns of detectors: as many engines judge the stream, each its own; "
            "the first also those that no pattern names",
        ),
    ] = Field(default_factory=list)
    paused: bool = False
    maintenance: Annotated[list[Window], Field(max_length=100)] = Field(default_factory=list)

    @field_validator("id")
    @classmethod
    def _free_id(cls, name: str) -> str:
        if name == CANARY:
            raise ValueError(f"{CANARY} is the service's own channel")
        return name

    @field_validator("labels")
    @classmethod
    def _plain_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name, value in labels.items():
            if not _LABEL_NAME.fullmatch(name):
                raise ValueError(f"{name[:100]!r} is no label's name (letters, digits and _ . -; at most 100)")
            if len(value) > _LABEL_VALUE_CHARACTERS or not value.isprintable():
                raise ValueError(f"the value of {name!r} is longer than {_LABEL_VALUE_CHARACTERS} or not printable")
        if len(labels) > _MAX_LABELS:
            raise ValueError(f"{len(labels)} labels; {_MAX_LABELS} are allowed")
        return labels


class Config(Section):
    """The whole configuration."""

    engine: EngineSection = EngineSection()
    processes: ProcessesSection = ProcessesSection()
    service: ServiceSection = ServiceSection()
    auth: AuthSection = AuthSection()
    storage: StorageSection = StorageSection()
    notify: NotifySection = NotifySection()
    canary: CanarySection = CanarySection()
    cluster: ClusterSection = ClusterSection()
    shadow: ShadowSection = ShadowSection()
    detectors: DetectorTable = Field(default_factory=dict)
    slates: dict[str, Slate] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    streams: list[Stream] = Field(default_factory=list)

    def profile(self, name: str) -> DetectorTable:
        """A profile's table: the configuration's own of that name, else the built-in one.

        Raises: ConfigError if there is none.
        """
        from engine.profiles import BUILT_IN

        if name in self.profiles:
            return self.profiles[name].detectors
        if name not in BUILT_IN:
            names = profile_names(self)
            raise ConfigError(
                "unknown profile",
                stream=name,
                why=f"no profile has that name{close_name(name, names)}",
                remedy=f"profiles: {', '.join(names)}",
            )
        return BUILT_IN[name]

    def tables(self, stream: Stream | None = None) -> list[DetectorTable]:
        """The tables that choose a stream's detectors, the most general first, for `select`."""
        from engine.profiles import OPTIONAL

        tables = [OPTIONAL, self.detectors]
        if stream is not None:
            if stream.profile is not None:
                tables.append(self.profile(stream.profile))
            tables.append(stream.detectors)
        return tables


def profile_names(config: Config) -> list[str]:
    """Every profile that may be named: the configuration's own, and those that are built in."""
    from engine.profiles import BUILT_IN

    return sorted({*config.profiles, *BUILT_IN})


def select(known: Sequence[str], tables: Iterable[DetectorTable]) -> dict[str, dict[str, object]]:
    """The enabled detectors with the parameters that differ from their defaults.

    Every detector starts enabled; the first of `Config.tables` switches those off that are optional. Tables and their
    entries are applied in order; a later one wins. A name may be a pattern ("video.*", "*") where it only switches.

    Args:
        known: names of all detectors.
        tables: the most general first.
    Returns: parameters by name, in the order of `known`.
    """
    enabled = dict.fromkeys(known, True)
    parameters: dict[str, dict[str, object]] = {name: {} for name in known}
    for table in tables:
        for pattern, entry in table.items():
            for name in fnmatch.filter(known, pattern):
                if isinstance(entry, bool):
                    enabled[name] = entry
                else:
                    enabled[name] = True
                    parameters[name].update(entry)
    return {name: parameters[name] for name in known if enabled[name]}


def parse_selection(text: str, known: Sequence[str]) -> DetectorTable:
    """What `--detectors` says, as a table: "video.freeze,audio.*" only those, "-video.blur" all but that.

    Raises: ConfigError for a name that fits no detector.
    """
    items = [item.strip() for item in text.split(",")]
    if not any(items):
        raise ConfigError(
            "no detector chosen", stream="--detectors", why="the list is empty", remedy="name some, or leave it out"
        )
    table: DetectorTable = {} if all(item.startswith("-") for item in items if item) else {"*": False}
    for item in filter(None, items):
        name = item.removeprefix("-")
        if not fnmatch.filter(known, name):
            raise ConfigError(
                "unknown detector", stream="--detectors", why=f"{name!r}{close_name(name, known)}", remedy=_NAMES_REMEDY
            )
        table.pop(name, None)  # a later mention counts, and dicts keep the place of the first
        table[name] = not item.startswith("-")
    return table


_NAMES_REMEDY: Final = "`avjury detectors` lists the names; area.* names a whole area"


def load(
    path: Path | None,
    known: Mapping[str, Sequence[str]],
    check_parameters: CheckParameters,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read and check a configuration.

    Args:
        path: a YAML file; None for defaults and environment alone.
        known: every detector's name and the names of its parameters.
        check_parameters: the detectors' own check of values.
        environment: of the process unless given.
    Raises: ConfigError naming line, key and what is allowed.
    """
    document = Document(path)
    environment = os.environ if environment is None else environment
    apply_environment(document, environment, Config)
    try:
        config = Config.model_validate(document.value)
    except ValidationError as error:
        problems = [explain(item, Config, document.value) for item in telling_first(error.errors())]
        others = len({path for path, _, _ in problems}) - 1
        more = f" (and {others} more)" if others else ""
        raise document.error(*problems[0], more=more) from error
    _check_detectors(config, document, known, check_parameters)
    _check_streams(config, document)
    return config


def check_stream(
    config: Config, stream: Stream, known: Mapping[str, Sequence[str]], check_parameters: CheckParameters
) -> None:
    """Detectors, parameters and profile of a stream that does not come from the file.

    Raises: ConfigError naming the key and what is allowed.
    """

    def wrong(path: Path_, why: str, remedy: str) -> ConfigError:
        return ConfigError("wrong stream", stream=stream.id, why=f"{spell(path)}: {why}", remedy=remedy)

    _check_table(stream.detectors, ("detectors",), known, check_parameters, wrong)
    _check_profile(config, stream, (), wrong)


_Wrong = Callable[[Path_, str, str], ConfigError]


def _check_detectors(
    config: Config, document: Document, known: Mapping[str, Sequence[str]], check_parameters: CheckParameters
) -> None:
    """Names and parameters against the detectors' declarations."""
    places: list[tuple[Path_, DetectorTable]] = [(("detectors",), config.detectors)]
    places += [(("profiles", name, "detectors"), profile.detectors) for name, profile in config.profiles.items()]
    places += [(("streams", index, "detectors"), stream.detectors) for index, stream in enumerate(config.streams)]
    for path, table in places:
        _check_table(table, path, known, check_parameters, document.error)
    for number, group in enumerate(config.processes.groups):
        for index, pattern in enumerate(group.detectors):
            if not fnmatch.filter(list(known), pattern):
                here = ("processes", "groups", number, "detectors", index)
                raise document.error(here, f"unknown detector{close_name(pattern, known)}", _NAMES_REMEDY)


def _check_table(
    table: DetectorTable,
    path: Path_,
    known: Mapping[str, Sequence[str]],
    check_parameters: CheckParameters,
    wrong: _Wrong,
) -> None:
    for name, entry in table.items():
        here: Path_ = (*path, name)
        if not fnmatch.filter(list(known), name):
            raise wrong(here, f"unknown detector{close_name(name, known)}", _NAMES_REMEDY)
        if isinstance(entry, bool):
            continue
        if name not in known:
            raise wrong(here, "a pattern cannot have parameters", "write true or false, or a full name")
        for parameter, value in entry.items():
            allowed = known[name]
            if parameter not in allowed:
                listing = f"allowed here: {', '.join(allowed)}" if allowed else f"{name} has no parameters"
                raise wrong((*here, parameter), f"unknown parameter{close_name(parameter, allowed)}", listing)
            if isinstance(value, float) and not math.isfinite(value):
                raise wrong((*here, parameter), f"{value} is not a number", "write a finite number")
            try:
                check_parameters(name, {parameter: value})
            except AvjuryError as error:
                raise wrong((*here, parameter), error.why, error.remedy) from error


def _check_streams(config: Config, document: Document) -> None:
    """Ids, profiles and references."""
    seen: dict[str, int] = {}
    for index, stream in enumerate(config.streams):
        path: Path_ = ("streams", index)
        if stream.id in seen:
            first = document.origin(("streams", seen[stream.id], "id"))
            raise document.error((*path, "id"), f"{stream.id!r} is taken by {first}", "give every stream its own id")
        seen[stream.id] = index
        _check_profile(config, stream, path, document.error)
    streams = {stream.id: stream for stream in config.streams}
    for index, stream in enumerate(config.streams):
        problem = reference_problem(stream, streams)
        if problem is not None:
            raise document.error(("streams", index, "reference"), *problem)
    names = profile_names(config)
    if config.shadow.profile is not None and config.shadow.profile not in names:
        why = f"unknown profile {config.shadow.profile[:100]!r}{close_name(config.shadow.profile, names)}"
        raise document.error(("shadow", "profile"), why, f"profiles: {', '.join(names)}")


def reference_problem(stream: Stream, streams: Mapping[str, Stream]) -> tuple[str, str] | None:
    """Why a stream cannot be compared with its reference, and what to do; None where it can, or has none.

    Args:
        streams: all of them, by id.
    """
    if stream.reference is None:
        return None
    other = streams.get(stream.reference)
    if other is None:
        close = close_name(stream.reference, list(streams))
        return f"there is no stream {stream.reference[:100]!r}{close}", "name the id of another stream"
    if other.id == stream.id:
        return "a stream cannot be its own reference", "name the id of another stream"
    if stream.group and other.group and stream.group != other.group:
        why = f"{other.id!r} is in group {other.group!r}, {stream.id!r} in {stream.group!r}, and both have to be"
        return f"{why} judged by one engine", "put both into one group, or leave one of the groups out"
    return None


def _check_profile(config: Config, stream: Stream, path: Path_, wrong: _Wrong) -> None:
    names = profile_names(config)
    if stream.profile is not None and stream.profile not in names:
        why = f"unknown profile {stream.profile[:100]!r}{close_name(stream.profile, names)}"
        raise wrong((*path, "profile"), why, f"profiles: {', '.join(names)}")

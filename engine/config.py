"""YAML + environment -> checked values. A mistake is told with its line, its key and what is allowed.

Parsed once, at the start of a command; the parts get values, never the configuration. What a detector's parameters
may be is the detector's own declaration, which the caller hands in.
"""

import difflib
import fnmatch
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, Field, ValidationError

from engine.errors import AvjuryError, ConfigError
from engine.settings.auth import AuthSection
from engine.settings.notify import NotifySection
from engine.settings.section import Section
from engine.settings.service import ServiceSection
from engine.settings.slates import Slate
from engine.settings.storage import StorageSection

ENV_PREFIX: Final = "AVJURY_"
# Deeper than any real configuration; an alias that holds itself would be endless.
MAX_DEPTH: Final = 32

Path_ = tuple[str | int, ...]
Scalar = bool | int | float | str
# A detector is switched (true, false) or given parameters (and thereby switched on).
DetectorTable = dict[str, bool | dict[str, Scalar]]

CheckParameters = Callable[[str, Mapping[str, object]], None]
"""Raises ConfigError if a detector's parameters are wrong."""


class EngineSection(Section):
    """How the engine runs."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")] = "auto"
    max_batch: Annotated[int, Field(ge=1, le=4096, description="most pictures in one batch")] = 256
    max_wait_seconds: Annotated[
        float | None,
        Field(ge=0, le=1, description="how long a ready picture waits for other streams; null chooses by the device"),
    ] = None
    decode_threads: Annotated[int | None, Field(ge=1, le=64, description="threads per software decoder; null is 1")] = (
        None
    )


class Profile(Section):
    """A named choice of detectors and parameters, for streams to refer to."""

    detectors: DetectorTable = Field(default_factory=dict)


class Stream(Section):
    """One stream to judge."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    url: Annotated[str, Field(min_length=1)]
    profile: str | None = None
    detectors: DetectorTable = Field(default_factory=dict)
    priority: Annotated[int, Field(ge=0, le=100, description="who is kept under overload; higher stays longer")] = 50
    labels: dict[str, str] = Field(default_factory=dict)


class Config(Section):
    """The whole configuration."""

    engine: EngineSection = EngineSection()
    service: ServiceSection = ServiceSection()
    auth: AuthSection = AuthSection()
    storage: StorageSection = StorageSection()
    notify: NotifySection = NotifySection()
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
                why=f"no profile has that name{_close(name, names)}",
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
                "unknown detector", stream="--detectors", why=f"{name!r}{_close(name, known)}", remedy=_NAMES_REMEDY
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
    document = _Document(path)
    environment = os.environ if environment is None else environment
    _apply_environment(document, environment)
    try:
        config = Config.model_validate(document.value)
    except ValidationError as error:
        problems = [_explain(item, document) for item in error.errors()]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise document.error(*problems[0], more=more) from error
    _check_detectors(config, document, known, check_parameters)
    _check_streams(config, document)
    return config


class _Document:
    """The parsed YAML: plain values, and the line or variable that each key came from."""

    def __init__(self, path: Path | None) -> None:
        self.name = "configuration" if path is None else str(path)
        self.origins: dict[Path_, str] = {}
        self.value: Any = {}
        if path is None:
            return
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
            raise ConfigError(
                "cannot read configuration", stream=self.name, why=why, remedy="name a readable YAML file"
            ) from error
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            self.value = {} if node is None else self._build(loader, node, ())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            why = getattr(error, "problem", None) or str(error)
            where = f" (line {mark.line + 1})" if mark is not None else ""
            raise ConfigError(
                "not valid YAML", stream=self.name, why=f"{why}{where}", remedy="correct the syntax there"
            ) from error
        finally:
            loader.dispose()
        if self.value is None:
            self.value = {}

    def _build(self, loader: yaml.SafeLoader, node: yaml.Node, path: Path_) -> Any:
        self.origins.setdefault(path, f"line {node.start_mark.line + 1}")
        if len(path) > MAX_DEPTH:
            raise self.error(path[:4], "nested too deeply (an alias that holds itself?)", "write it out")
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, child, (*path, index)) for index, child in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return loader.construct_object(node, deep=True)
        own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        lines = {key.value: key.start_mark.line + 1 for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
        for key in own:
            if own.count(key) > 1 and key != "<<":
                self.origins[(*path, key)] = f"line {lines[key]}"
                raise self.error((*path, key), "the key is there twice", "keep one of them")
        loader.flatten_mapping(node)  # "<<" merges
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            key = key if isinstance(key, str) else str(key_node.value)
            self.origins[(*path, key)] = f"line {key_node.start_mark.line + 1}"
            built[key] = self._build(loader, value_node, (*path, key))
        return built

    def origin(self, path: Path_) -> str:
        """Where a key was written; its nearest written parent for one that is missing."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, "")

    def error(self, path: Path_, why: str, remedy: str, more: str = "") -> ConfigError:
        """The error for a key."""
        where = self.origin(path)
        key = _spell(path) or "the file"
        return ConfigError(
            "wrong configuration",
            stream=self.name,
            why=f"{key}: {why}" + (f" ({where})" if where else "") + more,
            remedy=remedy,
        )


def _spell(path: Path_) -> str:
    """("streams", 3, "url") as "streams[3].url"; a dotted name in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int) or "." in part:
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def _close(name: str, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _apply_environment(document: _Document, environment: Mapping[str, str]) -> None:
    """Lay AVJURY_SECTION__KEY=value over the file. Variables without "__" are not configuration."""
    for variable in sorted(environment):
        if not variable.startswith(ENV_PREFIX) or "__" not in variable.removeprefix(ENV_PREFIX):
            continue
        path: list[str] = variable.removeprefix(ENV_PREFIX).lower().split("__")
        if path[0] == "detectors" and len(path) > 2:
            path[1:3] = [f"{path[1]}.{path[2]}"]  # a shell's variable names have no dots
        if path[0] in ("profiles", "streams"):
            raise ConfigError(
                "wrong configuration",
                stream=variable,
                why=f"{path[0]} cannot be set by a variable",
                remedy="write them in the file of --config",
            )
        try:
            value = yaml.safe_load(environment[variable])
        except yaml.YAMLError as error:
            raise ConfigError(
                "wrong configuration", stream=variable, why="its value is not valid YAML", remedy="quote the value"
            ) from error
        if not isinstance(document.value, dict):
            return  # told by the check that follows
        place = document.value
        for depth, part in enumerate(path[:-1]):
            child = place.get(part)
            if not isinstance(child, dict):
                child = place[part] = {}
                document.origins[tuple(path[: depth + 1])] = variable
            place = child
        place[path[-1]] = value
        document.origins[tuple(path)] = variable


def _explain(item: Any, document: _Document) -> tuple[Path_, str, str]:
    """Path, reason and remedy of one of pydantic's errors."""
    location: Path_ = tuple(item["loc"])
    kind, got = item["type"], item["input"]
    # A detector's entry is "a switch or parameters"; pydantic reports each arm with a suffix that is not in the file.
    if "detectors" in location:
        after = location.index("detectors") + 1
        if len(location) > after:
            keep = after + 1
            if len(location) > keep + 1 and str(location[keep]).startswith("dict"):
                keep_path = (*location[:keep], location[keep + 1])
                return keep_path, f"{got!r} is not allowed", "write a number, text, true or false"
            return location[:keep], f"{got!r} is not allowed", "write true, false, or the detector's parameters"
    if kind == "extra_forbidden":
        allowed = list(_model_at(location[:-1]).model_fields)
        name = str(location[-1])
        return location, f"unknown key{_close(name, allowed)}", f"allowed here: {', '.join(allowed)}"
    if kind == "missing":
        return location, "it is missing", "add it"
    shown = repr(got) if isinstance(got, str | int | float | bool | None) else type(got).__name__
    field = _field_at(location)
    allowed_text = field.description if field is not None and field.description else ""
    message = str(item["msg"]).replace("Input should be", "it should be")
    message = re.sub(r"String should match pattern '.*'", "not an allowed value", message)
    return location, f"{message}, not {shown}", f"allowed: {allowed_text}" if allowed_text else "correct the value"


def _model_at(path: Path_) -> type[BaseModel]:
    if not path:
        return Config
    sections: dict[str, type[BaseModel]] = {
        "engine": EngineSection,
        "profiles": Profile,
        "streams": Stream,
        "slates": Slate,
    }
    return sections.get(str(path[0]), Config)


def _field_at(path: Path_) -> Any:
    keys = [part for part in path if isinstance(part, str)]
    model = _model_at(path[:-1])
    return model.model_fields.get(keys[-1]) if keys else None


def _check_detectors(
    config: Config, document: _Document, known: Mapping[str, Sequence[str]], check_parameters: CheckParameters
) -> None:
    """Names and parameters against the detectors' declarations."""
    places: list[tuple[Path_, DetectorTable]] = [(("detectors",), config.detectors)]
    places += [(("profiles", name, "detectors"), profile.detectors) for name, profile in config.profiles.items()]
    places += [(("streams", index, "detectors"), stream.detectors) for index, stream in enumerate(config.streams)]
    for path, table in places:
        for name, entry in table.items():
            here: Path_ = (*path, name)
            if not fnmatch.filter(list(known), name):
                raise document.error(here, f"unknown detector{_close(name, known)}", _NAMES_REMEDY)
            if isinstance(entry, bool):
                continue
            if name not in known:
                raise document.error(here, "a pattern cannot have parameters", "write true or false, or a full name")
            for parameter, value in entry.items():
                allowed = known[name]
                if parameter not in allowed:
                    listing = f"allowed here: {', '.join(allowed)}" if allowed else f"{name} has no parameters"
                    raise document.error((*here, parameter), f"unknown parameter{_close(parameter, allowed)}", listing)
                if isinstance(value, float) and not math.isfinite(value):
                    raise document.error((*here, parameter), f"{value} is not a number", "write a finite number")
                try:
                    check_parameters(name, {parameter: value})
                except AvjuryError as error:
                    raise document.error((*here, parameter), error.why, error.remedy) from error


def _check_streams(config: Config, document: _Document) -> None:
    """Ids and profiles."""
    seen: dict[str, int] = {}
    for index, stream in enumerate(config.streams):
        path: Path_ = ("streams", index)
        if stream.id in seen:
            first = document.origin(("streams", seen[stream.id], "id"))
            raise document.error((*path, "id"), f"{stream.id!r} is taken by {first}", "give every stream its own id")
        seen[stream.id] = index
        names = profile_names(config)
        if stream.profile is not None and stream.profile not in names:
            raise document.error(
                (*path, "profile"),
                f"unknown profile {stream.profile!r}{_close(stream.profile, names)}",
                f"profiles: {', '.join(names)}",
            )

"""The written configuration: values with the places that they come from, and what is said of a wrong one."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr

from engine.errors import ConfigError

# Keys whose values may hold a password though they are read as plain text.
_SECRET_KEYS: Final = frozenset(("url", "database", "options"))
ENV_PREFIX: Final = "AVJURY_"
# Deeper than any real configuration; an alias that holds itself would be endless.
MAX_DEPTH: Final = 32
# Whoever reads a message should not be shown a page of what was written wrong.
_SHOWN_CHARACTERS: Final = 100

# Keys whose values are not repeated, whatever their type.
_SECRET_NAME: Final = re.compile(r"url|secret|token|password|key", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"://[^/@\s]*@")

Path_ = tuple[str | int, ...]


class Document:
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
        loader: yaml.SafeLoader | None = None
        try:
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            self.value = {} if node is None else self._build(loader, node, ())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            why = getattr(error, "problem", None) or str(error)
            if isinstance(error, yaml.reader.ReaderError):
                why = f"a control character (number {error.character}) at place {error.position} of the file"
            where = f" (line {mark.line + 1})" if mark is not None else ""
            raise ConfigError(
                "not valid YAML", stream=self.name, why=f"{why}{where}", remedy="correct the syntax there"
            ) from error
        finally:
            if loader is not None:
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
        key = spell(path) or "the file"
        return ConfigError(
            "wrong configuration",
            stream=self.name,
            why=f"{key}: {why}" + (f" ({where})" if where else "") + more,
            remedy=remedy,
        )


def spell(path: Path_) -> str:
    """("streams", 3, "url") as "streams[3].url"; a dotted name in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int) or "." in part:
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def close_name(name: str, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def apply_environment(document: Document, environment: Mapping[str, str], model: type[BaseModel]) -> None:
    """Lay AVJURY_SECTION__KEY=value over the file. Variables without "__" are not configuration.

    Raises: ConfigError.
    """
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
        value = _read_variable(variable, environment[variable], _arms(field_annotation(model, tuple(path))))
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


def _read_variable(variable: str, text: str, kinds: list[Any]) -> Any:
    if SecretStr in kinds:
        return text  # a token may be all digits, or look like YAML
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        if str in kinds:
            return text
        raise ConfigError(
            "wrong configuration", stream=variable, why="its value is not valid YAML", remedy="quote the value"
        ) from error
    return text if str in kinds and value is not None and not isinstance(value, str) else value


def telling_first(items: Sequence[Any]) -> list[Any]:
    """Pydantic's errors, those first that say what was written wrong, and those last that follow from others."""
    return sorted(items, key=_weight)


def _weight(item: Any) -> int:
    kind, location = item["type"], tuple(item["loc"])
    if kind in ("extra_forbidden", "finite_number"):
        return 0
    if kind == "missing":
        return 2  # often what was called otherwise by mistake
    arm = location[location.index("detectors") + 2 :] if "detectors" in location else ()
    # Parameters that are wrong are also no switch.
    return 3 if arm[:1] == ("bool",) and isinstance(item["input"], Mapping) else 1


def explain(item: Any, model: type[BaseModel], value: Any = None) -> tuple[Path_, str, str]:
    """Path, reason and remedy of one of pydantic's errors. Secrets and addresses are not repeated.

    Args:
        item: of `ValidationError.errors()`.
        model: that was validated.
        value: that it was validated from, where a path is to name only what is written there.
    """
    location: Path_ = tuple(item["loc"])
    path = location if value is None else _as_written(location, value)
    kind, got = item["type"], item["input"]
    # A detector's entry is "a switch or parameters"; pydantic reports each arm with a suffix that is not in the file.
    if "detectors" in location:
        after = location.index("detectors") + 1
        table = any(get_origin(arm) is dict for arm in _arms(field_annotation(model, location[:after])))
        if table and len(location) > after:
            keep = after + 1
            if len(location) > keep + 1 and str(location[keep]).startswith("dict"):
                keep_path = (*location[:keep], location[keep + 1])
                why = "is not a finite number" if kind == "finite_number" else "is not allowed"
                return keep_path, f"{_shown(got)} {why}", "write a number, text, true or false"
            return location[:keep], f"{_shown(got)} is not allowed", "write true, false, or the detector's parameters"
    if kind == "extra_forbidden":
        allowed = list((_model(field_annotation(model, location[:-1])) or model).model_fields)
        name = str(location[-1])[:_SHOWN_CHARACTERS]
        return path, f"unknown key{close_name(name, allowed)}", f"allowed here: {', '.join(allowed)}"
    if kind == "missing":
        return path, "it is missing", "add it"
    if kind.startswith("union_tag"):
        tags = [tag for arm in _arms(field_annotation(model, location)) for tag in _tags(arm)]
        why = f"{item['ctx']['tag']!r} is not known" if kind == "union_tag_invalid" else "it is missing"
        return (*path, "type"), why, f"allowed: {', '.join(tags)}"
    annotation = field_annotation(model, location)
    owner = _model(field_annotation(model, location[:-1]))
    field = owner.model_fields.get(str(location[-1])) if owner is not None and location else None
    remedy = f"allowed: {field.description}" if field is not None and field.description else "correct the value"
    if kind == "value_error":
        return path, str(item["msg"]).removeprefix("Value error, "), remedy
    named = not _SECRET_KEYS.isdisjoint(location) or any(_SECRET_NAME.search(str(part)) for part in location[-1:])
    hidden = SecretStr in _leaves(annotation) or named
    message = str(item["msg"]).replace("Input should be", "it should be")
    message = re.sub(r"String should match pattern '.*'", "not an allowed value", message)
    return path, message if hidden else f"{message}, not {_shown(got)}", remedy


def _shown(got: Any) -> str:
    if not isinstance(got, str | int | float | bool | None):
        return type(got).__name__
    text = _PASSWORD.sub("://***@", repr(got))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def field_annotation(model: type[BaseModel], path: Path_) -> Any:
    """The type of what lies at a path of a model; None where there is no such place."""
    here: Any = model
    for part in path:
        here = next((found for arm in _arms(here) if (found := _step(arm, part)) is not None), None)
    return here


def _arms(annotation: Any) -> list[Any]:
    """The alternatives of a type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _arms(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [arm for one in get_args(annotation) for arm in _arms(one)]
    return [annotation]


def _leaves(annotation: Any) -> list[Any]:
    """The alternatives of a type, and of what a list or mapping of it holds."""
    return [leaf for arm in _arms(annotation) for leaf in (arm, *_arms_of_all(get_args(arm)))]


def _arms_of_all(annotations: Iterable[Any]) -> list[Any]:
    return [leaf for one in annotations for leaf in _leaves(one)]


def _step(arm: Any, part: str | int) -> Any:
    origin, arguments = get_origin(arm), get_args(arm)
    if origin is list and isinstance(part, int):
        return arguments[0]
    if origin is dict and len(arguments) == 2:
        return arguments[1]
    if isinstance(arm, type) and issubclass(arm, BaseModel):
        if part in arm.model_fields:
            return arm.model_fields[str(part)].annotation
        return arm if part in _tags(arm) else None
    return None


def _tags(arm: Any) -> list[str]:
    """The values of `type` that choose a model of a union."""
    is_model = isinstance(arm, type) and issubclass(arm, BaseModel) and "type" in arm.model_fields
    return [str(tag) for tag in get_args(arm.model_fields["type"].annotation)] if is_model else []


def _as_written(location: Path_, value: Any) -> Path_:
    """A path without the parts that pydantic adds to it: the arm of a union, the key of a mapping as such."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        there = part in value if isinstance(value, dict) else (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )  # fmt: skip
        if there or (last and part != "[key]"):
            path.append(part)
        if there:
            value = value[part]
    return tuple(path)


def _model(annotation: Any) -> type[BaseModel] | None:
    return next((arm for arm in _arms(annotation) if isinstance(arm, type) and issubclass(arm, BaseModel)), None)

"""Makes docs/settings.md: every key of the configuration, from the models that check it.

`python -m engine.config_reference` writes it; a test holds the page to this.
"""

import json
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engine.config import Config

PAGE: Final = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD: Final = """\
# All settings

Made from the models that check the configuration (`python -m engine.config_reference`). How they work together:
docs/configuration.md; a detector's parameters: docs/detectors.md. `[]` is each item of a list, `*` a name of yours. An
environment variable `AVJURY_SECTION__KEY` overrides a key of a section.
"""
_TABLE: Final = "| key | what it may be | default | |\n|---|---|---|---|\n"
_KINDS: Final = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text, kept secret",
}
_LIMITS: Final = (
    ("ge", "at least"),
    ("gt", "more than"),
    ("le", "at most"),
    ("lt", "less than"),
    ("min_length", "items or characters at least"),
    ("max_length", "items or characters at most"),
)


def reference() -> str:
    """The page."""
    parts = [_HEAD]
    for name, field in Config.model_fields.items():
        rows = list(_rows(name, field))
        about = _about(field.annotation)
        parts.append(f"## {name}\n\n{about}{_TABLE}" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _rows(path: str, field: FieldInfo) -> Iterator[str]:
    models = list(_models(field.annotation, ""))
    if not models or field.default is None or not isinstance(field.default, BaseModel):
        yield _row(path, field)
    seen: set[str] = set()
    for suffix, model in models:
        for name, inner in model.model_fields.items():
            for row in _rows(f"{path}{suffix}.{inner.alias or name}", inner):
                if row not in seen:
                    seen.add(row)
                    yield row


def _row(path: str, field: FieldInfo) -> str:
    limits = [text for one in field.metadata for text in _limits(one)]
    kind = ", ".join([_kind(field.annotation), *limits])
    cells = (f"`{path}`", kind, _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be there"
    value = field.get_default(call_default_factory=True) if field.default_factory is not None else field.default
    if value is None or value is PydanticUndefined:
        return "null"
    if isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value.value if isinstance(value, Enum) else value, default=str)}`"


def _limits(constraint: Any) -> Iterator[str]:
    for name, text in _LIMITS:
        if getattr(constraint, name, None) is not None:
            yield f"{text} {getattr(constraint, name)}"


def _kind(annotation: Any) -> str:
    origin, arms = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arms[0])
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in arms)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(arm) for arm in arms))
    if origin in (list, tuple, set, frozenset):
        return f"list of {_kind(arms[0])}"
    if origin is dict:
        return f"names with {_kind(arms[1])}"
    if annotation in (None, type(None)):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys"
    return _KINDS.get(annotation, getattr(annotation, "__name__", "text"))


def _models(annotation: Any, suffix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models in an annotation, each with what its place adds to the path."""
    origin, arms = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield suffix, annotation
    elif origin is dict:
        yield from _models(arms[1], suffix + ".*")
    elif origin in (list, tuple):
        yield from _models(arms[0], suffix + "[]")
    elif origin is not Literal:
        for arm in arms:
            yield from _models(arm, suffix)


def _about(annotation: Any) -> str:
    model = next((model for _, model in _models(annotation, "")), None)
    text = (model.__doc__ or "").strip().partition("\n")[0] if model is not None else ""
    return f"{text}\n\n" if text else ""


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")

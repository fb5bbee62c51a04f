"""What a question may say after the "?": unknown names and values that cannot be are refused, never ignored."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from engine.service.contract import StreamState
from engine.store.records import Origin, Page, State
from engine.verdicts import Severity

MOST: Final = 500


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("write Unix seconds, or ISO 8601 as 2026-03-01T22:00:00Z") from error
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


Moment = Annotated[
    float | None,
    BeforeValidator(_moment, json_schema_input_type=str),
    Field(allow_inf_nan=False, description="Unix seconds, or ISO 8601 (UTC where it has no offset)"),
]


class PageQuery(BaseModel):
    """One page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST, description="most items on a page")] = 100
    cursor: Annotated[str | None, Field(max_length=1000, description="`next` of the page before")] = None


class LabelledQuery(PageQuery):
    """One page of what has labels."""

    label: Annotated[list[str], Field(max_length=20, description="NAME=VALUE; all of them have to be there")] = []

    @field_validator("label")
    @classmethod
    def _pairs(cls, pairs: list[str]) -> list[str]:
        if not all("=" in pair for pair in pairs):
            raise ValueError("write label=NAME=VALUE")
        return pairs

    @property
    def labels(self) -> dict[str, str]:
        """The labels by name."""
        return {name: value for name, _, value in (pair.partition("=") for pair in self.label)}


class StreamsQuery(LabelledQuery):
    """Which streams."""

    state: Annotated[StreamState | None, Field(description="how they are")] = None
    origin: Annotated[Origin | None, Field(description="who wrote them")] = None
    channel: Annotated[str | None, Field(max_length=256)] = None
    group: Annotated[str | None, Field(max_length=64)] = None
    text: Annotated[str | None, Field(max_length=256, description="in id, channel or a label's value")] = None


class IncidentsQuery(LabelledQuery):
    """Which incidents."""

    stream: Annotated[str | None, Field(max_length=256, description="a stream's id, or a channel")] = None
    detector: Annotated[str | None, Field(max_length=128, description="a name, or an area as video.*")] = None
    state: State | None = None
    severity: Annotated[Severity | None, Field(description="at or above it")] = None
    since: Moment = None
    until: Moment = None
    text: Annotated[
        str | None, Field(max_length=256, description="in id, stream, detector, cause, labels, comments")
    ] = None
    acknowledged: bool | None = None


class SecondsQuery(PageQuery):
    """Which seconds of a stream."""

    limit: Annotated[int, Field(ge=1, le=3600, description="most items on a page")] = 300
    since: Moment = None
    until: Moment = None


class EventsQuery(BaseModel):
    """Which events."""

    model_config = ConfigDict(extra="forbid")

    types: Annotated[str, Field(description="incident, status, second; several with commas")] = "incident,status"
    stream: Annotated[str | None, Field(max_length=256, description="only what concerns this one")] = None

    @property
    def kinds(self) -> list[Literal["incident", "status", "second"]]:
        """The kinds; what is none of them is left out, `wrong` tells it."""
        return [kind for kind in ("incident", "status", "second") if kind in self._named]

    @property
    def _named(self) -> set[str]:
        return {one.strip() for one in self.types.split(",")}

    @field_validator("types")
    @classmethod
    def _known(cls, types: str) -> str:
        named = {one.strip() for one in types.split(",")}
        if not named or not named <= {"incident", "status", "second"}:
            raise ValueError("name some of incident, status, second")
        return types


def page_json(page: Page[Any]) -> dict[str, Any]:
    """A page as it is sent."""
    return {"items": [item if isinstance(item, dict) else item.as_json() for item in page.items], "next": page.next}

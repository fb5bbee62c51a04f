"""Times in which nobody is told of a stream's incidents, or in which alone somebody is."""

from datetime import datetime, time, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from engine.settings.section import Section

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK: Final = r"^([01]\d|2[0-3]):[0-5]\d$"


class Window(Section):
    """Once from a moment until another, or every week on some days from a time of day until another.

    Args:
        id: to name it by; made up where it is not given.
        mode: "suppress": nobody is told of what begins in it. "invert": somebody is told only of what begins in it,
            as for an event that is on air at set hours.
        since, until: of one that happens once; ISO 8601 with an offset from UTC. `since` is now where it is not given.
        days: of a weekly one, on which it begins; every day where none is given.
        start, end: of a weekly one, "HH:MM" on the clock of `zone`; an `end` that is not later is on the next day.
        zone: of the weekly times, by its IANA name.
        reason: for people.
    """

    id: Annotated[str | None, Field(pattern=r"^[\w.-]{1,64}$", description="letters, digits, _ . -")] = None
    mode: Literal["suppress", "invert"] = "suppress"
    since: datetime | None = None
    until: datetime | None = None
    days: list[Day] = Field(default_factory=list)
    start: Annotated[str | None, Field(pattern=_CLOCK, description="HH:MM")] = None
    end: Annotated[str | None, Field(pattern=_CLOCK, description="HH:MM")] = None
    zone: str = "UTC"
    reason: Annotated[str, Field(max_length=500)] = ""

    @field_validator("since", "until", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("write the offset from UTC too, as 2026-03-01T22:00:00+01:00")
        return value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _clock(cls, value: Any) -> Any:
        # YAML 1.1 takes an unquoted 22:30 for a number to the base 60.
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
            return f"{value // 60:02}:{value % 60:02}"
        return value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"no time zone is called {value!r}; write an IANA name, as Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "Window":
        weekly = self.start is not None or self.end is not None or bool(self.days)
        if weekly and (self.since is not None or self.until is not None):
            raise ValueError("write since and until, or days, start and end")
        if weekly and (self.start is None or self.end is None):
            raise ValueError("a weekly window needs start and end")
        if not weekly and self.until is None:
            raise ValueError("write until, or days, start and end")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError("until is not later than since")
        return self

    def holds(self, at: float) -> bool:
        """Whether the moment (Unix seconds) lies in it; its first moment does, its last does not."""
        if self.start is None or self.end is None:
            begun = self.since is None or at >= self.since.timestamp()
            return begun and self.until is not None and at < self.until.timestamp()
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(at, zone).date()
        for day in (today - timedelta(days=1), today):
            if self.days and DAYS[day.weekday()] not in self.days:
                continue
            # Built from the wall clock, so that 02:00 stays 02:00 when summer time begins or ends.
            begin = datetime.combine(day, time.fromisoformat(self.start), zone)
            last = day if self.end > self.start else day + timedelta(days=1)
            if begin.timestamp() <= at < datetime.combine(last, time.fromisoformat(self.end), zone).timestamp():
                return True
        return False

    def over(self, at: float) -> bool:
        """Whether it will not hold any more."""
        return self.until is not None and at >= self.until.timestamp()

    def as_json(self) -> dict[str, Any]:
        """As it was written, without what was left out."""
        return self.model_dump(mode="json", exclude_defaults=True)

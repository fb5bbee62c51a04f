"""Who is told what an engine finds, as it finds it."""

from typing import Protocol

from engine.incidents import Change
from engine.outcome import Outcome
from engine.verdicts import Incident, StreamSecond


class Listener(Protocol):
    """Who is told; called from the engine's loop, so it has to be quick."""

    def on_incident(self, incident: Incident, change: Change) -> None: ...
    def on_second(self, second: StreamSecond) -> None: ...
    def on_progress(self, stream: str, media_seconds: float, duration: float | None) -> None: ...
    def on_end(self, outcome: Outcome) -> None: ...


class Silent:
    """A listener that does nothing; base for those that want only some calls."""

    def on_incident(self, incident: Incident, change: Change) -> None:
        """An incident changed."""

    def on_second(self, second: StreamSecond) -> None:
        """A media second was completed."""

    def on_progress(self, stream: str, media_seconds: float, duration: float | None) -> None:
        """A stream moved on."""

    def on_end(self, outcome: Outcome) -> None:
        """A stream ended."""

"""What a stream's reader asks of a source, whether this process demuxes it or another one does."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from engine.errors import SourceError
from engine.ingest.clock import Discontinuity
from engine.media import Packet, StreamInfo


class RawBytes(Protocol):
    """The bytes below the demuxer."""

    def read_until(self, position: int | None) -> bytes:
        """The next bytes before `position`; nothing where there are no more for now."""
        ...

    def close(self) -> None:
        """Let go of them."""
        ...


class Clock(Protocol):
    """What is known of an input's clock."""

    @property
    def found(self) -> Sequence[Discontinuity]:
        """The jumps taken out so far, in order."""
        ...


class MediaSource(Protocol):
    """One input; see ingest/source.py and ingest/remote.py, which say what each does."""

    error: SourceError | None
    target_seconds: float
    breaks: int
    """How often the timeline was cut on purpose (a looped file's seam, a skip to now): what follows is not compared
    with what came before."""

    @property
    def is_network(self) -> bool: ...
    @property
    def read_timeout_seconds(self) -> float: ...
    @property
    def clock(self) -> Clock | None: ...
    @property
    def retries_at_once(self) -> bool:
        """It was not the source that failed, so nobody is spared by waiting before the next attempt."""
        ...

    def open(self, begin: Callable[[], float] | None = None) -> StreamInfo: ...
    def packets(self, after_silence: Callable[[], float | None] | None = None) -> Iterator[Packet]: ...
    def raw_bytes(self) -> RawBytes | None: ...
    def why_ended(self) -> str: ...
    def stop(self) -> None: ...
    def give_up(self) -> None: ...
    def close(self) -> None: ...

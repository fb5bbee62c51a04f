"""What a stream's reader asks of a source, whether this process demuxes it or another one does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from engine.errors import SourceError
from engine.ingest.clock import Discontinuity
from engine.media import Packet, StreamInfo


class Border(IntEnum):
    """What lies before the first byte of a piece of a transport stream."""

    NONE = 0
    """The piece before it, without a seam."""
    NEXT = 1
    """The end of the segment before it, in a playlist that says nothing of a break."""
    ANEW = 2
    """A break that was announced, or segments that nobody read: nothing has to go on."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Bytes below the demuxer, never over a border.

    Args:
        data: at least one byte.
        border: what lies before the first one.
    """

    data: bytes
    border: Border = Border.NONE


class RawBytes(Protocol):
    """The bytes below the demuxer."""

    def read_until(self, position: int | None) -> Piece | None:
        """The next bytes before `position`; None where there are no more for now."""
        ...

    def forget(self) -> None:
        """Nobody will read them; they need not be kept. Idempotent."""
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
    goes_on: bool
    """The packets have ended at an announced break, behind which other tracks are; the next `open` finds them."""

    @property
    def thinned(self) -> bool:
        """Most of its packets are left out, as nobody decodes them."""
        ...

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
    def go_from(self, position: int) -> bool: ...
    def why_ended(self) -> str: ...
    def stop(self) -> None: ...
    def give_up(self) -> None: ...
    def close(self) -> None: ...

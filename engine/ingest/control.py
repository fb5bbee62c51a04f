"""What the supervisor and an ingest process say to each other; little, as an engine tells it what to read."""

import msgspec

from engine.remote_log import LogLine


class TakeLink(msgspec.Struct, tag=True, frozen=True):
    """Serve an engine, in place of the last one. Three descriptors come along: socket, ring memory, doorbell."""


class Stop(msgspec.Struct, tag=True, frozen=True):
    """End."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The process has started."""

    pid: int


class IngestReport(msgspec.Struct, tag=True, frozen=True):
    """How it is, once a second.

    Args:
        streams: that it reads.
        packets: handed on so far.
        dropped: for which the ring had no room, so far.
        cpu_seconds: used so far.
        resident_bytes: of the process.
    """

    streams: int
    packets: int
    dropped: int
    cpu_seconds: float
    resident_bytes: int


SupervisorSays = TakeLink | Stop
IngestSays = Ready | IngestReport | LogLine

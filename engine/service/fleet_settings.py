"""Which processes the fleet runs, and their limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.service.places import Group


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """The fleet of one machine.

    Args:
        groups: one engine process each, with different names.
        streams_per_ingest: most streams that one ingest process reads; a crash in a demuxer touches so many.
        load_limit: share of its time up to which an engine takes in more streams.
        quarantine_deaths, quarantine_seconds: so many deaths under one stream within that time, and it is left out.
        hang_seconds: an engine that says nothing for so long is killed; compiling the kernels of a first run takes
            more than a minute.
        ingest_memory_bytes: most address space of an ingest process; 0 for no limit.
        overload: values of OverloadSettings that differ from its defaults.
        evidence: values of EvidenceSettings that differ from its defaults, as plain values; None keeps no evidence.
    """

    groups: tuple[Group, ...] = (Group("main"),)
    streams_per_ingest: int = 16
    load_limit: float = 0.9
    quarantine_deaths: int = 5
    quarantine_seconds: float = 60.0
    hang_seconds: float = 300.0
    ingest_memory_bytes: int = 8 << 30
    overload: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, bool | float | str] | None = field(default_factory=dict)

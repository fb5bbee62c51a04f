"""Which processes judge and read the streams, and their limits."""

from typing import Annotated

from pydantic import Field

from engine.settings.section import Section


class GroupSection(Section):
    """A stream group: one engine process, whose streams name it in `group`."""

    name: Annotated[str, Field(pattern=r"^[\w.\-]{1,64}$", description="letters, digits, _ . -")]
    device: Annotated[
        str | None,
        Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N; null is engine.device"),
    ] = None
    streams: Annotated[int | None, Field(ge=1, le=4096, description="most streams; null is streams_per_engine")] = None
    detectors: Annotated[
        list[str],
        Field(
            max_length=64,
            description="patterns of the detectors that it judges, of those that its streams have; a group with any "
            "takes only streams that name it; none: all",
        ),
    ] = Field(default_factory=list)


class ProcessesSection(Section):
    """Which processes judge and read the streams, and their limits. Without groups: one engine per GPU, or one."""

    groups: Annotated[list[GroupSection], Field(max_length=64)] = Field(default_factory=list)
    streams_per_engine: Annotated[int, Field(ge=1, le=4096, description="most streams of one engine")] = 256
    streams_per_reader: Annotated[
        int, Field(ge=1, le=256, description="most streams that one ingest process reads; a crash touches so many")
    ] = 16
    load_limit: Annotated[
        float, Field(gt=0, le=1, description="share of its time up to which an engine takes in more streams")
    ] = 0.9
    lag_seconds: Annotated[
        float, Field(ge=0.2, le=60, description="verdicts later than this lower the pictures that are judged")
    ] = 1.0
    quarantine_deaths: Annotated[
        int, Field(ge=2, le=60, description="so many deaths under one stream, and it is left out")
    ] = 5
    quarantine_seconds: Annotated[float, Field(ge=1, le=86_400, description="within this time")] = 60.0
    reader_memory_bytes: Annotated[
        int, Field(ge=0, description="most address space of an ingest process; 0 for no limit")
    ] = 8 << 30
    reader_sandbox: Annotated[
        bool, Field(description="an ingest process may open its own sources' folders and nothing else (Landlock)")
    ] = True
    reader_folders: Annotated[
        list[Annotated[str, Field(pattern=r"^/", description="an absolute path")]],
        Field(max_length=64, description="folders that ingest processes may read besides, as of a playlist's segments"),
    ] = Field(default_factory=list)

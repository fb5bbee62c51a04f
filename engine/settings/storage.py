"""Where verdicts, incidents and evidence are kept, and for how long."""

from typing import Annotated

from pydantic import Field

from engine.settings.section import Section


class StorageSection(Section):
    """Where verdicts, incidents and evidence are kept, and for how long."""

    database: Annotated[
        str | None,
        Field(
            min_length=1,  # what it may be is told by who opens it, with its password hidden
            description="sqlite:///path or postgresql://user:password@host/name; null is avjury.db in the data folder",
        ),
    ] = None
    verdicts: Annotated[
        str | None,
        Field(
            min_length=1,
            description="a directory, or s3://bucket/prefix, gs://..., az://...; null is verdicts in the data folder",
        ),
    ] = None
    options: Annotated[
        dict[str, str], Field(description="of the object store: endpoint, region, access_key_id, ...")
    ] = Field(default_factory=dict)
    flush_seconds: Annotated[
        float, Field(ge=1, le=3600, description="how long judged seconds are collected for one file")
    ] = 60.0
    spool_bytes: Annotated[
        int, Field(ge=1 << 20, le=1 << 50, description="most that may wait on disk while the store is away")
    ] = 2 << 30
    retention_days: Annotated[
        int | None, Field(ge=1, le=36500, description="older stream-seconds are deleted; null keeps all")
    ] = 90
    evidence_days: Annotated[
        int | None, Field(ge=1, le=36500, description="older clips and pictures are deleted; null keeps all")
    ] = 30
    clips: Annotated[bool, Field(description="keep the compressed media around each incident")] = True
    clip_pre_roll_seconds: Annotated[float, Field(ge=0, le=60, description="of a clip, before the incident")] = 5.0
    clip_post_roll_seconds: Annotated[float, Field(ge=0, le=60, description="of a clip, after the incident")] = 5.0
    clip_most_seconds: Annotated[float, Field(ge=1, le=300, description="longest clip")] = 30.0
    ring_bytes: Annotated[
        int, Field(ge=1 << 16, le=1 << 32, description="most compressed media that is held per stream")
    ] = 16 << 20

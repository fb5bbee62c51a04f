"""How the service listens, watches and drains."""

from typing import Annotated, Literal

from pydantic import Field

from engine.settings.section import Section


class ServiceSection(Section):
    """How the service listens, watches and drains."""

    listen: Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):\d{1,5}$", description="HOST:PORT")] = (
        "127.0.0.1:8080"
    )
    data: Annotated[str, Field(min_length=1, description="the folder of everything that is kept")] = "avjury-data"
    api_private_addresses: Annotated[
        bool, Field(description="streams added through the API may have loopback and private addresses")
    ] = False
    open_metrics: Annotated[bool, Field(description="/metrics and /readyz's reasons are shown without a token")] = True
    metrics_max_streams: Annotated[int, Field(ge=0, le=100_000, description="streams with series of their own")] = 1000
    max_streams: Annotated[int, Field(ge=1, le=100_000, description="most streams, the file's and the API's")] = 10_000
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 << 20, description="largest request")] = 1 << 20
    requests_per_second: Annotated[
        float,
        Field(ge=0, le=100_000, description="of one caller of the API over time, ten times as many at once; 0 for any"),
    ] = 100.0
    max_connections: Annotated[int, Field(ge=8, le=65_536, description="connections at a time")] = 512
    max_event_clients: Annotated[int, Field(ge=1, le=10_000, description="readers of /api/v1/events at a time")] = 64
    event_backlog: Annotated[int, Field(ge=16, le=1_000_000, description="events kept for readers that come back")] = (
        4096
    )
    recorder_backlog: Annotated[
        int, Field(ge=100, le=1_000_000, description="reports kept in memory while the database is away")
    ] = 20_000
    damping_seconds: Annotated[
        float, Field(ge=0, le=3600, description="a defect that comes back no later than this is the same incident")
    ] = 10.0
    incident_days: Annotated[
        int | None, Field(ge=1, le=36_500, description="incidents that closed earlier are deleted; null keeps all")
    ] = 400
    min_free_bytes: Annotated[int, Field(ge=0, description="below it the data folder's disk counts as full")] = (
        256 << 20
    )
    history_hours: Annotated[
        float, Field(ge=0, le=168, description="for which measures are kept by the second, for timelines")
    ] = 6.0
    drain_seconds: Annotated[float, Field(ge=1, le=120, description="longest time from SIGTERM to the end")] = 10.0
    log_format: Annotated[
        Literal["auto", "json", "text"], Field(description="auto is text on a terminal, json elsewhere")
    ] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

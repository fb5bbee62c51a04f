"""Engines on many machines, on Ray."""

from typing import Annotated

from pydantic import Field

from engine.settings.section import FilePath, Section


class ClusterSection(Section):
    """Engines on many machines (`avjury cluster`); `avjury serve` does not read it."""

    address: Annotated[str, Field(min_length=1, description="of the Ray cluster; auto is the one of this machine")] = (
        "auto"
    )
    engines: Annotated[
        int | None,
        Field(ge=1, le=4096, description="how many; null is one for every GPU, or as many as resources allow"),
    ] = None
    most_engines: Annotated[
        int | None,
        Field(ge=1, le=4096, description="how many Ray's autoscaler is asked for where there is no room; null: none"),
    ] = None
    resources: Annotated[
        dict[str, float],
        Field(description="of Ray's that each engine takes; empty is one GPU, or one CPU where there is none"),
    ] = Field(default_factory=dict)
    folder: Annotated[
        FilePath | None,
        Field(description="on every machine, of what engines have not brought to the stores yet; null is in the home"),
    ] = None
    fill: Annotated[
        float, Field(gt=0, le=1, description="share of an engine's capacity up to which it is given more")
    ] = 0.9
    moves: Annotated[int, Field(ge=1, le=1000, description="streams that change their engine at a time")] = 8
    spread: Annotated[
        float, Field(gt=0, le=1, description="an engine that is so much fuller than all together gives streams away")
    ] = 0.15
    dwell_seconds: Annotated[
        float, Field(ge=0, le=86_400, description="a stream that came less than so long ago is not moved for balance")
    ] = 300.0

"""What is measured of streams over time, by which rules it is judged, and what other rules would have found."""

import time
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.config import Scalar, profile_names
from engine.detectors import all_detectors, detector, resolve
from engine.detectors.base import Detector
from engine.errors import ConfigError, QueryError
from engine.level_columns import SHOWN, level_names
from engine.service.api.access import Access, route
from engine.service.api.queries import Moment
from engine.service.backtest import judged_by_rule, tried
from engine.service.history import series
from engine.service.parts import Parts
from engine.settings.section import Section

DEFAULT_SPAN_SECONDS: Final = 900.0
_LONGEST_SPAN_SECONDS: Final = 8 * 86_400.0


class MeasuresQuery(BaseModel):
    """Which measures, and of when."""

    model_config = ConfigDict(extra="forbid")

    since: Moment = None
    until: Moment = None
    measures: Annotated[
        str | None, Field(max_length=4000, description="names, several with commas; all that are judged without")
    ] = None
    points: Annotated[int, Field(ge=10, le=2000, description="most points of a line")] = 600

    @model_validator(mode="after")
    def _span(self) -> "MeasuresQuery":
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError("until is not later than since")
        return self


class BacktestBody(Section):
    """Parameters of one detector to be tried.

    Args:
        parameters: that differ from the stream's present ones.
        since, until: Unix seconds; the last hour without.
    """

    detector: Annotated[str, Field(max_length=128)]
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    since: float | None = None
    until: float | None = None


def routes(parts: Parts, access: Access) -> APIRouter:
    """The routes of measures."""
    router = APIRouter(prefix="/api/v1", tags=["measures"])
    viewer = Depends(access.role("viewer"))

    @router.get("/detectors", summary="All detectors, and what may be set of them", dependencies=[viewer],
                **route("viewer"))  # fmt: skip
    def detectors() -> dict[str, Any]:
        return {"items": [_declared(declared) for declared in all_detectors()], "next": None}

    @router.get("/profiles", summary="The profiles that a stream may name", dependencies=[viewer], **route("viewer"))
    def profiles() -> dict[str, Any]:
        return {"items": profile_names(parts.core.config), "next": None}

    @router.get("/shadow", summary="What the profile that is tried would change", dependencies=[viewer],
                **route("viewer"))  # fmt: skip
    def shadow() -> dict[str, Any]:
        return parts.shadow.as_json()

    @router.get("/streams/{stream_id}/rules", summary="By which rules a stream is judged", dependencies=[viewer],
                **route("viewer", 404))  # fmt: skip
    def rules(stream_id: str) -> dict[str, Any]:
        enabled, parameters = resolve(parts.core.get(stream_id).plan.detectors)
        items = []
        for declared in enabled:
            given = parameters[declared.name]
            items.append(
                {
                    "detector": declared.name,
                    "measure": declared.column,
                    "severity": str(declared.severity),
                    "dominated_by": list(declared.dominated_by),
                    "parameters": given,
                    "by_rule": judged_by_rule(declared, given),
                    **asdict(declared.rule(given)),
                }
            )
        return {"items": items, "next": None}

    @router.get("/streams/{stream_id}/measures", summary="A stream's measures and coverage over time",
                dependencies=[viewer], **route("viewer", 404))  # fmt: skip
    def measures(stream_id: str, query: Annotated[MeasuresQuery, Query()]) -> dict[str, Any]:
        wanted = parts.core.get(stream_id)
        since, until = _span(query.since, query.until, DEFAULT_SPAN_SECONDS)
        if query.measures is not None:
            columns = [name.strip() for name in query.measures.split(",")]
            unknown = [name for name in columns if name not in level_names()]
            if unknown:
                raise QueryError("no such measure", why=f"{unknown[0][:100]!r} is none",
                                 remedy="GET /api/v1/detectors names them")  # fmt: skip
        else:
            columns = [detector(name).column for name in wanted.plan.detectors]
            columns += [name for names in SHOWN.values() for name in names]
        rows = parts.history.read(stream_id, since, until)
        return series(rows, columns, since, until, query.points)

    @router.post("/streams/{stream_id}/backtest", summary="What other parameters of a detector would have found",
                 dependencies=[viewer], **route("viewer", 404, 413))  # fmt: skip
    def backtest(stream_id: str, body: Annotated[BacktestBody, Body()]) -> dict[str, Any]:
        plan = parts.core.get(stream_id).plan
        declared = _known(body.detector)
        present = dict(plan.detectors.get(body.detector, {}))
        other = declared.settle({**present, **body.parameters})
        enabled, parameters = resolve(plan.detectors)
        now = declared.settle(present)
        by_rule = judged_by_rule(declared, now)
        fixed = [name for name in body.parameters if not by_rule[name] and other[name] != now[name]]
        if fixed:
            raise QueryError("cannot be tried", stream=body.detector,
                             why=f"{fixed[0]} changes what is measured, and only what was measured is kept",
                             remedy="change it on a stream, and watch")  # fmt: skip
        since, until = _span(body.since, body.until, 3600.0)
        rows = parts.history.read(stream_id, since, until)
        rules_now = {d.name: d.rule(parameters[d.name]) for d in enabled}
        return {
            "seconds": len(rows),
            "since": since,
            "until": until,
            "enabled": body.detector in plan.detectors,
            "rule": asdict(declared.rule(other)),
            "present_rule": asdict(declared.rule(now)),
            "tried": tried(rows, body.detector, other, rules_now),
            "present": tried(rows, body.detector, now, rules_now),
        }

    return router


def _span(since: float | None, until: float | None, default_seconds: float) -> tuple[float, float]:
    end = time.time() if until is None else until
    begin = end - default_seconds if since is None else since
    if not 0 < end - begin <= _LONGEST_SPAN_SECONDS:
        raise QueryError("wrong span", why=f"{end - begin:g} s is not in 0 to {_LONGEST_SPAN_SECONDS:g} s",
                         remedy="choose another one")  # fmt: skip
    return begin, end


def _known(name: str) -> Detector:
    found = next((declared for declared in all_detectors() if declared.name == name), None)
    if found is None:
        raise ConfigError("no such detector", stream=name[:128], why="none has that name",
                          remedy="GET /api/v1/detectors lists them")  # fmt: skip
    return found


def _declared(declared: Detector) -> dict[str, Any]:
    return {
        "name": declared.name,
        "track": declared.track,
        "measure": declared.column,
        "severity": str(declared.severity),
        "summary": declared.summary,
        "optional": declared.optional,
        "dominated_by": list(declared.dominated_by),
        "parameters": [asdict(parameter) for parameter in declared.parameters],
    }

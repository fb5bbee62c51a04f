"""The service itself: engines, configuration, letters that never arrived, health and metrics."""

import os
import resource
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field

from engine.ingest.url_policy import redact
from engine.service.api.access import Access, route
from engine.service.api.queries import PageQuery, page_json
from engine.service.canary import canary_json
from engine.service.contract import EngineStatus
from engine.service.metrics import exposition
from engine.service.parts import Parts
from engine.settings.section import Section
from engine.store.records import Notice, Page, wall_text


class ReviveBody(Section):
    """Letters to send again."""

    ids: Annotated[list[int], Field(min_length=1, max_length=1000)]


def routes(parts: Parts, access: Access) -> APIRouter:
    """The routes of the service itself."""
    router = APIRouter()
    viewer = Depends(access.role("viewer"))
    operator = Depends(access.role("operator"))
    admin = Depends(access.role("admin"))

    @router.get("/api/v1/engines", tags=["service"], summary="The engines, and their room", dependencies=[viewer],
                **route("viewer"))  # fmt: skip
    def engines() -> dict[str, Any]:
        return {"items": [_engine(engine) for engine in parts.fleet.engines()], "next": None}

    @router.get("/api/v1/service", tags=["service"], summary="How the service itself is", dependencies=[viewer],
                **route("viewer"))  # fmt: skip
    def service() -> dict[str, Any]:
        with open("/proc/self/statm", "rb") as file:
            resident = int(file.read().split()[1]) * resource.getpagesize()
        return {
            "not_ready": {part: redact(why) for part, why in parts.health.ready().items()},
            "pid": os.getpid(),
            "resident_bytes": resident,
            "streams": len(parts.core.all()),
            "history_hours": parts.core.config.service.history_hours,
            "walls": parts.wall.readers,
        }

    @router.get("/api/v1/canary", tags=["service"], summary="What is found of the defects planted into the canary",
                dependencies=[viewer], **route("viewer"))  # fmt: skip
    def canary() -> dict[str, Any]:
        return {**canary_json(parts.canary), "next": None}

    @router.get("/api/v1/maintenance", tags=["service"], summary="All maintenance windows", dependencies=[viewer],
                **route("viewer"))  # fmt: skip
    def maintenance() -> dict[str, Any]:
        items = [
            {"stream": stream_id, **window.as_json()}
            for stream_id, wanted in sorted(parts.core.all().items())
            for window in wanted.windows
        ]
        return {"items": items, "next": None}

    @router.post("/api/v1/reload", tags=["service"], summary="Read the configuration file again, all of it or nothing",
                 dependencies=[admin], **route("admin", 503))  # fmt: skip
    def reload() -> dict[str, Any]:
        return parts.reload.run()

    @router.get("/api/v1/dead-letters", tags=["service"], summary="Notifications that were given up",
                dependencies=[operator], **route("operator", 503))  # fmt: skip
    def dead_letters(query: Annotated[PageQuery, Query()]) -> dict[str, Any]:
        page = parts.store.outbox.dead_letters(limit=query.limit, cursor=query.cursor)
        return page_json(Page(tuple(_letter(notice) for notice in page.items), page.next))

    @router.post("/api/v1/dead-letters/revive", tags=["service"], summary="Try dead letters again",
                 dependencies=[operator], **route("operator", 413, 503))  # fmt: skip
    def revive(body: Annotated[ReviveBody, Body()]) -> dict[str, Any]:
        revived = parts.store.outbox.revive(body.ids)
        parts.wake_notifier()
        return {"revived": revived}

    @router.get("/healthz", tags=["health"], summary="Whether the process lives")
    async def healthz() -> JSONResponse:
        dead = parts.health.alive()
        return JSONResponse({"status": "dead" if dead else "ok", "parts": dead}, 503 if dead else 200)

    @router.get("/readyz", tags=["health"], summary="Whether the service does its work, and if not, why")
    def readyz(request: Request) -> JSONResponse:
        reasons = parts.health.ready()
        shown: dict[str, Any] = {"status": "not ready" if reasons else "ready"}
        if reasons and parts.core.config.service.open_metrics:
            shown["parts"] = {part: redact(why) for part, why in reasons.items()}
        return JSONResponse(shown, 503 if reasons else 200)

    @router.get("/metrics", tags=["health"], summary="Metrics for Prometheus", response_class=Response)
    def metrics(request: Request) -> Response:
        if not parts.core.config.service.open_metrics:
            access.check(request, "viewer")
        return Response(exposition(parts.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _engine(engine: EngineStatus) -> dict[str, Any]:
    shown = asdict(engine)
    # By stream they are in /metrics, and in each stream's own page.
    for name in ("stream_counters", "latency_buckets", "latency_sum", "stage_buckets", "stage_sums"):
        del shown[name]
    return shown


def _letter(notice: Notice) -> dict[str, Any]:
    shown = asdict(notice)
    shown["error"] = redact(notice.error) if notice.error else None
    for name in ("created_at", "due_at", "settled_at"):
        shown[name] = wall_text(shown[name])
    return shown

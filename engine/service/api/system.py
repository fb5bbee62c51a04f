"""The service itself: engines, configuration, letters that never arrived, health and metrics."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field
from starlette.types import Receive, Scope, Send

from engine.ingest.url_policy import redact
from engine.service.api.access import Access, route
from engine.service.api.queries import PageQuery, page_json
from engine.service.api.watch import EventStream
from engine.service.auth import RANKS, Caller
from engine.service.canary import canary_json
from engine.service.errors import BusyError
from engine.service.metrics import exposition
from engine.service.parts import Parts
from engine.service.vital_signs import VitalSigns, engines_json, letters, service_json
from engine.settings.section import Section


class ReviveBody(Section):
    """Letters to send again."""

    # As large as a database's numbers are.
    ids: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 63)]], Field(min_length=1, max_length=1000)]


class _VitalSignsStream(EventStream):
    """Looks at the service until the reader goes, takes nothing for too long, or the service ends."""

    def __init__(self, parts: Parts, signs: VitalSigns, *, with_letters: bool) -> None:
        self._signs, self._with_letters = signs, with_letters
        super().__init__(parts.hub, None)

    def _chunks(self) -> AsyncIterator[str]:
        return self._signs.chunks(lambda: self._hub.closed, with_letters=self._with_letters)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send."""
        self._signs.readers += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._signs.readers -= 1


def routes(parts: Parts, access: Access) -> APIRouter:
    """The routes of the service itself."""
    router = APIRouter()
    viewer = Depends(access.role("viewer"))
    operator = Depends(access.role("operator"))
    admin = Depends(access.role("admin"))
    signs = VitalSigns(parts)

    @router.get("/api/v1/engines", tags=["service"], summary="The engines, and their room", dependencies=[viewer],
                **route("viewer"))  # fmt: skip
    def engines() -> dict[str, Any]:
        return {"items": engines_json(parts), "next": None}

    @router.get("/api/v1/service", tags=["service"], summary="How the service itself is", dependencies=[viewer],
                **route("viewer"))  # fmt: skip
    def service() -> dict[str, Any]:
        return service_json(parts)

    @router.get("/api/v1/service/events", tags=["service"], response_class=_VitalSignsStream, status_code=200,
                summary="The same with engines, canary and what waits, pushed as it changes",
                **route("viewer", 503))  # fmt: skip
    async def watched(caller: Annotated[Caller, viewer]) -> _VitalSignsStream:
        if signs.readers >= parts.core.config.service.max_event_clients:
            raise BusyError("too many readers", why="service.max_event_clients read already", remedy="try again later")
        return _VitalSignsStream(parts, signs, with_letters=RANKS[caller.role] >= RANKS["operator"])

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
        return page_json(letters(parts, query.limit, query.cursor))

    @router.post("/api/v1/dead-letters/revive", tags=["service"], summary="Try dead letters again",
                 dependencies=[operator], **route("operator", 413, 503))  # fmt: skip
    def revive(body: Annotated[ReviveBody, Body()]) -> dict[str, Any]:
        revived = parts.store.outbox.revive(body.ids)
        parts.wake_notifier()
        return {"revived": revived}

    @router.get("/healthz", tags=["health"], summary="Whether the process lives",
                responses={503: {"description": "A part of it is dead."}})  # fmt: skip
    async def healthz() -> JSONResponse:
        dead = parts.health.alive()
        return JSONResponse({"status": "dead" if dead else "ok", "parts": dead}, 503 if dead else 200)

    @router.get("/readyz", tags=["health"], responses={503: {"description": "It does not, or not all of it."}},
                summary="Whether the service does its work, and if not, why")  # fmt: skip
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

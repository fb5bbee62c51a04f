"""The wall: every stream as a tile, pushed once a second."""

from collections.abc import AsyncIterator
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Response
from starlette.types import Receive, Scope, Send

from engine.service.api.access import Access, route
from engine.service.api.watch import EventStream
from engine.service.errors import BusyError
from engine.service.parts import Parts

# Pictures made at a time.
MOST_PICTURES: Final = 8


class _WallStream(EventStream):
    """Tiles until the reader goes, takes nothing for too long, or the service ends."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        super().__init__(parts.hub, None)

    def _chunks(self) -> AsyncIterator[str]:
        return self._parts.wall.chunks(lambda: self._parts.hub.closed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send."""
        self._parts.wall.readers += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._parts.wall.readers -= 1


def routes(parts: Parts, access: Access) -> APIRouter:
    """The routes of the wall."""
    router = APIRouter(prefix="/api/v1/wall", tags=["wall"])
    viewer = Depends(access.role("viewer"))
    most = parts.core.config.service.max_event_clients
    waiting = CapacityLimiter(MOST_PICTURES)

    @router.get("", summary="How every stream is, in short", dependencies=[viewer], **route("viewer"))
    def tiles() -> dict[str, Any]:
        return {"items": list(parts.wall.tiles().values()), "next": None}

    @router.get("/events", summary="The same, pushed: all at first, then once a second what changed",
                response_class=_WallStream, status_code=200, dependencies=[viewer], **route("viewer", 503))  # fmt: skip
    async def events() -> _WallStream:
        if parts.wall.readers >= most:
            raise BusyError("too many readers", why="service.max_event_clients read already", remedy="try again later")
        return _WallStream(parts)

    @router.get("/{stream_id}/picture", summary="What a stream shows now, as JPEG; 204 where it shows nothing",
                dependencies=[viewer], response_class=Response, **route("viewer", 404))  # fmt: skip
    async def picture(stream_id: str) -> Response:
        parts.core.get(stream_id)
        made = await to_thread.run_sync(parts.fleet.thumbnail, stream_id, limiter=waiting)
        if made is None:
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        return Response(made, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    return router

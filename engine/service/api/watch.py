"""Server-sent events: what happens, as it happens."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from engine.service.api.access import Access, route
from engine.service.api.queries import EventsQuery
from engine.service.errors import BusyError
from engine.service.events import EventHub, EventReader
from engine.service.parts import Parts

HEARTBEAT_SECONDS: Final = 15.0
# Who takes nothing for so long is not there any more.
SEND_SECONDS: Final = 20.0


class EventStream(StreamingResponse):
    """Sends events until the reader goes, takes nothing for too long, or the service ends.

    Args:
        hub: that says when the service ends.
        reader: of events; None for what sends others, and has `_chunks` of its own.
    """

    media_type = "text/event-stream"

    def __init__(self, hub: EventHub, reader: EventReader | None) -> None:
        self._hub = hub
        self._reader = reader
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._chunks(), headers=headers)

    def _chunks(self) -> AsyncIterator[str]:
        if self._reader is None:
            raise NotImplementedError
        return self._reader.chunks(HEARTBEAT_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, each piece within a limit."""
        dropped = False

        async def within(message: Message) -> None:
            nonlocal dropped
            try:
                await asyncio.wait_for(send(message), SEND_SECONDS)
            except TimeoutError as error:
                dropped = True
                raise OSError("the reader takes nothing") from error

        try:
            await super().__call__(scope, receive, within)
        finally:
            self._hub.leave(self._reader, dropped=dropped)


def routes(parts: Parts, access: Access) -> APIRouter:
    """The route of events."""
    router = APIRouter(prefix="/api/v1", tags=["events"])

    @router.get("/events", summary="What happens, as server-sent events; Last-Event-ID goes on after an event",
                response_class=EventStream, status_code=200, dependencies=[Depends(access.role("viewer"))],
                **route("viewer", 503))  # fmt: skip
    async def events(
        query: Annotated[EventsQuery, Query()], last_event_id: Annotated[str | None, Header(max_length=100)] = None
    ) -> EventStream:
        reader = parts.hub.reader(query.kinds, query.stream, last_event_id)
        if reader is None:
            raise BusyError("too many readers", why="service.max_event_clients read already", remedy="try again later")
        return EventStream(parts.hub, reader)

    return router

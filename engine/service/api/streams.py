"""Streams: what is judged, how it is, and when nobody is told of it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Body, Depends, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from engine.config import Stream
from engine.errors import QueryError
from engine.service.api.access import Access, route
from engine.service.api.queries import SecondsQuery, StreamsQuery, page_json
from engine.service.auth import Caller
from engine.service.contract import StreamStatus
from engine.service.desired import Wanted
from engine.service.errors import NotFoundError
from engine.service.listener import status_json
from engine.service.parts import Parts
from engine.settings.maintenance import Window
from engine.settings.section import Section
from engine.store import cursor as cursors
from engine.store.records import Page

# Made at a time.
MOST_THUMBNAILS: Final = 16


class ProbeBody(Section):
    """An address to look at."""

    url: Annotated[str, Field(min_length=1, max_length=4096)]


class MuteBody(Section):
    """For how long nobody is told of a stream's incidents."""

    seconds: Annotated[float, Field(ge=1, le=366 * 86400, description="from one second up to a year")]
    reason: Annotated[str, Field(max_length=500)] = ""


def routes(parts: Parts, access: Access) -> APIRouter:
    """The routes of streams."""
    router = APIRouter(prefix="/api/v1/streams", tags=["streams"])
    viewer = Depends(access.role("viewer"))
    operator = Depends(access.role("operator"))
    core = parts.core
    # A page may ask for all pictures at once, and each may take a while: nothing else is to wait for them.
    waiting = CapacityLimiter(MOST_THUMBNAILS)

    def shown(wanted: Wanted, status: StreamStatus | None = None, open_now: int | None = None) -> dict[str, Any]:
        stream_id = wanted.stream.id
        if open_now is None:
            open_now = parts.open_incidents.by_stream()[stream_id]
        return wanted.as_json() | {
            "muted": core.suppressed(stream_id, datetime.now(UTC).timestamp()),
            "incidents_open": open_now,
            "status": status_json(status or core.status(stream_id)),
        }

    @router.get("", summary="The streams, by id", dependencies=[viewer], **route("viewer"))
    def list_streams(query: Annotated[StreamsQuery, Query()]) -> dict[str, Any]:
        after = str(cursors.decode(query.cursor, (str,))[0]) if query.cursor is not None else ""
        statuses = core.statuses()
        counts = parts.open_incidents.by_stream()
        found: list[tuple[Wanted, StreamStatus]] = []
        for stream_id, wanted in sorted(core.all().items()):
            status = statuses.get(stream_id)
            if stream_id > after and status is not None and _fits(query, wanted, status):
                found.append((wanted, status))
                if len(found) > query.limit:
                    break
        page = tuple(shown(wanted, status, counts[wanted.stream.id]) for wanted, status in found[: query.limit])
        return page_json(Page(page, cursors.encode((page[-1]["id"],)) if len(found) > query.limit else None))

    @router.post("", summary="Add a stream; the same one again changes nothing", status_code=201,
                 dependencies=[operator],
                 **route("operator", 409, 413, 503, more={200: "It was there already."}))  # fmt: skip
    def add_stream(stream: Annotated[Stream, Body()]) -> JSONResponse:
        wanted, new = core.add(stream)
        return JSONResponse(shown(wanted), 201 if new else 200, {"Location": f"/api/v1/streams/{stream.id}"})

    @router.post("/probe", summary="Open an address once, and say what is in it", dependencies=[operator],
                 **route("operator", 413, 503))  # fmt: skip
    def probe(body: Annotated[ProbeBody, Body()]) -> dict[str, Any]:
        core.check_address(Stream(id="probe", url=body.url))
        return parts.prober.probe(body.url, private_addresses=core.config.service.api_private_addresses)

    @router.get("/{stream_id}", summary="One stream", dependencies=[viewer], **route("viewer", 404))
    def get_stream(stream_id: str) -> dict[str, Any]:
        return shown(core.get(stream_id))

    @router.get("/{stream_id}/status", summary="How a stream is", dependencies=[viewer], **route("viewer", 404))
    def get_status(stream_id: str) -> dict[str, Any]:
        return status_json(core.status(stream_id))

    @router.patch("/{stream_id}", summary="Change a stream by a JSON merge patch (RFC 7396)", dependencies=[operator],
                  **route("operator", 404, 409, 413, 503))  # fmt: skip
    def change_stream(stream_id: str, patch: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        return shown(core.change(stream_id, patch))

    @router.delete("/{stream_id}", summary="Take a stream out", status_code=204, dependencies=[operator],
                   **route("operator", 404, 409, 503))  # fmt: skip
    def delete_stream(stream_id: str) -> Response:
        core.remove(stream_id)
        return Response(status_code=204)

    @router.post("/{stream_id}/pause", summary="Pause a stream", dependencies=[operator],
                 **route("operator", 404, 409, 503))  # fmt: skip
    def pause(stream_id: str) -> dict[str, Any]:
        return shown(core.pause(stream_id, True))

    @router.post("/{stream_id}/resume", summary="Go on with a paused stream", dependencies=[operator],
                 **route("operator", 404, 409, 503))  # fmt: skip
    def resume(stream_id: str) -> dict[str, Any]:
        return shown(core.pause(stream_id, False))

    @router.post("/{stream_id}/mute", summary="Tell nobody of a stream's incidents for a while", status_code=201,
                 **route("operator", 404, 409, 413, 503))  # fmt: skip
    def mute(stream_id: str, body: Annotated[MuteBody, Body()], caller: Annotated[Caller, operator]) -> dict[str, Any]:
        since = datetime.now(UTC)
        until = since + timedelta(seconds=body.seconds)
        reason = body.reason or f"muted by {caller.name}"
        return core.add_window(stream_id, Window(since=since, until=until, reason=reason)).as_json()

    @router.post("/{stream_id}/maintenance", summary="Add a maintenance window", status_code=201,
                 dependencies=[operator], **route("operator", 404, 409, 413, 503))  # fmt: skip
    def add_window(stream_id: str, window: Annotated[Window, Body()]) -> dict[str, Any]:
        return core.add_window(stream_id, window).as_json()

    @router.delete("/{stream_id}/maintenance/{window_id}", summary="Take a maintenance window away", status_code=204,
                   dependencies=[operator], **route("operator", 404, 409, 503))  # fmt: skip
    def remove_window(stream_id: str, window_id: str) -> Response:
        core.remove_window(stream_id, window_id)
        return Response(status_code=204)

    @router.get("/{stream_id}/thumbnail", summary="What a stream shows now, as JPEG", dependencies=[viewer],
                response_class=Response, **route("viewer", 404))  # fmt: skip
    async def thumbnail(stream_id: str) -> Response:
        core.get(stream_id)
        picture = await to_thread.run_sync(parts.fleet.thumbnail, stream_id, limiter=waiting)
        if picture is None:
            raise NotFoundError("no picture", stream=stream_id, why="the stream shows none now",
                                remedy="see its status")  # fmt: skip
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @router.get("/{stream_id}/seconds", summary="The verdicts on a stream's seconds, the oldest first",
                dependencies=[viewer], **route("viewer", 503))  # fmt: skip
    def seconds(stream_id: str, query: Annotated[SecondsQuery, Query()]) -> dict[str, Any]:
        if query.since is not None and query.until is not None and query.until <= query.since:
            raise QueryError("wrong question", why="until is not later than since", remedy="swap them")
        page = parts.seconds.seconds(
            stream_id, since=query.since, until=query.until, limit=query.limit, cursor=query.cursor
        )
        return page_json(page)

    return router


def _fits(query: StreamsQuery, wanted: Wanted, status: StreamStatus) -> bool:
    stream = wanted.stream
    if query.state not in (None, status.state) or query.origin not in (None, wanted.origin):
        return False
    if query.channel not in (None, stream.channel) or query.group not in (None, stream.group):
        return False
    if any(stream.labels.get(name) != value for name, value in query.labels.items()):
        return False
    text = (query.text or "").casefold()
    return any(text in said.casefold() for said in (stream.id, stream.channel or "", *stream.labels.values()))

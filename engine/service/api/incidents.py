"""Incidents: what was wrong, since when, how it is dealt with, and the evidence."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from fastapi.responses import FileResponse
from pydantic import Field, field_validator

from engine.service.api.access import Access, route
from engine.service.api.queries import IncidentsQuery, page_json
from engine.service.auth import Caller
from engine.service.contract import EvidenceKind
from engine.service.errors import NotFoundError
from engine.service.evidence_files import MEDIA_TYPES
from engine.service.parts import Parts
from engine.settings.section import Section
from engine.store.records import IncidentRecord


class CommentBody(Section):
    """What somebody has to say."""

    text: Annotated[str, Field(min_length=1, max_length=10_000)]

    @field_validator("text")
    @classmethod
    def _no_nul(cls, text: str) -> str:
        if "\0" in text:
            raise ValueError("it has a NUL character")  # PostgreSQL cannot keep one
        return text


def routes(parts: Parts, access: Access) -> APIRouter:
    """The routes of incidents."""
    router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])
    viewer = Depends(access.role("viewer"))
    operator = Depends(access.role("operator"))
    incidents = parts.store.incidents

    def found(incident_id: str, record: IncidentRecord | None) -> IncidentRecord:
        if record is None:
            raise NotFoundError("no such incident", stream=incident_id, why="none has this id",
                                remedy="GET /api/v1/incidents lists them")  # fmt: skip
        return record

    def changed(incident_id: str, record: IncidentRecord | None) -> dict[str, Any]:
        known = found(incident_id, record)
        parts.open_incidents.take(known, "updated")
        parts.hub.publish("incident", known.streams, lambda: {"change": "updated", "incident": known.as_json()})
        return known.as_json()

    def evidence(incident_id: str, kind: EvidenceKind) -> FileResponse:
        record = found(incident_id, incidents.get(incident_id))
        for piece in record.evidence:
            path = parts.files.path(piece.place) if piece.kind == kind else None
            if path is not None:
                name = f"{record.id}-{kind}{path.suffix}"
                return FileResponse(path, media_type=MEDIA_TYPES.get(path.suffix), filename=name,
                                    content_disposition_type="inline")  # fmt: skip
        raise NotFoundError(f"no {kind}", stream=incident_id, why="none was made, or it was deleted since",
                            remedy="see the incident's `evidence`")  # fmt: skip

    @router.get("", summary="The incidents, the youngest first", dependencies=[viewer], **route("viewer", 503))
    def list_incidents(query: Annotated[IncidentsQuery, Query()]) -> dict[str, Any]:
        page = incidents.list(
            limit=query.limit,
            cursor=query.cursor,
            stream=query.stream,
            detector=query.detector,
            state=query.state,
            severity=query.severity,
            since=query.since,
            until=query.until,
            labels=query.labels,
            text=query.text,
            acknowledged=query.acknowledged,
        )
        return page_json(page)

    @router.get("/{incident_id}", summary="One incident", dependencies=[viewer], **route("viewer", 404, 503))
    def get_incident(incident_id: str) -> dict[str, Any]:
        return found(incident_id, incidents.get(incident_id)).as_json()

    @router.post("/{incident_id}/acknowledge", summary="Take an incident on; the first to do so stays",
                 **route("operator", 404, 503))  # fmt: skip
    def acknowledge(incident_id: str, caller: Annotated[Caller, operator]) -> dict[str, Any]:
        return changed(incident_id, incidents.acknowledge(incident_id, caller.name))

    @router.post("/{incident_id}/comments", summary="Say something about an incident", status_code=201,
                 **route("operator", 404, 413, 503))  # fmt: skip
    def comment(
        incident_id: str, body: Annotated[CommentBody, Body()], caller: Annotated[Caller, operator]
    ) -> dict[str, Any]:
        return changed(incident_id, incidents.comment(incident_id, caller.name, body.text))

    @router.post("/{incident_id}/mute", summary="Tell nobody of an incident any more", **route("operator", 404, 503))
    def mute(incident_id: str, caller: Annotated[Caller, operator]) -> dict[str, Any]:
        return changed(incident_id, incidents.mute(incident_id, caller.name))

    @router.post("/{incident_id}/unmute", summary="Tell of a muted incident again", dependencies=[operator],
                 **route("operator", 404, 503))  # fmt: skip
    def unmute(incident_id: str) -> dict[str, Any]:
        return changed(incident_id, incidents.mute(incident_id, None))

    def piece(kind: EvidenceKind) -> Callable[[str], FileResponse]:
        def get(incident_id: str) -> FileResponse:
            return evidence(incident_id, kind)

        return get

    for kind, text in (
        ("thumbnail", "What the stream showed at the worst moment, as JPEG"),
        (
            "overlay",
            "The same with a map over it of where the network sees damage, as JPEG; of `video.corruption` only",
        ),
        ("clip", "The media around it, as the stream sent it"),
        ("series", "The measure around it, ready to plot"),
    ):
        router.get(f"/{{incident_id}}/{kind}", summary=text, dependencies=[viewer], response_class=FileResponse,
                   name=f"get_{kind}", **route("viewer", 404, 503))(piece(kind))  # type: ignore[arg-type]  # fmt: skip
    return router

"""The API as one application: its routes, its limits, its headers, and how it says no."""

from typing import Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.service.api import docs_page, errors, incidents, measures, page, session, streams, system, wall, watch
from engine.service.api.access import Access
from engine.service.api.limits import Limits
from engine.service.metrics import release
from engine.service.parts import Parts

_ABOUT: Final = (
    "Judges live audio/video streams: which one is broken, how, since when, and how badly. Lists answer "
    '{"items": [...], "next": cursor or null}; what fails answers {"error": {"what", "why", "remedy"}}.'
)


def make_app(parts: Parts) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="avjury",
        version=release(),
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    errors.install(app)
    access = Access(parts.gate, parts.sessions)
    for resource in (streams, measures, incidents, watch, wall, session, system):
        app.include_router(resource.routes(parts, access))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        headers = {"Content-Security-Policy": docs_page.CONTENT_POLICY}
        return HTMLResponse(docs_page.page(app.openapi()), headers=headers)

    page.install(app)
    app.add_middleware(BodyLimit, most_bytes=parts.core.config.service.max_body_bytes)
    settings = parts.core.config
    app.add_middleware(Limits, settings.service.requests_per_second, settings.auth.failures_per_minute)
    app.add_middleware(SafeHeaders)
    return app


class BodyLimit:
    """Refuses requests that are too long: by what they say of themselves, and by what they send."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, up to the limit."""
        said = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if said.isdigit() and int(said) > self._most_bytes:
            await errors.http_answer(413)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most_bytes:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


class SafeHeaders:
    """Tells browsers to take an answer for what it says it is, and to keep nothing that is not meant to be kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)

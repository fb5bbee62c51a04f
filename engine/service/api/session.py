"""Sessions of the web page: who is logged in, in, out."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field, SecretStr

from engine.service.api.access import Access
from engine.service.metrics import release
from engine.service.parts import Parts
from engine.service.sessions import COOKIE, HOLDS_SECONDS
from engine.settings.section import Section


class TokenBody(Section):
    """A token."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=1000)]


def routes(parts: Parts, access: Access) -> APIRouter:
    """The routes of sessions."""
    router = APIRouter(prefix="/api/v1/session", tags=["session"])

    def secure(request: Request) -> bool:
        # The proxy that speaks TLS says so; who lies there only keeps his own cookie from being sent.
        return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"

    @router.get("", summary="Whose session it is, if it is anybody's")
    def session(request: Request) -> dict[str, Any]:
        caller = access.check(request, "viewer") if parts.gate.open else access.of_session(request)
        shown = None if caller is None else {"name": caller.name, "role": caller.role}
        return {"caller": shown, "open": parts.gate.open, "release": release()}

    @router.post("", summary="Log in: the answer's cookie takes the token's place", status_code=201)
    def begin(request: Request, response: Response, body: Annotated[TokenBody, Body()]) -> dict[str, Any]:
        token = body.token.get_secret_value()
        if not parts.gate.open:
            response.set_cookie(
                COOKIE,
                access.sessions.begin(token),
                max_age=HOLDS_SECONDS,
                httponly=True,
                samesite="strict",
                secure=secure(request),
            )
        headers = request.headers
        caller = parts.gate.caller(f"Bearer {token}", headers.get("host"), headers.get("origin"), True)
        return {"caller": {"name": caller.name, "role": caller.role}, "open": parts.gate.open, "release": release()}

    @router.delete("", summary="Log out", status_code=204)
    def end(request: Request) -> Response:
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure(request))
        return response

    return router

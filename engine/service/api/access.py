"""Who may call a route: `Depends(access.role("operator"))`. Every route under /api has one; a test holds that."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from engine.service.api.errors import ErrorBody
from engine.service.auth import Caller, Gate, check_role
from engine.service.sessions import COOKIE, Sessions
from engine.settings.auth import Role

# Only for the document: the gate reads the header itself, and says what is wrong with it.
_BEARER = HTTPBearer(auto_error=False, description="A token of `auth.token` or `auth.tokens`.")
_QUESTIONS = frozenset(("GET", "HEAD"))


class Access:
    """Makes the dependencies.

    Args:
        gate: that decides.
        sessions: of the web page.
    """

    def __init__(self, gate: Gate, sessions: Sessions) -> None:
        self._gate = gate
        self.sessions = sessions

    def role(self, role: Role) -> Callable[..., Caller]:
        """The caller of a request, whose role is at least this one; else AccessError."""

        def caller(
            request: Request, _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)] = None
        ) -> Caller:
            return self.check(request, role)

        return caller

    def check(self, request: Request, role: Role) -> Caller:
        """The caller of a request.

        Raises: AccessError.
        """
        found = self.of_session(request)
        if found is None:
            headers = request.headers
            changes = request.method not in _QUESTIONS
            found = self._gate.caller(headers.get("authorization"), headers.get("host"), headers.get("origin"), changes)
        check_role(found, role)
        return found

    def of_session(self, request: Request) -> Caller | None:
        """Who sent a request by a session of the web page; None where it names a token, or has no session.

        Raises: AccessError for a request of another site's page.
        """
        cookie, headers = request.cookies.get(COOKIE), request.headers
        if cookie is None or "authorization" in headers or self._gate.open:
            return None
        return self.sessions.caller(
            cookie, headers.get("host"), headers.get("origin"), request.method not in _QUESTIONS
        )


def route(role: Role, *statuses: int, more: Mapping[int, str] | None = None) -> dict[str, Any]:
    """What every route declares: who may call it, and which errors it answers with besides 401, 403, 422 and 429.

    Args:
        role: the lowest that may call it.
        statuses: of its errors.
        more: other answers that are no errors, by status.
    """
    texts = {401: "No token, or a wrong one.", 403: "The caller's role is below.", 404: "There is none.",
             409: "What is there does not allow it.", 413: "The request is too large.",
             422: "The request is wrong.", 429: "Too many requests, or wrong tokens; see Retry-After.",
             503: "Not now: no room, or the database is away."}  # fmt: skip
    return {
        "openapi_extra": {"x-role": role},
        "responses": {
            **{
                status: {"model": ErrorBody, "description": texts[status]} for status in (401, 403, 422, 429, *statuses)
            },
            **{status: {"description": text} for status, text in (more or {}).items()},
        },
    }

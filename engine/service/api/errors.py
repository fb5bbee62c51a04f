"""Every answer that is no success has the same form: {"error": {"what", "why", "remedy"}}."""

import logging
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from engine.config import Stream
from engine.config_document import explain, spell, telling_first
from engine.errors import AvjuryError, CapacityError, ConfigError, QueryError, SourceError, StoreError
from engine.ingest.url_policy import redact
from engine.service.errors import AccessError, BusyError, ConflictError, NotFoundError

# The most special first.
STATUS: Final[tuple[tuple[type[AvjuryError], int], ...]] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (CapacityError, 503),
    (BusyError, 503),
    (QueryError, 422),
    (StoreError, 503),
    (ConfigError, 422),
    (SourceError, 422),
)
RETRY_SECONDS: Final = 10
_HTTP: Final = {
    404: ("no such page", "nothing is there", "/docs lists what there is"),
    405: ("wrong method", "this address does not take it", "/docs lists what there is"),
    413: ("request too large", "it is longer than service.max_body_bytes", "send less"),
}
# What pydantic calls a body that is no JSON object.
_NO_OBJECT: Final = ("model_attributes_type", "model_type", "dict_type")

log = logging.getLogger(__name__)


class ErrorText(BaseModel):
    """What failed, why, and what to do about it."""

    what: str
    why: str
    remedy: str


class ErrorBody(BaseModel):
    """Every answer that is no success."""

    error: ErrorText


def answer(status: int, what: str, why: str, remedy: str, headers: dict[str, str] | None = None,
           **more: Any) -> JSONResponse:  # fmt: skip
    """An error as it is sent, its secrets hidden."""
    error = {"what": redact(what), "why": redact(why), "remedy": redact(remedy), **more}
    return JSONResponse({"error": error}, status, headers)


def http_answer(status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to what never came to a route: 404, 405 or 413."""
    what, why, remedy = _HTTP[status]
    return answer(status, what, why, remedy, headers)


def install(app: FastAPI) -> None:
    """Let the app answer so."""
    app.add_exception_handler(AvjuryError, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)


async def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AvjuryError)
    what = f"{error.stream}: {error.what}" if error.stream else error.what
    if isinstance(error, AccessError):
        headers = {} if error.known else {"WWW-Authenticate": "Bearer"}
        return answer(403 if error.known else 401, what, error.why, error.remedy, headers)
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    wait = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else None
    more = {"headroom_streams": error.headroom_streams} if isinstance(error, CapacityError) else {}
    if status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error)
    return answer(status, what, error.why, error.remedy, wait, **more)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = dict(telling_first(error.errors())[0])
    place, *path = problem["loc"]
    if problem["type"] == "json_invalid":
        return answer(422, "wrong request", "the body is not valid JSON", "send a JSON document")
    if place == "body" and not path and problem["type"] in _NO_OBJECT:
        if isinstance(problem["input"], bytes):  # read as it came, as the header names another type
            return answer(422, "wrong request", "the body is not said to be JSON",
                          "send a JSON object, and the header `Content-Type: application/json`")  # fmt: skip
        return answer(422, "wrong request", "the body is not a JSON object", 'send {"NAME": VALUE, ...}; see /docs')
    problem["loc"] = tuple(path)
    model = _body_model(request) if place == "body" else None
    where, why, remedy = explain(problem, model or Stream)
    key = spell(where)
    if model is None:
        remedy = "see /docs"
    return answer(422, "wrong request", f"{place} {key}: {why}" if key else f"{place}: {why}", remedy)


def _body_model(request: Request) -> type[BaseModel] | None:
    field = getattr(request.scope.get("route"), "body_field", None)
    annotation = getattr(getattr(field, "field_info", None), "annotation", None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI's word for a body that is no text at all
        return answer(422, "wrong request", "the body is not valid JSON", "send a JSON document in UTF-8")
    if error.status_code in _HTTP:
        return http_answer(error.status_code, dict(error.headers or {}))
    return answer(error.status_code, "wrong request", str(error.detail), "see /docs", dict(error.headers or {}))


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    return answer(500, "internal error", "the service made a mistake", "see its log, and report what it says")

"""The web page: plain files over the same API that everybody has; decision 0028 says why."""

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parent.parent / "page"
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# What is there is asked for again each time, and answered "not changed": a new release shows at once.
_HEADERS: Final = {"Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-cache"}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def install(app: FastAPI) -> None:
    """Let the app serve the page."""

    @app.get("/", include_in_schema=False)
    async def start() -> FileResponse:
        return FileResponse(FOLDER / "index.html", media_type="text/html", headers=_HEADERS)

    app.mount("/page", _Files(directory=FOLDER))

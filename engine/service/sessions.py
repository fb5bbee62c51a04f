"""Sessions of the web page: a token is shown once, and a cookie that scripts cannot read takes its place.

The cookie names a token by a part of its hash and says until when it holds, signed with a key that lies in the data
folder; so a session outlives a restart, ends with the token, and nothing is kept for it. Pictures, clips and event
streams, whose requests cannot carry a header, come with it.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.errors import StoreError
from engine.service.auth import Caller, Gate
from engine.service.errors import AccessError

COOKIE: Final = "avjury_session"
HOLDS_SECONDS: Final = 30 * 86_400
_KEY_BYTES: Final = 32
_NAME_BYTES: Final = 16
_BODY: Final = struct.Struct(f">{_NAME_BYTES}sQ")


class Sessions:
    """Makes and reads the cookies.

    Args:
        gate: that knows the tokens.
        key: to sign with.
        clock: Unix seconds.
    """

    def __init__(self, gate: Gate, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._gate = gate
        self._key = key
        self._clock = clock

    def begin(self, token: str) -> str:
        """The cookie's value for a token.

        Raises: AccessError if nobody has it.
        """
        self._gate.caller(f"Bearer {token}", None, None, False)
        body = _BODY.pack(_name_of(hashlib.sha256(token.strip().encode()).digest()), int(self._clock() + HOLDS_SECONDS))
        return base64.urlsafe_b64encode(body + self._signature(body)).decode().rstrip("=")

    def caller(self, cookie: str, host: str | None, origin: str | None, changes: bool) -> Caller | None:
        """Who has a session; None where it does not hold (any more).

        Args:
            cookie: its value.
            host, origin: headers of the request.
            changes: whether it is more than a question; such a one has to come from a page of this service.
        Raises: AccessError for a request of another site's page.
        """
        with contextlib.suppress(binascii.Error, struct.error, ValueError):
            raw = base64.b64decode(cookie + "=" * (-len(cookie) % 4), altchars=b"-_", validate=True)
            body, signature = raw[: _BODY.size], raw[_BODY.size :]
            name, until = _BODY.unpack(body)
            if hmac.compare_digest(signature, self._signature(body)) and until > self._clock():
                found = next((who for secret, who in self._gate.callers if _name_of(secret) == name), None)
                if found is not None and changes and (origin is None or urlsplit(origin).netloc != host):
                    raise AccessError("wrong origin", why="the request does not come from a page of this service",
                                      remedy="send the header `Authorization: Bearer TOKEN`", known=True)  # fmt: skip
                return found
        return None

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def session_key(data: Path) -> bytes:
    """The key in the data folder, made where there is none.

    Raises: StoreError if it can neither be read nor written.
    """
    path = data / "session.key"
    try:
        with contextlib.suppress(FileNotFoundError):
            key = path.read_bytes()
            if len(key) == _KEY_BYTES:
                return key
        key = secrets.token_bytes(_KEY_BYTES)
        beside = path.with_suffix(".part")
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
        os.replace(beside, path)
    except OSError as error:
        raise StoreError("cannot keep the key of sessions", stream=str(path), why=error.strerror or str(error),
                         remedy="make the data folder writable") from error  # fmt: skip
    return key


def _name_of(secret: bytes) -> bytes:
    """What a cookie calls a token: it cannot be turned back."""
    return hashlib.sha256(b"session" + secret).digest()[:_NAME_BYTES]

"""HTTP POST with a limit on the whole exchange: a receiver that accepts and then drips cannot hold a sink up.

Run by: the thread of one sink, which owns the connections. There is an event loop in here because only a cancelled
task ends an exchange at a given moment; the timeouts of a blocking client begin anew with each byte.
"""

import asyncio
import contextlib
import email.utils
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import certifi
import httpx
from pydantic import SecretStr

from engine.errors import ConfigError
from engine.ingest.url_policy import redact

# Enough of a reply to see what is wrong; whoever answers a notice with megabytes is not listened to.
_REPLY_BYTES: Final = 4096
_SHOWN: Final = 120
_LONGEST_RETRY_AFTER: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """How a POST went.

    Args:
        status: HTTP status; 0 if there was no reply.
        why: what went wrong, without secrets; "" for a status of 2xx.
        retry_after_seconds: when the receiver wants to be tried again; None where it did not say.
    """

    status: int
    why: str = ""
    retry_after_seconds: float | None = None

    @property
    def arrived(self) -> bool:
        """The receiver has it."""
        return 200 <= self.status < 300

    @property
    def permanent(self) -> bool:
        """The same again will be refused again."""
        return 400 <= self.status < 500 and self.status not in (408, 425, 429)

    @property
    def divisible(self) -> bool:
        """It is the body that was refused: bad, too large, or not to be processed."""
        return self.status in (400, 413, 422)


class Poster:
    """Posts to the addresses of one sink, over connections that it keeps.

    Args:
        name: of the sink.
        timeout_seconds: for a whole exchange, from looking the name up to the status.
        headers: sent each time.
        proxy: to go through; the environment's proxies are not used.
        ca_file: authorities to trust instead of the usual ones.
    Raises: ConfigError for a CA file or proxy that cannot be used.
    """

    def __init__(
        self,
        name: str,
        timeout_seconds: float,
        headers: Mapping[str, SecretStr],
        proxy: SecretStr | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        try:
            trusted = ssl.create_default_context(cafile=ca_file)
            if ca_file is None:
                trusted.load_verify_locations(certifi.where())  # a small container brings none of its own
        except OSError as error:  # SSLError is one
            raise ConfigError(
                "cannot read ca_file", stream=name, why=f"{ca_file}: {error.strerror or error}",
                remedy="name a readable PEM file",
            ) from error  # fmt: skip
        try:
            self._client = httpx.AsyncClient(
                headers={
                    "user-agent": f"avjury/{version('avjury')}",
                    "content-type": "application/json",
                    **{header.lower(): value.get_secret_value() for header, value in headers.items()},
                },
                proxy=None if proxy is None else proxy.get_secret_value(),
                verify=trusted,
                trust_env=False,
                follow_redirects=False,  # a redirect could lead to anywhere, with the message in its hands
                timeout=timeout_seconds,
            )
        except (ValueError, UnicodeError, httpx.InvalidURL) as error:
            raise ConfigError(
                "wrong sink", stream=name, why="its headers or its proxy cannot be used",
                remedy="write headers in ASCII and a proxy as http://host:port",
            ) from error  # fmt: skip
        self._runner = asyncio.Runner()

    def post(self, addresses: Sequence[str], body: bytes, headers: Mapping[str, str] | None = None) -> list[Reply]:
        """Post one body to all addresses at the same time. Returns: how each went, in their order."""
        return self._runner.run(self._post_all(addresses, body, dict(headers or {})))

    def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(httpx.HTTPError, OSError):
            self._runner.run(self._client.aclose())
        self._runner.close()

    async def _post_all(self, addresses: Sequence[str], body: bytes, headers: dict[str, str]) -> list[Reply]:
        return list(await asyncio.gather(*(self._post(address, body, headers) for address in addresses)))

    async def _post(self, address: str, body: bytes, headers: dict[str, str]) -> Reply:
        response: httpx.Response | None = None
        text = b""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                request = self._client.build_request("POST", address, content=body, headers=headers)
                response = await self._client.send(request, stream=True)
                async for chunk in response.aiter_bytes():
                    text += chunk
                    if len(text) >= _REPLY_BYTES:
                        break
        except (TimeoutError, httpx.TimeoutException):
            if response is None:
                return Reply(0, f"no answer within {self._timeout_seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            if response is None:
                return Reply(0, redact(f"{_kind(error)}: {error}" if str(error) else _kind(error)))
        finally:
            if response is not None:
                with contextlib.suppress(httpx.HTTPError, OSError):
                    await response.aclose()
        # The status tells; a body that broke off or hung after it changes nothing.
        if 200 <= response.status_code < 300:
            return Reply(response.status_code)
        shown = " ".join(text.decode("utf-8", "replace").split())[:_SHOWN]
        return Reply(
            response.status_code,
            redact(f"HTTP {response.status_code} {response.reason_phrase}" + (f": {shown}" if shown else "")),
            _retry_after(response.headers.get("retry-after")),
        )


def _kind(error: Exception) -> str:
    if isinstance(error, httpx.ConnectError):
        return "cannot connect"
    if isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError):
        return "what answered speaks no HTTP, or broke off"
    if isinstance(error, httpx.ProxyError):
        return "the proxy refused"
    return "the connection failed"


def _retry_after(value: str | None) -> float | None:
    """Seconds in a Retry-After header: a number of them, or a date."""
    if value is None:
        return None
    try:
        seconds = float(int(value))
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER)

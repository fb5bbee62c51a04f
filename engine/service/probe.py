"""Opens an address once, in a process of its own, and says what is in it.

Run by: the API's threads, a few at a time. The child gets the address on its standard input, so that no list of
processes shows it. It is killed when its time is over; what it dies of touches nobody else.
"""

import json
import subprocess
import sys
import threading
from typing import Any, Final

from engine.errors import DecodeError, SourceError
from engine.ingest.url_policy import redact
from engine.service.errors import BusyError

MOST_AT_A_TIME: Final = 2
# Opening has its own limit in the child; this one is for a child that hangs, its start included.
LIMIT_SECONDS: Final = 45.0
OPEN_SECONDS: Final = 10.0


class Prober:
    """Probes addresses."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(MOST_AT_A_TIME)

    def probe(self, url: str, *, private_addresses: bool) -> dict[str, Any]:
        """What an address holds.

        Args:
            private_addresses: loopback and private addresses may be opened.
        Returns: container, duration, live, and what its best video and audio tracks are.
        Raises: SourceError; BusyError where others probe already.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("busy", why=f"{MOST_AT_A_TIME} addresses are being probed", remedy="try again in a moment")
        try:
            return self._run({"url": url, "private_addresses": private_addresses, "open_seconds": OPEN_SECONDS})
        finally:
            self._places.release()

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        shown = redact(request["url"])
        try:
            done = subprocess.run(
                [sys.executable, "-m", "engine.probe"],
                input=json.dumps(request).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=LIMIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SourceError("cannot open input", stream=shown, why=f"nothing came within {LIMIT_SECONDS:g} s",
                              remedy="check that the source sends") from error  # fmt: skip
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError as error:
            raise DecodeError("cannot open input", stream=shown,
                              why=f"reading it ended the process ({done.returncode})",
                              remedy="look at it with another program") from error  # fmt: skip
        if "error" in answer:
            raise SourceError(answer["error"]["what"], stream=shown, why=answer["error"]["why"],
                              remedy=answer["error"]["remedy"])  # fmt: skip
        return answer

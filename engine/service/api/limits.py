"""How often a caller may ask, and how often an address may be wrong about a token: answers 429 beyond that.

Called by: the API's event loop alone. What it remembers is bounded: of the callers that asked least recently it forgets
the count, and they begin anew.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.service.api.errors import answer

MOST_CALLERS: Final = 4096
# So many seconds' worth of requests may come at once: a page with hundreds of pictures asks for all of them together.
_BURST_SECONDS: Final = 10.0
_UNAUTHORIZED: Final = 401
_LIMITED: Final = ("/api/", "/metrics")
_LOGIN: Final = "/api/v1/session"
_CREDENTIALS: Final = (b"authorization", b"cookie")


class Budgets:
    """What is left of each caller's budget, which fills up over time.

    Args:
        rate: per second.
        most: that can be saved up.
        clock: seconds that only grow.
    """

    def __init__(self, rate: float, most: float, clock: Callable[[], float]) -> None:
        self._rate, self._most, self._clock = rate, most, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what was left, and when

    def left(self, caller: str) -> float:
        """Of a caller now."""
        now = self._clock()
        left, at = self._left.get(caller, (self._most, now))
        return min(self._most, left + (now - at) * self._rate)

    def spend(self, caller: str) -> None:
        """One of it."""
        self._left[caller] = (self.left(caller) - 1.0, self._clock())
        self._left.move_to_end(caller)
        if len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)

    def wait_seconds(self, caller: str) -> int:
        """How long until there is one; 0 where there is."""
        missing = 1.0 - self.left(caller)
        return math.ceil(missing / self._rate) if missing > 0 else 0


class Limits:
    """Counts requests and wrong tokens.

    A caller is a token, a session or, without these, an address. After too many wrong tokens an address has to wait,
    with whatever token it comes; whose token was right before goes on, so that nobody who shares an address can keep
    others out.

    Args:
        app: that answers.
        requests_per_second: of one caller; 0 for any number.
        failures_per_minute: wrong tokens of one address; 0 for any number.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        app: ASGIApp,
        requests_per_second: float,
        failures_per_minute: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._requests = Budgets(requests_per_second, requests_per_second * _BURST_SECONDS, clock)
        self._failures = Budgets(failures_per_minute / 60.0, max(1.0, failures_per_minute), clock)
        self._counts_requests, self._counts_failures = requests_per_second > 0, failures_per_minute > 0
        self._known: OrderedDict[str, None] = OrderedDict()  # callers whose token was right

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http" or not scope["path"].startswith(_LIMITED):
            await self._app(scope, receive, send)
            return
        address = str((scope.get("client") or ("unknown",))[0])
        caller = _caller(scope, address)
        if self._counts_requests:
            if wait := self._requests.wait_seconds(caller):
                await _too_many("too many requests", "service.requests_per_second", wait)(scope, receive, send)
                return
            self._requests.spend(caller)
        if self._counts_failures and caller not in self._known and (wait := self._failures.wait_seconds(address)):
            await _too_many("too many wrong tokens", "auth.failures_per_minute", wait)(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._take_note(message["status"], scope, caller, address)
            await send(message)

        await self._app(scope, receive, watched)

    def _take_note(self, status: int, scope: Scope, caller: str, address: str) -> None:
        if status == _UNAUTHORIZED:
            self._known.pop(caller, None)
            # Who shows no token guesses none, and a session that is over is signed: nobody guesses that either.
            guess = scope["method"] == "POST" and scope["path"] == _LOGIN
            if self._counts_failures and (guess or any(name == b"authorization" for name, _ in scope["headers"])):
                self._failures.spend(address)
        elif caller != address and status < _UNAUTHORIZED:
            self._known[caller] = None
            self._known.move_to_end(caller)
            if len(self._known) > MOST_CALLERS:
                self._known.popitem(last=False)


def _caller(scope: Scope, address: str) -> str:
    """By what a request says of who sent it, as a hash: nothing of a token is kept."""
    said = [value for name, value in scope["headers"] if name in _CREDENTIALS]
    return hashlib.sha256(b"\n".join(said)).hexdigest()[:32] if said else address


def _too_many(what: str, setting: str, wait: int) -> ASGIApp:
    why = f"more than {setting} allows"
    return answer(429, what, why, f"wait for {wait} s", {"Retry-After": str(wait)})

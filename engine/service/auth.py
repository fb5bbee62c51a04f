"""Who calls, and what they may do: bearer tokens with roles; without tokens, whoever is on this machine."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from engine.errors import ConfigError
from engine.service.errors import AccessError
from engine.settings.auth import AuthSection, Role

RANKS: Final[dict[Role, int]] = {"viewer": 0, "operator": 1, "admin": 2}
_LOCAL_NAMES: Final = ("localhost", "ip6-localhost")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        name: shown beside what was done.
        role: what they may do.
    """

    name: str
    role: Role


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """Decides who may call.

    Args:
        section: the tokens.
        host: that the service listens on.
    Raises: ConfigError where others reach it and there is no token.
    """

    def __init__(self, section: AuthSection, host: str) -> None:
        self._host = host
        self._callers: list[tuple[bytes, Caller]] = []
        self.replace(section)

    def replace(self, section: AuthSection) -> None:
        """Other tokens from now on.

        Raises: ConfigError as above; the old ones stay then.
        """
        self._callers = self.read(section)

    def read(self, section: AuthSection) -> list[tuple[bytes, Caller]]:
        """The hashes of the tokens, and whose they are.

        Raises: ConfigError where others reach the service and there is no token.
        """
        callers: list[tuple[bytes, Caller]] = []
        if section.token is not None:
            callers.append((_hash(section.token.get_secret_value()), Caller("admin", "admin")))
        for token in section.tokens:
            secret = _hash(token.token.get_secret_value()) if token.token else bytes.fromhex(token.token_sha256 or "")
            callers.append((secret, Caller(token.name, token.role)))
        if not callers and not is_loopback(self._host):
            raise ConfigError(
                "no token",
                stream="auth",
                why=f"the service would listen on {self._host}, where others reach it, and let everybody in",
                remedy="set auth.token (AVJURY_AUTH__TOKEN), or listen on 127.0.0.1",
            )
        return callers

    @property
    def open(self) -> bool:
        """There is no token: whoever is on this machine may do everything."""
        return not self._callers

    @property
    def callers(self) -> list[tuple[bytes, Caller]]:
        """The tokens' SHA-256, and whose they are."""
        return self._callers

    def caller(self, authorization: str | None, host: str | None, origin: str | None, changes: bool) -> Caller:
        """Who sent a request.

        Args:
            authorization, host, origin: its headers.
            changes: whether it is more than a question.
        Raises: AccessError.
        """
        if self.open:
            self._check_local(host, origin, changes)
            return Caller("local", "admin")
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AccessError("no token", why="the request has no bearer token",
                              remedy="send the header `Authorization: Bearer TOKEN`", known=False)  # fmt: skip
        offered = _hash(token.strip())
        found: Caller | None = None
        for secret, caller in self._callers:
            # All are compared, so that the time tells nothing.
            if hmac.compare_digest(secret, offered) and found is None:
                found = caller
        if found is None:
            raise AccessError("wrong token", why="nobody has this token",
                              remedy="ask who runs the service for one (auth.tokens)", known=False)  # fmt: skip
        return found

    def _check_local(self, host: str | None, origin: str | None, changes: bool) -> None:
        """Pages of other sites that the user's own browser shows are not the user."""
        name = urlsplit(f"//{host}").hostname if host else None
        if name is None or not (is_loopback(name) or name == self._host):
            raise AccessError("wrong host", why=f"the service is not called {(host or '')[:100]!r}",
                              remedy="use the address that it listens on, or set auth.token", known=True)  # fmt: skip
        if changes and origin is not None and urlsplit(origin).netloc != host:
            raise AccessError("wrong origin", why="the request comes from the page of another site",
                              remedy="call from the service's own page, or set auth.token", known=True)  # fmt: skip


def check_role(caller: Caller, role: Role) -> None:
    """Refuse a caller whose role is below.

    Raises: AccessError.
    """
    if RANKS[caller.role] < RANKS[role]:
        raise AccessError("not allowed", why=f"{caller.name} is {caller.role}; this takes {role}",
                          remedy="use a token of that role", known=True)  # fmt: skip


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

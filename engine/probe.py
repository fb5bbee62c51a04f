"""Opens one address and says what is in it: JSON on standard input and output. See engine/service/probe.py.

Run by: the service, as a child process that it kills when its time is over. It owns nothing.
"""

import ctypes
import json
import resource
import signal
import sys
from dataclasses import fields
from typing import Any, Final

from engine.errors import AvjuryError

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CPU_SECONDS: Final = 60


def confine() -> None:
    """Gain nothing, leave nothing, and end with the parent: what is opened is not trusted."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def probe(url: str, private_addresses: bool, open_seconds: float) -> dict[str, Any]:
    """What an address holds.

    Raises: SourceError.
    """
    from engine.ingest.source import Source
    from engine.ingest.url_policy import UrlPolicy

    policy = UrlPolicy(allow_files=False, allow_private=private_addresses)
    with Source(url, policy=policy, open_timeout_seconds=open_seconds) as source:
        info = source.open()
        return {
            "container": info.container,
            "duration": info.duration,
            "live": info.live,
            "video": _track(info.video),
            "audio": _track(info.audio),
        }


def _track(track: Any) -> dict[str, Any] | None:
    if track is None:
        return None
    return {field.name: getattr(track, field.name) for field in fields(track) if field.name != "handle"}


def main() -> None:
    """The child's life."""
    request = json.load(sys.stdin)
    confine()
    try:
        answer = probe(request["url"], request["private_addresses"], request["open_seconds"])
    except AvjuryError as error:
        answer = {"error": {"what": error.what, "why": error.why, "remedy": error.remedy}}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

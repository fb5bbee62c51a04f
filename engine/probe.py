"""Opens one address and says what is in it: JSON on standard input and output. See engine/service/probe.py.

Run by: the service, as a child process that it kills when its time is over. It owns nothing.
"""

import json
import os
import resource
import sys
from dataclasses import fields
from typing import Any, Final

from engine.errors import AvjuryError
from engine.hardening import die_with_parent, give_up_privileges
from engine.ingest.sandbox import system_devices, system_paths

_CPU_SECONDS: Final = 60
_MEMORY_BYTES: Final = 8 << 30


def confine() -> None:
    """Gain nothing, leave nothing, and end with the parent: what is opened is not trusted."""
    die_with_parent(os.getppid())
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    give_up_privileges(_MEMORY_BYTES, system_paths(), system_devices())
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

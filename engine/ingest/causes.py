"""Why a live source gives nothing, in one word that machines can route by; the words are listed in docs/sources.md."""

import re
from typing import Final

from engine.errors import SourceError

_STATUS: Final = re.compile(r"\(HTTP (\d{3})\)")
# The messages are those of ingest/classify.py, ingest/source.py and ingest/remote.py.
_WORDS: Final = (
    ("its ingest process", "ingest_restart"),
    ("no media within", "timeout"),
    ("no data for", "timeout"),
    ("the live playlist has ended", "ended"),
    ("the live playlist is no longer written", "stalled_playlist"),
    ("connection refused", "refused"),
    ("the connection broke", "reset"),
    ("host unreachable", "unreachable"),
    ("tls error", "tls"),
    ("none of the playlist's segments", "no_segments"),
    ("the playlist has no segments", "no_segments"),
    ("the server's answer is empty", "ended"),
    ("expected ", "not_media"),
    ("not media", "not_media"),
    ("unknown codec", "not_decodable"),
    ("this build of libav lacks", "unsupported"),
    ("libsrt is not installed", "unsupported"),
    ("passphrase", "unauthorized"),
    ("encrypted", "unauthorized"),
)
_PERMANENT: Final = frozenset(
    ("scheme not allowed", "address not allowed", "playlist limit exceeded", "resolution over limit")
)


def cause_of(error: SourceError) -> str:
    """One word for what went wrong: "dns", "refused", "timeout", "http_404", "tls", ..., else "broken"."""
    if error.what == "dns failure":
        return "dns"
    if error.what in _PERMANENT:
        return "not_allowed"
    status = _STATUS.search(error.why)
    if status is not None:
        return f"http_{status[1]}"
    return next((word for text, word in _WORDS if text in error.why), "broken")


def is_permanent(error: SourceError) -> bool:
    """Whether it is the operator's rules that refuse the source, so that trying again is of no use."""
    return error.what in _PERMANENT

"""Whether a jump of the timestamps was announced: EXT-X-DISCONTINUITY of HLS (RFC 8216, 4.3.2.3), a period of DASH.

An advertisement is cut in that way, and players go on through it, so it is no fault of the stream. The demuxer does not
say at which packet an announced jump lies, and its playlist is its own; so the playlist is looked at when a jump has
come. A player is never further behind than the playlist reaches, so what it meets is still in it. Belongs to the
thread that reads the source.
"""

import re
import time
from collections.abc import Callable, Iterable
from typing import Final

_DISCONTINUITY: Final = re.compile(rb"^#EXT-X-DISCONTINUITY\s*$", re.MULTILINE)
# Sound jumps beside the picture, and a server is not asked for each.
_HOLDS_SECONDS: Final = 2.0


class DeclaredBreaks:
    """Answers whether the playlists name a discontinuity.

    Args:
        playlists: bodies of the media playlists as they are now; what cannot be had is left out.
        clock: seconds, monotonic.
    """

    def __init__(self, playlists: Callable[[], Iterable[bytes]], clock: Callable[[], float] = time.monotonic) -> None:
        self._playlists = playlists
        self._clock = clock
        self._looked_at: float | None = None
        self._said = False

    def __call__(self) -> bool:
        """Whether a jump that has just come was announced."""
        now = self._clock()
        if self._looked_at is None or now - self._looked_at > _HOLDS_SECONDS:
            self._said = any(_DISCONTINUITY.search(body) for body in self._playlists())
            self._looked_at = self._clock()
        return self._said

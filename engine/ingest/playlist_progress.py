"""Whether a live HLS source that was lost has anything new since.

A player that joins reads the newest segments. To open a playlist again that is no longer written would be to judge its
last segment a second time, and to take that for a recovery. Belongs to the thread that reads the source.
"""

import re
from typing import Final

from engine.errors import SourceError

_SEQUENCE: Final = re.compile(rb"^#EXT-X-MEDIA-SEQUENCE:\s*(\d{1,18})", re.MULTILINE)
_END: Final = re.compile(rb"^#EXT-X-ENDLIST", re.MULTILINE)

Place = tuple[int, bytes]  # number of the newest segment, and its name without what follows a "?"


class PlaylistProgress:
    """Remembers the newest segments of a source's media playlists."""

    def __init__(self) -> None:
        self._now: set[Place] = set()
        self._lost_at: set[Place] | None = None  # when the source was lost; None where nobody looked
        self._ended: list[bool] = []

    @property
    def ended(self) -> bool:
        """Whether every playlist that was looked at says that nothing will be added."""
        return bool(self._ended) and all(self._ended)

    def begin(self) -> None:
        """The playlists are looked at anew."""
        self._now, self._ended = set(), []

    def see(self, body: bytes) -> None:
        """A media playlist of the source."""
        sequence = _SEQUENCE.search(body)
        lines = [line.strip() for line in body.splitlines()]
        segments = [line for line in lines if line and not line.startswith(b"#")]
        if segments:
            # Names may come again (a ring of files), so the number counts; and without numbers the name does.
            number = int(sequence[1]) + len(segments) if sequence else 0
            self._now.add((number, segments[-1].partition(b"?")[0]))
        self._ended.append(_END.search(body) is not None)

    def lose(self) -> None:
        """The source was lost, and its playlists were looked at after that."""
        self._lost_at = set(self._now)

    def go_on(self) -> None:
        """The source was opened."""
        self._lost_at = None

    def check(self, stream: str) -> None:
        """Refuse to open a live source again that has nothing new.

        Raises: SourceError.
        """
        if self.ended:
            raise SourceError(
                "cannot open input",
                stream=stream,
                why="the live playlist has ended (EXT-X-ENDLIST)",
                remedy="the packager says that the channel is over; it is looked at again from time to time",
            )
        if not self._now:
            return
        if self._lost_at is None:
            self.lose()  # which segment was the last one to be read is not known: the next one will be new
        elif not self._now <= self._lost_at:
            return
        raise SourceError(
            "cannot open input",
            stream=stream,
            why="the live playlist is no longer written",
            remedy="look at the packager; the playlist is looked at again from time to time",
        )

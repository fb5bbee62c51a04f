"""A media playlist as it is read: what of it libav may read, and what lies between two segments.

Belongs to the reader's thread.
"""

from collections.abc import Callable
from typing import Any

from engine.ingest.base import Border
from engine.ingest.playlist import Initial, Key, MediaPlaylist, Segment, parse_media
from engine.ingest.segments import Segments

Body = tuple[bytes, str]
"""A playlist, and the address that it came from after redirects."""


class FollowedList:
    """One media playlist.

    Args:
        get: fetches it.
        keeping: its bytes may be watched.
    """

    def __init__(self, get: Callable[[], Body], *, keeping: bool) -> None:
        self.segments = Segments(keeping=keeping)
        self.cut_at: int | None = None
        """Number of the segment before which this opening of libav's ends; None where that is not known yet."""
        self.bandwidth: int | None = None
        """Of the variant that it is; None for sound of its own."""
        self._get = get
        self._keeping = keeping
        self._start: int | None = None  # number of the first segment that may be read
        self._body: Body | None = None  # that libav was not given yet
        self._playlist: MediaPlaylist | None = None
        self._known: dict[int, Segment] = {}
        self._last: tuple[int, int] | None = None  # the segment that was opened last, and the breaks up to it
        self._initials: list[Initial] = []
        self._keys: list[Key] = []

    def look(self, body: Body | None = None) -> Body:
        """Fetch it, unless it was fetched already. Raises: SourceError."""
        self._body = body or self._get()
        return self._body

    def take(self) -> MediaPlaylist:
        """As it is now; what was looked at already, or has ended, is not fetched again. Raises: SourceError."""
        if self._playlist is not None and self._playlist.ended:
            return self._playlist
        body, url = self._body or self._get()
        self._body = None
        playlist = parse_media(body.decode("utf-8", "replace"), url)
        first = playlist.segments[0].number if playlist.segments else 0
        before = self._playlist.segments[0].number if self._playlist and self._playlist.segments else 0
        if first < before:  # another packager counts from another start
            self._known.clear()
        self._known.update((segment.number, segment) for segment in playlist.segments)
        oldest = min(first, first if self._last is None else self._last[0])
        for number in [n for n in self._known if n < oldest]:
            del self._known[number]
        self._playlist = playlist
        return playlist

    def stretch(self, playlist: MediaPlaylist, from_end: int, *, alone: bool) -> tuple[Segment, ...]:
        """What of the playlist one opening of libav's may read.

        It ends at a break where libav cannot go on. In fMP4 a header of its own comes behind that, of which its
        demuxer takes no notice. And of several playlists it reads the one that is furthest behind by its timestamps,
        so one whose clock goes back would be read alone.

        Args:
            from_end: where in a live playlist reading begins, in segments from its end.
            alone: no other playlist is read beside it.
        """
        shown = [one for one in playlist.segments if self._start is None or one.number >= self._start]
        if alone and not any(one.initial is not None for one in shown):
            return tuple(shown)
        if self._last is not None:
            begins = self._last[0]
        elif self._start is None and not playlist.ended and any(one.anew for one in shown[1:]):
            shown = shown[-from_end:]
            begins = self._start = shown[0].number
        else:
            begins = shown[0].number
        self.cut_at = next((one.number for one in shown if one.anew and one.number > begins), None)
        return tuple(one for one in shown if self.cut_at is None or one.number < self.cut_at)

    def go_on(self) -> None:
        """What is read next comes after what was read; for another opening of libav's."""
        self._start = self.cut_at if self.cut_at is not None else self._last[0] + 1 if self._last is not None else None
        self.cut_at = self._last = None
        self.segments = Segments(keeping=self._keeping)

    def initial(self, initial: Initial) -> int:
        """The number by which something that is read before segments is asked for."""
        return _index(self._initials, initial)

    def key(self, key: Key) -> int:
        """The number by which a key is asked for."""
        return _index(self._keys, key)

    def find(self, kind: str, number: int) -> Segment | Initial | Key | None:
        """What is asked for by a number."""
        if kind == "n":
            return self._known.get(number)
        numbered: list[Any] = self._initials if kind == "i" else self._keys
        return numbered[number] if number < len(numbered) else None

    def enter(self, segment: Segment, *, broken: bool) -> None:
        """A segment is opened.

        Args:
            broken: of the one before not all bytes came.
        """
        breaks = self._breaks(segment.number)
        last, self._last = self._last, (segment.number, breaks)
        if last is None:
            self.segments.begin(Border.NONE)
            return
        number, before = last
        if segment.number > number:
            announced = any(one.anew for n, one in self._known.items() if number < n <= segment.number)
            # Of segments that are gone already, only the count of breaks is known.
            announced = announced or (segment.number > number + 1 and breaks > before)
        else:
            announced = segment.anew
        if announced:
            self.segments.break_here()
        follows = segment.number == number + 1 and not announced and not broken
        self.segments.begin(Border.NEXT if follows else Border.ANEW)

    def _breaks(self, number: int) -> int:
        """How many breaks the playlist counts up to a segment, from when it began."""
        assert self._playlist is not None
        inside = sum(one.anew for one in self._playlist.segments if one.number <= number)
        return (self._playlist.breaks or 0) + inside


def _index(among: list[Any], one: object) -> int:
    """Where something is in a list, to which it is added if it is not."""
    if one not in among:
        among.append(one)
    return among.index(one)

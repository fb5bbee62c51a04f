"""The segments of one media playlist as the bytes that they are to the demuxer: one behind the other.

libav's HLS demuxer reads what it opens of a playlist as one file; the place of a packet is its place in that. So what
is read through here is counted, and of each place it is known in which segment it lies, and whether a break was
announced before that. Belongs to the reader's thread.
"""

from bisect import bisect_right
from typing import Final

from engine.ingest.base import Border, Piece
from engine.ingest.pieces import Pieces

# Nobody reads what is kept, if so much comes together.
_MOST_KEPT_BYTES: Final = 64 << 20
# A demuxer is never further behind what it reads than a few segments.
_MOST_BORDERS: Final = 64
_PACKET_BYTES: Final = 188
_SYNC_BYTE: Final = 0x47
# ISO 62: ID3v2, 3.1. Sound without a container has its time in such a tag, which libav takes out of what it counts.
_TAG_HEAD_BYTES: Final = 10
_TAG_FOOTER: Final = 0x10


class Segments:
    """What was read of a media playlist.

    Args:
        keeping: its bytes can be had a second time.
    """

    def __init__(self, *, keeping: bool = False) -> None:
        self._keeping = keeping
        self._kept = Pieces()
        self._end = 0
        self._border = Border.NONE  # before what comes next
        self._begins: list[int] = [0]  # where the periods between announced breaks begin, of late
        self._first_period = 0  # number of the first of them
        self._at_start = False

    def begin(self, border: Border) -> None:
        """Another segment begins.

        Args:
            border: what lies between it and what was read before.
        """
        self._border = max(self._border, border)
        self._at_start = True

    def break_here(self) -> None:
        """A break was announced at this place: another period begins."""
        self._begins.append(self._end)
        if len(self._begins) > _MOST_BORDERS:
            del self._begins[0]
            self._first_period += 1

    def add(self, data: bytes) -> None:
        """The demuxer has read so much more."""
        if not data:
            return
        if self._at_start:
            self._at_start = False
            self._end -= _tag_bytes(data)
        self._end += len(data)
        if not self._keeping:
            return
        self._kept.add(Piece(data, self._border))
        self._border = Border.NONE
        if self._kept.size > _MOST_KEPT_BYTES:
            self.close()

    def period(self, position: int) -> int:
        """How many announced breaks lie before a place."""
        return self._first_period + max(0, bisect_right(self._begins, position) - 1)

    @property
    def of_transport_stream(self) -> bool:
        """Whether what is kept begins with packets of MPEG-TS."""
        head = self._kept.head(2 * _PACKET_BYTES + 1)
        return len(head) > 2 * _PACKET_BYTES and set(head[::_PACKET_BYTES]) == {_SYNC_BYTE}

    def read_until(self, position: int | None) -> Piece | None:
        """See RawBytes."""
        return self._kept.read_until(position)

    def forget(self) -> None:
        """See RawBytes."""
        self.close()

    def close(self) -> None:
        """Keep nothing any more; periods are still known. Idempotent."""
        self._keeping = False
        self._kept.clear(self._end)


def _tag_bytes(data: bytes) -> int:
    """Size of the ID3 tags at the front of a segment."""
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + _TAG_HEAD_BYTES:
        size = 0
        for byte in data[at + 6 : at + _TAG_HEAD_BYTES]:
            size = size << 7 | byte & 0x7F
        at += _TAG_HEAD_BYTES + size + (_TAG_HEAD_BYTES if data[at + 5] & _TAG_FOOTER else 0)
    return min(at, len(data))

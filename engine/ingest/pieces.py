"""Bytes below the demuxer that wait to be read a second time. For one thread."""

from collections import deque

from engine.ingest.base import Border, Piece


class Pieces:
    """A queue of bytes, with the borders in it.

    Args:
        position: of the first byte that will be kept.
    """

    def __init__(self, position: int = 0) -> None:
        self.position = position
        """Of the first byte that is kept."""
        self.size = 0
        """Bytes that are kept."""
        self._pieces: deque[Piece] = deque()

    def add(self, piece: Piece) -> None:
        """Keep what follows on the last one."""
        self._pieces.append(piece)
        self.size += len(piece.data)

    def clear(self, position: int) -> None:
        """Forget all; what comes next has its first byte at `position`."""
        self._pieces.clear()
        self.position, self.size = position, 0

    def head(self, size: int) -> bytes:
        """The first bytes, at most `size`, as they lie together; they stay."""
        return self._pieces[0].data[:size] if self._pieces else b""

    def read_until(self, position: int | None) -> Piece | None:
        """See RawBytes."""
        wanted = self.size if position is None else min(self.size, position - self.position)
        if wanted <= 0:
            return None
        border = self._pieces[0].border
        parts: list[bytes] = []
        size = 0
        while size < wanted and (not parts or self._pieces[0].border == Border.NONE):
            data = self._pieces.popleft().data
            if size + len(data) > wanted:
                self._pieces.appendleft(Piece(data[wanted - size :]))
                data = data[: wanted - size]
            parts.append(data)
            size += len(data)
        self.position += size
        self.size -= size
        return Piece(b"".join(parts), border)

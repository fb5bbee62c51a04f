"""The bytes of a transport stream below the demuxer, which does not hand them out.

A file is read a second time, up to where the demuxer is: the pages are in memory already, and how libav opens and
seeks stays its own business. A network input cannot be read twice. UDP and TCP, which carry bare transport
streams, are opened by libav's own protocols as raw data (so its options, limits and the url policy hold), and a second
demuxer reads them from here; SRT has a library of its own (ingest/srt.py), an endless HTTP stream comes through
ingest/http_files.py, and segments of a playlist through ingest/segments.py. Files over HTTP stay with libav alone: it
seeks there.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import av

from engine.ingest.base import Piece
from engine.ingest.copies import Copies
from engine.ingest.pieces import Pieces

# A damaged stream may have no demuxable packet for long; its bytes are read in pieces.
PIECE_BYTES: Final = 1 << 20
TAPPED_SCHEMES: Final = frozenset(("udp", "tcp"))
# What libav's buffered reader asks for at a time; a datagram is handed on as it comes.
_READ_BYTES: Final = 32_768
# Nobody reads what is kept, if so much comes together.
_MOST_KEPT_BYTES: Final = 64 << 20


class FileBytes:
    """Reads a file forward. Belongs to the reader's thread.

    Args:
        path: of the file.
        begin: byte at which it is read from; positions count from there.
    Raises: OSError if it cannot be opened.
    """

    def __init__(self, path: str | Path, begin: int = 0) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._file.seek(begin)
        self._position = 0

    def read_until(self, position: int | None) -> Piece | None:
        """See RawBytes; at most PIECE_BYTES."""
        wanted = PIECE_BYTES if position is None else min(PIECE_BYTES, position - self._position)
        if wanted <= 0:
            return None
        try:
            data = self._file.read(wanted) or b""
        except OSError:  # the demuxer meets the same, and says so
            return None
        self._position += len(data)
        return Piece(data) if data else None

    def forget(self) -> None:
        """See RawBytes."""
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


class TappedBytes(ABC):
    """A network input as a file that a demuxer reads, and whose bytes can be had a second time.

    Sources of other packages (ingest/package_sources.py) are of this class too: they say what comes next, and close.

    Belongs to the reader's thread.
    """

    def __init__(self) -> None:
        self._ahead = b""
        self._copies = Copies()
        self._kept = Pieces()
        self._keeping = True

    @abstractmethod
    def next_bytes(self) -> bytes:
        """What comes next, as it comes; nothing at the end. Blocks, within the input's own limits."""

    @abstractmethod
    def close(self) -> None:
        """Close the input. Idempotent."""

    def read(self, size: int) -> bytes:
        """The next bytes as they come, at most `size`; nothing at the end. For the demuxer, so without copies."""
        while not self._ahead:
            data = self.next_bytes()
            if self._keeping and data:
                self._kept.add(Piece(data))
                if self._kept.size > _MOST_KEPT_BYTES:
                    self.forget()
            self._ahead = self._copies.without(data)
            if not data:
                break
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def forget(self) -> None:
        """Keep nothing: nobody wants to read it again."""
        self._keeping = False
        self._kept.clear(0)

    def read_until(self, position: int | None) -> Piece | None:
        """See RawBytes: of what came for the demuxer, a little more than it has read."""
        return self._kept.read_until(position)


class NetworkBytes(TappedBytes):
    """An input of one of libav's protocols.

    Args:
        url: of a scheme in TAPPED_SCHEMES, checked by the policy.
        options: libav's for the protocol.
        timeouts: seconds to connect, and for the next bytes; libav's own limits end a read that takes too long.
    Raises: what `av.open` raises.
    """

    def __init__(self, url: str, options: Mapping[str, str], timeouts: tuple[float, float]) -> None:
        super().__init__()
        raw = {**options, "format_whitelist": "data", "raw_packet_size": str(_READ_BYTES)}
        self._container: Any = av.open(url, format="data", options=raw, timeout=timeouts)
        self._pieces: Any = self._container.demux()

    def next_bytes(self) -> bytes:
        """See TappedBytes."""
        for piece in self._pieces:
            if piece.size:
                return bytes(piece)
        return b""

    def close(self) -> None:
        """See TappedBytes."""
        self.forget()
        self._pieces = iter(())
        self._container.close()

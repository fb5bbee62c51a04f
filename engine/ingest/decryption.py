"""Segments that are encrypted as a whole: AES-128 in CBC mode with PKCS 7 padding (RFC 8216, 4.3.2.4).

Belongs to the reader's thread.
"""

from typing import Any, Final, Protocol

KEY_BYTES: Final = 16
_BLOCK_BYTES: Final = 16
_PIECE_BYTES: Final = 1 << 16


class _Readable(Protocol):
    def read(self, size: int = ...) -> bytes: ...
    def close(self) -> None: ...


class Decrypted:
    """A resource in the clear.

    Args:
        file: the encrypted one, at its first byte.
        key: KEY_BYTES bytes.
        iv: initialisation vector, of the same length.
    """

    def __init__(self, file: _Readable, key: bytes, iv: bytes) -> None:
        # Imported where it is needed: it costs an ingest process several MB that most never use.
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import CBC

        self._file = file
        self._cipher: Any = Cipher(AES(key), CBC(iv)).decryptor()
        self._last = b""  # the last block in the clear, which may be padding
        self._ready = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; nothing at the end. What is too short for a block is left out."""
        wanted = _PIECE_BYTES if size < 0 else size
        while not self._ready:
            data = self._file.read(_PIECE_BYTES)
            clear = self._last + self._cipher.update(data)
            if data:
                self._ready, self._last = clear[:-_BLOCK_BYTES], clear[-_BLOCK_BYTES:]
                continue
            self._last = b""
            self._ready = clear[: len(clear) - _padding(clear)]
            if not self._ready:
                return b""
        data, self._ready = self._ready[:wanted], self._ready[wanted:]
        return data

    def close(self) -> None:
        """Close the resource. Idempotent."""
        self._file.close()


def _padding(block: bytes) -> int:
    """How many bytes at the end stand for nothing; 0 where it is no padding, as some packagers leave it out."""
    count = block[-1] if block else 0
    return count if 0 < count <= min(_BLOCK_BYTES, len(block)) and block.endswith(bytes([count]) * count) else 0

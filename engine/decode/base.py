"""What every decoder promises, whichever engine runs it: packets in, pictures or sound out, damage counted.

A decoder belongs to one thread, the stream's reader. It ends with `close`. Damage in the stream never raises: a
damaged packet is counted in `errors` and decoding goes on with the next one.
"""

from typing import Literal, Protocol

from engine.media import AudioBlock, Packet, Surface


class VideoDecoder(Protocol):
    """Turns compressed pictures of one stream into surfaces, in presentation order.

    Surfaces stay valid until their `release` is called, also across later calls of `decode`.
    """

    name: Literal["nvdec", "software"]
    errors: int
    """Damaged packets and pictures seen so far; only grows."""

    def decode(self, packet: Packet) -> list[Surface]:
        """Feed one packet of the video track.

        Returns: the pictures that became ready, in presentation order, often none.
        Raises: DecodeError if no picture of this stream can ever be decoded (too large, session refused).
        """
        ...

    def flush(self) -> list[Surface]:
        """Give the pictures still held back, at the end of the stream or before a jump; decoding may go on after it."""
        ...

    def close(self) -> None:
        """Free the decoder. Surfaces that were handed out stay valid. Idempotent."""
        ...


class AudioDecoder(Protocol):
    """Turns compressed sound of one stream into 100 ms blocks at 48 kHz."""

    errors: int
    """Damaged packets seen so far; only grows."""

    @property
    def format(self) -> tuple[str, int] | None:
        """Channel layout (libav's name) and sampling rate in hertz of what was decoded last; None before that."""
        ...

    def decode(self, packet: Packet) -> list[AudioBlock]:
        """Feed one packet of the audio track.

        Returns: the blocks that became complete, in order, often none.
        """
        ...

    def flush(self) -> list[AudioBlock]:
        """Give what is still held back, the last block partly filled; decoding may go on after it."""
        ...

    def close(self) -> None:
        """Free the decoder. Idempotent."""
        ...

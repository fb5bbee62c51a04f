"""Whether all slices of a coded picture are there, by where they begin.

An encoder that cuts each picture into the same slices does so in every picture. One that lacks a slice was damaged on
its way, whatever the decoder makes of it: libav and NVDEC show an older picture's samples in the place of a slice that
HEVC lost, and say nothing. Encoders that cut slices by their size put them elsewhere in each picture; of those only a
missing first slice is known.

Sources: ITU-T H.264 (08/2021) clauses 7.3.3, 7.4.3; ITU-T H.265 (08/2021) clauses 7.3.2.3.1, 7.3.6.1, 7.4.7.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.decode.header_bits import Bits, OutOfBits
from engine.decode.nal import Codec, nal_type, unescape
from engine.decode.sequence import CodingBlocks

# So many pictures in a row were cut alike before one that lacks a slice is called damaged.
STEADY_PICTURES: Final = 25
# Damage that goes on for longer than so many pictures in a row is rather a new way to cut them.
MOST_IN_A_ROW: Final = 5
# Packets may hold less than a picture. So one without a first slice is damaged only where the others have it: each that
# has it counts one, up to the most, and each that has not takes five.
ENOUGH_WHOLE: Final = 25
MOST_WHOLE: Final = 250
NOT_WHOLE: Final = 5
# A slice header up to its address, with emulation prevention.
_HEADER_BYTES: Final = 16


@dataclass(slots=True)
class SliceWatch:
    """Follows where the slices of one stream's pictures begin.

    Args:
        codec: "h264" or "hevc".
    """

    codec: Codec
    _blocks: CodingBlocks | None = None
    _dependent: dict[int, bool] = field(default_factory=dict)  # by picture parameter set
    _usual: tuple[int, ...] = ()
    _seen: int = 0
    _odd: int = 0
    _doubtful: bool = False  # the last picture was a key picture that may have been cut in a new way
    _whole: int = 0

    def read_sps(self, blocks: CodingBlocks) -> None:
        """Take what a sequence parameter set of HEVC says."""
        if blocks != self._blocks:
            self._blocks, self._usual, self._seen, self._doubtful = blocks, (), 0, False

    def read_pps(self, nal: bytes) -> None:
        """Take what a picture parameter set of HEVC says; `nal` with its header."""
        bits = Bits(unescape(nal[2:24]))
        try:
            number = bits.ue()
            bits.ue()
            self._dependent[number] = bits.flag()
        except OutOfBits:
            return

    def address(self, nal: bytes) -> int | None:
        """Where a slice begins, in blocks; None where that cannot be read. `nal` with its header."""
        try:
            if self.codec == "h264":
                return Bits(unescape(nal[1:_HEADER_BYTES])).ue()
            bits = Bits(unescape(nal[2:_HEADER_BYTES]))
            if bits.flag():
                return 0
            if 16 <= nal_type("hevc", nal[0]) <= 23:
                bits.u(1)  # no_output_of_prior_pics_flag
            number = bits.ue()
            if self._blocks is None or number not in self._dependent:
                return None
            if self._dependent[number]:
                bits.u(1)
            return bits.u((self._blocks.count - 1).bit_length())
        except OutOfBits:
            return None

    def lacks_slices(self, addresses: Sequence[int | None], key: bool) -> bool:
        """Whether a picture lacks a slice.

        Args:
            addresses: of the slices in one packet, in their order.
            key: decoding can start here, and the encoder may cut pictures in a new way.
        """
        if len(addresses) == 1 and addresses[0] == 0 and self._usual == (0,):
            # Nearly every picture of nearly every stream: one slice, as before.
            self._whole = min(self._whole + 1, MOST_WHOLE)
            self._seen, self._odd = self._seen + 1, 0
            doubtful, self._doubtful = self._doubtful, False
            return doubtful
        found = tuple(address for address in addresses if address is not None)
        if not found or len(found) < len(addresses) or found.count(0) > 1:
            return False  # two pictures, fields for one, or headers that cannot be read
        if list(found) != sorted(set(found)):
            # HEVC has no other order; the rest of a picture without its first slice follows the picture before it.
            return self.codec == "hevc" and self._was_whole()
        if found[0]:
            return self._was_whole()
        self._whole = min(self._whole + 1, MOST_WHOLE)
        doubtful, self._doubtful = self._doubtful, False
        if found == self._usual:
            self._seen += 1
            self._odd = 0
            return doubtful
        if len(found) < len(self._usual) and set(found) < set(self._usual) and self._seen >= STEADY_PICTURES:
            self._odd += 1
            self._doubtful = key
            if self._odd <= MOST_IN_A_ROW and not doubtful:
                return not key
        self._usual, self._seen, self._odd, self._doubtful = found, 1, 0, False
        return False

    def _was_whole(self) -> bool:
        told = self._whole >= ENOUGH_WHOLE
        self._whole = max(self._whole - NOT_WHOLE, 0)
        return told

"""Which field of an interlaced picture the stream says is shown first, which PyAV does not hand out.

What libav's decoders take it from, in their order (libavcodec/h264_slice.c, mpeg12dec.c; held by
tests/engine/test_field_order.py against ffprobe): of H.264 the order counts of the two fields where they differ, then
the picture timing message, else the top field; of two field pictures the one that is coded first. Of MPEG-2 the picture
coding extension. libav does not read it of HEVC; ITU-T H.265 table D.2 does say it of frames that hold two fields.
NVDEC's adapter is never asked: interlaced streams are decoded in software (engine/decode/caps.py).

Sources: ITU-T H.264 (08/2021) clauses 7.3.2.2, 7.3.3, 8.2.1, D.1.3, table D-1; ITU-T H.265 (08/2021) clauses D.2.3,
D.3.3; ITU-T H.262 (02/2012) clauses 6.2.3.1, 6.3.10.
"""

from dataclasses import dataclass, field
from typing import Final

from engine.decode.header_bits import Bits, OutOfBits
from engine.decode.nal import unescape
from engine.decode.sequence import CodingBlocks, FieldSyntax, FrameNumbers

_PICTURE_TIMING: Final = 1
# pic_struct of frames that hold two fields: top and bottom, the same with the first of them again.
_TOP_FIRST: Final = (3, 5)
_BOTTOM_FIRST: Final = (4, 6)
LONGEST_MESSAGE: Final = 256  # bytes of supplemental information that are looked through
_EXTENSION, _CODING_EXTENSION = b"\x00\x00\x01\xb5", 8
_PICTURE: Final = b"\x00\x00\x01\x00"
_MPEG2_BYTES: Final = 4096  # of a packet; headers and user data come before the slices


@dataclass(slots=True)
class H264FieldOrder:
    """Follows what one H.264 stream says of its fields."""

    _numbers: FrameNumbers | None = None
    _bottom_delta: dict[int, bool] = field(default_factory=dict)  # by picture parameter set
    _timing: bool | None = None  # of the message before the picture
    _first: tuple[int, bool] | None = None  # frame_num, and whether it is a bottom field: its second one may follow

    def read_sps(self, numbers: FrameNumbers) -> None:
        """Take what a sequence parameter set says."""
        if numbers != self._numbers:
            self._numbers, self._timing, self._first = numbers, None, None

    def read_pps(self, nal: bytes) -> None:
        """Take what a picture parameter set says; `nal` with its header."""
        bits = Bits(unescape(nal[1:24]))
        try:
            number = bits.ue()
            bits.ue()
            bits.u(1)
            self._bottom_delta[number] = bits.flag()
        except OutOfBits:
            return

    def read_sei(self, nal: bytes) -> None:
        """Take what a unit of supplemental information says; `nal` with its header."""
        if self._numbers is None or self._numbers.fields.frames_only:
            return
        order = _timing_order(nal[1:], self._numbers.fields)
        if order is not None:
            self._timing = order

    def read_slice(self, nal: bytes, kind: int) -> bool | None:
        """Whether the top field of the picture whose first slice this is comes first.

        Args:
            nal: its beginning, with its header.
            kind: nal_unit_type.
        Returns: None where no picture has fields, or the header cannot be read.
        """
        numbers = self._numbers
        if numbers is None or numbers.fields.frames_only or kind not in (1, 5):
            return None
        syntax, bits = numbers.fields, Bits(unescape(nal[1:]))
        try:
            bits.ue()
            bits.ue()
            parameters = bits.ue()
            bits.u(2 * numbers.separate_colour_planes)
            number = bits.u(numbers.bits)
            if bits.flag():  # field_pic_flag
                return self._field(number, bits.flag())
            self._first = None
            if kind == 5:
                bits.ue()
            bottom = self._bottom_after_top(bits, syntax, self._bottom_delta.get(parameters, False))
        except OutOfBits:
            return None
        return bottom > 0 if bottom else self._timing is not False

    def _field(self, number: int, bottom: bool) -> bool:
        """Whether the top field is first, of a picture that is one field."""
        first, self._first = self._first, None
        if first is not None and first == (number, not bottom):
            return bottom  # the second of the two
        self._first = number, bottom
        return not bottom

    @staticmethod
    def _bottom_after_top(bits: Bits, syntax: FieldSyntax, bottom_delta: bool) -> int:
        """By how much the order count of the bottom field is above that of the top field (8.2.1.1, 8.2.1.2)."""
        if syntax.order_type == 0:
            bits.u(syntax.order_bits)
            return bits.se() if bottom_delta else 0
        if syntax.order_type == 1:
            if syntax.deltas:
                bits.se()
                return syntax.bottom_offset + (bits.se() if bottom_delta else 0)
            return syntax.bottom_offset
        return 0


@dataclass(slots=True)
class HevcFieldOrder:
    """Follows what one HEVC stream says of frames that hold two fields. Coded fields come as pictures of their own."""

    _syntax: FieldSyntax | None = None
    _timing: bool | None = None

    def read_sps(self, blocks: CodingBlocks) -> None:
        """Take what a sequence parameter set says."""
        self._syntax = blocks.fields

    def read_sei(self, nal: bytes) -> None:
        """Take what a unit of supplemental information says; `nal` with its header."""
        if self._syntax is not None:
            self._timing = _timing_order(nal[2:], self._syntax)

    def read_slice(self) -> bool | None:
        """Whether the top field of the picture that begins here is first; None where nothing says so."""
        order, self._timing = self._timing, None
        return order


def _timing_order(payload: bytes, syntax: FieldSyntax) -> bool | None:
    """Whether a picture timing message says that the top field is first; None where there is none, or no two fields."""
    if syntax.pic_struct_at is None:
        return None
    data, at = unescape(payload[:LONGEST_MESSAGE]), 0
    while at + 2 < len(data):
        kind = size = 0
        while at < len(data) and data[at] == 0xFF:
            kind, at = kind + 255, at + 1
        kind, at = kind + data[at] if at < len(data) else -1, at + 1
        while at < len(data) and data[at] == 0xFF:
            size, at = size + 255, at + 1
        size, at = size + data[at] if at < len(data) else 0, at + 1
        if kind == _PICTURE_TIMING:
            bits = Bits(data[at : at + size])
            try:
                bits.u(syntax.pic_struct_at)
                shown = bits.u(4)
            except OutOfBits:
                return None
            return True if shown in _TOP_FIRST else False if shown in _BOTTOM_FIRST else None
        at += size
    return None


@dataclass(slots=True)
class Mpeg2FieldOrder:
    """Follows what one MPEG-2 stream says of its fields."""

    _first: int = 0  # picture_structure of a first field whose second one may follow

    def read(self, data: bytes) -> bool | None:
        """Whether the top field of a packet's first picture is first; None where it does not say so.

        Args:
            data: one coded picture, or its two fields.
        """
        start = data.find(_PICTURE, 0, _MPEG2_BYTES)
        at = data.find(_EXTENSION, max(start, 0), _MPEG2_BYTES)
        while at >= 0 and at + 8 < len(data) and data[at + 4] >> 4 != _CODING_EXTENSION:
            at = data.find(_EXTENSION, at + 4, _MPEG2_BYTES)
        if start < 0 or at < 0 or at + 8 >= len(data):
            return None
        structure = data[at + 6] & 3
        if structure == 3:
            self._first = 0
            return bool(data[at + 7] & 0x80)
        if structure == 0:
            return None
        if self._first == 3 - structure:
            self._first = 0
            return structure == 2  # the second field, whose first one was the other
        # Both fields in one packet leave no second one to wait for.
        self._first = 0 if data.find(_PICTURE, at) >= 0 else structure
        return structure == 1

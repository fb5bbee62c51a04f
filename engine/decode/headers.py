"""Follows what an H.264 or HEVC stream says of itself in its headers, without decoding a picture.

NVDEC's wrapper rescales a changed size in silence and reports no damage, so size, depth, chroma and losses are read
here.

Sources: ITU-T H.264 (08/2021) clauses 7.4.1.2, 7.4.3; ITU-T H.265 (08/2021) clause 7.4.2.4.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from engine.decode.field_order import LONGEST_MESSAGE, H264FieldOrder, HevcFieldOrder
from engine.decode.header_bits import Bits, OutOfBits
from engine.decode.nal import Codec, is_parameter_set, nal_units, unescape
from engine.decode.sequence import CodingBlocks, FrameNumbers, SequenceFormat, read_sps
from engine.decode.slices import SliceWatch
from engine.errors import DecodeError

# A slice header of H.264 up to frame_num: three Exp-Golomb codes of at most 33, 7 and 17 bits and 18 bits more, with
# emulation prevention.
_NUMBER_BYTES: Final = 16


class Headers(NamedTuple):
    """What the headers of one packet say.

    Args:
        format: of the sequence from here on; None as long as no sequence header was seen.
        key: decoding can start with this packet.
        has_parameter_sets: it carries a sequence header of its own.
        damage: damaged headers in it, 1 if pictures before it are missing, and 1 if slices of it are.
        missing: 1 if pictures before it are missing, else 0.
        lacks_slices: slices of its picture are missing.
        top_field_first: the top field of its picture is shown first; None where the picture has no fields, or does not
            say so.
    """

    format: SequenceFormat | None
    key: bool
    has_parameter_sets: bool
    damage: int
    missing: int
    lacks_slices: bool
    top_field_first: bool | None


@dataclass(slots=True)
class HeaderWatch:
    """Follows the headers of one stream.

    Args:
        codec: "h264" or "hevc".
    """

    codec: Codec
    format: SequenceFormat | None = None
    _sets: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _numbers: FrameNumbers | None = None
    _previous_number: int | None = None
    _sequence: bytes = b""  # the sequence header that holds
    _usual: Headers | None = None  # of a picture of which there is nothing to say
    _slices: SliceWatch = field(init=False)
    _h264_fields: H264FieldOrder = field(default_factory=H264FieldOrder)
    _hevc_fields: HevcFieldOrder = field(default_factory=HevcFieldOrder)

    def __post_init__(self) -> None:
        self._slices = SliceWatch(self.codec)

    def parameter_sets(self) -> bytes:
        """The latest parameter sets as Annex B, to begin again after a jump."""
        return b"".join(b"\x00\x00\x00\x01" + self._sets[key] for key in sorted(self._sets))

    def forget_order(self) -> None:
        """The next picture does not follow the last one (a jump): its number says nothing of a loss."""
        self._previous_number = None

    def read(self, data: bytes) -> Headers:
        """Read the headers of one packet, and those of its slices (H.264 7.4.1.2.3, H.265 7.4.2.4.4).

        Args:
            data: one access unit, Annex B.
        """
        damage = missing = 0
        key = has_sets = False
        addresses: list[int | None] = []
        order: bool | None = None
        h264 = self.codec == "h264"
        for begin, end in nal_units(data):
            first = data[begin]
            if first & 0x80:  # forbidden_zero_bit
                damage += 1
                continue
            if not h264 and (end - begin < 3 or first & 1 or data[begin + 1] >> 3):
                continue  # another layer (H.265 7.4.2.2)
            # As nal_type, is_slice and is_key; calling them takes longer than what they do.
            kind = first & 0x1F if h264 else (first >> 1) & 0x3F
            if (1 <= kind <= 5) if h264 else kind < 32:
                key = key or (kind == 5 if h264 else 16 <= kind <= 23)
                nal = data[begin : min(end, begin + 32)]
                if not addresses and h264:
                    missing, address = self._missing_before(nal, kind)
                    order = self._h264_fields.read_slice(nal, kind)
                    addresses.append(address)
                    continue
                if not addresses:
                    order = self._hevc_fields.read_slice()
                addresses.append(self._slices.address(nal))
                continue
            if not is_parameter_set(self.codec, kind):
                if self.codec == "h264" and kind == 6:
                    self._h264_fields.read_sei(data[begin : min(end, begin + LONGEST_MESSAGE)])
                elif kind == 39:
                    self._hevc_fields.read_sei(data[begin : min(end, begin + LONGEST_MESSAGE)])
                continue
            nal = data[begin:end]
            if self._is_known(nal, kind):
                has_sets = has_sets or kind in (7, 33)
                continue
            if kind == (7 if self.codec == "h264" else 33):
                try:
                    self.format, numbers = read_sps(nal, self.codec)
                except DecodeError:
                    damage += 1
                    continue
                if isinstance(numbers, CodingBlocks):
                    self._slices.read_sps(numbers)
                    self._hevc_fields.read_sps(numbers)
                else:
                    self._numbers = numbers
                    self._h264_fields.read_sps(numbers)
                has_sets = True
                self._sequence = nal
            elif kind == 34:
                self._slices.read_pps(nal)
            elif kind == 8:
                self._h264_fields.read_pps(nal)
            self._keep(nal, kind)
        lacks = self._slices.lacks_slices(addresses, key)
        if not (key or has_sets or damage or missing or lacks) and order is None:
            usual = self._usual  # nearly every picture's
            if usual is None or usual.format is not self.format:
                usual = self._usual = Headers(self.format, False, False, 0, 0, False, None)
            return usual
        return Headers(self.format, key, has_sets, damage + missing + lacks, missing, lacks, order)

    def _is_known(self, nal: bytes, kind: int) -> bool:
        """Whether a parameter set is there already, and was the last to say what it says."""
        return nal == self._sequence if kind in (7, 33) else nal in self._sets.values()

    def _keep(self, nal: bytes, kind: int) -> None:
        """Remember a parameter set by its own id, so that a stream that changes one keeps the others."""
        payload = unescape(nal[1 if self.codec == "h264" else 2 :][:24])
        try:
            if kind in (8, 34):
                number = Bits(payload).ue()
            elif kind == 7:
                number = Bits(payload[3:]).ue()
            else:
                number = 0  # one VPS and one SPS of HEVC: its SPS id stands behind fields of variable size
        except OutOfBits:
            return
        self._sets[(kind, number)] = nal

    def _missing_before(self, nal: bytes, kind: int) -> tuple[int, int | None]:
        """Of the first slice of an H.264 picture: 1 if frame_num says that reference pictures before it are missing
        (7.4.3), else 0; and where it begins, as `SliceWatch.address`.
        """
        address: int | None = None
        bits = Bits(unescape(nal[1:_NUMBER_BYTES]))
        numbers = self._numbers
        try:
            address = bits.ue()
            if numbers is None or kind not in (1, 5):
                return 0, address
            bits.ue()
            bits.ue()
            if numbers.separate_colour_planes:
                bits.u(2)
            number = bits.u(numbers.bits)
        except OutOfBits:
            return int(numbers is not None and kind in (1, 5)), address
        previous = self._previous_number
        # A picture that is no reference carries the next number without taking it.
        if nal[0] & 0x60 or kind == 5:
            self._previous_number = number
        if kind == 5 or previous is None or numbers.gaps_allowed:
            return 0, address
        if number in (previous, (previous + 1) % (1 << numbers.bits)):
            return 0, address
        # Count a gap once: what follows is compared with what is there now.
        self._previous_number = number
        return 1, address

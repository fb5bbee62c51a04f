"""What an H.264 or HEVC elementary stream says of itself, read from its headers without decoding a picture.

NVDEC's wrapper rescales a changed size in silence and reports no damage, so size, depth, chroma and losses are read
here. Nothing needs PyAV: the GPU checks feed elementary streams with `split_access_units` alone.

Sources: ITU-T H.264 (08/2021) clauses 7.3, 7.4.1.2, 7.4.3, Annex B, Annex E; ITU-T H.265 (08/2021) clauses 7.3,
7.4.2.4, Annex B, Annex E.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import DecodeError

Codec = Literal["h264", "hevc"]

CODECS: tuple[Codec, ...] = ("h264", "hevc")

# H.264 7.3.2.1.1: profiles whose sequence header carries chroma format and bit depth.
_H264_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
# Larger than any level of either standard; a damaged header claims such sizes.
_MAX_SIDE = 16384


@dataclass(frozen=True, slots=True)
class SequenceFormat:
    """What a sequence parameter set says; two that are equal need no new decoder.

    Args:
        codec: "h264" or "hevc".
        profile: profile_idc.
        width, height: luma samples to be shown, after cropping.
        left, top: luma samples cropped away at these sides.
        coded_width, coded_height: luma samples as coded.
        bit_depth: of luma; `chroma_bit_depth` of chroma.
        chroma: chroma_format_idc: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
        interlaced: fields or interlaced frames may occur (H.264 frame_mbs_only_flag 0; HEVC field_seq_flag 1 or a
            source that is interlaced only). NVDEC's parser calls such a sequence not progressive.
        full_range: video_full_range_flag.
        matrix: matrix_coefficients as ITU-T H.273; 2 where the stream does not say.
        frame_rate: pictures per second by the timing information; None where there is none.
    """

    codec: Codec
    profile: int
    width: int
    height: int
    left: int
    top: int
    coded_width: int
    coded_height: int
    bit_depth: int
    chroma_bit_depth: int
    chroma: int
    interlaced: bool
    full_range: bool
    matrix: int
    frame_rate: float | None


@dataclass(frozen=True, slots=True)
class _H264FrameNumbers:
    """What is needed to read frame_num in a slice header."""

    bits: int
    separate_colour_planes: bool
    gaps_allowed: bool


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture of an elementary stream.

    Args:
        data: Annex B bytes, start codes included.
        key: decoding can start here.
    """

    data: bytes
    key: bool


class _OutOfBits(Exception):
    """The header ends before its last field."""


class _Bits:
    """Reads a header bit by bit, emulation prevention bytes removed."""

    def __init__(self, payload: bytes) -> None:
        self._value = int.from_bytes(payload, "big")
        self._left = len(payload) * 8

    def u(self, n: int) -> int:
        """n bits, most significant first."""
        if n > self._left:
            raise _OutOfBits
        self._left -= n
        return (self._value >> self._left) & ((1 << n) - 1)

    def flag(self) -> bool:
        """One bit."""
        return self.u(1) == 1

    def ue(self) -> int:
        """Unsigned Exp-Golomb code (H.264 9.1)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise _OutOfBits
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Signed Exp-Golomb code (H.264 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _unescape(payload: bytes) -> bytes:
    """Remove emulation prevention bytes (H.264 7.4.1.1)."""
    return payload.replace(b"\x00\x00\x03", b"\x00\x00")


def nal_units(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the NAL units of an Annex B byte stream are.

    Args:
        data: bytes with start codes 00 00 01; what precedes the first one is skipped.
    Returns: (begin, end) of each unit, without its start code, trailing zeros removed; lazily, so that a caller that
        needs only the headers does not scan the slices.
    """
    begin = data.find(b"\x00\x00\x01")
    while begin >= 0:
        begin += 3
        following = data.find(b"\x00\x00\x01", begin)
        end = len(data) if following < 0 else following
        while end > begin and data[end - 1] == 0:
            end -= 1
        if end > begin:
            yield begin, end
        begin = following


def nal_type(codec: Codec, first_byte: int) -> int:
    """nal_unit_type of a unit by its first byte."""
    return first_byte & 0x1F if codec == "h264" else (first_byte >> 1) & 0x3F


def _is_slice(codec: Codec, kind: int) -> bool:
    return 1 <= kind <= 5 if codec == "h264" else kind < 32


def _is_parameter_set(codec: Codec, kind: int) -> bool:
    return kind in (7, 8) if codec == "h264" else kind in (32, 33, 34)


def _is_key(codec: Codec, kind: int) -> bool:
    """IDR (H.264), IRAP (HEVC)."""
    return kind == 5 if codec == "h264" else 16 <= kind <= 23


def _begins_unit(codec: Codec, kind: int) -> bool:
    """Whether a NAL unit that is no slice begins a new access unit after a slice (H.264 7.4.1.2.3, H.265 7.4.2.4.4)."""
    if codec == "h264":
        return 6 <= kind <= 9 or 14 <= kind <= 18
    return 32 <= kind <= 35 or kind == 39 or 41 <= kind <= 44 or 48 <= kind <= 55


def _first_slice(codec: Codec, data: bytes, begin: int) -> bool:
    """Whether a slice is the first of its picture: first_mb_in_slice is 0, first_slice_segment_in_pic_flag is 1."""
    header = 1 if codec == "h264" else 2
    return begin + header < len(data) and data[begin + header] >= 0x80


def split_access_units(data: bytes, codec: Codec) -> list[AccessUnit]:
    """Cut an Annex B elementary stream into coded pictures.

    A slice that starts at the first macroblock begins a picture, so slices out of order (H.264 ASO) are not understood,
    and the two fields of an H.264 field pair come as two units.

    Args:
        data: the whole elementary stream.
        codec: "h264" or "hevc".
    Returns: the units, in decoding order; bytes before the first start code are dropped.
    """
    units: list[AccessUnit] = []
    start = -1
    has_slice = key = False
    for begin, _ in nal_units(data):
        kind = nal_type(codec, data[begin])
        slice_unit = _is_slice(codec, kind)
        begins = _first_slice(codec, data, begin) if slice_unit else _begins_unit(codec, kind)
        code = begin - 4 if begin >= 4 and data[begin - 4] == 0 else begin - 3
        if start < 0:
            start = code
        elif has_slice and begins:
            units.append(AccessUnit(data[start:code], key))
            start, has_slice, key = code, False, False
        has_slice = has_slice or slice_unit
        key = key or _is_key(codec, kind)
    if has_slice:
        units.append(AccessUnit(data[start:], key))
    return units


def parse_sps(nal: bytes, codec: Codec) -> SequenceFormat:
    """Read a sequence parameter set.

    Args:
        nal: the NAL unit without start code, header included.
        codec: "h264" or "hevc".
    Returns: what it says.
    Raises: DecodeError if it ends too early or says what no stream can be.
    """
    return _parse(nal, codec)[0]


def _parse(nal: bytes, codec: Codec) -> tuple[SequenceFormat, _H264FrameNumbers | None]:
    payload = _unescape(nal[1:] if codec == "h264" else nal[2:])
    try:
        fmt, numbers = _h264_sps(payload) if codec == "h264" else (_hevc_sps(payload), None)
    except _OutOfBits as exc:
        raise _damaged(codec, f"it ends after {len(nal)} bytes") from exc
    sides = (fmt.width, fmt.height, fmt.coded_width, fmt.coded_height)
    if min(sides) < 1 or max(sides) > _MAX_SIDE or fmt.bit_depth > 16 or fmt.chroma > 3:
        raise _damaged(
            codec,
            f"it says {fmt.width}x{fmt.height} of {fmt.coded_width}x{fmt.coded_height}, {fmt.bit_depth} bit, "
            f"chroma format {fmt.chroma}",
        )
    return fmt, numbers


def _damaged(codec: str, why: str) -> DecodeError:
    return DecodeError(
        f"damaged {codec} sequence header", why=why, remedy="the stream is read on from its next sequence header"
    )


@dataclass(frozen=True, slots=True)
class _Vui:
    full_range: bool = False
    matrix: int = 2
    fields: bool = False
    frame_rate: float | None = None


def _vui(bits: _Bits, codec: Codec) -> _Vui:
    """Video usability information (H.264 E.1.1, H.265 E.2.1), up to the timing.

    A header that ends inside it is taken without what is missing: it is no part of how pictures are decoded.
    """
    full_range, matrix, fields, rate = False, 2, False, None
    try:
        if bits.flag() and bits.u(8) == 255:  # aspect_ratio_idc Extended_SAR
            bits.u(32)
        if bits.flag():  # overscan_info_present_flag
            bits.u(1)
        if bits.flag():  # video_signal_type_present_flag
            bits.u(3)
            full_range = bits.flag()
            if bits.flag():
                bits.u(16)
                matrix = bits.u(8)
        if bits.flag():  # chroma_loc_info_present_flag
            bits.ue()
            bits.ue()
        if codec == "hevc":
            bits.u(1)  # neutral_chroma_indication_flag
            fields = bits.flag()
            bits.u(1)  # frame_field_info_present_flag
            if bits.flag():  # default_display_window_flag
                for _ in range(4):
                    bits.ue()
        if bits.flag():
            units, scale = bits.u(32), bits.u(32)
            if units and scale:
                # H.264 counts fields (E.2.1, DeltaTfiDivisor 2); HEVC counts pictures.
                rate = scale / units / (2 if codec == "h264" else 1)
    except _OutOfBits:
        pass
    return _Vui(full_range, matrix, fields, rate)


def _h264_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _h264_sps(payload: bytes) -> tuple[SequenceFormat, _H264FrameNumbers]:
    bits = _Bits(payload)
    profile = bits.u(8)
    bits.u(16)  # constraint flags, level_idc
    bits.ue()
    chroma, depth, chroma_depth, separate = 1, 8, 8, False
    if profile in _H264_HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            separate = bits.flag()
        depth, chroma_depth = bits.ue() + 8, bits.ue() + 8
        bits.u(1)
        if bits.flag():
            for i in range(8 if chroma != 3 else 12):
                if bits.flag():
                    _h264_scaling_list(bits, 16 if i < 6 else 64)
    number_bits = bits.ue() + 4
    order_type = bits.ue()
    if order_type == 0:
        bits.ue()
    elif order_type == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 256)):
            bits.se()
    bits.ue()
    gaps = bits.flag()
    width = (bits.ue() + 1) * 16
    map_units = bits.ue() + 1
    frames_only = bits.flag()
    height = map_units * 16 * (1 if frames_only else 2)
    if not frames_only:
        bits.u(1)
    bits.u(1)
    left = right = top = bottom = 0
    if bits.flag():
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    # Table 6-1 and equations 7-19 to 7-22: crop units follow the chroma subsampling and the field structure.
    unit_x = 2 if chroma in (1, 2) and not separate else 1
    unit_y = (2 if chroma == 1 and not separate else 1) * (1 if frames_only else 2)
    vui = _vui(bits, "h264") if bits.flag() else _Vui()
    fmt = SequenceFormat(
        codec="h264",
        profile=profile,
        width=width - unit_x * (left + right),
        height=height - unit_y * (top + bottom),
        left=unit_x * left,
        top=unit_y * top,
        coded_width=width,
        coded_height=height,
        bit_depth=depth,
        chroma_bit_depth=chroma_depth,
        chroma=chroma,
        interlaced=not frames_only,
        full_range=vui.full_range,
        matrix=vui.matrix,
        frame_rate=vui.frame_rate,
    )
    return fmt, _H264FrameNumbers(number_bits, separate, gaps)


def _hevc_profile_tier_level(bits: _Bits, sub_layers: int) -> tuple[int, bool]:
    """H.265 7.3.3. Returns: general_profile_idc, and whether the source is interlaced only."""
    bits.u(3)
    profile = bits.u(5)
    bits.u(32)
    progressive, interlaced = bits.flag(), bits.flag()
    bits.u(46)
    bits.u(8)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.u(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)
    return profile, interlaced and not progressive


def _hevc_scaling_lists(bits: _Bits) -> None:
    """H.265 7.3.4."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.se()


def _hevc_reference_sets(bits: _Bits, count: int) -> None:
    """Skip short-term reference picture sets (H.265 7.3.7); 7.4.8 (7-61, 7-62) says how many entries each has."""
    negative: list[int] = []
    positive: list[int] = []
    for index in range(count):
        if index and bits.flag():
            sign = bits.flag()
            delta = (bits.ue() + 1) * (-1 if sign else 1)
            use = [bits.flag() or bits.flag() for _ in range(len(negative) + len(positive) + 1)]
            n = len(negative)
            by_negative = [(d + delta, use[j]) for j, d in enumerate(negative)]
            by_positive = [(d + delta, use[n + j]) for j, d in enumerate(positive)]
            own = [(delta, use[-1])]
            negative = [d for d, used in by_positive[::-1] + own + by_negative if used and d < 0]
            positive = [d for d, used in by_negative[::-1] + own + by_positive if used and d > 0]
            continue
        counts = bits.ue(), bits.ue()
        if max(counts) > 16:
            raise _OutOfBits
        both: list[list[int]] = []
        for entries, step in zip(counts, (-1, 1), strict=True):
            deltas, at = [], 0
            for _ in range(entries):
                at += step * (bits.ue() + 1)
                bits.u(1)
                deltas.append(at)
            both.append(deltas)
        negative, positive = both


def _hevc_sps(payload: bytes) -> SequenceFormat:
    bits = _Bits(payload)
    bits.u(4)
    sub_layers = bits.u(3)
    bits.u(1)
    profile, interlaced_source = _hevc_profile_tier_level(bits, sub_layers)
    bits.ue()
    chroma = bits.ue()
    separate = chroma == 3 and bits.flag()
    coded_width, coded_height = bits.ue(), bits.ue()
    left = right = top = bottom = 0
    if bits.flag():
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    depth, chroma_depth = bits.ue() + 8, bits.ue() + 8
    order_bits = bits.ue() + 4
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        bits.ue()
        bits.ue()
        bits.ue()
    for _ in range(6):
        bits.ue()
    if bits.flag() and bits.flag():
        _hevc_scaling_lists(bits)
    bits.u(2)
    if bits.flag():  # pcm_enabled_flag
        bits.u(8)
        bits.ue()
        bits.ue()
        bits.u(1)
    sets = bits.ue()
    if sets > 64:
        raise _OutOfBits
    _hevc_reference_sets(bits, sets)
    if bits.flag():  # long_term_ref_pics_present_flag
        for _ in range(min(bits.ue(), 33)):
            bits.u(order_bits + 1)
    bits.u(2)
    vui = _vui(bits, "hevc") if bits.flag() else _Vui()
    unit_x = 2 if chroma in (1, 2) and not separate else 1
    unit_y = 2 if chroma == 1 and not separate else 1
    return SequenceFormat(
        codec="hevc",
        profile=profile,
        width=coded_width - unit_x * (left + right),
        height=coded_height - unit_y * (top + bottom),
        left=unit_x * left,
        top=unit_y * top,
        coded_width=coded_width,
        coded_height=coded_height,
        bit_depth=depth,
        chroma_bit_depth=chroma_depth,
        chroma=chroma,
        interlaced=vui.fields or interlaced_source,
        full_range=vui.full_range,
        matrix=vui.matrix,
        frame_rate=vui.frame_rate,
    )


@dataclass(frozen=True, slots=True)
class Headers:
    """What the headers of one packet say.

    Args:
        format: of the sequence from here on; None as long as no sequence header was seen.
        key: decoding can start with this packet.
        has_parameter_sets: it carries a sequence header of its own.
        damage: damaged headers in it, and 1 if pictures before it are missing.
        missing: 1 if pictures before it are missing, else 0.
    """

    format: SequenceFormat | None
    key: bool
    has_parameter_sets: bool
    damage: int
    missing: int


@dataclass(slots=True)
class HeaderWatch:
    """Follows the headers of one stream.

    Args:
        codec: "h264" or "hevc".
    """

    codec: Codec
    format: SequenceFormat | None = None
    _sets: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _numbers: _H264FrameNumbers | None = None
    _previous_number: int | None = None

    def parameter_sets(self) -> bytes:
        """The latest parameter sets as Annex B, to begin again after a jump."""
        return b"".join(b"\x00\x00\x00\x01" + self._sets[key] for key in sorted(self._sets))

    def forget_order(self) -> None:
        """The next picture does not follow the last one (a jump): its number says nothing of a loss."""
        self._previous_number = None

    def read(self, data: bytes) -> Headers:
        """Read one packet up to its first slice, where headers end (H.264 7.4.1.2.3, H.265 7.4.2.4.4).

        Args:
            data: one access unit, Annex B.
        """
        damage = missing = 0
        key = has_sets = False
        for begin, end in nal_units(data):
            first = data[begin]
            if first & 0x80:  # forbidden_zero_bit
                damage += 1
                continue
            if self.codec == "hevc" and (end - begin < 3 or first & 1 or data[begin + 1] >> 3):
                continue  # another layer (H.265 7.4.2.2)
            kind = nal_type(self.codec, first)
            if _is_slice(self.codec, kind):
                key = key or _is_key(self.codec, kind)
                missing = self._missing_before(data[begin : min(end, begin + 32)], kind)
                break
            if not _is_parameter_set(self.codec, kind):
                continue
            nal = data[begin:end]
            if kind == (7 if self.codec == "h264" else 33):
                try:
                    self.format, self._numbers = _parse(nal, self.codec)
                except DecodeError:
                    damage += 1
                    continue
                has_sets = True
            self._keep(nal, kind)
        return Headers(self.format, key, has_sets, damage + missing, missing)

    def _keep(self, nal: bytes, kind: int) -> None:
        """Remember a parameter set by its own id, so that a stream that changes one keeps the others."""
        payload = _unescape(nal[1 if self.codec == "h264" else 2 :][:24])
        try:
            if kind in (8, 34):
                number = _Bits(payload).ue()
            elif kind == 7:
                number = _Bits(payload[3:]).ue()
            else:
                number = 0  # one VPS and one SPS of HEVC: its SPS id stands behind fields of variable size
        except _OutOfBits:
            return
        self._sets[(kind, number)] = nal

    def _missing_before(self, nal: bytes, kind: int) -> int:
        """1 if frame_num says that reference pictures before this one are missing (H.264 7.4.3); else 0."""
        if self.codec != "h264" or self._numbers is None or kind not in (1, 5):
            return 0
        bits = _Bits(_unescape(nal[1:]))
        try:
            bits.ue()
            bits.ue()
            bits.ue()
            if self._numbers.separate_colour_planes:
                bits.u(2)
            number = bits.u(self._numbers.bits)
        except _OutOfBits:
            return 1
        reference = nal[0] & 0x60 != 0
        previous = self._previous_number
        if reference or kind == 5:
            self._previous_number = number
        elif previous is not None:
            # A picture that is no reference carries the next number without taking it.
            self._previous_number = previous
        if kind == 5 or previous is None or self._numbers.gaps_allowed:
            return 0
        if number in (previous, (previous + 1) % (1 << self._numbers.bits)):
            return 0
        # Count a gap once: what follows is compared with what is there now.
        self._previous_number = number
        return 1


@dataclass(frozen=True, slots=True)
class LengthPrefixed:
    """Turns packets of MP4 and Matroska, whose NAL units carry lengths, into Annex B, which NVDEC takes.

    libav's own bitstream filter is not used: it takes the packet's bytes away from whoever else holds the packet.

    Args:
        length_bytes: size of each length, 1 to 4.
        parameter_sets: those of the container, as Annex B.
    Source: ISO/IEC 14496-15 clauses 5.3.3.1 (avcC) and 8.3.3.1 (hvcC).
    """

    length_bytes: int
    parameter_sets: bytes

    @classmethod
    def of(cls, extradata: bytes, codec: Codec) -> "LengthPrefixed | None":
        """Read a track's decoder configuration record.

        Args:
            extradata: as the container has it; Annex B extradata begins with a start code instead.
            codec: "h264" or "hevc".
        Returns: None where the packets are Annex B already.
        Raises: DecodeError if the record is cut off.
        """
        if len(extradata) < 7 or extradata[0] != 1:
            return None
        sets: list[bytes] = []
        try:
            if codec == "h264":
                length, at = (extradata[4] & 3) + 1, 5
                for mask in (0x1F, 0xFF):
                    count, at = extradata[at] & mask, at + 1
                    at = _take_sets(extradata, at, count, sets)
            else:
                length, arrays, at = (extradata[21] & 3) + 1, extradata[22], 23
                for _ in range(arrays):
                    count = int.from_bytes(extradata[at + 1 : at + 3], "big")
                    at = _take_sets(extradata, at + 3, count, sets)
        except IndexError as exc:
            raise _damaged(codec, f"the container's record ends after {len(extradata)} bytes") from exc
        return cls(length, b"".join(b"\x00\x00\x00\x01" + nal for nal in sets))

    def to_annex_b(self, data: bytes) -> bytes | None:
        """One packet with start codes in place of the lengths; None if a length points beyond its end."""
        parts: list[bytes] = []
        at = 0
        while at < len(data):
            begin = at + self.length_bytes
            at = begin + int.from_bytes(data[at:begin], "big")
            if at > len(data) or begin > len(data):
                return None
            parts.append(data[begin:at])
        return b"".join(b"\x00\x00\x00\x01" + nal for nal in parts if nal)


def _take_sets(record: bytes, at: int, count: int, sets: list[bytes]) -> int:
    for _ in range(count):
        size = int.from_bytes(record[at : at + 2], "big")
        if at + 2 + size > len(record):
            raise IndexError
        sets.append(record[at + 2 : at + 2 + size])
        at += 2 + size
    return at

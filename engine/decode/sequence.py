"""What a sequence parameter set of H.264 or HEVC says of the pictures that follow it.

Sources: ITU-T H.264 (08/2021) clause 7.3.2.1.1, Annex E; ITU-T H.265 (08/2021) clauses 7.3.2.2, 7.3.3, 7.3.4, 7.3.7,
Annex E.
"""

from dataclasses import dataclass

from engine.decode.header_bits import Bits, OutOfBits
from engine.decode.nal import Codec, unescape
from engine.errors import DecodeError

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
class FieldSyntax:
    """What is needed to read which of a picture's fields is first (engine/decode/field_order.py).

    Args:
        frames_only: H.264: no picture has fields.
        order_type: H.264: pic_order_cnt_type.
        order_bits: H.264: bits of pic_order_cnt_lsb.
        bottom_offset: H.264: offset_for_top_to_bottom_field.
        deltas: H.264: slice headers of order_type 1 have delta_pic_order_cnt.
        pic_struct_at: bits before pic_struct in a picture timing message; None where it has none.
    """

    frames_only: bool = True
    order_type: int = 0
    order_bits: int = 4
    bottom_offset: int = 0
    deltas: bool = False
    pic_struct_at: int | None = None


@dataclass(frozen=True, slots=True)
class FrameNumbers:
    """What is needed to read frame_num in a slice header of H.264, and what follows it."""

    bits: int
    separate_colour_planes: bool
    gaps_allowed: bool
    fields: FieldSyntax


@dataclass(frozen=True, slots=True)
class CodingBlocks:
    """How many coding tree blocks a picture of HEVC has: what is needed to read where a slice begins."""

    count: int
    fields: FieldSyntax


def parse_sps(nal: bytes, codec: Codec) -> SequenceFormat:
    """Read a sequence parameter set.

    Args:
        nal: the NAL unit without start code, header included.
        codec: "h264" or "hevc".
    Returns: what it says.
    Raises: DecodeError if it ends too early or says what no stream can be.
    """
    return read_sps(nal, codec)[0]


def read_sps(nal: bytes, codec: Codec) -> tuple[SequenceFormat, FrameNumbers | CodingBlocks]:
    """As `parse_sps`, with what it says of H.264's frame numbers, or of HEVC's blocks; and of its fields."""
    payload = unescape(nal[1:] if codec == "h264" else nal[2:])
    try:
        fmt: SequenceFormat
        numbers: FrameNumbers | CodingBlocks
        fmt, numbers = _h264_sps(payload) if codec == "h264" else _hevc_sps(payload)
    except OutOfBits as exc:
        raise damaged(codec, f"it ends after {len(nal)} bytes") from exc
    sides = (fmt.width, fmt.height, fmt.coded_width, fmt.coded_height)
    if min(sides) < 1 or max(sides) > _MAX_SIDE or fmt.bit_depth > 16 or fmt.chroma > 3:
        raise damaged(
            codec,
            f"it says {fmt.width}x{fmt.height} of {fmt.coded_width}x{fmt.coded_height}, {fmt.bit_depth} bit, "
            f"chroma format {fmt.chroma}",
        )
    return fmt, numbers


def damaged(codec: str, why: str) -> DecodeError:
    """The error for a sequence header that cannot be read."""
    return DecodeError(
        f"damaged {codec} sequence header", why=why, remedy="the stream is read on from its next sequence header"
    )


@dataclass(frozen=True, slots=True)
class _Vui:
    full_range: bool = False
    matrix: int = 2
    fields: bool = False
    frame_rate: float | None = None
    pic_struct_at: int | None = None


def _delay_bits(bits: Bits) -> int:
    """Bits of both delays in a picture timing message (H.264 E.1.2)."""
    count = bits.ue() + 1
    bits.u(8)
    for _ in range(min(count, 32)):
        bits.ue()
        bits.ue()
        bits.u(1)
    bits.u(5)
    removal, output = bits.u(5) + 1, bits.u(5) + 1
    bits.u(5)
    return removal + output


def _vui(bits: Bits, codec: Codec) -> _Vui:
    """Video usability information (H.264 E.1.1, H.265 E.2.1), up to the timing; of H.264 up to pic_struct.

    A header that ends inside it is taken without what is missing: it is no part of how pictures are decoded.
    """
    full_range, matrix, fields, rate = False, 2, False, None
    pic_struct_at: int | None = None
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
            if bits.flag():  # frame_field_info_present_flag
                pic_struct_at = 0
            if bits.flag():  # default_display_window_flag
                for _ in range(4):
                    bits.ue()
        if bits.flag():
            units, scale = bits.u(32), bits.u(32)
            if units and scale:
                # H.264 counts fields (E.2.1, DeltaTfiDivisor 2); HEVC counts pictures.
                rate = scale / units / (2 if codec == "h264" else 1)
            bits.u(codec == "h264")  # fixed_frame_rate_flag
        if codec == "h264":
            delays = [_delay_bits(bits) for _ in ("nal", "vcl") if bits.flag()]
            bits.u(bool(delays))  # low_delay_hrd_flag
            if bits.flag():  # pic_struct_present_flag
                pic_struct_at = delays[-1] if delays else 0
    except OutOfBits:
        pass
    return _Vui(full_range, matrix, fields, rate, pic_struct_at)


def _h264_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _h264_sps(payload: bytes) -> tuple[SequenceFormat, FrameNumbers]:
    bits = Bits(payload)
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
    order_bits, bottom_offset, deltas = 4, 0, False
    if order_type == 0:
        order_bits = bits.ue() + 4
    elif order_type == 1:
        deltas = not bits.flag()
        bits.se()
        bottom_offset = bits.se()
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
    syntax = FieldSyntax(frames_only, order_type, order_bits, bottom_offset, deltas, vui.pic_struct_at)
    return fmt, FrameNumbers(number_bits, separate, gaps, syntax)


def _hevc_profile_tier_level(bits: Bits, sub_layers: int) -> tuple[int, bool]:
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


def _hevc_scaling_lists(bits: Bits) -> None:
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


def _hevc_reference_sets(bits: Bits, count: int) -> None:
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
            raise OutOfBits
        both: list[list[int]] = []
        for entries, step in zip(counts, (-1, 1), strict=True):
            deltas, at = [], 0
            for _ in range(entries):
                at += step * (bits.ue() + 1)
                bits.u(1)
                deltas.append(at)
            both.append(deltas)
        negative, positive = both


def _hevc_sps(payload: bytes) -> tuple[SequenceFormat, CodingBlocks]:
    bits = Bits(payload)
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
    block_bits = bits.ue() + 3 + bits.ue()  # log2 of the smallest coding block, and how much larger a tree block is
    for _ in range(4):
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
        raise OutOfBits
    _hevc_reference_sets(bits, sets)
    if bits.flag():  # long_term_ref_pics_present_flag
        for _ in range(min(bits.ue(), 33)):
            bits.u(order_bits + 1)
    bits.u(2)
    vui = _vui(bits, "hevc") if bits.flag() else _Vui()
    unit_x = 2 if chroma in (1, 2) and not separate else 1
    unit_y = 2 if chroma == 1 and not separate else 1
    if block_bits > 6:
        raise OutOfBits
    fmt = SequenceFormat(
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
    blocks = -(-coded_width >> block_bits) * -(-coded_height >> block_bits)
    return fmt, CodingBlocks(blocks, FieldSyntax(pic_struct_at=vui.pic_struct_at))

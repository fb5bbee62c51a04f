"""The NAL units of an H.264 or HEVC byte stream, and the pictures that it is cut into.

Nothing needs PyAV: the GPU checks feed elementary streams with `split_access_units` alone.

Sources: ITU-T H.264 (08/2021) clauses 7.3, 7.4.1.2, Annex B; ITU-T H.265 (08/2021) clauses 7.3, 7.4.2.4, Annex B.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

Codec = Literal["h264", "hevc"]

CODECS: tuple[Codec, ...] = ("h264", "hevc")


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture of an elementary stream.

    Args:
        data: Annex B bytes, start codes included.
        key: decoding can start here.
    """

    data: bytes
    key: bool


_START: Final = b"\x00\x00\x01"
# Headers follow each other closely, and slices are long: so many bytes are searched here, the rest by C.
_NEAR: Final = 64
_LONG: Final = 1024


def _search_of_c() -> Any:
    """C's memmem, which searches without Python's lock; None where there is none."""
    try:
        search: Any = ctypes.CDLL(None).memmem
    except (OSError, AttributeError, TypeError):
        return None
    search.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
    search.restype = ctypes.c_void_p
    return search


_memmem: Final = _search_of_c()


def _address_by_ctypes(data: bytes) -> int:
    return ctypes.c_void_p.from_buffer(ctypes.c_char_p(data)).value or 0


def _address_in_object(data: bytes) -> int:
    return id(data) + _BYTES_HEAD


# CPython's bytes lie right behind the object's head, and its address is its identity.
_BYTES_HEAD: Final = bytes.__basicsize__ - 1
_SAMPLE: Final = b"where bytes lie"
address_of_bytes: Final = (
    _address_in_object if _address_by_ctypes(_SAMPLE) == _address_in_object(_SAMPLE) else _address_by_ctypes
)
"""Where bytes lie in memory, for as long as they are held."""


def _find_start(data: bytes, at: int) -> int:
    """Where the next start code is, from `at` on; -1 where there is none.

    A reader per stream searches all that its stream carries; with Python's lock held that would make the others wait.
    """
    if len(data) - at <= _LONG or _memmem is None or not isinstance(data, bytes):
        return data.find(_START, at)
    found = data.find(_START, at, at + _NEAR)
    if found >= 0:
        return found
    address = address_of_bytes(data)
    place = _memmem(address + at, len(data) - at, _START, len(_START))
    return -1 if place is None else int(place) - address


def unescape(payload: bytes) -> bytes:
    """Remove emulation prevention bytes (H.264 7.4.1.1)."""
    return payload.replace(b"\x00\x00\x03", b"\x00\x00")


def nal_units(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the NAL units of an Annex B byte stream are.

    Args:
        data: bytes with start codes 00 00 01; what precedes the first one is skipped.
    Returns: (begin, end) of each unit, without its start code, trailing zeros removed; lazily, so that a caller that
        needs only the headers does not scan the slices.
    """
    begin = _find_start(data, 0)
    while begin >= 0:
        begin += 3
        following = _find_start(data, begin)
        end = len(data) if following < 0 else following
        while end > begin and data[end - 1] == 0:
            end -= 1
        if end > begin:
            yield begin, end
        begin = following


def nal_type(codec: Codec, first_byte: int) -> int:
    """nal_unit_type of a unit by its first byte."""
    return first_byte & 0x1F if codec == "h264" else (first_byte >> 1) & 0x3F


def is_slice(codec: Codec, kind: int) -> bool:
    """Whether a NAL unit holds a slice of a picture."""
    return 1 <= kind <= 5 if codec == "h264" else kind < 32


def is_parameter_set(codec: Codec, kind: int) -> bool:
    """Whether a NAL unit holds a sequence, picture or video parameter set."""
    return kind in (7, 8) if codec == "h264" else kind in (32, 33, 34)


def is_key(codec: Codec, kind: int) -> bool:
    """Whether decoding can start at a slice of this type: IDR (H.264), IRAP (HEVC)."""
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
        slice_unit = is_slice(codec, kind)
        begins = _first_slice(codec, data, begin) if slice_unit else _begins_unit(codec, kind)
        code = begin - 4 if begin >= 4 and data[begin - 4] == 0 else begin - 3
        if start < 0:
            start = code
        elif has_slice and begins:
            units.append(AccessUnit(data[start:code], key))
            start, has_slice, key = code, False, False
        has_slice = has_slice or slice_unit
        key = key or is_key(codec, kind)
    if has_slice:
        units.append(AccessUnit(data[start:], key))
    return units

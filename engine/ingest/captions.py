"""Whether a coded picture carries captions: CEA-608 and CEA-708.

Looked for in the bytes before decoding, so it does not matter who decodes.

Source: ATSC A/53 Part 4, 6.2.3 (user_identifier "GA94", user_data_type_code 3), carried in ITU-T T.35 SEI of H.264 and
HEVC (SCTE 128-1) and in MPEG-2 user data; SCTE 20 (MPEG-2 user data of type 3 with vbi_data_flag).
"""

from typing import Any, Final

_A53: Final = b"GA94\x03"
_SCTE20: Final = b"\x00\x00\x01\xb2\x03\x81"
# User data and SEI come before the first slice; a picture's headers are shorter than this.
_HEAD_BYTES: Final = 2048
_CODECS: Final = frozenset(("h264", "hevc", "mpeg2video", "mpeg1video"))


def can_carry(codec: str) -> bool:
    """Whether captions are looked for in this codec (libavcodec's name)."""
    return codec in _CODECS


def has_captions(payload: Any, codec: str) -> bool:
    """Whether a coded picture carries caption data; padding counts, as it keeps the channel alive.

    Args:
        payload: of a video packet; anything with the buffer interface.
        codec: libavcodec's name.
    """
    head = bytes(memoryview(payload)[:_HEAD_BYTES])
    return _A53 in head or (codec.startswith("mpeg") and _SCTE20 in head)

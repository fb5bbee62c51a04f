"""NAL units behind lengths, as MP4 and Matroska hold them, turned into a byte stream with start codes."""

from dataclasses import dataclass

from engine.decode.nal import Codec
from engine.decode.sequence import damaged


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
            raise damaged(codec, f"the container's record ends after {len(extradata)} bytes") from exc
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

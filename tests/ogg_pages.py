"""Ogg files changed page by page (RFC 3533)."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path


def rewritten(path: Path, target: Path, change: Callable[[int, int, bytearray], bytearray]) -> Path:
    """A copy of an Ogg file whose pages are changed, with sums that are right.

    Args:
        path, target: files.
        change: gets a page's number, how many there are, and the page; gives what takes its place.
    """
    whole = path.read_bytes()
    starts = [match.start() for match in re.finditer(rb"OggS\0", whole)]
    pages = [bytearray(whole[a:b]) for a, b in itertools.pairwise([*starts, len(whole)])]
    changed = [change(number, len(pages), page) for number, page in enumerate(pages)]
    target.write_bytes(b"".join(summed(page) for page in changed))
    return target


def later(page: bytearray, samples: int) -> bytearray:
    """A page that ends so many samples later."""
    end = int.from_bytes(page[6:14], "little", signed=True)
    page[6:14] = (end + samples).to_bytes(8, "little", signed=True)
    return page


def with_an_empty_packet(page: bytearray) -> bytearray:
    """A page with a packet without a byte behind its last one, if that ends on it."""
    count = page[26]
    if count in (0, 255) or page[26 + count] == 255:  # no room, or the last packet goes on
        return page
    return page[:26] + bytes([count + 1]) + page[27 : 27 + count] + b"\0" + page[27 + count :]


def summed(page: bytearray) -> bytes:
    """A page with its sum (RFC 3533, 6: of the whole page, most significant bit first)."""
    page[22:26] = bytes(4)
    total = 0
    for byte in page:
        total ^= byte << 24
        for _ in range(8):
            total = (total << 1 ^ (0x04C11DB7 if total >> 31 else 0)) & 0xFFFFFFFF
    page[22:26] = total.to_bytes(4, "little")
    return bytes(page)

"""Seven ways in which a file that a machine lost power over, or a disk went bad under, comes back."""

import random
from pathlib import Path


def emptied(data: bytes, _: random.Random) -> bytes:
    return b""


def cut_in_the_middle(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(1, max(2, len(data)))]


def begun_too_late(data: bytes, draw: random.Random) -> bytes:
    return data[draw.randrange(1, max(2, len(data))) :]


def zeros_at_the_end(data: bytes, _: random.Random) -> bytes:
    return data[: max(0, len(data) - 512)] + bytes(min(512, len(data)))


def zeros_in_the_middle(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(max(1, len(data)))
    return data[:at] + bytes(len(data[at : at + 512])) + data[at + 512 :]


def a_flipped_bit(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def another_files_content(data: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(len(data))


CORRUPTIONS = {
    one.__name__.replace("_", " "): one
    for one in (emptied, cut_in_the_middle, begun_too_late, zeros_at_the_end, zeros_in_the_middle, a_flipped_bit,
                another_files_content)
}  # fmt: skip


def damage(path: Path, how: str, seed: int) -> None:
    """Damage a file in place; the same seed does the same."""
    path.write_bytes(CORRUPTIONS[how](path.read_bytes(), random.Random(seed)))

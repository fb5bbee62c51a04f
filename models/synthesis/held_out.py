"""Which clips are never trained on: decided by their names, so that no clip is both trained on and tried on."""

import hashlib
from typing import Final

# One clip in so many is held out.
HELD_OUT: Final = 3


def is_held_out(name: str) -> bool:
    """Whether a clip is never trained on."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % HELD_OUT == HELD_OUT - 1


def seed_of(name: str) -> list[int]:
    """Numbers that a clip's name decides, for what is random of it."""
    return list(hashlib.sha256(name.encode()).digest()[:8])

"""Where the blocks of a picture lie that was scaled after it was coded: shared by the kernel's three versions."""

from typing import Final

from kernels.torn_blocks.layout import BLOCK, PHASES

COLUMNS: Final = ("scaled_corners", "scaled_corners_off", "scaled_sides", "scaled_sides_off")

# As of `torn_blocks`, of which scaling leaves less: a step is spread over the samples beside it.
TORN: Final = 8
TORN_BEFORE: Final = 4
CHANGED: Final = 3
# From a third to three times of it; a scale of 1 is what `torn_blocks` is for.
MOST_SCALE: Final = 3

__all__ = [
    "BLOCK", "CHANGED", "COLUMNS", "MOST_SCALE", "PHASES", "TORN", "TORN_BEFORE", "border", "first_sample",
    "is_looked_at",
]  # fmt: skip


def is_looked_at(size: int, coded: int) -> bool:
    """Whether so many lines are of a scale at which borders are found, if they were so many when they were coded."""
    return 0 < coded <= MOST_SCALE * size and size <= MOST_SCALE * coded


def border(place: int, size: int, coded: int) -> tuple[int, int, int, int]:
    """The lines around a border of blocks: two before it, two behind it.

    A line here is a row or a column. The inner two are those next to the border whose middles lie no nearer to it than
    those of the coded picture's lines, so that neither is a mixture of both sides. The outer two lie half as far from
    them as they are apart, rounded up, so that a slope has no step.

    Args:
        place: line of the coded picture that is the first one behind the border.
        size: lines of the picture.
        coded: lines that it had when it was coded.
    """
    middle = 2 * place * size - coded
    before, behind = (middle - size) // (2 * coded), -((-middle - size) // (2 * coded))
    further = (behind - before + 1) // 2
    return before - further, before, behind, behind + further


def first_sample(place: int, size: int, coded: int) -> int:
    """The first line whose middle lies behind the beginning of a line of the coded picture; as for `border`."""
    return -((coded - 2 * place * size) // (2 * coded))

"""What torn blocks say of a picture's damage, as the benchmark of the networks and the fit of its weights read it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.fit_corruption import COUNTS, count_blocks, features


def picture(blocks: int) -> npt.NDArray[np.uint8]:
    """A flat picture, of which some blocks of the coding grid have another brightness."""
    luma = np.full((144, 176), 90, np.uint8)
    for index in range(blocks):
        row, column = 16 * (1 + 2 * (index // 4)), 16 * (1 + 2 * (index % 4))
        luma[row : row + 16, column : column + 16] = 170
    return luma


def pictures(*blocks: int) -> Iterator[npt.NDArray[np.uint8]]:
    yield from (picture(each) for each in blocks)


def test_blocks_that_break_out_of_the_picture_before_are_counted_on_the_grid() -> None:
    counts = count_blocks(pictures(0, 0, 8))
    assert counts.shape == (3, len(COUNTS))
    assert not counts[:2].any()
    corners, corners_off, sides, sides_off = counts[2]
    assert corners > corners_off
    assert sides > sides_off
    assert (features(counts)[2] > 0.5).all()
    assert not features(counts)[:2].any()

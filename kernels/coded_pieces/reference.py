"""coded_pieces, plain and slow: the definition that the fast versions are held to. For tests only."""

from fractions import Fraction
from functools import cache
from itertools import accumulate, pairwise
from math import ceil, floor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.coded_pieces.layout import CELLS, MIDDLE, MOST_SCALE, PIECE, SAMPLES, CropField
from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field, ReferenceField


def keys(distance: Fraction) -> Fraction:
    """Keys' cubic with a = -1/2, twice."""
    if distance <= 1:
        return 3 * distance**3 - 5 * distance**2 + 2
    return -(distance**3) + 5 * distance**2 - 8 * distance + 4 if distance < 2 else Fraction(0)


@cache
def weights_of(line: int, size: int, coded: int) -> tuple[int, list[int]]:
    """The first of the plane's lines that the coded line `line` is made of, and how many 256ths of each."""
    middle = (line + Fraction(1, 2)) * size / coded - Fraction(1, 2)
    stretch = max(Fraction(1), Fraction(size, coded))
    lines = range(floor(middle - 2 * stretch), ceil(middle + 2 * stretch) + 1)
    exact = [keys(abs(i - middle) / stretch) for i in lines]
    rounded = [floor(256 * part / sum(exact) + Fraction(1, 2)) for part in accumulate(exact, initial=Fraction(0))]
    return lines[0], [after - before for before, after in pairwise(rounded)]


def scaling(first: int, count: int, size: int, coded: int) -> npt.NDArray[np.int64]:
    """(count, size): how many 256ths of each line of the plane `count` lines from the coded line `first` on are."""
    matrix = np.zeros((count, size), np.int64)
    for k in range(count):
        start, weights = weights_of(min(first + k, coded - 1), size, coded)
        for i, weight in enumerate(weights, start):
            matrix[k, min(max(i, 0), size - 1)] += weight
    return matrix


def _scaled(plane: Plane, corner: tuple[int, int], count: int, coded: tuple[int, int], depth: int) -> Plane:
    """(count, count) codes of 12 bit from (top, left) on, of a plane that was of `coded` rows and columns."""
    down, across = (scaling(corner[k], count, plane.shape[k], coded[k]) for k in (0, 1))
    exact = down @ plane @ across.T
    brought: Plane = np.floor_divide(exact * 2**12 + 2 ** (15 + depth), 2 ** (16 + depth))
    return np.clip(brought, 0, 4095)


def _told(size: int, coded: int) -> bool:
    return coded > 0 and Fraction(1, MOST_SCALE) <= Fraction(size, coded) <= MOST_SCALE


def coded_pieces(frames: Tensor, references: Tensor, crops: Tensor) -> Tensor:
    """The op's definition; see kernels/coded_pieces/op.py."""
    out = np.zeros((crops.shape[0], 2, SAMPLES), np.int16)
    for m, crop in enumerate(crops.tolist()):
        row, top, left = crop[CropField.ROW], crop[CropField.TOP], crop[CropField.LEFT]
        frame = frames[row].tolist() if row >= 0 else None
        if frame is None or not frame[Field.LUMA_ADDRESS]:
            continue
        size, coded = (frame[Field.HEIGHT], frame[Field.WIDTH]), (crop[CropField.CODED_HEIGHT],
                                                                  crop[CropField.CODED_WIDTH])  # fmt: skip
        if not (_told(size[0], coded[0]) and _told(size[1], coded[1])):
            continue
        reference, depth, shift = references[row].tolist(), frame[Field.BIT_DEPTH], frame[Field.SHIFT]
        both = (
            (frame, frame[Field.LUMA_PITCH], frame[Field.CHROMA_PITCH]),
            (reference, reference[ReferenceField.LUMA_PITCH], reference[ReferenceField.CHROMA_PITCH]),
        )
        for time, (of, luma_pitch, chroma_pitch) in enumerate(both):  # whose addresses come first, in the same order
            if not of[Field.LUMA_ADDRESS]:
                continue
            plane = plane_at(of[Field.LUMA_ADDRESS], luma_pitch, *size[::-1], 1, depth).astype(np.int64) >> shift
            out[m, time, : PIECE * PIECE] = _scaled(plane, (top, left), PIECE, coded, depth).ravel()
            out[m, time, PIECE * PIECE :] = MIDDLE
            if not frame[Field.CHROMA_WIDTH]:
                continue
            chroma_size = frame[Field.CHROMA_WIDTH], frame[Field.CHROMA_HEIGHT], frame[Field.CHROMA_STEP]
            coded_chroma = (coded[0] + 1) // 2, (coded[1] + 1) // 2
            colours = []
            for address in (of[Field.U_ADDRESS], of[Field.V_ADDRESS]):
                plane = plane_at(address, chroma_pitch, *chroma_size, depth).astype(np.int64) >> shift
                colours.append(_scaled(plane, (top // 2, left // 2), CELLS, coded_chroma, depth))
            out[m, time, PIECE * PIECE :] = np.stack(colours).ravel()
    return torch.from_numpy(out)

"""Pieces of pictures, scaled back to the size that they were coded in, as pictures of their own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.coded_pieces import coded_pieces
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.to_network.layout import CELLS, PIECE

_WORD = 2  # bytes of a sample
_DEPTH = 12  # of what `coded_pieces` gives


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """M pieces, as rows of kernels/layout.py.

    Args:
        samples: what the rows describe, which must outlive their use: int16 (M, 2, samples of a piece) on the device.
        frames: (M, FRAME_FIELDS) int64, likewise.
        references: (M, REFERENCE_FIELDS) int64, likewise, of the pictures before; without an address where there is
            none.
    """

    samples: Tensor
    frames: Tensor
    references: Tensor


def scaled_back(frames: Tensor, references: Tensor, corners: Tensor, sizes: Tensor) -> Pieces:
    """Pieces of D pictures and of those before them, D * P of them.

    Args:
        frames, references: (D, fields) int64 on a device.
        corners: (D, P, 2) int64, there: row and column of each piece's first sample in the picture as it was coded.
        sizes: (D, 2) int64, there: height and width of these.
    """
    count, each = corners.shape[:2]
    picture = torch.arange(count, device=frames.device).repeat_interleave(each)
    place, size = corners.reshape(-1, 2), sizes[picture]
    crops = torch.cat([picture[:, None], place, size.flip(1)], dim=1)
    samples = coded_pieces(frames, references, crops)
    luma, chroma = PIECE * PIECE * _WORD, CELLS * CELLS * _WORD
    step = samples.shape[2] * _WORD
    first = samples.data_ptr() + 2 * step * torch.arange(len(crops), device=frames.device)
    left = (size - place).clamp(max=PIECE)
    table = frames.new_zeros((len(crops), FRAME_FIELDS))
    table[:, Field.LUMA_ADDRESS] = first
    table[:, Field.U_ADDRESS], table[:, Field.V_ADDRESS] = first + luma, first + luma + chroma
    table[:, Field.LUMA_PITCH], table[:, Field.CHROMA_PITCH] = PIECE * _WORD, CELLS * _WORD
    table[:, Field.CHROMA_STEP], table[:, Field.BIT_DEPTH] = 1, _DEPTH
    table[:, Field.HEIGHT], table[:, Field.WIDTH] = left[:, 0], left[:, 1]
    table[:, Field.CHROMA_HEIGHT], table[:, Field.CHROMA_WIDTH] = (left[:, 0] + 1) // 2, (left[:, 1] + 1) // 2
    before = frames.new_zeros((len(crops), REFERENCE_FIELDS))
    for own, its in ((Field.LUMA_ADDRESS, ReferenceField.LUMA_ADDRESS), (Field.U_ADDRESS, ReferenceField.U_ADDRESS),
                     (Field.V_ADDRESS, ReferenceField.V_ADDRESS)):  # fmt: skip
        before[:, its] = table[:, own] + step
    before[:, ReferenceField.LUMA_PITCH] = PIECE * _WORD
    before[:, ReferenceField.CHROMA_PITCH] = CELLS * _WORD
    there = references[picture, ReferenceField.LUMA_ADDRESS] != 0
    return Pieces(samples, table, torch.where(there[:, None], before, 0))

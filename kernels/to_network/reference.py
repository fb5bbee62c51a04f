"""to_network, plain and slow: the definition that the fast versions are held to. For tests only."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field, ReferenceField
from kernels.to_network.layout import CELLS, INPUTS, PIECE, CropField

Floats = npt.NDArray[np.float32]


def _piece(plane: Plane, top: int, left: int, size: tuple[int, int]) -> Plane:
    """(PIECE, PIECE) of a plane as it applies to each luma sample of a picture of `size`."""
    height, width = size
    rows = np.minimum(top + np.arange(PIECE), height - 1) // -(-height // plane.shape[0])
    columns = np.minimum(left + np.arange(PIECE), width - 1) // -(-width // plane.shape[1])
    piece: Plane = plane[np.minimum(rows, plane.shape[0] - 1)][:, np.minimum(columns, plane.shape[1] - 1)]
    return piece


def to_network(frames: Tensor, references: Tensor, crops: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The op's definition; see kernels/to_network/op.py."""
    out = np.zeros((crops.shape[0], CELLS, CELLS, INPUTS), np.float32)
    for m, crop in enumerate(crops.tolist()):
        row, top, left = crop[CropField.ROW], crop[CropField.TOP], crop[CropField.LEFT]
        frame = frames[row].tolist() if row >= 0 else None
        if frame is None or not frame[Field.LUMA_ADDRESS]:
            continue
        reference = references[row].tolist()
        depth, shift, full = frame[Field.BIT_DEPTH], frame[Field.SHIFT], crop[CropField.FULL_RANGE]
        one = 1 << (depth - 8)
        size = frame[Field.HEIGHT], frame[Field.WIDTH]
        chroma_size = frame[Field.CHROMA_WIDTH], frame[Field.CHROMA_HEIGHT], frame[Field.CHROMA_STEP]

        def cells(
            address: int, pitch: int, shape: tuple[int, int, int], depth: int = depth, shift: int = shift,
            top: int = top, left: int = left, size: tuple[int, int] = size,
        ) -> Plane:  # fmt: skip
            """(CELLS, CELLS, 2, 2): the samples that apply to each place."""
            width, height, step = shape
            plane = plane_at(address, pitch, width, height, step, depth).astype(np.int64) >> shift
            return _piece(plane, top, left, size).reshape(CELLS, 2, CELLS, 2).transpose(0, 2, 1, 3)

        def said(numerator: Plane, bits: int, one: int = one, full: int = full) -> Floats:
            """The numerator as float32 over the codes of full range, if it is of that, and over a power of two."""
            scale = np.float32(1 / 255) if full else np.float32(1)
            value: Floats = numerator.astype(np.float32) * scale * np.float32(1 / ((1 << bits) * one))
            return value

        def limited(numerator: Plane, most: int, one: int = one, full: int = full) -> Plane:
            most = most * one * (255 if full else 1)
            return np.clip(numerator, -most, most)

        luma_gain, chroma_gain = (219, 224) if full else (1, 1)
        now = cells(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH], (*size[::-1], 1)).reshape(CELLS, CELLS, 4)
        middle = (112 * 255 if full else 128) * one
        out[m, :, :, 0:4] = said(luma_gain * now - middle, 6)
        there = reference[ReferenceField.LUMA_ADDRESS]
        if there:
            luma = there, reference[ReferenceField.LUMA_PITCH]
            before = cells(*luma, (*size[::-1], 1)).reshape(CELLS, CELLS, 4)
            out[m, :, :, 4:8] = said(limited(luma_gain * (now - before), 128), 5)
        if not frame[Field.CHROMA_WIDTH]:
            continue
        for k, (own, its) in enumerate(((Field.U_ADDRESS, ReferenceField.U_ADDRESS),
                                        (Field.V_ADDRESS, ReferenceField.V_ADDRESS))):  # fmt: skip
            colour = cells(frame[own], frame[Field.CHROMA_PITCH], chroma_size).sum(axis=(2, 3))
            out[m, :, :, 8 + k] = said(chroma_gain * (colour - 4 * 128 * one), 7)
            if there:
                was = cells(reference[its], reference[ReferenceField.CHROMA_PITCH], chroma_size).sum(axis=(2, 3))
                out[m, :, :, 10 + k] = said(limited(chroma_gain * (colour - was), 4 * 128), 7)
    result = torch.from_numpy(out).permute(0, 3, 1, 2)
    return result.to(dtype)

"""`avjury::to_network`: pieces of pictures, normalised, as the input of a network."""

import torch
from torch import Tensor

from kernels.frame_tables import check_frame_tables, check_table
from kernels.to_network.layout import CELLS, CROP_FIELDS, INPUTS, TYPES


def _check(frames: Tensor, references: Tensor, crops: Tensor) -> None:
    check_frame_tables("to_network", frames, references)
    check_table("to_network", crops, None, CROP_FIELDS, frames.device, "pieces")


def _cpu(frames: Tensor, references: Tensor, crops: Tensor, kind: int) -> Tensor:
    from kernels.to_network import cpu  # numba loads in a second: only where it is needed

    _check(frames, references, crops)
    return cpu.to_network(frames, references, crops, TYPES[kind])


_to_network = torch.library.custom_op(
    "avjury::to_network",
    _cpu,
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor frames, Tensor references, Tensor crops, int kind) -> Tensor",
)


@_to_network.register_kernel("cuda")
def _(frames: Tensor, references: Tensor, crops: Tensor, kind: int) -> Tensor:
    from kernels.to_network import gpu  # Triton is not there on every machine

    _check(frames, references, crops)
    return gpu.to_network(frames, references, crops, TYPES[kind])


@_to_network.register_fake
def _(frames: Tensor, references: Tensor, crops: Tensor, kind: int) -> Tensor:
    return frames.new_empty((crops.shape[0], CELLS, CELLS, INPUTS), dtype=TYPES[kind]).permute(0, 3, 1, 2)


def to_network(frames: Tensor, references: Tensor, crops: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pieces of N pictures of any sizes and formats, at their own resolution.

    Codes are brought to 8 bit (with their fraction) and to limited range. Samples beyond the picture's last row or
    column are those of its last row or column. Chroma is the mean over the four luma samples of a place of what
    applies to each of them, so that every subsampling gives one value per place; a grey picture has none: 0.

    | channels | meaning |
    |---|---|
    | 0 to 3 | luma of the 2x2 samples of a place, row by row: (code - 128) / 64 |
    | 4 to 7 | how much each is larger than in the reference, at most 128 codes either way, / 32; 0 without one |
    | 8, 9 | U and V: (code - 128) / 32 |
    | 10, 11 | how much they are larger than in the reference, at most 128 codes either way, / 32; 0 without one |

    Numerators are exact integers; one rounding to float32 for full range, none for limited range up to 12 bits, so
    that all versions give the same bits.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py. On the device whose memory the addresses
            are in. LUMA_ADDRESS 0: its pieces are 0.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
        crops: (M, CROP_FIELDS) int64, same device, see `CropField`; TOP and LEFT even and at least 0; ROW below 0 is
            an empty piece, all 0. Several pieces may be of one picture.
        dtype: of the result, one of TYPES: 16-bit floats are the float32 ones, rounded to the nearest, ties to even.
    Returns: (M, INPUTS, PIECE / 2, PIECE / 2), channels last in memory.
    Raises: ValueError for tables of another shape, dtype or device.
    """
    if not frames.is_cuda:
        return _cpu(
            frames, references, crops, TYPES.index(dtype)
        )  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.to_network(frames, references, crops, TYPES.index(dtype))
    return result

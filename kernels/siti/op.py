"""`avjury::siti`: how much detail a picture has, and how much it differs from the one before (ITU-T P.910)."""

from typing import Final

import torch
from torch import Tensor

from kernels.frame_tables import check_frame_tables

COLUMNS: Final = ("spatial_information", "temporal_information")
# Lengths of gradients are kept in this many parts of a code.
PARTS: Final = 16


def _cpu(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.siti import cpu  # numba loads in a second: only where it is needed

    check_frame_tables("siti", frames, references)
    return cpu.siti(frames, references)


_siti = torch.library.custom_op("avjury::siti", _cpu, mutates_args=(), device_types="cpu")


@_siti.register_kernel("cuda")
def _(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.siti import gpu  # Triton is not there on every machine

    check_frame_tables("siti", frames, references)
    return gpu.siti(frames, references)


@_siti.register_fake
def _(frames: Tensor, references: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def siti(frames: Tensor, references: Tensor) -> Tensor:
    """Spatial and temporal information of N pictures, in 8-bit codes.

    spatial_information is the standard deviation, over the luma samples that have eight neighbours, of the length of
    the Sobel gradient; each length is rounded down to a sixteenth of a code of the picture's own depth.
    temporal_information is the standard deviation of the luma codes' differences from the reference. Both are divided
    by 2**(BIT_DEPTH - 8). Sums are exact integers; from them on all versions do the same operations in float64.

    Codes are taken as they are: whoever wants the figures of P.910, which are of full range, multiplies those of
    limited range by 255/219.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768.
        references: (N, REFERENCE_FIELDS) int64, same device: the picture before, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
    Returns: (N, len(COLUMNS)) float64 on the device; NaN for skipped rows. spatial_information is NaN for pictures
        without a sample inside, temporal_information without a reference.
    Raises: ValueError for tables of another shape, dtype or device.
    Source: ITU-T P.910 (10/2023), 7.7 and 7.8; FFmpeg's siti.
    """
    if not frames.is_cuda:
        return _cpu(frames, references)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.siti(frames, references)
    return result

"""`avjury::edge_width`: how wide a picture's edges are, as FFmpeg's blurdetect says it."""

from typing import Final

import torch
from torch import Tensor

from kernels.layout import FRAME_FIELDS, Field

COLUMNS: Final = (
    "edge_width",  # mean width of the edges in samples, FFmpeg's lavfi.blur; NaN where there are none
    "edge_share",  # edge pixels / pixels, 0..1
)

# blurdetect's defaults: 30/255 and 15/255 of the full scale, radius 50.
HIGH: Final = 30
LOW: Final = 15
RADIUS: Final = 50
HISTOGRAM: Final = 1024  # widths in tenths of a sample: 2 * RADIUS straight steps are 1000


def _cpu(frames: Tensor, largest: int) -> Tensor:
    from kernels.edge_width import cpu  # numba compiles on import: only where it is needed

    return cpu.edge_width(frames)


_edge_width = torch.library.custom_op("avjury::edge_width", _cpu, mutates_args=(), device_types="cpu")


@_edge_width.register_kernel("cuda")
def _(frames: Tensor, largest: int) -> Tensor:
    from kernels.edge_width import gpu  # triton is absent on some CPU-only platforms

    return gpu.edge_width(frames, largest)


@_edge_width.register_fake
def _(frames: Tensor, largest: int) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def edge_width(frames: Tensor, largest: int = 0) -> Tensor:
    """Measure the edges of each picture of a batch.

    The luma in 8 bits (code value >> (bit depth - 8)) is smoothed with a 5x5 Gaussian (sigma 1.4, integer weights of
    sum 159, the two outer rows and columns left as they are); Sobel slopes are rounded to four directions; local
    maxima of |gx| + |gy| along their direction are edges above HIGH, and above LOW beside such a one (8 neighbours).
    An edge's width is the number of steps over which the smoothed luma goes on rising, or falling, through it along
    its direction, at most RADIUS to each side, diagonal steps counted as 0.7; edges whose search leaves the picture
    have none.

    Args:
        frames: (N, FRAME_FIELDS) int64, CPU or CUDA: see kernels/layout.py. LUMA_ADDRESS 0: not due, its row is NaN.
            The GPU version takes pictures below 2**31 pixels.
        largest: pixels of the largest picture in the table, for the GPU's scratch memory; 0 asks the table, which
            waits for the device.
    Returns: (N, len(COLUMNS)) float64 on the same device.
    Raises: ValueError if the table's shape or dtype is another: the kernels trust it.
    Source: Marziliano et al., "A no-reference perceptual blur metric", ICIP 2002; Canny's edges. The quantity and the
        defaults are those of FFmpeg's blurdetect.
    """
    if frames.dim() != 2 or frames.shape[1] != FRAME_FIELDS or frames.dtype != torch.int64:
        raise ValueError(f"edge_width: wanted (N, {FRAME_FIELDS}) int64, got {tuple(frames.shape)} {frames.dtype}")
    if frames.is_cuda and not largest and frames.shape[0]:
        largest = int((frames[:, Field.WIDTH] * frames[:, Field.HEIGHT]).max())
    if not frames.is_cuda:
        return _cpu(frames, largest)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.edge_width(frames, largest)
    return result

"""`avjury::sharpness`: over how many samples a picture's steepest edges rise, which is what blur changes."""

import torch
from torch import Tensor

from kernels.frame_tables import check_frame_tables
from kernels.layout import Field
from kernels.sharpness.layout import COLUMNS


def _cpu(frames: Tensor, largest: int) -> Tensor:
    from kernels.sharpness import cpu  # numba loads in a second: only where it is needed

    check_frame_tables("sharpness", frames)
    return cpu.sharpness(frames)


_sharpness = torch.library.custom_op("avjury::sharpness", _cpu, mutates_args=(), device_types="cpu")


@_sharpness.register_kernel("cuda")
def _(frames: Tensor, largest: int) -> Tensor:
    from kernels.sharpness import gpu  # Triton is not there on every machine

    check_frame_tables("sharpness", frames)
    return gpu.sharpness(frames, largest)


@_sharpness.register_fake
def _(frames: Tensor, largest: int) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def sharpness(frames: Tensor, largest: int = 0) -> Tensor:
    """Measure how steep the edges of each picture of a batch are.

    Luma is cut to its upper 8 bits, and averaged (rounded down) over cells of s x s samples, s the shorter side over
    480, rounded, at least 1: a picture is judged by what can be seen of it where all of it is in view. Along every row
    and column of cells, eight in a row with seven steps between them hold an edge if the step in the middle is as
    large as any, and the eighth cell differs from the first by 40 codes or more; its span is that difference over the
    step in the middle, in sixteenths of a cell, rounded down. A step that is sharp has a span of 1, one that was
    blurred with a Gaussian of sigma s one of about 2.5 s; steps of one code each, or a blur of more than two cells,
    reach 7. Where there are fewer than 64 such edges, those of 16 codes and more are taken.

    | column | meaning |
    |---|---|
    | edge_span | the span that a tenth of the edges does not exceed, in cells; NaN for fewer than 64 edges |
    | edge_cells | edges over cells |
    | cell_deviation | standard deviation of the cells, in 8-bit codes |

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. The GPU version takes pictures below 2**31 pixels.
        largest: pixels of the largest picture in the table, for the GPU's scratch memory; 0 asks the table, which
            waits for the device.
    Returns: (N, len(COLUMNS)) float64 on the device; NaN for skipped rows.
    Raises: ValueError for a table of another shape or dtype.
    Source: rise over slope at an edge, as in ISO 12233's 10-90 % rise distance; the steepest tenth, as the narrowest
        edges are what a lens in focus leaves (docs/decisions/0024-steep-edges.md).
    """
    if not frames.is_cuda:
        return _cpu(frames, largest)  # straight to it: the dispatcher takes tens of microseconds
    if not largest and frames.shape[0]:
        largest = int((frames[:, Field.WIDTH] * frames[:, Field.HEIGHT]).max())
    result: Tensor = torch.ops.avjury.sharpness(frames, largest)
    return result

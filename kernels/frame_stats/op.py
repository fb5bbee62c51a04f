"""`avjury::frame_stats`: everything that is measured of every picture, in one pass over its planes."""

import torch
from torch import Tensor

from kernels.frame_stats.columns import COLUMNS
from kernels.frame_tables import check_frame_tables


def _cpu(frames: Tensor, references: Tensor, retain: Tensor) -> Tensor:
    from kernels.frame_stats import cpu  # numba loads in a second: only where it is needed

    check_frame_tables("frame_stats", frames, references, retain)
    return cpu.frame_stats(frames, references, retain)


_frame_stats = torch.library.custom_op("avjury::frame_stats", _cpu, mutates_args=(), device_types="cpu")


@_frame_stats.register_kernel("cuda")
def _(frames: Tensor, references: Tensor, retain: Tensor) -> Tensor:
    from kernels.frame_stats import gpu  # Triton is not there on every machine

    check_frame_tables("frame_stats", frames, references, retain)
    return gpu.frame_stats(frames, references, retain)


@_frame_stats.register_fake
def _(frames: Tensor, references: Tensor, retain: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def frame_stats(frames: Tensor, references: Tensor, retain: Tensor) -> Tensor:
    """Statistics of N pictures of any sizes and formats, one row each.

    A code value is the stored sample shifted right by SHIFT; `full` is 2**BIT_DEPTH. Every column is a ratio
    of two exact integers with one float64 division, so that all implementations give the same bits.

    | column | meaning |
    |---|---|
    | mafd | sum of absolute code differences from the reference over all samples of all planes / (samples * full) |
    | luma_difference | the same of luma alone |
    | black_ratio | share of luma samples with a code <= BLACK_LEVEL (inclusive) |
    | luma_mean, luma_min, luma_max | of the luma codes / full |
    | gradient | mean of abs(Y[y, x] - Y[y, x - 1]) / full; 0 for pictures one column wide |

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768; chroma is read where CHROMA_WIDTH > 0.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
        retain: (N, REFERENCE_FIELDS) int64, same device: where the same pass copies the picture's planes to (words as
            stored, row by row; bytes beyond a row's samples are left alone); LUMA_ADDRESS 0 keeps no copy. It must
            not overlap any row's frame or reference.
    Returns: (N, len(COLUMNS)) float64 on the device. A skipped row is all NaN; mafd and luma_difference are NaN
        without a reference.
    Raises: ValueError for tables of another shape, dtype or device.
    Source: mafd: FFmpeg's freezedetect and scdet; black_ratio: FFmpeg's blackdetect.
    """
    if not frames.is_cuda:
        return _cpu(frames, references, retain)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.frame_stats(frames, references, retain)
    return result

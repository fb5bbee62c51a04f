"""`avjury::texture`: what is measured of a picture about once a second, because it needs detail and changes slowly."""

import torch
from torch import Tensor

from kernels.layout import FRAME_FIELDS
from kernels.texture.columns import COLUMNS


def _cpu(frames: Tensor) -> Tensor:
    from kernels.texture import cpu  # numba loads in a second: only where it is needed

    return cpu.texture(frames)


_texture = torch.library.custom_op("avjury::texture", _cpu, mutates_args=(), device_types="cpu")


@_texture.register_kernel("cuda")
def _(frames: Tensor) -> Tensor:
    from kernels.texture import gpu  # triton is absent on some CPU-only platforms

    return gpu.texture(frames)


@_texture.register_fake
def _(frames: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def texture(frames: Tensor) -> Tensor:
    """Levels, colour, combing, noise, banding and colour bars of each picture of a batch.

    A code value is the stored sample shifted right by SHIFT; `full` is 2**BIT_DEPTH. Every column is made of exact
    integers with at most one float64 operation, so that all implementations give the same bits.

    | column | meaning |
    |---|---|
    | u_mean, v_mean | means of the chroma codes / full |
    | saturation | mean of floor(hypot(U - full / 2, V - full / 2)) / full; beyond 12 bits of the upper 12 |
    | u_gradient, v_gradient | means of abs(U[y, x] - U[y, x - 1]) / full; 0 for planes one column wide |
    | out_of_range | share of pixels with luma outside 16..235 or chroma outside 16..240 (of 8 bits) |
    | out_of_tolerance | share of pixels with luma outside 5..246 |
    | combing | share of blocks in which neighbouring rows differ, and rows of one field agree |
    | noise | standard deviation of the luma's noise, in 8-bit codes |
    | banding | share of blocks in which flat luma makes a step; large steps count less |
    | bars | share of sampled points that have the colour of colour bars |
    | grain | share of the blocks that have that noise, or half of it, whose samples span no more than noise does |

    The first five are NaN for pictures without chroma; `bars` is 0 for them. Combing, noise and banding look at blocks
    of 16x8 luma samples in fine codes (10 bit; kernels/texture/columns.py), and are 0 for pictures without a block.
    With rows a, b, c, d, e from y - 2 to y + 2, a block is combed if the sum of |2c - b - d| is at least 48 a sample
    (12 in 8-bit codes), and at least 1.5 times the sum of |2c - a - e|. Noise is Immerkaer's estimate from the sum of
    |L| of each block, L the difference of two Laplacians, in bins of 0.104 codes: the bin that a quarter of the blocks
    stays within, of those whose mean is from 24 to 225; 0 where more than three quarters of all are darker. Grain is 0
    where noise is; a block is of grain if its samples span at most 10.6 standard deviations of its own noise.
    A block is banded if its largest luma is at most 16 (8-bit codes) above its smallest, and its samples differ from
    their left and upper neighbours (each counts) 8 to 48 times by 4 or more, and at most 64 times by less; half of
    those blocks count whose luma spans up to 44, where that is more.
    Bars: at 3 columns of each bar and 8 rows of the upper half, Y, U and V within 10 (8-bit codes) of the colour, for
    the best of twelve kinds (75 %, 100/0/75/0, 100 %; BT.601, BT.709; limited, full range) and three layouts (eight or
    seven bars over the width, seven bars over the middle three quarters).

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, CPU or CUDA, see kernels/layout.py; LUMA_ADDRESS 0: not due, its
            row is NaN. Width at most 32,768.
    Returns: (N, len(COLUMNS)) float64 on the same device.
    Raises: ValueError if the table's shape or dtype is another: the kernels trust it.
    Source: means, saturation, out_of_range: FFmpeg's signalstats (UAVG, VAVG, SATAVG, BRNG). out_of_tolerance: EBU
        R 103. combing: the field differences of FFmpeg's idet, within one picture. noise: J. Immerkaer, "Fast noise
        variance estimation", CVIU 64(2), 1996. banding: flat steps as in P. Tandon et al., "CAMBI: contrast-aware
        multiscale banding index", PCS 2021, without its scales and its contrast model. bars: SMPTE EG 1, RP 219.
    """
    if (
        frames.dim() != 2
        or frames.shape[1] != FRAME_FIELDS
        or frames.dtype != torch.int64
        or not frames.is_contiguous()
    ):
        raise ValueError(f"texture: wanted (N, {FRAME_FIELDS}) int64, got {tuple(frames.shape)} {frames.dtype}")
    if not frames.is_cuda:
        return _cpu(frames)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.texture(frames)
    return result

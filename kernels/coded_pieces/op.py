"""`avjury::coded_pieces`: pieces of pictures that were scaled, brought back to the size that they were coded in."""

import torch
from torch import Tensor

from kernels.coded_pieces.layout import CROP_FIELDS, SAMPLES
from kernels.frame_tables import check_frame_tables, check_table


def _check(frames: Tensor, references: Tensor, crops: Tensor) -> None:
    check_frame_tables("coded_pieces", frames, references)
    check_table("coded_pieces", crops, None, CROP_FIELDS, frames.device, "pieces")


def _cpu(frames: Tensor, references: Tensor, crops: Tensor) -> Tensor:
    from kernels.coded_pieces import cpu  # numba loads in a second: only where it is needed

    _check(frames, references, crops)
    return cpu.coded_pieces(frames, references, crops)


_coded_pieces = torch.library.custom_op(
    "avjury::coded_pieces",
    _cpu,
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor frames, Tensor references, Tensor crops) -> Tensor",
)


@_coded_pieces.register_kernel("cuda")
def _(frames: Tensor, references: Tensor, crops: Tensor) -> Tensor:
    from kernels.coded_pieces import gpu  # Triton is not there on every machine

    _check(frames, references, crops)
    return gpu.coded_pieces(frames, references, crops)


@_coded_pieces.register_fake
def _(frames: Tensor, references: Tensor, crops: Tensor) -> Tensor:
    return frames.new_empty((crops.shape[0], 2, SAMPLES), dtype=torch.int16)


def coded_pieces(frames: Tensor, references: Tensor, crops: Tensor) -> Tensor:
    """Pieces of N pictures of any sizes and formats, scaled back to the sizes that the pictures were coded in.

    Each plane is interpolated by Keys' cubic, first along one axis, then along the other. A line is a row or a column.
    Of a plane of `size` lines that was coded in `coded` lines, the middle of the coded line r lies at
    ((2 r + 1) size - coded) / (2 coded), in lines of the plane. With

        n = abs(2 coded i - (2 r + 1) size + coded)
        T = 2 max(size, coded)

    line i is n / T from it, in units of the kernel, which is as much wider than the plane's lines as the plane had been
    enlarged, so that it filters. Its weight is

        3 n**3 - 5 n**2 T + 2 T**3               where n <= T
        -n**3 + 5 n**2 T - 8 n T**2 + 4 T**3     where T < n < 2 T
        0                                        beyond

    over the sum of all lines' weights, in 1/256: of the sums of the weights up to each line, rounded half up, it is
    what this line adds. So they sum to 256, and an edge comes out as the exact weights bring it out, rounded. Lines
    outside the plane are the plane's first or last one; coded lines beyond the last one are that one.

    A sample is the sum over rows and columns of both weights and the code, an exact integer. It is brought to 12 bit,
    rounded half up, and held within 0 and 4095, so that all versions give the same bits. Of a scale of 1 the codes come
    out as they are.

    The coded chroma has half as many lines as luma, rounded up, whatever the picture's subsampling. A grey picture's is
    2048.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py. On the device whose memory the addresses
            are in; width and height at most 32,768. LUMA_ADDRESS 0: its pieces are 0.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none: all 0.
        crops: (M, CROP_FIELDS) int64, contiguous, same device, see `CropField`; TOP and LEFT even and at least 0, in
            samples of the coded picture, whose width and height are at most 32,768 too. An empty piece, all 0, is one
            whose ROW is below 0, and one whose picture is of less than a third or more than three times its coded width
            or height. Several may be of one picture.
    Returns: (M, 2, SAMPLES) int16: of the picture and of its reference, PIECE x PIECE luma, then U and V, CELLS x CELLS
        each, row by row, as codes of 12 bit: 16 times those of 8 bit.
    Raises: ValueError for tables of another shape, dtype or device.
    Source: R. Keys, Cubic convolution interpolation for digital image processing, IEEE Transactions on Acoustics,
        Speech, and Signal Processing 29 (6), 1981, with a = -1/2.
    """
    if not frames.is_cuda:
        return _cpu(frames, references, crops)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.coded_pieces(frames, references, crops)
    return result

"""Thumbnails show the picture: right size, right colours, from every layout that a decoder may hand over."""

import numpy as np
import pytest
import torch
from torchvision.io import decode_jpeg

from engine.evidence import thumbnail
from engine.media import Surface

RED_BT709 = (63, 102, 240)  # limited range 8 bit Y, Cb, Cr of (255, 0, 0), ITU-R BT.709-6


def surface(width, height, colour, *, depth=8, interleaved=False, shift=0, matrix=1, chroma=True):
    dtype = np.uint8 if depth == 8 else np.uint16
    scale = (1 << (depth - 8)) << shift
    y = np.full((height, width + 6), colour[0] * scale, dtype)
    cw, ch = (width + 1) // 2, (height + 1) // 2
    if interleaved:
        uv = np.empty((ch, cw, 2), dtype)
        uv[..., 0], uv[..., 1] = colour[1] * scale, colour[2] * scale
        u = v = uv.reshape(ch, cw * 2)
        addresses = (y.ctypes.data, u.ctypes.data, u.ctypes.data + dtype().itemsize)
    else:
        u, v = (np.full((ch, cw + 3), c * scale, dtype) for c in colour[1:])
        addresses = (y.ctypes.data, u.ctypes.data, v.ctypes.data)
    return Surface(
        stream="s", pts=0.0, duration=0.04,
        addresses=addresses if chroma else (addresses[0], 0, 0),
        luma_pitch=y.strides[0], chroma_pitch=u.strides[0] if chroma else 0,
        chroma_step=2 if interleaved else 1, width=width, height=height,
        chroma_width=cw if chroma else 0, chroma_height=ch if chroma else 0,
        bit_depth=depth, shift=shift, full_range=False, matrix=matrix, interlaced=False, corrupt=False,
        device="cpu", owner=(y, u, v),
    )  # fmt: skip


def picture(jpeg):
    return decode_jpeg(torch.from_numpy(np.frombuffer(jpeg, np.uint8).copy())).float().mean((1, 2)).tolist()


@pytest.mark.parametrize(
    "layout",
    [{}, {"interleaved": True}, {"depth": 10}, {"depth": 10, "interleaved": True, "shift": 6}],
    ids=["yuv420p", "nv12", "yuv420p10", "p010"],
)
def test_red_is_red_in_every_layout(layout):
    assert picture(thumbnail(surface(64, 48, RED_BT709, **layout))) == pytest.approx([255, 0, 0], abs=4)


def test_grey_pictures_have_no_colour():
    red, green, blue = picture(thumbnail(surface(33, 17, (126, 0, 0), chroma=False)))
    assert red == pytest.approx(128, abs=3)
    assert green == pytest.approx(red, abs=1)
    assert blue == pytest.approx(red, abs=1)


def test_large_pictures_shrink_and_small_ones_keep_their_size():
    big = decode_jpeg(torch.from_numpy(np.frombuffer(thumbnail(surface(1919, 1079, RED_BT709)), np.uint8).copy()))
    small = decode_jpeg(torch.from_numpy(np.frombuffer(thumbnail(surface(1, 1, RED_BT709)), np.uint8).copy()))
    assert tuple(big.shape) == (3, 180, 320)
    assert tuple(small.shape) == (3, 1, 1)

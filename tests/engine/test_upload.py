"""Uploads keep every sample; here from host memory to host memory, on a GPU to its memory."""

import ctypes

import numpy as np
import pytest
import torch

from engine.decode.upload import Uploader
from engine.errors import MeasureError
from engine.media import Surface


def picture(width, height, *, bit_depth=8, step=1, subsampling=2, extra=5, seed=0, released=None):
    """A random surface on the CPU whose rows are `extra` samples longer than its pictures."""
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    wide, high = (-(-width // subsampling), -(-height // subsampling)) if subsampling else (0, 0)
    luma = rng.integers(0, 1 << bit_depth, (height, width + extra)).astype(dtype)
    planes = [
        rng.integers(0, 1 << bit_depth, (high, wide * step + extra)).astype(dtype)
        for _ in range((3 - step) if subsampling else 0)
    ]
    size = luma.itemsize
    u = planes[0].ctypes.data if planes else 0
    v = (planes[1].ctypes.data if step == 1 else u + size) if planes else 0
    surface = Surface(
        stream="s",
        pts=1.5,
        duration=0.04,
        addresses=(luma.ctypes.data, u, v),
        luma_pitch=luma.strides[0],
        chroma_pitch=planes[0].strides[0] if planes else 0,
        chroma_step=step,
        width=width,
        height=height,
        chroma_width=wide,
        chroma_height=high,
        bit_depth=bit_depth,
        shift=0,
        full_range=False,
        matrix=1,
        interlaced=False,
        corrupt=True,
        device="cpu",
        owner=(luma, planes),
        release=(lambda: released.append(1)) if released is not None else (lambda: None),
    )
    return surface, luma[:, :width], [p[:, : wide * step] for p in planes]


def plane(surface, index, rows, samples):
    pitch = surface.luma_pitch if index == 0 else surface.chroma_pitch
    raw = (ctypes.c_ubyte * (pitch * rows)).from_address(surface.addresses[index])
    dtype = np.uint8 if surface.bit_depth == 8 else np.uint16
    return np.frombuffer(raw, np.uint8).reshape(rows, pitch).view(dtype)[:, :samples]


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (101, 37), (320, 180)])
def test_every_sample_arrives_and_rows_are_aligned(width, height, step, bit_depth):
    source, luma, chroma = picture(width, height, bit_depth=bit_depth, step=step)
    got = Uploader(torch.device("cpu")).upload(source)
    assert np.array_equal(plane(got, 0, height, width), luma)
    high, wide = chroma[0].shape
    for index, expected in enumerate(chroma):
        assert np.array_equal(plane(got, 1 + index, high, wide), expected)
    if step == 2:
        assert got.addresses[2] - got.addresses[1] == (1 if bit_depth == 8 else 2)
    assert got.luma_pitch % 128 == got.chroma_pitch % 128 == 0
    assert (got.pts, got.corrupt, got.geometry) == (1.5, True, source.geometry)


def test_grey_pictures_have_no_chroma_planes():
    source, luma, _ = picture(33, 9, subsampling=0)
    got = Uploader(torch.device("cpu")).upload(source)
    assert np.array_equal(plane(got, 0, 9, 33), luma)
    assert got.addresses[1:] == (0, 0)


def test_source_is_released_once_and_buffers_are_used_again_only_after_release():
    released = []
    uploader = Uploader(torch.device("cpu"))
    first = uploader.upload(picture(64, 32, seed=1, released=released)[0])
    source, luma, _ = picture(64, 32, seed=2, released=released)
    second = uploader.upload(source)
    assert released == [1, 1]
    assert first.addresses[0] != second.addresses[0]
    address = first.addresses[0]
    first.release()
    first.release()
    third = uploader.upload(picture(64, 32, seed=3, released=released)[0])
    fourth = uploader.upload(picture(64, 32, seed=4, released=released)[0])
    assert third.addresses[0] == address
    assert fourth.addresses[0] not in (address, second.addresses[0])
    assert np.array_equal(plane(second, 0, 32, 64), luma)
    assert uploader.uploaded_bytes == 4 * (128 * 32 + 2 * 128 * 16)


def test_surface_that_is_not_on_the_host_is_refused():
    from dataclasses import replace

    with pytest.raises(MeasureError, match="cuda:0"):
        Uploader(torch.device("cpu")).upload(replace(picture(8, 8)[0], device="cuda:0"))


@pytest.mark.gpu
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_every_sample_arrives_on_the_gpu(bit_depth):
    device = torch.device("cuda", 0)
    uploader = Uploader(device)
    with torch.cuda.stream(torch.cuda.Stream(device)):
        for seed in range(20):  # more than there are staging buffers
            source, luma, _ = picture(333, 57, bit_depth=bit_depth, seed=seed)
            got = uploader.upload(source)
            buffer = got.owner.buffer
            back = buffer.cpu().numpy()[: got.luma_pitch * 57].reshape(57, got.luma_pitch)
            assert np.array_equal(back.view(luma.dtype)[:, :333], luma)
            got.release()

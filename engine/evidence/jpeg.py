"""A small picture of a surface."""

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.media import Surface

THUMBNAIL_WIDTH = 320
JPEG_QUALITY = 80
_BT709 = (0.2126, 0.0722)
_BT601 = (0.299, 0.114)
_BT2020 = (0.2627, 0.0593)


@dataclass(frozen=True, slots=True)
class _DeviceBytes:
    """Device memory at an address, for torch: nothing is copied."""

    address: int
    size: int

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": (self.size,), "typestr": "|u1", "data": (self.address, False), "version": 3}


def _plane(surface: Surface, address: int, pitch: int, step: int, width: int, height: int, target: int) -> Tensor:
    """One component of a surface, float32 in [0, 1]: every n-th sample of every n-th row, so that at least twice
    `target` columns are left. Averaging all of them would take milliseconds from the loop, for the same picture.
    """
    every = max(1, width // (2 * target))
    sample = 1 if surface.bit_depth == 8 else 2
    size = (height - 1) * pitch + ((width - 1) * step + 1) * sample
    if surface.device == "cpu":
        raw = torch.from_numpy(np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)))
    else:
        raw = torch.as_tensor(_DeviceBytes(address, size), device=surface.device)
    low = torch.as_strided(raw, (height, width), (pitch, step * sample))[::every, ::every]
    if sample == 1:
        return low.to(torch.float32) / 255
    high = torch.as_strided(raw[1:], (height, width), (pitch, step * sample))[::every, ::every]
    code = (low.to(torch.int32) | (high.to(torch.int32) << 8)) >> surface.shift
    return code.to(torch.float32) / ((1 << surface.bit_depth) - 1)


def thumbnail(surface: Surface, width: int = THUMBNAIL_WIDTH) -> bytes:
    """A JPEG of a surface that is not yet released, at most `width` pixels wide; smaller pictures keep their size."""
    return encode(small_picture_there(surface, width))


def encode(picture: Tensor) -> bytes:
    """The JPEG of a picture, from any thread; that of a GPU is encoded there, and only the JPEG crosses.

    Args:
        picture: (3, H, W) uint8 RGB, complete.
    """
    from torchvision.io import encode_jpeg  # loads for a second, and most checks make no picture

    if not picture.is_cuda:
        return bytes(encode_jpeg(picture, quality=JPEG_QUALITY).numpy())
    with torch.cuda.stream(stream_beside(str(picture.device))):
        try:
            coded = encode_jpeg(picture, quality=JPEG_QUALITY)
        except RuntimeError:  # this torchvision, or this GPU, has no nvJPEG
            coded = encode_jpeg(picture.cpu(), quality=JPEG_QUALITY)
        return bytes(coded.cpu().numpy())


def load() -> None:
    """Load what encodes pictures now, so that the first one holds nobody up."""
    encode(torch.zeros((3, 1, 1), dtype=torch.uint8))


@cache
def stream_beside(device: str) -> Any:
    """A CUDA stream for pictures alone: what is queued for the next batches is not waited for."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def small_picture(surface: Surface, width: int = THUMBNAIL_WIDTH) -> Tensor:
    """`small_picture_there`, on the CPU."""
    picture = small_picture_there(surface, width)
    if surface.device == "cpu":
        return picture
    with torch.cuda.stream(stream_beside(surface.device)):  # whose it is; nothing runs on the default one
        return picture.cpu()


def small_picture_there(surface: Surface, width: int = THUMBNAIL_WIDTH) -> Tensor:
    """A surface in RGB, at most `width` pixels wide.

    Args:
        surface: not yet released. Its pixels are read when this returns.
        width: pixels; smaller pictures keep their size.
    Returns: (3, H, W) uint8 on the surface's device, complete.
    Source: ITU-R BT.601-7, BT.709-6, BT.2020-2 for the matrix coefficients; where the stream does not say, BT.709 from
        720 rows on, as players do.
    """
    if surface.device == "cpu":
        return _in_rgb(surface, width)
    beside = stream_beside(surface.device)
    with torch.cuda.stream(beside):
        picture = _in_rgb(surface, width)
    beside.synchronize()  # the surface is released next, and then NVDEC writes over it
    return picture


def _in_rgb(surface: Surface, width: int) -> Tensor:
    target_width = min(width, surface.width)
    target_height = max(1, round(surface.height * target_width / surface.width))
    luma = _plane(surface, surface.addresses[0], surface.luma_pitch, 1, surface.width, surface.height, target_width)
    y = _scaled(luma, target_height, target_width)
    if surface.chroma_width:
        u, v = (
            _scaled(
                _plane(surface, address, surface.chroma_pitch, surface.chroma_step,
                       surface.chroma_width, surface.chroma_height, target_width),
                target_height,
                target_width,
            )
            for address in surface.addresses[1:]
        )  # fmt: skip
        u, v = u - 128 / 255, v - 128 / 255
    else:
        u = v = torch.zeros_like(y)
    if not surface.full_range:
        y, u, v = (y - 16 / 255) * 255 / 219, u * 255 / 224, v * 255 / 224
    kr, kb = _matrix(surface)
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return (torch.stack((red, green, blue)).clamp(0, 1) * 255).round().to(torch.uint8)


def _scaled(plane: Tensor, height: int, width: int) -> Tensor:
    return torch.nn.functional.interpolate(plane[None, None], (height, width), mode="area")[0, 0]


def _matrix(surface: Surface) -> tuple[float, float]:
    """Kr and Kb."""
    if surface.matrix in (9, 10):
        return _BT2020
    if surface.matrix == 1 or (surface.matrix == 2 and surface.height >= 720):
        return _BT709
    return _BT601

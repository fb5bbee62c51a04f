"""Surfaces without a decoder: random NV12 pictures in device memory, for what comes after decoding."""

import torch
from torch import Tensor

from engine.media import Surface


def make_surface(
    stream: str, device: torch.device, width: int, height: int, *, bit_depth: int = 8, pts: float = 0.0, seed: int = 0
) -> Surface:
    """One random NV12 or P016 picture.

    Args:
        stream: whose it is.
        device: where.
        width, height: even, in samples.
        bit_depth: 8, or 10 as P016.
        pts: media seconds.
        seed: of its content.
    """
    draw = torch.Generator(device=device).manual_seed(seed)
    # Numbers of few levels per place: noise of the full range has no flat areas, and no edge search ends in it.
    coarse = torch.randint(0, 256, (height * 3 // 2 // 8 + 1, width // 8 + 1), generator=draw, device=device)
    smooth = coarse.repeat_interleave(8, 0).repeat_interleave(8, 1)[: height * 3 // 2, :width]
    fine = torch.randint(0, 8, smooth.shape, generator=draw, device=device)
    samples = (smooth + fine).clamp(0, 255)
    planes: Tensor = samples.to(torch.uint8)
    if bit_depth > 8:
        planes = (samples << (bit_depth - 8) << (16 - bit_depth)).to(torch.uint16)
    planes = planes.contiguous()
    size = planes.element_size()
    base, pitch = planes.data_ptr(), width * size
    return Surface(
        stream=stream,
        pts=pts,
        duration=1 / 30,
        addresses=(base, base + pitch * height, base + pitch * height + size),
        luma_pitch=pitch,
        chroma_pitch=pitch,
        chroma_step=2,
        width=width,
        height=height,
        chroma_width=width // 2,
        chroma_height=height // 2,
        bit_depth=bit_depth,
        shift=16 - bit_depth if bit_depth > 8 else 0,
        full_range=False,
        matrix=1,
        interlaced=False,
        corrupt=False,
        device=str(device),
        owner=planes,
    )


def copy_to_host(surface: Surface) -> Surface:
    """The same picture in host memory, for checking a GPU's numbers against the CPU's."""
    from dataclasses import replace

    planes: Tensor = surface.owner.cpu()
    shift = planes.data_ptr() - surface.owner.data_ptr()
    y, u, v = surface.addresses
    return replace(surface, addresses=(y + shift, u + shift, v + shift), device="cpu", owner=planes)


def picture_bytes(surface: Surface) -> int:
    """Bytes of all planes."""
    return surface.luma_pitch * surface.height + surface.chroma_pitch * surface.chroma_height

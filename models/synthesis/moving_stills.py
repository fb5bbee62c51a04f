"""Photographs that move as if a camera passed over them: texture and light that few clips show, to train on.

Some are shown as a screen shows them instead (moving_screens), and drawings and screenshots, which are PNG, more often.

Every picture of a window is the photograph seen through a frame that travels, comes nearer and turns a little; before
some windows lies a part of it that moves on its own, as people before a wall do. What is made is 8 bit 4:2:0 of limited
range, as of a clip.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.synthesis.moving_screens import screen_film
from models.synthesis.picture import Picture

STILL_SUFFIXES: Final = frozenset((".jpg", ".jpeg", ".png", ".webp"))
RATE: Final = Fraction(25)
# The photograph is brought to so many times the size of what is shown of it.
_ROOM: Final = (1.4, 3.0)
# Samples a picture that the view travels at most, and that what lies before it does.
_PAN: Final = 6.0
_RUN: Final = 10.0
# Ranges of what is changed by the window's end: zoom, and degrees.
_ZOOM: Final = 0.25
_TURN: Final = 6.0
# Share of the windows that show the image as a screen does: of drawings, and of what a camera took.
_SCREENS_DRAWN: Final = 0.6
_SCREENS_TAKEN: Final = 0.15
_DRAWN: Final = ".png"
# Codes of 8 bits: the most spread of a sensor's noise.
_GRAIN: Final = 2.5


def moving_windows(
    path: Path, rng: np.random.Generator, count: int, size: tuple[int, int], lead: int, length: int,
    screens: float | None = None,
) -> Iterator[tuple[list[Picture], list[Picture], Fraction]]:  # fmt: skip
    """Parts of a film over a photograph.

    Args:
        path: of an image that libav reads.
        rng: chooses how it moves.
        count: of parts, each with a movement of its own.
        size: rows and columns of a picture, both even.
        lead, length: pictures before a part, and of a part.
        screens: share of the parts that show the image as a screen does; None: by the kind of file.
    Returns: pictures before a window, the window, and its rate; nothing where the photograph is smaller than a picture.
    """
    opened: Any = av.open(str(path), metadata_errors="replace")
    with opened as container:
        frame = next(container.decode(video=0), None)
    if frame is None or frame.height < size[0] or frame.width < size[1]:
        return
    if screens is None:
        screens = _SCREENS_DRAWN if path.suffix.lower() == _DRAWN else _SCREENS_TAKEN
    for _ in range(count):
        room = rng.uniform(*_ROOM) * max(size[0] / frame.height, size[1] / frame.width)
        # Never larger than it was taken: what is stretched has no detail.
        scale = min(1.0, max(room, size[0] / frame.height, size[1] / frame.width))
        scaled = frame.reformat(
            width=max(size[1], round(frame.width * scale)),
            height=max(size[0], round(frame.height * scale)),
            format="yuv444p",
            dst_color_range="MPEG",
            interpolation="AREA",
        )
        planes = torch.from_numpy(scaled.to_ndarray().astype(np.float32))[None]
        film = screen_film if rng.random() < screens else _film
        pictures = list(film(planes, rng, size, lead + length))
        yield pictures[:lead], pictures[lead:], RATE


def _film(planes: Tensor, rng: np.random.Generator, size: tuple[int, int], count: int) -> Iterator[Picture]:
    """(1, 3, rows, columns) -> so many pictures of it."""
    still = rng.random() < 0.15
    view = _path(rng, planes.shape[2:], size, 0.0 if still else _PAN, count)
    before = _path(rng, planes.shape[2:], size, 0.0, count) if rng.random() < 0.5 else None
    zoom = 1.0 if still else 1 + rng.uniform(-_ZOOM, _ZOOM)
    turn = 0.0 if still else np.deg2rad(rng.normal(0, _TURN / 2)) * (rng.random() < 0.3)
    half = np.array(size) / 2
    middle, radius = rng.random(2) * size, rng.uniform(0.1, 0.35, 2) * size
    speed = rng.normal(0, _RUN / 2, 2)
    grain = rng.uniform(0, _GRAIN) * (rng.random() < 0.6)
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    for index in range(count):
        done = index / count
        seen = _seen(planes, view[index], size, zoom**done, turn * done)
        if before is not None:
            # What leaves on one side comes in on the other, from where nothing of it shows.
            at = (middle + speed * index + half) % (4 * half) - half
            away = np.hypot((y - at[0]) / radius[0], (x - at[1]) / radius[1])
            # A border two samples soft.
            share = np.clip((1 - away) * radius.min() / 2, 0, 1).astype(np.float32)
            seen = seen + (_seen(planes, before[index], size, 1.0, 0.0) - seen) * torch.from_numpy(share)
        yield _picture(seen, grain, rng)


def _path(
    rng: np.random.Generator, whole: tuple[int, ...], size: tuple[int, int], fastest: float, count: int
) -> npt.NDArray[np.float64]:
    """(count, 2): where the middle of what is seen lies, in samples; as far as the photograph goes."""
    half = np.array(size) / 2
    limits = half, np.array(whole) - half
    start = limits[0] + rng.random(2) * (limits[1] - limits[0])
    speed = rng.uniform(-fastest, fastest, 2) * (rng.random(2) < 0.8)
    sway, period = rng.uniform(0, fastest, 2) * (rng.random() < 0.4), rng.uniform(8, 40)
    index = np.arange(count)[:, None]
    there = start + speed * index + sway * np.sin(2 * np.pi * index / period)
    # At its edge the camera turns round.
    span = np.maximum(limits[1] - limits[0], 1e-6)
    folded = np.abs((there - limits[0] + span) % (2 * span) - span)
    found: npt.NDArray[np.float64] = limits[0] + folded
    return found


def _seen(planes: Tensor, middle: npt.NDArray[np.float64], size: tuple[int, int], zoom: float, turn: float) -> Tensor:
    """(3, rows, columns): what is seen around a place."""
    rows, columns = planes.shape[2:]
    y = (torch.arange(size[0], dtype=torch.float32) - (size[0] - 1) / 2)[:, None] / zoom
    x = (torch.arange(size[1], dtype=torch.float32) - (size[1] - 1) / 2)[None, :] / zoom
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    down = float(middle[0]) + cosine * y + sine * x
    right = float(middle[1]) + cosine * x - sine * y
    grid = torch.stack([2 * right / columns - 1, 2 * down / rows - 1], dim=-1)[None]
    return functional.grid_sample(planes, grid, mode="bicubic", padding_mode="reflection", align_corners=False)[0]


def _picture(seen: Tensor, grain: float, rng: np.random.Generator) -> Picture:
    """8 bit 4:2:0, with a sensor's noise."""
    luma = seen[0].numpy()
    if grain:
        luma = luma + rng.normal(0, grain, luma.shape).astype(np.float32)
    chroma = functional.avg_pool2d(seen[None, 1:], 2)[0].numpy()
    y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, *chroma))
    return y, u, v

"""What the demo's channels show: a studio, a match and a landscape, drawn from nothing.

They are the same at a loop's end as at its beginning. Everything moves a little, and everything has a texture: what is
still, flat or without an edge is a defect to detectors.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

WIDTH: Final = 384
HEIGHT: Final = 216

Plane = npt.NDArray[np.float32]
Distance = npt.NDArray[np.floating[Any]]
Picture = npt.NDArray[np.float32]
"""(HEIGHT, WIDTH, 3) RGB, 0 to 255."""
Colour = tuple[float, float, float]


@cache
def _places() -> tuple[Plane, Plane]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return x, y


def _inside(distance: Distance) -> Plane:
    """1 within, 0 without, and a pixel and a half between them."""
    return np.clip(0.5 - distance / 1.5, 0.0, 1.0).astype(np.float32)


def _colour(red: float, green: float, blue: float) -> npt.NDArray[np.float32]:
    return np.array((red, green, blue), np.float32)


def _cover(image: Picture, share: Plane, colour: Colour) -> None:
    image += share[..., None] * (np.asarray(colour, np.float32) - image)


def _window(left: float, top: float, right: float, bottom: float) -> tuple[slice, slice] | None:
    """The part of the picture that a shape touches."""
    x0, x1 = max(0, int(left) - 2), min(WIDTH, int(right) + 3)
    y0, y1 = max(0, int(top) - 2), min(HEIGHT, int(bottom) + 3)
    return (slice(y0, y1), slice(x0, x1)) if x0 < x1 and y0 < y1 else None


def _ellipse(image: Picture, cx: float, cy: float, rx: float, ry: float, colour: Colour, opacity: float = 1.0) -> None:
    window = _window(cx - rx, cy - ry, cx + rx, cy + ry)
    if window is not None:
        x, y = (plane[window] for plane in _places())
        away = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        _cover(image[window], opacity * _inside((away - 1.0) * min(rx, ry)), colour)


def _box(image: Picture, left: float, top: float, right: float, bottom: float, colour: Colour,
         opacity: float = 1.0) -> None:  # fmt: skip
    window = _window(left, top, right, bottom)
    if window is not None:
        x, y = (plane[window] for plane in _places())
        away = np.maximum(np.maximum(left - x, x - right), np.maximum(top - y, y - bottom))
        _cover(image[window], opacity * _inside(away), colour)


def _shaded(low: Colour, high: Colour, share: Plane) -> Picture:
    first, last = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return (first + np.clip(share, 0.0, 1.0)[..., None] * (last - first)).astype(np.float32)


@cache
def _letters(count: int, seed: int) -> Plane:
    """(12, count) of something that looks like a line of text from afar."""
    draw = np.random.default_rng(seed)
    line = np.zeros((12, count), np.float32)
    at = 2
    while at < count - 12:
        for _ in range(int(draw.integers(2, 8))):
            if at >= count - 12:
                break
            wide = int(draw.integers(3, 6))
            line[2:10, at] = 1.0
            line[int(draw.integers(2, 5)), at : at + wide] = 1.0
            line[int(draw.integers(6, 10)), at : at + wide] = 1.0
            if draw.random() < 0.5:
                line[2:10, at + wide - 1] = 1.0
            at += wide + 2
        at += 6
    return line


def studio(turn: float, cycles: int) -> Picture:
    """Somebody reads the news before a turning globe; a line of text runs below.

    Args:
        turn: 0 to 2 pi over the loop.
        cycles: of its slowest motion.
    """
    x, y = _places()
    light = y / HEIGHT + 0.25 * np.sin(x / 60 + cycles * turn)
    image = _shaded((18, 34, 84), (40, 96, 170), light.astype(np.float32))
    for index in range(5):  # panels of light
        left = 20 + 80 * index + 10 * math.sin(cycles * turn + index)
        _box(image, left, 8, left + 34, 150, (120, 190, 250), 0.25)
    _globe(image, 104.0, 86.0, 62.0, cycles * turn)
    sway, nod = 3.0 * math.sin(2 * cycles * turn), 1.5 * math.sin(3 * cycles * turn)
    cx, cy = 262 + sway, 92 + nod
    _ellipse(image, cx, 190, 66, 70, (44, 40, 58))
    _ellipse(image, cx, cy - 10, 30, 34, (60, 40, 30))
    _box(image, cx - 10, cy + 18, cx + 10, cy + 44, (206, 156, 128))
    _ellipse(image, cx, cy, 24, 31, (226, 176, 146))
    for side in (-9, 9):
        _ellipse(image, cx + side, cy - 4, 3.2, 2.2, (40, 34, 40))
    talks = 2.0 + 1.8 * abs(math.sin(11 * cycles * turn))
    _ellipse(image, cx, cy + 15, 7, talks, (150, 60, 66))
    _ellipse(image, cx, cy + 62, 12, 26, (236, 236, 240))
    _ellipse(image, cx, cy + 64, 4.5, 26, (190, 44, 60))
    _box(image, 0, 166, WIDTH, 178, (92, 60, 44))
    _box(image, 14, 182, WIDTH - 14, 206, (236, 240, 246))
    _box(image, 14, 182, 74, 206, (200, 36, 48))
    line = np.roll(_letters(600, 3), -int(600 * cycles * turn / (2 * math.pi)), axis=1)[:, : WIDTH - 100]
    image[188:200, 80 : 80 + line.shape[1]] -= line[..., None] * _colour(190, 180, 160)
    image[188:200, 22:70] += _letters(48, 9)[..., None] * _colour(50, 200, 190)
    return image


def _globe(image: Picture, cx: float, cy: float, radius: float, turned: float) -> None:
    window = slice(int(cy - radius) - 2, int(cy + radius) + 3), slice(int(cx - radius) - 2, int(cx + radius) + 3)
    x, y = (plane[window] for plane in _places())
    across, up = (x - cx) / radius, (y - cy) / radius
    depth = np.sqrt(np.clip(1 - across**2 - up**2, 0.0, 1.0))
    longitude = np.arctan2(across, depth) + turned
    land = np.sin(3 * longitude) + np.sin(2 * longitude + 4 * up) + np.cos(5 * up + longitude)
    globe = np.where((land > 0.5)[..., None], _colour(86, 190, 130), _colour(24, 70, 150))
    globe = globe * (0.45 + 0.65 * depth)[..., None]
    image[window] += _inside((np.hypot(across, up) - 1.0) * radius)[..., None] * (globe - image[window])


def match(turn: float, cycles: int) -> Picture:
    """Two teams and a ball on a striped pitch, which the camera follows."""
    x, y = _places()
    pan = 60 * math.sin(cycles * turn)
    across = x + pan
    stripes = (np.floor(across / 32) % 2).astype(np.float32)
    image = _shaded((44, 128, 54), (62, 158, 70), stripes)
    near = np.abs(across - WIDTH / 2) - 1.2
    ring = np.abs(np.sqrt((across - WIDTH / 2) ** 2 + (y - 112) ** 2) - 44) - 1.2
    edges = np.minimum(np.abs(y - 22), np.abs(y - 202)) - 1.2
    for line in (near, ring, edges):
        _cover(image, 0.9 * _inside(line.astype(np.float32)), (240, 244, 240))
    for goal in (-40, WIDTH + 40):
        box = np.maximum(np.abs(across - goal) - 70, np.abs(y - 112) - 52)
        _cover(image, 0.9 * _inside((np.abs(box) - 1.2).astype(np.float32)), (240, 244, 240))
    shirts = ((214, 48, 52), (244, 214, 70))
    for index in range(14):
        team = index % 2
        px = WIDTH * (0.1 + 0.8 * ((index * 0.618) % 1)) + 34 * math.sin((cycles + index % 3) * turn + index) - pan
        py = 36 + 150 * ((index * 0.382) % 1) + 22 * math.cos((2 * cycles + index % 2) * turn + 2 * index)
        step = 1.4 * math.sin(13 * cycles * turn + index)
        _ellipse(image, px + 6, py + 9, 8, 3, (10, 50, 16), 0.5)
        for leg in (-2.2, 2.2):
            foot = py + 10 + math.copysign(step, leg)
            _box(image, px + leg - 1.2, py + 4, px + leg + 1.2, foot, (235, 235, 240))
        _ellipse(image, px, py, 5, 6.5, shirts[team])
        _ellipse(image, px, py - 8, 3.2, 3.4, (228, 180, 150) if index % 3 else (120, 80, 60))
    bx = WIDTH * (0.5 + 0.33 * math.sin(2 * cycles * turn)) - 0.5 * pan
    by = 112 + 64 * math.cos(3 * cycles * turn)
    _ellipse(image, bx + 3, by + 4, 4, 2, (10, 50, 16), 0.5)
    _ellipse(image, bx, by, 3.6, 3.6, (250, 250, 250))
    _box(image, 14, 12, 128, 30, (24, 30, 40))
    _box(image, 18, 16, 30, 26, shirts[0])
    _box(image, 112, 16, 124, 26, shirts[1])
    image[15:27, 36:106] += _letters(70, 5)[..., None] * _colour(190, 190, 190)
    return image


def landscape(turn: float, cycles: int) -> Picture:
    """A low sun over ridges that pass by, and a lake."""
    x, y = _places()
    image = _shaded((74, 60, 128), (250, 156, 90), (y / 130).astype(np.float32))
    sx, sy = 250 + 14 * math.sin(cycles * turn), 84 + 8 * math.cos(cycles * turn)
    glow = np.exp(-(((x - sx) / 60) ** 2 + ((y - sy) / 46) ** 2)).astype(np.float32)
    _cover(image, 0.6 * glow, (255, 220, 150))
    _ellipse(image, sx, sy, 19, 19, (255, 242, 206))
    for cloud in range(4):
        cx = (110 * cloud + WIDTH * 1.5 * cycles * turn / (2 * math.pi)) % (WIDTH * 1.5) - 90
        for part in range(3):
            _ellipse(image, cx + 26 * part, 28 + 11 * (cloud % 3) + 4 * (part % 2), 30, 8, (250, 206, 186), 0.55)
    lap = 2 * math.pi / WIDTH
    for base, size, speed, colour in (
        (112, 15, 1, (112, 84, 130)), (128, 17, 2, (74, 58, 104)), (146, 14, 3, (38, 40, 66)),
    ):  # fmt: skip
        along = lap * x + speed * cycles * turn
        ridge = base - size * (0.5 * np.sin(2 * along) + 0.3 * np.sin(5 * along + 1) + 0.2 * np.sin(11 * along + 2))
        _cover(image, _inside((ridge - y).astype(np.float32)), colour)
    lake = _inside((156 - y).astype(np.float32))
    waves = np.sin(y * 1.1 + 6 * cycles * turn + 2 * np.sin(x / 23 + 2 * cycles * turn))
    mirrored = 0.32 + 0.22 * waves * np.exp(-(((x - sx) / 90) ** 2))
    water = _shaded((46, 44, 82), (236, 150, 104), mirrored.astype(np.float32))
    image += lake[..., None] * (water - image)
    _cover(image, 0.5 * lake * (waves > 0.8) * np.exp(-(((x - sx) / 26) ** 2)).astype(np.float32), (255, 236, 190))
    boat = 90 + 40 * math.sin(cycles * turn + 1)
    _ellipse(image, boat, 184 + math.sin(4 * cycles * turn), 20, 5, (30, 26, 36))
    sail = np.maximum(np.abs(x - boat) * 2.2 - (y - 146), y - 180)
    _cover(image, _inside(sail.astype(np.float32)), (240, 232, 220))
    return image


SCENES: Final[dict[str, Callable[[float, int], Picture]]] = {"news": studio, "sport": match, "films": landscape}

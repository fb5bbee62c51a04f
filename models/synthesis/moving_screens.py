"""Photographs, drawings and screenshots shown as a screen shows them: what pops up, slides, scrolls and is changed.

Nothing of it moves as a camera does: whole samples at a time, all of a window alike, and at once. A viewer takes none
of it for damage, though much of it is a block that was not there a picture before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from models.synthesis.picture import Picture

# Windows at most, samples a picture that they travel, and pictures over which one fades in or out.
_WINDOWS: Final = 6
_DRAG: Final = 8.0
_FADE: Final = 6
# Samples a picture that a page scrolls.
_SCROLL: Final = 24
# Share of the grounds that are changed for another, as a slide is.
_SLIDES: Final = 0.4
_LIMITED: Final = (16, 235)

Planes = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """A rectangle before the ground.

    Args:
        shown: (3, rows, columns), what is on it.
        at: row and column of its corner when the film begins.
        speed: samples that it travels with each picture.
        begin, end: first picture that shows it, and the first that no longer does.
        fade: pictures that it takes to come and to go; 0: at once.
    """

    shown: Planes
    at: npt.NDArray[np.float64]
    speed: npt.NDArray[np.float64]
    begin: int
    end: int
    fade: int

    def share(self, index: int) -> float:
        """How much of it is seen, from 0 to 1."""
        if not self.begin <= index < self.end:
            return 0.0
        return 1.0 if not self.fade else min(1.0, (index - self.begin + 1) / self.fade, (self.end - index) / self.fade)


def screen_film(planes: Tensor, rng: np.random.Generator, size: tuple[int, int], count: int) -> Iterator[Picture]:
    """Pictures of a screen that shows parts of an image.

    Args:
        planes: (1, 3, rows, columns) float32, 4:4:4 of limited range, at least as large as a picture.
        rng: chooses what is shown.
        size: rows and columns of a picture, both even.
        count: of pictures.
    """
    image: Planes = planes[0].numpy()
    grounds = [_part(image, rng, size) for _ in range(2)]
    change = int(rng.integers(1, count)) if rng.random() < _SLIDES else count
    begin, end = sorted(int(n) for n in rng.integers(0, count, 2))
    scroll = int(rng.integers(-_SCROLL, _SCROLL + 1)) * (rng.random() < 0.4)
    across = int(rng.random() < 0.2)
    windows = [_window(image, rng, size, count) for _ in range(int(rng.integers(1, _WINDOWS + 1)))]
    for index in range(count):
        far = scroll * (min(max(index, begin), end) - begin)
        canvas = np.roll(grounds[index >= change], far, axis=1 + across)
        for window in windows:
            _lay(canvas, window, index)
        chroma = functional.avg_pool2d(Tensor(canvas[None, 1:]), 2)[0].numpy()
        y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (canvas[0], *chroma))
        yield y, u, v


def _part(image: Planes, rng: np.random.Generator, size: tuple[int, int]) -> Planes:
    """(3, rows, columns): somewhere out of an image."""
    rows, columns = (min(wanted, there) for wanted, there in zip(size, image.shape[1:], strict=True))
    top, left = int(rng.integers(image.shape[1] - rows + 1)), int(rng.integers(image.shape[2] - columns + 1))
    return image[:, top : top + rows, left : left + columns].copy()


def _window(image: Planes, rng: np.random.Generator, size: tuple[int, int], count: int) -> _Window:
    """A window, a menu, a caption or a button."""
    # Log-uniform: buttons are as common as windows.
    tall, wide = (int(np.exp(rng.uniform(np.log(8), np.log(0.8 * side)))) for side in size)
    shown = _part(image, rng, (tall, wide))
    kind = rng.random()
    if kind < 0.25:
        shown[:] = _colour(rng)
    elif kind < 0.4:  # what is chosen is shaded
        shown[:] = 0.5 * shown + 0.5 * _colour(rng)
    if rng.random() < 0.4:
        border = int(rng.integers(1, 4))
        framed = np.broadcast_to(_colour(rng), shown.shape).copy()
        framed[:, border:-border, border:-border] = shown[:, border:-border, border:-border]
        shown = framed
    begin = 0 if rng.random() < 0.3 else int(rng.integers(1, count))
    end = count if rng.random() < 0.4 else begin + int(rng.integers(1, count))
    speed = np.rint(rng.normal(0, _DRAG, 2)) * (rng.random(2) < 0.7) if rng.random() < 0.4 else np.zeros(2)
    fade = int(rng.integers(2, _FADE + 1)) if rng.random() < 0.3 else 0
    # Whole windows, and such as lie over an edge of the screen.
    at = np.floor(rng.random(2) * np.array(size)) - np.array([tall, wide]) * rng.uniform(0, 0.5)
    return _Window(shown, np.rint(at - speed * begin), speed, begin, end, fade)


def _lay(canvas: Planes, window: _Window, index: int) -> None:
    """Show a window, as far as it lies on the screen."""
    share = window.share(index)
    if not share:
        return
    top, left = (int(n) for n in window.at + window.speed * index)
    tall, wide = window.shown.shape[1:]
    part = canvas[:, max(0, top) : max(0, top + tall), max(0, left) : max(0, left + wide)]
    rows, columns = part.shape[1:]
    above, beside = max(0, -top), max(0, -left)
    part += share * (window.shown[:, above : above + rows, beside : beside + columns] - part)


def _colour(rng: np.random.Generator) -> Planes:
    """(3, 1, 1): one colour."""
    found: Planes = np.array([rng.uniform(*_LIMITED), *rng.uniform(60, 200, 2)], np.float32)[:, None, None]
    return found

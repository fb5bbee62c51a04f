"""Parts of clips, and of made-up graphics, that training data is made of."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from models.artifact_net import PIECE, TILE
from models.synthesis.moving_stills import STILL_SUFFIXES, moving_windows
from models.synthesis.picture import Picture
from models.synthesis.picture_clip import planes_of

WIDTH: Final = 384
HEIGHT: Final = 256
SHORT, LONG = 10, 36
# Pictures that a clip shows before a window, where they are asked for.
LEAD: Final = 30
# MPEG-2 has no others (ISO/IEC 13818-2, table 6-4), unless a coder's extension makes some.
_RATES: Final = (
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50),
    Fraction(60000, 1001), Fraction(60),
)  # fmt: skip


class ClipError(Exception):
    """A file that libav reads no pictures from, or not to the end."""


def coded_rate(rate: Fraction) -> Fraction:
    """The nearest rate that every coder has: MPEG-2 has few."""
    return min(_RATES, key=lambda known: abs(known - rate))


def windows(
    path: Path, rng: np.random.Generator, count: int, steps: Sequence[int] = (1,), larger: int = 1
) -> Iterator[tuple[list[Picture], Fraction]]:
    """Parts of a clip, LONG pictures of at most WIDTH x HEIGHT samples at the clip's own resolution, 8 bit 4:2:0.

    Args:
        path: of a file that libav reads; of a photograph, a film over it.
        rng: chooses places and times.
        count: of parts; fewer where the clip is short.
        steps: of each part one of these pictures is taken, by chance, where the clip is long enough: things move as
            much further from one picture to the next.
    """
    for _, part, rate in led_windows(path, rng, count, steps, 0):
        yield part, rate


def led_windows(
    path: Path, rng: np.random.Generator, count: int, steps: Sequence[int] = (1,), lead: int = LEAD, larger: int = 1
) -> Iterator[tuple[list[Picture], list[Picture], Fraction]]:
    """As `windows`, the same of them, each with what the clip shows before it.

    Args:
        path, rng, count, steps, larger: as for `windows`.
        lead: most pictures before; fewer where the clip begins.
    Returns: pictures before a window, the window, and its rate.
    Raises: ClipError if the file cannot be read.
    """
    size = HEIGHT * larger, WIDTH * larger
    try:
        if path.suffix.lower() in STILL_SUFFIXES:
            yield from moving_windows(path, rng, count, size, lead, LONG)
        else:
            yield from _clip_windows(path, rng, count, steps, lead, size)
    except (av.error.FFmpegError, IndexError) as error:  # IndexError: no pictures in it
        raise ClipError(f"{path.name}: {error}") from error


def _clip_windows(
    path: Path, rng: np.random.Generator, count: int, steps: Sequence[int], lead: int, size: tuple[int, int]
) -> Iterator[tuple[list[Picture], list[Picture], Fraction]]:
    """`led_windows` of a clip."""
    opened: Any = av.open(str(path), metadata_errors="replace")
    with opened as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        known = float(container.duration or 0) / 1e6 * float(rate)
        total = min(int(known) or 2 * LONG, 900)
        possible = [step for step in steps if step * LONG <= total] or [1]
        taken = [int(rng.choice(possible)) if len(steps) > 1 else 1 for _ in range(count)]
        starts = sorted((int(rng.integers(0, max(1, total - LONG * step))), step) for step in taken)
        place = rng.random((count, 2))
        parts: list[list[Picture]] = [[] for _ in starts]
        leads: list[list[Picture]] = [[] for _ in starts]
        for index, frame in enumerate(_frames(container, stream)):
            if all(index >= start + LONG * step for start, step in starts):
                break
            wanted = [
                k
                for k, (start, step) in enumerate(starts)
                if index in range(start - lead * step, start + LONG * step, step)
            ]
            if not wanted:
                continue
            whole = planes_of(frame.reformat(format="yuv420p"), 8)
            height, width = whole[0].shape
            h, w = (min(most, n // TILE * TILE) for most, n in zip(size, (height, width), strict=True))
            for k in wanted:
                top, left = (int(r * (size - part) / 2) * 2 for r, size, part in zip(place[k], (height, width), (h, w),
                                                                                     strict=True))  # fmt: skip
                y, u, v = (
                    plane[top // s : (top + h) // s, left // s : (left + w) // s].copy()
                    for plane, s in zip(whole, (1, 2, 2), strict=True)
                )
                (parts if index >= starts[k][0] else leads)[k].append((y, u, v))
    for before, part in zip(leads, parts, strict=True):
        if len(part) == LONG and min(part[0][0].shape) >= PIECE:
            yield before, part, coded_rate(rate)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """The pictures of a stream; Theora's packets without a byte, which say that nothing changed, show none."""
    for packet in container.demux(stream):
        if packet.size or packet.pts is None:  # the last one is empty too, and asks for what is left
            yield from packet.decode()


def graphics(rng: np.random.Generator) -> list[Picture]:
    """LONG pictures of what a graphics machine shows: flat and shaded areas, boxes and text, that move and pop up."""
    scale = 16 if rng.random() < 0.5 else 1
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    ground = [float(rng.integers(16, 235)), float(rng.integers(60, 200)), float(rng.integers(60, 200))]
    slope = rng.normal(0, 0.15, 2) if rng.random() < 0.5 else np.zeros(2)
    things = []
    for _ in range(int(rng.integers(3, 14))):
        size = rng.integers(1, [10, 16]) * (scale if scale > 1 else int(rng.integers(5, 17)))
        begin = 0 if rng.random() < 0.5 else int(rng.integers(1, LONG))
        end = LONG if rng.random() < 0.5 else begin + int(rng.integers(1, LONG))
        at = rng.random(2) * [HEIGHT, WIDTH] // scale * scale
        speed = np.zeros(2) if rng.random() < 0.5 else rng.normal(0, 4, 2)
        colour = [float(rng.integers(16, 235)), float(rng.integers(40, 220)), float(rng.integers(40, 220))]
        glyphs = rng.random((int(size[0]) // 4 + 1, int(size[1]) // 3 + 1)) < 0.5 if rng.random() < 0.5 else None
        things.append((begin, end, at, speed, size, colour, glyphs))
    pictures: list[Picture] = []
    for index in range(LONG):
        canvas = [np.full((HEIGHT, WIDTH), level) for level in ground]
        canvas[0] += slope[0] * y + slope[1] * x
        for begin, end, at, speed, size, colour, glyphs in things:
            if not begin <= index < end:
                continue
            top, left = (at + speed * index).astype(int)
            rows, columns = (slice(max(0, a), max(0, a + int(s))) for a, s in zip((top, left), size, strict=True))
            part = canvas[0][rows, columns]
            if not part.size:
                continue
            mask: npt.NDArray[np.bool_] = np.ones(part.shape, bool)
            if glyphs is not None:
                mask = np.kron(glyphs, np.ones((4, 3), bool))[: part.shape[0], : part.shape[1]]
                mask = np.pad(mask, [(0, part.shape[0] - mask.shape[0]), (0, part.shape[1] - mask.shape[1])])
            for plane, level in zip(canvas, colour, strict=True):
                plane[rows, columns] = np.where(mask, level, plane[rows, columns])
        luma, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in canvas)
        pictures.append((luma, u[::2, ::2].copy(), v[::2, ::2].copy()))
    return pictures

"""Pictures without a defect, and with what only looks like one: cuts, captions, fades, effects that are meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.artifact_net import TILE
from models.synthesis.coded_pictures import coded
from models.synthesis.picture import Picture, Plane
from models.synthesis.picture_windows import LONG
from models.synthesis.tile_truth import Case, clean_truth, unsure

# A cut, a caption, a fade or a wipe that is no damage, in this share of the clean pieces.
_HARD_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Leads:
    """What was shown before windows.

    Args:
        own: before the window.
        other: before the other one.
    """

    own: Sequence[Picture] = ()
    other: Sequence[Picture] = ()


def clean_cases(
    window: Sequence[Picture], other: Sequence[Picture], rate: Fraction, rng: np.random.Generator, each: int,
    leads: Leads | None = None,
) -> Iterator[Case]:  # fmt: skip
    """Pictures without a defect, and with what only looks like one: cuts, captions, fades, wipes, coarse motion.

    Args:
        window, other: parts of clips.
        rate: pictures per second.
        rng: of what is random.
        each: pictures.
        leads: None: cases come without what was shown before.
    """
    pictures: Sequence[Picture] = window
    if rng.random() < 0.6:
        pictures = coded(window, rate, rng)
    if len(pictures) != len(window):
        return
    for k in rng.permutation(np.arange(1, LONG))[:each]:
        now, earlier, kind = pictures[int(k)], pictures[int(k) - 1], "clean"
        truth = clean_truth(now)
        before: Sequence[Picture] = () if leads is None else [*leads.own, *pictures[: int(k) - 1]]
        if rng.random() < _HARD_SHARE:
            if rng.random() < 0.5:
                kind, earlier, now, before = _harmless(earlier, now, window, other, rng, before, leads)
            else:
                kind, earlier, now, doubtful, seed = _effect(int(k), pictures, other, rng)
                truth = unsure(clean_truth(now), doubtful)
                before = () if leads is None else _looked_so(kind, int(k), pictures, other, seed, leads)
        yield Case(earlier, now, truth, kind, before)


# What a look that is meant leaves nobody able to tell.
_DOUBTFUL: Final[Mapping[str, tuple[str, ...]]] = {
    "split": ("tearing",),
    "glitch": ("tearing", "dropout", "colour", "noise", "combing", "ringing"),
    "grain": ("noise", "blur", "banding", "ringing"),
    "dark": ("noise", "blur", "banding", "blockiness"),
    "mosaic": ("blockiness", "blur", "banding", "ringing"),
    "strobe": ("banding", "blur", "colour"),
    "pan": (),
    "dissolve": ("blur", "banding", "ringing"),
    "zoom": ("blur", "ringing"),
}


def _effect(
    k: int, pictures: Sequence[Picture], other: Sequence[Picture], rng: np.random.Generator
) -> tuple[str, Picture, Picture, tuple[str, ...], int]:
    """Two successive pictures of something that is meant to look so, and the labels that nobody can tell of it; and the
    seed of what all its pictures have in common.
    """
    kind = str(rng.choice(list(_DOUBTFUL)))
    seed = int(rng.integers(1 << 30))
    two = [_look(kind, step, pictures[k - 1 + step], pictures, other[k - 1 + step], seed) for step in (0, 1)]
    return kind, two[0], two[1], _DOUBTFUL[kind], seed


# Pictures that a glitch lasts at most; what else is meant to look so does for as long as anybody knows.
_GLITCH: Final = 7
# What begins with a window, whose first picture it shows.
_BEGIN: Final = ("pan", "zoom", "glitch")


def _looked_so(
    kind: str, k: int, pictures: Sequence[Picture], other: Sequence[Picture], seed: int, leads: Leads
) -> list[Picture]:
    """What was shown before the first of the two pictures of `_effect`, number k - 1: it looked so already."""
    lasts = int(np.random.default_rng((seed, 99)).integers(0, _GLITCH)) if kind == "glitch" else LONG
    own = [
        _look(kind, n + 1 - k, pictures[n], pictures, other[n], seed) if k - 1 - n <= lasts else pictures[n]
        for n in range(k - 1)
    ]
    if kind in _BEGIN:
        return [*leads.own, *own]
    count = len(leads.own)
    beside = leads.other if len(leads.other) == count else [other[0]] * count
    return [
        *(
            _look(kind, n - count + 1 - k, picture, pictures, also, seed)
            for n, (picture, also) in enumerate(zip(leads.own, beside, strict=True))
        ),
        *own,
    ]


def _look(
    kind: str, step: int, picture: Picture, pictures: Sequence[Picture], beside: Picture, seed: int
) -> Picture:  # fmt: skip
    """One of successive pictures with an effect.

    Args:
        kind: a key of _DOUBTFUL.
        step: 0 or 1, the first or second of two pictures; below 0 those before.
        picture: without the effect.
        pictures: of its window.
        beside: of another window.
        seed: of what both have in common.
    """
    common, own = np.random.default_rng(seed), np.random.default_rng((seed, step if step >= 0 else 1000 - step))
    height, width = picture[0].shape
    planes = [plane.copy() for plane in picture]
    if kind == "split":
        edge, across = int(common.integers(width // 5, 4 * width // 5)) // 2 * 2, bool(common.random() < 0.3)
        for plane, source, s in zip(planes, beside, (1, 2, 2), strict=True):
            tall, wide = (plane.shape[0] * edge // width, plane.shape[1]) if across else (plane.shape[0], edge // s)
            if source.shape == plane.shape:
                plane[:tall, :wide] = source[:tall, :wide]
    elif kind == "glitch":
        for _ in range(int(own.integers(1, 9))):
            row, tall, by = int(own.integers(0, height - 8)), int(own.integers(2, 48)), int(own.normal(0, 30)) // 2 * 2
            for plane, s in zip(planes, (1, 2, 2), strict=True):
                rows = slice(row // s, (row + tall) // s)
                plane[rows] = np.roll(plane[rows], by // s + (0 if s == 1 else int(own.integers(-6, 7))), axis=1)
    elif kind == "grain":
        strength = float(common.uniform(2, 9))
        grain = own.normal(0, strength, (height + 1, width + 1))
        planes[0] = _clipped(planes[0] + (grain[1:, 1:] + grain[:-1, 1:] + grain[1:, :-1]) / 2)
    elif kind == "dark":
        gain = float(common.uniform(0.08, 0.4))
        planes[0] = _clipped(16 + gain * (planes[0].astype(float) - 16) + own.normal(0, common.uniform(0.5, 4),
                                                                                    planes[0].shape))  # fmt: skip
        planes[1:] = [_clipped(128 + gain * (p.astype(float) - 128) + own.normal(0, 1.5, p.shape)) for p in planes[1:]]
    elif kind == "mosaic":
        size = int(common.choice([8, 12, 16, 20, 24]))
        top, left = int(common.integers(0, height - 64)), int(common.integers(0, width - 64))
        tall, wide = int(common.integers(48, height)), int(common.integers(48, width))
        for plane, s in zip(planes, (1, 2, 2), strict=True):
            area = plane[top // s : (top + tall) // s, left // s : (left + wide) // s]
            cell = max(1, size // s)
            area[:] = np.kron(area[::cell, ::cell], np.ones((cell, cell), np.uint8))[: area.shape[0], : area.shape[1]]
    elif kind == "strobe":
        if step % 2:
            planes[0] = _clipped(planes[0].astype(float) * common.uniform(0.3, 3) + common.uniform(-60, 120))
    elif kind == "dissolve":
        share = min(1.0, max(0.0, float(common.uniform(0.1, 0.9)) + 0.06 * step))
        if beside[0].shape == picture[0].shape:
            planes = [_clipped(share * a + (1 - share) * b.astype(float)) for a, b in zip(planes, beside, strict=True)]
    else:
        down, right = common.normal(0, 10, 2)
        factor = float(common.uniform(1.02, 1.12)) ** step if kind == "zoom" else 1.0
        still = pictures[0]
        for index, (plane, s) in enumerate(zip(still, (1, 2, 2), strict=True)):
            y = np.arange(plane.shape[0]) / factor + step * int(down) / s
            x = np.arange(plane.shape[1]) / factor + step * int(right) / s
            y, x = (np.clip(at, 0, size - 1) for at, size in zip((y, x), plane.shape, strict=True))
            planes[index] = plane[y.astype(int)][:, x.astype(int)]
    return planes[0], planes[1], planes[2]


def _clipped(plane: npt.NDArray[Any]) -> Plane:
    rounded: Plane = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return rounded


def _harmless(
    earlier: Picture, now: Picture, window: Sequence[Picture], other: Sequence[Picture], rng: np.random.Generator,
    before: Sequence[Picture], leads: Leads | None,
) -> tuple[str, Picture, Picture, Sequence[Picture]]:  # fmt: skip
    """How, two successive pictures, and what was shown before them.

    Args:
        earlier, now, window, other, rng: as for `clean_cases`.
        before: what was shown before `earlier` as it is.
        leads: None: nothing before is asked for.
    """
    way = rng.choice(["cut", "skip", "still", "fade", "caption", "wipe"])
    height, width = now[0].shape
    if way == "cut":
        last = int(rng.integers(len(other)))
        if other[last][0].shape[0] >= height and other[last][0].shape[1] >= width:
            shown = () if leads is None else [*leads.other, *other[:last]]
            return way, _corner(other[last], height, width), now, [_corner(p, height, width) for p in shown]
        way = "skip"
    if way == "skip":
        last = int(rng.integers(LONG))
        return way, window[last], now, () if leads is None else [*leads.own, *window[:last]]
    if way == "still":
        return way, now, now, before if leads is None else [*before, earlier]
    if way == "fade":
        gain, lift = float(rng.uniform(0.2, 1.4)), float(rng.uniform(-40, 60))
        faded, *past = [
            (np.clip(y * gain + lift, 0, 255).astype(np.uint8), u, v) for y, u, v in (earlier, *before)
        ]  # fmt: skip
        return way, faded, now, past
    top, left = (int(rng.integers(0, size - 32)) // 2 * 2 for size in (height, width))
    bottom, right = (int(rng.integers(a + 16, size)) // 2 * 2 for a, size in ((top, height), (left, width)))
    if rng.random() < 0.5:
        top, left, bottom, right = (n // TILE * TILE for n in (top, left, bottom + TILE, right + TILE))
    planes = []
    source = other[int(rng.integers(len(other)))] if way == "wipe" else None
    for k, plane in enumerate(now):
        s = 1 if k == 0 else 2
        changed = plane.copy()
        part = changed[top // s : bottom // s, left // s : right // s]
        if source is not None and source[k].shape == plane.shape:
            part[:] = source[k][top // s : bottom // s, left // s : right // s]
        elif k == 0 and rng.random() < 0.5:
            text = rng.random((part.shape[0] // 6 + 1, part.shape[1] // 3 + 1)) < 0.4
            part[:] = np.where(np.kron(text, np.ones((6, 3), bool))[: part.shape[0], : part.shape[1]], 225, 40)
        else:
            part[:] = int(rng.integers(16, 235))
        planes.append(changed)
    return way, earlier, (planes[0], planes[1], planes[2]), before


def _corner(picture: Picture, height: int, width: int) -> Picture:
    y, u, v = picture
    return y[:height, :width], u[: height // 2, : width // 2], v[: height // 2, : width // 2]

"""Pictures with a defect that was there before the coder, with their truth."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from models.artifact_net import TILE
from models.synthesis.coded_pictures import coarsely_coded, coded
from models.synthesis.picture import PLANTERS, Moment, Picture, smoothed
from models.synthesis.picture_clip import frame_of, planes_of
from models.synthesis.picture_windows import LONG, SHORT
from models.synthesis.tile_truth import (
    NOTHING,
    SHOWS,
    Case,
    Maps,
    apart,
    clean_truth,
    colour_apart,
    energy,
    graded,
    tile_means,
    unsure,
)


def resized(picture: Picture, factor: float, sharpen: float) -> Picture:
    """Made smaller, larger again, and sharper than it was: soft, with rings along its edges."""
    height, width = picture[0].shape
    small = frame_of(picture).reformat(width=round(width / factor) // 2 * 2, height=round(height / factor) // 2 * 2,
                           interpolation="AREA")  # fmt: skip
    y, u, v = planes_of(small.reformat(width=width, height=height, interpolation="LANCZOS"), 8)
    luma = y.astype(np.float64)
    around = luma.copy()
    for axis in (0, 1):
        around = np.mean([np.roll(around, k, axis) for k in range(-2, 3)], axis=0)
    return np.clip(np.rint(luma + sharpen * (luma - around)), 0, 255).astype(np.uint8), u, v


def _colour_broken(picture: Picture, way: int, amount: int) -> Picture:
    """Chroma in the wrong place or of the wrong kind."""
    y, u, v = picture
    if way == 0:
        return y, v.copy(), u.copy()
    if way == 1:
        return y, np.roll(u, amount, 1), np.roll(v, amount, 1)
    if way == 2:
        return y, np.full_like(u, (0, 64, 255)[amount % 3]), v
    if way == 3:
        return y, u, np.full_like(v, (0, 64, 255)[amount % 3])
    return y, 255 - u, 255 - v


def _dropout(picture: Picture, rng: np.random.Generator) -> tuple[Picture, npt.NDArray[np.bool_]]:
    """Streaks of white, black or noise, and rows that slipped, as of a tape; and which samples are hit."""
    luma = picture[0].copy()
    hit = np.zeros(luma.shape, bool)
    height, width = luma.shape
    for _ in range(int(rng.integers(2, 14))):
        row, tall = int(rng.integers(0, height - 3)), int(rng.integers(1, 4))
        left = int(rng.integers(0, width - 24))
        long = int(rng.integers(16, width // 2))
        part = luma[row : row + tall, left : left + long]
        level = (
            rng.integers(0, 256, part.shape) if rng.random() < 0.3 else np.full(part.shape, rng.choice([16, 235, 255]))
        )
        part[:] = level
        hit[row : row + tall, left : left + long] = True
    if rng.random() < 0.4:
        row, tall = int(rng.integers(0, height - 16)), int(rng.integers(4, 16))
        for k in range(row, row + tall):
            luma[k] = np.roll(luma[k], int(rng.normal(0, 12)))
        hit[row : row + tall] = True
    return (luma, picture[1], picture[2]), hit


def _spoil(pictures: Sequence[Picture], first: int, change: Callable[[int, Picture], Picture]) -> list[Picture]:
    return [picture if k < first else change(k, picture) for k, picture in enumerate(pictures)]


def planted_cases(
    window: Sequence[Picture], rate: Fraction, what: str, rng: np.random.Generator, each: int
) -> Iterator[Case]:
    """Pictures with a defect that was there before the coder.

    Args:
        window: LONG pictures.
        rate: pictures per second.
        what: a label but "corruption".
        rng: of what is random.
        each: most pictures.
    """
    start = int(rng.integers(0, LONG - SHORT))
    pictures = window[start : start + SHORT]
    first = int(rng.integers(1, 4))
    seed = int(rng.integers(1 << 30))
    masks: dict[int, npt.NDArray[np.bool_]] = {}

    def plant(name: str, strength: float) -> list[Picture]:
        def change(k: int, now: Picture) -> Picture:
            own = np.random.default_rng((seed, k))
            moment = Moment(now, pictures[k - 1], pictures[first - 1], k - first, 0.5, 8, own)
            return PLANTERS[name][0](moment, strength)

        return _spoil(pictures, first, change)

    strength = 0.0
    if what == "noise":
        strength = float(rng.uniform(6, 25))
        spoilt = plant("noise", strength)
    elif what == "blur":
        strength = float(rng.uniform(4, 12)) * 720 / pictures[0][0].shape[0] / 3
        spoilt = plant("blur", strength)
    elif what == "banding":
        strength = float(rng.choice([6, 8, 12, 16]))
        spoilt = plant("banding", strength)
    elif what == "combing":
        spoilt = plant("combing", 1.0)
    elif what == "tearing":
        strength = float(rng.uniform(0.2, 0.8))
        spoilt = plant("tearing", strength)
    elif what == "colour":
        way, amount = int(rng.integers(0, 5)), int(rng.choice([-12, -8, 8, 12, 16, 5]))
        spoilt = _spoil(pictures, first, lambda _, now: _colour_broken(now, way, amount))
    elif what == "ringing":
        factor, sharpen = float(rng.uniform(1.8, 4.0)), float(rng.uniform(0.3, 1.5))
        spoilt = _spoil(pictures, first, lambda _, now: resized(now, factor, sharpen))
    elif what == "dropout":

        def drop(k: int, now: Picture) -> Picture:
            picture, masks[k] = _dropout(now, np.random.default_rng((seed, k)))
            return picture

        spoilt = _spoil(pictures, first, drop)
    else:
        spoilt = [*pictures[:first], *coarsely_coded(pictures[first:], rate, rng)]
    shown = spoilt
    if what != "blockiness" and rng.random() < 0.6:
        shown = coded(spoilt, rate, rng)
    if len(shown) != len(spoilt):
        return
    later = rng.permutation(np.arange(first + 1, SHORT))[: each - 1]
    for k in (first, *(int(index) for index in later)):
        now, before = pictures[k], pictures[k - 1]
        yield Case(shown[k - 1], shown[k], _truth_of(what, now, before, spoilt[k], masks.get(k), strength), what)


def _truth_of(
    what: str, now: Picture, before: Picture, spoilt: Picture, hit: npt.NDArray[np.bool_] | None, strength: float
) -> Maps:
    """The truth of a planted picture: where the defect shows."""
    truth, moved, changed = clean_truth(now), apart(now[0], before[0]), apart(now[0], spoilt[0])
    if what == "noise":
        return unsure(graded(truth, "noise", changed, 0.5, 3.0), ("banding", "blockiness"))
    if what == "blur":
        lost = 1 - energy(spoilt[0]) / np.maximum(energy(now[0]), 1e-6)
        amount = np.where(energy(now[0]) >= 3.0, lost, 0.3)
        return unsure(graded(truth, "blur", amount, -1.0, 0.5), ("banding", "ringing"))
    if what == "banding":
        smooth = smoothed(now[0].astype(np.float64))
        slope = np.abs(np.diff(smooth, axis=1, append=smooth[:, -1:]))
        ramp = tile_means((slope > 0.05) & (slope < 1.0)) * (changed >= 1.0)
        return unsure(graded(truth, "banding", ramp, -1.0, 0.5), ("blockiness",))
    if what == "combing":
        return unsure(graded(truth, "combing", changed, NOTHING / 2, SHOWS), ("tearing", "ringing"))
    if what == "tearing":
        torn = np.full(moved.shape, 0.5 * (NOTHING + SHOWS))
        row = round(now[0].shape[0] * (1 - strength))
        near = abs((np.arange(len(torn)) + 0.5) * TILE - row) <= TILE
        torn[:] = np.where(near[:, None], np.where(moved >= SHOWS, moved, 2.0), 0.0)
        return graded(truth, "tearing", torn, NOTHING, SHOWS)
    if what == "colour":
        return graded(truth, "colour", colour_apart(now, spoilt), -1.0, 24.0)
    if what == "ringing":
        amount = np.where(energy(now[0]) >= 4.0, changed, 1.0)
        return unsure(graded(truth, "ringing", amount, -1.0, 2.5), ("blur", "banding"))
    if what == "dropout":
        assert hit is not None
        share = tile_means(hit) * (changed >= 2.0)
        return unsure(graded(truth, "dropout", share, 0.0, 1 / 16), ("corruption", "tearing", "noise"), share > 0)
    amount = np.where(changed >= 3.0, changed, 1.0)
    return unsure(graded(truth, "blockiness", amount, -1.0, 3.0), ("blur", "banding", "ringing", "noise"))

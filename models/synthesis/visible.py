"""Whether a viewer sees what was planted: measured on the pictures themselves, apart from every detector's measure.

A defect needs room: a picture that stands cannot stutter, grey cannot lose its colour, and bands need an area that is
smooth but not flat. A planted defect that changes nothing anybody sees is no test of a detector.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from models.synthesis.picture import Picture, Plane, is_smooth, smoothed

BLOCK: Final = 16
# Codes of 8 bits, on average over a block of 16x16: what a viewer sees of a difference side by side, or of motion.
SEEN_CODES: Final = 2.0
MOVES_CODES: Final = 1.0
# Mean length of (U, V): a pale colour.
COLOURED_CODES: Final = 6.0
# Change of the smoothed luma from one sample to the next: less is flat, more is an edge.
RAMP_LEAST_CODES: Final = 0.03
RAMP_MOST_CODES: Final = 1.0
# Share of the picture in which it is to be seen, in at least half of the pictures that it changes.
LEAST_SHARE: Final[Mapping[str, float]] = {
    "combing": 0.01,
    "field_order": 0.01,
    "stutter": 0.05,
    "partial_freeze": 0.15,
    "freeze": 0.05,
    "banding": 0.2,
    "levels": 0.05,
    "chroma_loss": 0.1,
    "plane_loss": 0.1,
    "letterbox": 0.05,
    "blockiness": 0.2,
    "blur": 0.1,
    "flash": 0.25,
    "flicker": 0.25,
    "tearing": 0.05,
    "block_dropout": 0.02,
    "rolling": 0.25,
    "line_jitter": 0.1,
    "row_smear": 0.07,
    "column_smear": 0.07,
    "planes_swapped": 0.1,
    "chroma_inverted": 0.1,
    "negative": 0.25,
}
# These have to be seen soon, as it is their beginning that is timed: on a white page neither a row that repeats nor a
# light that flickers has one, nor fields and torn pictures where nothing moves yet (decision 0148).
SOON_SECONDS: Final = 0.75  # the second picture that is looked at lies half a second from the first
_SOON: Final = ("combing", "field_order", "tearing", "flicker", "row_smear", "column_smear")
_SMEARS: Final = ("row_smear", "column_smear")
# Of a line that repeats streaks are seen: within a block of the smear it varies by so many codes on average.
STREAK_CODES: Final = 1.0
# Of these the colour that there was is what is seen.
_COLOURS: Final = ("chroma_loss", "plane_loss", "planes_swapped", "chroma_inverted")
# So much of the rest of the picture moves while a part stands.
REST_MOVES: Final = 0.2
_SAMPLES: Final = 12

Shares = npt.NDArray[np.float64]


def is_visible(
    what: str, pictures: Sequence[Picture], spoilt: Mapping[int, Picture], begin: int, rate: float, depth: int = 8
) -> bool:
    """Whether a viewer who knows what is wrong would see it.

    Args:
        what: name of the planter.
        pictures: of the clip as it is.
        spoilt: by index, pictures as they became; those of `samples`.
        begin: index of the first spoilt picture.
        rate: pictures per second.
        depth: bits of a sample.
    """
    changed = [index for index in spoilt if _differ(pictures[index], spoilt[index])]
    if not changed:
        return False
    least = LEAST_SHARE.get(what)
    if least is None:
        return True
    shares = [_share(what, pictures, spoilt[index], index, begin, depth) for index in changed]
    if sum(share >= least for share in shares) * 2 < len(shares):
        return False
    early = [share for index, share in zip(changed, shares, strict=True) if index - begin <= SOON_SECONDS * rate]
    if what in _SOON and max(early, default=0.0) < least:
        return False
    before = list(range(max(1, begin - round(rate)), begin))
    if what == "partial_freeze":  # what stood before cannot be seen to stop
        spread = before[:: max(1, len(before) // _SAMPLES)]
        if not spread:
            return False
        held = [_blocks_that(pictures[i], pictures[i - 1], MOVES_CODES, depth) for i in spread]
        stands = _blocks_that(pictures[changed[-1]], spoilt[changed[-1]], 1e-9, depth)
        return float(np.median([(moved & stands).mean() for moved in held])) >= least
    if what in _COLOURS:  # what never had colour cannot be missed
        return bool(before) and _coloured(pictures[before[-1]], depth) >= least
    return True


def samples(begin: int, end: int) -> list[int]:
    """The pictures that are looked at, of those from `begin` on and before `end`."""
    # An odd distance, so that every second or third picture is not always the same kind.
    return list(range(begin, end, max(1, (end - begin) // _SAMPLES | 1)))


def _share(
    what: str, pictures: Sequence[Picture], spoilt: Picture, index: int, begin: int, depth: int
) -> float:  # fmt: skip
    """Share of the picture in which it can be seen."""
    now = pictures[index]
    if what == "banding":
        return ramps(now[0], depth)
    if what == "levels":
        one = 1 << (depth - 8)
        clipped = (spoilt[0] < 2 * one) | (spoilt[0] >= 254 * one)
        shades = (now[0] > 20 * one) & (now[0] < 231 * one)  # what was black or white already loses nothing
        return float((clipped & shades).mean())
    if what in _COLOURS:
        return _coloured(now, depth)
    if what == "tearing":
        return _seam(now[0], pictures[index - 1][0], spoilt[0], depth)
    seen = _blocks_that(now, spoilt, SEEN_CODES, depth)
    if what in _SMEARS:
        return float((seen & _streaks(spoilt[0], what, depth)).mean())
    if what == "partial_freeze":
        rest = _blocks_that(now, pictures[index - 1], MOVES_CODES, depth) & ~_blocks_that(now, spoilt, 1e-9, depth)
        return float(seen.mean()) if rest.mean() >= REST_MOVES else 0.0
    return float(seen.mean())


def ramps(luma: Plane, depth: int = 8) -> float:
    """Share of luma that is smooth but not flat: where a cut to steps makes bands."""
    values = luma.astype(np.float64)
    smooth = smoothed(values)
    slope = np.abs(np.diff(smooth, axis=1))[:-1] + np.abs(np.diff(smooth, axis=0))[:, :-1]
    one = 1 << (depth - 8)
    ramp = (slope > RAMP_LEAST_CODES * one) & (slope < RAMP_MOST_CODES * one)
    return float((ramp & is_smooth(values, smooth, depth)[:-1, :-1]).mean())


def _differ(one: Picture, other: Picture) -> bool:
    return any((a != b).any() for a, b in zip(one, other, strict=True))


def _blocks_that(one: Picture, other: Picture, codes: float, depth: int) -> npt.NDArray[np.bool_]:
    """Blocks whose luma differs by at least so many codes of 8 bits on average."""
    height, width = (size // BLOCK * BLOCK for size in one[0].shape)
    apart = np.abs(one[0][:height, :width].astype(np.int32) - other[0][:height, :width])
    blocks = apart.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean(axis=(1, 3))
    return np.asarray(blocks >= codes * (1 << (depth - 8)))


def _seam(now: Plane, previous: Plane, torn: Plane, depth: int) -> float:
    """Share of the width over which a picture of two moments has a step that neither of them has there."""
    row = int((torn != now).any(axis=1).argmax())
    if not row:  # all of it is of the moment before, or none
        return 0.0
    width = now.shape[1] // BLOCK * BLOCK

    def step(luma: Plane) -> npt.NDArray[np.float64]:
        lines = luma[row - 1 : row + 1, :width].astype(np.float64)
        return np.asarray(np.abs(lines[1] - lines[0]).reshape(-1, BLOCK).mean(axis=1))

    seen = step(torn) - np.maximum(step(now), step(previous)) >= SEEN_CODES * (1 << (depth - 8))
    return float(seen.mean())


def _streaks(luma: Plane, what: str, depth: int) -> npt.NDArray[np.bool_]:
    """Blocks in which the line that repeats is not of one brightness."""
    height, width = (size // BLOCK * BLOCK for size in luma.shape)
    blocks = luma[:height, :width].astype(np.float64).reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    lines = blocks.mean(axis=1) if what == "row_smear" else blocks.mean(axis=3).transpose(0, 2, 1)
    varies = np.abs(lines - lines.mean(axis=2, keepdims=True)).mean(axis=2)
    return np.asarray(varies >= STREAK_CODES * (1 << (depth - 8)))


def _coloured(picture: Picture, depth: int) -> float:
    """Share of the chroma that has a colour."""
    middle, one = 1 << (depth - 1), 1 << (depth - 8)
    u, v = (plane.astype(np.float64) - middle for plane in picture[1:])
    return float((np.hypot(u, v) >= COLOURED_CODES * one).mean())

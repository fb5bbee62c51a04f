"""Training data of the artifact network: pieces of real clips and made-up graphics, clean and spoilt, with their truth.

What transmission breaks is broken in real coded streams and concealed by the real decoder; what capture, cables and
conversions break is planted into the pictures, most of which are then coded as a broadcaster would. The truth is per
tile, found by comparing the pictures with what they would have been; where nobody could say, it says so. Everything
random is drawn from the seed and the clip's name. Clips are held out by their name, so that no clip is ever trained on
and tried on.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.artifact_net import LABELS, PIECE, TILE
from models.synthesis.clean_cases import clean_cases
from models.synthesis.coded_damage import CODECS, KINDS
from models.synthesis.damaged_cases import damaged_cases
from models.synthesis.held_out import seed_of
from models.synthesis.picture import Picture, Plane
from models.synthesis.picture_windows import graphics, windows
from models.synthesis.planted_cases import planted_cases
from models.synthesis.tile_truth import Case, Maps, unsure
from models.synthesis.worn import DOUBTFUL, worn

# What is trained on: as much of a picture as shows that damage is of a few places, and what is meant is not. Four
# pieces make one.
WIDE: Final = 2 * PIECE
# Share of the windows that came worn before they were sent, of those that are trained on.
_WORN: Final = 0.25
# Share of the clips of a turn that are taken in parts twice as wide and as high, of which nothing but damage that was
# coded anew is made, mostly smaller: a ladder's lower steps. Of the damage of other parts this share is coded anew too.
_LARGER: Final = 0.3
_ANEW: Final = 0.35
# And as if pictures between had been left out: coarse motion is no damage.
_STEPS: Final = (1, 1, 2, 3)


def pieces(case: Case, rng: np.random.Generator, count: int, side: int) -> Iterator[tuple[Plane, Plane, Maps]]:
    """Pieces of a case, where something is wrong more often than elsewhere.

    Returns: luma (2, side, side), chroma (2, 2, side / 2, side / 2), truth (side / TILE, side / TILE, labels), all
        uint8.
    """
    tiles = side // TILE
    rows, columns = case.truth.shape[0] - tiles + 1, case.truth.shape[1] - tiles + 1
    if rows < 1 or columns < 1:
        return
    hit = (case.truth == 1).any(axis=2)
    # How many of the tiles of each possible piece are hit.
    total = np.pad(hit.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[tiles:, tiles:] - total[:-tiles, tiles:] - total[tiles:, :-tiles] + total[:-tiles, :-tiles]
    with_hits = np.argwhere(inside > 0)
    for index in range(count):
        if len(with_hits) and index % 4 < 3:
            row, column = with_hits[int(rng.integers(len(with_hits)))]
        else:
            row, column = int(rng.integers(rows)), int(rng.integers(columns))
        top, left = int(row) * TILE, int(column) * TILE
        luma = np.stack([p[0][top : top + side, left : left + side] for p in (case.earlier, case.now)])
        h, t, le = side // 2, top // 2, left // 2
        chroma = np.stack([[p[k][t : t + h, le : le + h] for k in (1, 2)] for p in (case.earlier, case.now)])
        yield luma, chroma, case.truth[int(row) : int(row) + tiles, int(column) : int(column) + tiles]


def cases_of(
    window: Sequence[Picture], other: Sequence[Picture], rate: Fraction, rng: np.random.Generator
) -> Iterator[Case]:
    """Every kind of case of one window."""
    combinations = [(c, k) for c in CODECS for k in KINDS if (c, k) != ("hevc", "lost")]
    for index in rng.permutation(len(combinations))[:7]:
        yield from damaged_cases(window, rate, *combinations[int(index)], rng, 5)
    for what in LABELS[1:]:
        yield from planted_cases(window, rate, what, rng, 2 if what != "blockiness" else 4)
    for _ in range(2):
        yield from clean_cases(window, other, rate, rng, 14)


def cases_to_train_on(
    window: Sequence[Picture], other: Sequence[Picture], rate: Fraction, rng: np.random.Generator
) -> Iterator[Case]:
    """As `cases_of`, with less of what is not used, and more whole pictures right behind damaged ones."""
    combinations = [(c, k) for c in CODECS for k in KINDS if (c, k) != ("hevc", "lost")]
    for index in rng.permutation(len(combinations))[:6]:
        yield from damaged_cases(window, rate, *combinations[int(index)], rng, 7, whole=2, anew=_ANEW, least=WIDE)
    for what in LABELS[1:]:
        yield from planted_cases(window, rate, what, rng, 1)
    for _ in range(2):
        yield from clean_cases(window, other, rate, rng, 12)


def cases_of_a_ladder(window: Sequence[Picture], rate: Fraction, rng: np.random.Generator) -> Iterator[Case]:
    """What a transcoder makes of a damaged window, of which as much is whole as damaged."""
    combinations = [(c, k) for c in CODECS for k in KINDS if (c, k) != ("hevc", "lost")]
    for index in rng.permutation(len(combinations))[:6]:
        yield from damaged_cases(window, rate, *combinations[int(index)], rng, 10, whole=5, anew=1.0, least=WIDE)


def make_shard(source: Path | int, seed: int, count: int = 3, side: int = PIECE) -> Mapping[str, npt.NDArray[Any]]:
    """All pieces of one clip.

    Args:
        source: a clip, or the number of a clip of graphics that is made up.
        seed: of what is random.
        count: windows of it.
        side: of a piece: PIECE to try a network on, WIDE to train on.
    Returns: luma, chroma and truth as in `pieces`, stacked; kind: how each was made.
    """
    name = source.name if isinstance(source, Path) else f"graphics {source}"
    rng = np.random.default_rng([seed, *seed_of(name)])
    # As far as there is more of the clip.
    larger = side != PIECE and isinstance(source, Path) and rng.random() < _LARGER
    if isinstance(source, Path):
        found = list(windows(source, rng, count, (1,) if side == PIECE else _STEPS, 2 if larger else 1))
    else:
        found = [(graphics(rng), Fraction(25)) for _ in range(count)]
    luma, chroma, truth, kinds = [], [], [], []
    for number, (window, rate) in enumerate(found):
        other = found[(number + 1) % len(found)][0]
        came_worn = side != PIECE and not larger and rng.random() < _WORN
        shown = worn(window, rate, rng) if came_worn else window
        if larger:
            cases = cases_of_a_ladder(shown, rate, rng)
        else:
            cases = (cases_of if side == PIECE else cases_to_train_on)(shown, other, rate, rng)
        for case in cases:
            if came_worn:
                unsure(case.truth, DOUBTFUL)
            often = (6 if case.truth[..., 0].any() else 4) if side == PIECE else 2
            for a, b, c in pieces(case, rng, often, side):
                luma.append(a)
                chroma.append(b)
                truth.append(c)
                kinds.append(case.kind)
    tiles = side // TILE
    empty = (0, 2, side, side), (0, 2, 2, side // 2, side // 2), (0, tiles, tiles, len(LABELS))
    a, b, c = (
        np.stack(x) if x else np.zeros(shape, np.uint8) for x, shape in zip((luma, chroma, truth), empty, strict=True)
    )
    return {"luma": a, "chroma": b, "truth": c, "kind": np.array(kinds, "U16")}

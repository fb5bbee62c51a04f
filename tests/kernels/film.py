"""A film strip of tiles for the tests of what they do over time, and its run through each version of the kernel."""

import numpy as np
import torch

from kernels.temporal import COLUMNS, Range, new_state, temporal
from kernels.temporal.op import luminance_table
from kernels.temporal.reference import Temporal
from kernels.tile_stats import TILES

# The counts and shares are ratios of small integers. The flicker's sums run in another order (32 terms, an angular
# difference of positive and negative parts): 1e-9 of its percent. Everything else is a handful of float64 operations.
BOUND = 1e-9
RATE = 25


class Film:
    """A film strip of tiles: brightness, differences and colours, picture by picture."""

    def __init__(self, seconds, rate=RATE, level=0.5, motion=0.01, seed=1):
        rng = np.random.default_rng(seed)
        n = round(seconds * rate)
        self.times = np.arange(n) / rate
        self.tiles = np.empty((n, 4, TILES))
        self.tiles[:, 0] = level + 0.02 * rng.standard_normal(TILES)  # a picture that stands, but for small motion
        self.tiles[:, 1] = motion * rng.uniform(0.8, 1.2, (n, TILES))
        self.tiles[:, 2:] = 0.5
        self.mafd = rng.uniform(0.005, 0.006, n)
        self.gradient = rng.uniform(0.01, 0.02, n)
        self.between = np.zeros(n)  # what the rows that tiles leave out add to the mean of all

    @property
    def luma(self):
        return self.tiles[:, 0].mean(axis=1) + self.between

    def at(self, start, end):
        return (self.times >= start - 1e-9) & (self.times < end - 1e-9)


def run(film, step=temporal, slot=0, state=None, ranges=Range.LIMITED):
    """The columns of every picture, by name."""
    state = new_state(slot + 1) if state is None else state
    luma = film.luma
    rows = [
        step(
            torch.from_numpy(film.tiles[n : n + 1]),
            torch.tensor([luma[n]]),
            torch.tensor([film.mafd[n]]),
            torch.tensor([film.gradient[n]]),
            torch.tensor([film.times[n]], dtype=torch.float64),
            torch.tensor([int(ranges)]),
            torch.tensor([slot]),
            state,
        )[0].numpy()
        for n in range(len(film.times))
    ]
    return dict(zip(COLUMNS, np.array(rows).T, strict=True))


def run_plain(film, ranges=Range.LIMITED):
    plain, luma = Temporal(), film.luma
    rows = [
        plain.step(film.tiles[n], luma[n], film.mafd[n], film.gradient[n], film.times[n], ranges == Range.FULL, 0)
        for n in range(len(film.times))
    ]
    return {name: np.array([row[name] for row in rows]) for name in COLUMNS}


def assert_same(found, expected):
    for name in COLUMNS:
        np.testing.assert_allclose(found[name], expected[name], rtol=BOUND, atol=BOUND, err_msg=name)


def assert_triton_agrees(gpu, film, windows=None):
    """With the plain one; given windows, of these pictures alone, the CPU going on between them.

    Interpreted, a picture takes a fifth of a second. Both leave the same state to each other.
    """
    inside = set(range(len(film.times))) if windows is None else {n for window in windows for n in range(*window)}
    pictures = iter(range(len(film.times)))

    def step(*tensors):
        if next(pictures) in inside:
            return gpu.temporal(*tensors, luminance_table(torch.device("cpu")))
        return temporal(*tensors)

    found = run(film, step)
    assert_same(found, run_plain(film))
    return found


def dig(film, start, end, rows, columns, level=16 / 256):
    """Tiles that have one level, and no colour, from one picture up to another."""
    where = np.zeros((9, 16), bool)
    where[rows, columns] = True
    where = where.ravel()
    film.tiles[start, 1, where] = 0.2
    film.tiles[start + 1 : end, 1, where] = 0.0
    film.tiles[start:end, 0, where] = level
    film.tiles[start:end, 2:, where] = 0.5


def smear(film, start, end, down, count):
    """So many of the last rows, or columns, repeat the one before them."""
    for plane in (0, 2, 3):
        grid = film.tiles[start:end, plane].reshape(-1, 9, 16)
        if down:
            grid[:, 9 - count :] = grid[:, 8 - count : 9 - count]
        else:
            grid[:, :, 16 - count :] = grid[:, :, 15 - count : 16 - count]


def roll(film, start, end, rows):
    """Pictures run up by so many rows of tiles each, and come back from below."""
    for n in range(start, end):
        whole, part = divmod(rows * (n + 1 - start), 1.0)
        grid = film.tiles[n, 0].reshape(9, 16).copy()
        above, below = np.roll(grid, -int(whole), axis=0), np.roll(grid, -int(whole) - 1, axis=0)
        film.tiles[n, 0] = ((1 - part) * above + part * below).ravel()
        film.tiles[n, 1] = 0.05


def tinted(film, start, end, u, v):
    film.tiles[start:end, 2], film.tiles[start:end, 3] = u / 256, v / 256


def varied(seconds=5, spread=0.08, seed=4):
    """A film whose tiles differ."""
    film = Film(seconds)
    film.tiles[:, 0] += spread * np.random.default_rng(seed).standard_normal(TILES)
    return film


def random_film(seed, seconds=4.0):
    """Flashes, cuts, repeats, holes, stuck parts and colours, at random."""
    rng = np.random.default_rng(seed)
    film = Film(seconds, rate=float(rng.choice([10, 24, 25, 30])), motion=float(rng.choice([0.002, 0.01])), seed=seed)
    n = len(film.times)
    film.tiles[:, 0] += np.where(rng.random(n) < rng.choice([0.0, 0.3]), 0.3, 0.0)[:, None]
    film.tiles[:, 0] += 0.02 * np.sin(np.arange(n) * rng.choice([0.5, 2.0]))[:, None]
    film.tiles[rng.random(n) < 0.1, 1] = 1e-4
    film.tiles[rng.random(n) < 0.02, 1] = 0.1
    stop = rng.integers(n // 3, n)
    film.tiles[stop:, 1, : 16 * int(rng.integers(1, 9))] = 0.0005
    red = rng.random(n) < 0.2
    film.tiles[red, 2], film.tiles[red, 3] = 0.35, 0.94
    begin = int(rng.integers(2, n // 2))
    card = slice(begin, begin + int(rng.integers(1, 30)))  # of one colour: green, grey, white, or of no colour at all
    film.tiles[card, 0], film.gradient[card] = float(rng.choice([0.3, 0.5, 0.9])), 0.0
    film.tiles[card, 2:] = float(rng.choice([0.3, 0.5, 0.0]))
    film.tiles[min(card.stop, n - 1), 1] = rng.choice([0.03, 0.05, 0.2])
    late = rng.random(n) < rng.choice([0.0, 0.05])
    film.times = film.times + np.cumsum(late) / RATE
    if rng.random() < 0.3:
        film.times[n // 2 :] += 5.0
    if rng.random() < 0.5:  # planes that change places, of colours that are not even
        film.tiles[:, 2:] += rng.choice([0.0, 0.02, 0.1], 2)[None, :, None] + 0.01 * rng.standard_normal((1, 2, TILES))
        for at in rng.integers(1, n, 3):
            film.tiles[at:, 2:] = film.tiles[at:, 3:1:-1].copy()
    if rng.random() < 0.3:  # colours, and luma, that run the other way
        film.tiles[:, 0] += 0.1 * rng.standard_normal(TILES)
        first, second = rng.integers(1, n, 2)
        film.tiles[first:, 2:] = 255 / 256 - film.tiles[first:, 2:]
        film.tiles[second:, 0] = 255 / 256 - film.tiles[second:, 0]
    if rng.random() < 0.4:  # it rolls
        film.tiles[:, 0] += 0.1 * rng.standard_normal(TILES)
        first = int(rng.integers(1, n))
        roll(film, first, int(rng.integers(first, n)), float(rng.choice([0.1, 0.3, 1.0])))
    if rng.random() < 0.4:  # rows or columns that repeat
        film.tiles[:, 0] += 0.05 * rng.standard_normal(TILES)
        at = int(rng.integers(n // 2, n))
        smear(film, at, int(rng.integers(at, n)), bool(rng.random() < 0.5), int(rng.integers(2, 8)))
    if rng.random() < 0.5:  # a hole, that may grow or close
        top, left, at = int(rng.integers(0, 6)), int(rng.integers(0, 10)), int(rng.integers(n // 2, n))
        if rng.random() < 0.3:  # on a ground that is dark already
            film.tiles[:, 0].reshape(n, 9, 16)[:, top : top + 4], film.tiles[:, 2:] = 0.06, 0.5
            film.tiles[:at, 0].reshape(at, 9, 16)[:, top : top + 2, left : left + 4] = 0.4
        dig(film, at, n, slice(top, top + 2), slice(left, left + 4), float(rng.choice([0.06, 0.5])))
        later = min(n - 1, at + int(rng.integers(1, 30)))
        dig(film, later, n, slice(top + 2, top + 3), slice(left, left + 4), float(rng.choice([0.06, 0.3])))
    film.tiles[0, 1], film.mafd[0] = np.nan, np.nan
    if rng.random() < 0.2:
        film.tiles[:, 2:] = np.nan
    if rng.random() < 0.3:
        film.between = 0.02 * rng.standard_normal(n)
    return film

"""What tiles do over time: the CPU and the (interpreted) Triton version against the plain one, and by scenes."""

import numpy as np
import pytest
import torch
from interpreter import interpreted
from properties import given, settings, st

from kernels.temporal import COLUMNS, Range, new_state, temporal
from kernels.temporal.op import luminance_table
from kernels.temporal.reference import Temporal
from kernels.tile_stats import TILE_COLUMNS, TILES

# The counts and shares are ratios of small integers. The flicker's sums run in another order (32 terms, an angular
# difference of positive and negative parts): 1e-9 of its percent. Everything else is a handful of float64 operations.
BOUND = 1e-9
RATE = 25


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.temporal.gpu") as module:
        yield module


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

    def at(self, start, end):
        return (self.times >= start - 1e-9) & (self.times < end - 1e-9)


def run(film, step=temporal, slot=0, state=None, ranges=Range.LIMITED):
    """The columns of every picture, by name."""
    state = new_state(slot + 1) if state is None else state
    rows = [
        step(
            torch.from_numpy(film.tiles[n : n + 1]),
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
    plain = Temporal()
    rows = [
        plain.step(film.tiles[n], film.mafd[n], film.gradient[n], film.times[n], ranges == Range.FULL, 0)
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
    return film


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(Range))
def test_cpu_version_equals_the_plain_one(seed, ranges):
    film = random_film(seed)
    assert_same(run(film, ranges=ranges), run_plain(film, ranges))


@pytest.mark.parametrize("seed", range(3))
def test_triton_version_equals_the_plain_one(gpu, seed):
    assert_triton_agrees(gpu, random_film(seed, seconds=2.5))


@pytest.mark.parametrize("what", ["roll", "rows", "columns", "negative", "opposite"])
def test_triton_version_tells_what_the_plain_one_does_of_pictures_turned_over_smeared_and_rolling(gpu, what):
    film = Film(3, rate=10)
    film.tiles[:, 0] += 0.08 * np.random.default_rng(4).standard_normal(TILES)
    tinted(film, 0, 30, 112, 120)
    if what == "roll":
        roll(film, 12, 26, 0.9)
        film.tiles[26:, 1] = 0.01
    elif what == "negative":
        film.tiles[12:26, 0] = 255 / 256 - film.tiles[12:26, 0]
    elif what == "opposite":
        film.tiles[12:26, 2:] = 255 / 256 - film.tiles[12:26, 2:]
    else:
        smear(film, 12, 26, what == "rows", 5)
    found = assert_triton_agrees(gpu, film, [(0, 3), (10, 18), (24, 30)])
    assert (found["broken_colour"][12:26] > 0).any()
    assert (found["broken_since"][12:26] > 0).any()


@pytest.mark.parametrize("level", [16 / 256, 0.5])
@pytest.mark.parametrize("columns", [slice(3, 6), slice(8, 16)])
def test_a_rectangle_that_turns_black_or_grey_and_stays_is_a_hole(level, columns):
    film = Film(5, level=0.3)
    tinted(film, 0, 125, 120, 132)
    dig(film, 50, 90, slice(2, 9), columns, level)
    found = run(film)["broken_colour"]
    share = 7 * (columns.stop - columns.start) / TILES
    assert set(found[:62]) == {0.0}
    assert found[63] == pytest.approx(share)  # half a second later
    assert set(found[63:90]) == {found[63]}
    assert set(found[90:]) == {0.0}


def test_a_hole_over_what_was_dark_in_part_is_over_when_it_closes():
    film = Film(5, level=0.3)
    dig(film, 0, 125, slice(2, 4), slice(3, 6))  # dark things
    film.tiles[:2, 1] = 0.01
    dig(film, 50, 90, slice(2, 8), slice(3, 6))
    found = run(film)["broken_colour"]
    assert set(found[63:90]) == {18 / TILES}
    assert set(found[:63]) == set(found[90:]) == {0.0}


@pytest.mark.parametrize(
    ("black", "level", "told"),
    [
        ([(slice(4, 5), slice(2, 12))], 16 / 256, False),  # ten tiles: a drawing on black
        ([(slice(4, 5), slice(2, 11))], 16 / 256, True),
        ([(slice(4, 5), slice(2, 12))], 0.5, True),  # grey is not its ground
        ([(slice(0, 1), slice(0, 16)), (slice(8, 9), slice(0, 16))], 16 / 256, True),  # bars
        ([(slice(0, 9), slice(0, 2)), (slice(0, 9), slice(14, 16))], 16 / 256, True),
    ],
)
def test_where_black_is_the_ground_nothing_is_missing_when_it_shows(gpu, black, level, told):
    film = Film(2.5, level=0.3)
    film.tiles[:, 0] += 0.01 * np.sin(np.arange(len(film.times)))[:, None]
    tinted(film, 0, 62, 120, 132)
    for where in black:
        dig(film, 0, 62, *where)
    film.tiles[0, 1] = 0.01
    dig(film, 40, 62, slice(1, 3), slice(5, 9), level)
    found = assert_triton_agrees(gpu, film, [(0, 2), (38, 42), (52, 55)])
    assert found["broken_colour"].max() == (8 / TILES if told else 0.0)


def test_tiles_that_come_to_grey_where_nothing_has_a_colour_are_no_hole():
    film = Film(5, level=0.45)  # letters that change on grey
    dig(film, 50, 125, slice(4, 6), slice(6, 10), 0.5)
    assert set(run(film)["broken_colour"]) == {0.0}
    tinted(film, 0, 125, 120, 132)
    dig(film, 50, 125, slice(4, 6), slice(6, 10), 0.5)
    assert run(film)["broken_colour"].max() == 8 / TILES


@pytest.mark.parametrize(
    "what", ["coloured", "dark", "wipe", "cut", "still", "bars", "small", "slow", "short", "on black"]
)
def test_what_is_no_hole(what):
    film = Film(5, level=0.3)
    black = {"dark": 24 / 256}.get(what, 16 / 256)
    if what == "wipe":  # it grows
        for column in range(8):
            dig(film, 50 + 2 * column, 125, slice(0, 9), slice(2 * column, 2 * column + 2), black)
    elif what == "bars":  # letterbox: video.letterbox has them
        dig(film, 50, 125, slice(0, 1), slice(0, 16), black)
        dig(film, 50, 125, slice(8, 9), slice(0, 16), black)
    elif what == "small":
        dig(film, 50, 125, slice(4, 5), slice(4, 6), black)
    elif what == "on black":  # letters that go: around them it was black before
        letters = film.tiles[:50].reshape(50, -1, 9, 16)[..., 2:5, 3:9].copy()
        dig(film, 0, 125, slice(1, 6), slice(2, 10), 30 / 256)
        film.tiles[:50].reshape(50, -1, 9, 16)[..., 2:5, 3:9] = letters
        film.tiles[0, 1] = film.tiles[1, 1]
        dig(film, 50, 125, slice(2, 5), slice(3, 9), black)
    else:
        dig(film, 50, 60 if what == "short" else 125, slice(2, 5), slice(3, 9), black)
    if what == "coloured":
        film.tiles[50:, 2] += 4 / 256
    if what == "cut":  # to a scene at night
        film.tiles[50, 1] = 0.2
    if what == "still":  # a slide on which something is drawn
        film.tiles[:50, 1] = film.tiles[51:, 1] = 0.0
    if what == "slow":  # it fades there
        film.tiles[50, 1, film.tiles[50, 0] == black] = 0.02
        film.tiles[50, 1] = np.minimum(film.tiles[50, 1], 0.019)
    assert set(run(film)["broken_colour"]) == {0.0}


def tinted(film, start, end, u, v):
    film.tiles[start:end, 2], film.tiles[start:end, 3] = u / 256, v / 256


@pytest.mark.parametrize(("rate", "tells"), [(25, {1.0}), (5, {0.0})])
def test_a_cut_to_opposite_colours_in_a_pan_says_nothing_where_pictures_are_far_apart(rate, tells):
    film = Film(6, rate=rate)
    tinted(film, 0, 3 * rate, 112, 120)
    tinted(film, 3 * rate, 6 * rate, 143.5, 135.5)
    film.tiles[:, 1] = 0.1  # all of it moves, all of the time
    film.tiles[3 * rate :, 0] += 0.1
    assert set(run(film)["broken_colour"][4 * rate :]) == tells


def test_u_and_v_that_change_places_are_broken_until_they_change_back():
    film = Film(6)
    tinted(film, 0, 150, 118, 140)
    tinted(film, 50, 100, 140, 118)
    film.tiles[70:, 0] += 0.1  # another scene says nothing of it
    found = run(film)["broken_colour"]
    assert set(found[:55]) == {0.0}
    assert set(found[55:100]) == {1.0}  # a fifth of a second later
    assert set(found[100:]) == {0.0}


@pytest.mark.parametrize("what", ["other", "pale", "grey", "dark", "short", "kept"])
def test_colours_that_have_not_changed_places(what):
    film = Film(66 if what == "kept" else 5)
    n = len(film.times)
    tinted(film, 0, n, *((127.6, 128.4) if what == "pale" else (100, 180)))
    after = {"other": (150, 118), "pale": (128.4, 127.6), "grey": (128, 128)}.get(what, (180, 100))
    tinted(film, 50, 54 if what == "short" else n, *after)
    if what == "dark":  # red light that turns blue
        film.tiles[50:, 0] -= 0.1
        film.tiles[50, 1] = 0.1
    found = run(film)["broken_colour"]
    assert set(found[62 * RATE + 1 :] if what == "kept" else found) == {0.0}


def varied(seconds=5, spread=0.08, seed=4):
    """A film whose tiles differ."""
    film = Film(seconds)
    film.tiles[:, 0] += spread * np.random.default_rng(seed).standard_normal(TILES)
    return film


def test_colours_that_run_the_other_way_are_broken_until_they_run_back():
    film = Film(5)
    tinted(film, 0, 125, 112, 120)  # both on one side: not like places that are changed
    tinted(film, 50, 100, 143, 135)
    found = run(film)
    assert set(found["broken_colour"][:55]) == set(found["broken_colour"][100:]) == {0.0}
    assert set(found["broken_colour"][55:100]) == {1.0}
    assert found["broken_since"][55] == pytest.approx(0.2)
    assert set(found["broken_since"][100:]) == {0.0}


@pytest.mark.parametrize("both", [251 / 256, 255 / 256])
def test_a_negative_is_broken_until_it_is_none(both):
    film = varied()
    film.tiles[50:100, 0] = both - film.tiles[50:100, 0]
    found = run(film)
    assert set(found["broken_colour"][:55]) == set(found["broken_colour"][100:]) == {0.0}
    assert set(found["broken_colour"][55:100]) == {1.0}
    assert found["broken_since"][60] == pytest.approx(0.4)


@pytest.mark.parametrize("what", ["other", "even", "darker", "short"])
def test_what_is_no_negative(what):
    film = varied(spread=0.02 if what == "even" else 0.08)
    end = 54 if what == "short" else 125
    film.tiles[50:end, 0] = 255 / 256 - film.tiles[50:end, 0]
    if what == "other":  # another scene, of as much light
        film.tiles[50:, 0] = 255 / 256 - varied(seed=5).tiles[50:, 0]
    if what == "darker":
        film.tiles[50:, 0] -= 40 / 256
    assert set(run(film)["broken_colour"]) == {0.0}


@pytest.mark.parametrize("rows", [0.1, 0.3, -0.5])
def test_a_picture_that_rolls_is_broken_from_its_first_picture_until_it_stands(rows):
    film = varied(7)
    roll(film, 50, 125, rows)
    film.tiles[125:, 1] = 0.01
    found = run(film)
    bad = found["broken_colour"] > 0
    assert not bad[:52].any()
    assert not bad[125:].any()
    first = int(np.argmax(bad))
    assert first <= 50 + 4.4 / abs(rows)
    assert film.times[first] - found["broken_since"][first] == pytest.approx(2.0)
    assert bad[first:125].mean() > 0.5


@pytest.mark.parametrize("what", ["pan", "repeats", "pale", "jumps", "once", "falls"])
def test_what_does_not_roll(gpu, what):
    film = varied(7, spread=0.02 if what == "pale" else 0.08)
    if what == "repeats":  # as squares do, or a pattern that runs
        film.tiles[:, 0] = np.tile(film.tiles[0, 0, :48], 3)
    roll(film, 50, 125, 0.3)
    if what == "pan":  # another picture comes from below
        for n in range(50, 125):
            new = 16 * min(9, int(0.3 * (n - 49)) + 1)
            film.tiles[n, 0, TILES - new :] = varied(7, seed=6).tiles[0, 0, TILES - new :]
        film.tiles[125:, 0] = film.tiles[124, 0]
    if what == "jumps":  # to other scenes
        for n in range(50, 125):
            film.tiles[n, 0] = varied(7, seed=n).tiles[0, 0]
    if what == "once":  # another scene that is like it, turned over
        film.tiles[50:, 0] = np.roll(varied(7).tiles[0, 0], 4 * 16)
    if what == "falls":  # a thing, on a plain ground
        film.tiles[:, 0] = 0.1
        film.tiles[:, 0].reshape(-1, 9, 16)[:, 0:4, 5:10] += varied(7).tiles[0, 0].reshape(9, 16)[0:4, 5:10]
        roll(film, 50, 62, -0.4)
        film.tiles[62:, 0], film.tiles[62:, 1] = film.tiles[61, 0], 0.01
        film.tiles[:, 0] += 0.002 * np.sin(np.arange(len(film.times)))[:, None]
        assert_triton_agrees(gpu, film, [(49, 63)])
    assert set(run(film)["broken_colour"]) == {0.0}


@pytest.mark.parametrize(("down", "count", "share"), [(True, 2, 3 / 9), (True, 4, 5 / 9), (False, 5, 6 / 16)])
def test_rows_and_columns_that_repeat_are_broken_until_they_do_not(down, count, share):
    film = varied()
    smear(film, 50, 100, down, count)
    found = run(film)
    assert set(found["broken_colour"][:55]) == set(found["broken_colour"][100:]) == {0.0}
    assert set(found["broken_colour"][55:100]) == {share}
    assert found["broken_since"][55] == pytest.approx(0.2)


@pytest.mark.parametrize(("distance", "told"), [(8, False), (14, True)])
def test_a_smear_soon_after_a_cut_is_the_scene_itself(distance, told):
    film = varied()
    film.tiles[50 - distance, 1] = 0.2
    smear(film, 50, 100, True, 4)
    assert (max(run(film)["broken_colour"]) > 0.0) == told


@pytest.mark.parametrize("what", ["flat", "always", "cut", "few", "short", "coloured"])
def test_rows_that_are_alike_and_no_smear(what):
    film = varied()
    smear(film, 0 if what == "always" else 50, 54 if what == "short" else 125, True, 1 if what == "few" else 4)
    if what == "flat":  # a banner of one colour
        film.tiles[50:, 0, 80:] = 0.4
    if what == "cut":
        film.tiles[50, 1] = 0.2
    if what == "coloured":  # rows of other colours
        film.tiles[50:, 2, 112:] += 4 / 256
    assert set(run(film)["broken_colour"]) == {0.0}


def test_slots_do_not_touch_each_other():
    films = [random_film(seed) for seed in (5, 6, 7)]
    state = new_state(3)
    together = [[] for _ in films]
    for n in range(min(len(film.times) for film in films)):
        rows = temporal(
            *(
                torch.from_numpy(np.array([getattr(film, name)[n] for film in films]))
                for name in ("tiles", "mafd", "gradient", "times")
            ),
            torch.zeros(3, dtype=torch.int64),
            torch.tensor([0, 1, 2]),
            state,
        )
        for own, row in zip(together, rows.numpy(), strict=True):
            own.append(row)
    for film, rows in zip(films, together, strict=True):
        alone = np.array([run(film)[name] for name in COLUMNS]).T
        np.testing.assert_array_equal(alone[: len(rows)], np.array(rows))


def test_a_row_without_tiles_is_not_measured_and_changes_nothing():
    film = Film(2)
    film.tiles[10] = np.nan
    found = run(film)
    assert all(np.isnan(found[name][10]) for name in COLUMNS)
    assert found["stutter_rate"][-1] == 0


def test_four_flashes_in_a_second_over_a_third_of_the_screen_are_more_than_three():
    film = Film(3)
    for flash in range(4):
        film.tiles[film.at(1 + flash / 4, 1 + flash / 4 + 0.12), 0, : TILES // 3] += 0.3
    rates = run(film)["flash_rate"]
    assert rates[film.at(0, 1)].max() == 0
    assert rates[film.at(1.75, 2)].max() == pytest.approx(3.5)  # the first rise has nothing to oppose
    assert rates[film.at(2.9, 3)].max() == 0


def test_flashes_over_a_fifth_of_the_screen_or_three_in_a_second_are_allowed():
    small = Film(3)
    for flash in range(6):
        small.tiles[small.at(1 + flash / 6, 1 + flash / 6 + 0.08), 0, : TILES // 5] += 0.3
    assert run(small)["flash_rate"].max() == 0
    slow = Film(4)
    for flash in range(10):
        slow.tiles[slow.at(flash * 0.36, flash * 0.36 + 0.12), 0] += 0.3
    assert run(slow)["flash_rate"].max() == 3


def test_flashes_between_two_bright_states_are_none():
    film = Film(3, level=0.88)  # 16 + 219 * 0.94: about 170 cd/m2
    film.tiles[::2, 0] += 0.05
    assert run(film)["flash_rate"].max() == 0


def test_red_flashes_are_seen_where_luminance_hardly_changes():
    film = Film(3, level=0.25)
    red = np.arange(len(film.times)) % 4 < 2
    film.tiles[red, 2], film.tiles[red, 3] = 0.42, 0.92
    film.tiles[~red, 0] = 0.22
    rates = run(film)
    assert rates["red_flash_rate"].max() >= 3.5
    assert rates["flash_rate"].max() == rates["red_flash_rate"].max()


@pytest.mark.parametrize("period", [2, 3, 5, 8])
def test_periodic_brightness_is_flicker_and_says_how_much(period):
    film = Film(4)
    wave = np.sin(2 * np.pi * np.arange(len(film.times)) / period + 0.7)
    film.tiles[:, 0] += (219 / 256) * 0.03 * wave[:, None] / (np.sqrt((wave**2).mean() * 2))
    assert run(film)["flicker"][-1] == pytest.approx(3.0, rel=0.1)


def test_flicker_is_seen_across_a_cut_and_dated_to_its_first_picture():
    film = Film(6)
    inside = film.at(2, 5)
    wave = 0.02 * np.sin(2 * np.pi * np.arange(len(film.times)) / 5 + 0.7)
    after = film.at(3.4, 6)
    film.tiles[after, 0] += np.where(np.arange(TILES) % 2, 0.3, -0.2)  # another scene, brighter by a few codes
    film.tiles[film.at(3.4, 3.44), 1] = 0.25
    film.tiles[:, 0] += np.where(inside, wave, 0.0)[:, None]
    found = run(film)
    assert found["flicker"][film.at(2.6, 5)].min() > 1.0
    first = np.flatnonzero(found["flicker"])[0]
    assert film.times[first] - found["flicker_since"][first] == pytest.approx(2.0)
    last = np.flatnonzero(found["flicker"])[-1]
    assert film.times[last] - found["flicker_since"][last] == pytest.approx(5.0, abs=0.041)


def test_flashes_are_dated_by_the_transitions_that_count():
    film = Film(4)
    for flash in range(5):
        film.tiles[film.at(1 + flash / 5, 1 + flash / 5 + 0.12), 0, : TILES // 3] += 0.3
    found = run(film)
    bad = np.flatnonzero(found["flash_rate"] >= 3.5)
    assert film.times[bad[0]] - found["flash_since"][bad[0]] == pytest.approx(1.12)  # the first fall
    good = bad[-1] + 1
    assert film.times[good] - found["flash_since"][good] == pytest.approx(1.92)  # the last one


def test_flashes_go_on_through_a_dark_scene_that_flickers_and_end_with_the_flicker(gpu):
    film = Film(7)
    film.tiles[:, 0] += 0.001 * np.random.default_rng(2).standard_normal(len(film.times))[:, None]
    film.tiles[film.at(1, 5), 0] += np.where(np.arange(100) % 4 < 2, 0.05, -0.05)[:, None]
    film.tiles[film.at(3, 5), 0] += np.where(np.arange(TILES) % 2, 0.45, -0.35)  # too bright and too dark for flashes
    film.tiles[film.at(3, 3.04), 1] = film.tiles[film.at(5, 5.04), 1] = 0.25
    found = run(film)
    bad = np.flatnonzero(found["flash_rate"] >= 3.25)
    assert film.times[np.flatnonzero(found["flash_rate"] >= 3.5)[-1]] < 4.0
    assert bad[-1] - bad[0] == len(bad) - 1
    good = bad[-1] + 1
    assert film.times[good] - found["flash_since"][good] == pytest.approx(5.0, abs=0.041)
    assert_triton_agrees(gpu, film, [(24, 30), (74, 80), (98, 104), (122, 130)])


def test_flicker_alone_is_no_flash():
    film = Film(5)
    film.tiles[:, 0] += np.where(np.arange(len(film.times)) % 4 < 2, 0.02, -0.02)[:, None]
    found = run(film)
    assert found["flicker"][-1] > 1
    assert found["flash_rate"].max() == 0


@pytest.mark.parametrize("what", ["fade", "cut", "walk"])
def test_brightness_that_does_not_come_back_is_no_flicker(what):
    film = Film(6)
    n = len(film.times)
    course = {
        "fade": np.linspace(-0.3, 0.3, n),
        "cut": np.where(np.arange(n) < n // 2, -0.2, 0.2),
        "walk": np.cumsum(np.random.default_rng(3).normal(0, 0.01, n)),
    }[what]
    film.tiles[:, 0] += course[:, None]
    assert run(film)["flicker"].max() == 0


def test_random_repeats_are_stutter_and_pulldown_is_none():
    stuttering, pulldown = Film(8, rate=30), Film(8, rate=30)
    stuttering.tiles[[70, 77, 88, 92, 105, 118, 121, 131], 1] = 0.0
    pulldown.tiles[4::5, 1] = 0.0
    rates = run(stuttering)["stutter_rate"]
    assert rates[stuttering.at(0, 2)].max() == 0
    assert rates.max() >= 2
    assert rates[-1] == 0
    # Its first repeats are new, before their rhythm is known.
    rates = run(pulldown)["stutter_rate"]
    assert rates.max() <= 1
    assert rates[pulldown.at(3, 8)].max() == 0


@pytest.mark.parametrize(("rate", "drawn"), [(60, 30), (50, 25), (60, 24), (50, 24), (50, 30), (60, 20), (30, 12)])
def test_content_of_a_lower_rate_is_no_stutter_though_its_repeats_are_not_all_alike(rate, drawn):
    film = Film(10, rate=rate)
    rng = np.random.default_rng(rate * drawn)
    shown = np.floor(np.arange(len(film.times)) * drawn / rate)
    repeats = np.flatnonzero(np.diff(shown) == 0) + 1
    # A coder with few bits sharpens what it shows again: some repeats differ by nothing, others by a fifth of motion.
    film.tiles[repeats, 1] *= rng.choice([0.0, 0.05, 0.12, 0.22], len(repeats))[:, None]
    assert run(film)["stutter_rate"].max() == 0


def test_content_at_two_thirds_of_the_rate_is_no_stutter_where_it_moves_slowly_and_is_coded_coarsely():
    # Twenty pictures a second shown at thirty, a rhythm of 4 and 2. For two seconds it hardly moves, and what is shown
    # again differs by nearly as much, so that many repeats pass for none.
    film, rng = Film(10, rate=30), np.random.default_rng(16)
    n = len(film.times)
    repeats = np.zeros(n, bool)
    repeats[np.cumsum([1, *[2, 4] * 48])] = True
    motion = rng.uniform(1.5, 4, n) * np.where(film.at(5, 7), 0.4, 1.0)
    film.tiles[:, 1] = (np.where(repeats, rng.uniform(0.06, 0.34, n), motion) / 256)[:, None]
    assert run(film)["stutter_rate"].max() < 1.5


def test_a_speaker_who_hardly_moves_stutters_too():
    film = Film(8, rate=30, motion=0.7 / 256)
    film.tiles[[70, 77, 88, 92, 105, 118, 121, 131], 1] = 0.02 / 256
    assert run(film)["stutter_rate"].max() >= 1.5


def test_a_cut_before_pictures_that_repeat_hides_none_of_them():
    film = Film(8, rate=30, motion=0.01)
    film.tiles[66, 1] = 0.3
    film.tiles[[70, 77, 88, 92, 105, 118, 121, 131], 1] = 0.0
    assert run(film)["stutter_rate"].max() >= 1.5


@pytest.mark.parametrize(("held", "rate"), [(10, 2.0), (5, 1.0)])
def test_a_long_hold_counts_twice_and_two_of_them_in_two_seconds_are_stutter(gpu, held, rate):
    film = Film(7)
    film.tiles[:, 0] += 0.01 * np.sin(np.arange(len(film.times)))[:, None]
    for start in (3.0, 4.0):
        film.tiles[film.at(start, start + held / RATE), 1] = 0.0
    found = run(film)
    assert found["stutter_rate"][film.at(0, 4)].max() == rate / 2
    assert found["stutter_rate"].max() == rate
    assert_triton_agrees(gpu, film, [(74, 88), (98, 112)])


def test_motion_that_comes_to_rest_is_no_stutter():
    film = Film(8, rate=30)
    for start in (70, 100, 135):
        film.tiles[start : start + 4, 1] = np.array([0.002, 0.0002, 0.0002, 0.0015])[:, None]
    assert run(film)["stutter_rate"].max() == 0


def test_pictures_left_out_are_stutter_and_a_new_rate_is_none():
    dropped = Film(8)
    dropped.times = dropped.times + np.cumsum(np.isin(np.arange(200), [80, 91, 107, 113])) / RATE
    assert run(dropped)["stutter_rate"].max() >= 1.5
    slower = Film(8)
    slower.times[100:] = slower.times[100] + np.arange(100) / 12.5
    assert run(slower)["stutter_rate"].max() == 0


def test_half_a_picture_that_stops_is_stuck_until_it_moves():
    film = Film(8)
    film.tiles[film.at(3, 6), 1, TILES // 2 :] = 0.0
    share = run(film)["stuck_share"]
    assert share[film.at(0, 3)].max() == 0
    assert share[film.at(3, 6)].min() == pytest.approx(0.5, abs=TILE_COLUMNS / TILES)
    assert share[film.at(6, 6.04)].max() > 0  # one picture that differs is what key frames do
    assert share[film.at(6.04, 8)].max() == 0


def test_a_part_that_jumps_once_has_not_stopped_and_one_that_is_stuck_and_jumps_is_free_at_once(gpu):
    film = Film(8)
    film.tiles[:, 0] += 0.01 * np.sin(np.arange(len(film.times)))[:, None]
    film.tiles[:, 1, TILES // 2 :] = 0.0  # a wall
    film.tiles[film.at(2, 2.04), 1, TILES // 2 :] = 0.03  # other levels
    film.tiles[film.at(3, 4), 1, TILES // 2 :] = 0.01
    film.tiles[film.at(6, 6.04), 1, TILES // 2 :] = 0.03
    found = run(film)
    assert found["stuck_share"][film.at(0, 4)].max() == 0
    assert found["stuck_share"][film.at(4, 6)].min() == pytest.approx(0.5, abs=TILE_COLUMNS / TILES)
    assert found["stuck_share"][film.at(6, 8)].max() == 0
    assert_triton_agrees(gpu, film, [(0, 3), (49, 53), (74, 79), (98, 103), (149, 153)])


def stopped_with_strays():
    """The lower half stops, while tiles all over the upper half happen to rest now and then."""
    film = Film(2.5)
    film.tiles[:, 0] += 0.01 * np.sin(np.arange(len(film.times)))[:, None]  # a film without any change divides by 0
    film.tiles[:, 1, : TILES // 2 : 7] = np.where(np.arange(len(film.times)) % 4 < 2, 0.0, 0.02)[:, None]
    film.tiles[film.at(1.5, 2.5), 1, TILES // 2 :] = 0.0
    return film


def test_a_half_that_stops_is_stuck_although_other_tiles_rest_at_the_same_time(gpu):
    film = stopped_with_strays()
    found = run(film)
    assert found["stuck_share"][film.at(0, 1.5)].max() == 0
    assert found["stuck_share"][film.at(1.6, 2.5)].min() == pytest.approx(0.5, abs=TILE_COLUMNS / TILES)
    assert_triton_agrees(gpu, film, [(0, 2), (36, 62)])


@pytest.mark.parametrize("why", ["a dissolve ends", "the rest rests too", "the rest is redrawn", "it was noise"])
def test_what_stops_with_the_rest_of_the_picture_is_not_stuck(why):
    film = Film(8)
    film.tiles[film.at(3, 6), 1, TILES // 2 :] = 0.0
    if why == "a dissolve ends":
        film.tiles[:, 0, TILES // 2 :] = np.minimum(film.times, 3.0)[:, None] * 0.01 * RATE * 0.8
    elif why == "the rest rests too":
        film.tiles[film.at(3, 6), 1, : TILES // 2] *= 0.3
    elif why == "the rest is redrawn":
        film.tiles[film.at(3, 6), 1, : TILES // 2] *= 8
    else:
        film.tiles[film.at(0, 3), 1, TILES // 2 :] = 0.0015
    assert run(film)["stuck_share"][film.at(0, 4)].max() == 0


@pytest.mark.parametrize(("distance", "told"), [(8, False), (14, True)])
def test_a_half_that_stops_half_a_second_after_a_cut_is_stuck_and_one_that_stops_sooner_is_not(gpu, distance, told):
    film = Film(1.2)
    film.tiles[17 - distance, 1] = 0.2
    film.tiles[17:, 1, TILES // 2 :] = 0.0
    found = run(film)
    assert (found["stuck_share"].max() > 0.4) == told
    assert_triton_agrees(gpu, film)


@pytest.mark.parametrize("what", ["all of it", "after a cut", "scattered", "always still"])
def test_what_stands_still_for_a_good_reason_is_not_stuck(what):
    film = Film(8)
    still = film.at(3, 6)
    if what == "all of it":
        film.tiles[still, 1] = 0.0
    elif what == "after a cut":
        film.tiles[film.at(2.9, 3), 1] = 0.1
        film.tiles[still, 1, TILES // 2 :] = 0.0
    elif what == "scattered":
        film.tiles[np.ix_(still, [1], np.arange(0, TILES, 3))] = 0.0
    else:
        film.tiles[:, 1, TILES // 2 :] = 0.0
    assert run(film)["stuck_share"].max() == 0


def test_one_colour_has_no_spread():
    film = Film(1)
    film.tiles[:, 0], film.tiles[:, 2], film.tiles[:, 3], film.gradient[:] = 0.3, 0.2, 0.1, 0.0
    film.tiles[10, 2, 5] = 0.35
    spread = run(film)["colour_spread"]
    assert spread[0] == 0
    assert spread[10] == pytest.approx(0.15)


def card_of(luma, u, v, seconds, shift=0.0, away=0.2):
    """Three seconds of a scene, with a card of one colour from second 1 on; `shift`: in brightness, after it.

    `away`: how far the scene is from the card.
    """
    film = Film(3)
    inside = film.at(1, 1 + seconds)
    film.tiles[inside, 0], film.tiles[inside, 2], film.tiles[inside, 3] = luma, u, v
    film.gradient[inside] = 0.0
    film.tiles[np.flatnonzero(np.diff(inside)) + 1, 1] = away
    film.tiles[film.at(1 + seconds, 3), 0] += shift
    return film, film.times[run(film)["broken_colour"] > 0]


def test_a_few_pictures_of_one_colour_within_a_scene_are_broken():
    _, broken = card_of(0.3, 0.35, 0.3, 6 / RATE)
    assert broken.tolist() == [pytest.approx(1 + 6 / RATE)]  # known when the scene is back
    assert len(card_of(0.5, 0.5, 0.5, 3 / RATE)[1]) == 1  # grey


def test_a_plain_ground_from_which_a_pointer_goes_for_a_moment_is_not_broken():
    assert len(card_of(0.3, 0.35, 0.3, 6 / RATE, away=0.03)[1]) == 0


@pytest.mark.parametrize(
    ("luma", "u", "v", "seconds", "shift"),
    [
        (0.9, 0.5, 0.5, 0.2, 0.0),
        (0.06, 0.5, 0.5, 0.2, 0.0),
        (0.3, 0.35, 0.94, 0.2, 0.0),
        (0.3, 0.35, 0.3, 1.5, 0.0),
        (0.3, 0.35, 0.3, 0.2, 0.2),
    ],
    ids=["white", "black", "red", "long", "another scene after it"],
)
def test_what_an_editor_puts_between_pictures_is_not_broken(luma, u, v, seconds, shift):
    assert len(card_of(luma, u, v, seconds, shift)[1]) == 0


def test_a_part_without_any_chroma_is_broken_at_once():
    film = Film(2)
    film.tiles[film.at(1, 1.2), 2:, : 3 * TILE_COLUMNS] = 0.0
    broken = run(film)["broken_colour"]
    assert broken[film.at(1, 1.2)].tolist() == [pytest.approx(1 / 3)] * 5
    assert not broken[film.at(0, 1)].any()


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="temporal takes"):
        temporal(*(torch.zeros(1, dtype=torch.float64) for _ in range(4)), torch.zeros(1), torch.zeros(1), new_state(1))

"""What no picture shows: holes, smears, rolling, negatives, planes that change places, and cards of one colour."""

import numpy as np
import pytest
from film import (
    RATE,
    Film,
    assert_triton_agrees,
    dig,
    roll,
    run,
    smear,
    tinted,
    varied,
)
from interpreter import interpreted

from kernels.tile_stats import TILE_COLUMNS, TILES


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.temporal.gpu") as module:
        yield module


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


@pytest.mark.parametrize("seen", ["first", "last"])
def test_an_effect_that_turns_hues_for_a_moment_and_shifts_chroma_besides_is_no_swap(gpu, seen):
    film = Film(5)
    film.tiles[:, 0] += 0.01 * np.random.default_rng(2).standard_normal((125, 1))
    tinted(film, 0, 125, 100, 180)
    tinted(film, 50, 53, 180, 100)
    shifted = 53 if seen == "first" else 49  # so that of the two swaps only one is seen
    film.tiles[shifted, 2:] += 0.05
    assert set(run(film)["broken_colour"]) == {0.0}
    assert_triton_agrees(gpu, film, [(40, 62)])


@pytest.mark.parametrize("seen", ["first", "last"])
def test_an_effect_that_turns_luma_for_a_moment_and_shifts_it_besides_is_no_negative(gpu, seen):
    film = varied()
    film.tiles[:, 0] += 0.01 * np.random.default_rng(2).standard_normal((len(film.times), 1))
    film.tiles[50:53, 0] = 255 / 256 - film.tiles[50:53, 0]
    shifted = 53 if seen == "first" else 49
    film.tiles[shifted, 0] = np.roll(film.tiles[shifted, 0], 3)
    assert set(run(film)["broken_colour"]) == {0.0}
    assert_triton_agrees(gpu, film, [(46, 60)])


@pytest.mark.parametrize("what", ["negative", "hues"])
def test_a_blow_drawn_as_some_turned_pictures_before_another_scene_is_not_broken(gpu, what):
    rng = np.random.default_rng(3)
    film = varied()
    film.tiles[:, 0] += 0.01 * rng.standard_normal((len(film.times), 1))
    tinted(film, 0, len(film.times), 112, 120)
    plane = 0 if what == "negative" else slice(2, 4)
    film.tiles[50:53, plane] = 255 / 256 - film.tiles[50:53, plane]
    film.tiles[53:, 0] = 0.4 + 0.1 * rng.standard_normal(TILES)  # another scene
    tinted(film, 53, len(film.times), 110, 140)
    film.tiles[53, 1] = 0.2
    assert set(run(film)["broken_colour"]) == {0.0}
    assert_triton_agrees(gpu, film, [(46, 60)])


@pytest.mark.parametrize("ago", [1, 10, 40])
def test_a_swap_soon_after_a_cut_is_told(ago):
    film = Film(5)
    tinted(film, 0, 50 - ago, 135, 131)
    tinted(film, 50 - ago, 50, 150, 118)
    tinted(film, 50, 125, 118, 150)
    film.tiles[50 - ago :, 0] += 0.1
    film.tiles[50 - ago, 1] = 0.2
    assert set(run(film)["broken_colour"][55:]) == {1.0}


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

"""What tiles do over time: the CPU and the (interpreted) Triton version against the plain one, and by scenes."""

import numpy as np
import pytest
import torch
from film import (
    RATE,
    Film,
    assert_same,
    assert_triton_agrees,
    random_film,
    run,
    run_plain,
)
from interpreter import interpreted
from properties import given, settings, st

from kernels.temporal import COLUMNS, Range, new_state, temporal
from kernels.tile_stats import TILE_COLUMNS, TILES


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.temporal.gpu") as module:
        yield module


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(Range))
def test_cpu_version_equals_the_plain_one(seed, ranges):
    film = random_film(seed)
    assert_same(run(film, ranges=ranges), run_plain(film, ranges))


@pytest.mark.parametrize("seed", range(3))
def test_triton_version_equals_the_plain_one(gpu, seed):
    assert_triton_agrees(gpu, random_film(seed, seconds=2.5))


def test_slots_do_not_touch_each_other():
    films = [random_film(seed) for seed in (5, 6, 7)]
    state = new_state(3)
    together = [[] for _ in films]
    for n in range(min(len(film.times) for film in films)):
        rows = temporal(
            *(
                torch.from_numpy(np.array([getattr(film, name)[n] for film in films]))
                for name in ("tiles", "luma", "mafd", "gradient", "times")
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


def test_lines_of_text_that_cross_the_rows_of_tiles_are_no_flicker_and_all_rows_together_are():
    wave = 0.02 * np.sin(2 * np.pi * np.arange(100) / 5 + 0.7)
    text, lamp = Film(4), Film(4)
    text.tiles[:, 0] += wave[:, None]
    text.between = -wave
    lamp.between = wave
    assert run(text)["flicker"].max() == 0
    assert run(lamp)["flicker"][-1] > 1


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


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="temporal takes"):
        temporal(*(torch.zeros(1, dtype=torch.float64) for _ in range(5)), torch.zeros(1), torch.zeros(1), new_state(1))

"""Which pictures that differ from their reference are the same picture, drawn anew by the coder."""

import math

import numpy as np
import pytest
import torch

from engine.references import DeviceReferences, Stand

LEVEL = 0.001


def told(differences, keys=()):
    """Of each picture whether it counts as drawn anew."""
    stand = Stand()
    return [stand.is_redrawn(apart, LEVEL, index in keys) for index, apart in enumerate(differences)]


# Differences from the reference, in percent of full scale, as measured of clips coded by x264 at CRF 18 and 23.
def test_what_a_coder_improves_after_motion_has_stopped_ends_no_freeze():
    tennis = [0.457, 0.003, 0.079, 0.026, 0.133, 0.004, 0.008, 0.104, 0.002, 0.05, 0.101, *[0.07] * 60]
    found = told([0.01 * value for value in tennis])
    assert [index for index, redrawn in enumerate(found) if redrawn] == [4, 7, 10]


def test_what_a_coder_improves_before_anything_has_repeated_does_not_keep_it_from_settling():
    # Of the first still picture already; in the last one motion had become slow besides.
    pancake = [1.665, 0.819, 1.536, 0.114, 0.017, 0.017, 0.019, 0.108, 0.001, 0.002, 0.005, *[0.089] * 4, 0.132]
    found = told([0.01 * value for value in (*pancake, 0.001, 0.002, 0.003, *[0.07] * 60)])
    assert [index for index, redrawn in enumerate(found) if redrawn] == [7, 15]
    talk = [0.349, 0.28, 0.243, 0.293, 0.131, 0.105, 0.002, 0.003, 0.006, 0.099, 0.098, 0.098, 0.096, 0.149]
    found = told([0.01 * value for value in (*talk, 0.0, 0.002, 0.005, *[0.08] * 60)])
    assert [index for index, redrawn in enumerate(found) if redrawn] == [13]


def test_pictures_that_go_on_moving_slowly_after_motion_are_others():
    assert not any(told([0.01, *[0.0012] * 40]))


def test_a_key_picture_after_pictures_that_do_not_change_any_more_is_the_same_though_these_had_drifted():
    assert told([0.0017, *[0.00076] * 12, 0.00154], keys={13})[-1]
    assert told([0.0017, *[0.00029] * 12, 0.00328], keys={13})[-1]


def test_pictures_that_follow_a_key_picture_and_improve_it_are_the_same():
    # A still picture of a talk in MPEG-2, a key picture in twelve, which the picture after it improves.
    gop = [0.00149, 0.00103, 0.0, 0.00052, 0.00023, 0.00023, 0.00045, 0.00022, 0.00022, 0.00046, 0.00012, 0.00012]
    found = told([0.0048, *[0.0002] * 11, *gop * 4], keys=set(range(12, 60, 12)))
    assert [index for index, redrawn in enumerate(found) if redrawn] == [12, 13, 24, 25, 36, 37, 48, 49]


def test_a_camera_that_looks_at_an_empty_room_is_not_frozen_for_its_key_pictures():
    # Between key pictures a second apart it differs by half the noise level, and never by the same.
    second = [0.00375, *[0.00034, 0.00041, 0.00028, 0.00052, 0.00047, 0.00056, 0.0003, 0.00044, 0.00034]]
    assert not any(told(second * 6, keys=set(range(0, 60, 10))))


@pytest.mark.parametrize("speed", [0.0003, 0.0006])
def test_slow_motion_is_no_settling(speed):
    # Each step passes the noise level again after some pictures; after four of them it is motion.
    differences, apart = [0.01], 0.0
    for _ in range(100):
        apart = speed if apart > LEVEL else apart + speed
        differences.append(apart)
    found = told(differences)
    assert sum(found) <= 4
    assert not any(found[32:])


def test_motion_that_was_never_large_does_not_settle():
    assert not any(told([0.002, 0.0004, 0.0012, 0.0003, 0.0011]))


def test_what_has_no_reference_is_another_picture():
    assert told([0.0001, math.nan, 0.0011]) == [False, False, False]


@pytest.mark.parametrize("seed", range(8))
def test_a_device_says_what_the_host_says(seed):
    rng = np.random.default_rng(seed)
    slots, pictures = 3, 400
    # Stretches of rest, of settling and of motion.
    size = LEVEL * np.repeat(rng.choice([0.05, 0.3, 0.9, 1.2, 6.0], (slots, pictures // 10)), 10, axis=1)
    differences = np.where(rng.random((slots, pictures)) < 0.5, size, size * rng.uniform(0.5, 1.5, size.shape))
    differences[rng.random(differences.shape) < 0.01] = math.nan
    keys = rng.random(differences.shape) < 0.1
    hosts = [Stand() for _ in range(slots)]
    device = DeviceReferences(slots, torch.device("cpu"))
    every = torch.arange(slots)
    noise = torch.full((slots,), LEVEL, dtype=torch.float64)
    redrawn = 0
    for k in range(pictures):
        given = torch.from_numpy(differences[:, k].copy())
        device.update(every, given, noise, torch.from_numpy(keys[:, k].astype(np.float64)))
        for slot, host in enumerate(hosts):
            apart = float(differences[slot, k])
            is_redrawn = host.is_redrawn(apart, LEVEL, bool(keys[slot, k]))
            redrawn += is_redrawn
            assert given[slot].item() == pytest.approx(LEVEL if is_redrawn else apart, nan_ok=True)
    assert redrawn > 10

"""The arithmetic around the kernels gives the same on device tensors as on numpy views, which is what a GPU runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from frames import random_frame
from on_tensors import OnTensors
from surfaces import surface

from engine.batch import Batcher
from engine.detectors import DETECTORS, resolve
from engine.measure import Measure, damage
from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import VIDEO_COLUMNS, place
from engine.measure.damage import TornBlocks
from engine.measure.host import fold_damage
from engine.measure.rows import Fact, Room, Rows, facts_of
from engine.slates import SIZE, Slate
from kernels.siti import COLUMNS as INFORMATION_COLUMNS

CPU = torch.device("cpu")
SLATES = tuple(
    Slate.of(name, np.random.default_rng(seed).integers(0, 256, SIZE, np.uint8)) for seed, name in enumerate("ab")
)


def boxed(frame, bars):
    """The same picture with black above and below."""
    frame.buffers[0][:bars] = 16
    frame.buffers[0][len(frame.buffers[0]) - bars :] = 16
    return frame


def of_one_u(frame):
    """The same picture, one of whose colours is the same everywhere."""
    frame.buffers[1][...] = 117
    return frame


def pictures():
    """Batches of three streams: one letterboxed on the way, whose U has one value then, one of full range, whose U has
    one value at first, and one interlaced that repeats itself."""
    for n in range(60):
        first = boxed(random_frame(64, 36, seed=n, smooth=True), 6 if n > 20 else 0)
        first = of_one_u(first) if n > 40 else first
        second = random_frame(48, 40, seed=100 + n, interleaved=True)
        second = of_one_u(second) if n < 10 else second
        third = random_frame(70, 37, seed=n // 5, smooth=True)
        yield [
            (0, surface(first, n / 5, False, False)),
            (1, surface(second, n / 5, True, False)),
            (2, surface(third, n / 5, False, True)),
        ]


@pytest.mark.parametrize("wanted", [None, {"black_ratio"}])
def test_tensors_give_what_numpy_gives(wanted):
    names = {declared.column for declared in DETECTORS} | {*INFORMATION_COLUMNS} if wanted is None else wanted
    _, parameters = resolve(None)
    host, device = Measure(CPU, 3, slates=SLATES), Measure(CPU, 3, OnTensors(), SLATES)
    for slot in range(3):
        host.open_slot(slot, parameters, names)
        device.open_slot(slot, parameters, names)
    batcher = Batcher(CPU, 3, 0.0)
    measured = set()
    for taken in pictures():
        batch = batcher.assemble(taken, dict.fromkeys(range(3), 0.1))
        one, other = host.frames(batch), device.frames(batch)
        np.testing.assert_allclose(one.values.numpy(), other.values.numpy(), rtol=1e-12, atol=0, equal_nan=True)
        measured |= {name for k, name in enumerate(one.columns) if one.values[:, k].isfinite().any()}
    assert ("letterbox" in measured) == (wanted is None)
    assert {"mafd", "black_ratio"} <= measured


def test_the_compiled_evidence_of_damage_is_that_of_tensors(monkeypatch):
    """With whatever the kernel finds: pictures of noise have no torn blocks."""
    rng = np.random.default_rng(5)
    host, device = (TornBlocks(arithmetic, 3) for arithmetic in (Arithmetic(CPU), OnTensors()))
    for slot in range(3):
        host.open_slot(slot, {}, {"corruption"} if slot < 2 else set())
        device.open_slot(slot, {}, {"corruption"} if slot < 2 else set())
    told, doubted = set(), set()
    first, colour, corruption = place("torn_corners"), place("broken_colour"), place("corruption")
    woven = place("woven")
    for n in range(200):
        found = (
            rng.integers(0, 60, (2, 5))
            * (rng.random((2, 5)) < (0.4 if n < 100 else 0.9))
            * (1.0 if n // 20 % 2 else 0.1)
        )
        found[rng.random(2) < 0.1] = np.nan  # no earlier picture
        monkeypatch.setattr(damage, "torn_blocks", lambda *_, found=found: torch.from_numpy(found.copy()))
        pictures = [
            replace(surface(random_frame(64, 48), n / 25, False, n % 7 == 3), corrupt=n % 50 == 7) for _ in range(2)
        ]
        slots = [n % 2, 2]
        batch = Batcher(CPU, 2, 0.0).assemble(list(zip(slots, pictures, strict=True)), dict.fromkeys(slots, 0.1))
        facts, compiled = facts_of(batch), np.full((2, len(VIDEO_COLUMNS)), np.nan)
        compiled[:, first : first + 5] = found
        slots, pts = batch.slots.numpy(), batch.pts.numpy()
        fold_damage(compiled, first, colour, corruption, facts, host.wanted, slots, pts, *host.said.host)
        values = torch.full((2, len(VIDEO_COLUMNS)), torch.nan, dtype=torch.float64)
        room, listed = Room().around(batch), torch.from_numpy(facts)
        device.fill(Rows(room, listed, batch.frames, batch.frames, values, values, batch.slots, batch.pts))
        np.testing.assert_array_equal(compiled[host.wanted[slots], woven], values[host.wanted[slots], woven].numpy())
        results = compiled[:, corruption], values[:, corruption].numpy()
        np.testing.assert_allclose(*results, rtol=1e-12, equal_nan=True)
        told |= {value > 0 for value in results[0][:1]}
        for of_host, of_device in ((host.said.evidence, device.said.evidence), (host.said.doubt, device.said.doubt)):
            np.testing.assert_allclose(of_host[:2], of_device[:2].numpy(), rtol=1e-12)
        doubted |= {bool(value == 1.0) for value in host.said.doubt[:2]}
    assert told == doubted == {True, False}


@pytest.mark.parametrize(("other_grids", "tells"), [(2, True), (19, False)])
def test_corners_that_other_grids_had_a_moment_before_are_no_damage(other_grids, tells):
    """Of a starved coder's pictures any grid has torn corners now and then; those of damage lie on its own."""
    blocks = TornBlocks(Arithmetic(CPU), 1)
    blocks.open_slot(0, {}, {"corruption"})
    first, colour, corruption = place("torn_corners"), place("broken_colour"), place("corruption")
    facts = np.zeros((len(Fact), 1))
    facts[Fact.WIDTH], facts[Fact.HEIGHT] = 320, 180
    found = []
    for n in range(60):
        values = np.full((1, len(VIDEO_COLUMNS)), np.nan)
        corners, off = (60, 9) if n == 55 else (9, other_grids if n == 53 else 8)
        values[0, first : first + 5] = corners, off, 4 if n == 55 else 1, 1, 0
        slots, pts = np.array([0]), np.array([n / 25])
        fold_damage(values, first, colour, corruption, facts, blocks.wanted, slots, pts, *blocks.said.host)
        found.append(float(values[0, corruption]))
    assert set(found[:55]) == {0.0}
    assert (found[55] > 0) is tells

"""torn_blocks, scaled_blocks, tear and jitter on a GPU: equal to the plain versions."""

import pytest
import torch
from frames import frame_table, random_frame, reference_table
from test_jitter import framed as plain_framed
from test_jitter import jittered
from test_scaled_blocks import SHAPES, damaged
from test_tear import moment
from test_torn_blocks import framed, scene, with_blocks

from kernels.jitter import jitter
from kernels.jitter import reference as plain_jitter
from kernels.scaled_blocks import reference as plain_scaled
from kernels.scaled_blocks import scaled_blocks
from kernels.tear import reference as plain_tear
from kernels.tear import tear
from kernels.torn_blocks import reference as plain_blocks
from kernels.torn_blocks import torn_blocks


def on_device(pairs):
    """The tables of (picture, earlier picture) pairs in the GPU's memory, and what they point to."""
    kept, places = [], {}
    for frame in (frame for pair in pairs for frame in pair):
        for buffer in frame.buffers:
            kept.append(torch.from_numpy(buffer).cuda())
            places[buffer.ctypes.data] = kept[-1].data_ptr()

    def moved(table):
        table = table.clone()
        table[:, 0] = torch.tensor([places[int(address)] for address in table[:, 0]])
        table[:, 1:3] = 0  # luma is all that they read
        return table.cuda()

    frames, references = frame_table([a for a, _ in pairs]), reference_table([b for _, b in pairs])
    return (frames, references), (moved(frames), moved(references)), kept


@pytest.mark.gpu
def test_torn_blocks_on_a_gpu_equals_the_plain_one():
    pairs = [
        (framed(with_blocks(scene(1), [(16, 32), (40, 56)])), framed(scene(0))),
        (framed(with_blocks(scene(1, 65, 61), [(16, 32)]), depth=10, shift=6), framed(scene(0, 65, 61), 10, shift=6)),
        (random_frame(1030, 70, seed=1), random_frame(1030, 70, seed=2)),
        (random_frame(7, 5, seed=1), random_frame(7, 5, seed=2)),
    ]
    tables, moved, _kept = on_device(pairs)
    found = torn_blocks(*moved).cpu()
    torch.testing.assert_close(found, plain_blocks.torn_blocks(*tables), rtol=0, atol=0, equal_nan=True)


@pytest.mark.gpu
def test_scaled_blocks_on_a_gpu_equals_the_plain_one():
    shapes = [((w, h), (cw, ch), options) for w, h, cw, ch, options in SHAPES.values()]
    # The last two are none that are looked at.
    shapes += [((640, 360), size, {}) for size in ((720, 576), (480, 270), (1920, 120), (213, 360), (1921, 360))]
    rows = [(*damaged(*size, coded, seed, **options), coded) for size, coded, options in shapes for seed in range(2)]
    tables, moved, _kept = on_device([row[:2] for row in rows])
    coded = torch.tensor([row[2] for row in rows])
    found, expected = scaled_blocks(*moved, coded.cuda()).cpu(), plain_scaled.scaled_blocks(*tables, coded)
    assert expected[:-4, 0].sum() > 0
    assert expected[-4:].isnan().all()
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.gpu
def test_tear_on_a_gpu_equals_the_plain_one():
    pairs = [
        (moment(2, row=20), moment(1, row=20)),
        (moment(2, row=9, width=61, depth=10, shift=6), moment(1, row=9, width=61, depth=10, shift=6)),
        (random_frame(1030, 70, seed=1), random_frame(1030, 70, seed=2)),
        (random_frame(7, 5, seed=1), random_frame(7, 5, seed=2)),
    ]
    tables, moved, _kept = on_device(pairs)
    found = tear(*moved, 70).cpu()
    torch.testing.assert_close(found, plain_tear.tear(*tables), rtol=0, atol=0, equal_nan=True)


@pytest.mark.gpu
def test_jitter_on_a_gpu_equals_the_plain_one():
    frames = [
        plain_framed(jittered(strength=0.02)),
        plain_framed(jittered(301, 97), depth=10, shift=6, padding=7),
        plain_framed(jittered(1930, 100)),
        random_frame(7, 5, seed=1),
    ]
    (table, _), (moved, _), _kept = on_device([(frame, frame) for frame in frames])
    torch.testing.assert_close(jitter(moved).cpu(), plain_jitter.jitter(table), rtol=0, atol=0)

"""tile_stats and temporal on a GPU: equal to the plain versions."""

import pytest
import torch
from film import assert_same, random_film, run, run_plain
from frames import random_frame
from test_tile_stats import SHAPES, tables

from kernels.temporal import new_state, temporal
from kernels.tile_stats import reference, tile_stats


@pytest.mark.gpu
def test_tile_stats_on_a_gpu_equals_the_plain_one():
    pairs = [(random_frame(**shape, seed=1), random_frame(**shape, seed=2)) for shape in SHAPES.values()]
    kept = [torch.from_numpy(buffer).cuda() for pair in pairs for frame in pair for buffer in frame.buffers]
    places = {}
    for device, buffer in zip(kept, (b for pair in pairs for f in pair for b in f.buffers), strict=True):
        places[buffer.ctypes.data] = device.data_ptr()

    def moved(table, fields):
        table = table.clone()
        for row in table:
            base = None
            for field in fields:
                address = int(row[field])
                # Interleaved V lies one sample behind U, which is in the same buffer.
                base = address if address in places else base
                row[field] = places[base] + address - base if address else 0
        return table.cuda()

    frames, references = tables(*pairs)
    found = tile_stats(moved(frames, (0, 1, 2)), moved(references, (0, 1, 2)))
    torch.testing.assert_close(found.cpu(), reference.tile_stats(frames, references), rtol=0, atol=0, equal_nan=True)


@pytest.mark.gpu
@pytest.mark.parametrize("seed", range(4))
def test_temporal_on_a_gpu_equals_the_plain_one(seed):
    film = random_film(seed)

    def step(*arguments):
        return temporal(*(argument.cuda() for argument in arguments)).cpu()

    assert_same(run(film, step, state=new_state(1, "cuda")), run_plain(film))

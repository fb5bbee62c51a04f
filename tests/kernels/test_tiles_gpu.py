"""tile_stats, temporal, active_area for CUDA: compiled for sm_90 without a GPU; on one, equal to the plain versions."""

import re

import pytest
import torch
import triton
from frames import random_frame
from test_temporal import assert_same, random_film, run, run_plain
from test_tile_stats import SHAPES, tables
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.active_area import gpu as area_gpu
from kernels.temporal import gpu as temporal_gpu
from kernels.temporal import new_state, temporal
from kernels.tile_stats import gpu as tile_gpu
from kernels.tile_stats import reference, tile_stats

TARGET = GPUTarget("cuda", 90, 32)


def ptx(kernel, signature, constants):
    names = kernel.arg_names
    source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in constants.items()})
    return triton.compile(source, target=TARGET).asm["ptx"]


def test_tile_stats_compiles_without_floating_point_atomics():
    signature = {"frames": "*i64", "references": "*i64", "out": "*fp64", "BLOCK": "constexpr"}
    code = ptx(tile_gpu._tile_kernel, signature, {"BLOCK": 128})
    assert not re.search(r"(atom|red)\.\S*\.f(32|64)", code)


def test_temporal_compiles():
    signature = dict.fromkeys(("tiles", "mafds", "gradients", "all_pts", "states", "table", "out"), "*fp64")
    signature |= {"ranges": "*i64", "slots": "*i64"}
    ordered = {name: signature[name] for name in temporal_gpu._temporal_kernel.arg_names}
    code = ptx(temporal_gpu._temporal_kernel, ordered, {})
    assert "st.global" in code
    assert "atom.global" not in code


def test_active_area_compiles():
    signature = {"frames": "*i64", "out": "*fp64", "BLOCK": "constexpr"}
    assert "ld.global" in ptx(area_gpu._side_kernel, signature, {"BLOCK": 1024})


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

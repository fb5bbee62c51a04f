"""frame_stats in Triton: interpreted against the reference, and what it compiles to for sm_90, without a GPU."""

import re

import numpy as np
import pytest
import torch
import triton
from frames import blank_like, random_frame
from interpreter import interpreted
from test_frame_stats import KINDS, SHAPES, check_mixed_batch, pair, tables
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.frame_stats import COLUMNS, frame_stats, gpu, reference
from kernels.tuning import Blocks

TARGET = GPUTarget("cuda", 90, 32)


@pytest.fixture
def run():
    """The launcher, with few programs and small tiles: the interpreter takes milliseconds for each."""
    with interpreted("kernels.frame_stats.gpu") as module:
        yield lambda *arguments: module.frame_stats(*arguments, programs=3, blocks=Blocks((8, 32), 4))


def test_mixed_batch_skipped_row_missing_reference_and_copies(run):
    check_mixed_batch(run)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(value) for value in kind.values()))
def test_equals_reference(kind, run):
    pairs = [pair(width, height, **kind) for width, height in [(1, 1), (13, 11), (67, 53), (64, 32)]]
    arguments = tables([now for now, _ in pairs], [before for _, before in pairs])
    assert torch.equal(run(*arguments), reference.frame_stats(*arguments))


def test_empty_batch(run):
    assert run(*tables([])).shape == (0, len(COLUMNS))


@pytest.mark.parametrize("kind", [{}, {"bit_depth": 10}, {"interleaved": True, "bit_depth": 10, "shift": 6}], ids=str)
def test_equals_reference_where_every_row_begins_at_a_boundary(kind, run):
    now, before = (random_frame(64, 19, seed=seed, padding=seed * 16, **kind) for seed in (0, 1))
    kept = blank_like(now, padding=16)
    arguments = tables([now], [before], [kept])
    addresses = [*now.reference_row(), *before.reference_row(), *kept.reference_row()]
    odd = {now.v_address, before.v_address, kept.v_address} if kind.get("interleaved") else set()
    assert not any(number % 16 for number in addresses if number not in odd)
    assert torch.equal(run(*arguments), reference.frame_stats(*tables([now], [before])))
    for copy, plane in zip(kept.stored(), now.stored(), strict=True):
        assert np.array_equal(copy, plane)


@pytest.mark.gpu
def test_the_device_gives_the_reference_s_numbers():
    kept_alive = []

    def uploaded(row, frame, places):
        """The row with its addresses (`places`) in device memory."""
        for buffer in frame.buffers:
            copy = torch.from_numpy(buffer).cuda()
            kept_alive.append(copy)
            for place in places:
                if 0 <= row[place] - buffer.ctypes.data < 16:  # V of interleaved chroma lies one sample on
                    row[place] += copy.data_ptr() - buffer.ctypes.data
                    places = [other for other in places if other != place]
        return row

    pairs = [pair(width, height, **kind) for kind in KINDS for width, height in SHAPES]
    pairs += [tuple(random_frame(1920, 1088, interleaved=True, seed=seed) for seed in (0, 1))]
    host = tables([now for now, _ in pairs], [before for _, before in pairs])
    frames = torch.tensor([uploaded(now.row(), now, [0, 1, 2]) for now, _ in pairs]).cuda()
    references = torch.tensor([uploaded(before.reference_row(), before, [0, 1, 2]) for _, before in pairs]).cuda()
    got = frame_stats(frames, references, torch.zeros_like(references))
    assert torch.equal(got.cpu(), reference.frame_stats(*host))


def compiled(kernel, signature, constants, warps=4):
    names = kernel.arg_names
    source = ASTSource(
        kernel,
        {name: signature.get(name, "constexpr") for name in names},
        {(names.index(name),): value for name, value in constants.items()},
    )
    return triton.compile(source, target=TARGET, options={"num_warps": warps, "maxnreg": 128}).asm["ptx"]


def test_planes_are_read_and_kept_128_bits_at_a_time():
    signature = dict.fromkeys(("frames", "references", "retains", "sums"), "*i64")
    ptx = compiled(gpu._read_planes, signature, {"PROGRAMS": 128, "ROWS": 16, "COLS": 256}, warps=8)
    wide_loads = len(re.findall(r"ld\.global\S*\.v4\.b32", ptx))
    wide_stores = len(re.findall(r"st\.global\S*\.v4\.b32", ptx))
    # Luma and chroma, each as bytes (one load of 16) and as words (two of 8): the picture, and its reference.
    assert wide_loads >= 2 * (1 + 2) * 2
    assert wide_stores >= 2 * (1 + 2)
    assert "atom.global" in ptx
    assert not re.search(r"(atom|red)\.\S*\.f(32|64)", ptx)


def test_ratios_are_divided_as_ieee_says():
    signature = {"frames": "*i64", "references": "*i64", "sums": "*i64", "out": "*fp64"}
    ptx = compiled(gpu._finish, signature, {})
    assert "div.rn.f64" in ptx
    assert "fma.rn.f64" not in ptx

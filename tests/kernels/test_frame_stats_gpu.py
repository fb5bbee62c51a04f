"""frame_stats in Triton: interpreted against the reference, and what it compiles to for sm_90, without a GPU."""

import re

import pytest
import torch
import triton
from interpreter import interpreted
from test_frame_stats import KINDS, SHAPES, check_mixed_batch, pair, tables
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.frame_stats import COLUMNS, gpu, reference

TARGET = GPUTarget("cuda", 90, 32)


@pytest.fixture
def run():
    """The launcher, with few programs and small tiles: the interpreter takes milliseconds for each."""
    with interpreted("kernels.frame_stats.gpu") as module:
        yield lambda *arguments: module.frame_stats(
            *arguments, programs=3, edge_programs=2, tile=(8, 32), edge_tile=(32, 64)
        )


def test_mixed_batch_skipped_row_missing_reference_and_copies(run):
    check_mixed_batch(run)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(value) for value in kind.values()))
def test_equals_reference(kind, run):
    pairs = [pair(width, height, **kind) for width, height in [(1, 1), (13, 11), (67, 53), (64, 32)]]
    arguments = tables([now for now, _ in pairs], [before for _, before in pairs])
    assert torch.equal(run(*arguments), reference.frame_stats(*arguments))


@pytest.mark.parametrize("size", [(33, 300), (450, 9)])
def test_equals_reference_where_blockiness_samples_lines(size, run):
    now, before = pair(*size)
    arguments = tables([now], [before])
    assert torch.equal(run(*arguments), reference.frame_stats(*arguments))


def test_empty_batch(run):
    assert run(*tables([])).shape == (0, len(COLUMNS))


def compiled(kernel, signature, constants, warps=4):
    names = kernel.arg_names
    source = ASTSource(
        kernel,
        {name: signature.get(name, "constexpr") for name in names},
        {(names.index(name),): value for name, value in constants.items()},
    )
    return triton.compile(source, target=TARGET, options={"num_warps": warps}).asm["ptx"]


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
    signature = {"frames": "*i64", "profiles": "*i32", "strengths": "*fp64"}
    ptx = compiled(gpu._fold, signature, {"BLOCK": 1024})
    assert "div.rn.f64" in ptx
    assert "fma.rn.f64" not in ptx

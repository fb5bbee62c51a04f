"""Every Triton kernel compiles for every architecture, keeps to registers, and can be recorded as it is launched."""

import re
from unittest import mock

import pytest
from recorded_ops import RecordedOps
from triton.runtime.jit import JITFunction

from benchmarks.block_rule import MAIN, PROCESSORS, choose, newest_record, occupancy
from benchmarks.compiled_kernels import launches_compiled
from benchmarks.kernel_launches import LAUNCHES
from kernels import tuning
from kernels.tuning import CANDIDATES, TABLE, Blocks, as_on, blocks_for

# Loads of 16 bytes per thread at once, at the least, where rows are aligned: of kernels that stream planes or samples,
# and of those that read tables. The others read single samples at places that they work out.
WIDE = {
    "_read_planes": 4,
    "_tile_kernel": 6,  # 8 and 10 bit; the picture and the one before
    "_piece_kernel": 18,  # two rows of luma and one of chroma; 8 and 10 bit (two each); of both pictures
    "_chunk_answers": 1,
    "_chunk_starts": 4,  # four doubles each
    "_bin_powers": 3,
    "_sample_measures": 2,
    "_row_measures": 2,
    "_channel_features": 8,
    "_mix": 8,
    "_judge_kernel": 11,  # three pairs of a detector's columns and three of its rule's, five of its state's
}
ISSUED_FOR = (75, 86, 89, 90)
# Bytes of a thread that may not fit in registers on other architectures than sm_90; none of the kernels that are wide
# or have blocks by architecture.
MOST_STACK = 512


def most_stack(kernel):
    return 0 if kernel in WIDE or kernel in MAIN.values() else MOST_STACK


@pytest.mark.parametrize("kernel", LAUNCHES)
def test_every_launch_compiles_without_floating_point_atomics(kernel):
    launch, expected = LAUNCHES[kernel]
    with as_on(90), launches_compiled(90) as compiled:
        launch()
    assert len(compiled) == expected
    for name, made in compiled.items():
        assert ".target sm_90" in made.ptx
        assert not re.search(r"(atom|red)\.\S*\.f(32|64)", made.ptx)
        assert made.stack_bytes == 0, name
        assert made.loads_of_128_bits >= WIDE.get(name, 0), name


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("architecture", [75, 80, 86, 89, 100])
@pytest.mark.parametrize("kernel", LAUNCHES)
def test_every_launch_compiles_for_other_architectures_and_keeps_to_registers(kernel, architecture):
    if architecture < 80 and kernel == "to_network":
        pytest.skip("it has no bfloat16; the network is in float16 there")
    launch, expected = LAUNCHES[kernel]
    with as_on(architecture), launches_compiled(architecture) as compiled:
        launch()
    assert len(compiled) == expected
    for name, made in compiled.items():
        assert architecture not in ISSUED_FOR or made.stack_bytes <= most_stack(name), name
        assert made.loads_of_128_bits >= WIDE.get(name, 0), name


@pytest.mark.parametrize("kernel", LAUNCHES)
def test_what_is_launched_can_be_recorded(kernel):
    """Its host code makes no tensor from Python's numbers and waits for nothing, once its constants are there."""
    launch, _ = LAUNCHES[kernel]
    launched = []
    with mock.patch.object(JITFunction, "run", lambda function, *values, **named: launched.append(function)):
        launch()
        count = len(launched)
        with RecordedOps():  # refuses what a recording does
            launch()
    assert len(launched) == 2 * count > 0


def test_the_table_is_what_the_rule_takes_of_what_was_compiled():
    record = newest_record()
    assert set(record) == set(PROCESSORS) == set(ISSUED_FOR)
    for architecture, kernels in record.items():
        assert set(kernels) == set(CANDIDATES) == set(MAIN)
        for kernel, candidates in kernels.items():
            assert tuple(taken.blocks for taken in candidates) == CANDIDATES[kernel]
            assert blocks_for(kernel, divmod(architecture, 10)) == choose(kernel, candidates, architecture)
            assert all(0 < occupancy(taken, architecture) <= 1 for taken in candidates)


def test_every_kernel_of_the_table_has_blocks_for_each_promised_architecture():
    assert set(TABLE) == set(CANDIDATES)
    for blocks in TABLE.values():
        assert set(ISSUED_FOR) <= set(blocks)


def test_an_architecture_that_is_not_in_the_table_takes_the_nearest_older_one(monkeypatch):
    old, new = Blocks((1,), 1), Blocks((2,), 2)
    monkeypatch.setattr(tuning, "TABLE", {"judge": {80: old, 90: new}})
    assert blocks_for("judge", (9, 0)) == blocks_for("judge", (12, 0)) == new
    assert blocks_for("judge", (8, 9)) == old
    assert blocks_for("judge", (7, 5)) == CANDIDATES["judge"][0]

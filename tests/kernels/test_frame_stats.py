"""frame_stats: the CPU and the Triton version against the plain reference, to the last bit."""

import math

import numpy as np
import pytest
import torch
from frames import Frame, blank_like, frame_table, make_frame, random_frame, reference_table
from properties import given, settings, st

from kernels.frame_stats import COLUMNS, frame_stats, reference

NO_CHROMA = np.zeros((0, 0), np.int64)


def tables(frames, references=None, retain=None):
    none = [None] * len(frames)
    return frame_table(frames), reference_table(references or none), reference_table(retain or none)


def pair(width, height, **kind) -> tuple[Frame, Frame]:
    """A picture and an earlier one of the same geometry, which lies at another pitch."""
    seed = width * 31 + height
    earlier = random_frame(width, height, seed=seed, smooth=True, **kind)
    padding = kind.pop("padding", 0)
    return random_frame(width, height, seed=seed + 1, smooth=True, padding=padding + 3, **kind), earlier


def test_named_values_of_a_known_picture():
    luma = np.array([[0, 10, 20], [16, 16, 255]])
    earlier = luma + np.array([[1, 0, 0], [0, 2, -255]])
    chroma = np.array([[100, 100]])
    now = make_frame(luma, chroma, chroma, black_level=16)
    before = make_frame(earlier, chroma + 1, chroma, black_level=16)
    row = dict(zip(COLUMNS, frame_stats(*tables([now], [before]))[0].tolist(), strict=True))
    assert row == {
        "mafd": 260 / (10 * 256),
        "luma_difference": 258 / (6 * 256),
        "black_ratio": 4 / 6,
        "luma_mean": 317 / (6 * 256),
        "luma_min": 0.0,
        "luma_max": 255 / 256,
        "gradient": (10 + 10 + 0 + 239) / (4 * 256),
    }


SHAPES = [(1, 1), (2, 1), (1, 9), (7, 1), (8, 8), (13, 11), (31, 17), (67, 53), (64, 32), (33, 450), (790, 9)]
KINDS = [
    {"chroma": "420"},
    {"chroma": "422"},
    {"chroma": "444"},
    {"chroma": "grey"},
    {"chroma": "420", "interleaved": True},
    {"chroma": "420", "bit_depth": 10},
    {"chroma": "444", "bit_depth": 12},
    {"chroma": "420", "bit_depth": 10, "shift": 6, "interleaved": True},
    {"chroma": "420", "bit_depth": 12, "shift": 4, "interleaved": True, "padding": 5},
    {"chroma": "420", "bit_depth": 16},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(value) for value in kind.values()))
def test_cpu_equals_reference(kind):
    pairs = [pair(width, height, **kind) for width, height in SHAPES]
    arguments = tables([now for now, _ in pairs], [before for _, before in pairs])
    assert torch.equal(frame_stats(*arguments), reference.frame_stats(*arguments))


def test_cpu_equals_reference_on_large_pictures():
    pairs = [pair(1920, 1080), pair(1279, 719, bit_depth=10)]
    arguments = tables([now for now, _ in pairs], [before for _, before in pairs])
    assert torch.equal(frame_stats(*arguments), reference.frame_stats(*arguments))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 60),
    chroma=st.sampled_from(["420", "422", "444", "grey"]),
    interleaved=st.booleans(),
    depth=st.sampled_from([(8, 0), (10, 0), (12, 0), (10, 6), (12, 4), (16, 0)]),
    padding=st.integers(0, 9),
    seed=st.integers(0, 1 << 20),
    level=st.integers(0, 70000),
)
def test_cpu_equals_reference_whatever_the_picture(width, height, chroma, interleaved, depth, padding, seed, level):
    kind = {"chroma": chroma, "interleaved": interleaved, "bit_depth": depth[0], "shift": depth[1]}
    now = random_frame(width, height, padding=padding, seed=seed, **kind)
    now.black_level = level
    before = random_frame(width, height, seed=seed + 1, **kind)
    kept = blank_like(now, padding=2)
    arguments = tables([now], [before], [kept])
    assert torch.equal(frame_stats(*arguments), reference.frame_stats(*arguments))
    for copy, plane in zip(kept.stored(), now.stored(), strict=True):
        assert np.array_equal(copy, plane)


def mixed_batch():
    kinds = [*KINDS, {"chroma": "grey", "bit_depth": 10}]
    pairs = [pair(width, height, **kind) for (width, height), kind in zip(SHAPES, kinds, strict=True)]
    frames = [now for now, _ in pairs]
    references = [before for _, before in pairs]
    frames[3] = references[3] = None  # a skipped row
    references[5] = None
    retain = [None if frame is None or i % 2 else blank_like(frame, padding=i) for i, frame in enumerate(frames)]
    return frames, references, retain


def test_a_row_does_not_depend_on_its_batch():
    frames, references, _ = mixed_batch()
    together = frame_stats(*tables(frames, references))
    for i in range(len(frames)):
        alone = frame_stats(*tables([frames[i]], [references[i]]))
        assert torch.equal(together[i].view(torch.int64), alone[0].view(torch.int64))


def check_mixed_batch(run):
    """`run` gives the reference's numbers for a mixed batch and keeps the copies it is asked for."""
    frames, references, retain = mixed_batch()
    arguments = tables(frames, references, retain)
    expected = reference.frame_stats(*tables(frames, references))
    got = run(*arguments)
    assert torch.equal(torch.isnan(got), torch.isnan(expected))
    assert torch.equal(torch.nan_to_num(got), torch.nan_to_num(expected))
    assert torch.isnan(got[3]).all()
    assert [name for name, value in zip(COLUMNS, got[5].tolist(), strict=True) if math.isnan(value)] == [
        "mafd",
        "luma_difference",
    ]
    kept = [(frame, copy) for frame, copy in zip(frames, retain, strict=True) if copy is not None]
    assert kept
    for frame, copy in kept:
        for got_plane, plane in zip(copy.stored(), frame.stored(), strict=True):
            assert np.array_equal(got_plane, plane)


def test_mixed_batch_skipped_row_missing_reference_and_copies():
    check_mixed_batch(frame_stats)


def test_a_copy_leaves_the_bytes_beside_the_picture_alone():
    now = random_frame(5, 4, seed=3)
    kept = blank_like(now, padding=7)
    frame_stats(*tables([now], None, [kept]))
    assert not kept.buffers[0][:, 5:].any()


def test_empty_batch():
    assert frame_stats(*tables([])).shape == (0, len(COLUMNS))


def test_wrong_tables_are_refused_with_what_was_received():
    frames, references, retain = tables([random_frame(4, 4)])
    with pytest.raises(ValueError, match=r"int32 \(1, 13\)"):
        frame_stats(frames.to(torch.int32), references, retain)
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        frame_stats(frames, references.repeat(2, 1), retain)


def test_opcheck():
    now, before = pair(31, 17)
    # Without NaN, which opcheck's comparison takes for a difference.
    torch.library.opcheck(torch.ops.avjury.frame_stats.default, tables([now, now], [before, now]))

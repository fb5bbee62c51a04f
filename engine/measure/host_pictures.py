"""The compiled side of engine/measure/every_picture.py."""

import numpy as np
from numba.np.numpy_support import carray

from engine.measure.host import due_of_all, fold_damage, note_jump
from engine.measure.rows import Fact
from kernels.addresses import samples_at
from kernels.frame_stats.cpu import measure_row as frame_stats_row
from kernels.rows import brief, compiled
from kernels.temporal.cpu import step
from kernels.tile_stats.cpu import measure_row as tile_stats_row
from kernels.torn_blocks.cpu import measure_row as torn_blocks_row

_FULL_RANGE = int(Fact.FULL_RANGE)


@compiled
def measure_samples(index, frames, references, retain, slots, values, pitch, torn_offset, tiles, wanted):
    """The kernels that read the samples of every picture, of one row. Everything is given by its address.

    Args:
        index: of the row.
        frames, references, retain: tables of `frame_stats`.
        slots: (N,) int64.
        values: rows of measures, `pitch` bytes apart, of which those of `frame_stats` are the first; those of
            `torn_blocks` lie at `torn_offset` bytes.
        tiles: (N, MEASURES, TILES) float64.
        wanted: (S, 2) int64: whether `tile_stats` and `torn_blocks` are.
    """
    slot = samples_at(slots, np.int64(0))[index]
    wants = carray(samples_at(wanted + slot * 16, np.int64(0)), (2,))
    frame_stats_row(frames, references, retain, index, values, pitch)
    if wants[0] != 0:
        tile_stats_row(frames, references, index, tiles)
    if wants[1] != 0:
        torn_blocks_row(frames, references, index, values + torn_offset, pitch)


@brief
def follow(
    view, columns, black_ratio, strong, facts, slots, pts, tiles, wanted, temporal_state, luminance, torn_state, fitted,
    limits, jumps, jump_limits, schedules, settings, burst, reserve_seconds, many, due,
):  # fmt: skip
    """What follows from the samples of a batch's pictures.

    Args:
        view: (N, columns) float64.
        columns: luma_difference, luma_mean, gradient, black_ratio, colour_spread; the first of `temporal` and the one
            after its last; the first of `torn_blocks`; broken_colour, corruption, colour, mafd.
        black_ratio: from which on a picture is black, whose one colour has a name of its own: an incident of one colour
            ends where black begins.
        strong: mean length of (U, V) beyond which a picture is not black, however dark its luma is.
        facts: (len(Fact), N) float64.
        slots, pts: (N,).
        tiles, wanted: as for `measure_samples`.
        temporal_state, luminance: as `temporal` takes them.
        torn_state, fitted, limits: as `fold_damage` takes them.
        jumps, jump_limits: as `note_jump` takes them.
        schedules, settings, burst, reserve_seconds, many, due: as `due_of_all` takes them.
    Returns: as `due_of_all`.
    """
    luma, mean, gradient, black, spread, first, last, torn, broken, corruption, colour, mafd = columns
    for n in range(slots.shape[0]):
        slot = slots[n]
        note_jump(jumps, jump_limits, slot, view[n, luma], 3.0 * view[n, mafd] - 2.0 * view[n, luma], pts[n])
        if wanted[slot, 0] == 0:
            continue
        step(
            tiles[n], view[n, mean], view[n, luma], view[n, gradient], pts[n], facts[_FULL_RANGE, n] == 1.0,
            temporal_state[slot], luminance, view[n, first:last],
        )  # fmt: skip
        if view[n, colour] > strong:  # NaN, of pictures without chroma, is not
            view[n, black] = 0.0
        if view[n, black] >= black_ratio:
            view[n, spread] = 1.0
    fold_damage(view, torn, broken, corruption, facts, wanted[:, 1], slots, pts, torn_state, fitted, limits)
    return due_of_all(schedules, settings, burst, reserve_seconds, many, view, gradient, slots, pts, due)

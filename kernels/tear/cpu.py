"""tear on the CPU: numba, one core per picture, without the GIL, planes read in place.

Every sum is one of 16 bytes, which the processor has an instruction for; deeper pictures are packed into rows of bytes
first. Where nothing moves only the change is summed.
"""

from typing import Any, Final

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import compiled
from kernels.tear.layout import (
    BLOCK,
    COLUMNS,
    FIFTHS,
    HALVES,
    LEAST_MORE,
    LITTLE,
    MOVING,
    REACH,
    block_step,
    blocks,
)
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)
_blocks, _block_step = compiled(blocks), compiled(block_step)


@compiled
def _pack(address, pitch, width, height, excess, packed):
    """8-bit codes of deeper samples."""
    for y in range(height):
        row = samples_at(address + y * pitch, np.uint16(0))
        for i in range(width):
            packed[y, i] = row[i] >> excess


@intrinsic
def _apart(typing_context: Any, a: Any, b: Any) -> Any:
    """Sum of |a - b| over the bytes of a block at two addresses: one instruction, which LLVM does not see in a loop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        narrow, wide = (ir.VectorType(ir.IntType(bits), BLOCK) for bits in (8, 32))
        first, second = (
            builder.zext(builder.load(builder.inttoptr(address, narrow.as_pointer()), align=1), wide)
            for address in arguments
        )
        difference = builder.sub(first, second)
        negative = builder.icmp_signed("<", difference, ir.Constant(wide, [0] * BLOCK))
        apart = builder.select(negative, builder.neg(difference), difference)
        name = f"llvm.vector.reduce.add.v{BLOCK}i32"
        total = builder.module.globals.get(name)
        if total is None:
            total = ir.Function(builder.module, ir.FunctionType(ir.IntType(32), [wide]), name)
        return builder.call(total, [apart])

    return types.int32(types.int64, types.int64), generate


@compiled
def _count(now, pitch, then, then_pitch, width, height, out):
    step = _block_step(width)
    first = step // 2
    count = (_blocks(width) - first + step - 1) // step
    if count < 1:
        return
    change = np.zeros((2, count), np.int32)
    moves = np.zeros((height, count), np.uint8)  # 1: it moves, 2: on both sides alike
    last = np.full(count, -2 * REACH, np.int32)  # the last row at which a block moves
    # At most 16 * 255; written near what moves, and read nowhere else.
    steps, steps_then = np.empty((height, count), np.int16), np.empty((height, count), np.int16)
    for y in range(height):
        row, row_then = now + y * pitch, then + y * then_pitch
        for k in range(count):
            at = (first + k * step) * BLOCK
            change[y & 1, k] = _apart(row + at, row_then + at)
        if y == 0:
            continue
        for k in range(count):
            more, less = max(change[0, k], change[1, k]), min(change[0, k], change[1, k])
            if more >= MOVING * BLOCK and less >= LITTLE * BLOCK:
                moves[y, k] = 2 if 2 * less >= more else 1
                # The steps around it are needed: those above that were left out, and those below as they come.
                for near in range(max(1, y - REACH, last[k] + REACH + 1), y):
                    at, at_then = now + near * pitch + (first + k * step) * BLOCK, then + near * then_pitch
                    at_then += (first + k * step) * BLOCK
                    steps[near, k] = _apart(at, at - pitch)
                    steps_then[near, k] = _apart(at_then, at_then - then_pitch)
                last[k] = y
            if y - last[k] <= REACH:
                at = (first + k * step) * BLOCK
                steps[y, k] = _apart(row + at, row + at - pitch)
                steps_then[y, k] = _apart(row_then + at, row_then + at - then_pitch)
    for y in range(1, height):
        row, row_then = now + y * pitch, then + y * then_pitch
        for k in range(count):
            if moves[y, k] == 0:
                continue
            out[3, y] += 1
            at = (first + k * step) * BLOCK
            new_below = _apart(row + at, row_then + at - then_pitch)
            old_below = _apart(row_then + at, row + at - pitch)
            across, here = min(new_below, old_below), np.int32(steps[y, k])
            if across - here >= LEAST_MORE * BLOCK:
                out[2, y] += 1
            if here - across < LEAST_MORE * BLOCK or 2 * here < HALVES * across:
                continue
            if 5 * max(new_below, old_below) < 4 * here:
                continue
            if moves[y, k] == 1 and 2 * np.int32(steps_then[y, k]) < HALVES * across:
                continue
            around = np.int32(0)
            for near in range(max(1, y - REACH), min(height, y + REACH + 1)):
                if near != y:
                    around = max(around, np.int32(steps[near, k]), np.int32(steps_then[near, k]))
            if 5 * here >= FIFTHS * around:
                out[0 if new_below <= old_below else 1, y] += 1


@compiled
def _count_row(frames_address, references_address, index, out_address, tallest):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    place = out_address + index * (4 * _N_COLUMNS * tallest)
    out = carray(samples_at(place, np.int32(0)), (_N_COLUMNS, tallest))
    out[:] = 0
    width, height, depth = frame[_WIDTH], min(frame[_HEIGHT], tallest), frame[_BIT_DEPTH]
    if frame[_LUMA] == 0 or reference[_R_LUMA] == 0:
        return
    if depth == 8:
        _count(frame[_LUMA], frame[_LUMA_PITCH], reference[_R_LUMA], reference[_R_LUMA_PITCH], width, height, out)
        return
    packed = np.zeros((2, height, width), np.uint8)
    excess = frame[_SHIFT] + depth - 8
    _pack(frame[_LUMA], frame[_LUMA_PITCH], width, height, excess, packed[0])
    _pack(reference[_R_LUMA], reference[_R_LUMA_PITCH], width, height, excess, packed[1])
    address = np.int64(packed.ctypes.data)
    _count(address, width, address + height * width, width, width, height, out)
    packed[0, 0, 0] = 0  # used through its address above: a mention keeps it alive until here


def tear(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    """The op's CPU implementation; see kernels/tear/op.py. The tables are checked and contiguous."""
    count = frames.shape[0]
    out = torch.empty((count, _N_COLUMNS, tallest), dtype=torch.int32)
    tables = frames.data_ptr(), references.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda row: _count_row(*tables, row, target, tallest), count)
    return out

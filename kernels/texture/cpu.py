"""texture on the CPU: numba, one core, planes read in place.

The measures of blocks are written as vectors of sixteen 16-bit lanes: a block is one vector wide, all of its sums fit
16 bits (the bounds are beside the steps), and numba's own integers would be four times as wide. A picture costs about
as much as frame_stats; it is due about once a second.
"""

from typing import Any, Final

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from torch import Tensor

from kernels.addresses import add_bit, add_difference, samples_at
from kernels.layout import Field
from kernels.texture.columns import (
    BAND_CHANGES_MAX,
    BAND_CHANGES_MIN,
    BAND_FAINT_MAX,
    BAND_ROWS,
    BAND_SPAN_MAX,
    BAND_STEP_MIN,
    BAR_COLUMNS,
    BAR_LAYOUTS,
    BAR_ROWS,
    BAR_TOLERANCE,
    BLOCK_SAMPLES,
    BLOCK_WIDTH,
    COLUMNS,
    COMB_DIFFERENCE,
    COMB_LESS,
    COMB_MORE,
    GRAIN,
    HIGHEST_CHROMA,
    HIGHEST_LUMA,
    LOWEST,
    NOISE_BIN_BITS,
    NOISE_BINS,
    NOISE_BRIGHTEST,
    NOISE_DARKEST,
    NOISE_QUIET,
    NOISE_SHARE,
    NOISE_UNIT,
    SATURATION_BITS,
    TOLERATED_HIGHEST,
    TOLERATED_LOWEST,
    WIDE_PART,
    WIDE_SPAN_MAX,
    WIDE_WHOLE,
    band_step,
    bands,
    bar_colours,
    blocks,
)

_LUMA, _U, _V = int(Field.LUMA_ADDRESS), int(Field.U_ADDRESS), int(Field.V_ADDRESS)
_LUMA_PITCH, _CHROMA_PITCH = int(Field.LUMA_PITCH), int(Field.CHROMA_PITCH)
_CHROMA_STEP, _WIDTH, _HEIGHT = int(Field.CHROMA_STEP), int(Field.WIDTH), int(Field.HEIGHT)
_CHROMA_WIDTH, _CHROMA_HEIGHT = int(Field.CHROMA_WIDTH), int(Field.CHROMA_HEIGHT)
_BIT_DEPTH, _SHIFT = int(Field.BIT_DEPTH), int(Field.SHIFT)
_COLOURS: Final = np.array(bar_colours(), np.int64)  # (kinds, bars, 3)
_LAYOUTS: Final = np.array(BAR_LAYOUTS, np.int64)
_BAND_HELD: Final = BAND_ROWS + 4  # a band's rows and the two above and below

_compiled = njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
_bands, _band_step, _blocks = _compiled(bands), _compiled(band_step), _compiled(blocks)


@intrinsic
def _block_sums(typing_context: Any, rows: Any, pitch: Any) -> Any:
    """Sums over a block, eight int64: frame and field differences, Laplacian, luma, changes, steps, smallest, largest.

    Args:
        rows: address of the block's first sample, int16 fine codes (<= 1023); two rows above and below and one sample
            to each side are read.
        pitch: samples from one row to the next.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, pitch_samples = arguments
        short, word, wide = ir.IntType(16), ir.IntType(32), ir.IntType(64)
        vector = ir.VectorType(short, BLOCK_WIDTH)

        def every(value: int) -> Any:
            return ir.Constant(vector, [value] * BLOCK_WIDTH)

        def at(row: int, column: int) -> Any:
            place = builder.add(start, builder.mul(pitch_samples, ir.Constant(wide, 2 * row)))
            place = builder.add(place, ir.Constant(wide, 2 * column))
            return builder.load(builder.inttoptr(place, vector.as_pointer()), align=2)

        def apart(a: Any, b: Any) -> Any:
            larger = builder.icmp_unsigned(">", a, b)
            return builder.select(larger, builder.sub(a, b), builder.sub(b, a))

        def differs(a: Any, b: Any) -> Any:
            return builder.zext(builder.icmp_unsigned("!=", a, b), vector)

        def marked(a: Any, b: Any) -> Any:
            return builder.zext(builder.icmp_unsigned(">=", apart(a, b), every(BAND_STEP_MIN)), vector)

        def reduce(name: str, value: Any) -> Any:
            kind = ir.VectorType(word, BLOCK_WIDTH)
            function = builder.module.globals.get(f"llvm.vector.reduce.{name}.v{BLOCK_WIDTH}i32")
            if function is None:
                function = ir.Function(
                    builder.module, ir.FunctionType(word, [kind]), f"llvm.vector.reduce.{name}.v{BLOCK_WIDTH}i32"
                )
            return builder.zext(builder.call(function, [builder.zext(value, kind)]), wide)

        two, four = every(2), every(4)
        frame = field = laplacian = total = changes = steps = every(0)
        low, high = every(0x7FFF), every(0)
        for y in range(BAND_ROWS):
            here, left, right = at(y, 0), at(y, -1), at(y, 1)
            above, below = at(y - 1, 0), at(y + 1, 0)
            double = builder.mul(here, two)
            beside = builder.add(above, below)
            frame = builder.add(frame, apart(double, beside))  # <= 8 * 2046
            field = builder.add(field, apart(double, builder.add(at(y - 2, 0), at(y + 2, 0))))
            corners = builder.add(builder.add(at(y - 1, -1), at(y - 1, 1)), builder.add(at(y + 1, -1), at(y + 1, 1)))
            sides = builder.mul(builder.add(beside, builder.add(left, right)), two)
            corners = builder.add(corners, builder.mul(here, four))
            laplacian = builder.add(laplacian, apart(corners, sides))  # <= 8 * 8184 = 65472
            total = builder.add(total, here)
            changes = builder.add(changes, builder.add(differs(here, left), differs(here, above)))
            steps = builder.add(steps, builder.add(marked(here, left), marked(here, above)))
            low = builder.select(builder.icmp_unsigned("<", here, low), here, low)
            high = builder.select(builder.icmp_unsigned(">", here, high), here, high)
        sums = [reduce("add", value) for value in (frame, field, laplacian, total, changes, steps)]
        sums += [reduce("umin", low), reduce("umax", high)]
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.int64, 8)(types.int64, types.int64), generate


@_compiled
def _fine_row(stored, out, count, shift, excess):
    for i in range(count):
        out[i] = np.uint16(np.uint32(np.uint32(np.uint32(stored[i]) >> np.uint32(shift)) << np.uint32(2))
                           >> np.uint32(excess))  # fmt: skip


@_compiled
def _measure_blocks(luma, pitch, width, height, shift, depth, like, held, noise, out):
    """Combing, noise and banding into out[7:10], grain into out[11].

    Args:
        held: (_BAND_HELD, width) uint16.
        noise: (2, NOISE_BINS) zeros, of all blocks and of those of grain.
    """
    row_bytes = np.int64(held.strides[0])
    address = np.int64(held.ctypes.data)
    step, across = _band_step(height), _blocks(width)
    seen = combed = banded = wide = eligible = blank = np.int64(0)
    for band in range(step // 2, _bands(height), step):
        for k in range(_BAND_HELD):
            stored = samples_at(luma + (BAND_ROWS * band + k) * pitch, like)
            _fine_row(stored, samples_at(address + k * row_bytes, np.uint16(0)), width, shift, depth - 8)
        for block in range(across):
            start = address + 2 * row_bytes + 2 * (1 + BLOCK_WIDTH * block)
            frame, field, laplacian, total, changes, steps, low, high = _block_sums(start, row_bytes // 2)
            seen += 1
            combed += frame >= COMB_DIFFERENCE * BLOCK_SAMPLES and COMB_LESS * frame >= COMB_MORE * field
            loud = min(NOISE_BINS - 1, laplacian >> NOISE_BIN_BITS)
            if NOISE_DARKEST <= total <= NOISE_BRIGHTEST:
                eligible += 1
                noise[0, loud] += 1
                noise[1, loud] += GRAIN * (high - low) <= laplacian
            else:
                blank += total < NOISE_DARKEST or loud < NOISE_QUIET
            stepped = changes - steps <= BAND_FAINT_MAX and BAND_CHANGES_MIN <= steps <= BAND_CHANGES_MAX
            banded += stepped and high - low <= BAND_SPAN_MAX
            wide += stepped and high - low <= WIDE_SPAN_MAX
    shows = NOISE_SHARE * (seen - blank) >= seen
    wanted = (eligible + NOISE_SHARE - 1) // NOISE_SHARE if shows else np.int64(0)
    quiet = reached = np.int64(0)
    while wanted > 0:
        reached += noise[0, quiet]
        if reached >= wanted:
            break
        quiet += 1
    near = grain = np.int64(0)
    if quiet > 0:
        for loud in range((quiet + 1) // 2, quiet + 1):
            near += noise[0, loud]
            grain += noise[1, loud]
    many = np.float64(max(seen, 1))
    out[7] = np.float64(combed) / many
    out[8] = np.float64(quiet) * NOISE_UNIT
    out[9] = np.float64(max(WIDE_WHOLE * banded, WIDE_PART * wide)) / np.float64(WIDE_WHOLE * max(seen, 1))
    out[11] = np.float64(grain) / np.float64(max(near, 1))


@_compiled
def _count_outside(row, count, low, high):
    found = np.int32(0)
    for i in range(count):
        found = add_bit(found, (row[i] < low) | (row[i] > high))
    return np.int64(found)


@_compiled
def _count_either(row, wrong, count, low, high):
    found = np.int32(0)
    for i in range(count):
        found = add_bit(found, (row[i] < low) | (row[i] > high) | (wrong[i] != 0))
    return np.int64(found)


@_compiled
def _chroma_row(u, v, count, zeros, sums):
    """Add to sums[0:4]: of the codes, and of the steps to the left neighbour."""
    u_sum, v_sum, u_steps, v_steps = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for i in range(count):
        u_sum = add_difference(u_sum, u[i], zeros[i])
        v_sum = add_difference(v_sum, v[i], zeros[i])
    for i in range(count - 1):
        u_steps = add_difference(u_steps, u[i], u[i + 1])
        v_steps = add_difference(v_steps, v[i], v[i + 1])
    sums[0] += np.int64(u_sum)
    sums[1] += np.int64(v_sum)
    sums[2] += np.int64(u_steps)
    sums[3] += np.int64(v_steps)


@_compiled
def _saturation_row(u, v, count, excess, middle):
    total = np.int32(0)
    for i in range(count):
        a = np.int32(np.int32(u[i] >> excess) - middle)
        b = np.int32(np.int32(v[i] >> excess) - middle)
        square = np.int32(np.int32(a * a) + np.int32(b * b))  # <= 2**23: exact as float32
        total = np.int32(total + np.int32(np.sqrt(np.float32(square))))
    return np.int64(total)


@_compiled
def _component(address, step, count, shift, out, like):
    stored = samples_at(address, like)
    for i in range(count):
        out[i] = np.uint16(stored[i * step] >> shift)


@_compiled
def _spread_wrong(u, v, chroma_width, width, sub, low, high, wrong):
    """wrong[x] for the luma columns of a row of chroma out of range; False if there is none."""
    found = np.int32(0)
    for i in range(chroma_width):
        bad = (u[i] < low) | (u[i] > high) | (v[i] < low) | (v[i] > high)
        found = add_bit(found, bad)
    if found == 0:
        return False
    for x in range(width):
        i = x >> sub
        wrong[x] = (u[i] < low) | (u[i] > high) | (v[i] < low) | (v[i] > high)
    return True


@_compiled
def _sub(chroma_extent, extent):
    """log2 of the luma samples to a chroma sample."""
    return np.int64(chroma_extent < extent) + np.int64(2 * chroma_extent < extent)


@_compiled
def _measure_levels(frame, like, word, lines, wrong, out):
    """Everything of whole planes into out[:7]. `lines`: three rows of zeros, uint16; `wrong`: a row of bytes."""
    luma, pitch, width, height = frame[_LUMA], frame[_LUMA_PITCH], frame[_WIDTH], frame[_HEIGHT]
    chroma_width, chroma_height = frame[_CHROMA_WIDTH], frame[_CHROMA_HEIGHT]
    shift, depth = frame[_SHIFT], frame[_BIT_DEPTH]
    one = np.int64(1) << (depth - 8)
    # Limits of the stored words, whose low `shift` bits may be anything.
    scale, loose = one << shift, (np.int64(1) << shift) - 1
    low, high = word(LOWEST * scale), word(HIGHEST_LUMA * scale + loose)
    least, most = word(TOLERATED_LOWEST * scale), word(TOLERATED_HIGHEST * scale + loose)
    chroma_low, chroma_high = np.uint16(LOWEST * one), np.uint16(HIGHEST_CHROMA * one)
    across, down = _sub(chroma_width, width), _sub(chroma_height, height)
    held, row_bytes = np.int64(lines.ctypes.data), np.int64(lines.strides[0])
    u = samples_at(held, np.uint16(0))
    v = samples_at(held + row_bytes, np.uint16(0))
    zeros = samples_at(held + 2 * row_bytes, np.uint16(0))
    flags = samples_at(np.int64(wrong.ctypes.data), np.uint8(0))
    sums = np.zeros(4, np.int64)
    excess = max(depth - SATURATION_BITS, 0)
    middle = np.int32(np.int64(1) << (depth - excess - 1))
    outside = beyond = saturation = np.int64(0)
    chroma_y = np.int64(-1)
    any_wrong = False
    for y in range(height):
        if chroma_width > 0 and (y >> down) != chroma_y:
            chroma_y = y >> down
            at = chroma_y * frame[_CHROMA_PITCH]
            _component(frame[_U] + at, frame[_CHROMA_STEP], chroma_width, shift, u, like)
            _component(frame[_V] + at, frame[_CHROMA_STEP], chroma_width, shift, v, like)
            _chroma_row(u, v, chroma_width, zeros, sums)
            saturation += _saturation_row(u, v, chroma_width, np.uint16(excess), middle)
            any_wrong = _spread_wrong(u, v, chroma_width, width, across, chroma_low, chroma_high, flags)
        row = samples_at(luma + y * pitch, like)
        if any_wrong:
            outside += _count_either(row, flags, width, low, high)
        else:
            outside += _count_outside(row, width, low, high)
        beyond += _count_outside(row, width, least, most)
    full, pixels = np.int64(1) << depth, np.float64(width * height)
    if chroma_width > 0:
        samples = chroma_width * chroma_height
        steps = np.float64(max((chroma_width - 1) * chroma_height, 1) * full)
        out[0] = np.float64(sums[0]) / np.float64(samples * full)
        out[1] = np.float64(sums[1]) / np.float64(samples * full)
        out[2] = np.float64(saturation) / np.float64(samples * (full >> excess))
        out[3] = np.float64(sums[2]) / steps
        out[4] = np.float64(sums[3]) / steps
    else:
        out[:5] = np.nan
    out[5] = np.float64(outside) / pixels
    out[6] = np.float64(beyond) / pixels


@_compiled
def _find_bars(frame, like):
    width, height, excess = frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT] + frame[_BIT_DEPTH] - 8
    across, down = _sub(frame[_CHROMA_WIDTH], width), _sub(frame[_CHROMA_HEIGHT], height)
    points = np.empty((8 * BAR_COLUMNS * BAR_ROWS, 3), np.int64)
    best = 0.0
    for layout in range(_LAYOUTS.shape[0]):
        start, span, count = _LAYOUTS[layout]
        many = count * BAR_COLUMNS * BAR_ROWS
        for p in range(many):
            bar, k, row = p // (BAR_COLUMNS * BAR_ROWS), p // BAR_ROWS % BAR_COLUMNS, p % BAR_ROWS
            x = width * (start * 4 * count + span * (4 * bar + k + 1)) // (32 * count)
            y = height * (2 * row + 1) // (4 * BAR_ROWS)
            at = (y >> down) * frame[_CHROMA_PITCH]
            i = (x >> across) * frame[_CHROMA_STEP]
            points[p, 0] = np.int64(samples_at(frame[_LUMA] + y * frame[_LUMA_PITCH], like)[x]) >> excess
            points[p, 1] = np.int64(samples_at(frame[_U] + at, like)[i]) >> excess
            points[p, 2] = np.int64(samples_at(frame[_V] + at, like)[i]) >> excess
        for kind in range(_COLOURS.shape[0]):
            right = 0
            for p in range(many):
                bar = p // (BAR_COLUMNS * BAR_ROWS)
                close = True
                for component in range(3):
                    close &= abs(points[p, component] - _COLOURS[kind, bar, component]) <= BAR_TOLERANCE
                right += close
            best = max(best, np.float64(right) / np.float64(many))
    return best


@_compiled
def _measure(frame, like, word, lines, wrong, held, noise, out):
    _measure_levels(frame, like, word, lines, wrong, out)
    _measure_blocks(
        frame[_LUMA], frame[_LUMA_PITCH], frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT], frame[_BIT_DEPTH], like, held,
        noise, out,
    )  # fmt: skip
    out[10] = _find_bars(frame, like) if frame[_CHROMA_WIDTH] > 0 else 0.0


@_compiled
def _texture(frames, out):
    for n in range(frames.shape[0]):
        frame, row = frames[n], out[n]
        if frame[_LUMA] == 0:
            row[:] = np.nan
            continue
        width = frame[_WIDTH]
        # The caller's scratch: numba frees an array after its last mention, and these are used through addresses.
        lines = np.zeros((3, max(width, frame[_CHROMA_WIDTH])), np.uint16)
        wrong = np.zeros(width, np.uint8)
        held = np.zeros((_BAND_HELD, width), np.uint16)
        noise = np.zeros((2, NOISE_BINS), np.int64)
        if frame[_BIT_DEPTH] == 8:
            _measure(frame, np.uint8(0), np.uint8, lines, wrong, held, noise, row)
        else:
            _measure(frame, np.uint16(0), np.uint16, lines, wrong, held, noise, row)
        lines[0, 0] = wrong[0] = held[0, 0] = noise[0, 0] = 0  # still mentioned


def texture(frames: Tensor) -> Tensor:
    """CPU implementation of `avjury::texture`; see kernels/texture/op.py."""
    out = np.empty((frames.shape[0], len(COLUMNS)), np.float64)
    _texture(frames.numpy(), out)
    return torch.from_numpy(out)

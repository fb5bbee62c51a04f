"""CPU version: one pass over the rows, every stage as soon as its rows are there, so that rows stay in the cache.

Numba widens integer arithmetic to 64 bit, which costs a factor of four in vector lanes. The row loops therefore use
16-bit intrinsics of their own; all values fit (the bounds are beside the steps).
"""

from typing import Final

import numpy as np
import torch
from numba import njit, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.edge_width.op import COLUMNS, HIGH, HISTOGRAM, LOW, RADIUS
from kernels.layout import Field

_HORIZONTAL, _VERTICAL, _DOWN, _UP = 1, 2, 3, 4
_STRONG = 16  # bit of a local maximum above the upper threshold; its low three bits are the direction
_UNROLLED: Final = 4
_CHUNK: Final = 2048
_LANE: Final = _CHUNK + 64  # constant, so that LLVM sees that the three column sums do not overlap
_LAG: Final = 64  # rows of edges kept until the rows that their search may reach are smoothed; a power of two

_LUMA_ADDRESS = int(Field.LUMA_ADDRESS)
_LUMA_PITCH = int(Field.LUMA_PITCH)
_WIDTH = int(Field.WIDTH)
_HEIGHT = int(Field.HEIGHT)
_BIT_DEPTH = int(Field.BIT_DEPTH)
_SHIFT = int(Field.SHIFT)

_I16 = types.int16
I = np.int16  # noqa: E741 - reads as a literal's suffix


@intrinsic
def _add(typing, a, b):
    return _I16(_I16, _I16), lambda context, builder, signature, args: builder.add(*args)


@intrinsic
def _sub(typing, a, b):
    return _I16(_I16, _I16), lambda context, builder, signature, args: builder.sub(*args)


@intrinsic
def _mul(typing, a, b):
    return _I16(_I16, _I16), lambda context, builder, signature, args: builder.mul(*args)


@intrinsic
def _xor(typing, a, b):
    return _I16(_I16, _I16), lambda context, builder, signature, args: builder.xor(*args)


@intrinsic
def _or(typing, a, b):
    return _I16(_I16, _I16), lambda context, builder, signature, args: builder.or_(*args)


@intrinsic
def _shift_right(typing, a, b):
    return _I16(_I16, _I16), lambda context, builder, signature, args: builder.lshr(*args)


@intrinsic
def _high_product(typing, a, b):
    """Upper half of the unsigned product; one instruction on x86."""

    def emit(context, builder, signature, args):
        double = context.get_value_type(types.uint32)
        product = builder.mul(builder.zext(args[0], double), builder.zext(args[1], double))
        return builder.trunc(builder.lshr(product, context.get_constant(types.uint32, 16)), args[0].type)

    return _I16(_I16, _I16), emit


@intrinsic
def _absolute(typing, a):
    def emit(context, builder, signature, args):
        negative = builder.icmp_signed("<", args[0], context.get_constant(_I16, 0))
        return builder.select(negative, builder.neg(args[0]), args[0])

    return _I16(_I16), emit


@intrinsic
def _larger(typing, a, b):
    def emit(context, builder, signature, args):
        return builder.select(builder.icmp_signed(">", *args), *args)

    return _I16(_I16, _I16), emit


@intrinsic
def _first_byte(typing, word):
    """Index of the lowest byte of a 64-bit word that is not zero; the word is not zero."""

    def emit(context, builder, signature, args):
        zeros = builder.cttz(args[0], context.get_constant(types.boolean, True))
        return builder.lshr(zeros, context.get_constant(types.uint64, 3))

    return types.uint64(types.uint64), emit


@intrinsic
def _bytes_at(typing, address):
    def emit(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint8)(types.int64), emit


@intrinsic
def _words_at(typing, address):
    def emit(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint16)(types.int64), emit


@njit(nogil=True, cache=True, error_model="numpy")
def _narrow_row(words, out, shift):
    for i in range(out.size):
        out[i] = np.uint8(words[i] >> shift)


@njit(nogil=True, cache=True, error_model="numpy")
def _smooth_row(r0, r1, r2, r3, r4, out, columns):
    n = out.size
    for i in range(n + 4):
        a = _add(I(r0[i]), I(r4[i]))
        b = _add(I(r1[i]), I(r3[i]))
        c = I(r2[i])
        columns[i] = _add(_add(_mul(a, I(2)), _mul(b, I(4))), _mul(c, I(5)))
        columns[i + _LANE] = _add(_add(_mul(a, I(4)), _mul(b, I(9))), _mul(c, I(12)))
        columns[i + 2 * _LANE] = _add(_add(_mul(a, I(5)), _mul(b, I(12))), _mul(c, I(15)))  # <= 49 * 255 = 12495
    for i in range(n):
        total = _add(_add(columns[i], columns[i + 4]), columns[i + 2 + 2 * _LANE])  # <= 159 * 255 = 40545: unsigned
        total = _add(total, _add(columns[i + 1 + _LANE], columns[i + 3 + _LANE]))
        # 52759 = ceil(2**23 / 159): the quotient is exact for totals below 2**23 / 73.
        out[i] = np.uint8(_shift_right(_high_product(total, I(52759 - 65536)), I(7)))


@njit(nogil=True, cache=True, error_model="numpy")
def _slope_row(up, mid, down, slope, direction):
    for i in range(slope.size):
        u0, u1, u2 = I(up[i]), I(up[i + 1]), I(up[i + 2])
        m0, m2 = I(mid[i]), I(mid[i + 2])
        d0, d1, d2 = I(down[i]), I(down[i + 1]), I(down[i + 2])
        falling = _sub(d2, u0)
        rising = _sub(u2, d0)
        gx = _add(_add(falling, rising), _mul(_sub(m2, m0), I(2)))  # |gx|, |gy| <= 1020
        gy = _add(_sub(falling, rising), _mul(_sub(d1, u1), I(2)))
        ax = _absolute(gx)
        ay = _absolute(gy)
        flat = _high_product(ax, I(27146))  # tan(pi / 8) = 27146 / 2**16; tan(3 pi / 8) = 2 + tan(pi / 8)
        slope[i] = _add(ax, ay)
        sloped = I(_DOWN) if _xor(gx, gy) >= 0 else I(_UP)
        steep = I(_VERTICAL) if ay > _add(_mul(ax, I(2)), flat) else sloped
        direction[i] = I(_HORIZONTAL) if ay <= flat else steep


@njit(nogil=True, cache=True, error_model="numpy")
def _peak_row(up, mid, down, direction, out, low, high):
    for i in range(out.size):
        toward = direction[i]
        centre = mid[i + 1]
        straight = _larger(mid[i], mid[i + 2]) if toward == _HORIZONTAL else _larger(up[i + 1], down[i + 1])
        diagonal = _larger(up[i], down[i + 2]) if toward == _DOWN else _larger(up[i + 2], down[i])
        rival = straight if toward < _DOWN else diagonal
        found = _or(toward, I(_STRONG) if centre > high else I(0))
        out[i] = np.uint8(found if centre > _larger(rival, low) else I(0))


@njit(nogil=True, cache=True, error_model="numpy")
def _link_row(up, mid, down, out):
    for i in range(out.size):
        around = np.uint8(
            up[i] | up[i + 1] | up[i + 2] | mid[i] | mid[i + 1] | mid[i + 2] | down[i] | down[i + 1] | down[i + 2]
        )
        out[i] = np.uint8(mid[i + 1] & np.uint8(7)) if (around & np.uint8(_STRONG)) != 0 else np.uint8(0)


@njit(nogil=True, cache=True, error_model="numpy")
def _run(smooth, at, step, sign, room):
    """Steps for which the samples go on rising (sign 1) or falling (-1), at most `room`."""
    k = 0
    here = np.int32(smooth[np.uint64(at)])
    if room >= _UNROLLED:
        # Most runs end within a few samples, at an unpredictable one: count those without a branch.
        a, b = np.int32(smooth[np.uint64(at + step)]), np.int32(smooth[np.uint64(at + 2 * step)])
        c, d = np.int32(smooth[np.uint64(at + 3 * step)]), np.int32(smooth[np.uint64(at + 4 * step)])
        go1 = np.int32((a - here) * sign > 0)
        go2 = go1 & np.int32((b - a) * sign > 0)
        go3 = go2 & np.int32((c - b) * sign > 0)
        go4 = go3 & np.int32((d - c) * sign > 0)
        k = np.int64(go1 + go2 + go3 + go4)
        if k < _UNROLLED:
            return k
        here = d
        at += _UNROLLED * step
    while k < room:
        at += step
        there = np.int32(smooth[np.uint64(at)])
        if (there - here) * sign <= 0:
            break
        here = there
        k += 1
    return k


@njit(nogil=True, cache=True, error_model="numpy")
def _measure_row(smooth, edges, y, width, height, widths, lists):
    """Add the edges of one row to the histogram of widths, in tenths of a sample; returns their number."""
    words = edges.view(np.uint64)
    h = v = d = u = 0
    for w in range(words.size):
        word = words[w]
        while word:
            byte = _first_byte(word)
            toward = (word >> (byte * np.uint64(8))) & np.uint64(7)
            word &= ~(np.uint64(7) << (byte * np.uint64(8)))
            x = w * 8 + np.int64(byte) + 1
            lists[0, np.uint64(h)] = lists[1, np.uint64(v)] = lists[2, np.uint64(d)] = lists[3, np.uint64(u)] = x
            h += toward == _HORIZONTAL
            v += toward == _VERTICAL
            d += toward == _DOWN
            u += toward == _UP
    counts = (h, v, d, u)
    above, below = y, height - 1 - y
    for toward in range(_HORIZONTAL, _UP + 1):
        # One direction at a time, so that the branches on it are predicted.
        step = 1 if toward == _HORIZONTAL else width
        if toward >= _DOWN:
            step = width + 1 if toward == _DOWN else 1 - width
        tenths = 7 if toward >= _DOWN else 10
        for i in range(counts[toward - 1]):
            x = np.int64(lists[np.uint64(toward - 1), np.uint64(i)])
            before, after = x, width - 1 - x
            if toward == _VERTICAL:
                before, after = above, below
            elif toward == _DOWN:
                before, after = min(before, above), min(after, below)
            elif toward == _UP:
                before, after = min(before, below), min(after, above)
            at = y * width + x
            sign = np.int32(1) if smooth[np.uint64(at)] > smooth[np.uint64(at - step)] else np.int32(-1)
            back = _run(smooth, at, -step, -sign, min(before, RADIUS))
            ahead = _run(smooth, at, step, sign, min(after, RADIUS))
            # A search that ran out of the picture leaves the edge unmeasured.
            if not ((back == before and before < RADIUS) or (ahead == after and after < RADIUS)):
                widths[np.uint64(tenths * (back + ahead))] += 1
    return h + v + d + u


@njit(nogil=True, cache=True, error_model="numpy")
def _count_edges(address, pitch, width, height, excess, wide, widths):
    """Histogram the widths of one picture's edges; returns its edge pixels.

    `excess` is the shift from a stored word to 8 bits; `wide` says that samples are two bytes. A picture is measured
    in one pass down its rows: row y is smoothed, y - 1 gets its slopes, y - 2 its peaks, y - 3 its edges, and their
    widths are searched as soon as all the rows are there that the search may reach.
    """
    inner = max(width - 2, 0)
    lines = np.empty((8, width), np.uint8)  # the rows around y, in 8 bits
    columns = np.empty(3 * _LANE, np.int16)
    smooth = np.empty(height * width, np.uint8)
    slopes = np.zeros((4, width), np.int16)
    directions = np.empty((2, inner), np.int16)
    peaks = np.zeros((4, width), np.uint8)
    edges = np.zeros((_LAG, (inner + 7) // 8 * 8), np.uint8)
    lists = np.empty((4, width), np.int32)
    bytes_ = carray(_bytes_at(address), (height - 1) * pitch + width)
    words = carray(_words_at(address), ((height - 1) * pitch + 2 * width) // 2)
    found = 0
    if wide:
        for y in range(min(2, height)):
            _narrow_row(words[y * pitch // 2 : y * pitch // 2 + width], lines[y], excess)
    for y in range(height + 4 + RADIUS):
        if y < height:
            if wide and y + 2 < height:
                _narrow_row(words[(y + 2) * pitch // 2 : (y + 2) * pitch // 2 + width], lines[(y + 2) & 7], excess)
            row = smooth[y * width : (y + 1) * width]
            here = lines[y & 7] if wide else bytes_[y * pitch : y * pitch + width]
            if y < 2 or y >= height - 2 or width < 5:
                row[:] = here
            else:
                row[:2] = here[:2]
                row[width - 2 :] = here[width - 2 :]
                if wide:
                    r0, r1 = lines[(y - 2) & 7], lines[(y - 1) & 7]
                    r3, r4 = lines[(y + 1) & 7], lines[(y + 2) & 7]
                else:
                    r0 = bytes_[(y - 2) * pitch : (y - 2) * pitch + width]
                    r1 = bytes_[(y - 1) * pitch : (y - 1) * pitch + width]
                    r3 = bytes_[(y + 1) * pitch : (y + 1) * pitch + width]
                    r4 = bytes_[(y + 2) * pitch : (y + 2) * pitch + width]
                for x in range(0, width - 4, _CHUNK):
                    n = min(_CHUNK, width - 4 - x)
                    z = x + n + 4
                    _smooth_row(r0[x:z], r1[x:z], here[x:z], r3[x:z], r4[x:z], row[x + 2 : x + 2 + n], columns)
        s = y - 1
        if 1 <= s < height - 1:
            _slope_row(
                smooth[(s - 1) * width : s * width],
                smooth[s * width : (s + 1) * width],
                smooth[(s + 1) * width : (s + 2) * width],
                slopes[s & 3][1 : 1 + inner],
                directions[s & 1],
            )
        elif s == height - 1:
            slopes[s & 3][:] = 0  # the picture's rim has no slope
        p = y - 2
        if 1 <= p < height - 1:
            up, mid, down = slopes[(p - 1) & 3], slopes[p & 3], slopes[(p + 1) & 3]
            _peak_row(up, mid, down, directions[p & 1], peaks[p & 3][1 : 1 + inner], I(LOW), I(HIGH))
        elif p == height - 1:
            peaks[p & 3][:] = 0
        e = y - 3
        if 1 <= e < height - 1:
            _link_row(peaks[(e - 1) & 3], peaks[e & 3], peaks[(e + 1) & 3], edges[e & (_LAG - 1)][:inner])
        m = y - 3 - RADIUS
        if 1 <= m < height - 1:
            found += _measure_row(smooth, edges[m & (_LAG - 1)], m, width, height, widths, lists)
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _edge_width(frames, out):
    for n in range(frames.shape[0]):
        frame = frames[n]
        if frame[_LUMA_ADDRESS] == 0:
            out[n, :] = np.nan
            continue
        width, height, depth = frame[_WIDTH], frame[_HEIGHT], frame[_BIT_DEPTH]
        widths = np.zeros(HISTOGRAM, np.int64)
        excess = frame[_SHIFT] + depth - 8
        found = _count_edges(frame[_LUMA_ADDRESS], frame[_LUMA_PITCH], width, height, excess, depth > 8, widths)
        count = 0
        tenths = 0
        for w in range(1, HISTOGRAM):
            count += widths[w]
            tenths += w * widths[w]
        out[n, 0] = np.float64(tenths) / (10.0 * count) if tenths >= 20 else np.nan
        out[n, 1] = np.float64(found) / np.float64(width * height)


def edge_width(frames: Tensor) -> Tensor:
    """CPU implementation of `avjury::edge_width`; see kernels/edge_width/op.py."""
    out = np.empty((frames.shape[0], len(COLUMNS)), np.float64)
    _edge_width(frames.numpy(), out)
    return torch.from_numpy(out)

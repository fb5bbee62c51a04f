"""frame_stats on CUDA: Triton, two launches for a batch of any sizes and formats, no wait for the host.

`_read_planes` streams every plane once: the picture, its reference, and the copy that is kept; `_finish` makes the
doubles. The host knows nothing of the table's contents, so the grid is fixed: PROGRAMS programs share the tiles of each
picture, and a program chooses its code by the row's depth and alignment. All that crosses programs are int64 sums and
maxima, whose result does not depend on their order.

Bytes of an 8-bit 4:2:0 picture of 1920x1080, with a reference and a copy: 3.11 MB read, 3.11 MB read, 3.11 MB written:
9.3 MB. Operations: about 14 per luma and 5 per chroma sample: 34 M. The floor on an H100 (3.35 TB/s; about 15 T simple
integer operations/s) is 2.8 us for the bytes and 2.3 us for the operations per picture. It is worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.frame_stats.columns import COLUMNS
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.tuning import Blocks, blocks_on

PROGRAMS = 128  # per picture; at 64 pictures and more than 60 multiprocessors each has many to choose from

_FIELDS = tl.constexpr(FRAME_FIELDS)
_REFERENCE_FIELDS = tl.constexpr(REFERENCE_FIELDS)
_COLUMNS = tl.constexpr(len(COLUMNS))
_LUMA, _U, _V = (tl.constexpr(int(f)) for f in (Field.LUMA_ADDRESS, Field.U_ADDRESS, Field.V_ADDRESS))
_LUMA_PITCH, _CHROMA_PITCH = tl.constexpr(int(Field.LUMA_PITCH)), tl.constexpr(int(Field.CHROMA_PITCH))
_CHROMA_STEP = tl.constexpr(int(Field.CHROMA_STEP))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_CHROMA_WIDTH, _CHROMA_HEIGHT = tl.constexpr(int(Field.CHROMA_WIDTH)), tl.constexpr(int(Field.CHROMA_HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_BLACK_LEVEL = tl.constexpr(int(Field.BLACK_LEVEL))
_R_LUMA, _R_U, _R_V = (
    tl.constexpr(int(f)) for f in (ReferenceField.LUMA_ADDRESS, ReferenceField.U_ADDRESS, ReferenceField.V_ADDRESS)
)
_R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_PITCH))
_R_CHROMA_PITCH = tl.constexpr(int(ReferenceField.CHROMA_PITCH))

# A picture's sums, int64, all begun at 0.
_SUMS = tl.constexpr(8)
_LUMA_DIFFERENCE, _CHROMA_DIFFERENCE, _TOTAL = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
_BLACK, _GRADIENT = tl.constexpr(3), tl.constexpr(4)
_HIGHEST, _BELOW_TOP = (
    tl.constexpr(5),
    tl.constexpr(6),
)  # largest code; largest code ^ _TOP (= _TOP - code), so that 0 can begin it
_TOP = tl.constexpr(65535)


@triton.jit
def _in_runs(values, ROWS: tl.constexpr, COLS: tl.constexpr):
    """(ROWS, COLS) as (ROWS, COLS / 16, 16): the last axis lies in one thread, so that reducing it needs no other."""
    return tl.reshape(values, (ROWS, COLS // 16, 16))


@triton.jit
def _place(base, pitch, y, x, ALIGNED: tl.constexpr):
    """Addresses of a tile's samples: a run of 16 from a 16-byte boundary where ALIGNED."""
    places = base + y[:, None] * pitch + x[None, :]
    if ALIGNED:
        # The address comes from a table, so that Triton knows nothing of it.
        places = tl.max_contiguous(tl.multiple_of(places, (1, 16)), (1, 16))
    return places


@triton.jit
def _inside(y, x, height, width, ALIGNED: tl.constexpr):
    mask = (y < height)[:, None] & (x < width)[None, :]
    if ALIGNED:
        mask = tl.max_constancy(mask, (1, 16))
    return mask


@triton.jit
def _read_luma(
    frame, reference, retain, sums, program,
    WORD: tl.constexpr, ALIGNED: tl.constexpr, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    earlier_base = tl.load(reference + _R_LUMA).to(tl.pointer_type(WORD))
    kept_base = tl.load(retain + _R_LUMA).to(tl.pointer_type(WORD))
    compared = tl.load(reference + _R_LUMA) != 0
    kept = tl.load(retain + _R_LUMA) != 0
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    pitch = tl.load(frame + _LUMA_PITCH) // sample_bytes
    earlier_pitch = tl.load(reference + _R_LUMA_PITCH) // sample_bytes
    kept_pitch = tl.load(retain + _R_LUMA_PITCH) // sample_bytes
    width = tl.load(frame + _WIDTH)
    height = tl.load(frame + _HEIGHT)
    shift = tl.load(frame + _SHIFT).to(tl.int32)
    black_level = tl.minimum(tl.load(frame + _BLACK_LEVEL), _TOP).to(tl.int32)

    # Per run of 16 samples and tile at most 2**20, so that 2**11 tiles of one program fit: 2**28 samples a picture.
    difference = tl.zeros((ROWS, COLS // 16), tl.int32)
    total = tl.zeros((ROWS, COLS // 16), tl.int32)
    black = tl.zeros((ROWS, COLS // 16), tl.int32)
    gradient = tl.zeros((ROWS, COLS // 16), tl.int32)
    highest = tl.zeros((ROWS, COLS // 16), tl.int32)
    below_top = tl.zeros((ROWS, COLS // 16), tl.int32)
    across = (width + COLS - 1) // COLS
    tiles = across * ((height + ROWS - 1) // ROWS)
    tile = program.to(tl.int64)
    while tile < tiles:
        y = tile // across * ROWS + tl.arange(0, ROWS)
        x = tile % across * COLS + tl.arange(0, COLS)
        mask = _inside(y, x, height, width, ALIGNED)
        words = tl.load(_place(base, pitch, y, x, ALIGNED), mask=mask, other=0)
        codes = words.to(tl.int32) >> shift
        # The sample to the left is in the cache already; beyond the picture and at its left rim the step is 0.
        stepped = mask & (x > 0)[None, :]
        left = tl.load(_place(base, pitch, y, x, False) - 1, mask=stepped, other=0).to(tl.int32) >> shift
        gradient += tl.sum(_in_runs(tl.where(stepped, tl.abs(codes - left), 0), ROWS, COLS), axis=2)
        if compared:
            before = tl.load(_place(earlier_base, earlier_pitch, y, x, ALIGNED), mask=mask, other=0)
            difference += tl.sum(_in_runs(tl.abs(codes - (before.to(tl.int32) >> shift)), ROWS, COLS), axis=2)
        if kept:
            tl.store(_place(kept_base, kept_pitch, y, x, ALIGNED), words, mask=mask)
        total += tl.sum(_in_runs(codes, ROWS, COLS), axis=2)
        black += tl.sum(_in_runs((mask & (codes <= black_level)).to(tl.int32), ROWS, COLS), axis=2)
        highest = tl.maximum(highest, tl.max(_in_runs(codes, ROWS, COLS), axis=2))
        below_top = tl.maximum(below_top, tl.max(_in_runs(tl.where(mask, codes ^ _TOP, 0), ROWS, COLS), axis=2))
        tile += PROGRAMS
    tl.atomic_add(sums + _LUMA_DIFFERENCE, tl.sum(tl.sum(difference.to(tl.int64), axis=1), axis=0))
    tl.atomic_add(sums + _TOTAL, tl.sum(tl.sum(total.to(tl.int64), axis=1), axis=0))
    tl.atomic_add(sums + _BLACK, tl.sum(tl.sum(black.to(tl.int64), axis=1), axis=0))
    tl.atomic_add(sums + _GRADIENT, tl.sum(tl.sum(gradient.to(tl.int64), axis=1), axis=0))
    tl.atomic_max(sums + _HIGHEST, tl.max(tl.max(highest, axis=1), axis=0).to(tl.int64))
    tl.atomic_max(sums + _BELOW_TOP, tl.max(tl.max(below_top, axis=1), axis=0).to(tl.int64))


@triton.jit
def _read_chroma(
    frame, reference, retain, sums, program, interleaved,
    WORD: tl.constexpr, ALIGNED: tl.constexpr, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    compared = tl.load(reference + _R_LUMA) != 0
    kept = tl.load(retain + _R_LUMA) != 0
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    pitch = tl.load(frame + _CHROMA_PITCH) // sample_bytes
    earlier_pitch = tl.load(reference + _R_CHROMA_PITCH) // sample_bytes
    kept_pitch = tl.load(retain + _R_CHROMA_PITCH) // sample_bytes
    height = tl.load(frame + _CHROMA_HEIGHT)
    shift = tl.load(frame + _SHIFT).to(tl.int32)
    u, v = tl.load(frame + _U), tl.load(frame + _V)
    earlier_u, earlier_v = tl.load(reference + _R_U), tl.load(reference + _R_V)
    kept_u, kept_v = tl.load(retain + _R_U), tl.load(retain + _R_V)
    # Interleaved chroma is one plane of twice the width, whichever component comes first.
    width = tl.load(frame + _CHROMA_WIDTH) * tl.where(interleaved, 2, 1)
    planes = tl.where(interleaved, 1, 2)
    across = (width + COLS - 1) // COLS
    tiles = across * ((height + ROWS - 1) // ROWS)
    difference = tl.zeros((ROWS, COLS // 16), tl.int32)
    tile = program.to(tl.int64)
    while tile < tiles * planes:
        second = tile >= tiles
        inner = tile % tiles
        first = tl.where(interleaved, tl.minimum(u, v), tl.where(second, v, u))
        y = inner // across * ROWS + tl.arange(0, ROWS)
        x = inner % across * COLS + tl.arange(0, COLS)
        mask = _inside(y, x, height, width, ALIGNED)
        words = tl.load(_place(first.to(tl.pointer_type(WORD)), pitch, y, x, ALIGNED), mask=mask, other=0)
        if compared:
            other = tl.where(interleaved, tl.minimum(earlier_u, earlier_v), tl.where(second, earlier_v, earlier_u))
            before = tl.load(_place(other.to(tl.pointer_type(WORD)), earlier_pitch, y, x, ALIGNED), mask=mask, other=0)
            apart = (words.to(tl.int32) >> shift) - (before.to(tl.int32) >> shift)
            difference += tl.sum(_in_runs(tl.abs(apart), ROWS, COLS), axis=2)
        if kept:
            target = tl.where(interleaved, tl.minimum(kept_u, kept_v), tl.where(second, kept_v, kept_u))
            tl.store(_place(target.to(tl.pointer_type(WORD)), kept_pitch, y, x, ALIGNED), words, mask=mask)
        tile += PROGRAMS
    tl.atomic_add(sums + _CHROMA_DIFFERENCE, tl.sum(tl.sum(difference.to(tl.int64), axis=1), axis=0))


@triton.jit
def _read_planes(frames, references, retains, sums, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Everything that is summed over all samples, and the copy."""
    picture = tl.program_id(1).to(tl.int64)
    program = tl.program_id(0)
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    retain = retains + picture * _REFERENCE_FIELDS
    if tl.load(frame + _LUMA) != 0:
        own = sums + picture * _SUMS
        depth = tl.load(frame + _BIT_DEPTH)
        # Any bit below 16 in an address, a pitch, or a width spoils the alignment of some run.
        crooked = tl.load(frame + _LUMA) | tl.load(reference + _R_LUMA) | tl.load(retain + _R_LUMA)
        crooked |= tl.load(frame + _LUMA_PITCH) | tl.load(reference + _R_LUMA_PITCH) | tl.load(retain + _R_LUMA_PITCH)
        aligned = ((crooked | tl.load(frame + _WIDTH)) & 15) == 0
        if depth == 8:
            if aligned:
                _read_luma(frame, reference, retain, own, program, tl.uint8, True, PROGRAMS, ROWS, COLS)
            else:
                _read_luma(frame, reference, retain, own, program, tl.uint8, False, PROGRAMS, ROWS, COLS)
        else:
            if aligned:
                _read_luma(frame, reference, retain, own, program, tl.uint16, True, PROGRAMS, ROWS, COLS)
            else:
                _read_luma(frame, reference, retain, own, program, tl.uint16, False, PROGRAMS, ROWS, COLS)
        chroma_width = tl.load(frame + _CHROMA_WIDTH)
        if chroma_width > 0:
            interleaved = tl.load(frame + _CHROMA_STEP) == 2
            crooked = tl.load(frame + _CHROMA_PITCH) | tl.load(reference + _R_CHROMA_PITCH)
            crooked |= tl.load(retain + _R_CHROMA_PITCH)
            u = tl.load(frame + _U) | tl.load(reference + _R_U) | tl.load(retain + _R_U)
            v = tl.load(frame + _V) | tl.load(reference + _R_V) | tl.load(retain + _R_V)
            crooked |= tl.where(
                interleaved,
                tl.minimum(tl.load(frame + _U), tl.load(frame + _V))
                | tl.minimum(tl.load(reference + _R_U), tl.load(reference + _R_V))
                | tl.minimum(tl.load(retain + _R_U), tl.load(retain + _R_V))
                | (2 * chroma_width),
                u | v | chroma_width,
            )
            aligned = (crooked & 15) == 0
            if depth == 8:
                if aligned:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint8, True, PROGRAMS, ROWS, COLS
                    )
                else:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint8, False, PROGRAMS, ROWS, COLS
                    )
            else:
                if aligned:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint16, True, PROGRAMS, ROWS, COLS
                    )
                else:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint16, False, PROGRAMS, ROWS, COLS
                    )


@triton.jit
def _finish(frames, references, sums, out):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    own = sums + picture * _SUMS
    row = out + picture * _COLUMNS
    if tl.load(frame + _LUMA) != 0:
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        full = (tl.zeros((), tl.int64) + 1) << tl.load(frame + _BIT_DEPTH)
        pixels = width * height
        samples = pixels + 2 * tl.load(frame + _CHROMA_WIDTH) * tl.load(frame + _CHROMA_HEIGHT)
        luma_difference = tl.load(own + _LUMA_DIFFERENCE)
        difference = luma_difference + tl.load(own + _CHROMA_DIFFERENCE)
        if tl.load(references + picture * _REFERENCE_FIELDS + _R_LUMA) != 0:
            tl.store(row + 0, difference.to(tl.float64) / (samples * full).to(tl.float64))
            tl.store(row + 1, luma_difference.to(tl.float64) / (pixels * full).to(tl.float64))
        one = full.to(tl.float64)
        tl.store(row + 2, tl.load(own + _BLACK).to(tl.float64) / pixels.to(tl.float64))
        tl.store(row + 3, tl.load(own + _TOTAL).to(tl.float64) / (pixels * full).to(tl.float64))
        tl.store(row + 4, (tl.load(own + _BELOW_TOP) ^ _TOP).to(tl.float64) / one)
        tl.store(row + 5, tl.load(own + _HIGHEST).to(tl.float64) / one)
        steps = tl.maximum((width - 1) * height, 1)
        tl.store(row + 6, tl.load(own + _GRADIENT).to(tl.float64) / (steps * full).to(tl.float64))


def frame_stats(
    frames: Tensor,
    references: Tensor,
    retain: Tensor,
    *,
    programs: int = PROGRAMS,
    blocks: Blocks | None = None,
) -> Tensor:
    """The op's CUDA implementation; see kernels/frame_stats/op.py. The tables are checked and contiguous.

    Args:
        frames, references, retain: the tables, on the device.
        programs: how many share the tiles of one picture; they change no number.
        blocks: their tile is rows and columns, powers of two, 16 columns at least; they change no number. None takes
            the device's.
    """
    count, device = frames.shape[0], frames.device
    out = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count == 0:
        return out
    sums = torch.zeros((count, _SUMS.value), dtype=torch.int64, device=device)
    blocks = blocks or blocks_on("frame_stats", device)
    rows, columns = blocks.tile
    _read_planes[(programs, count)](
        frames, references, retain, sums,
        PROGRAMS=programs, ROWS=rows, COLS=columns, num_warps=blocks.warps, maxnreg=blocks.registers,
    )  # fmt: skip
    _finish[(count,)](frames, references, sums, out, num_warps=1)
    return out

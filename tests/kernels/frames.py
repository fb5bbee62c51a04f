"""Pictures for kernel tests: planes in memory of their own, at a pitch of their own, as rows of kernels/layout.py."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS

CHROMA = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "grey": (0, 0)}


@dataclass(eq=False)
class Frame:
    """One picture. `luma`, `u`, `v` hold code values at their true size; `buffers` the memory as a decoder lays it out.

    Bytes of a row beyond its samples, and the low `shift` bits of a word, are random: no result may depend on them.
    """

    luma: np.ndarray  # (height, width) int64
    u: np.ndarray  # (chroma_height, chroma_width) int64; (0, 0) where grey
    v: np.ndarray
    bit_depth: int
    shift: int
    chroma_step: int
    black_level: int
    buffers: tuple[np.ndarray, ...]  # one (rows, pitch) uint8 array per plane in memory
    u_address: int
    v_address: int

    @property
    def luma_address(self) -> int:
        return self.buffers[0].ctypes.data

    @property
    def chroma_pitch(self) -> int:
        return self.buffers[1].shape[1] if len(self.buffers) > 1 else 0

    def row(self) -> list[int]:
        """The frame's row in the table of frames."""
        height, width = self.luma.shape
        chroma_height, chroma_width = self.u.shape
        return [
            self.luma_address,
            self.u_address,
            self.v_address,
            self.buffers[0].shape[1],
            self.chroma_pitch,
            self.chroma_step,
            width,
            height,
            chroma_width,
            chroma_height,
            self.bit_depth,
            self.shift,
            self.black_level,
        ]

    def reference_row(self) -> list[int]:
        """The frame's row in the tables of references and of copies to be kept."""
        return [self.luma_address, self.u_address, self.v_address, self.buffers[0].shape[1], self.chroma_pitch]

    def stored(self) -> tuple[np.ndarray, ...]:
        """The stored samples (not shifted) as they lie now: luma, u, v."""
        dtype = np.uint8 if self.bit_depth == 8 else np.dtype("<u2")
        luma = self.buffers[0].view(dtype)[:, : self.luma.shape[1]]
        if self.u.size == 0:
            return luma, self.u.astype(dtype), self.v.astype(dtype)
        span = self.u.shape[1] * self.chroma_step
        if self.chroma_step == 2:
            both = self.buffers[1].view(dtype)
            return luma, both[:, 0:span:2], both[:, 1:span:2]
        return luma, self.buffers[1].view(dtype)[:, :span], self.buffers[2].view(dtype)[:, :span]


def make_frame(
    luma: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    *,
    bit_depth: int = 8,
    shift: int = 0,
    interleaved: bool = False,
    padding: int = 0,
    black_level: int | None = None,
    seed: int = 0,
) -> Frame:
    """A frame of the given code values; `padding` samples are added to each row in memory (pitch > width)."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype("u1") if bit_depth == 8 else np.dtype("<u2")

    def lay(rows: np.ndarray) -> np.ndarray:
        height, width = rows.shape
        memory = rng.integers(0, 256, (height, (width + padding) * dtype.itemsize), dtype=np.uint8)
        noise = rng.integers(0, 1 << shift, rows.shape)
        memory.view(dtype)[:, :width] = (rows << shift) | noise
        return memory

    if u.size == 0:
        buffers, u_address, v_address = (lay(luma),), 0, 0
    elif interleaved:
        both = np.empty((u.shape[0], 2 * u.shape[1]), np.int64)
        both[:, 0::2], both[:, 1::2] = u, v
        buffers = (lay(luma), lay(both))
        u_address = buffers[1].ctypes.data
        v_address = u_address + dtype.itemsize
    else:
        buffers = (lay(luma), lay(u), lay(v))
        u_address, v_address = buffers[1].ctypes.data, buffers[2].ctypes.data
    return Frame(
        luma=luma.astype(np.int64),
        u=u.astype(np.int64),
        v=v.astype(np.int64),
        bit_depth=bit_depth,
        shift=shift,
        chroma_step=2 if interleaved else 1,
        black_level=(32 << (bit_depth - 8)) if black_level is None else black_level,
        buffers=buffers,
        u_address=u_address,
        v_address=v_address,
    )


def random_frame(
    width: int,
    height: int,
    *,
    chroma: str = "420",
    interleaved: bool = False,
    bit_depth: int = 8,
    shift: int = 0,
    padding: int = 0,
    seed: int = 0,
    smooth: bool = False,
) -> Frame:
    """A frame of noise, or of slow waves with a little noise (`smooth`), using the whole range of codes."""
    rng = np.random.default_rng(seed)
    across, down = CHROMA[chroma]
    chroma_shape = (-(-height // down), -(-width // across)) if across else (0, 0)
    top = (1 << bit_depth) - 1

    def plane(shape: tuple[int, int]) -> np.ndarray:
        if not smooth:
            return rng.integers(0, top + 1, shape)
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
        waves = np.sin(x / 9 + rng.uniform(0, 6)) * np.cos(y / 7 + rng.uniform(0, 6))
        return np.clip((0.5 + 0.45 * waves) * top + rng.integers(-2, 3, shape), 0, top).astype(np.int64)

    return make_frame(
        plane((height, width)),
        plane(chroma_shape),
        plane(chroma_shape),
        bit_depth=bit_depth,
        shift=shift,
        interleaved=interleaved,
        padding=padding,
        seed=seed + 1,
    )


def blank_like(frame: Frame, padding: int = 0) -> Frame:
    """Memory for a copy of `frame`, zeroed, at another pitch; its code values are those the copy must have."""
    dtype = np.uint8 if frame.bit_depth == 8 else np.dtype("<u2")

    def memory(rows: int, samples: int) -> np.ndarray:
        return np.zeros((rows, (samples + padding) * np.dtype(dtype).itemsize), np.uint8)

    height, width = frame.luma.shape
    chroma_height, chroma_width = frame.u.shape
    buffers = [memory(height, width)]
    if frame.u.size:
        planes = 1 if frame.chroma_step == 2 else 2
        buffers += [memory(chroma_height, chroma_width * frame.chroma_step) for _ in range(planes)]
    u_address = buffers[1].ctypes.data if frame.u.size else 0
    v_address = 0
    if frame.u.size:
        v_address = u_address + np.dtype(dtype).itemsize if frame.chroma_step == 2 else buffers[2].ctypes.data
    return replace(frame, buffers=tuple(buffers), u_address=u_address, v_address=v_address)


def frame_table(frames: list[Frame | None]) -> torch.Tensor:
    """(N, FRAME_FIELDS) int64; None is a skipped row. The frames have to outlive the table."""
    rows = [[0] * FRAME_FIELDS if frame is None else frame.row() for frame in frames]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(frames), FRAME_FIELDS)


def reference_table(frames: list[Frame | None]) -> torch.Tensor:
    """(N, REFERENCE_FIELDS) int64; None is "no reference" or "keep no copy"."""
    rows = [[0] * REFERENCE_FIELDS if frame is None else frame.reference_row() for frame in frames]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(frames), REFERENCE_FIELDS)

"""Software-decoded pictures on a GPU machine: host memory -> pinned memory -> device memory.

Used by: the engine's loop, one thread. It owns pinned staging buffers and device buffers; a device buffer comes back
when its surface is released.
"""

import ctypes
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.errors import MeasureError
from engine.media import Surface

# Kernels load 128 bits at a time where every row begins at a multiple of 16 bytes; 128 is a line of the L2 cache.
_ROW_ALIGNMENT = 128
_STAGING = 8  # pictures whose upload may be under way at a time


@dataclass(slots=True, eq=False)
class _Staging:
    buffer: Tensor
    done: Any  # torch.cuda.Event, which carries no types; None before the first upload


@dataclass(slots=True, eq=False)
class _Picture:
    """A device buffer of the uploader, given back once."""

    uploader: "Uploader"
    buffer: Tensor | None

    def release(self) -> None:
        """Give the memory back; a second call does nothing."""
        buffer, self.buffer = self.buffer, None
        if buffer is not None:
            self.uploader.give_buffer(buffer)

    def __del__(self) -> None:
        # A surface that was dropped on the way would otherwise take its buffer out of the pool.
        self.release()


class Uploader:
    """Copies surfaces of the CPU to a device.

    Args:
        device: where to. On the CPU it copies within host memory, which only tests want.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._stream: Any = torch.cuda.Stream(device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._staging: deque[_Staging] = deque()
        self._lock = threading.RLock()  # the garbage collector may give a picture back from within
        self._free: dict[int, list[Tensor]] = {}
        self.uploaded_bytes = 0
        """Host to device, so far; only grows."""

    def upload(self, surface: Surface) -> Surface:
        """The same picture on the device; `surface` is released, as its pixels are no longer needed.

        What the caller enqueues on its current CUDA stream after this sees the picture.

        Args:
            surface: on the CPU.
        Returns: a surface of equal geometry; its rows begin at multiples of 128 bytes.
        Raises: MeasureError if the surface is not on the CPU.
        """
        if surface.device != "cpu":
            raise MeasureError(
                "cannot upload a surface",
                stream=surface.stream,
                why=f"it lies on {surface.device}",
                remedy="this is a bug in avjury",
            )
        sample = 1 if surface.bit_depth == 8 else 2
        luma_bytes = surface.width * sample
        chroma_bytes = surface.chroma_width * surface.chroma_step * sample
        luma_pitch, chroma_pitch = _aligned(luma_bytes), _aligned(chroma_bytes)
        chroma_planes = 0 if not surface.chroma_width else 1 if surface.chroma_step == 2 else 2
        luma_size, chroma_size = luma_pitch * surface.height, chroma_pitch * surface.chroma_height
        size = luma_size + chroma_planes * chroma_size
        staging = self._take_staging(size)
        host = staging.buffer.numpy()
        _copy_rows(host[:luma_size], luma_pitch, surface.addresses[0], surface.luma_pitch, luma_bytes, surface.height)
        for plane in range(chroma_planes):
            at = luma_size + plane * chroma_size
            _copy_rows(
                host[at : at + chroma_size],
                chroma_pitch,
                min(surface.addresses[1:]) if surface.chroma_step == 2 else surface.addresses[1 + plane],
                surface.chroma_pitch,
                chroma_bytes,
                surface.chroma_height,
            )
        surface.release()
        buffer = self._take_buffer(size)
        self._send(buffer, staging, size)
        self.uploaded_bytes += size
        base = buffer.data_ptr()
        u = v = 0
        if chroma_planes == 2:
            u, v = base + luma_size, base + luma_size + chroma_size
        elif chroma_planes == 1:
            first, second = base + luma_size, base + luma_size + sample
            u, v = (first, second) if surface.addresses[1] < surface.addresses[2] else (second, first)  # NV12, NV21
        picture = _Picture(self, buffer)
        return replace(
            surface,
            addresses=(base, u, v),
            luma_pitch=luma_pitch,
            chroma_pitch=chroma_pitch,
            device=str(self._device),
            owner=picture,
            release=picture.release,
        )

    def _send(self, buffer: Tensor, staging: _Staging, size: int) -> None:
        if self._stream is None:
            buffer[:size].copy_(staging.buffer[:size])
        else:
            with torch.cuda.stream(self._stream):
                buffer[:size].copy_(staging.buffer[:size], non_blocking=True)
                done: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
                done.record(self._stream)
            staging.done = done
            torch.cuda.current_stream(self._device).wait_event(done)
        self._staging.append(staging)

    def _take_staging(self, size: int) -> _Staging:
        """A pinned buffer whose last upload is done; the oldest one is the first to be."""
        if len(self._staging) >= _STAGING or (self._staging and _is_done(self._staging[0])):
            staging = self._staging.popleft()
            if staging.done is not None:
                staging.done.synchronize()
            if staging.buffer.numel() >= size:
                return staging
        return _Staging(torch.empty(size, dtype=torch.uint8, pin_memory=self._on_gpu), None)

    def _take_buffer(self, size: int) -> Tensor:
        with self._lock:
            free = self._free.get(size)
            if free:
                return free.pop()
        if self._stream is None:
            return torch.empty(size, dtype=torch.uint8, device=self._device)
        # Allocated for the stream that writes it first; the kernels' own stream waits for that write.
        with torch.cuda.stream(self._stream):
            return torch.empty(size, dtype=torch.uint8, device=self._device)

    def give_buffer(self, buffer: Tensor) -> None:
        """Take a picture's memory back, once its last reader is done."""
        with self._lock:
            self._free.setdefault(buffer.numel(), []).append(buffer)


def _is_done(staging: _Staging) -> bool:
    return staging.done is None or bool(staging.done.query())


def _aligned(size: int) -> int:
    return (size + _ROW_ALIGNMENT - 1) // _ROW_ALIGNMENT * _ROW_ALIGNMENT


def _copy_rows(
    into: npt.NDArray[np.uint8], into_pitch: int, address: int, pitch: int, row_bytes: int, rows: int
) -> None:
    """Copy a plane; the last source row need not be as long as its pitch."""
    raw = memoryview((ctypes.c_ubyte * (pitch * (rows - 1) + row_bytes)).from_address(address))
    source = np.frombuffer(raw, np.uint8)
    view = np.lib.stride_tricks.as_strided(source, (rows, row_bytes), (pitch, 1), writeable=False)
    into.reshape(rows, into_pitch)[:, :row_bytes] = view

"""Decoded sound of any format and rate -> float samples at 48 kHz, in as few calls of libswresample as can be.

A call of PyAV's resampler gives up Python's lock several times and raises an exception at its end; for a frame of 20 ms
that took four times as long as decoding it, and each time the lock was given up another thread had it. So samples that
only change their format are converted here, which is exact, and frames of another rate wait until there is a block of
them: libswresample's samples do not depend on the pieces in which they come.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from av import AudioFrame
from av.audio.resampler import AudioResampler

SAMPLE_RATE: Final = 48_000
MAX_CHANNELS: Final = 8
# Full scale of integer samples, a power of two: as libswresample has it (libswresample/audioconvert.c).
_FULL_SCALE: Final = {"s16": 1 << 15, "s32": 1 << 31}
_JOINED: Final = frozenset(f"{kind}{planar}" for kind in ("u8", "s16", "s32", "flt", "dbl") for planar in ("", "p"))

Samples = npt.NDArray[np.float32]


def by_channel(frame: Any) -> npt.NDArray[Any]:
    """(channels, samples) of a frame, planar or interleaved."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    return samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T


class ToFloat:
    """Converts frames of one format, layout and rate.

    Args:
        frame: the first of them; it is not yet converted.
    """

    def __init__(self, frame: Any) -> None:
        channels, kind = frame.layout.nb_channels, frame.format.name.removesuffix("p")
        # PyAV 18 reads beyond the planes of planar sound of eight channels and more: those are taken interleaved.
        few = channels < MAX_CHANNELS
        same_rate = few and frame.sample_rate == SAMPLE_RATE
        self._as_it_is = same_rate and kind == "flt"
        self._scale = np.float32(1 / _FULL_SCALE[kind]) if same_rate and kind in _FULL_SCALE else None
        self._joins = few and frame.format.name in _JOINED
        self._rate = frame.sample_rate
        self._waiting: list[Any] = []
        self._waiting_samples = 0
        self._resampler: AudioResampler | None = None
        if not self._as_it_is and self._scale is None:
            self._resampler = AudioResampler(format="fltp" if few else "flt", layout=frame.layout, rate=SAMPLE_RATE)

    def convert(self, frame: Any, wanted: int) -> list[npt.NDArray[Any]]:
        """Take a frame.

        Args:
            frame: which is the converter's from now on.
            wanted: at 48 kHz; what would be fewer may wait, 0 lets nothing wait.
        Returns: (channels, n) float32 arrays of what is there.
        """
        if self._as_it_is:
            return [by_channel(frame)]
        if self._scale is not None:
            return [by_channel(frame).astype(np.float32) * self._scale]
        self._waiting.append(frame)
        self._waiting_samples += frame.samples
        # One more than they can become: the filter's place lies between two samples.
        if self._joins and self._waiting_samples * SAMPLE_RATE // self._rate + 1 < wanted:
            return []
        return self._resample()

    def flush(self) -> list[npt.NDArray[Any]]:
        """What waits, and what the filter holds back. It is not used after that."""
        if self._resampler is None:
            return []
        return [*self._resample(), *map(by_channel, self._resampler.resample(None))]

    def _resample(self) -> list[npt.NDArray[Any]]:
        waiting, self._waiting, self._waiting_samples = self._waiting, [], 0
        if not waiting or self._resampler is None:
            return []
        frame = waiting[0] if len(waiting) == 1 else _joined(waiting)
        # Without a time the filter makes no attempt of its own to follow the timestamps.
        frame.pts = None
        return [by_channel(resampled) for resampled in self._resampler.resample(frame)]


def _joined(frames: list[Any]) -> Any:
    """One frame of what these hold."""
    first = frames[0]
    samples = np.ascontiguousarray(np.concatenate([frame.to_ndarray() for frame in frames], axis=1))
    whole = AudioFrame.from_ndarray(samples, format=first.format.name, layout=first.layout)
    whole.sample_rate = first.sample_rate
    return whole

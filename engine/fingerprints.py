"""What a stream's pictures and sound are known by: small rows, kept for as long as somebody compares them.

`SoundPrint` is filled by the stream's reader thread; all else belongs to the engine's loop. Rows of pictures stay on
the device; rows of sound are on the host, where sound is decoded.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.media import AudioBlock
from kernels.tile_stats import TILE_COLUMNS, TILE_ROWS

SAMPLE_RATE: Final = 48_000
# Mean luma of 3x4 regions: letterboxing, logos and other sizes move little between so few.
REGION_ROWS: Final = 3
REGION_COLUMNS: Final = 4
REGIONS: Final = REGION_ROWS * REGION_COLUMNS
# Sound: the energy in each of twelve bands, from what every coder keeps, every 10 ms over 21 ms.
BANDS: Final = 12
LOWEST_HERTZ: Final = 150.0
HIGHEST_HERTZ: Final = 6000.0
_STEP: Final = 480
_SPAN: Final = 1024
# Below it is dither: about -66 dBFS of white noise.
_QUIET: Final = 1e-6
_MOST_WAITING: Final = 4096
_FIRST_CAPACITY: Final = 1024
# Rows further apart than this have a break between them, over which a live source's timeline goes by the wall clock.
_BREAK_SECONDS: Final = 0.5


class Rows:
    """Rows with their times, the oldest of which may be forgotten.

    Args:
        width: values in a row.
        device: where they are.
    """

    def __init__(self, width: int, device: torch.device) -> None:
        self._values = torch.empty((_FIRST_CAPACITY, width), dtype=torch.float32, device=device)
        self._times = np.empty(_FIRST_CAPACITY)
        self._first = self._end = 0
        self.until = -math.inf
        """Media second of the last one."""
        self.since = math.inf
        """And of the first one behind the last break."""

    @property
    def capacity(self) -> int:
        """Rows that there is memory for."""
        return len(self._times)

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self._values.device

    def append(self, times: npt.NDArray[np.float64], values: Tensor) -> None:
        """Further rows; those that are not later than the last one are left out."""
        if len(times) and times[0] <= self.until:
            later = times > self.until
            times, values = times[later], values[torch.from_numpy(later).to(values.device)]
        count = len(times)
        if not count:
            return
        if self._end + count > len(self._times):
            self._make_room(count)
        self._times[self._end : self._end + count] = times
        self._values[self._end : self._end + count] = values
        self._end += count
        breaks = np.flatnonzero(np.diff(times, prepend=self.until) > _BREAK_SECONDS)
        if len(breaks):
            self.since = float(times[breaks[-1]])
        self.until = float(times[-1])

    def between(self, since: float, until: float) -> tuple[npt.NDArray[np.float64], Tensor]:
        """Times and rows of a span of media time, both ends included."""
        times = self._times[self._first : self._end]
        low, high = np.searchsorted(times, since), np.searchsorted(times, until, side="right")
        return times[low:high].copy(), self._values[self._first + low : self._first + high]

    def forget(self, before: float) -> None:
        """Nobody asks for rows of earlier times any more."""
        self._first += int(np.searchsorted(self._times[self._first : self._end], before))

    def _make_room(self, count: int) -> None:
        kept = self._end - self._first
        capacity = len(self._times)
        while capacity < 2 * (kept + count):
            capacity *= 2
        times, values = np.empty(capacity), self._values.new_empty((capacity, self._values.shape[1]))
        times[:kept] = self._times[self._first : self._end]
        values[:kept] = self._values[self._first : self._end]
        self._times, self._values, self._first, self._end = times, values, 0, kept


class SoundPrint:
    """The rows of one stream's sound, as it is decoded. `take` from the reader's thread; `taken` from the loop."""

    def __init__(self) -> None:
        self._found: deque[tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]] = deque(maxlen=_MOST_WAITING)
        self._rest: npt.NDArray[np.float32] | None = None
        self._start = 0.0
        edges = np.geomspace(LOWEST_HERTZ, HIGHEST_HERTZ, BANDS + 1)
        hertz = np.fft.rfftfreq(_SPAN, 1 / SAMPLE_RATE)
        within = (hertz[:, None] >= edges[:-1]) & (hertz[:, None] < edges[1:])
        self._bands = within.astype(np.float64) / _SPAN
        self._taper = np.hanning(_SPAN).astype(np.float32)

    def take(self, block: AudioBlock) -> None:
        """The next block."""
        samples = block.samples[:, : block.valid]
        rest = self._rest
        follows = rest is not None and abs(block.pts - self._start - rest.shape[1] / SAMPLE_RATE) < 0.002
        if rest is None or not follows or rest.shape[0] != samples.shape[0]:
            self._start = block.pts
            rest = samples[:, :0]
        sound = np.concatenate((rest, samples), axis=1)
        count = (sound.shape[1] - _SPAN) // _STEP + 1
        if count > 0:
            spans = np.lib.stride_tricks.sliding_window_view(sound, _SPAN, axis=1)[:, : count * _STEP : _STEP]
            power = np.abs(np.fft.rfft(spans * self._taper)) ** 2
            # Of all channels together, which need not be in phase.
            energy = np.log(power.mean(axis=0) @ self._bands + _QUIET).astype(np.float32)
            times = self._start + (_SPAN / 2 + _STEP * np.arange(count)) / SAMPLE_RATE
            self._found.append((times, energy))
            sound = sound[:, count * _STEP :]
            self._start += count * _STEP / SAMPLE_RATE
        self._rest = sound.copy()

    def taken(self, rows: Rows) -> None:
        """Hand what was found to the loop's rows."""
        while self._found:
            times, energy = self._found.popleft()
            rows.append(times, torch.from_numpy(energy))


def regions_of(luma: Tensor) -> Tensor:
    """(N, REGIONS) of the mean luma of tiles, (N, TILES)."""
    high, wide = TILE_ROWS // REGION_ROWS, TILE_COLUMNS // REGION_COLUMNS
    return luma.reshape(-1, REGION_ROWS, high, REGION_COLUMNS, wide).mean(dim=(2, 4)).reshape(-1, REGIONS)


@dataclass(slots=True, eq=False)
class Fingerprint:
    """Of one stream.

    Args:
        pictures, sound: their rows.
        print: fills the rows of sound.
        ended: no more comes.
    """

    pictures: Rows
    sound: Rows = field(default_factory=lambda: Rows(BANDS, torch.device("cpu")))
    print: SoundPrint = field(default_factory=SoundPrint)
    ended: bool = False
    _early: list[float] = field(default_factory=lambda: [math.inf, math.inf])
    _minute: int = -1

    def arrived(self, pts: float, at: float) -> None:
        """A picture of media second `pts` was there at monotonic second `at`."""
        minute = int(at // 60)
        if minute != self._minute:
            self._minute = minute
            self._early = [math.inf, self._early[0]]
        self._early[0] = min(self._early[0], at - pts)

    @property
    def began_at(self) -> float:
        """Monotonic second at which media second 0 came, by the promptest picture of the last minute or two."""
        return min(self._early)

    @property
    def since(self) -> float:
        """Media second from which on there was no break; by the sound where there is any, as no load thins that out."""
        return self.sound.since if self.sound.until > -math.inf else self.pictures.since

    @property
    def until(self) -> float:
        """Media second up to which each of its tracks is known."""
        return min((rows.until for rows in (self.pictures, self.sound) if rows.until > -math.inf), default=-math.inf)

    def forget(self, before: float) -> None:
        """Nobody asks for earlier media seconds any more."""
        self.pictures.forget(before)
        self.sound.forget(before)

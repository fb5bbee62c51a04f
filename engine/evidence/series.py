"""The last rows of measures per slot, where they were measured, and what of them an incident shows.

On a GPU the rows stay there; one column of one slot crosses to the host when an incident opens, and when its evidence
is made. Filled and read by the engine's loop only.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from engine.media import Measures

# Twenty seconds of pictures at 25 per second; much longer for sound and the transport.
ROWS: Final = 512
# More points than a small plot has columns.
MOST_POINTS: Final = 600
_DIGITS: Final = 6

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Watched:
    """What shows a detector's defect.

    Args:
        track: whose rows have it: "video", "audio" or "stream".
        measure: its column.
        threshold: from which it is bad.
        exit_threshold: from which it is good again.
        below: bad is at or below the threshold, else at or above it.
    """

    track: str
    measure: str
    threshold: float
    exit_threshold: float
    below: bool


@dataclass(frozen=True, slots=True)
class Points:
    """A measure over time.

    Args:
        times: (N,) float64, media seconds, rising.
        values: (N,) float64; NaN where the quantity had no value.
    """

    times: Numbers
    values: Numbers

    @classmethod
    def none(cls) -> "Points":
        """No points."""
        return cls(np.empty(0), np.empty(0))

    def joined(self, later: "Points") -> "Points":
        """These points and the later ones, each moment once."""
        if not len(self.times):
            return later
        if not len(later.times):
            return self
        new = later.times > self.times[-1]
        return Points(np.append(self.times, later.times[new]), np.append(self.values, later.values[new]))


class MeasureRing:
    """The last rows of one track, for all slots.

    Args:
        slots: number of slots.
        device: where the measures are.
        rows: per slot.
        host: keep them in numpy's memory, where an operation on a few values costs a tenth of a torch one; on the CPU
            unless told.
    """

    def __init__(self, slots: int, device: torch.device, rows: int = ROWS, *, host: bool | None = None) -> None:
        self.device_to_host_bytes = 0
        self._slots = slots
        self._rows = rows
        self._device = device
        self._host = device.type == "cpu" if host is None else host
        self._columns: tuple[str, ...] = ()
        self._values: Any = None
        self._times: Any = None
        self._written = np.zeros(slots, dtype=np.int64)
        self._counts: Any = None  # the same on the device, with one more for rows without a picture

    def open_slot(self, slot: int) -> None:
        """Another stream moves in."""
        self._written[slot] = 0
        if self._counts is not None:
            self._counts[slot] = 0

    def add(self, measures: Measures) -> None:
        """Keep the rows of a batch, at most one per slot."""
        if measures.kept:
            return
        self.bind(measures.columns)
        slots = measures.slots.numpy()
        if self._host:
            place = self._written[slots] % self._rows
            self._values[slots, place] = measures.values.numpy()
            self._times[slots, place] = measures.start.numpy()
        elif measures.device_rows is not None:
            self.keep(*measures.device_rows[:2], measures.values)
        else:
            self.keep(self._moved(measures.slots), self._moved(measures.start), measures.values)
        self.before(slots, measures.start.numpy())

    def bind(self, columns: tuple[str, ...]) -> None:
        """Make room for rows of these columns, once."""
        if self._values is not None:
            return
        self._columns = columns
        shape = (self._slots + (not self._host), self._rows, len(columns))
        if self._host:
            self._values, self._times = np.empty(shape, np.float32), np.empty(shape[:2])  # taken page by page
            return
        self._values, self._times = self._on_device(shape, torch.float32), self._on_device(shape[:2], torch.float64)
        self._counts = self._on_device(shape[:1], torch.int64)

    def before(self, slots: npt.NDArray[np.int64], start: npt.NDArray[np.float64]) -> None:
        """As `Follower.before`."""
        self._written[slots] += 1

    def keep(self, slots: torch.Tensor, start: torch.Tensor, values: torch.Tensor) -> None:
        """As `Follower.keep`."""
        count = self._counts[slots]
        place = count % self._rows
        self._values[slots, place] = values.to(torch.float32)
        self._times[slots, place] = start
        self._counts[slots] = count + 1

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        pinned = tensor.pin_memory() if self._device.type == "cuda" else tensor
        return pinned.to(self._device, non_blocking=True)

    def _on_device(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=dtype, device=self._device)

    def read(self, slot: int, column: str, since: float) -> Points:
        """One measure of one slot from a media second on."""
        if self._values is None or column not in self._columns or not self._written[slot]:
            return Points.none()
        values, times = self._values[slot, :, self._columns.index(column)], self._times[slot]
        if not self._host:
            values, times = values.cpu().numpy(), times.cpu().numpy()
            self.device_to_host_bytes += values.nbytes + times.nbytes
        written = int(self._written[slot])
        order = np.arange(max(0, written - self._rows), written) % self._rows
        found = Points(times[order].astype(np.float64), values[order].astype(np.float64))
        kept = found.times >= since
        return Points(found.times[kept], found.values[kept])


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most `most` points that keep every peak: of each stretch its lowest and its highest value."""
    count = len(points.times)
    if count <= most:
        return points
    size = -(-count // (most // 2))
    kept: list[int] = []
    for start in range(0, count, size):
        stretch = points.values[start : start + size]
        known = np.isfinite(stretch)
        if known.any():
            low, high = np.where(known, stretch, np.inf).argmin(), np.where(known, stretch, -np.inf).argmax()
            kept += sorted({start + int(low), start + int(high)})
        else:
            kept.append(start)
    return Points(points.times[kept], points.values[kept])


def series_json(
    points: Points,
    *,
    stream: str,
    detector: str,
    watched: Watched,
    start: float,
    end: float | None,
) -> bytes:
    """An incident's measure as JSON, ready to be plotted.

    Args:
        points: of the measure around the incident.
        stream, detector: what it is of.
        watched: the measure and its thresholds.
        start, end: of the incident, media seconds; `end` None while it is open.
    """
    shown = thinned(points)
    text = {
        "stream": stream,
        "detector": detector,
        "measure": watched.measure,
        "threshold": _number(watched.threshold),
        "exit_threshold": _number(watched.exit_threshold),
        "bad": "below" if watched.below else "above",
        "start": _number(start),
        "end": None if end is None else _number(end),
        "times": [round(float(at), 3) for at in shown.times],
        "values": [_number(float(value)) for value in shown.values],
    }
    return json.dumps(text, ensure_ascii=False, allow_nan=False).encode()


def _number(value: float) -> float | None:
    """A value with the digits that mean something; None for what JSON has no word for."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None

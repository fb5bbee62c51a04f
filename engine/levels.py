"""The lowest and the highest value of each measure in every media second: what timelines and meters show.

On a GPU they add up there; what crosses to the host is one row per stream and second. Filled and read by the engine's
loop only.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from engine.level_columns import TRACKS, level_columns
from engine.media import Follower, Measures

# Seconds of a track that nobody has taken yet; they are taken two seconds after they were measured.
MOST_WAITING: Final = 64

Row = npt.NDArray[np.float32]


@dataclass(slots=True, eq=False)
class _Crossing:
    """Rows on their way from a GPU.

    Args:
        rows: (slots, 2, columns) float32, pinned.
        done: when they are there.
    """

    rows: torch.Tensor
    done: Any

    def row(self, index: int) -> Row:
        """One of them; waits for it."""
        self.done.synchronize()
        found: Row = self.rows[index].numpy()
        return found


class _Track:
    """What adds up of one track's columns, per slot.

    Args:
        columns: whose values are kept.
        slots: number of slots.
        device: where the values are.
        host: they are read in numpy's memory, where an operation on a few values costs a tenth of a torch one.
    """

    def __init__(self, columns: tuple[str, ...], slots: int, device: torch.device, host: bool) -> None:
        self._columns, self._device, self._host = columns, device, host
        shape = (slots + (not host), 2, len(columns))  # on a GPU one more, for rows without a picture
        self._sums: Any = np.full(shape, np.nan, np.float32) if host else torch.full(shape, math.nan, device=device)
        self._second = np.full(slots, -1, np.int64)
        # Of what adds up on a device, where a row of another second begins anew: no launch of its own for that.
        self._begun: Any = None if host else torch.full(shape[:1], -1.0, dtype=torch.float64, device=device)
        self._waiting: dict[int, dict[int, Row | tuple[_Crossing, int]]] = {}
        self._bound: tuple[str, ...] | None = None
        self._places: Any = None
        self.device_to_host_bytes = 0

    def open_slot(self, slot: int) -> None:
        """Another stream moves in, or this one begins anew."""
        self._second[slot] = -1
        self._sums[slot] = math.nan
        if self._begun is not None:
            self._begun[slot] = -1.0
        self._waiting.pop(slot, None)

    def add(self, measures: Measures) -> None:
        """Rows were measured, at most one per slot."""
        self.bind(measures.columns)
        slots = measures.slots.numpy()
        self.before(slots, measures.start.numpy())
        if self._host:
            chosen = measures.values.numpy()[:, self._places].astype(np.float32)
            sums = self._sums[slots]
            np.fmin(sums[:, 0], chosen, out=sums[:, 0])
            np.fmax(sums[:, 1], chosen, out=sums[:, 1])
            self._sums[slots] = sums
        else:
            if measures.device_rows is None:
                where, start = self._moved(measures.slots), self._moved(measures.start)
            else:
                where, start, _ = measures.device_rows
            self.keep(where, start, measures.values)

    def bind(self, columns: tuple[str, ...]) -> None:
        """Find the columns in rows that have these."""
        if columns is not self._bound:
            self._bound = columns
            places = [columns.index(name) for name in self._columns]
            self._places = np.array(places) if self._host else torch.tensor(places, device=self._device)

    def before(self, slots: npt.NDArray[np.int64], start: npt.NDArray[np.float64]) -> None:
        """As `Follower.before`: put by the seconds that are over."""
        seconds = np.floor(start).astype(np.int64)
        crossing = np.flatnonzero(self._second[slots] != seconds)
        if len(crossing):
            self._put_by(slots[crossing])
            self._second[slots[crossing]] = seconds[crossing]

    def keep(self, slots: torch.Tensor, start: torch.Tensor, values: torch.Tensor) -> None:
        """As `Follower.keep`."""
        rows = values.index_select(1, self._places).to(torch.float32)
        second = torch.floor(start)
        goes_on = (self._begun.index_select(0, slots) == second)[:, None]
        before = self._sums.index_select(0, slots)
        lowest, highest = torch.fmin(before[:, 0], rows), torch.fmax(before[:, 1], rows)
        after = torch.stack((torch.where(goes_on, lowest, rows), torch.where(goes_on, highest, rows)), dim=1)
        self._sums.index_copy_(0, slots, after)
        self._begun.index_copy_(0, slots, second)

    def take(self, slot: int, second: int) -> Row | None:
        """The row of a second, which is forgotten with all before it; None where nothing was measured in it."""
        if self._second[slot] == second:
            self._put_by(np.array([slot]))
        waiting = self._waiting.get(slot, {})
        found = waiting.get(second)
        for old in [one for one in waiting if one <= second]:
            del waiting[old]
        if isinstance(found, tuple):
            return found[0].row(found[1])
        return found

    def _put_by(self, slots: npt.NDArray[np.int64]) -> None:
        """Their second is over: keep what it came to, and begin again."""
        of = self._second[slots]
        slots, of = slots[of >= 0], of[of >= 0]
        if not len(slots):
            return
        rows: list[Row | tuple[_Crossing, int]]
        if self._host:
            rows = list(self._sums[slots])
            self._sums[slots] = np.nan
        else:
            rows = self._fetched(self._sums.index_select(0, self._moved(torch.from_numpy(slots))))
        for slot, second, row in zip(slots.tolist(), of.tolist(), rows, strict=True):
            waiting = self._waiting.setdefault(slot, {})
            kept = waiting.get(second)
            if isinstance(kept, np.ndarray) and isinstance(row, np.ndarray):  # a row came after its second was over
                waiting[second] = np.stack((np.fmin(kept[0], row[0]), np.fmax(kept[1], row[1])))
            else:
                waiting[second] = row
            if len(waiting) > MOST_WAITING:
                del waiting[next(iter(waiting))]
        self._second[slots] = -1

    def _fetched(self, rows: torch.Tensor) -> "list[Row | tuple[_Crossing, int]]":
        """Rows as they come from the device, which nobody waits for here."""
        if self._device.type != "cuda":
            return list(rows.numpy())
        self.device_to_host_bytes += rows.nbytes
        there = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
        there.copy_(rows, non_blocking=True)
        done: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record()
        crossing = _Crossing(there, done)
        return [(crossing, index) for index in range(rows.shape[0])]

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        pinned = tensor.pin_memory() if self._device.type == "cuda" else tensor
        return pinned.to(self._device, non_blocking=True)


class Levels:
    """The seconds of all slots.

    Args:
        slots: number of slots.
        device: where the measures are.
        host: read them in numpy's memory; on the CPU unless told.
    """

    def __init__(self, slots: int, device: torch.device, *, host: bool | None = None) -> None:
        on_host = device.type == "cpu" if host is None else host
        self._columns = level_columns()
        # The ticks of ingest are made on the host.
        self._tracks = {t: _Track(self._columns[t], slots, device, on_host or t == "stream") for t in TRACKS}

    @property
    def device_to_host_bytes(self) -> int:
        """Copied since the start."""
        return sum(track.device_to_host_bytes for track in self._tracks.values())

    def open_slot(self, slot: int) -> None:
        """Another stream moves in, or this one begins anew."""
        for track in self._tracks.values():
            track.open_slot(slot)

    def add(self, measures: Measures) -> None:
        """Rows were measured."""
        if not measures.kept:
            self._tracks[measures.track].add(measures)

    def follower(self, track: str, columns: tuple[str, ...]) -> Follower:
        """Who adds up the rows of pictures or of sound where they are measured, on a GPU.

        Args:
            track: "video" or "audio".
            columns: of these rows.
        """
        found = self._tracks[track]
        found.bind(columns)
        return found

    def take(self, slot: int, second: int) -> bytes:
        """A second's values, packed (engine/level_columns.py); empty where nothing was measured in it."""
        rows = [track.take(slot, second) for track in self._tracks.values()]
        if all(row is None for row in rows):
            return b""
        widths = [len(columns) for columns in self._columns.values()]
        filled = [
            np.full((2, width), np.nan, np.float32) if row is None else row
            for row, width in zip(rows, widths, strict=True)
        ]
        return np.concatenate(filled, axis=1).tobytes()

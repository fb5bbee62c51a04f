"""A batch of pictures on its way through the parts of `Measure`, and what a part is."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from engine.measure.arithmetic import Arithmetic
from engine.media import FrameBatch
from kernels.layout import Field


class Fact(IntEnum):
    """Rows of `Rows.facts`: what is known of a picture without looking at its samples."""

    WIDTH = 0
    HEIGHT = 1
    FULL_RANGE = 2  # this and the next: 0 or 1
    INTERLACED = 3
    CORRUPT = 4  # by the decoder's word
    TOP_FIELD_FIRST = 5  # -1: the stream does not say
    KEY = 6  # 1: coded without regard to the pictures before it


def facts_listed(batch: FrameBatch) -> list[tuple[int, ...]]:
    """The facts of each picture, in the order of `Fact`."""
    return [
        (
            s.width,
            s.height,
            s.full_range,
            s.interlaced,
            s.corrupt,
            -1 if s.top_field_first is None else s.top_field_first,
            s.key,
        )
        for s in batch.surfaces
    ]


def facts_of(batch: FrameBatch) -> npt.NDArray[np.float64]:
    """(len(Fact), N) float64."""
    return facts_array(facts_listed(batch))


def facts_array(listed: list[tuple[int, ...]]) -> npt.NDArray[np.float64]:
    """(len(Fact), N) float64, each fact of all pictures in one piece, as compiled loops want it."""
    return np.array(list(zip(*listed, strict=True)), np.float64).reshape(len(Fact), len(listed))


@dataclass(frozen=True, slots=True)
class Room:
    """What kernels make room for: at least the sizes of every picture of a batch; more changes no number.

    Args:
        side: the longer side, in samples.
        height: in rows.
        pixels: of luma.
    """

    side: int = 0
    height: int = 0
    pixels: int = 0

    def around(self, batch: FrameBatch) -> "Room":
        """Room for these pictures too."""
        surfaces = batch.surfaces
        return Room(
            max(self.side, *(max(s.width, s.height) for s in surfaces)),
            max(self.height, *(s.height for s in surfaces)),
            max(self.pixels, *(s.width * s.height for s in surfaces)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One batch; everything that is filled in is in `values`.

    Args:
        room: for the kernels.
        facts: (len(Fact), N) float64, as the arithmetic wants it.
        frames: (N, FRAME_FIELDS) int64 on the device.
        references: (N, REFERENCE_FIELDS) int64 on the device.
        values: (N, len(VIDEO_COLUMNS)) float64 on the device; NaN where nothing was measured yet.
        view: `values`, as the arithmetic wants it.
        slots, pts: (N,) int64 and float64, as the arithmetic wants them.
        reference_changes: (S,) int64, how often each slot's reference has changed; None where the host does not know.
    """

    room: Room
    facts: Any
    frames: Tensor
    references: Tensor
    values: Tensor
    view: Any
    slots: Any
    pts: Any
    reference_changes: Any = None

    def only(self, due: Any, arithmetic: Arithmetic) -> Tensor:
        """The table of frames, with the rows that are not due to be skipped; it is only read."""
        if arithmetic.on_host and False not in due.tolist():
            return self.frames
        table = self.frames.clone()
        address = arithmetic.view(table)[:, Field.LUMA_ADDRESS]
        address[:] = arithmetic.xp.where(due, address, 0)
        return table


class Part(Protocol):
    """Measures of pictures that belong together: a kernel, when it runs, and the columns made of what it gives.

    On a GPU `fill` is recorded once and played back for every batch (engine/measure/graphs.py). So it decides nothing
    by what only the host knows, but for `runs` and the rows' `room`, and keeps its state where it was allocated.
    """

    @property
    def runs(self) -> bool:
        """Whether a slot needs it."""

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        """A stream moves in.

        Args:
            slot: which is free.
            parameters: of its enabled detectors.
            wanted: columns that its detectors judge; a part none of whose columns is among them does not run.
        """

    def fill(self, rows: Rows) -> None:
        """Fill the part's columns, of the slots that want them and are due; the others stay NaN: "not measured"."""

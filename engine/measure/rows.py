"""A batch of pictures on its way through the parts of `Measure`, and what a part is."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from engine.measure.arithmetic import Arithmetic
from engine.media import FrameBatch
from kernels.layout import Field


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One batch; everything that is filled in is in `values`.

    Args:
        batch: the pictures.
        frames: (N, FRAME_FIELDS) int64 on the device.
        references: (N, REFERENCE_FIELDS) int64 on the device.
        values: (N, len(VIDEO_COLUMNS)) float64 on the device; NaN where nothing was measured yet.
        view: `values`, as the arithmetic wants it.
        slots, pts: (N,) int64 and float64, as the arithmetic wants them.
    """

    batch: FrameBatch
    frames: Tensor
    references: Tensor
    values: Tensor
    view: Any
    slots: Any
    pts: Any

    def only(self, due: Any, arithmetic: Arithmetic) -> Tensor:
        """The table of frames, with the rows that are not due to be skipped."""
        table = self.frames.clone()
        address = arithmetic.view(table)[:, Field.LUMA_ADDRESS]
        address[:] = arithmetic.xp.where(due, address, 0)
        return table


class Part(Protocol):
    """Measures of pictures that belong together: a kernel, when it runs, and the columns made of what it gives."""

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        """A stream moves in.

        Args:
            slot: which is free.
            parameters: of its enabled detectors.
            wanted: columns that its detectors judge; a part none of whose columns is among them does not run.
        """

    def fill(self, rows: Rows) -> None:
        """Fill the part's columns, of the slots that want them and are due; the others stay NaN: "not measured"."""

"""When a slow measure has to be taken again so that a defect is known as soon as it has lasted for its duration."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place

# Of media seconds: a picture that comes at the very moment is in time, however its timestamps were rounded.
SLACK_SECONDS: Final = 1e-4
LEAST_SECONDS: Final = 1e-3


class Aim:
    """The next look at a measure that is bad: not at the usual time, but when its detector may open.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        detectors: names; each is bad from its `threshold` on, and opens after its `duration`.
        columns: what each of them judges.
        usual: seconds from one look to the next.
        since: columns of seconds since when each is bad, where the detector is dated back, else None.
    """

    def __init__(
        self,
        arithmetic: Arithmetic,
        slots: int,
        detectors: Sequence[str],
        columns: Sequence[str],
        usual: float,
        since: Sequence[str | None] = (),
    ) -> None:
        self._arithmetic, self._names, self._usual = arithmetic, tuple(detectors), usual
        self._columns = [place(name) for name in columns]
        dated = tuple(since) or (None,) * len(self._columns)
        self._earlier = [None if name is None else place(name) for name in dated]
        shape = len(self._columns), slots
        table = torch.zeros((3, *shape), dtype=torch.float64, device=arithmetic.device)
        self._enter, self._lasts, self._since = arithmetic.view(table)
        self._enter[:], self._since[:] = torch.inf, torch.nan
        self.host: Any = None
        """As engine/measure/host.py takes it."""
        if arithmetic.on_host:
            earlier = np.array([-1 if column is None else column for column in self._earlier])
            held = np.array(self._columns), earlier, self._enter, self._lasts, self._since
            self.host = *held, float(usual), SLACK_SECONDS, LEAST_SECONDS

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]]) -> None:
        """A stream moves in; as `Part.open_slot`."""
        for name, enter, lasts, since in zip(self._names, self._enter, self._lasts, self._since, strict=True):
            since[slot] = torch.nan
            own = parameters.get(name, {})
            enter[slot], lasts[slot] = own.get("threshold", torch.inf), own.get("duration", 0.0)

    def interval(self, view: Any, slots: Any, pts: Any, due: Any) -> Any:
        """(N,) seconds from these pictures to the next look at them.

        Args:
            view: the rows, with what was measured of those that are due.
            slots, pts, due: (N,) of the rows.
        """
        xp = self._arithmetic.xp
        found = xp.zeros_like(pts) + self._usual
        states = zip(self._columns, self._earlier, self._enter, self._lasts, self._since, strict=True)
        for column, earlier, enter, lasts, since in states:
            began = pts
            if earlier is not None:
                began = pts - xp.where(view[:, earlier] > 0, view[:, earlier], 0.0)
            bad = view[:, column] >= enter[slots]
            before = since[slots]
            now = xp.where(bad, xp.where(xp.isnan(before), began, before), torch.nan)
            since[slots] = xp.where(due, now, before)
            left = now + lasts[slots] - pts - SLACK_SECONDS  # NaN where it is not bad
            found = xp.where((left > 0) & (left < found), left, found)
        return found.clip(LEAST_SECONDS, None)

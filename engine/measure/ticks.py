"""The counters of ingest and decode -> rows. They are made on the host, and judged there too: few, and often alone."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from engine.ingest.transport import COLUMNS as TRANSPORT_COLUMNS
from engine.measure.columns import STREAM_COLUMNS, TICK_COLUMNS
from engine.media import Measures, StreamTick


def tick_rows(ticks: Sequence[tuple[int, StreamTick]]) -> Measures:
    """Rows of ticks, each with its slot (all different)."""
    values = [
        [float(getattr(tick, column)) for column in TICK_COLUMNS]
        + [tick.transport.get(column, math.nan) for column in TRANSPORT_COLUMNS]
        for _, tick in ticks
    ]
    # By way of numpy: torch takes several times as long to make small tensors.
    return Measures(
        "stream",
        STREAM_COLUMNS,
        torch.from_numpy(np.array([slot for slot, _ in ticks], np.int64)),
        torch.from_numpy(np.array([tick.start for _, tick in ticks], np.float64)),
        torch.from_numpy(np.array([tick.end for _, tick in ticks], np.float64)),
        torch.from_numpy(np.array(values, np.float64)),
    )

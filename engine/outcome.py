"""What is known of a stream when it has ended."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.errors import AvjuryError
from engine.media import StreamInfo
from engine.verdicts import Incident, Summary


@dataclass(frozen=True, slots=True)
class Trace:
    """Every row of measures of one track.

    Args:
        columns: names.
        times: (rows,) media seconds.
        values: (rows, columns) float64, NaN where a quantity has no value.
        until: (rows,) media seconds up to which each row holds; None where nobody kept it.
    """

    columns: tuple[str, ...]
    times: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    until: npt.NDArray[np.float64] | None = None


@dataclass(slots=True)
class Outcome:
    """All that is known of a stream when it has ended.

    Args:
        stream: its id.
        summary: None if it could not be opened.
        incidents: closed, in the order in which they opened.
        error: why it could not be opened, or ended early.
        info: what the container said; None if it could not be opened.
        trace: per track, if asked for.
        thumbnails: JPEG per incident id, if asked for.
        overlays: the same with the map of damage over it, where there is one.
        thresholds: the value from which each enabled detector's measure is bad, by detector.
    """

    stream: str
    summary: Summary | None = None
    incidents: list[Incident] = field(default_factory=list)
    error: AvjuryError | None = None
    info: StreamInfo | None = None
    trace: dict[str, Trace] = field(default_factory=dict)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    overlays: dict[str, bytes] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)

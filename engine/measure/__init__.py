"""Batches -> Measures: the kernels, and the few columns that are put together from theirs.

`Measure` runs over batches. What is measured of pictures beside `frame_stats` is one part per file, each with its own
schedule and state per slot; columns.py has the names and the order of all columns.
"""

from engine.measure.columns import AUDIO_COLUMNS, COLUMNS, STREAM_COLUMNS, VIDEO_COLUMNS
from engine.measure.measure import Asking, Measure

__all__ = ["AUDIO_COLUMNS", "COLUMNS", "STREAM_COLUMNS", "VIDEO_COLUMNS", "Asking", "Measure"]

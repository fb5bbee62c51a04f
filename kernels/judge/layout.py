"""The tables that the judge reads and writes, column by column. Nothing here loads torch.

S slots, D detectors of one track, N rows, C measures. Every time is in media seconds. Whole numbers are kept as
float64 where they share a table with times: they are far below 2**53, so they stay exact.
"""

from enum import IntEnum
from typing import Final


class OnsetRule(IntEnum):
    """How a detector finds the moment at which its badness began and ended."""

    # The row's own start, both ways: a black picture is black from its pts on.
    INSTANT = 0
    # The value compares a picture with an earlier one, so a repeat shows that nothing has changed since the last
    # picture that was different: that one's pts is the onset (FFmpeg's freezedetect reports it so). A picture that
    # has nothing to be compared with (NaN) is a different picture.
    SINCE_PREVIOUS = 1
    # A block of sound is bad as a whole; AUX0 and AUX1 are the bad samples at the head and at the tail of a good
    # block, so that onset and end are right to the sample.
    SAMPLES = 2
    # The value itself is how many seconds it has been bad at `known_until`.
    BACKDATED = 3
    # What came and went within or before the row: AUX0 and AUX1 are samples from the row's start (below 0: before it)
    # to the first bad moment and to the first good one after it. What began before a master let go is that one's.
    PASSING = 4
    # AUX0 is how many seconds before the row's start the change lay that the row shows: the first bad moment where the
    # row is bad, the first good one where it is good. 0 or NaN: the row's start. Never before the last incident's end.
    EARLIER = 5


class DetectorField(IntEnum):
    """Columns of the detector table, (D, 6) int64, one row per detector, masters before those they dominate."""

    COLUMN = 0  # of the measures
    ONSET = 1  # an OnsetRule
    AUX0 = (
        2  # measure column of the samples at the head (SAMPLES), of the onset (PASSING), of seconds (EARLIER), else -1
    )
    AUX1 = 3  # measure column of the samples at the tail (SAMPLES), of the end (PASSING), else -1
    CLOSING_COUNTS = 4  # 1: the time up to the first good moment counts as bad
    MASTERS = 5  # bit m: detector m dominates this one


class RuleField(IntEnum):
    """Columns of the rule table, (S, D, 6) float64."""

    ENABLED = 0  # 0 or 1
    BELOW = 1  # 1: bad at or below the threshold; 0: bad at or above it
    ENTER = 2  # threshold while ok or pending
    EXIT = 3  # threshold while open or clearing
    SET_SECONDS = 4
    CLEAR_SECONDS = 5


class StateField(IntEnum):
    """Columns of the state table, (S, D, 10) float64; a new slot's row is NEW."""

    PHASE = 0  # a Phase
    ONSET = 1  # first bad moment; while ok: onset to use if the next row is bad, NaN: that row's own
    CLEAR_ONSET = 2  # while clearing: the first good moment, which will be the end
    PEAK = 3  # worst value of the bad rows
    SUM = 4  # of the values of the bad rows
    COUNT = 5  # of the bad rows
    RELEASED = 6  # end of the last time that this detector held back those it dominates; -inf: never
    REPORTED = 7  # worst value that an event has carried
    SEEN_UNTIL = 8  # `known_until` of the last row; NaN: none yet
    CLEARS_FROM = 9  # while clearing: from when CLEAR_SECONDS count; CLEAR_ONSET, but for EARLIER the row's own start


class Phase(IntEnum):
    """Where a detector stands on a slot."""

    OK = 0
    PENDING = 1
    OPEN = 2
    CLEARING = 3


class EventField(IntEnum):
    """Columns of the event table, (N, 2 D, 6) float64; only the first counts[n] of a row are written."""

    DETECTOR = 0
    KIND = 1  # an EventKind
    AT = 2
    DECIDED_AT = 3
    PEAK = 4
    MEAN = 5


class EventKind(IntEnum):
    """What happened."""

    OPENED = 0
    WORSE = 1
    CLOSED = 2


DETECTOR_FIELDS: Final = len(DetectorField)
RULE_FIELDS: Final = len(RuleField)
STATE_FIELDS: Final = len(StateField)
EVENT_FIELDS: Final = len(EventField)
EVENTS_PER_DETECTOR: Final = 2
# MASTERS is a mask in an int64.
MOST_DETECTORS: Final = 62
NEW: Final = (0.0, float("nan"), 0.0, 0.0, 0.0, 0.0, float("-inf"), 0.0, float("nan"), 0.0)

SAMPLE_RATE: Final = 48_000.0
# Times are differences of pts that were multiplied by a time base in floating point, so a duration that is exactly
# `set` on paper may come out some 1e-12 short (and some 1e-10 after a day). A microsecond is FFmpeg's own resolution.
TIME_TOLERANCE: Final = 1e-6
# Sound blocks follow each other to the sample; a larger hole means that the quiet tail before it does not continue.
GAP_SECONDS: Final = 1e-3
# A climbing measure would otherwise bring an event with every row.
WORSE_BY: Final = 0.1

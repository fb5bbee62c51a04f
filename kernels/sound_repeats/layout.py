"""Columns, geometry and thresholds of `sound_repeats`. Nothing here loads torch.

The thresholds are chosen in docs/decisions/0132-sound-that-is-stuck.md.
"""

from enum import IntEnum
from typing import Final

COLUMNS: Final = (
    "repeats",  # how like the block is to what was a period before, 0..1; 0 where it is not, or is a steady note
    "repeats_lead",  # samples of a good block at its head that were bad: none
    "repeats_tail",  # samples at its tail, and before, that were bad if the next block is
)

MAX_CHANNELS: Final = 8
BLOCK: Final = 4800
SAMPLE_LIMIT: Final = 1e4  # +80 dBFS, as in kernels/audio_stats

# The mean of the channels at 8 kHz, for which means of six samples are enough: that a lossy coder keeps.
STEP: Final = 6
POINTS: Final = BLOCK // STEP
RING_BLOCKS: Final = 7  # this one, and 600 ms before it
RING: Final = RING_BLOCKS * POINTS
# Periods are looked for at 2 kHz, and then at 8 kHz around the one that was found.
COARSE: Final = 4
COARSE_POINTS: Final = POINTS // COARSE
COARSE_RING: Final = RING_BLOCKS * COARSE_POINTS
SHORTEST: Final = 40  # 20 ms
LONGEST: Final = 1000  # 500 ms
REACH: Final = 5  # at 8 kHz, on either side

# Of a repeat, and what was before it, the power of their difference over that of both: 0 for the same, 1 for others.
# The period lies anywhere between two points, so what was before is read between them.
MOST: Final = 0.05
COARSE_MOST: Final = 0.4  # half a point beside the period
# A multiple of the period is as good as it is: of the periods that are nearly as good as the best the shortest counts.
COARSE_ALIKE: Final = 0.02
SURELY: Final = 1e-6  # a point that lies on the period belongs to two pairs of points: the first counts
# Beside the coarse points a multiple may be the better: its whole parts are asked, the smallest first.
PARTS: Final = 12
# A steady note repeats itself after each of its waves, and hum hardly differs from what was a millisecond before. A
# piece of sound has something else within it: what lies between a millisecond and three quarters of the period before
# differs by this in the mean of all blocks.
NEAREST: Final = 2
CONTRAST: Final = 0.15
# Points of 8 kHz as well, up to 4 ms: between coarse points the waves of a tone that is swept up and down are missed.
FINE_NEAREST: Final = 8
FINE_LAST: Final = 32
# A chord of a few notes is nearly periodic somewhere. The mean square of the correlation there is 1/2K for K lines of
# the same power; chords of steady notes have more than this, and pieces of sound hardly ever.
FEW_LINES: Final = 0.1
# A piece may be a single note or a few, too. No instrument holds those for long without a change, so what has been held
# for 2.5 s needs less within it where it fits closely: a piece of several lines, or of few
# (docs/decisions/0142-notes-that-are-stuck.md).
LONG_BLOCKS: Final = 25
LONG_CONTRAST: Final = 0.1
LONG_MOST: Final = 0.01
LONG_LINES: Final = 0.25
LONG_MOST_OF_FEW: Final = 0.005
# Points of less power than -70 dBFS are a pause within the piece, of which nothing is known; a longer one than the
# longest piece is the end of it.
FLOOR: Final = 1e-7
QUIET_BLOCKS: Final = 6


class Scalar(IntEnum):
    """Single numbers of a slot's state."""

    COUNT = 0  # whole blocks without a hole
    PERIOD = 1  # that is held, in points: it lies between this and the next; 0: none
    COARSE_PERIOD = 2
    RUN = 3  # blocks that it has been held for
    CONTRAST = 4  # sum over those of them that were not quiet
    CONTRASTS = 5  # how many
    QUIET = 6  # blocks in a row
    LIKENESS = 7  # of the last that was not
    LINES = 8  # as CONTRAST, of the mean square
    OFF = 9  # as CONTRAST, of the difference from what was a period before


SCALARS: Final = len(Scalar)

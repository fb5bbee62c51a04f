"""The constants that every version of `audio_stats` shares: block geometry, K-weighting, true-peak interpolation."""

from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final = 48_000
MAX_CHANNELS: Final = 8
BLOCK: Final = 4800  # samples of 100 ms, the hop of the gating blocks (BS.1770-5 annex 1, step 3)
BIN: Final = 480  # samples of 10 ms: EBU Tech 3341's momentary signals need windows at this hop
BINS_PER_HOP: Final = BLOCK // BIN
MOMENTARY_BINS: Final = 40  # 400 ms
SHORT_TERM_BINS: Final = 300  # 3 s

# K-weighting at 48 kHz, b0 b1 b2 a1 a2 of each stage. Source: ITU-R BS.1770-5 annex 1, tables 1 and 2.
SHELF: Final = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
HIGH_PASS: Final = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)
K_WEIGHTING: Final = np.array([*SHELF, *HIGH_PASS], np.float64)

# A sample that is not a number counts as silence, and none counts as more than +80 dBFS: damaged float streams hold
# such values, and one of them must not poison the filters for good.
SAMPLE_LIMIT: Final = 1e4
# Filter memory below this (-600 dBFS) is dropped between blocks: in digital silence it would otherwise decay into
# denormal numbers within three seconds, which cost a CPU a hundred cycles per operation.
STATE_FLOOR: Final = 1e-30

LUFS_OFFSET: Final = -0.691  # BS.1770-5 annex 1, equation 2
POWER_FLOOR: Final = 1e-12  # -120.7 LUFS, what FFmpeg's ebur128 prints for digital silence

# Loudness of gating blocks is kept in bins of 0.01 LU from the absolute gate up. Taking a bin's centre for its
# members errs by at most 0.005 LU, a twentieth of EBU Tech 3341's tolerance; above +10 LUFS they share the last bin.
ABSOLUTE_GATE: Final = -70.0
HISTOGRAM_STEPS_PER_LU: Final = 100
HISTOGRAM_BINS: Final = 80 * HISTOGRAM_STEPS_PER_LU + 1

# The clipping measure (docs/decisions/0004-clipping-measure.md). Levels are multiples of full scale.
# Clipped and kept as it was: too many samples in a narrow band at full scale for what is just below it.
CLIP_SHOULDER: Final = 0.90
CLIP_TOP: Final = 0.98
CLIP_CEILING: Final = 1.03
# Clipped and then coded with loss: the flat tops have spread into a hump.
# A single tone can have either, the more if its few different samples fall so. It is known by its second difference,
# a negative multiple of the tone itself: only where that explains less than 19/20 of it does an excess in the narrow
# band count, and only where less than 1/2, a hump.
HUMP_LOW: Final = 0.30
HUMP_SHOULDER: Final = 0.55
HUMP_TOP: Final = 0.80
HUMP_CEILING: Final = 1.15
CLIP_BANDS: Final = (CLIP_SHOULDER, CLIP_TOP, CLIP_CEILING, HUMP_LOW, HUMP_SHOULDER, HUMP_TOP, HUMP_CEILING)
# Clipped and then turned down, or clipped a little: tops that are flat to the last bit of 16, whatever their level.
# Each begins and ends with a corner, where sound that rises to its top has none, and none that leaps there like a
# square wave; and there is no such flatness further down, as samples of few bits or repeated ones would have.
FLAT_TOP: Final = 0.97  # of the block's largest sample
FLAT_HIGH: Final = 0.90
FLAT_LOW: Final = 0.30
FLAT_LEAP: Final = 0.50
FLAT_LEAST: Final = 0.03  # -30 dBFS: below, a step of 16 bits is no longer small against the sound
FLAT_STEP: Final = 1.5 * 2.0**-15
FLAT_CORNER: Final = 5 * FLAT_STEP
FLAT_BANDS: Final = (FLAT_TOP, FLAT_HIGH, FLAT_LOW, FLAT_LEAP, FLAT_LEAST, FLAT_STEP, FLAT_CORNER)
FLAT_RUN: Final = 64  # samples of a top at most that count: 1.3 ms
# A flat sample counts two and a half times: 38 of them in 100 ms are as much as 2 % of it at full scale.
FLAT_HALVES: Final = 5
CLIP_MIN_SAMPLES: Final = BIN  # a shorter block is judged as if it had this many samples

TRUE_PEAK_FLOOR: Final = 1e-10  # a peak of 0 has no level in decibels; this is below the noise of any format

TAPS: Final = 32
HISTORY: Final = TAPS - 1  # samples of the past that the interpolator needs
_KAISER_BETA: Final = 8.0


def _interpolator() -> npt.NDArray[np.float32]:
    """(3, TAPS) float32: a Kaiser-windowed sinc read at 1/4, 1/2 and 3/4 between the two middle samples.

    Longer than the 12 taps per phase of BS.1770-5 annex 2, which it replaces as the annex allows: its passband is flat
    to 20 kHz. Phase 0 would be the sample itself, so it is not stored. Row p, tap k weighs the sample k - 15 after
    the one before the point; each row sums to 1.
    """
    point = np.arange(1, 4)[:, None] / 4
    distance = point - (np.arange(TAPS)[None, :] - (TAPS // 2 - 1))
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (distance / (TAPS / 2)) ** 2)) / np.i0(_KAISER_BETA)
    taps = np.sinc(distance) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


INTERPOLATOR: Final = _interpolator()
# No interpolated value exceeds the largest of its TAPS samples times this; the margin covers float32 rounding.
INTERPOLATOR_GAIN: Final = float(np.abs(INTERPOLATOR.astype(np.float64)).sum(axis=1).max() * (1 + 1e-5))


def k_weighting_transition(samples: int) -> npt.NDArray[np.float64]:
    """(4, 4) float64: where each unit of filter memory has gone after so many samples of silence (column = origin)."""
    a1, a2 = SHELF[3:]  # silence: the input coefficients play no part
    state = np.eye(4)
    for _ in range(samples):
        shelf = state[0]
        out = shelf + state[2]
        state = np.stack(
            [
                state[1] - a1 * shelf,
                -a2 * shelf,
                state[3] + HIGH_PASS[1] * shelf - HIGH_PASS[3] * out,
                HIGH_PASS[2] * shelf - HIGH_PASS[4] * out,
            ]
        )
    return state

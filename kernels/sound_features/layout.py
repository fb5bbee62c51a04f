"""Geometry and constants that every version of `sound_features` shares. Nothing here loads torch."""

from typing import Final

import numpy as np
import numpy.typing as npt

MAX_CHANNELS: Final = 8
BLOCK: Final = 4800
SAMPLE_LIMIT: Final = 1e4  # +80 dBFS, as in kernels/audio_stats

ENVELOPE_BIN: Final = 48  # 1 ms
ENVELOPE_BINS: Final = BLOCK // ENVELOPE_BIN

# The third difference takes away what is smooth: what remains of music and speech is small and noise-like, a click of
# a few samples stands out of it. In bins of half a millisecond.
CLICK_BIN: Final = 24
CLICK_BINS: Final = BLOCK // CLICK_BIN
DIFFERENCE_REACH: Final = 3  # samples before the one that it is taken at
DIFFERENCE_GAIN: Final = 20.0  # 1 + 9 + 9 + 1: its power over that of white noise
# A bin is compared with the bins 2 to 8 away on either side, 3.5 ms each: the neighbours may hold the rest of a click.
CLICK_NEAR: Final = 2
CLICK_FAR: Final = 8
CLICK_WINDOW: Final = (CLICK_FAR - CLICK_NEAR + 1) * CLICK_BIN
# A click of one to four milliseconds has its other edge within that, on one side: of the louder side, the two bins next
# to each other that hold most are left out.
CLICK_EDGE_BINS: Final = 2
CLICK_WINDOW_LEFT: Final = CLICK_WINDOW - CLICK_EDGE_BINS * CLICK_BIN
# An onset or a cut differs from a click in that what follows is not what came before. In power: 18 dB.
CLICK_ASYMMETRY: Final = 64.0
# Third difference of what nobody hears as surroundings, 1e-4: some three times that of 16-bit rounding.
CLICK_FLOOR: Final = 1e-8
# What stands out of the milliseconds around it may still be the first beat of something that rings on. A click is over
# at once: beyond this ratio, it also has to stand out of the samples 6 to 30 away on either side, by its third
# difference and, half as far, by its second (where a tone that only changes its level hardly has any).
CLICK_WORTH: Final = 16.0
LONE_NEAR: Final = 6
LONE_FAR: Final = 30
LONE_REACH: Final = 3  # samples from the largest third difference to the largest second one
LONE_SECOND: Final = 2.0
# A pulse of less than a millisecond has its other edge there, as steep as the first: what has this share of its power,
# on the louder side, is left out, with LONE_REACH samples on either side of it.
LONE_EDGE: Final = 0.4
HISTORY_BINS: Final = 2 * CLICK_FAR
HISTORY: Final = HISTORY_BINS * CLICK_BIN + DIFFERENCE_REACH  # samples of the past
ALL_BINS: Final = HISTORY_BINS + CLICK_BINS

HISS_BIN: Final = 480  # 10 ms
HISS_BINS: Final = BLOCK // HISS_BIN
# The same of means of two samples, whose third difference is highest at 8 kHz: coders leave out what is above 15.
PAIR: Final = 2
PAIR_GAIN: Final = DIFFERENCE_GAIN / PAIR  # of white noise

# Low frequencies of the first two channels, below some 450 Hz, where the two microphones of a recording, or a pair of
# ears, hear the same: sums of a millisecond, without their mean.
LOW_BIN: Final = 48
LOW_BINS: Final = BLOCK // LOW_BIN

# Mains frequencies with two harmonics each. All are multiples of 10 Hz, so 100 ms hold whole cycles of them, and a
# steady hum has the same phase in every block. Harmonics that both families have (300 Hz) are left out.
HUM_FREQUENCIES: Final = (50.0, 100.0, 150.0, 60.0, 120.0, 180.0)
HUM_STEP: Final = 12  # samples added up first; the response of that is flat to 0.01 dB at 180 Hz
HUM_POINTS: Final = BLOCK // HUM_STEP

# x[n+l] + x[n-l] is the same multiple of x[n] everywhere for a single sine, whatever the lag l, and for nothing else
# at two lags that have no common multiple nearby. Long lags, because noise would hide a low tone at short ones.
TONE_LAGS: Final = (12, 101)


class Feature:
    """First column of each feature in a row; widths in the comments."""

    POWER: Final = 0  # 8: mean square of each channel; 0 for those that are not there
    MEAN: Final = 8  # 8: mean of each channel
    PHASE: Final = (
        16  # mean over the samples of 2xy / (x^2 + y^2), 1 where both are 0 (aphasemeter); NaN if one channel
    )
    SIDE: Final = 17  # mean square of (x - y) / 2 of the first two channels; NaN if one channel
    MID: Final = 18  # mean square of (x + y) / 2
    LOW_SIDE: Final = 19  # as SIDE, of low frequencies; both NaN for a block that is not whole
    LOW_MID: Final = 20
    PURITY: Final = 21  # 1 for a single sine in the mean of the channels, about 0 for noise
    TONE: Final = 22  # cosine of the tone's angle over the first of TONE_LAGS; its frequency, in effect
    CLICK: Final = 23  # largest third difference over the rms of that around it; 0 where nothing stands out
    CLICK_AT: Final = 24  # samples from the start of the block, -192 (delayed by 4 ms) to 4596
    HUM: Final = 25  # 12: cosine and sine amplitude of each of HUM_FREQUENCIES
    HISS: Final = 37  # 10: power of white noise with the same third difference, of each 10 ms
    ENVELOPE: Final = 47  # 100: largest |sample| of any channel in each millisecond; NaN beyond the last whole one
    SLOPE: Final = 147  # 8: sum of squared steps from sample to sample of each channel, over its samples
    PAIR_HISS: Final = 155  # least of the ten HISS of means of two samples

    FOURTH: Final = 156  # sum of squared steps from one third difference to the next, over the block's samples


FEATURES: Final = Feature.FOURTH + 1


def _hum_table() -> npt.NDArray[np.float64]:
    """(HUM_POINTS, 12) float64: 2/N cos and sin of each hum frequency at the middle of each step."""
    time = (np.arange(HUM_POINTS) * HUM_STEP + (HUM_STEP - 1) / 2) / 48_000
    angle = 2 * np.pi * time[:, None] * np.array(HUM_FREQUENCIES)[None, :]
    table = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(HUM_POINTS, -1)
    return np.ascontiguousarray(2 / BLOCK * table)


HUM_TABLE: Final = _hum_table()

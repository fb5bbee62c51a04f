"""Columns, thresholds and the state's layout of `sound_trends`. Nothing here loads torch.

The thresholds are chosen in docs/decisions/0005-sound-thresholds.md.
"""

import math
from enum import IntEnum
from typing import Final

from kernels.sound_features.layout import ENVELOPE_BINS, HISS_BIN, HISS_BINS, HUM_FREQUENCIES, MAX_CHANNELS

COLUMNS: Final = (
    "phase",  # mean over the samples of 2xy / (x^2 + y^2) of the first two channels, -1..1 (FFmpeg's aphasemeter)
    "correlation",  # the same weighted by power, sum of 2xy over sum of x^2 + y^2: 1 is mono, -1 opposite
    "polarity",  # mean over 2 s of sound of that, or of low frequencies' alone, whichever is the lower
    "polarity_lead",  # samples of a good block at its head that were bad; below 0: it ended before
    "polarity_tail",  # samples at its tail, and before, that were bad if the next block is; both by opposed blocks
    "mono",  # 1 where the first two channels have carried the same for 2 s of sound, coded with loss or not
    "mono_lead",
    "mono_tail",
    "imbalance",  # level over 2 s of sound of the louder over the quieter of the first two channels, dB; 0: it changes
    "imbalance_lead",
    "imbalance_tail",
    "channel_lost",  # 1 where one of the first two channels is without sound while the other sounds
    "surround_lost",  # 1 where a further channel that has sounded is without sound while another sounds; NaN: none
    "surround_imbalance",  # level of late of the louder over the quieter of two surround channels, dB; NaN: none
    "swapped_seconds",  # for how long LFE has sounded like a full channel while a full one sounds like LFE; NaN: no LFE
    "offset",  # steady part of a channel's mean, of the channel with most, linear
    "offset_lead",
    "offset_tail",
    "hum",  # steady power at a mains frequency and its harmonics, as level of a sine, dBFS
    "hum_lead",
    "hum_tail",
    "hiss",  # steady noise between the sounds, as level of white noise, dBFS
    "hiss_lead",
    "hiss_tail",
    "tone",  # 1 for a single sine of steady frequency and level
    "tone_lead",
    "tone_tail",
    "click",  # peak of the third difference over the rms of that around it; behind a coder BURST_SCALE of peaks
    "click_from",  # samples from the block's start, may be below 0
    "click_to",
    "dropout",  # length of a gap that ended here, s; 0: none
    "dropout_from",
    "dropout_to",
    "level_jump",  # change of level that has lasted for 4 s, dB; 0: none
    "jump_from",
    "jump_to",
    "minute_error",  # loudness of the last minute against the slot's target, LU, once a second; 0 before
    "minute_lead",
    "minute_tail",
    "narrow_seconds",  # for how long nothing high has been in sound that had it before; 0: it has it, or never had
)

# Below this level nothing is said about channels against each other, or about tones: what is left of a pause is the
# recording's noise, which has no stereo image. -60 dBFS is silencedetect's limit.
SOUNDING_POWER: Final = 1e-6
# A channel without sound: 80 dB below full scale is below 16-bit dither and above nothing that is meant.
LOST_POWER: Final = 1e-8
POWER_FLOOR: Final = 1e-12
SOUNDED_BLOCKS: Final = 100  # 10 s: a channel that has sounded for so long is one that is used


# Steps of a sine of this frequency, over its power: an LFE channel carries nothing above 120 Hz, and what has as many
# steps as 250 Hz is no LFE. What lies between says nothing, of any channel: a low pass of 24 dB an octave leaves of a
# voice at 200 Hz what is mostly that in the blocks without a lower note.
def _steps(hertz: float) -> float:
    return 2.0 - 2.0 * math.cos(2 * math.pi * hertz / 48_000)


LOW_STEPS: Final = _steps(160.0)
WIDE_STEPS: Final = _steps(250.0)
WIDE_BLOCKS: Final = 50  # 5 s of sound that no LFE has
LOW_POWER: Final = 1e-4  # low notes alone count from here on: a room's rumble is quieter
LOW_BLOCKS: Final = 20
# Both runs count up to here, and one block that speaks against them takes ten of them: a hit, or a switch's edge.
RUN_MOST: Final = 100
RUN_BACK: Final = 10
AROUND_SHARE: Final = 0.1  # of a block in the level of a surround channel, which so follows within a second or two
PAIR_WEIGHT: Final = 1.0  # channels beside and behind have more (BS.1770); an even number of them is pairs

# After so many blocks without sound what was before does not go on: once, all of these measures are 0.
QUIET_BLOCKS: Final = 20

POLARITY_BLOCKS: Final = 20
# Low frequencies that are quieter than this, or than -30 dB of the sound, are rounding and rumble.
LOW_FLOOR: Final = 1e-8
LOW_SHARE: Final = 1e-3

# Two channels that are the same differ in some blocks when they went through a lossy coder, by up to 4e-2; in two of
# five blocks of 2 s at least they do not differ by more than 1e-5. Of a voice in the middle of a stereo recording one
# block in four is as close. Nor may what all of them differ by be more than that of a coder.
MONO_OF: Final = (2, 5)
MONO_DISTANCE: Final = 1e-5
MONO_MEAN: Final = 2e-3  # of the mean distance counts: 5e-3 is as far as 1e-5
# It began where the blocks since then say so most clearly: one that is the same for it, one that is not against it.
MONO_FOR: Final = 3
MONO_AGAINST: Final = 2
# Half of the blocks lean to the side that is louder over 2 s, by 6 dB: one loud beat on a side is no imbalance.
LEANING: Final = 10**0.6

HUM_BLOCKS: Final = 30  # 3 s: a note 1 Hz away turns three times against the hum, and cancels
HUM_COHERENCE: Final = 0.6  # share of the power at its frequency that is steady
HUM_COLUMNS: Final = 2 * len(HUM_FREQUENCIES)
HISS_BLOCKS: Final = 30
# Noise that went through a coder has lost what is above 15 kHz, and is known by lower frequencies, where it has at most
# so much more. Most dense music has 12 dB more there; some has 8.
HISS_TILT: Final = 4.0  # in power
TONE_ANGLE: Final = 0.01  # cosine: 3 Hz at 1 kHz
TONE_LEVEL_DB: Final = 1.0
# Line-up tones are interrupted to tell the channels by, one channel at a time, 250 ms for each (EBU Tech 3304, GLITS).
# A tone that has lasted goes on through that: what comes back at its frequency, in one channel or both, is it again.
TONE_RUN: Final = 5  # blocks that it lasts first
TONE_PURE: Final = 0.9
TONE_DROP_DB: Final = 7.0
TONE_BREAK: Final = 5  # blocks of a break, those of its edges included

# Gaps: below a level, with sound 26 dB above it up to 5 ms before and after; what fills them may be noise. What falls
# to nothing at all (below the last bit of 16) is one out of quieter sound too, unless it is shorter than any coded
# frame: microphones that are blown into have such gaps. Of several levels the first that has one counts.
GAP_LEVELS: Final = (0.0005, 0.0014, 0.004, 0.00003)  # -66, -57, -48 and -90 dBFS
GAP_EDGES: Final = (0.01, 0.028, 0.08, 0.001)
# Whole milliseconds: a gap has one less on average, and 10 ms are the shortest that is told.
GAP_SHORTEST: Final = (9, 9, 9, 18)
# A gap that was coded with loss: the last frame before it dies away for up to 20 ms at 20 dB below the sound. So a
# longer one is known by any sound in the 24 ms before it, and begins where that fell by 12 dB.
CODED_LEVEL: Final = 0.0005
CODED_SOUND: Final = 0.02  # -34 dBFS
CODED_EDGE: Final = 0.005
CODED_SHORTEST: Final = 40  # ms
CODED_REACH: Final = 24
CODED_FALL: Final = 0.25
GAP_LONGEST_SECONDS: Final = 3.5
# What is below the lowest level of a gap for a silence's duration less this is a silence: its level is twice that one,
# and it is told from 5 ms less on. Of a coded gap that time counts, not the one since its sound fell.
SILENCE_EDGES_SECONDS: Final = 0.010
SAMPLE_RATE: Final = 48_000
GAP_DELAY: Final = 10  # ms that are looked at on either side of a click
GAP_EDGE_BINS: Final = 5  # ms of which the level beside a gap is the mean
GAP_EDGE_MOST: Final = 2.0  # times the level wanted, that one ms counts at most: two clicks have no gap between them
NEVER: Final = -1e9

# A gap is cut into sound that goes on; a pause lies where sound dies away and begins. Where pauses are empty, as in
# synthetic speech and between beeps, they pass all that is asked above (docs/decisions/0111-pauses-are-no-gaps.md). So
# the mean of the nearest 10 ms is compared with the peak of the nearest 45 ms, on both sides together, and the sound
# before a gap has to be half as long again as the gap. What is not so is a pause. Where there was one of late gaps are
# not told, and pauses are where there was none for long.
CUT_NEAR: Final = 10
CUT_FAR: Final = 45
CUT_SHARE: Final = 0.13
CUT_LASTED: Final = 1.5
CUT_LONG: Final = 1050.0  # ms, that are enough for any gap
CUT_PAUSE: Final = 0.5  # and only sound after a pause of half the gap's length is short
PAUSE_SHORTEST: Final = 9  # ms below the lowest of GAP_LEVELS but one, after which sound begins anew
PAUSE_KEPT: Final = 0.98  # of a pause, from block to block
PAUSES_MOST: Final = 0.3  # 6 s after one pause
PAUSES_LEAST: Final = 0.1  # 11 s
PAUSE_BLOCKS: Final = 40

# A lossy coder makes noise of a click, so that no sample stands out any longer. But it is still over within two
# milliseconds: their peak stands out of those 3 to 25 ms away on both sides, the high frequencies of the 10 ms that
# hold most of them (a coder spreads them over up to 20) stand out by 22 dB of what is 20 to 40 ms away, and they are as
# much of that peak as a click's are, less what a coder takes; a drum or a ball has less. `click` is ten times the first
# ratio: docs/decisions/0125-clicks-behind-coders.md.
BURST_PEAK: Final = 0.2
BURST_NEAR: Final = 3
BURST_FAR: Final = 25
BURST_RATIO: Final = 3.0
BURST_SCALE: Final = 10.0
BURST_QUIET: Final = 1e-3  # less around it is as this
BURST_HISS_NEAR: Final = 2
BURST_HISS_FAR: Final = 4
BURST_HISS: Final = 160.0
BURST_HISS_FLOOR: Final = 1e-9
BURST_WHITE: Final = 0.04 / HISS_BIN  # of the square of the peak, in the mean over HISS_BIN samples
# One that stands out by far more needs less of both; and one that is lower than three times what is around it needs the
# more high frequencies the lower it is, by the fourth power, and those of a click whole
# (docs/decisions/0143-clicks-in-sound-that-is-as-loud.md).
BURST_LONE: Final = 10.0
BURST_LONE_HISS: Final = 64.0
BURST_LONE_WHITE: Final = 0.016 / HISS_BIN
BURST_LEAST: Final = 1.75
BURST_LEAST_WHITE: Final = 0.25 / HISS_BIN
BURST_FIRST: Final = ENVELOPE_BINS // 2  # of the block before and of this one, the bins of which it is decided now
BURST_LAST: Final = BURST_FIRST + ENVELOPE_BINS

# Where a defect begins or ends at once there is an edge in the waveform, and that is no click beside it. The block that
# follows is compared with the one before: the balance of the first two channels, whether they are opposed, offsets, a
# tone, and the level, for which the milliseconds on both sides have to differ as well.
ACROSS_BALANCE: Final = 10**0.8
ACROSS_CORRELATION: Final = 1.0
ACROSS_OFFSET: Final = 0.015
ACROSS_OFFSET_SHARE: Final = 0.25  # and in power of its channel, as loud low notes have means too
ACROSS_PURE: Final = 0.99
ACROSS_IMPURE: Final = 0.9
ACROSS_LEVEL: Final = 4.0  # in power
ACROSS_STEP: Final = 2.5  # of the peaks of ACROSS_NEAR to GAP_DELAY ms away
ACROSS_NEAR: Final = 5

LEVEL_BLOCKS: Final = 40  # 4 s before, and 4 s after
LEVEL_PART: Final = LEVEL_BLOCKS - 1  # of them without the block in which it changes
# Of a part's levels, in order: what lies up to 15 dB below the fourth loudest is the sound, the rest are its pauses. A
# gain moves the mean of the sound, however much of the four seconds is pause; and it moves that of the nearest two
# seconds as much, where a fade does not, and the levels in the middle and above it. The least moved counts.
LEVEL_RANKS: Final = (19, 27)
ACTIVE_DB: Final = 15.0
ACTIVE_RANK: Final = 35
CLOSE_BLOCKS: Final = 20
CLOSE_RANK: Final = 17
# The step itself, over two blocks, has to be a share of the change, and not so large that sound began or ended there.
STEP_SHARE: Final = 0.4
STEP_MORE_DB: Final = 20.0
STEP_LEAST_DB: Final = 1.0
CHANGE_LEAST_DB: Final = 6.0
# It lasts from the start: of the 8 blocks on either side the second loudest has half of the change too.
NEAR_BLOCKS: Final = 8
NEAR_RANK: Final = 6
NEAR_SHARE: Final = 0.5
# And it is near: no other border within 1.5 s tells the blocks that are like the one side from those like the other
# better, by more than six blocks, which a pause of speech beside it makes.
BORDER_REACH: Final = 15
BORDER_BLOCKS: Final = 6.5
# It is dated to the border with the least against it: what is louder than the fourth loudest of the quieter side cannot
# lie on that, by as much as it is louder; what is quieter than the middle of the louder side may be one of its pauses,
# and counts an eighth of the change at most. Of borders that are as good, the first
# (docs/decisions/0147-where-it-is-heard.md).
BORDER_PAUSE: Final = 0.125
BORDER_SAME: Final = 1e-6  # dB, of sums that are added up in another order
QUIETEST_DB: Final = -70.0  # the quieter side; below it is silence, which has its own name

# A gain moves low and high frequencies alike, and a voice or an instrument that comes in does not. So the levels in the
# middle, and those above it, of what lies below 450 Hz and of the steps from sample to sample (which weigh frequencies
# by their square) have to change as the whole does: from it by no more than this, or this share of the change, in the
# mean of the two. What is said and played on both sides differs by as much: docs/decisions/0120-gains-move-all.md.
LEVEL_UNIFORM_DB: Final = 4.0
LEVEL_UNIFORM_SHARE: Final = 0.4375  # float32 holds it
# A band that is weaker than this share of the whole is its rounding, and speaks for nothing. (Of the power of a sine at
# 8 Hz, 1e-6 is in its steps.)
LOW_LEAST: Final = 1e-3
STEPS_LEAST: Final = 1e-6

# Of the third difference, which weighs frequencies by their sixth power, the mean frequency by its own steps: a sine of
# it has as many. It is never above the highest frequency there is, and in sound of the full band rarely below 7 kHz, so
# that what stays below 5 kHz has lost what was above. A stream is of the full band where half of its blocks of late are
# above 8 kHz. (docs/decisions/0141-lost-bandwidth.md)
NARROW_STEPS: Final = _steps(5000.0)
BROAD_STEPS: Final = _steps(8000.0)
BAND_POWER: Final = 10**-4.5  # in the mean of the channels; quieter sound is a coder's remains
BROAD_KEPT: Final = 0.01  # of a block in the share of blocks of late
BROAD_SHARE: Final = 0.5
NARROW_BLOCKS: Final = 50  # a run, as those of RUN_MOST and RUN_BACK

# Gating blocks of BS.1770 in a minute, at the hop of a block.
MINUTE_BLOCKS: Final = 600
MINUTE_EVERY: Final = 10
LUFS_OFFSET: Final = -0.691
ABSOLUTE_GATE_POWER: Final = 10 ** ((-70.0 - LUFS_OFFSET) / 10)
RELATIVE_GATE: Final = 0.1


class Scalar(IntEnum):
    """Single numbers of a slot's state."""

    COUNT = 0  # whole blocks without a hole
    ANGLE = 1  # of the last block's tone
    LEVEL = 2  # of the last block, dB
    LONGEST = 3  # gap, ms
    LAST_LOUD = 4  # four: for each of GAP_LEVELS ms from the start of this block, which the next one looks back to
    BEFORE = 8  # four: level there
    PAIRS = 12  # blocks in POLARITY so far
    MINUTES = 13  # blocks in MINUTE so far
    TARGET = 14  # LUFS
    QUIET = 15  # blocks in a row in which neither of the first two channels sounds
    GAP_END = 16  # of the last gap that was told, as LAST_LOUD
    TONE_RUN = 17  # blocks in which a tone was heard since it began, without its breaks
    TONE_BREAK = 18  # blocks since it was heard last
    TONE_ANGLE = 19  # its own, and its level and purity, of the last steady block
    TONE_LEVEL = 20
    TONE_PURITY = 21
    CODED_LOUD = 22  # as LAST_LOUD, above CODED_LEVEL
    CODED_PEAK = 23  # of the CODED_REACH before it
    CODED_FELL = 24  # the first ms after which that had fallen
    CLICK = 25  # of the last block, its place in that, and 1 where the level steps there
    CLICK_PLACE = 26
    CLICK_STEP = 27
    CUT = 28  # five: of GAP_LEVELS and of the coded gap, as BEFORE: share of the near mean in the far peak
    SOUND_FROM = 33  # as LAST_LOUD: where the sound began after the last PAUSE_SHORTEST
    SOUND_AFTER = 34  # length of that, ms
    PAUSES = 35  # of late
    BROAD = 36  # share of late of blocks that are
    NARROW = 37  # blocks in a row that are narrow, less what spoke against it
    NARROW_SINCE = 38  # blocks since the first of them
    WAS_BROAD = 39  # share before them


MEANS: Final = 40
SOUNDED: Final = MEANS + MAX_CHANNELS  # blocks that each channel has sounded for
RUN: Final = SOUNDED + MAX_CHANNELS  # blocks that LFE was wide for, or another channel low, less what spoke against it
SINCE: Final = RUN + MAX_CHANNELS  # blocks since LFE was wide first
AROUND: Final = SINCE + MAX_CHANNELS  # mean power of late
# Rings; the entry of the block with number n is at n % size.
HUM: Final = AROUND + MAX_CHANNELS
HISS: Final = HUM + HUM_BLOCKS * HUM_COLUMNS
PAIR_HISS: Final = HISS + HISS_BLOCKS
LEVELS: Final = PAIR_HISS + HISS_BLOCKS
POLARITY: Final = LEVELS + 2 * LEVEL_BLOCKS
LOW_POLARITY: Final = POLARITY + POLARITY_BLOCKS
LEFT: Final = LOW_POLARITY + POLARITY_BLOCKS  # power of the first two channels without their means
RIGHT: Final = LEFT + POLARITY_BLOCKS
DISTANCE: Final = RIGHT + POLARITY_BLOCKS  # of the correlation from 1
MINUTE: Final = DISTANCE + POLARITY_BLOCKS
ENVELOPE: Final = MINUTE + MINUTE_BLOCKS  # of the last block
# Of the last two blocks: power of the first two channels, side and mid, their means, purity, power of all channels.
ACROSS_WIDTH: Final = 8
ACROSS: Final = ENVELOPE + ENVELOPE_BINS
BANDS: Final = ACROSS + 2 * ACROSS_WIDTH  # two rings as LEVELS: below 450 Hz, and of the steps
HISS_BEFORE: Final = BANDS + 2 * 2 * LEVEL_BLOCKS  # HISS of the last block
STATE_SIZE: Final = HISS_BEFORE + HISS_BINS

"""Columns, thresholds and the state's layout of the temporal kernel. Nothing here loads torch."""

from enum import IntEnum
from typing import Final

from kernels.tile_stats.grid import TILES

COLUMNS: Final = (
    "flash_rate",  # flashes per second, pairs of opposing changes that a quarter of the tiles make: of luminance or red
    "red_flash_rate",  # those of saturated red alone
    "flicker",  # percent: amplitude of a periodic change of the whole picture's luma; 0 where it is not periodic
    "stutter_rate",  # irregular repeats and holes in the timestamps, per second
    "stuck_share",  # share of the tiles that stopped together while the others go on
    "colour_spread",  # largest difference of luma, U or V between tiles, plus the gradient: 0 for one colour
    "scene_score",  # FFmpeg's scdet, 0 to 100
    # Share of the tiles with a colour that no picture has, of a hole, or that repeat the row or column before; 1 where
    # one colour has interrupted a scene, U and V have changed places, luma or chroma runs the other way, or it rolls.
    "broken_colour",
    "colour",  # mean length of (U, V) of the tiles, of full scale: what shows at once that colour is gone
    # Seconds since what is bad began, or since it was over: see op.py.
    "flash_since",
    "flicker_since",
    "stutter_since",
    "broken_since",  # of what broken_colour tells after a while
)

# A hole of more than this ends everything that is remembered of a stream.
LONGEST_GAP_SECONDS: Final = 1.0

# Flashes, ITU-R BT.1702-3: a luminance change of 20 cd/m2 or more, where the darker state is below 160 cd/m2, on a
# display of 200 cd/m2 with BT.1886's gamma, over more than a quarter of the screen. Pictures are taken as SDR.
PEAK_LUMINANCE: Final = 200.0
GAMMA: Final = 2.4
FLASH_STEP: Final = 20.0
DARKEST_BRIGHT: Final = 160.0
FLASH_TILES: Final = TILES // 4
FLASH_WINDOW_SECONDS: Final = 1.0
# So many tiles that make a transition at once are one of the picture, by which a sequence is dated.
FLASH_TOGETHER: Final = FLASH_TILES // 2
# WCAG 2.2, "general flash and red flash thresholds": R/(R+G+B) >= 0.8, and (R-G-B) * 320 changing by more than 20.
RED_SHARE: Final = 0.8
RED_SCALE: Final = 320.0

# Flicker: the best autocorrelation, of pictures 2 to 10 apart, that still is a period and not motion or a fade.
PERIOD_MIN: Final = 2
PERIOD_MAX: Final = 10
PERIODIC: Final = 0.7
OPPOSED: Final = -0.2
LEAST_POWER: Final = 1e-12  # of a level squared: below it there is only rounding
# The step at a cut is taken out. Brightness that pumps changes all tiles one way, a cut to another scene does not: the
# sum of its changes is less than this share of their sizes'. As flicker itself changes every picture, a cut rises
# above it by less than above motion.
ONE_WAY: Final = 0.7
LEVEL_CUT_RISE: Final = 1.5
# It began with the first step of this share of the largest one, and is over where there was none for some pictures: of
# a sine of the longest period three pictures in a row have smaller steps at most. Onsets are not dated back further
# than this: clean content flickers for a third of a second, and what lasts a second shall be seen for more than that.
FLICKER_STEP: Final = 0.3
FLICKER_RESTS: Final = 3
FLICKER_BACK_SECONDS: Final = 0.6
# Of a flicker as strong as this (percent, what video.flicker tells) some scenes are flashes and others, that are darker
# or move, are not. After a flash_rate of MANY_FLASHES it is KEPT_FLASH_RATE at least as long as it flickers.
FLICKERS: Final = 0.8
MANY_FLASHES: Final = 3.5
KEPT_FLASH_RATE: Final = 3.25

# A picture repeats the one before if it differs by less than this share of what its neighbours differ by, while those
# move by at least half an 8-bit code on average (ACTIVE, but of the whole picture).
REPEAT_SHARE: Final = 0.1
LEAST_MOTION: Final = 0.5 / 256
# A coder that has few bits gives a repeated picture some of the detail that it could not give before, so that a repeat
# may differ by more. As a rule of the content counts what differs by less than this share of the latest picture that
# did not, of which each such picture takes a part (a cut is no motion to compare with).
LOW_SHARE: Final = 0.3
HIGH_FADES: Final = 0.8
# Motion that comes to rest is no fault: before and after a repeat it goes on at this share of its usual size.
GOES_ON: Final = 0.4
# Content that is drawn or shot at a lower rate has more low pictures than this, as a rule and not as a fault.
MOST_REPEATS: Final = 0.27
FIRST_REPEATS: Final = 0.35  # until it is known: some pictures without a repeat are enough to know
REPEAT_MEMORY: Final = 32.0
# A hold of this many repeats, between stretches of this many pictures and more that move one by one, is no pulldown and
# no content of a lower rate, however regular it is: a decoder or a player that runs dry shows it.
HELD_REPEATS: Final = 3
HELD_AFTER: Final = 5
# With more low pictures than this the rate of the content is lower than the stream's, and repeats are its own.
MOST_HELD: Final = 0.45
# One that lasts so long is as bad as two of them; and beyond so many pictures it says nothing of the rate of the
# content, which is low by few repeats in a row.
LONG_HOLD_SECONDS: Final = 0.25
LONG_HOLD_REPEATS: Final = 6
STUTTER_WINDOW_SECONDS: Final = 2.0
LATE: Final = 1.5  # steps of the timestamps, in steps of an otherwise even stream
EVEN: Final = 1.1
MOST_OUTLIERS: Final = 3  # so many late steps in a row are a new rate

# The noise below which FFmpeg's freezedetect takes two pictures for the same.
STILL: Final = 0.001
ACTIVITY_SECONDS: Final = 1.0
# After a cut what is known of motion is the mean since then: the cut itself is none, nor was the scene before it this
# one's. From so long after it on that is enough to say what goes on as before (decision 0148).
STUCK_CUT_SECONDS: Final = 0.6
# A tile is in motion if it has changed by half an 8-bit code on average: coding noise on a wall that stands changes by
# less, and comes to rest without anything being wrong.
ACTIVE: Final = 0.5 / 256
# One whose mean brightness has run one way for half of what it changed is in a fade or dissolve, which ends at once.
FADING: Final = 0.5
# A cut changes nearly all tiles, and by more than the motion around it.
CUT_DIFFERENCE: Final = 0.04
CUT_RISE: Final = 3.0
CUT_TILES: Final = TILES * 4 // 5
# A tile that changes at once by more than this, and by CUT_RISE times what it did, is not stuck; nor did it move, so
# that it could stop. A key picture changes what stands by less.
JUMP: Final = 5.0 / 256
# An encoder takes some pictures to settle on a region that has stopped, and touches it again at key frames.
TOGETHER_SECONDS: Final = 0.25
STUCK_TILES: Final = TILES * 15 // 100
MOVING_TILES: Final = TILES // 5
RECTANGULAR: Final = 0.9
# The rest goes on as before: its change now, in shares of what it was over the last second. At the end of a dissolve,
# or in a picture that is redrawn, it does not.
REST_LEAST: Final = 0.6
REST_MOST: Final = 3.0

# Chroma of a decoder that has nothing to show: both planes empty. Of all colours, limited or full range, the greenest
# has a U of 43 and a V of 21.
LEAST_CHROMA: Final = 16.0 / 256
# A picture of one colour (UNIFORM_SPREAD at most between tiles, gradient included) that is neither black nor white nor
# saturated red, and is gone again within this time, the scene as it was: in a cut or an animation another scene
# follows. The scene differs from it by more than from what it was: on a plain ground from which something goes and
# where it comes again (a pointer, a caption) nothing was interrupted.
UNIFORM_SPREAD: Final = 4.0 / 256
SHORTEST_CARD_SECONDS: Final = 1.0
SAME_SCENE: Final = 10.0 / 256
# One whose chroma no picture has (LEAST_CHROMA) is broken whatever follows it. What lasts longer is for video.uniform,
# whose duration this is.
UNTOLD_CARD_SECONDS: Final = 2.0 - 1e-3
NEUTRAL: Final = 6.0 / 256
DARK: Final = 40.0 / 256
BRIGHT: Final = 200.0 / 256

# A hole: at least so many tiles that become black or the grey of a decoder without data at once, in a rectangle of
# such tiles, while the rest (less the tiles around, which it covers in part) goes on as before; and stay so. Each
# changes by JUMP and so many times what it did; neither luma's limits nor chroma leave room for dark things. It is told
# after a while in which it has not grown: a wipe does. What goes on differs from picture to picture, as coders save.
HOLE_TILES: Final = 3
HOLE_RISE: Final = 2.0
HOLE_NEW: Final = 0.5  # of the rectangle; the rest of it may have been dark before
HOLE_REST_LEAST: Final = 0.25
HOLE_MOVING: Final = 0.25  # share of the rest that moves, and so many tiles it has at least
HOLE_REST: Final = 16
HOLE_BLACK: Final = 19.0 / 256
HOLE_GREY: Final = 2.0 / 256
# Of a picture without any colour grey is what every tile may come to, as one on which letters change: grey counts where
# so many tiles have a colour.
HOLE_COLOURED: Final = TILES // 9
# What lies around it is dead, or nearly black, in half at most: on a black ground, where thin lines and letters hardly
# lighten a tile, something went, and nothing is missing.
HOLE_DARK: Final = 32.0 / 256
# Of a picture that is black in so many other tiles black is the ground, which shows where something leaves: of drawings
# and titles on black. Bars are none: tiles at the edges do not count, two of a row and one of a column at either end.
HOLE_GROUND: Final = TILES // 14
HOLE_TOLD_SECONDS: Final = 0.5 - 1e-3

# U and V have changed places: those of the tiles are SWAP_LEAST from what they were (both together), and from what the
# other was by no more than SWAP_SHARE of what is beyond SWAP_NOISE; and luma is as it was, or moves as it did before.
# Red light that turns blue is darker. Of pale colours it has to be followed too, as they turn into others while they
# are swapped. Nothing says of another scene which is which: what lasts for the last of these is the stream's own.
SWAP_LEAST: Final = 2.0 / 256
SWAP_SHARE: Final = 0.3
SWAP_NOISE: Final = 1.0 / 256
SWAP_LUMA: Final = 6.0 / 256
SWAP_MOTION: Final = 1.5
# A swap is told after SWAP_TOLD_SECONDS, unless colours come until then to what they were once or twice
# SWAP_KEPT_SECONDS before it, by SWAP_BACK of how far they are from that swapped: a glitch effect turns the hues for
# some pictures and shifts chroma besides, so that only one of the two swaps is seen. Another scene is not so near. And
# unless they change until then by SWAP_AGAIN of what they did at the swap: a picture of an effect is followed by
# another scene, of which nothing is known. The same of a negative, as drawn films have them for a blow.
# Of pictures further apart than this motion says nothing of the scene: in a pan at 5 pictures a second a cut moves no
# more than any picture.
SWAP_STEP_SECONDS: Final = 0.15
SWAP_TOLD_SECONDS: Final = 0.2 - 1e-3
SWAP_OWN_SECONDS: Final = 60.0
SWAP_KEPT_SECONDS: Final = 0.5 - 1e-3
SWAP_BACK: Final = 0.5
SWAP_AGAIN: Final = 0.5
# Where U and V run the other way each and what it was add up to this, between 255 and 256 codes.
OPPOSITE: Final = 255.5 / 256
# A negative: luma and what it was add up to nearly the same number everywhere, which is OPPOSITE within NEGATIVE_SUM;
# apart from that number they differ by less than SWAP_SHARE of what they have changed by beyond NEGATIVE_NOISE, the
# mean change left out. That has to be NEGATIVE_LEAST at least: of a picture without contrast nothing is known.
NEGATIVE_SUM: Final = 24.0 / 256
NEGATIVE_LEAST: Final = 16.0 / 256
NEGATIVE_NOISE: Final = 2.0 / 256

# A smear: rows of tiles from below, or columns of tiles from the right, are all alike at once, as a decoder or a line
# buffer gives them that repeats one row. From one row of tiles to the next all planes together differ by SMEAR_SAME at
# most, where luma differed by SMEAR_BEFORE; along the row luma is rough, which no drawn field is; the rest of the
# picture goes on as before.
SMEAR_SAME: Final = 1.0 / 256
SMEAR_BEFORE: Final = 4.0 / 256
SMEAR_ROUGH: Final = 3.0 / 256
SMEAR_ROWS: Final = 2  # steps from a row of tiles to the next, at least; and of columns
SMEAR_COLUMNS: Final = 4
SMEAR_TOLD_SECONDS: Final = 0.2 - 1e-3
SMEAR_CUT_SECONDS: Final = 0.4  # without a cut before it: a title comes with its scene

# A picture that rolls, as one whose vertical hold is lost: ROLL_LEAST rows of tiles further or more, up to as many
# less than all, it is a picture of the last ROLL_SECONDS, and what has left it above has come back from below, or the
# other way round: each of the two parts on its own, by ROLL_SHARE of how far it is from what was there beyond
# ROLL_NOISE. That is ROLL_APART at least, and no two ways of rolling the earlier picture are less apart than ROLL_ALIKE
# of it, so that nothing that repeats and only moves counts; and ROLL_CHANGED of the tiles of either part differ by more
# than ROLL_NOISE, so that nothing that falls on a plain ground does. It is told when it has come ROLL_STEPS rows
# further since it was found, and not when another scene is like it for once; for ROLL_HOLD_SECONDS, as it passes from
# row to row of tiles, while the picture moves by half as much as when it was found, at least. What is at one row for
# ROLL_REST_SECONDS rolls no longer.
ROLL_LEAST: Final = 2
ROLL_SECONDS: Final = 2.0
ROLL_SHARE: Final = 0.35
ROLL_NOISE: Final = 2.0 / 256
ROLL_APART: Final = 10.0 / 256
ROLL_ALIKE: Final = 0.3
ROLL_CHANGED: Final = 1 / 3
ROLL_MOVES: Final = 0.5
ROLL_STEPS: Final = 2
ROLL_HOLD_SECONDS: Final = 1.0
ROLL_REST_SECONDS: Final = 0.6
# It began when motion rose to ROLL_RISE times its mean over a second, for the first time in ROLL_SECONDS or by
# as much again, and stayed above ROLL_MOVES of that.
ROLL_RISE: Final = 2.0
LONG_AGO: Final = -1e9


class Scalar(IntEnum):
    """Single numbers of a slot's state."""

    LAST_PTS = 0  # NaN: nothing was seen yet
    LAST_MAFD = 1
    CUT_AT = 2
    REPEATS = 3  # share of the pictures of late that are low
    SINCE_REPEAT = 4
    # Lengths so far of the rings; the newest entry is at (count - 1) % size.
    MOVES = 5
    GAPS = 6
    EVENTS = 7
    STEPS = 8
    LEVELS = 9
    OUTLIERS = 10  # steps in a row that were late
    RUN = 11  # repeats in a row, up to now
    SUSPECT = 12  # 1: the run came out of motion, at a distance that is not a rhythm's; 0.5: at one that is
    HIGH_MOTION = 13  # of the latest picture that was not low, faded
    MOTION = 14  # of the latest picture
    CARD_SECONDS = 15  # since the last picture that was not of one colour; 0: it is this one


# Rings of single numbers.
MOVES_AT: Final = 16  # differences of the latest pictures that moved
MOVES_SIZE: Final = 16
GAPS_AT: Final = 32  # pictures between the latest repeats
GAPS_SIZE: Final = 8
EVENTS_AT: Final = 40  # when something stuttered
EVENTS_SIZE: Final = 16
STEPS_AT: Final = 56  # of the timestamps
STEPS_SIZE: Final = 16
LEVELS_AT: Final = 72  # luma of the whole picture
LEVELS_SIZE: Final = 32
# Arrays of one number per tile.
LUMINANCE_EXTREME: Final = 104
LUMINANCE_WAY: Final = LUMINANCE_EXTREME + TILES  # -1 after a fall, else rising
LUMINANCE_TURNS: Final = LUMINANCE_WAY + TILES  # transitions so far
RED_EXTREME: Final = LUMINANCE_TURNS + TILES
RED_WAY: Final = RED_EXTREME + TILES
RED_TURNS: Final = RED_WAY + TILES
ACTIVITY: Final = RED_TURNS + TILES  # mean difference over the last second
DRIFT: Final = ACTIVITY + TILES  # mean change of its luma over the last second, with its sign
LAST_LUMA: Final = DRIFT + TILES
WAS_STILL: Final = LAST_LUMA + TILES  # -1: it has jumped, which is no motion that could stop
SINCE_STOP: Final = WAS_STILL + TILES  # seconds since it stopped out of motion; -1: it did not
STUCK: Final = SINCE_STOP + TILES  # 1: it belongs to the part that is stuck; 0.5: it did, and has moved once
# Rings of one row per tile: when it made its latest transitions.
TURN_TIMES: Final = 8
LUMINANCE_TIMES: Final = STUCK + TILES
RED_TIMES: Final = LUMINANCE_TIMES + TILES * TURN_TIMES
BEFORE_CARD: Final = RED_TIMES + TILES * TURN_TIMES  # luma of each tile of the last picture that was not of one colour
LEVEL_TIMES: Final = BEFORE_CARD + TILES  # of the pictures of LEVELS_AT
FLASHES_AT: Final = LEVEL_TIMES + LEVELS_SIZE  # when FLASH_TOGETHER tiles made a transition, and how often so far
FLASHES_SIZE: Final = TURN_TIMES
FLASHES: Final = FLASHES_AT + FLASHES_SIZE
LEVEL_OFFSET: Final = FLASHES + 1  # added to the levels, so that cuts leave no step
BROKEN_CARD: Final = LEVEL_OFFSET + 1  # 1: the pictures of CARD_SECONDS have chroma that no picture has
FLASHES_KEPT: Final = BROKEN_CARD + 1  # 1: a sequence of flashes goes on; 2: flicker alone has kept it
HOLE: Final = FLASHES_KEPT + 1  # of each tile 1: it belongs to a hole
HOLE_SECONDS: Final = HOLE + TILES  # since it is there
LAST_U: Final = HOLE_SECONDS + 1  # of each tile; and V
LAST_V: Final = LAST_U + TILES
SWAPPED: Final = LAST_V + TILES  # 1: U and V have changed places
SWAPPED_AT: Final = SWAPPED + 1
SWAP_MOTION_BEFORE: Final = SWAPPED_AT + 1  # of the latest picture, known or not
NEGATIVE: Final = SWAP_MOTION_BEFORE + 1  # 1: luma runs the other way
NEGATIVE_AT: Final = NEGATIVE + 1
SMEARED: Final = NEGATIVE_AT + 1  # 1: rows are smeared, 2: columns are
SMEARED_SECONDS: Final = SMEARED + 1  # since they are
ROLL_LUMA: Final = SMEARED_SECONDS + 1  # of each tile of an earlier picture
ROLL_LUMA_AT: Final = ROLL_LUMA + TILES  # when that was
ROLLED_AT: Final = ROLL_LUMA_AT + 1  # when the latest picture was it, further on
ROLL_MOTION: Final = ROLLED_AT + 1  # of the first of those
ROLL_BEGAN: Final = ROLL_MOTION + 1
ROLL_USUAL: Final = ROLL_BEGAN + 1  # mean motion over a second
ROLL_ROSE_AT: Final = ROLL_USUAL + 1
ROLL_ROWS: Final = ROLL_ROSE_AT + 1  # of tiles by which it is further, since when, and how far it has come
ROLL_ROWS_AT: Final = ROLL_ROWS + 1
ROLL_WAY: Final = ROLL_ROWS_AT + 1
ROLL_ROSE: Final = ROLL_WAY + 1  # motion at the rise
KEPT: Final = ROLL_ROSE + 1  # luma of each tile, then U, then V, as they were at KEPT_AT; and before that
KEPT_BEFORE: Final = KEPT + 3 * TILES
KEPT_AT: Final = KEPT_BEFORE + 3 * TILES
SWAP_SIZE: Final = KEPT_AT + 1  # how much the colours changed at the last swap
NEGATIVE_SIZE: Final = SWAP_SIZE + 1
STATE_SIZE: Final = NEGATIVE_SIZE + 1

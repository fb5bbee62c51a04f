"""`avjury::temporal`: what a picture's tiles do from picture to picture, one step per row."""

from enum import IntEnum
from functools import cache
from typing import Any

import torch
from torch import Tensor

from kernels.temporal.layout import COLUMNS, GAMMA, PEAK_LUMINANCE, STATE_SIZE, Scalar
from kernels.tile_stats.grid import MEASURES, TILES


class Range(IntEnum):
    """How luma and chroma codes are to be read."""

    LIMITED = 0  # 16..235 and 16..240 at 8 bit
    FULL = 1


_library: Any = torch.library.Library("avjury", "FRAGMENT")  # type: ignore[no-untyped-call]
# Not `torch.library.custom_op`, for the reason that kernels/judge/op.py gives.
_library.define(
    "temporal(Tensor tiles, Tensor luma, Tensor mafd, Tensor gradient, Tensor pts, Tensor ranges, Tensor slots, "
    "Tensor(a!) state) -> Tensor"
)


def new_state(slots: int, device: torch.device | str = "cpu") -> Tensor:
    """(slots, STATE_SIZE) float64: nothing was seen yet."""
    state = torch.zeros((slots, STATE_SIZE), dtype=torch.float64)
    state[:, Scalar.LAST_PTS] = torch.nan
    return state.to(device)


@cache
def luminance_table(device: torch.device) -> Tensor:
    """(256,) float64 on the device: cd/m2 of the luma levels 0/255 to 255/255, by ITU-R BT.1886."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    return (PEAK_LUMINANCE * levels**GAMMA).to(device)


def temporal(
    tiles: Tensor,
    luma: Tensor,
    mafd: Tensor,
    gradient: Tensor,
    pts: Tensor,
    ranges: Tensor,
    slots: Tensor,
    state: Tensor,
) -> Tensor:
    """Take each row as its slot's next picture, and say what its regions have been doing.

    - flash_rate: in each tile luminance is followed between its turning points; a transition is a change of
      FLASH_STEP from the last extreme, whose darker state is below DARKEST_BRIGHT, against the direction of the last
      one. The rate is half the number of transitions in the last second that at least FLASH_TILES tiles have made.
      red_flash_rate: the same of (R - G - B) * 320 where red is saturated, else 0 (colours by BT.709). flash_rate is
      the larger of both; and, after MANY_FLASHES, KEPT_FLASH_RATE at least while flicker is FLICKERS.
    - flicker: of the last 32 pictures' mean luma, less the steps of cuts and less its straight line, sqrt(2) times the
      RMS in percent, if the autocorrelation at some distance of 2 to 10 pictures is PERIODIC and it was OPPOSED before.
    - stutter_rate: a run of repeats between pictures that move, at a distance from the last run that none of the last
      eight had (so not a pulldown), and one or two late timestamps in an even stream; over the last two seconds. No
      run counts while more than MOST_REPEATS of the pictures are low: repeats, or LOW_SHARE of the last that was not.
      At any distance, up to a share of MOST_HELD, a run of HELD_REPEATS counts that began HELD_AFTER pictures, and as
      many as it has, after the one before it began; twice where it lasts for LONG_HOLD_SECONDS.
    - stuck_share: tiles that stop within TOGETHER_SECONDS, out of motion that was no fade, without a cut in the
      STUCK_CUT_SECONDS before, are at least STUCK_TILES in a rectangle of tiles that stand still (the one around all of
      them, less the sides that do not), while MOVING_TILES outside it go on as before; each until it moves twice in a
      row, or by more than JUMP at once and CUT_RISE times what it did, which is no motion to stop out of either. What
      a tile did is its mean difference over about a second, or since the last cut.
    - broken_colour: share of the tiles whose U and V are both below LEAST_CHROMA; or 1 for the first picture after
      some of one colour, neither black nor white nor saturated red (a strobe has that, no decoder), that have lasted
      for SHORTEST_CARD_SECONDS at most, if its tiles differ by SAME_SCENE or less on average from those of the last
      picture before them; or after less than UNTOLD_CARD_SECONDS of them whose U and V were all below LEAST_CHROMA.
      Or the share of a hole: HOLE_TILES or more that became black or grey (HOLE_BLACK, HOLE_GREY; grey only where
      HOLE_COLOURED tiles have a colour) in one picture, each by JUMP and HOLE_RISE times what it did, HOLE_NEW of the
      rectangle around them, RECTANGULAR of which are black or grey and belong to it, without a cut in the second
      before, while HOLE_MOVING of the rest (HOLE_REST tiles at least, without those around the rectangle) were ACTIVE
      and the rest went on (HOLE_REST_LEAST, REST_MOST); from HOLE_TOLD_SECONDS on, if not as many tiles have become so
      meanwhile, until less than HOLE_TILES of it are so, or half of it has left at once.
      Or 1, from SWAP_TOLD_SECONDS up to SWAP_OWN_SECONDS after a picture whose U and V are SWAP_LEAST from the last
      one's, and from its V and U by SWAP_SHARE of what is beyond SWAP_NOISE at most (both means over the tiles of the
      sum of two differences), while luma is within SWAP_LUMA, or has changed by SWAP_MOTION times what it did from the
      picture before to that one at most; until they change back. The same where they add up to OPPOSITE with what
      they were, and where luma does (NEGATIVE_SUM, NEGATIVE_LEAST, NEGATIVE_NOISE; its own mean change left out).
      Or the share of a smear: from a row of tiles to the next, from below, or from a column to the next, from the
      right, all planes together differ by SMEAR_SAME at most, SMEAR_ROWS or SMEAR_COLUMNS times; in the picture before
      luma differed by SMEAR_BEFORE there; its second differences along the last row are SMEAR_ROUGH on average; the
      rest, less the row beside it, changes by REST_MOST times what it did and ACTIVE at most, without a cut in
      SMEAR_CUT_SECONDS before; from SMEAR_TOLD_SECONDS on, until fewer are alike.
      Or 1 where the picture rolls: up to ROLL_HOLD_SECONDS after a picture that is one of the last ROLL_SECONDS moved
      by whole rows of tiles, ROLL_LEAST at least, what leaves on one side coming back on the other, and ROLL_STEPS
      further than the first such picture; see layout.py.
    - colour: mean of hypot(U - 0.5, V - 0.5) of the tiles; 0 without chroma.
    - flash_since, stutter_since: seconds from the first of as many transitions of FLASH_TOGETHER tiles as the rate
      counts, from the first hiccup of the window, to a picture that adds one; to others from the latest of them.
      Where flicker alone has kept flash_rate up, the first picture after it is dated by flicker_since.
      flicker_since: seconds from the first large step of the whole picture's luma within the 32 pictures
      (FLICKER_BACK_SECONDS at most); or, after more than FLICKER_RESTS pictures without one, from the picture after
      the last. 0 where neither is so.
    - broken_since: seconds since a hole, a smear, a roll, or what lasts until it changes back began, while it is told;
      else 0.
    - colour_spread and scene_score are of this picture alone, and the one before: see layout.py.

    Args:
        tiles: (N, 4, TILES) float64 of tile_stats.
        luma: (N,) float64: luma_mean of frame_stats, which is of every sample; tiles have some of their rows alone, and
            lines of text that run up cross these.
        mafd: (N,) float64: luma_difference of frame_stats, which is what scdet calls by this name.
        gradient: (N,) float64 of frame_stats.
        pts: (N,) float64 media seconds. After a hole of LONGEST_GAP_SECONDS everything begins anew.
        ranges: (N,) int64, a `Range` each.
        slots: (N,) int64: all different.
        state: (slots, STATE_SIZE) float64 of `new_state`; changed. All on one device.
    Returns: (N, len(COLUMNS)) float64; NaN for a row without tiles.
    Raises: ValueError for tensors of another shape or dtype.
    Source: ITU-R BT.1702-3; WCAG 2.2; FFmpeg's scdet. The rest is our own, with its thresholds in layout.py.
    """
    n = tiles.shape[0]
    if tiles.shape != (n, len(MEASURES), TILES) or tiles.dtype != torch.float64 or state.shape[1:] != (STATE_SIZE,):
        raise ValueError(
            f"temporal takes (N, {len(MEASURES)}, {TILES}) float64 tiles and (slots, {STATE_SIZE}) state; "
            f"got {tuple(tiles.shape)} {tiles.dtype}, {tuple(state.shape)}"
        )
    if not tiles.is_cuda:
        return _cpu(tiles, luma, mafd, gradient, pts, ranges, slots, state)  # straight to it: the dispatcher takes long
    columns: Tensor = torch.ops.avjury.temporal(tiles, luma, mafd, gradient, pts, ranges, slots, state)
    return columns


def _cpu(
    tiles: Tensor,
    luma: Tensor,
    mafd: Tensor,
    gradient: Tensor,
    pts: Tensor,
    ranges: Tensor,
    slots: Tensor,
    state: Tensor,
) -> Tensor:
    from kernels.temporal import cpu  # numba loads in a second: only where it is needed

    return cpu.temporal(tiles, luma, mafd, gradient, pts, ranges, slots, state, luminance_table(tiles.device))


def _cuda(
    tiles: Tensor,
    luma: Tensor,
    mafd: Tensor,
    gradient: Tensor,
    pts: Tensor,
    ranges: Tensor,
    slots: Tensor,
    state: Tensor,
) -> Tensor:
    from kernels.temporal import gpu  # Triton is not there on every machine

    return gpu.temporal(tiles, luma, mafd, gradient, pts, ranges, slots, state, luminance_table(tiles.device))


def _fake(
    tiles: Tensor,
    luma: Tensor,
    mafd: Tensor,
    gradient: Tensor,
    pts: Tensor,
    ranges: Tensor,
    slots: Tensor,
    state: Tensor,
) -> Tensor:
    return tiles.new_empty((tiles.shape[0], len(COLUMNS)))


_library.impl("temporal", _cpu, "CPU")
_library.impl("temporal", _cuda, "CUDA")
torch.library.register_fake("avjury::temporal", _fake)

"""What the sync network sees and hears: rows of tiles and of bands, put on a grid of 40 ms.

Tiles are the mean luma of a picture's 16x9 tiles, as `tile_stats` measures them; bands are the logarithms of the energy
in twelve bands from 150 Hz to 6 kHz every 10 ms, as fingerprints of sound are. Of the tiles those count that move most,
five by five together: a face that speaks, hands that clap, a ball that is hit.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

STEP_SECONDS: Final = 0.04
TILE_ROWS: Final = 9
TILE_COLUMNS: Final = 16
BANDS: Final = 12
SOUND_STEP_SECONDS: Final = 0.01
_SIDE: Final = 5
_PARTS: Final = round(STEP_SECONDS / SOUND_STEP_SECONDS)
MOTION_ROWS: Final = 2 * _SIDE * _SIDE
SOUND_ROWS: Final = 2 * _PARTS * BANDS
# Of mean luma, full scale 1: less change than this on average is a still.
LEAST_MOTION: Final = 0.0008
# Of the logarithms of energies: less is silence, or a tone that stays as it is.
LEAST_SOUND: Final = 0.25
# Between pictures further apart nothing is known.
_GAP_SECONDS: Final = 0.25
# A change of the whole picture by more than this is a cut, of which nothing is to be learnt.
_CUT: Final = 0.06

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]


def _on_grid(times: Times, rows: Floats, grid: npt.NDArray[np.floating], gap: float) -> Floats | None:
    """(len(grid), K): rows in between, in a straight line; None where something is missing."""
    if len(times) < 2 or times[0] > grid[0] + gap or times[-1] < grid[-1] - gap or float(np.diff(times).max()) > gap:
        return None
    right = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    share = np.clip((grid - times[right - 1]) / (times[right] - times[right - 1]), 0.0, 1.0)[:, None]
    found: Floats = (rows[right - 1] * (1 - share) + rows[right] * share).astype(np.float32)
    return found


def motion_signal(times: Times, tiles: Floats, begin: float, steps: int) -> Floats | None:
    """What moves most, from media second `begin` on.

    Args:
        times: (N,) media seconds, ascending, from a step before `begin` to a step after the end.
        tiles: (N, 144) mean luma, full scale 1.
    Returns: (MOTION_ROWS, steps); None where pictures are missing or hardly anything moves.
    """
    grid = begin + STEP_SECONDS * np.arange(-1, steps)
    put = _on_grid(times, np.nan_to_num(tiles), grid, _GAP_SECONDS)
    if put is None:
        return None
    change = np.diff(put, axis=0)
    cut = np.abs(change).mean(axis=1) > _CUT
    change[cut] = 0.0
    # What all tiles do together is light or a camera.
    change -= np.median(change, axis=1, keepdims=True)
    activity = np.abs(change).mean(axis=0).reshape(TILE_ROWS, TILE_COLUMNS)
    total = np.pad(activity.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[_SIDE:, _SIDE:] - total[:-_SIDE, _SIDE:] - total[_SIDE:, :-_SIDE] + total[:-_SIDE, :-_SIDE]
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    if float(sums.max()) / _SIDE**2 < LEAST_MOTION:
        return None
    here = change.reshape(steps, TILE_ROWS, TILE_COLUMNS)[:, row : row + _SIDE, column : column + _SIDE]
    level = put[1:].reshape(steps, TILE_ROWS, TILE_COLUMNS)[:, row : row + _SIDE, column : column + _SIDE]
    level = level - level.mean(axis=0)
    both = np.concatenate([
        np.clip(here / (here.std() + 1e-4), -4, 4).reshape(steps, -1),
        np.clip(level / (level.std() + 1e-4), -4, 4).reshape(steps, -1),
    ], axis=1)  # fmt: skip
    found: Floats = np.ascontiguousarray(both.T, np.float32)
    return found


def sound_rows(times: Times, bands: Floats, begin: float, steps: int) -> Floats | None:
    """What sounds, from media second `begin` on.

    Args:
        times: (N,) media seconds, ascending.
        bands: (N, BANDS).
    Returns: (SOUND_ROWS, steps); None where sound is missing or does not change.
    """
    count = steps * _PARTS
    grid = begin + SOUND_STEP_SECONDS * np.arange(-1, count)
    put = _on_grid(times, bands, grid, 0.05)
    if put is None or float(put.std(axis=0).mean()) < LEAST_SOUND:
        return None
    change = np.diff(put, axis=0)
    level = put[1:] - put[1:].mean(axis=0)
    both = np.concatenate([level / 3.0, change], axis=1).reshape(steps, -1)
    found: Floats = np.ascontiguousarray(both.T, np.float32)
    return found

"""By how much one track's fingerprint is later than another's: correlation of what changes in them.

Rows of a fingerprint (mean luma of a picture's regions, energies of bands of sound) become signals on a grid of 10 ms:
their change over 40 ms, over how much they usually change. So loudness, contrast and logos count for nothing, and
pictures of any rate can be compared. The correlation is the normalised one, over what both have. Runs on the device
where the rows are; only a few numbers of it are for the host.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

GRID_SECONDS: Final = 0.01
# Half of the time over which a change is taken, and of that over which the usual change is: grid steps.
_REACH: Final = 2
_USUAL: Final = 200
MARGIN_SECONDS: Final = (_REACH + _USUAL + 1) * GRID_SECONDS
"""What a signal needs to know of the time before and after it."""
# Changes below these are noise: of mean luma (full scale is 1), and of the logarithm of a band's energy.
PICTURE_FLOOR: Final = 0.0015
SOUND_FLOOR: Final = 0.15
# One cut is not to outweigh a minute of motion.
_MOST_CHANGE: Final = 3.0
# A picture that changes by less than this share of what those around it do repeats the one before it.
_REPEATED_SHARE: Final = 0.25
# Between rows further apart nothing is known.
PICTURE_GAP_SECONDS: Final = 0.25
SOUND_GAP_SECONDS: Final = 0.025
# No second peak this near to the first.
_SAME_PEAK: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A fingerprint on the grid.

    Args:
        first: grid step of the first value; media second `first * GRID_SECONDS`.
        values: (K, n) float64, 0 where nothing is known.
        known: (n,) float64, 1 or 0.
    """

    first: int
    values: Tensor
    known: Tensor

    def activity(self) -> Tensor:
        """() float64: about 1 where all of it changes all the time, 0 where nothing ever does."""
        return (self.values**2).sum() / (len(self.values) * self.known.sum()).clamp(min=1.0)

    def share(self) -> Tensor:
        """() float64: the share of its time of which something is known."""
        return self.known.mean()


@contextmanager
def in_one_thread() -> Iterator[None]:
    """Without helpers of torch's: on cores that others use as well, waiting for them takes fifty times the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def picture_signal(pts: npt.NDArray[np.float64], rows: Tensor, first: int, count: int) -> Signal:
    """Of pictures.

    Args:
        pts: (N,) media seconds, ascending.
        rows: (N, K) mean luma of regions, full scale 1.
        first, count: the grid steps that are wanted; rows are needed from MARGIN_SECONDS before to as much after.
    """
    return _signal(pts, rows.to(torch.float64), first, count, PICTURE_FLOOR, PICTURE_GAP_SECONDS, repeats=True)


def sound_signal(times: npt.NDArray[np.float64], rows: Tensor, first: int, count: int) -> Signal:
    """Of sound.

    Args:
        times: (N,) media seconds, ascending.
        rows: (N, K) logarithms of energies.
        first, count: as `picture_signal`.
    """
    return _signal(times, rows.to(torch.float64), first, count, SOUND_FLOOR, SOUND_GAP_SECONDS, repeats=False)


def _signal(
    times: npt.NDArray[np.float64], rows: Tensor, first: int, count: int, floor: float, gap: float, *, repeats: bool
) -> Signal:
    device, reach, usual = rows.device, _REACH, _USUAL
    nothing = Signal(
        first,
        torch.zeros((rows.shape[1], count), dtype=torch.float64, device=device),
        torch.zeros(count, dtype=torch.float64, device=device),
    )
    if len(times) < 2:
        return nothing
    margin = reach + usual
    grid = np.arange(first - margin, first + count + margin) * GRID_SECONDS
    left = np.searchsorted(times, grid, side="right") - 1
    inside = (left >= 0) & (left < len(times) - 1)
    left = left.clip(0, len(times) - 2)
    before, after = torch.from_numpy(left).to(device), torch.from_numpy(left + 1).to(device)
    if repeats:
        before, after = _without_repeats(rows, before, after)
    at, there = torch.from_numpy(grid).to(device), torch.from_numpy(times).to(device)
    start, end = there[before], there[after]
    known = (torch.from_numpy(inside).to(device) & (end - start <= gap)).to(torch.float64)
    weight = ((at - start) / (end - start)).clamp(0.0, 1.0)[:, None]
    # Numbers that are none (pictures too small for tiles) are no change.
    values = torch.nan_to_num(rows[before] * (1 - weight) + rows[after] * weight).T
    change = torch.zeros_like(values)
    both = torch.zeros_like(known)
    change[:, reach:-reach] = values[:, 2 * reach :] - values[:, : -2 * reach]
    both[reach:-reach] = known[2 * reach :] * known[reach:-reach] * known[: -2 * reach]
    change *= both
    energy, seen = _sums(change**2, usual), _sums(both[None], usual)
    scaled = change / torch.sqrt(energy / seen.clamp(min=1.0) + floor**2)
    kept = slice(margin, margin + count)
    return Signal(first, scaled[:, kept].clamp(-_MOST_CHANGE, _MOST_CHANGE).contiguous(), both[kept].contiguous())


def _without_repeats(rows: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """The rows around each grid step, those left out that repeat the one before: a picture shown twice is one."""
    count = len(rows)
    step = torch.zeros(count + 4, dtype=rows.dtype, device=rows.device)  # two more at each end
    step[3:-2] = (rows[1:] - rows[:-1]).abs().mean(dim=1).nan_to_num()
    around = torch.minimum(torch.maximum(step[:-4], step[1:-3]), torch.maximum(step[3:-1], step[4:]))
    is_new = step[2:-2] >= _REPEATED_SHARE * around
    is_new[0] = is_new[-1] = True
    index = torch.arange(count, device=rows.device)
    latest = torch.where(is_new, index, 0).cummax(dim=0).values
    coming = torch.where(is_new, index, count - 1).flip(0).cummin(dim=0).values.flip(0)
    return latest[before], coming[after]


def _sums(values: Tensor, reach: int) -> Tensor:
    """(K, n): sums over as many steps to both sides as there are."""
    padded = torch.nn.functional.pad(values, (reach + 1, reach)).cumsum(dim=1)
    return padded[:, 2 * reach + 1 :] - padded[:, : -2 * reach - 1]


def correlation(window: Signal, reference: Signal) -> tuple[int, Tensor]:
    """How well a window fits at each place of a reference.

    Returns: the first grid step of the reference's time line at which the window is put, and (m,) float64 for that
        and each following step: the normalised correlation there, -1 to 1; 0 where both have less than half of the
        window in common.
    """
    n, m = window.values.shape[1], reference.values.shape[1]
    half = n // 2
    length = _fast_length(m + half + 1)

    def spectrum(values: Tensor) -> Tensor:
        found: Tensor = torch.fft.rfft(values, length)
        return found

    def back(values: Tensor) -> Tensor:
        found: Tensor = torch.fft.irfft(values, length)
        return found

    known, there = spectrum(window.known).conj(), spectrum(reference.known)
    product = back((spectrum(window.values).conj() * spectrum(reference.values)).sum(dim=0))
    own = back(spectrum((window.values**2).sum(dim=0)).conj() * there)
    its = back(known * spectrum((reference.values**2).sum(dim=0)))
    common = back(known * there)
    fits = product / torch.sqrt(own.clamp(min=1.0) * its.clamp(min=1.0))
    fits = torch.where(common >= 0.5 * n, fits, 0.0)
    return reference.first - half, torch.cat((fits[length - half :], fits[: m - half]))


def best_fit(fits: Tensor, low: int, high: int) -> Tensor:
    """The highest of correlations, between two places of them.

    Returns: (3,) float64: its place, finer than the grid; its value; the highest value that is not beside it.
    """
    low, high = max(low, 0), min(high, len(fits) - 1)
    if high - low < 2:
        return torch.zeros(3, dtype=torch.float64, device=fits.device)
    part = fits[low : high + 1]
    highest, place = part.max(dim=0)
    inner = place.clamp(1, len(part) - 2)
    before, middle, after = part[inner - 1], part[inner], part[inner + 1]
    bend = before - 2 * middle + after
    finer = torch.where((bend < 0) & (inner == place), 0.5 * (before - after) / bend.clamp(max=-1e-12), 0.0)
    index = torch.arange(len(part), device=fits.device)
    others = torch.where((index - place).abs() <= _SAME_PEAK, -1.0, part)
    return torch.stack((place + low + finer.clamp(-0.5, 0.5), highest, others.max()))


def _fast_length(least: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5."""
    best = 1 << (least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            length = three
            while length < least:
                length *= 2
            best = min(best, length)
            three *= 3
        five *= 5
    return best

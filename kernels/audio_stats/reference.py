"""What `audio_stats` has to give, written plainly and over a whole programme at once. Used by tests only."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.audio_stats.filters import HIGH_PASS, INTERPOLATOR, SHELF, TAPS

_Array = npt.NDArray[np.float64]


def _filtered(signal: _Array, b0: float, b1: float, b2: float, a1: float, a2: float) -> _Array:
    """y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2], from silence."""
    x1 = x2 = y1 = y2 = 0.0
    out = []
    for x in signal.tolist():
        y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
        out.append(y)
        x1, x2, y1, y2 = x, x1, y, y1
    return np.array(out)


def _loudness(power: float) -> float:
    return -0.691 + 10 * math.log10(max(power, 1e-12))


def _excess_share(samples: _Array, level: float) -> float:
    """The clipping measure of one channel of a block, by docs/decisions/0004-clipping-measure.md."""

    def share(low: float, high: float) -> int:
        return int(((size >= low * level) & (size < high * level)).sum())

    size = np.abs(samples)
    length = max(len(size), 480)
    sharp = share(0.98, 1.03) - 2 * share(0.90, 0.98)
    hump, shoulder, low = share(0.80, 1.15), share(0.55, 0.80), share(0.30, 0.55)
    spread = hump - (1.5 if shoulder <= 1.05 * low else 3) * shoulder
    bend = samples[:-2] - 2 * samples[1:-1] + samples[2:]
    middle = samples[1:-1]
    both = float(middle @ middle) * float(bend @ bend)
    tonality = float(middle @ bend) ** 2 / both if both else 0.0
    if tonality >= 0.95:
        sharp = 0
    if tonality >= 0.5 or hump < 0.1 * length:
        spread = 0
    return max(0.0, sharp, spread) / length


def _flat_share(samples: _Array) -> float:
    """Samples in tops that are cut off flat, two and a half times, over all; by the same decision."""
    size = np.abs(samples)
    peak = float(size.max())
    if peak < 0.03 or len(samples) < 3:
        return 0.0
    same = np.abs(np.diff(samples)) <= 1.5 * 2.0**-15
    here, flat = size[1:-1], same[:-1] & same[1:]
    top = here >= 0.97 * peak
    rise, fall = here - size[:-2], here - size[2:]
    begins = (top & same[1:] & (rise >= 7.5 * 2.0**-15) & (rise <= 0.5 * peak)).sum()
    ends = (top & same[:-1] & (fall >= 7.5 * 2.0**-15) & (fall <= 0.5 * peak)).sum()
    tops = int(min(begins, ends))
    below = int((flat & (here >= 0.3 * peak) & (here < 0.9 * peak)).sum())
    inner = int((flat & top).sum())  # of a top of three or more, all but two
    count = min(3 * inner, inner + 2 * tops, 64 * tops) - 2 * below
    return 2.5 * max(count, 0) / max(len(samples), 480)


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Rows as `avjury::audio_stats` returns them, and every gating block's power of 400 ms and of 3 s."""

    rows: _Array
    gating_powers: tuple[list[float], list[float]]


def measure_programme(
    signal: npt.NDArray[np.float32],
    lengths: list[int],
    weights: list[float],
    clip_level: float,
    silence_threshold: float,
) -> Expected:
    """Measure a programme that arrives in blocks.

    Args:
        signal: (channels, samples) float32 at 48 kHz, all blocks one after the other.
        lengths: real samples of each block, 1..4800; their sum is `samples`.
        weights: loudness weight per channel.
        clip_level: absolute sample value that counts as full scale.
        silence_threshold: a sample below it is silent.
    """
    clean = np.clip(np.where(np.isnan(signal), 0.0, signal).astype(np.float64), -1e4, 1e4)
    channels, samples = clean.shape
    weighted = np.zeros(samples)
    for channel, weight in zip(clean, weights, strict=True):
        weighted += weight * _filtered(_filtered(channel, *SHELF), *HIGH_PASS) ** 2
    bins = weighted[: samples // 480 * 480].reshape(-1, 480).mean(axis=1)

    # Zeros between the samples, then one long filter whose every fourth tap belongs to the samples themselves.
    prototype = np.zeros(4 * TAPS)
    for phase in range(3):
        prototype[phase + 1 :: 4] = INTERPOLATOR[phase, ::-1]
    stuffed = np.zeros((channels, 4 * samples))
    stuffed[:, ::4] = clean
    oversampled = np.stack([np.convolve(channel, prototype)[: 4 * samples] for channel in stuffed])

    rows = []
    begin = 0
    for length in lengths:
        block = clean[:, begin : begin + length]
        size = np.abs(block)
        end = begin + length
        loud = np.flatnonzero((size >= silence_threshold).any(axis=0))
        shares = [max(_excess_share(channel, clip_level), _flat_share(channel)) for channel in block]
        momentary = [_loudness(float(bins[n - 40 : n].mean())) for n in range(40, end // 480 + 1)]
        short_term = [_loudness(float(bins[n - 300 : n].mean())) for n in range(300, end // 480 + 1)]
        new = end // 480 - begin // 480
        peak = float(size.max())
        rows.append(
            [
                peak,
                max(peak, float(np.abs(oversampled[:, 4 * begin : 4 * end]).max())),
                math.sqrt(float((block**2).mean())),
                float(np.abs(block.mean(axis=1)).max()),
                momentary[-1] if momentary else math.nan,
                max(momentary[-max(new, 1) :], default=math.nan),
                short_term[-1] if short_term else math.nan,
                max(short_term[-max(new, 1) :], default=math.nan),
                float(loud[0]) if len(loud) else float(length),
                float(length - 1 - loud[-1]) if len(loud) else float(length),
                max(shares),
                float((size >= clip_level).mean(axis=1).max()),
                0.0 if len(loud) else 1.0,
                math.nan,  # follows from true_peak
            ]
        )
        begin = end
    hops = range(10, len(bins) + 1, 10)
    gating = (
        [float(bins[n - 40 : n].mean()) for n in hops if n >= 40],
        [float(bins[n - 300 : n].mean()) for n in hops if n >= 300],
    )
    return Expected(np.array(rows), gating)


def programme_loudness(gating_powers: list[float]) -> float | None:
    """Integrated loudness (LUFS) of 400 ms gating blocks, by BS.1770-5 equations 4 to 7, without a histogram."""
    above = [power for power in gating_powers if _loudness(power) > -70]
    if not above:
        return None
    gate = _loudness(float(np.mean(above))) - 10
    return _loudness(float(np.mean([power for power in above if _loudness(power) > gate])))


def loudness_range(gating_powers: list[float]) -> float | None:
    """Loudness range (LU) of 3 s windows, by EBU Tech 3342; None for fewer than five above the gates."""
    above = [power for power in gating_powers if _loudness(power) >= -70]
    if not above:
        return None
    gate = _loudness(float(np.mean(above))) - 20
    kept = sorted(_loudness(power) for power in above if _loudness(power) >= gate)
    if len(kept) < 5:
        return None
    return kept[int(0.95 * len(kept) + 0.5) - 1] - kept[max(1, int(0.10 * len(kept) + 0.5)) - 1]

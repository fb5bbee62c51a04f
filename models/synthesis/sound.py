"""Plants defects into sound.

Every function takes (channels, n) float samples at 48 kHz, leaves them as they are, and gives new ones of the same
shape and type with what it planted. Times are seconds from the first sample; they are moved to whole samples. The same
arguments give the same samples.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from kernels.audio_stats.filters import K_WEIGHTING, LUFS_OFFSET, POWER_FLOOR
from models.synthesis.planted import Planted

SAMPLE_RATE: Final = 48_000
FADE_SAMPLES: Final = 240
# A block that is so much quieter than the sound around it is a pause.
_PAUSE_BLOCK: Final = 4800
_PAUSE_DB: Final = 15.0
_HEARD_BLOCKS: Final = 4
# Beyond it what is louder is the noise of pauses.
_MOST_GAIN_DB: Final = 45.0

Samples = npt.NDArray[np.float32]
Result = tuple[Samples, tuple[Planted, ...]]


def _span(samples: Samples, start: float, end: float) -> slice:
    """Sample numbers of a stretch of time.

    Raises: ValueError if the samples do not hold it.
    """
    begin, stop = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
    if samples.ndim != 2 or not 0 <= begin < stop <= samples.shape[1]:
        raise ValueError(f"no {start} to {end} s in samples of shape {samples.shape} at {SAMPLE_RATE} Hz")
    return slice(begin, stop)


def _faded(samples: Samples, made: Samples, span: slice) -> Samples:
    """`made` within the span and `samples` outside, with 5 ms from one to the other.

    A hard edge would be a click, which nobody planted.
    """
    length = min(FADE_SAMPLES, (span.stop - span.start) // 2)
    ramp = (np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(max(length, 1))
    share = np.ones(span.stop - span.start, np.float32)
    share[:length], share[len(share) - length :] = ramp, ramp[::-1]
    result = samples.copy()
    result[:, span] += share * (made[:, span] - samples[:, span])
    return result


def _pair(samples: Samples) -> None:
    if samples.shape[0] < 2:
        raise ValueError(f"one channel has no other to be compared with: shape {samples.shape}")


def _planted(detector: str, span: slice, strength: float, **parameters: float | int | str) -> tuple[Planted, ...]:
    return (Planted(detector, span.start / SAMPLE_RATE, span.stop / SAMPLE_RATE, strength, parameters),)


def _level(decibels: float) -> float:
    return float(10.0 ** (decibels / 20.0))


def plant_silence(samples: Samples, start: float, end: float) -> Result:
    """Digital silence in all channels. Strength: seconds."""
    span, made = _span(samples, start, end), samples.copy()
    made[:, span] = 0
    return made, _planted("audio.silence", span, end - start)


def plant_lost_channel(samples: Samples, start: float, end: float, channel: int = 1) -> Result:
    """Digital silence in one channel. Strength: seconds."""
    _pair(samples)
    span, made = _span(samples, start, end), samples.copy()
    made[channel, span] = 0
    detector = "audio.channel_lost" if channel < 2 else "audio.surround_lost"
    return _faded(samples, made, span), _planted(detector, span, end - start, channel=channel)


# Of 5.1 as it is stored: left, right, centre, LFE, left and right behind. Which of them comes where once film order
# (left, centre, right, left and right behind, LFE) was taken for it.
SURROUND_CHANNELS: Final = 6
_FILM_ORDER: Final = (0, 2, 1, 4, 5, 3)
LFE: Final = 3
_LFE_HZ: Final = 120.0


def low_notes(samples: npt.NDArray[np.floating]) -> Samples:
    """What is below 120 Hz of (n,) samples, as LFE carries it: 24 dB an octave beyond."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    kept: Samples = np.fft.irfft(spectrum / (1 + (frequency / _LFE_HZ) ** 4), len(samples)).astype(np.float32)
    return kept


def surround_of(samples: Samples) -> Samples:
    """(6, n) 5.1 out of two channels: their mean in the centre, its low notes in LFE, late copies behind."""
    _pair(samples)
    left, right = samples[:2].astype(np.float64)
    middle = (left + right) / 2
    late, later = round(0.021 * SAMPLE_RATE), round(0.027 * SAMPLE_RATE)
    behind = [0.5 * np.concatenate([np.zeros(n), side[: len(side) - n]]) for n, side in ((late, left), (later, right))]
    channels = (0.7 * left, 0.7 * right, 0.7 * middle, low_notes(middle), *behind)
    return np.stack(channels).astype(np.float32)


def plant_channel_order(samples: Samples, start: float, end: float) -> Result:
    """5.1 in film order where its own is expected: LFE and a channel behind change places. Strength: seconds."""
    if samples.shape[0] != SURROUND_CHANNELS:
        raise ValueError(f"5.1 has six channels, not shape {samples.shape}")
    span, made = _span(samples, start, end), samples.copy()
    made[:, span] = samples[np.array(_FILM_ORDER), span]
    return _faded(samples, made, span), _planted("audio.channel_swap", span, end - start)


def plant_surround_imbalance(
    samples: Samples, start: float, end: float, decibels: float = 20.0, channel: int = 5
) -> Result:
    """One of two surround channels is turned down. Strength: decibels."""
    span, made = _span(samples, start, end), samples.copy()
    made[channel, span] *= np.float32(_level(-decibels))
    return _faded(samples, made, span), _planted("audio.surround_imbalance", span, decibels, channel=channel)


def plant_opposite_phase(samples: Samples, start: float, end: float) -> Result:
    """The second channel is inverted. Strength: correlation of the two channels before, which is turned round."""
    _pair(samples)
    span, made = _span(samples, start, end), samples.copy()
    left, right = made[0, span].astype(np.float64), made[1, span].astype(np.float64)
    power = float((left**2 + right**2).sum())
    made[1, span] *= -1
    return _faded(samples, made, span), _planted("audio.phase", span, 2 * float(left @ right) / power if power else 0.0)


def plant_mono(samples: Samples, start: float, end: float) -> Result:
    """The first two channels are both their mean. Strength: seconds."""
    _pair(samples)
    span, made = _span(samples, start, end), samples.copy()
    made[:2, span] = made[:2, span].mean(axis=0)
    return _faded(samples, made, span), _planted("audio.mono", span, end - start)


def plant_imbalance(samples: Samples, start: float, end: float, decibels: float = 20.0, channel: int = 1) -> Result:
    """One channel is turned down. Strength: decibels."""
    _pair(samples)
    span, made = _span(samples, start, end), samples.copy()
    made[channel, span] *= np.float32(_level(-decibels))
    return _faded(samples, made, span), _planted("audio.imbalance", span, decibels, channel=channel)


def plant_offset(samples: Samples, start: float, end: float, offset: float = 0.05, channel: int = 0) -> Result:
    """One channel is moved off zero. Strength: the offset, 1.0 full scale."""
    span, made = _span(samples, start, end), samples.copy()
    made[channel, span] += np.float32(offset)
    return _faded(samples, made, span), _planted("audio.dc", span, abs(offset), channel=channel)


def low_level(samples: Samples) -> float:
    """Level of the channels' mean between 20 and 200 Hz, dBFS as of a sine: two critical bands, those of hum."""
    mean = samples.mean(axis=0).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(mean)) / len(mean)
    frequency = np.fft.rfftfreq(len(mean), 1 / SAMPLE_RATE)
    inside = (frequency >= 20) & (frequency <= 200)
    return 10 * math.log10(4 * float((spectrum[inside] ** 2).sum()) + 1e-12)


def plant_hum(
    samples: Samples,
    start: float,
    end: float,
    level_db: float | None = None,
    mains: float = 50.0,
    seed: int = 0,
) -> Result:
    """Mains hum: the fundamental and two harmonics, each half as strong as the last, in every channel.

    Strength: level of the fundamental, dB over -100 dBFS. Unless told it is one that can be heard: -40 dBFS, or twice
    the power that the sound itself has at these frequencies, as at its own level the sound covers it half of the time.
    """
    span, made = _span(samples, start, end), samples.copy()
    if level_db is None:
        level_db = max(-40.0, low_level(samples[:, span]) + 3.0)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 3)
    time = np.arange(span.stop - span.start) / SAMPLE_RATE
    waves = [0.5**k * np.sin(2 * np.pi * (k + 1) * mains * time + phase) for k, phase in enumerate(phases)]
    made[:, span] += (_level(level_db) * np.sum(waves, axis=0)).astype(np.float32)
    return _faded(samples, made, span), _planted("audio.hum", span, level_db + 100, mains=mains, seed=seed)


def plant_clicks(
    samples: Samples, start: float, end: float, size: float = 0.5, count: int = 1, seed: int = 0
) -> Result:
    """Clicks of one to four samples at random places, one planted defect each. Strength: their height, 1.0 full scale.

    A place where the sum would leave full scale is turned the other way.
    """
    span, made = _span(samples, start, end), samples.copy()
    rng = np.random.default_rng(seed)
    planted: list[Planted] = []
    for place in np.sort(rng.integers(span.start, span.stop - 4, count)):
        width = int(rng.integers(1, 5))
        here = slice(int(place), int(place) + width)
        sign = np.float32(-1 if float(samples[:, here].mean()) > 0 else 1)
        made[:, here] += sign * np.float32(size)
        planted += _planted("audio.click", here, size, seed=seed)
    return made, tuple(planted)


def plant_pulse(samples: Samples, start: float, seconds: float = 0.0005, size: float = 0.5) -> Result:
    """One pulse with two steep edges. Strength: its height, 1.0 full scale; turned as that of `plant_clicks`."""
    span, made = _span(samples, start, start + seconds), samples.copy()
    made[:, span] += np.float32(-size if float(samples[:, span].mean()) > 0 else size)
    return made, _planted("audio.click", span, size, seconds=seconds)


def plant_dropout(samples: Samples, start: float, seconds: float = 0.08) -> Result:
    """Nothing for a moment, in all channels. Strength: seconds."""
    span, made = _span(samples, start, start + seconds), samples.copy()
    made[:, span] = 0
    return made, _planted("audio.dropout", span, seconds)


def plant_stutter(samples: Samples, start: float, end: float, period: float = 0.085) -> Result:
    """The piece of `period` seconds before `start` again and again, as from a buffer that is stuck. Strength: seconds.

    Its seams are as hard as they are there.
    """
    span, made = _span(samples, start, end), samples.copy()
    length = round(period * SAMPLE_RATE)
    if not 0 < length <= span.start:
        raise ValueError(f"no piece of {period} s before {start} s")
    count = span.stop - span.start
    made[:, span] = np.tile(samples[:, span.start - length : span.start], (1, -(-count // length)))[:, :count]
    return made, _planted("audio.stutter", span, end - start, period=period)


def plant_narrow_band(samples: Samples, start: float, end: float, hertz: float = 4000.0) -> Result:
    """Nothing above a frequency, as of sound that went through 8 kHz or a telephone. Strength: octaves below 20 kHz."""
    span = _span(samples, start, end)
    spectrum = np.fft.rfft(samples.astype(np.float64), axis=1)
    frequency = np.fft.rfftfreq(samples.shape[1], 1 / SAMPLE_RATE)
    # It falls by a raised cosine over the last sixteenth, which rings for some 5 ms, and to nothing.
    fallen = np.clip((hertz - frequency) / (hertz / 16), 0.0, 1.0)
    made = np.fft.irfft(spectrum * (0.5 - 0.5 * np.cos(np.pi * fallen)), samples.shape[1], axis=1).astype(np.float32)
    return _faded(samples, made, span), _planted("audio.bandwidth", span, math.log2(20_000 / hertz), hertz=hertz)


def plant_noise(samples: Samples, start: float, end: float, level_db: float = -38.0, seed: int = 0) -> Result:
    """White noise, another in each channel. Strength: its level, dB over -100 dBFS."""
    span, made = _span(samples, start, end), samples.copy()
    noise = np.random.default_rng(seed).standard_normal((samples.shape[0], span.stop - span.start), np.float32)
    made[:, span] += np.float32(_level(level_db)) * noise
    return _faded(samples, made, span), _planted("audio.noise", span, level_db + 100, seed=seed)


def plant_tone(
    samples: Samples, start: float, end: float, level_db: float = -18.0, frequency: float = 1000.0
) -> Result:
    """A line-up tone in place of the sound (EBU R 68: 1 kHz at -18 dBFS). Strength: its level, dB over -100 dBFS."""
    span, made = _span(samples, start, end), samples.copy()
    time = np.arange(span.stop - span.start) / SAMPLE_RATE
    made[:, span] = (_level(level_db) * np.sin(2 * np.pi * frequency * time)).astype(np.float32)
    return _faded(samples, made, span), _planted("audio.tone", span, level_db + 100, frequency=frequency)


def _sounds(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Which 100 ms are no pause: within 15 dB of the mean."""
    blocks = samples[:, : samples.shape[1] // _PAUSE_BLOCK * _PAUSE_BLOCK].astype(np.float64)
    powers = (blocks**2).mean(axis=0).reshape(-1, _PAUSE_BLOCK).mean(axis=1)
    return np.flatnonzero(powers >= powers.mean() * _level(-2 * _PAUSE_DB))


def plant_level_jump(samples: Samples, at: float, decibels: float = -18.0) -> Result:
    """From a moment on, within 5 ms, everything is louder or quieter. Strength: size of the change, dB.

    What is planted lasts until the first 400 ms of sound after it are over, as long as momentary loudness needs (EBU
    Tech 3341). In a pause it begins with that: nobody hears where in a pause the level changed.
    """
    span, made = _span(samples, at, at + 0.1), samples.copy()
    gain = np.full(samples.shape[1] - span.start, _level(decibels), np.float32)
    gain[:FADE_SAMPLES] = np.linspace(1.0, _level(decibels), FADE_SAMPLES)
    made[:, span.start :] *= gain
    whole = min(4 * SAMPLE_RATE, span.start) // _PAUSE_BLOCK * _PAUSE_BLOCK
    before = _sounds(samples[:, span.start - whole : span.start]) if whole else np.zeros(1, np.intp)
    after = _sounds(samples[:, span.start : span.start + 4 * SAMPLE_RATE])
    begin = span.start - whole + _PAUSE_BLOCK * (int(before[-1]) + 1) if whole else span.start
    end = span.start + _PAUSE_BLOCK * (int(after[min(_HEARD_BLOCKS, len(after)) - 1]) + 1)
    return made, _planted("audio.level_jump", slice(begin, end), abs(decibels), decibels=decibels)


def plant_clipping(samples: Samples, start: float, end: float, drive_db: float = 12.0, ceiling: float = 1.0) -> Result:
    """Amplified until the loudest sample is so far beyond full scale, cut off there, turned down. Strength: drive, dB.

    It begins with the first sample that is cut off: until then there would be a gain alone, which is another defect.

    Args:
        samples: to plant into.
        start, end: seconds.
        drive_db: of the loudest sample, beyond full scale.
        ceiling: where full scale is once it was turned down.
    """
    span, made = _span(samples, start, end), samples.copy()
    peak = float(np.abs(made[:, span]).max())
    gain = np.float32(_level(drive_db) / peak if peak else 1.0)
    cut = np.flatnonzero((np.abs(made[:, span]) * gain > 1.0).any(axis=0))
    span = slice(span.start + int(cut[0] if len(cut) else 0), span.stop)
    made[:, span] = np.float32(ceiling) * np.clip(made[:, span] * gain, -1.0, 1.0 - 2.0**-15)
    return _faded(samples, made, span), _planted("audio.clipping", span, drive_db, ceiling=ceiling)


def _limited(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turned down wherever a sample would pass -2 dBFS, 5 ms before and after, and by degrees: no top is cut off."""
    reach, size = FADE_SAMPLES, 2 * FADE_SAMPLES + 1
    needed = np.minimum(1.0, _level(-2.0) / np.maximum(np.abs(samples).max(axis=0), 1e-9))
    held, width = np.pad(needed, reach, constant_values=1.0), 1
    while width < size:  # the least of `width` gains from each on
        step = min(width, size - width)
        held, width = np.minimum(held[:-step], held[step:]), width + step
    total = np.cumsum(np.pad(held, (reach + 1, reach), mode="edge"))
    # A mean of gains that all hold the sample in the middle holds it too.
    limited: npt.NDArray[np.float64] = samples * (total[size:] - total[:-size]) / size
    return limited


def _short_term(samples: npt.NDArray[np.float64], hop: int) -> npt.NDArray[np.float64]:
    """LUFS of every three seconds, or of all where it is less, at a hop in samples (ITU-R BS.1770-5, all weights 1)."""
    turn = np.exp(-2j * np.pi * np.arange(3)[:, np.newaxis] * np.fft.rfftfreq(samples.shape[1]))
    weights = np.ones(turn.shape[1])
    for b0, b1, b2, a1, a2 in K_WEIGHTING.reshape(2, 5):
        weights *= np.abs(np.array([b0, b1, b2]) @ turn) / np.abs(np.array([1.0, a1, a2]) @ turn)
    weighted = np.fft.irfft(np.fft.rfft(samples, axis=1) * weights, samples.shape[1], axis=1)
    total = np.pad(np.cumsum((weighted**2).sum(axis=0)), (1, 0))
    window = min(round(3.0 * SAMPLE_RATE), samples.shape[1])
    powers = (total[window:] - total[:-window])[::hop] / window
    levels: npt.NDArray[np.float64] = LUFS_OFFSET + 10 * np.log10(powers + POWER_FLOOR)
    return levels


def plant_loudness(
    samples: Samples, start: float, end: float, gain_db: float | None = None, level: float = -8.0
) -> Result:
    """Amplified, with a limiter that cuts nothing off, as what is made to be loud. Strength: gain, dB.

    The gain, unless told, is that with which its first three seconds are at `level` LUFS: sound that was quiet needs
    more to be too loud. Where no gain brings them there, because there is a pause in them, it begins with the first
    three that are there, or are loudest: before them it would be a gain alone, which is another defect.
    """
    span, made = _span(samples, start, end), samples.copy()
    clean = made[:, span].astype(np.float64)
    hop = round(0.2 * SAMPLE_RATE)
    most = _MOST_GAIN_DB if gain_db is None else gain_db
    if gain_db is None:
        gain_db = min(level - float(_short_term(clean, hop)[0]), most)
    loud = _limited(clean * _level(gain_db))
    levels = _short_term(loud, hop)
    while levels[0] < level and gain_db < most:
        gain_db += 1.5
        loud = _limited(clean * _level(gain_db))
        levels = _short_term(loud, hop)
    enough = levels >= level
    begin = hop * int(enough.argmax() if enough.any() else levels.argmax())
    span = slice(span.start + begin, span.stop)
    made[:, span] = loud[:, begin:]
    return _faded(samples, made, span), _planted("audio.loudness", span, gain_db)


# Those that last from `start` to `end`, at audible strength with their defaults; the others are events.
LASTING: Final[dict[str, Callable[[Samples, float, float], Result]]] = {
    "audio.silence": plant_silence,
    "audio.channel_lost": plant_lost_channel,
    "audio.phase": plant_opposite_phase,
    "audio.mono": plant_mono,
    "audio.imbalance": plant_imbalance,
    "audio.dc": plant_offset,
    "audio.hum": plant_hum,
    "audio.noise": plant_noise,
    "audio.tone": plant_tone,
    "audio.clipping": plant_clipping,
    "audio.loudness": plant_loudness,
}

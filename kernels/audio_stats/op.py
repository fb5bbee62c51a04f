"""`avjury::audio_stats`: everything that is measured of 100 ms of sound, in one pass, with the memory it needs."""

from typing import Any, Final

import torch
from torch import Tensor

from kernels.audio_stats.filters import BLOCK, MAX_CHANNELS
from kernels.audio_stats.state import AudioState

COLUMNS: Final = (
    "sample_peak",  # largest |sample|, linear
    "true_peak",  # largest 4x oversampled |sample|, linear; never below sample_peak
    "rms",  # root mean square over all channels, linear
    "dc",  # largest |mean| of a channel, linear
    "momentary",  # loudness of the 400 ms up to the last finished 10 ms, LUFS; NaN before there are 400 ms
    "momentary_max",  # largest momentary of the windows that ended in this block, LUFS
    "short_term",  # as momentary, of 3 s
    "short_term_max",
    "quiet_lead",  # samples before the first that reaches the silence threshold in any channel
    "quiet_tail",  # samples after the last such one; both are `valid` where there is none
    # Share of samples at full scale in excess of what an unclipped waveform puts there, or two and a half times that of
    # samples in flat tops at any level; of the channel with most, 0..2.5.
    "clipped",
    "full_scale",  # share of samples at or above the clip level, 0..1, of the channel with most
    "quiet",  # 1 where no sample reaches the silence threshold, else 0
    "true_peak_db",  # true_peak in dBTP, at least -200
)


_library: Any = torch.library.Library("avjury", "FRAGMENT")  # type: ignore[no-untyped-call]
# Not `torch.library.custom_op`, for the reason that kernels/judge/op.py gives.
_library.define(
    "audio_stats(Tensor samples, Tensor channels, Tensor valid, Tensor weights, Tensor clip_level, Tensor slots, "
    "Tensor silence_threshold, Tensor(a!) filters, Tensor(b!) history, Tensor(c!) bins, Tensor(d!) unfinished, "
    "Tensor(e!) progress, Tensor(f!) histograms, Tensor(g!) kept_power, Tensor(h!) maxima) -> Tensor"
)


def _cpu(
    samples: Tensor,
    channels: Tensor,
    valid: Tensor,
    weights: Tensor,
    clip_level: Tensor,
    slots: Tensor,
    silence_threshold: Tensor,
    *state: Tensor,
) -> Tensor:
    from kernels.audio_stats import cpu  # numba compiles on import: only where it is needed

    return cpu.audio_stats(samples, channels, valid, weights, clip_level, slots, silence_threshold, state)


def _cuda(
    samples: Tensor,
    channels: Tensor,
    valid: Tensor,
    weights: Tensor,
    clip_level: Tensor,
    slots: Tensor,
    silence_threshold: Tensor,
    *state: Tensor,
) -> Tensor:
    from kernels.audio_stats import gpu  # triton is absent on some CPU-only platforms

    return gpu.audio_stats(samples, channels, valid, weights, clip_level, slots, silence_threshold, state)


def _fake(samples: Tensor, *_: Tensor) -> Tensor:
    return samples.new_empty((samples.shape[0], len(COLUMNS)), dtype=torch.float64)


_library.impl("audio_stats", _cpu, "CPU")
_library.impl("audio_stats", _cuda, "CUDA")
torch.library.register_fake("avjury::audio_stats", _fake, lib=_library)

_op: Final = torch.ops.avjury.audio_stats.default


def measure_audio(
    state: AudioState,
    samples: Tensor,
    channels: Tensor,
    valid: Tensor,
    weights: Tensor,
    clip_level: Tensor,
    slots: Tensor,
    silence_threshold: Tensor,
) -> Tensor:
    """Measure one block of each of N streams, and carry their filters, windows and histograms on.

    Samples that are not a number count as 0, larger ones than +80 dBFS as that. After a gap the filters and windows go
    on as if the samples were adjacent. A row's numbers do not depend, to the last bit, on what else is in the batch.

    Args:
        state: memory of all slots, on the same device; updated in place.
        samples: (N, C, 4800) float32, C 1 to 8, full scale 1.0, 48 kHz; the samples of a channel adjacent.
        channels: (N,) int64: real channels, 1..C; the others are not read.
        valid: (N,) int64: real samples per channel, 1..4800; what lies beyond is never read into a measure.
        weights: (N, 8) float64: loudness weight of each channel (BS.1770-5 table 4).
        clip_level: (N,) float64: absolute sample value that counts as full scale.
        slots: (N,) int64, on the same device: all different, below the state's number of slots.
        silence_threshold: (N,) float64: linear amplitude below which a sample is silent (exclusive, as FFmpeg's
            silencedetect: a sample at the threshold is loud).
    Returns: (N, len(COLUMNS)) float64 on the same device.
    Raises: ValueError if a shape or dtype is another: the kernels trust them.
    Source: ITU-R BS.1770-5, EBU Tech 3341; the clipping measure is docs/decisions/0004-clipping-measure.md.
    """
    rows, wide = samples.shape[0], samples.shape[1] if samples.dim() == 3 else 0
    if not (
        samples.shape == (rows, wide, BLOCK)
        and 1 <= wide <= MAX_CHANNELS
        and weights.shape == (rows, MAX_CHANNELS)
        and channels.shape == valid.shape == clip_level.shape == slots.shape == silence_threshold.shape == (rows,)
        and samples.dtype == torch.float32
        and channels.dtype == valid.dtype == slots.dtype == torch.int64
        and weights.dtype == clip_level.dtype == silence_threshold.dtype == torch.float64
    ):
        given = (samples, channels, valid, weights, clip_level, slots, silence_threshold)
        raise ValueError(
            f"audio_stats: wanted (N, 1..8, {BLOCK}) float32, two (N,) int64, (N, 8) and (N,) float64, (N,) int64, "
            f"(N,) float64; got {', '.join(f'{tuple(tensor.shape)} {tensor.dtype}' for tensor in given)}"
        )
    result: Tensor = _op(samples, channels, valid, weights, clip_level, slots, silence_threshold, *state.tensors())
    return result

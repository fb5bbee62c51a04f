"""What `audio_stats` remembers of each slot between blocks, and the loudness of the programme so far."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.audio_stats.filters import (
    ABSOLUTE_GATE,
    HISTOGRAM_BINS,
    HISTOGRAM_STEPS_PER_LU,
    HISTORY,
    LUFS_OFFSET,
    MAX_CHANNELS,
    SHORT_TERM_BINS,
)

_NEVER = -math.inf


@dataclass(frozen=True, slots=True, eq=False)
class AudioState:
    """Per-slot memory of `audio_stats`, on its device; the op updates the rows of the slots that it is given.

    Args:
        filters: (slots, 8, 4) float64: K-weighting memory per channel.
        history: (slots, 8, 31) float32: the last samples, for the true-peak interpolator.
        bins: (slots, 300) float64: channel-weighted K-weighted power of the last 3 s by 10 ms, bin n at n % 300.
        unfinished: (slots,) float64: weighted sum of squares of the 10 ms that are still filling.
        progress: (slots, 2) int64: finished bins so far; samples in the unfinished one.
        histograms: (slots, 2, 8001) int32: gating blocks above -70 LUFS by loudness in steps of 0.01 LU: of 400 ms
            (integrated) and of 3 s (range). Counts, so that no order of adding shows.
        kept_power: (slots, 2) float64: sum of the same blocks' powers, for the relative gate.
        maxima: (slots, 3) float64: true peak (linear), momentary and short-term loudness (LUFS; -inf: none yet).
    """

    filters: Tensor
    history: Tensor
    bins: Tensor
    unfinished: Tensor
    progress: Tensor
    histograms: Tensor
    kept_power: Tensor
    maxima: Tensor

    @classmethod
    def allocate(cls, slots: int, device: torch.device | str = "cpu") -> "AudioState":
        """Memory for `slots` streams that have heard nothing yet (about 70 kB each)."""

        def zeros(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.zeros((slots, *shape), dtype=dtype, device=device)

        state = cls(
            filters=zeros(MAX_CHANNELS, 4),
            history=zeros(MAX_CHANNELS, HISTORY, dtype=torch.float32),
            bins=zeros(SHORT_TERM_BINS),
            unfinished=zeros(),
            progress=zeros(2, dtype=torch.int64),
            histograms=zeros(2, HISTOGRAM_BINS, dtype=torch.int32),
            kept_power=zeros(2),
            maxima=zeros(3),
        )
        state.maxima[:, 1:] = _NEVER
        return state

    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in the order in which the op takes them."""
        return (
            self.filters,
            self.history,
            self.bins,
            self.unfinished,
            self.progress,
            self.histograms,
            self.kept_power,
            self.maxima,
        )

    def reset(self, slot: int) -> None:
        """Forget everything about `slot`, for the next stream that will occupy it (no wait on a CUDA device)."""
        for tensor in self.tensors():
            tensor[slot].zero_()
        self.maxima[slot, 1:] = _NEVER


class LoudnessSummary(NamedTuple):
    """Programme loudness; None where a value does not exist (too short, all below the absolute gate, no signal).

    integrated, max_momentary, max_short_term in LUFS, range in LU, true_peak in dBTP.
    """

    integrated: float | None
    range: float | None
    true_peak: float | None
    max_momentary: float | None
    max_short_term: float | None


def loudness_summary(state: AudioState, slot: int) -> LoudnessSummary:
    """Loudness of everything that `slot` has heard since its last reset; copies five numbers to the host.

    Args:
        state: as updated by `measure_audio`.
        slot: the stream's slot.
    Returns: integrated loudness, loudness range, maximum true peak, maximum momentary and short-term loudness.
    Source: ITU-R BS.1770-5 annex 1 (gates at -70 LUFS and 10 LU below the loudness of what passes it), EBU Tech 3342
        (gate 20 LU below; 10th to 95th percentile). Ranks are rounded as FFmpeg's ebur128 rounds them. Unlike it, no
        range is given for fewer than five short-term values (it prints 20 LU there), and bin centres are used.
    """
    device = state.histograms.device
    loudness = (
        torch.arange(HISTOGRAM_BINS, dtype=torch.float64, device=device) + 0.5
    ) / HISTOGRAM_STEPS_PER_LU + ABSOLUTE_GATE
    counts = state.histograms[slot].to(torch.float64)
    mean_power = state.kept_power[slot] / counts.sum(dim=1)
    gates = 10 * torch.log10(mean_power) + LUFS_OFFSET - torch.tensor([10.0, 20.0], dtype=torch.float64, device=device)
    # The gate's own bin passes, as in FFmpeg: at most 0.01 LU below the gate.
    kept = torch.where(loudness[None] + 0.5 / HISTOGRAM_STEPS_PER_LU > gates[:, None], counts, 0.0)
    powers = 10.0 ** ((loudness - LUFS_OFFSET) / 10)
    total = kept.sum(dim=1)
    integrated = 10 * torch.log10((kept[0] * powers).sum() / total[0]) + LUFS_OFFSET
    rank = torch.floor(total[1] * torch.tensor([0.10, 0.95], dtype=torch.float64, device=device) + 0.5)
    reached = torch.searchsorted(kept[1].cumsum(0), rank).clamp(max=HISTOGRAM_BINS - 1)
    low, high = loudness[reached].unbind()
    loudness_range = torch.where(total[1] >= 5, high - low, torch.nan)
    true_peak, momentary, short_term = state.maxima[slot].unbind()
    values = torch.stack([integrated, loudness_range, 20 * torch.log10(true_peak), momentary, short_term]).tolist()
    return LoudnessSummary(*(value if math.isfinite(value) else None for value in values))

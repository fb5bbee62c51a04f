"""Batches -> Measures: the kernels, and the few columns that are put together from theirs.

One code path for the CPU and the GPU: the small arithmetic around the kernels is written once and runs on numpy views
of host tensors (a numpy call on a few values costs a tenth of a torch call) or on device tensors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.media import AudioBatch, FrameBatch, Measures, StreamTick
from engine.references import DeviceReferences, HostReferences, References
from engine.sound_trends import COLUMNS as TREND_COLUMNS
from engine.sound_trends import GAP_LONGEST_SECONDS, SoundTrends
from kernels.audio_stats import COLUMNS as AUDIO_KERNEL_COLUMNS
from kernels.audio_stats import AudioState, loudness_summary, measure_audio
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.edge_width import edge_width
from kernels.frame_stats import COLUMNS as FRAME_COLUMNS
from kernels.frame_stats import frame_stats
from kernels.layout import Field
from kernels.sound_features import FeatureState, sound_features

# An edge measure costs as much as decoding the picture. Blur does not come and go within a second, so it is measured
# this often, and at once when the picture's gradient says that something changed.
BLUR_INTERVAL_SECONDS = 1.0
BLUR_GRADIENT_CHANGE = 0.15
# A picture whose last measure was clearly below the threshold can only have become blurred by losing gradient, or by a
# cut to another scene, which changes the gradient either way: it is measured less often, and at once after those.
SHARP_INTERVAL_SECONDS = 4.0
SHARP_SHARE = 0.75
SHARP_GRADIENT_GAIN = 0.5
# A peak of 0 has no level in decibels; this is below the noise of any format.
SILENT = 1e-10
SILENCE_LUFS = -120.0

VIDEO_COLUMNS = (*FRAME_COLUMNS, *EDGE_COLUMNS)
AUDIO_COLUMNS = (*AUDIO_KERNEL_COLUMNS, "quiet", "true_peak_db", *TREND_COLUMNS)
STREAM_COLUMNS = ("decode_errors", "video_missing_seconds", "audio_missing_seconds")
COLUMNS: dict[str, tuple[str, ...]] = {"video": VIDEO_COLUMNS, "audio": AUDIO_COLUMNS, "stream": STREAM_COLUMNS}

# Detectors that need none of the columns of engine/sound_trends.py; where there are no others, those are not measured.
_WITHOUT_TRENDS = ("audio.silence", "audio.loudness", "audio.true_peak", "audio.clipping")

_MAFD = VIDEO_COLUMNS.index("mafd")
_GRADIENT = VIDEO_COLUMNS.index("gradient")
_BLUR = VIDEO_COLUMNS.index("blur")
_EDGES = slice(len(FRAME_COLUMNS), len(FRAME_COLUMNS) + len(EDGE_COLUMNS))
_QUIET_LEAD = AUDIO_COLUMNS.index("quiet_lead")
_QUIET = AUDIO_COLUMNS.index("quiet")
_TRUE_PEAK = AUDIO_COLUMNS.index("true_peak")
_TRUE_PEAK_DB = AUDIO_COLUMNS.index("true_peak_db")
_TRENDS = len(AUDIO_COLUMNS) - len(TREND_COLUMNS)


class Measure:
    """Runs the kernels over batches and keeps what they need from one batch to the next, per slot.

    Args:
        device: where the kernels run.
        slots: number of slots.
    """

    def __init__(self, device: torch.device, slots: int) -> None:
        self._device = device
        # The same names for what numpy and torch both have: `where`, `isnan`, `log10`.
        self._xp: Any = np if device.type == "cpu" else torch
        self._references: References = (
            HostReferences(slots) if device.type == "cpu" else DeviceReferences(slots, device)
        )
        self._audio = AudioState.allocate(slots, device)
        self._features = FeatureState.allocate(slots, device)
        self._trends = SoundTrends(device, slots)
        self._wants_trends: set[int] = set()
        self._freeze_noise = torch.zeros(slots, dtype=torch.float64, device=device)
        self._silence_noise = torch.zeros(slots, dtype=torch.float64, device=device)
        self._wants_blur = torch.zeros(slots, dtype=torch.bool, device=device)
        self._sharp_below = torch.zeros(slots, dtype=torch.float64, device=device)
        self._blur = torch.zeros(slots, dtype=torch.float64, device=device)
        self._blur_at = torch.full((slots,), torch.nan, dtype=torch.float64, device=device)
        self._blur_gradient = torch.zeros(slots, dtype=torch.float64, device=device)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]]) -> None:
        """A stream moves in.

        Args:
            slot: which is free.
            parameters: of its enabled detectors; some of them are the kernels' own.
        """
        self._references.forget(slot)
        self._audio.reset(slot)
        self._features.reset(slot)
        # A gap that is long enough to be a silence is told as that.
        longest = parameters.get("audio.dropout", {}).get("longest", GAP_LONGEST_SECONDS)
        self._trends.reset(slot, min(longest, parameters.get("audio.silence", {}).get("duration", longest)))
        judged = (name for name in parameters if not name.startswith(("video.", "stream.")))
        self._wants_trends.discard(slot)
        if any(name not in _WITHOUT_TRENDS for name in judged):
            self._wants_trends.add(slot)
        self._freeze_noise[slot] = parameters.get("video.freeze", {}).get("noise", 0.001)
        self._silence_noise[slot] = parameters.get("audio.silence", {}).get("noise", 0.001)
        self._wants_blur[slot] = "video.blur" in parameters
        self._sharp_below[slot] = SHARP_SHARE * parameters.get("video.blur", {}).get("threshold", 0.0)
        self._blur_at[slot] = torch.nan

    def close_slot(self, slot: int) -> None:
        """The stream has moved out: let go of its pictures."""
        self._wants_trends.discard(slot)
        self._references.forget(slot)

    def columns(self, track: str) -> tuple[str, ...]:
        """Names of the columns of a track's rows."""
        return COLUMNS[track]

    def loudness(self, slot: int) -> dict[str, float | None]:
        """Programme loudness of all that the slot's stream has played; see kernels.audio_stats.LoudnessSummary."""
        levels = loudness_summary(self._audio, slot)._asdict()
        # Digital silence reads as the logarithm's floor, which is no level.
        return {name: None if value is not None and value <= SILENCE_LUFS else value for name, value in levels.items()}

    def frames(self, batch: FrameBatch) -> Measures:
        """Measure pictures."""
        references, retain = self._references.rows(batch)
        frames = batch.frames.to(self._device, non_blocking=True)
        stats = frame_stats(frames, references, retain)
        self._references.update(batch, stats[:, _MAFD], self._freeze_noise)
        values = torch.full((len(batch.surfaces), len(VIDEO_COLUMNS)), torch.nan, dtype=torch.float64,
                            device=self._device)  # fmt: skip
        values[:, : len(FRAME_COLUMNS)] = stats
        self._measure_edges(batch, frames, values)
        return Measures("video", VIDEO_COLUMNS, batch.slots, batch.pts, batch.pts, values)

    def _measure_edges(self, batch: FrameBatch, frames: Tensor, values: Tensor) -> None:
        """Fill the edge columns of the rows that are due; the others stay NaN, which is "not measured"."""
        xp = self._xp
        slots, pts = self._local(batch.slots), self._local(batch.pts)
        at, last_gradient = self._view(self._blur_at), self._view(self._blur_gradient)
        last_blur, sharp_below = self._view(self._blur), self._view(self._sharp_below)
        gradient = self._view(values)[:, _GRADIENT]
        before = last_gradient[slots]
        sharp = last_blur[slots] < sharp_below[slots]  # False where it has no value: NaN
        interval = xp.where(sharp, SHARP_INTERVAL_SECONDS, BLUR_INTERVAL_SECONDS)
        gain = xp.where(sharp, SHARP_GRADIENT_GAIN, BLUR_GRADIENT_CHANGE)
        rested = abs(pts - at[slots]) < interval  # False where it was never measured: NaN
        same = (gradient >= (1 - BLUR_GRADIENT_CHANGE) * before) & (gradient <= (1 + gain) * before)
        due = self._view(self._wants_blur)[slots] & ~(rested & same)
        if self._device.type == "cpu" and not due.any():
            return  # on a GPU nobody knows without asking it, and skipped rows cost nothing
        table = frames.clone()
        address = self._view(table)[:, Field.LUMA_ADDRESS]
        self._view(table)[:, Field.LUMA_ADDRESS] = xp.where(due, address, 0)
        largest = max(surface.width * surface.height for surface in batch.surfaces)
        values[:, _EDGES] = edge_width(table, largest)
        at[slots] = xp.where(due, pts, at[slots])
        last_gradient[slots] = xp.where(due, gradient, before)
        last_blur[slots] = xp.where(due, self._view(values)[:, _BLUR], last_blur[slots])

    def sound(self, batch: AudioBatch) -> Measures:
        """Measure 100 ms blocks of sound."""
        slots = batch.slots.to(self._device, non_blocking=True)
        values = torch.empty((len(batch.slots), len(AUDIO_COLUMNS)), dtype=torch.float64, device=self._device)
        values[:, : len(AUDIO_KERNEL_COLUMNS)] = measure_audio(
            self._audio,
            batch.samples,
            batch.channels,
            batch.valid,
            batch.weights,
            batch.clip_level,
            slots,
            self._silence_noise[slots],
        )
        view = self._view(values)
        view[:, _QUIET] = view[:, _QUIET_LEAD] >= self._view(batch.valid)
        view[:, _TRUE_PEAK_DB] = 20 * self._xp.log10(view[:, _TRUE_PEAK].clip(SILENT))
        if self._wants_trends:
            features = sound_features(self._features, batch.samples, batch.channels, batch.valid, slots)
            self._trends.add(slots, features, batch.valid, values[:, _TRENDS:])
        else:
            values[:, _TRENDS:] = torch.nan
        until = batch.pts + batch.seconds
        return Measures("audio", AUDIO_COLUMNS, batch.slots, batch.pts, until, values)

    def ticks(self, ticks: Sequence[tuple[int, StreamTick]]) -> Measures:
        """Put the counters of ingest and decode into rows, at most one per slot."""
        values = [[float(getattr(tick, column)) for column in STREAM_COLUMNS] for _, tick in ticks]
        return Measures(
            "stream",
            STREAM_COLUMNS,
            torch.tensor([slot for slot, _ in ticks], dtype=torch.int64),
            torch.tensor([tick.start for _, tick in ticks], dtype=torch.float64),
            torch.tensor([tick.end for _, tick in ticks], dtype=torch.float64),
            torch.tensor(values, dtype=torch.float64, device=self._device),
        )

    def _view(self, tensor: Tensor) -> Any:
        """What the arithmetic runs on: a numpy view on the host, the tensor itself on a GPU."""
        return tensor.numpy() if self._device.type == "cpu" else tensor

    def _local(self, tensor: Tensor) -> Any:
        """A host tensor, brought to where the arithmetic runs."""
        return self._view(tensor.to(self._device, non_blocking=True))

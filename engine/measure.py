"""Batches -> Measures: the kernels, and the few columns that are put together from theirs.

One code path for the CPU and the GPU: the small arithmetic around the kernels is written once and runs on numpy views
of host tensors (a numpy call on a few values costs a tenth of a torch call) or on device tensors.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.ingest.transport import COLUMNS as TRANSPORT_COLUMNS
from engine.media import AudioBatch, FrameBatch, Measures, StreamTick
from engine.references import DeviceReferences, HostReferences, References
from engine.schedule import Schedule
from engine.sound_trends import COLUMNS as TREND_COLUMNS
from engine.sound_trends import GAP_LONGEST_SECONDS, SoundTrends
from kernels.active_area import COLUMNS as AREA_COLUMNS
from kernels.active_area import active_area
from kernels.audio_stats import COLUMNS as AUDIO_KERNEL_COLUMNS
from kernels.audio_stats import AudioState, loudness_summary, measure_audio
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.edge_width import edge_width
from kernels.frame_stats import COLUMNS as FRAME_COLUMNS
from kernels.frame_stats import frame_stats
from kernels.layout import Field
from kernels.sound_features import FeatureState, sound_features
from kernels.temporal import COLUMNS as TEMPORAL_COLUMNS
from kernels.temporal import Range, new_state, temporal
from kernels.texture import COLUMNS as TEXTURE_COLUMNS
from kernels.texture import texture
from kernels.tile_stats import tile_stats

# An edge measure costs as much as decoding the picture. Blur does not come and go within a second, so it is measured
# this often, and at once when the picture's gradient says that something changed.
BLUR_INTERVAL_SECONDS = 1.0
BLUR_GRADIENT_CHANGE = 0.15
# A picture whose last measure was clearly below the threshold can only have become blurred by losing gradient, or by a
# cut to another scene, which changes the gradient either way: it is measured less often, and at once after those.
SHARP_INTERVAL_SECONDS = 4.0
SHARP_SHARE = 0.75
SHARP_GRADIENT_GAIN = 0.5
# Texture costs less than an edge measure. What it shows lasts, and most of what brings it changes the gradient.
TEXTURE_INTERVAL_SECONDS = 1.0
TEXTURE_GRADIENT_CHANGE = 0.15
# A picture that had a mean saturation of at least this much had colour, in shares of full scale (3 of 256).
COLOURFUL = 3 / 256
# Below this gradient (half an 8-bit code) a picture is too empty for its colour to be missed.
EMPTY_GRADIENT = 0.5 / 256
# A chroma plane with less gradient than this (a twentieth of a code), beside one with four times as much, is lost; so
# is one whose mean is outside limited range.
LOST_GRADIENT = 0.05 / 256
LOWEST_CHROMA = 16 / 256
HIGHEST_CHROMA = 240 / 256
AREA_INTERVAL_SECONDS = 1.0
AREA_GRADIENT_CHANGE = 0.1
# Bars lie in the middle of nothing: the same on both sides, to this share. What is dark on one side only is a scene.
BAR_SYMMETRY = 0.03
# A shape that has been kept for so long is the stream's own.
ADOPT_SECONDS = 60.0
# FFmpeg's blackdetect: picture_black_ratio_th.
BLACK_RATIO = 0.98
# A peak of 0 has no level in decibels; this is below the noise of any format.
SILENT = 1e-10
SILENCE_LUFS = -120.0

VIDEO_COLUMNS = (
    *FRAME_COLUMNS,
    *EDGE_COLUMNS,
    *TEMPORAL_COLUMNS,
    *TEXTURE_COLUMNS,
    "chroma_loss",
    *AREA_COLUMNS,
    "letterbox",
)
AUDIO_COLUMNS = (*AUDIO_KERNEL_COLUMNS, "quiet", "true_peak_db", *TREND_COLUMNS)
TICK_COLUMNS = ("decode_errors", "video_missing_seconds", "audio_missing_seconds", "stall_seconds")
STREAM_COLUMNS = (*TICK_COLUMNS, *TRANSPORT_COLUMNS)
COLUMNS: dict[str, tuple[str, ...]] = {"video": VIDEO_COLUMNS, "audio": AUDIO_COLUMNS, "stream": STREAM_COLUMNS}

_MAFD = VIDEO_COLUMNS.index("mafd")
_GRADIENT = VIDEO_COLUMNS.index("gradient")
_BLACK = VIDEO_COLUMNS.index("black_ratio")
_SPREAD = VIDEO_COLUMNS.index("colour_spread")
_BLUR = VIDEO_COLUMNS.index("blur")
_EDGES = slice(len(FRAME_COLUMNS), len(FRAME_COLUMNS) + len(EDGE_COLUMNS))
_TEMPORAL = slice(_EDGES.stop, _EDGES.stop + len(TEMPORAL_COLUMNS))
_TEXTURE = slice(_TEMPORAL.stop, _TEMPORAL.stop + len(TEXTURE_COLUMNS))
_U_MEAN, _V_MEAN, _SATURATION, _U_GRADIENT, _V_GRADIENT = (
    VIDEO_COLUMNS.index(name) for name in ("u_mean", "v_mean", "saturation", "u_gradient", "v_gradient")
)
_COMBING, _CHROMA_LOSS = VIDEO_COLUMNS.index("combing"), VIDEO_COLUMNS.index("chroma_loss")
_RANGES = [VIDEO_COLUMNS.index(name) for name in ("out_of_range", "out_of_tolerance")]
_EDGE_NAMES, _TEMPORAL_NAMES = frozenset(EDGE_COLUMNS), frozenset(TEMPORAL_COLUMNS)
_AREA_NAMES = frozenset((*AREA_COLUMNS, "letterbox"))
_AREA = slice(VIDEO_COLUMNS.index(AREA_COLUMNS[0]), VIDEO_COLUMNS.index(AREA_COLUMNS[0]) + len(AREA_COLUMNS))
_LETTERBOX = VIDEO_COLUMNS.index("letterbox")
_TREND_NAMES = frozenset(TREND_COLUMNS)
_TEXTURE_NAMES = frozenset((*TEXTURE_COLUMNS, "chroma_loss"))
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
        self._blur_schedule = Schedule(slots, device)
        self._texture_schedule = Schedule(slots, device)
        self._colour = self._column(slots)  # saturation of the last colourful picture
        self._sharp_below = self._column(slots)
        self._blur = self._column(slots)
        self._area_schedule = Schedule(slots, device)
        # The bars that the stream has as a rule, of both directions, NaN until known; and since when it has others.
        self._usual_bars = self._column(slots), self._column(slots)
        self._bars_since = self._column(slots)
        self._temporal_state = new_state(slots, device)
        self._wants_temporal: set[int] = set()  # slots

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        """A stream moves in.

        Args:
            slot: which is free.
            parameters: of its enabled detectors; some of them are the kernels' own.
            wanted: columns that its detectors judge; a kernel none of whose columns is among them does not run.
        """
        self._references.forget(slot)
        self._audio.reset(slot)
        self._features.reset(slot)
        # A gap that is long enough to be a silence is told as that.
        longest = parameters.get("audio.dropout", {}).get("longest", GAP_LONGEST_SECONDS)
        self._trends.reset(slot, min(longest, parameters.get("audio.silence", {}).get("duration", longest)))
        self._wants_trends.discard(slot)
        if not _TREND_NAMES.isdisjoint(wanted):
            self._wants_trends.add(slot)
        self._freeze_noise[slot] = parameters.get("video.freeze", {}).get("noise", 0.001)
        self._silence_noise[slot] = parameters.get("audio.silence", {}).get("noise", 0.001)
        self._blur_schedule.open_slot(slot, not _EDGE_NAMES.isdisjoint(wanted))
        self._texture_schedule.open_slot(slot, not _TEXTURE_NAMES.isdisjoint(wanted))
        self._area_schedule.open_slot(slot, not _AREA_NAMES.isdisjoint(wanted))
        for column in (*self._usual_bars, self._bars_since):
            column[slot] = torch.nan
        self._colour[slot] = 0.0
        self._sharp_below[slot] = SHARP_SHARE * parameters.get("video.blur", {}).get("threshold", 0.0)
        self._temporal_state[slot] = new_state(1, self._device)[0]
        self._wants_temporal.discard(slot)
        if not _TEMPORAL_NAMES.isdisjoint(wanted):
            self._wants_temporal.add(slot)

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
        values = torch.full((len(batch.surfaces), len(VIDEO_COLUMNS)), torch.nan, dtype=torch.float64,
                            device=self._device)  # fmt: skip
        values[:, : len(FRAME_COLUMNS)] = stats
        view, slots, pts = self._view(values), self._local(batch.slots), self._local(batch.pts)
        self._measure_edges(batch, frames, view, slots, pts)
        self._measure_texture(batch, frames, view, slots, pts)
        self._measure_area(frames, view, slots, pts)
        if self._wants_temporal:
            self._measure_change(batch, frames, references, values)
        # Last: it lets go of the earlier pictures, whose planes the kernels have been reading.
        self._references.update(batch, stats[:, _MAFD], self._freeze_noise)
        return Measures("video", VIDEO_COLUMNS, batch.slots, batch.pts, batch.pts, values)

    def _measure_edges(self, batch: FrameBatch, frames: Tensor, view: Any, slots: Any, pts: Any) -> None:
        """Fill the edge columns of the rows that are due; the others stay NaN, which is "not measured"."""
        xp = self._xp
        last_blur = self._blur
        sharp = last_blur[slots] < self._sharp_below[slots]  # False where it has no value: NaN
        due = self._blur_schedule.due(
            slots,
            pts,
            view[:, _GRADIENT],
            interval=xp.where(sharp, SHARP_INTERVAL_SECONDS, BLUR_INTERVAL_SECONDS),
            loss=BLUR_GRADIENT_CHANGE,
            gain=xp.where(sharp, SHARP_GRADIENT_GAIN, BLUR_GRADIENT_CHANGE),
        )
        if self._device.type == "cpu" and not due.any():
            return  # on a GPU nobody knows without asking it, and skipped rows cost nothing
        table = self._only(due, frames)
        largest = max(surface.width * surface.height for surface in batch.surfaces)
        view[:, _EDGES] = self._view(edge_width(table, largest))
        last_blur[slots] = xp.where(due, view[:, _BLUR], last_blur[slots])

    def _measure_change(self, batch: FrameBatch, frames: Tensor, references: Tensor, values: Tensor) -> None:
        """Fill the columns of what tiles do over time, for the slots that a detector of these judges."""
        wanted = [slot in self._wants_temporal for slot in batch.slots.tolist()]
        if not all(wanted):
            if not any(wanted):
                return
            frames = frames * torch.tensor(wanted, device=self._device)[:, None]  # address 0: not measured
        ranges = [Range.FULL if surface.full_range else Range.LIMITED for surface in batch.surfaces]
        values[:, _TEMPORAL] = temporal(
            tile_stats(frames, references),
            values[:, _MAFD],
            values[:, _GRADIENT],
            batch.pts.to(self._device, non_blocking=True),
            torch.tensor(ranges, device=self._device),
            batch.slots.to(self._device, non_blocking=True),
            self._temporal_state,
        )
        # Black has one colour too, and a name of its own: an incident of one colour ends where black begins.
        view = self._view(values)
        view[:, _SPREAD] = self._xp.where(view[:, _BLACK] >= BLACK_RATIO, 1.0, view[:, _SPREAD])

    def _measure_texture(self, batch: FrameBatch, frames: Tensor, view: Any, slots: Any, pts: Any) -> None:
        """Fill the texture columns of the rows that are due; the others stay NaN."""
        xp = self._xp
        gradient = view[:, _GRADIENT]
        due = self._texture_schedule.due(
            slots,
            pts,
            gradient,
            interval=TEXTURE_INTERVAL_SECONDS,
            loss=TEXTURE_GRADIENT_CHANGE,
            gain=TEXTURE_GRADIENT_CHANGE,
        )
        if self._device.type == "cpu" and not due.any():
            return
        view[:, _TEXTURE] = self._view(texture(self._only(due, frames)))
        for row, surface in enumerate(batch.surfaces):  # times 0: rows that are not due stay NaN
            if surface.full_range:
                view[row, _RANGES] *= 0.0  # nothing can be
            if surface.interlaced:
                view[row, _COMBING] *= 0.0  # as it should be: whoever shows it knows that it has two fields
        # What is left of the colour that there was; of a plane that is lost, nothing.
        colour, saturation = self._colour, view[:, _SATURATION]
        before = colour[slots]
        less = xp.minimum(view[:, _U_GRADIENT], view[:, _V_GRADIENT])
        more = xp.maximum(view[:, _U_GRADIENT], view[:, _V_GRADIENT])
        lowest = xp.minimum(view[:, _U_MEAN], view[:, _V_MEAN])
        highest = xp.maximum(view[:, _U_MEAN], view[:, _V_MEAN])
        plane_lost = (less < LOST_GRADIENT) & (more > 4 * LOST_GRADIENT)
        plane_lost |= (lowest < LOWEST_CHROMA) | (highest > HIGHEST_CHROMA)
        faded = xp.where(before > 0, (1 - saturation / xp.where(before > 0, before, 1.0)).clip(0.0, 1.0), 0.0)
        loss = xp.where(plane_lost, 1.0, faded)
        empty = (gradient < EMPTY_GRADIENT) | xp.isnan(saturation)
        view[:, _CHROMA_LOSS] = xp.where(due, xp.where(empty, 0.0, loss), torch.nan)
        colourful = due & ~plane_lost & (saturation >= COLOURFUL)
        colour[slots] = xp.where(colourful, saturation, before)

    def _measure_area(self, frames: Tensor, view: Any, slots: Any, pts: Any) -> None:
        """Fill the columns of black bars of the rows that are due; the others stay NaN.

        `letterbox` is how much more of the height or width is bars than this stream has as a rule, or, where there are
        bars on all four sides, the smaller of both.
        """
        xp = self._xp
        due = self._area_schedule.due(
            slots,
            pts,
            view[:, _GRADIENT],
            interval=AREA_INTERVAL_SECONDS,
            loss=AREA_GRADIENT_CHANGE,
            gain=AREA_GRADIENT_CHANGE,
        )
        if self._device.type == "cpu" and not due.any():
            return
        view[:, _AREA] = self._view(active_area(self._only(due, frames)))
        top, bottom, left, right = (view[:, column] for column in range(_AREA.start, _AREA.stop))
        black = view[:, _BLACK] >= BLACK_RATIO  # says nothing of the shape
        judged = due & ~black
        more, narrower = xp.zeros_like(top), xp.zeros_like(top) == 0
        inner = []
        for usual, first, second in zip(self._usual_bars, (top, left), (bottom, right), strict=True):
            bars = xp.where(abs(first - second) <= BAR_SYMMETRY, first + second, 0.0)
            own = xp.where(judged & ~(usual[slots] <= bars), bars, usual[slots])  # unknown so far, or larger: NaN too
            usual[slots] = own
            more = xp.maximum(more, bars - own)
            narrower = narrower & (bars > BAR_SYMMETRY)
            inner.append(bars)
        since = xp.where(judged & ~(more > BAR_SYMMETRY), torch.nan, self._bars_since[slots])
        since = xp.where(judged & (more > BAR_SYMMETRY) & xp.isnan(since), pts, since)
        adopted = judged & (pts - since >= ADOPT_SECONDS)
        for usual, bars in zip(self._usual_bars, inner, strict=True):
            usual[slots] = xp.where(adopted, bars, usual[slots])
        self._bars_since[slots] = xp.where(adopted, torch.nan, since)
        windowed = xp.where(narrower, xp.minimum(*inner), 0.0)
        score = xp.maximum(xp.where(adopted, 0.0, more), windowed)
        view[:, _LETTERBOX] = xp.where(judged, score, torch.nan)

    def _only(self, due: Any, frames: Tensor) -> Tensor:
        """The table of frames, with the rows that are not due to be skipped."""
        table = frames.clone()
        address = self._view(table)[:, Field.LUMA_ADDRESS]
        address[:] = self._xp.where(due, address, 0)
        return table

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
        values = [
            [float(getattr(tick, column)) for column in TICK_COLUMNS]
            + [tick.transport.get(column, math.nan) for column in TRANSPORT_COLUMNS]
            for _, tick in ticks
        ]
        return Measures(
            "stream",
            STREAM_COLUMNS,
            torch.tensor([slot for slot, _ in ticks], dtype=torch.int64),
            torch.tensor([tick.start for _, tick in ticks], dtype=torch.float64),
            torch.tensor([tick.end for _, tick in ticks], dtype=torch.float64),
            torch.tensor(values, dtype=torch.float64, device=self._device),
        )

    def _column(self, slots: int) -> Any:
        """One number per slot, as the arithmetic wants it: a numpy view on the host, else a tensor."""
        return self._view(torch.zeros(slots, dtype=torch.float64, device=self._device))

    def _view(self, tensor: Tensor) -> Any:
        """What the arithmetic runs on: a numpy view on the host, the tensor itself on a GPU."""
        return tensor.numpy() if self._device.type == "cpu" else tensor

    def _local(self, tensor: Tensor) -> Any:
        """A host tensor, brought to where the arithmetic runs."""
        return self._view(tensor.to(self._device, non_blocking=True))

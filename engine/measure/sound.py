"""100 ms blocks of sound -> their columns."""

from collections.abc import Collection, Mapping
from typing import Final

import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import AUDIO_COLUMNS
from engine.media import AudioBatch, Measures
from engine.sound_trends import COLUMNS as TREND_COLUMNS
from engine.sound_trends import GAP_LONGEST_SECONDS, SoundTrends
from kernels.audio_stats import COLUMNS as AUDIO_KERNEL_COLUMNS
from kernels.audio_stats import AudioState, loudness_summary, measure_audio
from kernels.sound_features import FeatureState, sound_features

# A peak of 0 has no level in decibels; this is below the noise of any format.
SILENT: Final = 1e-10
SILENCE_LUFS: Final = -120.0

_QUIET_LEAD, _QUIET = AUDIO_COLUMNS.index("quiet_lead"), AUDIO_COLUMNS.index("quiet")
_TRUE_PEAK, _TRUE_PEAK_DB = AUDIO_COLUMNS.index("true_peak"), AUDIO_COLUMNS.index("true_peak_db")
_TRENDS: Final = len(AUDIO_COLUMNS) - len(TREND_COLUMNS)
_TREND_NAMES: Final = frozenset(TREND_COLUMNS)


class Sound:
    """The kernels of sound, and their state per slot.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        device = arithmetic.device
        self._arithmetic = arithmetic
        self._audio = AudioState.allocate(slots, device)
        self._features = FeatureState.allocate(slots, device)
        self._trends = SoundTrends(device, slots)
        self._wants_trends: set[int] = set()
        self._noise = torch.zeros(slots, dtype=torch.float64, device=device)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        """A stream moves in; as `Part.open_slot`."""
        silence = parameters.get("audio.silence", {})
        self._audio.reset(slot)
        self._features.reset(slot)
        # A gap that is long enough to be a silence is told as that.
        longest = parameters.get("audio.dropout", {}).get("longest", GAP_LONGEST_SECONDS)
        self._trends.reset(slot, min(longest, silence.get("duration", longest)))
        self._wants_trends.discard(slot)
        if not _TREND_NAMES.isdisjoint(wanted):
            self._wants_trends.add(slot)
        self._noise[slot] = silence.get("noise", 0.001)

    def close_slot(self, slot: int) -> None:
        """The stream has moved out."""
        self._wants_trends.discard(slot)

    def loudness(self, slot: int) -> dict[str, float | None]:
        """Programme loudness of all that the slot's stream has played; see kernels.audio_stats.LoudnessSummary."""
        levels = loudness_summary(self._audio, slot)._asdict()
        # Digital silence reads as the logarithm's floor, which is no level.
        return {name: None if value is not None and value <= SILENCE_LUFS else value for name, value in levels.items()}

    def measure(self, batch: AudioBatch) -> Measures:
        """Measure blocks."""
        arithmetic = self._arithmetic
        slots = batch.slots.to(arithmetic.device, non_blocking=True)
        values = torch.empty((len(batch.slots), len(AUDIO_COLUMNS)), dtype=torch.float64, device=arithmetic.device)
        values[:, : len(AUDIO_KERNEL_COLUMNS)] = measure_audio(
            self._audio,
            batch.samples,
            batch.channels,
            batch.valid,
            batch.weights,
            batch.clip_level,
            slots,
            self._noise[slots],
        )
        view = arithmetic.view(values)
        view[:, _QUIET] = view[:, _QUIET_LEAD] >= arithmetic.view(batch.valid)
        view[:, _TRUE_PEAK_DB] = 20 * arithmetic.xp.log10(view[:, _TRUE_PEAK].clip(SILENT))
        if self._wants_trends:
            features = sound_features(self._features, batch.samples, batch.channels, batch.valid, slots)
            self._trends.add(slots, features, batch.valid, values[:, _TRENDS:])
        else:
            values[:, _TRENDS:] = torch.nan
        until = batch.pts + batch.seconds
        return Measures("audio", AUDIO_COLUMNS, batch.slots, batch.pts, until, values)

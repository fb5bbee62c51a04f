"""The kernels of sound on the CPU, straight from one to the next: their ops' dispatcher takes as long as they do."""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from engine.measure.columns import AUDIO_COLUMNS
from engine.media import AudioBatch
from kernels.audio_stats import COLUMNS as STATS_COLUMNS
from kernels.audio_stats import AudioState
from kernels.audio_stats.cpu import measure as audio_stats
from kernels.audio_stats.filters import INTERPOLATOR
from kernels.sound_features import FeatureState
from kernels.sound_features.cpu import measure as sound_features
from kernels.sound_features.layout import FEATURES, HUM_TABLE
from kernels.sound_repeats import COLUMNS as REPEAT_COLUMNS
from kernels.sound_repeats import RepeatState
from kernels.sound_repeats.cpu import measure as sound_repeats
from kernels.sound_trends import COLUMNS as TREND_COLUMNS
from kernels.sound_trends import TrendState
from kernels.sound_trends.cpu import follow as sound_trends

_STATS: Final = len(STATS_COLUMNS)
_TRENDS: Final = slice(_STATS, _STATS + len(TREND_COLUMNS))
_REPEATS: Final = slice(_TRENDS.stop, _TRENDS.stop + len(REPEAT_COLUMNS))
_MOMENTARY: Final = STATS_COLUMNS.index("momentary")


class HostSound:
    """Fills the rows of blocks.

    Args:
        audio, features, trends, repeats: the state of all slots, on the host.
        noise: (S,) float64: what is silence.
    """

    def __init__(
        self, audio: AudioState, features: FeatureState, trends: TrendState, repeats: RepeatState,
        noise: npt.NDArray[np.float64],
    ) -> None:  # fmt: skip
        self._audio = tuple(tensor.numpy() for tensor in audio.tensors())
        self._features = features.history.numpy(), features.known.numpy()
        self._repeats = repeats.ring.numpy(), repeats.coarse.numpy(), repeats.scalars.numpy()
        self._trends, self._noise = trends.values.numpy(), noise

    def rows(self, batch: AudioBatch, *, trends: bool, repeats: bool) -> torch.Tensor:
        """(N, len(AUDIO_COLUMNS)) float64; those of `sound_trends` and `sound_repeats` only where they are wanted."""
        slots, samples, channels = batch.slots.numpy(), batch.samples.numpy(), batch.channels.numpy()
        valid, weights, level = batch.valid.numpy(), batch.weights.numpy(), batch.clip_level.numpy()
        count = len(slots)
        values, stats = np.full((count, len(AUDIO_COLUMNS)), np.nan), np.empty((count, _STATS))
        audio_stats(
            samples, channels, valid, weights, level, slots, self._noise[slots], *self._audio, INTERPOLATOR, stats
        )
        values[:, :_STATS] = stats
        if trends:
            found = np.empty((count, FEATURES))
            sound_features(samples, channels, valid, slots, *self._features, HUM_TABLE, found)
            sound_trends(found, valid, weights, values[:, _MOMENTARY], slots, self._trends, values[:, _TRENDS])
        if repeats:
            sound_repeats(samples, channels, valid, slots, *self._repeats, values[:, _REPEATS])
        return torch.from_numpy(values)

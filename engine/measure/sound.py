"""100 ms blocks of sound -> their columns.

On a GPU what is launched for a batch is recorded once per size and played back, as for pictures (graphs.py).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import AUDIO_COLUMNS
from engine.measure.graphs import Graphs, Record
from engine.measure.host_sound import HostSound
from engine.measure.listening import COLUMNS as LISTENING_COLUMNS
from engine.measure.listening import AudioNetworkUse, Listening
from engine.measure.sound_table import SoundInputs, stage_sound
from engine.media import AudioBatch, Follower, Measures
from kernels.audio_stats import COLUMNS as STATS_COLUMNS
from kernels.audio_stats import AudioState, loudness_summary, measure_audio
from kernels.sound_features import FeatureState, sound_features
from kernels.sound_repeats import COLUMNS as REPEAT_COLUMNS
from kernels.sound_repeats import RepeatState, sound_repeats
from kernels.sound_trends import COLUMNS as TREND_COLUMNS
from kernels.sound_trends import TrendState, sound_trends
from kernels.sound_trends.layout import GAP_LONGEST_SECONDS, SILENCE_EDGES_SECONDS

SILENCE_LUFS: Final = -120.0
# EBU R 128.
TARGET_LUFS: Final = -23.0

_STATS: Final = len(STATS_COLUMNS)
_TRENDS: Final = slice(_STATS, _STATS + len(TREND_COLUMNS))
_REPEATS: Final = slice(_TRENDS.stop, _TRENDS.stop + len(REPEAT_COLUMNS))
_MOMENTARY: Final = STATS_COLUMNS.index("momentary")
_PROGRAMME_ERROR: Final = AUDIO_COLUMNS.index("programme_error")
_LISTENING: Final = slice(AUDIO_COLUMNS.index(LISTENING_COLUMNS[0]), AUDIO_COLUMNS.index(LISTENING_COLUMNS[-1]) + 1)
_TREND_NAMES: Final = frozenset(TREND_COLUMNS)
_REPEAT_NAMES: Final = frozenset(REPEAT_COLUMNS)


class Sound:
    """The kernels of sound, and their state per slot.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        network: how the audio network is used; None leaves it out.
        record: how launches are recorded to be played back; None launches everything one by one.
        followers: who keeps something of the rows, where the arithmetic is not on the host.
    """

    def __init__(
        self,
        arithmetic: Arithmetic,
        slots: int,
        network: AudioNetworkUse | None = None,
        *,
        record: Record | None = None,
        followers: Sequence[Follower] = (),
    ) -> None:
        device = arithmetic.device
        self._device = device
        self._graphs: Graphs[SoundInputs] = Graphs(device, record)
        self._followers = tuple(followers)
        self._spare_slot = slots
        self._channels = 1  # most of all blocks so far
        if not arithmetic.on_host:
            slots *= 2  # rows that fill up a batch are fewer than those of streams, and each has a slot of its own
        self._audio = AudioState.allocate(slots, device)
        self._features = FeatureState.allocate(slots, device)
        self._trends = TrendState.allocate(slots, device)
        self._repeats = RepeatState.allocate(slots, device)
        self._wants_trends: set[int] = set()
        self._wants_repeats: set[int] = set()
        self._targets: dict[int, float] = {}  # of the slots whose whole programme is judged, LUFS
        self._noise = torch.zeros(slots, dtype=torch.float64, device=device)
        self.listening = None if network is None else Listening(device, slots, network, record)
        self._on_host: HostSound | None = None
        if arithmetic.on_host:
            self._on_host = HostSound(self._audio, self._features, self._trends, self._repeats, self._noise.numpy())

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        """A stream moves in; as `Part.open_slot`."""
        silence = parameters.get("audio.silence", {})
        self._audio.reset(slot)
        self._features.reset(slot)
        self._repeats.reset(slot)
        # A gap that is long enough to be a silence is told as that.
        longest = parameters.get("audio.dropout", {}).get("longest", GAP_LONGEST_SECONDS)
        target = parameters.get("audio.minute_loudness", {}).get("target", TARGET_LUFS)
        silent = silence.get("duration", longest + SILENCE_EDGES_SECONDS) - SILENCE_EDGES_SECONDS
        self._trends.reset(slot, min(longest, silent), target)
        self._want_nothing(slot)
        if not _TREND_NAMES.isdisjoint(wanted):
            self._wants_trends.add(slot)
        if not _REPEAT_NAMES.isdisjoint(wanted):
            self._wants_repeats.add(slot)
        if "programme_error" in wanted:
            self._targets[slot] = parameters.get("audio.programme_loudness", {}).get("target", TARGET_LUFS)
        self._noise[slot] = silence.get("noise", 0.001)
        if self.listening is not None:
            self.listening.open_slot(slot, wanted)

    def close_slot(self, slot: int) -> None:
        """The stream has moved out."""
        self._want_nothing(slot)
        if self.listening is not None:
            self.listening.close_slot(slot)

    def _want_nothing(self, slot: int) -> None:
        self._wants_trends.discard(slot)
        self._wants_repeats.discard(slot)
        self._targets.pop(slot, None)

    def loudness(self, slot: int) -> dict[str, float | None]:
        """Programme loudness of all that the slot's stream has played; see kernels.audio_stats.LoudnessSummary."""
        levels = loudness_summary(self._audio, slot)._asdict()
        # Digital silence reads as the logarithm's floor, which is no level.
        return {name: None if value is not None and value <= SILENCE_LUFS else value for name, value in levels.items()}

    def programme(self, slot: int, end: float) -> Measures | None:
        """The row that a programme's end adds: how far its loudness is from the target; None where nobody judges it.

        Args:
            slot: of the stream that has ended.
            end: media second up to which it was heard; the row is of all before it.
        """
        integrated = self.loudness(slot)["integrated"] if slot in self._targets else None
        if integrated is None:
            return None
        values = torch.full((1, len(AUDIO_COLUMNS)), math.nan, dtype=torch.float64, device=self._device)
        values[0, _PROGRAMME_ERROR] = abs(integrated - self._targets[slot])
        start, until = torch.zeros(1, dtype=torch.float64), torch.tensor([end], dtype=torch.float64)
        return Measures("audio", AUDIO_COLUMNS, torch.tensor([slot]), start, until, values)

    @property
    def graph_problem(self) -> str:
        """As `Measure.graph_problem`."""
        heard = "" if self.listening is None else self.listening.graph_problem
        return self._graphs.problem or heard

    @property
    def replays(self) -> int:
        """Batches that were played back from a recording."""
        return self._graphs.replays

    def measure(self, batch: AudioBatch) -> Measures:
        """Measure blocks."""
        until = batch.pts + batch.seconds
        listening = self.listening if self.listening is not None and self.listening.runs else None
        if listening is not None:
            # Before what is recorded: it is due now and then only, and what it says waits in the slots' memory.
            listening.hear(batch)
        if self._on_host is not None:
            values = self._on_host.rows(batch, trends=bool(self._wants_trends), repeats=bool(self._wants_repeats))
            if listening is not None:
                values[:, _LISTENING] = listening.said[batch.slots]
            return Measures("audio", AUDIO_COLUMNS, batch.slots, batch.pts, until, values)
        count = len(batch.slots)
        rows = self._graphs.rows(count)
        # Room is never given back: what was recorded with it can be played again.
        channels = self._channels = max(self._channels, batch.samples.shape[1])
        for follower in self._followers:
            follower.before(batch.slots.numpy(), batch.pts.numpy())
        staged = stage_sound(batch, rows, channels, self._spare_slot, pinned=self._device.type == "cuda")
        values, inputs = self._graphs.run(
            (channels, bool(self._wants_trends), bool(self._wants_repeats), listening is not None),
            rows,
            lambda: SoundInputs(rows, channels, self._device),
            staged,
            self._launch,
        )
        there = inputs.slots[:count], inputs.pts[:count], inputs.until[:count]
        return Measures(
            "audio", AUDIO_COLUMNS, batch.slots, batch.pts, until, values[:count],
            device_rows=there, kept=bool(self._followers),
        )  # fmt: skip

    def _launch(self, inputs: SoundInputs) -> Tensor:
        """What runs on a device for a batch, launch by launch."""
        values = self._measured(
            inputs.samples, inputs.channels, inputs.valid, inputs.weights, inputs.clip_level, inputs.slots
        )
        for follower in self._followers:
            follower.keep(inputs.followed, inputs.pts, values)
        return values

    def _measured(
        self, samples: Tensor, channels: Tensor, valid: Tensor, weights: Tensor, clip_level: Tensor, slots: Tensor
    ) -> Tensor:
        """(N, columns) of N blocks; arguments as those of `measure_audio`."""
        values = torch.full((len(slots), len(AUDIO_COLUMNS)), math.nan, dtype=torch.float64, device=self._device)
        values[:, :_STATS] = measure_audio(
            self._audio, samples, channels, valid, weights, clip_level, slots, self._noise[slots]
        )
        if self._wants_trends:
            features = sound_features(self._features, samples, channels, valid, slots)
            momentary, trends = values[:, _MOMENTARY], values[:, _TRENDS]
            sound_trends(self._trends, features, valid, weights, momentary, slots, trends)
        if self._wants_repeats:
            sound_repeats(self._repeats, samples, channels, valid, slots, values[:, _REPEATS])
        if self.listening is not None and self.listening.runs:
            values[:, _LISTENING] = self.listening.said[slots]
        return values

"""What the audio network says of sound: two seconds of it now and then.

A stream's last two seconds are heard as often as its rate says, by its own time; what was said holds until it should
have listened again, and half as long once more. Nothing is heard of the first two seconds, nor across a gap.

On the CPU each window goes through the network by itself; on a GPU in batches of one size, which are filled up with
whatever lies there, and one, two or four of them by launches that are recorded and played back (graphs.py). So what is
said of a stream depends on nothing but the stream.
"""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from engine.measure.graphs import Graphs, Record
from engine.measure.listening_table import WindowInputs, stage_windows
from engine.measure.network import network_dtype
from engine.media import AudioBatch
from engine.speech import Speech
from models.audio_hearing import SAMPLE_RATE, WINDOW_SAMPLES, WINDOW_SECONDS
from models.audio_labels import DEFECTS, LABELS
from models.audio_weights import Audio

BLOCK_SAMPLES: Final = 4_800
BLOCKS: Final = WINDOW_SAMPLES // BLOCK_SAMPLES
# Windows that go through the network together on a GPU, and how many such batches are played back at once at most: what
# is uploaded for each number of them, 12 MB a batch, stays in its memory.
CUDA_BATCH: Final = 16
CUDA_BATCHES: Final = 4
HOLD_INTERVALS: Final = 1.5
COLUMNS: Final = (*(f"network_{label}" for label in LABELS), "network_sound")
# Measures of sound that somebody judges who may want to know what the network makes of it.
_NAMES: Final = frozenset((*COLUMNS, "hum", "hiss", "click", "clipped", "dropout"))
_GAP_SECONDS: Final = 0.060
_EARLY: Final = 1e-6
_SPEECH: Final = LABELS.index("speech")


@dataclass(frozen=True, slots=True, eq=False)
class AudioNetworkUse:
    """How an engine uses the audio network.

    Args:
        audio: the network with its weights.
        rate: windows per second of each stream.
    """

    audio: Audio
    rate: float


class Listening:
    """The audio network, and the last two seconds of each slot's sound.

    Args:
        device: where the network runs.
        slots: number of slots.
        use: how.
        record: how launches are recorded to be played back; None launches everything one by one. Not for the CPU.
    """

    def __init__(self, device: torch.device, slots: int, use: AudioNetworkUse, record: Record | None = None) -> None:
        self._device, self._rate = device, use.rate
        self._on_cpu = device.type == "cpu"
        if self._on_cpu:
            torch.set_num_threads(1)  # as for the artifact network
        self._graphs: Graphs[WindowInputs] = Graphs(device, record)
        self._spare_slot = slots  # of windows that fill up a batch
        self._net = copy.deepcopy(use.audio.net).convolutions_to(network_dtype(device)).to(device)
        self._hearing = copy.deepcopy(use.audio.hearing).to(device)
        # On the host, where sound is decoded; memory that nobody wrote to is none.
        self._ring = np.zeros((slots, 2, BLOCKS, BLOCK_SAMPLES), np.float32)
        self.said = torch.full((slots + 1, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
        """What was said last, and still holds, by slot."""
        self._wanted: set[int] = set()
        self._speech: dict[int, Speech] = {}  # of those whose share of speech somebody asks for
        self._blocks = [0] * slots  # of the ring that follow each other without a gap
        self._place = [0] * slots  # where the next block goes
        self._until = [0.0] * slots  # media second up to which the ring is filled
        self._step: list[int | None] = [None] * slots
        self._holds = [-1.0] * slots
        self.share = 1.0
        """Of the usual rate; less under load."""
        self.device_to_host_bytes = 0

    def open_slot(self, slot: int, wanted: Collection[str]) -> None:
        """A stream moves in; it is listened to where its detectors judge what the network knows of."""
        self._blocks[slot] = self._place[slot] = 0
        self._step[slot], self._holds[slot] = None, -1.0
        self.said[slot] = torch.nan
        self._wanted.discard(slot)
        if not _NAMES.isdisjoint(wanted):
            self._wanted.add(slot)

    def close_slot(self, slot: int) -> None:
        """The stream has moved out."""
        self._wanted.discard(slot)
        self._speech.pop(slot, None)

    def keep(self, slot: int, speech: Speech | None) -> None:
        """Where it goes from now on how much of a slot's sound is speech; None: nobody asks."""
        if speech is None:
            self._speech.pop(slot, None)
        else:
            self._speech[slot] = speech

    @property
    def runs(self) -> bool:
        return bool(self._wanted or self._speech)

    @property
    def replays(self) -> int:
        """Times that it listened by playing a recording back."""
        return self._graphs.replays

    @property
    def graph_problem(self) -> str:
        """As `Measure.graph_problem`."""
        return self._graphs.problem

    def hear(self, batch: AudioBatch) -> None:
        """Take blocks in, and listen where it is time; what is said then stands in `said`.

        Args:
            batch: at hand, on the host.
        """
        numbers, starts, seconds = batch.slots.tolist(), batch.pts.tolist(), batch.seconds.tolist()
        samples, channels = batch.samples.numpy(), batch.channels.tolist()
        due = []
        for row, (slot, pts, length) in enumerate(zip(numbers, starts, seconds, strict=True)):
            if slot not in self._wanted and slot not in self._speech:
                continue
            place = self._place[slot]
            self._ring[slot, 0, place] = samples[row, 0]
            self._ring[slot, 1, place] = samples[row, min(1, channels[row] - 1)]
            if self._goes_on(slot, pts, length) and self._is_due(slot, self._until[slot]):
                due.append(slot)
        if due:
            self._listen(due)
        for slot in numbers:
            if self._holds[slot] >= 0 and self._until[slot] > self._holds[slot]:
                self._holds[slot] = -1.0
                self.said[slot] = torch.nan

    def _goes_on(self, slot: int, pts: float, length: float) -> bool:
        """Count a block; whether it was a whole one."""
        if abs(pts - self._until[slot]) > _GAP_SECONDS:
            self._blocks[slot] = 0
        self._until[slot] = pts + length
        if round(length * SAMPLE_RATE) < BLOCK_SAMPLES:
            self._blocks[slot] = 0
            return False
        self._place[slot] = (self._place[slot] + 1) % BLOCKS
        self._blocks[slot] = min(BLOCKS, self._blocks[slot] + 1)
        return True

    def _is_due(self, slot: int, until: float) -> bool:
        """The first full window at or after each step of the rate."""
        rate = self._rate * self.share
        if rate <= 0 or self._blocks[slot] < BLOCKS:
            return False
        step = int((until + _EARLY) * rate)
        before, self._step[slot] = self._step[slot], step
        return before is None or step != before

    def _listen(self, slots: list[int]) -> None:
        at_once = len(slots) if self._on_cpu else CUDA_BATCH * CUDA_BATCHES
        for first in range(0, len(slots), at_once):
            part = slots[first : first + at_once]
            orders = [[(self._place[slot] + k) % BLOCKS for k in range(BLOCKS)] for slot in part]
            if self._on_cpu:
                self._listen_here(part, orders)
            else:
                self._listen_there(part, orders)
        for slot in slots:
            self._holds[slot] = self._until[slot] + HOLD_INTERVALS / self._rate
            if slot in self._speech:
                self._speech[slot].add(self._until[slot] - WINDOW_SECONDS / 2, self._on_host(slot))

    def _on_host(self, slot: int) -> float | Callable[[], float]:
        """How probable it is that what was heard last of a slot is speech; from a GPU, what waits for that."""
        said = self.said[slot, _SPEECH]
        if self._device.type != "cuda":
            return float(said)
        self.device_to_host_bytes += said.nbytes
        there = torch.empty(said.shape, dtype=said.dtype, pin_memory=True)
        there.copy_(said, non_blocking=True)
        done: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record()

        def read() -> float:
            done.synchronize()
            return float(there)

        return read

    def _listen_here(self, slots: list[int], orders: list[list[int]]) -> None:
        windows = torch.empty((len(slots), 2, BLOCKS, BLOCK_SAMPLES))
        for window, slot, order in zip(windows.numpy(), slots, orders, strict=True):
            np.take(self._ring[slot], order, axis=1, out=window)
        said = _columns_of(self.said_of(windows.view(len(slots), 2, WINDOW_SAMPLES)))
        self.said.index_copy_(0, torch.tensor(slots), said)

    def _listen_there(self, slots: list[int], orders: list[list[int]]) -> None:
        rows = self._graphs.rows(-(-len(slots) // CUDA_BATCH)) * CUDA_BATCH
        pinned = self._device.type == "cuda"
        staged = stage_windows(self._ring, slots, orders, rows, self._spare_slot, pinned=pinned)
        self._graphs.run("windows", rows, lambda: WindowInputs(rows, self._device), staged, self._launch, copied=False)

    def _launch(self, inputs: WindowInputs) -> Tensor:
        """What runs on a device for windows, launch by launch."""
        with torch.no_grad():
            said = _columns_of(self.said_of(inputs.windows))
            self.said.index_copy_(0, inputs.slots, said)
        return said

    def said_of(self, windows: Tensor) -> Tensor:
        """How probable each label is.

        Args:
            windows: (N, 2, WINDOW_SAMPLES) float32, the first two channels; on a GPU a multiple of CUDA_BATCH.
        Returns: (N, len(LABELS)) float32.
        """
        # Not inference mode on a GPU: what is recorded writes to tensors that others write to as well.
        with torch.inference_mode(self._on_cpu), torch.no_grad():
            parts = torch.split(windows, 1 if self._on_cpu else CUDA_BATCH)
            return torch.cat([self._net(self._hearing(part)).sigmoid() for part in parts])


def _columns_of(said: Tensor) -> Tensor:
    """(N, len(COLUMNS)) float64: what is said of each label, and the most that is said of a defect."""
    said = said.double()
    return torch.cat([said, said[:, : len(DEFECTS)].amax(dim=1, keepdim=True)], dim=1)

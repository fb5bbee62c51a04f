"""Measure: the kernels over batches, with what they keep from one batch to the next."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from engine.measure.area import Area
from engine.measure.arithmetic import Arithmetic
from engine.measure.blocks import Blocks
from engine.measure.change import Change
from engine.measure.columns import COLUMNS, VIDEO_COLUMNS
from engine.measure.damage import BlockEvidence, TornBlocks
from engine.measure.edges import Edges
from engine.measure.every_picture import EveryPicture
from engine.measure.fields import Fields
from engine.measure.fingerprints import Fingerprints
from engine.measure.graphs import Graphs, Inputs, Record, stage
from engine.measure.information import Information
from engine.measure.jitter import Jitter
from engine.measure.jumps import Jumps
from engine.measure.listening import AudioNetworkUse, Listening
from engine.measure.network import MAP_SHARE, Floats, Network, NetworkUse
from engine.measure.rows import Fact, Part, Room, Rows, facts_array, facts_listed
from engine.measure.scaled_blocks import ScaledBlocks
from engine.measure.schedule import ScheduledPart, Together
from engine.measure.second_looks import SecondLooks
from engine.measure.sharpness import Sharpness
from engine.measure.slates import Slates
from engine.measure.sound import Sound
from engine.measure.tally import Tally
from engine.measure.tears import Tears
from engine.measure.texture import Texture
from engine.measure.ticks import tick_rows
from engine.media import AudioBatch, Follower, FrameBatch, Measures, StreamTick, Surface
from engine.references import DeviceReferences, HostReferences, References
from engine.slates import Slate
from kernels.frame_stats import COLUMNS as FRAME_COLUMNS
from kernels.frame_stats import frame_stats

_FRAME_COLUMNS: Final = len(FRAME_COLUMNS)
_MAFD: Final = VIDEO_COLUMNS.index("mafd")
_CORRUPTION: Final = VIDEO_COLUMNS.index("corruption")

Asking = Callable[[Sequence[int]], None]
"""Told, for each picture of a batch, 1 where it asks to be looked at again, else 0."""


@dataclass(frozen=True, slots=True, eq=False)
class _Damaged:
    """A picture, the one before it, which this keeps in memory, and their rows."""

    surface: Surface
    earlier: Surface | None
    frame: Tensor
    reference: Tensor


class Measure:
    """Runs the kernels over batches and keeps what they need from one batch to the next, per slot.

    Args:
        device: where the kernels run.
        slots: number of slots.
        arithmetic: of what is made of their results; that of the device unless told.
        slates: pictures to look for.
        network: how the artifact network is used; None leaves it out.
        audio_network: how the audio network is used; None leaves it out.
        record: how launches are recorded to be played back; None launches everything one by one. Not for the CPU.
        followers, sound_followers: who keeps something of the pictures' rows, and of those of sound, where the
            arithmetic is not on the host.
    """

    def __init__(
        self,
        device: torch.device,
        slots: int,
        arithmetic: Arithmetic | None = None,
        slates: Sequence[Slate] = (),
        network: NetworkUse | None = None,
        audio_network: AudioNetworkUse | None = None,
        record: Record | None = None,
        followers: Sequence[Follower] = (),
        sound_followers: Sequence[Follower] = (),
    ) -> None:
        arithmetic = arithmetic or Arithmetic(device)
        self._device, self._arithmetic = device, arithmetic
        self._spare_slot = slots  # of rows without a picture, which fill up a batch that is played back
        slots += 1
        self._tally = Tally(device)
        self._followers = (*followers, self._tally)
        self._followed = bool(followers)
        self._graphs: Graphs[Inputs] = Graphs(device, record)
        self._room = Room()
        self._seen: Sequence[tuple[int, ...]] = ()  # of the last batch on the host, with its facts
        self._facts: Any = None
        on_host = HostReferences(slots)
        self._reference_changes = on_host.changes
        self._references: References = on_host if arithmetic.on_host else DeviceReferences(slots, device)
        self._freeze_noise = arithmetic.column(slots)
        self.fingerprints = Fingerprints(device)
        """Of the streams that are compared with others."""
        self.network = None if network is None else Network(arithmetic, slots, network, record)
        self._damaged: dict[int, _Damaged] = {}  # of the last batch, by slot
        self._asking: tuple[FrameBatch, list[int]] | None = None  # the last batch on a GPU, and its pictures' numbers
        self._mapped_next: dict[int, Callable[[Surface, Tensor], None]] = {}  # who wants the slot's next map
        jumps = Jumps(arithmetic, slots)
        self._scheduled: tuple[ScheduledPart, ...] = (
            Blocks(arithmetic, slots, jumps),
            Edges(arithmetic, slots),
            Sharpness(arithmetic, slots),
            Texture(arithmetic, slots, jumps),
            Area(arithmetic, slots),
            Slates(arithmetic, slots, slates),
            Tears(arithmetic, slots),
            Jitter(arithmetic, slots, jumps),
            Information(arithmetic, slots),
        )
        change, torn, self._fields = Change(arithmetic, slots), TornBlocks(arithmetic, slots), Fields(arithmetic, slots)
        heard = self.network is not None and self.network.second is not None
        self._change, self._torn, self._scaled = change, torn, ScaledBlocks(arithmetic, slots, heard)
        # These come first: what they say of colours, and of rows of two moments, makes others due; and dates them.
        self._parts: tuple[Part, ...] = (
            change, torn, self._scaled, jumps, *self._scheduled, self._fields,
        )  # fmt: skip
        if arithmetic.on_host:
            together = Together([part.schedule for part in self._scheduled])
            self._every_picture = EveryPicture(change, torn, jumps, together, slots)
        self._sound = Sound(arithmetic, slots - 1, audio_network, record=record, followers=sound_followers)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        """A stream moves in.

        Args:
            slot: which is free.
            parameters: of its enabled detectors; some of them are the kernels' own.
            wanted: columns that its detectors judge; a kernel none of whose columns is among them does not run.
        """
        self._references.forget(slot)
        self._freeze_noise[slot] = parameters.get("video.freeze", {}).get("noise", 0.001)
        for part in self._parts:
            part.open_slot(slot, parameters, wanted)
        if self.network is not None:
            self.network.open_slot(slot, parameters, wanted)
        self._sound.open_slot(slot, parameters, wanted)

    def close_slot(self, slot: int) -> None:
        """The stream has moved out: let go of its pictures."""
        self.fingerprints.keep(slot, None)
        self.fingerprints.keep_tiles(slot, None)
        self._mapped_next.pop(slot, None)
        self._sound.close_slot(slot)
        if self.network is not None:
            self.network.close_slot(slot)
        self._references.forget(slot)

    def columns(self, track: str) -> tuple[str, ...]:
        """Names of the columns of a track's rows."""
        return COLUMNS[track]

    def loudness(self, slot: int) -> dict[str, float | None]:
        """Programme loudness of all that the slot's stream has played; see kernels.audio_stats.LoudnessSummary."""
        return self._sound.loudness(slot)

    def programme(self, slot: int, end: float) -> Measures | None:
        """The row of sound that a programme's end adds; see Sound.programme."""
        return self._sound.programme(slot, end)

    @property
    def listening(self) -> Listening | None:
        """The audio network at work; None where it is left out."""
        return self._sound.listening

    def frames(self, batch: FrameBatch) -> Measures:
        """Measure pictures."""
        self._references.prepare(batch)
        if self._arithmetic.on_host:
            values = self._frames_on_host(batch)
            self.fingerprints.take(batch, batch.frames)
            return Measures("video", VIDEO_COLUMNS, batch.slots, batch.pts, batch.pts, values)
        # Room is never given back: what was recorded with it can be played again.
        self._room = self._room.around(batch)
        count = len(batch.numbers)
        rows = self._graphs.rows(count)
        if self.network is not None:
            # Before what is recorded: it is due now and then only, and the earlier pictures are still there.
            self.network.look(batch, lambda slots: self._references.rows(slots)[0])
            self._map_next(batch, self.network)
        staged = stage(batch, rows, self._spare_slot, pinned=self._device.type == "cuda")
        for follower in self._followers:
            follower.before(batch.slots.numpy(), batch.pts.numpy())
        runs, second = [part.runs for part in self._parts], self._second
        if self.network is not None:
            runs += [self.network.runs, self.network.judges]
        kind = self._room, tuple(runs), second is not None
        values, inputs = self._graphs.run(kind, rows, lambda: Inputs(rows, self._device), staged, self._launch)
        slots, pts = inputs.slots[:count], inputs.pts[:count]
        self._asking = None if second is None else (batch, second.numbers(batch.numbers))
        # Where their rows go is known on the host alone: no part of what is played back.
        self.fingerprints.take(batch, inputs.frames[:count])
        return Measures(
            "video", VIDEO_COLUMNS, batch.slots, batch.pts, batch.pts, values[:count],
            device_rows=(slots, pts, pts), kept=self._followed, tally=self._tally.of(rows),
        )  # fmt: skip

    def _frames_on_host(self, batch: FrameBatch) -> Tensor:
        seen = facts_listed(batch)
        if seen != self._seen:
            self._room, self._facts, self._seen = Room().around(batch), facts_array(seen), seen
        references, retain = self._references.rows(batch.slots)
        values, view = self._arithmetic.nothing_measured(len(seen), len(VIDEO_COLUMNS))
        slots, pts = batch.slots.numpy(), batch.pts.numpy()
        rows = Rows(
            self._room, self._facts, batch.frames, references, values, view, slots, pts, self._reference_changes
        )
        if self.network is not None:
            self.network.look(batch, lambda due: references[due])
        due = self._every_picture.fill(rows, retain, batch.slots)
        for part in range(due.bit_length()):
            if due >> part & 1:
                self._scheduled[part].fill(rows)
        self._scaled.fill(rows)
        self._fields.fill(rows)
        second = self._second
        if second is not None:
            second.fill(rows, self._every_picture.tiles, self._torn.said, self._coded)
        if self.network is not None:
            self.network.fill(rows)
            self._damaged = self._damaged_of(batch, rows)
        # Last: it lets go of the earlier pictures, whose planes the kernels have been reading.
        self._references.update(slots, view[:, _MAFD], self._freeze_noise, rows.facts[Fact.KEY])
        return values

    def _launch(self, inputs: Inputs) -> Tensor:
        """What runs on a device for a batch, launch by launch."""
        references, retain = self._references.rows(inputs.slots)
        frames, (values, view) = inputs.frames, self._arithmetic.nothing_measured(len(inputs.slots), len(VIDEO_COLUMNS))
        values[:, :_FRAME_COLUMNS] = frame_stats(frames, references, retain)
        rows = Rows(self._room, inputs.facts, frames, references, values, view, inputs.slots, inputs.pts)
        for part in self._parts:
            part.fill(rows)
        second = self._second
        if second is not None:
            asks = self._tally.of(len(values))[1]
            second.fill(rows, self._change.tiles, self._torn.said, self._coded, asks)
        if self.network is not None:
            self.network.fill(rows)
        # Last: it lets go of the earlier pictures, whose planes the kernels have been reading.
        self._references.update(rows.slots, view[:, _MAFD], self._freeze_noise, rows.facts[Fact.KEY])
        for follower in self._followers:
            follower.keep(inputs.slots, inputs.pts, values)
        return values

    @property
    def _coded(self) -> BlockEvidence | None:
        """What is said of blocks before pictures were scaled, where any stream has them looked for."""
        return self._scaled.said if self._scaled.runs else None

    @property
    def _second(self) -> SecondLooks | None:
        """Second looks of the network, where any stream has them."""
        second = None if self.network is None else self.network.second
        return second if second is not None and second.runs else None

    def warm_up(self) -> None:
        """Compile what made-up pictures do not ask for."""
        if self.network is not None and self.network.second is not None:
            self.network.second.warm_up()

    def asking(self) -> Asking | None:
        """Behind `frames` on a GPU: whom to tell which of its pictures ask to be looked at again, once that is known.

        It has to be told before the batch after the next one is measured; None where nobody wants to know.
        """
        asking, second = self._asking, self._second
        if asking is None or second is None:
            return None
        return lambda asks: second.hear(*asking, asks)

    @property
    def graph_problem(self) -> str:
        """Why a GPU's launches are not played back from a recording; "" where they are, and on the CPU."""
        looks = "" if self.network is None else self.network.graph_problem
        return self._graphs.problem or self._sound.graph_problem or looks

    @property
    def replays(self) -> int:
        """Batches of pictures that were played back from a recording."""
        return self._graphs.replays

    @property
    def sound_replays(self) -> int:
        """Batches of sound that were played back from a recording."""
        return self._sound.replays

    def map_of(self, slot: int, surface: Surface) -> Callable[[], Floats] | None:
        """What makes the map of damage of a slot's picture, from any thread.

        None where there is no network, nothing told of damage, or another picture came since; and on a GPU, where the
        picture before is gone by the time that anybody asks: there is `map_next`.
        """
        damaged = self._damaged.get(slot)
        if self.network is None or damaged is None or damaged.surface is not surface:
            return None
        network = self.network
        return lambda: network.map_of(damaged.surface, damaged.frame, damaged.reference)

    def map_next(self, slot: int, take: Callable[[Surface, Tensor], None]) -> None:
        """Make the map of damage of the slot's next picture, on a GPU.

        Args:
            slot: whose.
            take: is given the picture, not yet released, and its map, (rows, columns) float32 on the device as
                `Network.map_there` makes it, from within `frames`.
        """
        if self.network is not None and not self._arithmetic.on_host:
            self._mapped_next[slot] = take

    def _map_next(self, batch: FrameBatch, network: Network) -> None:
        """One map at most: it takes as long as looking at some sixty pictures."""
        row = next((row for row, slot in enumerate(batch.numbers) if slot in self._mapped_next), None)
        if row is None:
            return
        part, take = slice(row, row + 1), self._mapped_next.pop(batch.numbers[row])
        frame, slots = batch.frames[part].to(self._device), batch.slots[part].to(self._device)
        take(batch.surfaces[row], network.map_there(batch.surfaces[row], frame, self._references.rows(slots)[0]))

    def _damaged_of(self, batch: FrameBatch, rows: Rows) -> dict[int, "_Damaged"]:
        """The pictures of a batch that a map may be wanted of."""
        found = {}
        for row in np.flatnonzero(rows.view[:, _CORRUPTION] >= MAP_SHARE):
            slot, surface = batch.numbers[row], batch.surfaces[row]
            part = slice(int(row), int(row) + 1)
            frame, reference = rows.frames[part].clone(), rows.references[part].clone()
            found[slot] = _Damaged(surface, self._references.kept(slot), frame, reference)
        return found

    def sound(self, batch: AudioBatch) -> Measures:
        """Measure 100 ms blocks of sound."""
        return self._sound.measure(batch)

    def ticks(self, ticks: Sequence[tuple[int, StreamTick]]) -> Measures:
        """Put the counters of ingest and decode into rows, at most one per slot; on the host, as they are."""
        return tick_rows(ticks)

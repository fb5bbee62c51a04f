"""What the artifact network says of pictures: pieces of one now and then, and a map of the whole one as evidence.

A picture is looked at as often as the stream's rate says, by its own time, in PIECES places: where it changed most from
the picture before, and elsewhere by chance, which the stream's name and the picture's time decide. So what is said of a
stream depends on nothing but the stream. Where blocks are torn a little it is asked for a second opinion
(second_looks.py). Where whole pictures are asked for, streams at most of whose pictures it looks
are looked at whole, with what was seen before (whole_looks.py). On the CPU each picture goes through the network by
itself; on a GPU in batches of one size that are filled up with empty pieces, by launches that are recorded and played
back (graphs.py).

Pictures that are interlaced are not looked at: nobody has measured what it would say of them.
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place
from engine.measure.graphs import Graphs, Record
from engine.measure.network_table import LookInputs, stage_looks
from engine.measure.places import inside, places_by_chance, places_of_change, side_by_side, told_by
from engine.measure.rows import Rows
from engine.measure.second_looks import SecondLooks, source_of, wants_second_looks
from engine.measure.whole_looks import MOST_APART, WholeLooks
from engine.media import FrameBatch, Surface
from kernels.layout import Field
from kernels.tile_stats import MEASURES, TILE_COLUMNS, TILE_ROWS, tile_stats
from kernels.to_network import to_network
from models.artifact_history import ArtifactHistory
from models.artifact_net import LABELS, TILE
from models.artifact_net import TILES as PIECE_TILES
from models.artifact_weights import NEVER, Artifact, OperatingPoint

# Where it changed most; as many again by chance.
POINTED: Final = 2
PIECES: Final = 4
# Pieces that go through the network together: of one picture, so that other streams change nothing.
CPU_BATCH: Final = PIECES
CUDA_BATCH: Final = 64
# What the network said holds until it should have looked again, and half as long once more.
HOLD_INTERVALS: Final = 1.5
# Damage that is worth a map, as a share of the picture.
MAP_SHARE: Final = 0.01

_CORRUPTION, _NETWORK = place("corruption"), place("network_corruption")
_NAMES: Final = frozenset(("corruption", "network_corruption"))
_LABEL: Final = LABELS.index("corruption")
_DIFFERENCE: Final = MEASURES.index("difference")
_EARLY: Final = 1e-6

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkUse:
    """How an engine uses the network.

    Args:
        artifact: the network with its weights.
        rate: pictures per second of each stream that it looks at; a stream's own parameter multiplies it.
        judges: what it says counts for `corruption` of every stream; else it is measured only, unless a stream's own
            parameter has it judge.
        history: what tells by the pictures before, where whole pictures are asked for; None: pieces are looked at.
        confirms: where blocks are torn a little it is asked for a second opinion, which counts.
    """

    artifact: Artifact
    rate: float
    judges: bool = False
    history: ArtifactHistory | None = None
    confirms: bool = True

    @property
    def point(self) -> OperatingPoint:
        """Of pieces, at this rate of looks."""
        return self.artifact.points.at(self.rate)


def network_dtype(device: torch.device) -> torch.dtype:
    """What the network's numbers are in on a device: of 16 bits on a GPU, in the form that its tensor cores know."""
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


class Network:
    """The part of `to_network` and the network.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        use: how.
        record: how launches are recorded to be played back; None launches everything one by one. Not for the CPU.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, use: NetworkUse, record: Record | None = None) -> None:
        self._arithmetic, self._use = arithmetic, use
        self._graphs: Graphs[LookInputs] = Graphs(arithmetic.device, record)
        self._spare_slot = slots - 1  # of rows without a picture
        self._on_cpu = arithmetic.device.type == "cpu"
        if self._on_cpu:
            # A handful of small convolutions: handing them to other threads costs more than it saves, and with one
            # thread the sums are the same on every machine, however many cores it has.
            torch.set_num_threads(1)
        self._together = CPU_BATCH if self._on_cpu else CUDA_BATCH
        self._dtype = network_dtype(arithmetic.device)
        self._net = copy.deepcopy(use.artifact.net).to(arithmetic.device, self._dtype)
        self._whole: WholeLooks | None = None
        if use.history is not None:
            self._whole = WholeLooks(self._net, use.history, use.point.tile, arithmetic.device, self._dtype)
        self._apart = [0] * slots  # pictures since the last look
        self._size: list[tuple[int, int] | None] = [None] * slots  # of the last picture
        self._in_whole: set[int] = set()  # slots whose last look was at a whole picture
        # Constants, where launches that are recorded find them.
        self._grid = torch.tensor([TILE_ROWS, TILE_COLUMNS], device=arithmetic.device)
        self._rate = [use.rate] * slots  # of each slot, as long as there is no load
        self._judged: set[int] = set()  # slots whose incidents it has a say in
        self._wanted: set[int] = set()
        self._seen: list[int | None] = [None] * slots  # the last step of the rate that was looked at
        self.share = 1.0
        """Of the usual rate; less under load."""
        self.looked: tuple[int, ...] = ()
        """Rows of the last batch that were looked at."""
        self._area = arithmetic.column(slots, torch.nan)  # of damage in what was looked at just now
        self.told_tiles: Callable[[Sequence[int], Tensor], None] | None = None
        """Handed what is said of every tile that is looked at: rows of the batch, (rows, PIECES, tiles, tiles)."""
        self._run = arithmetic.column(slots)  # pictures in a row that were damaged
        self._least = arithmetic.column(slots)  # the smallest area among them
        self._told, self._until = arithmetic.column(slots), arithmetic.column(slots, -torch.inf)
        # From where on it is sure of a slot's stream: each rate has a point of its own, and so have whole pictures.
        self._tile = arithmetic.column(slots, 1.0)
        self._needs, self._in_a_row = arithmetic.column(slots, 2.0), arithmetic.column(slots, 1.0)
        self._hold = arithmetic.column(slots)  # for how long what it said holds
        self._judges = arithmetic.column(slots)  # 1 where it has a say
        self.second: SecondLooks | None = None
        """What is asked for where blocks are torn a little; None where nobody wants it."""
        if use.confirms:
            self.second = SecondLooks(arithmetic, slots, self._said_of_pieces, use.artifact.second)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        own = parameters.get("video.corruption", {})
        rate = self._rate[slot] = self._use.rate * own.get("network_looks", 1.0)
        judges = self._use.judges or own.get("network_judges", 0.0) > 0
        (self._judged.add if judges else self._judged.discard)(slot)
        self._judges[slot], self._hold[slot] = float(judges), HOLD_INTERVALS / rate if rate else 0.0
        self._seen[slot], self._size[slot], self._apart[slot] = None, None, 0
        self._look_at_pieces_of(slot)
        point = self._use.artifact.points.at(rate)
        self._tile[slot] = point.tile
        self._judge_by(slot, point)
        self._told[slot] = 0.0
        self._least[slot], self._until[slot], self._area[slot] = 1.0, -torch.inf, torch.nan
        self._wanted.discard(slot)
        if not _NAMES.isdisjoint(wanted):
            self._wanted.add(slot)
        if self.second is not None:
            wants = "corruption" in wanted and wants_second_looks(parameters)
            self.second.open_slot(slot, wants, source_of(parameters))

    def close_slot(self, slot: int) -> None:
        """The stream has moved out: let go of what was seen of it."""
        self._look_at_pieces_of(slot)
        if self.second is not None:
            self.second.close_slot(slot)

    @property
    def runs(self) -> bool:
        return bool(self._wanted)

    @property
    def judges(self) -> bool:
        """It has a say in the incidents of some stream."""
        return not self._judged.isdisjoint(self._wanted)

    @property
    def replays(self) -> int:
        """Looks that were played back from a recording."""
        return self._graphs.replays

    @property
    def graph_problem(self) -> str:
        """As `Measure.graph_problem`."""
        return self._graphs.problem

    def tell_maps(self, take: Callable[[Surface, Tensor], None]) -> None:
        """Hand on each whole picture that is looked at, and the map of it: (rows, columns) logits, on the device."""
        if self._whole is not None:
            self._whole.told_map = take

    def look(self, batch: FrameBatch, references: Callable[[Tensor], Tensor]) -> None:
        """Look at those pictures of a batch whose time has come, before anything else is made of it.

        Args:
            batch: at hand.
            references: rows of the pictures before: on the CPU by rows of the batch, on a GPU by slots there.
        """
        self.looked = tuple(
            row
            for row, (slot, surface) in enumerate(zip(batch.numbers, batch.surfaces, strict=True))
            if self._is_due(slot, surface)
        )
        whole = self._look_at_whole(batch, self.looked, references)
        pieces = [row for row in self.looked if row not in whole] if whole else self.looked
        if pieces and self._arithmetic.on_host:
            self._look(batch, pieces, references)
        elif pieces:
            self._look_there(batch, pieces, references)
        again = () if self.second is None else self.second.look(batch, references, self.share)
        if again:
            self.looked = tuple(sorted({*self.looked, *again}))

    def fill(self, rows: Rows) -> None:
        """Fill the columns with what was seen just now; they stay NaN for pictures that were not looked at."""
        if not self.runs:
            return
        area = self._area[rows.slots]
        rows.view[:, _NETWORK] = area
        self._area[rows.slots] = area * torch.nan  # a number of Python's could not be recorded
        if self.judges:
            self._tell(rows)

    def _is_due(self, slot: int, surface: Surface) -> bool:
        """The first picture at or after each step of the rate; never the first of a stream, which has none before."""
        rate = self._rate[slot] * self.share
        if slot not in self._wanted or rate <= 0:
            return False
        if self._whole is not None:
            size = surface.height, surface.width
            if self._size[slot] not in (None, size):
                # As a stream's first: the picture before has nothing that it could be compared with.
                self._seen[slot], self._apart[slot] = None, 0
                self._look_at_pieces_of(slot)
            self._size[slot] = size
        step = int((surface.pts + _EARLY) * rate)
        before, self._seen[slot] = self._seen[slot], step
        self._apart[slot] += before is not None
        return before is not None and step != before and not surface.interlaced

    def _look_at_whole(
        self, batch: FrameBatch, due: Sequence[int], references_of: Callable[[Tensor], Tensor]
    ) -> Collection[int]:
        """Look at whole pictures of streams at most of whose pictures it looks. Returns: rows of these."""
        if self._whole is None:
            return ()
        found = []
        for row in due:
            slot = batch.numbers[row]
            apart, self._apart[slot] = self._apart[slot], 0
            if apart > MOST_APART:
                self._look_at_pieces_of(slot)
                continue
            found.append(row)
            if slot not in self._in_whole:
                self._in_whole.add(slot)
                self._judge_by(slot, self._whole.point or NEVER)
        if not found:
            return ()
        index, on_host, device = torch.tensor(found), self._arithmetic.on_host, self._arithmetic.device
        frames, slots = batch.frames[index], batch.slots[index]
        if device.type == "cuda":
            frames, slots = (part.pin_memory().to(device, non_blocking=True) for part in (frames, slots))
        references = references_of(index if on_host else slots)
        for number, row in enumerate(found):
            slot, part = batch.numbers[row], slice(number, number + 1)
            area = self._whole.look(slot, batch.surfaces[row], frames[part], references[part])
            self._area[slot] = float(area) if on_host else area
        return found

    def _look_at_pieces_of(self, slot: int) -> None:
        """Keep nothing of a slot's whole pictures."""
        if slot in self._in_whole and self._whole is not None:
            self._in_whole.discard(slot)
            self._whole.forget(slot)
            self._judge_by(slot, self._use.artifact.points.at(self._rate[slot]))

    def _judge_by(self, slot: int, point: OperatingPoint) -> None:
        """What was counted by another point counts no more."""
        self._needs[slot], self._in_a_row[slot] = point.area, float(point.pictures)
        self._run[slot] = 0.0

    def _look(self, batch: FrameBatch, due: Sequence[int], references_of: Callable[[Tensor], Tensor]) -> None:
        surfaces = [batch.surfaces[row] for row in due]
        index = torch.tensor(due)
        slots, frames = batch.slots[index], batch.frames[index]
        chance = torch.tensor([places_by_chance(s, PIECES - POINTED) for s in surfaces])
        ranges = torch.tensor([int(s.full_range) for s in surfaces])
        with torch.inference_mode():
            tile = torch.as_tensor(self._tile[slots.numpy()])
            said, area = self._seen_of(frames, references_of(index), chance, ranges, tile)
        if self.told_tiles is not None:
            self.told_tiles(due, said)
        self._area[slots.numpy()] = area.numpy()

    def _look_there(self, batch: FrameBatch, due: Sequence[int], references_of: Callable[[Tensor], Tensor]) -> None:
        device = self._arithmetic.device
        at_once = self._together // PIECES
        rows = self._graphs.rows(-(-len(due) // at_once)) * at_once
        chance = [places_by_chance(batch.surfaces[row], PIECES - POINTED) for row in due]
        staged = stage_looks(batch, due, chance, rows, self._spare_slot, pinned=device.type == "cuda")

        def launch(inputs: LookInputs) -> Tensor:
            with torch.no_grad():
                references, tile = references_of(inputs.slots), self._tile[inputs.slots]
                said, area = self._seen_of(inputs.frames, references, inputs.chance, inputs.ranges, tile)
                self._area[inputs.slots] = area
                return said

        said, _ = self._graphs.run(
            "looks", rows, lambda: LookInputs(rows, PIECES - POINTED, device), staged, launch,
            copied=self.told_tiles is not None,
        )  # fmt: skip
        if self.told_tiles is not None:
            self.told_tiles(due, said[: len(due)])

    def _seen_of(
        self, frames: Tensor, references: Tensor, chance: Tensor, ranges: Tensor, tile: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the network says of pieces of pictures.

        Args:
            frames, references: (D, fields): rows of the pictures and of those before.
            chance: (D, PIECES - POINTED, 2): corners that were chosen by chance.
            ranges: (D,): 1 for full range, else 0.
            tile: (D,): from which probability on a tile counts as damaged.
        Returns: (D, PIECES, tiles, tiles) float32, how probable damage is in each tile, NaN beyond the picture; and
            (D,) float64, the share of those within that are damaged.
        """
        sizes = torch.stack([frames[:, Field.HEIGHT], frames[:, Field.WIDTH]], dim=1)
        change = tile_stats(frames, references)[:, _DIFFERENCE].nan_to_num()
        corners = torch.cat([places_of_change(change, sizes, self._grid, POINTED), chance], dim=1)  # (D, PIECES, 2)
        said, within = self._said_of_pieces(frames, references, corners, ranges)
        over = (said >= tile.float()[:, None, None, None]) & within
        area = over.sum(dim=(1, 2, 3)).double() / within.sum(dim=(1, 2, 3)).clamp(min=1)
        return torch.where(within, said, torch.nan), area

    def _said_of_pieces(
        self, frames: Tensor, references: Tensor, corners: Tensor, ranges: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How probable damage is in each tile of each piece, and which of these tiles lie within the picture.

        Args:
            frames, references, ranges: as for `_seen_of`.
            corners: (D, pieces, 2) int64, multiples of TILE.
        Returns: (D, pieces, tiles, tiles) float32, and the same of bool.
        """
        count, pieces = corners.shape[:2]
        crops = torch.empty((count, pieces, 4), dtype=torch.int64, device=frames.device)
        crops[..., 0] = torch.arange(count, device=frames.device)[:, None]
        crops[..., 1:3], crops[..., 3] = corners, ranges[:, None]
        said = self._said(frames, references, crops.reshape(-1, 4))
        sizes = torch.stack([frames[:, Field.HEIGHT], frames[:, Field.WIDTH]], dim=1)
        return said.reshape(count, pieces, PIECE_TILES, PIECE_TILES), inside(corners, sizes)

    def _said(self, frames: Tensor, references: Tensor, crops: Tensor) -> Tensor:
        """(M, PIECE_TILES, PIECE_TILES) float32: how probable damage is in each tile of each piece."""
        count = crops.shape[0]
        room = -count % self._together
        if room:
            crops = torch.cat([crops, crops.new_full((room, crops.shape[1]), -1)])
        with torch.no_grad():
            said = [
                self._net(to_network(frames, references, part, self._dtype))[:, _LABEL].float().sigmoid()
                for part in torch.split(crops, self._together)
            ]
        return torch.cat(said)[:count].clone()

    def _tell(self, rows: Rows) -> None:
        """`corruption` is at least what the network is sure of."""
        xp, view, slots, pts = self._arithmetic.xp, rows.view, rows.slots, rows.pts
        area = view[:, _NETWORK]
        looked = ~xp.isnan(area)
        damaged = looked & (area >= self._needs[slots])
        run = xp.where(damaged, self._run[slots] + 1, xp.where(looked, 0.0, self._run[slots]))
        least = xp.where(damaged, xp.minimum(self._least[slots], area), xp.where(looked, 1.0, self._least[slots]))
        sure = run >= self._in_a_row[slots]
        told = xp.where(looked, xp.where(sure, least, 0.0), self._told[slots])
        until = xp.where(looked, pts + self._hold[slots], self._until[slots])
        self._run[slots], self._least[slots] = run, least
        self._told[slots], self._until[slots] = told, until
        holds = (told > 0) & (pts <= until) & (self._judges[slots] > 0)
        corruption = view[:, _CORRUPTION]
        # Not "larger or NaN": where blocks are not judged, nothing is.
        view[:, _CORRUPTION] = xp.where(holds & (told > corruption), told, corruption)

    def map_of(self, surface: Surface, frame: Tensor, reference: Tensor) -> Floats:
        """How probable damage is in each tile of a whole picture; takes about two tenths of a second for 1080p.

        May be called from another thread. Both pictures have to stay where they are until it returns.

        Args:
            surface: the picture.
            frame, reference: (1, fields): its row and that of the picture before.
        Returns: (rows, columns) float32 of tiles of TILE samples; those beyond the last whole tile are left out.
        """
        found: Floats = self.map_there(surface, frame, reference).numpy()
        return found

    def map_there(self, surface: Surface, frame: Tensor, reference: Tensor) -> Tensor:
        """As `map_of`, on the network's device, where the result may not be there yet.

        Args:
            surface, frame, reference: as for `map_of`.
        """
        device = frame.device
        tops, lefts = (side_by_side(size) for size in (surface.height, surface.width))
        crops = torch.tensor([(0, top, left, int(surface.full_range)) for top in tops for left in lefts])
        said = self._said(frame, reference, crops.to(device))
        shape = max(1, surface.height // TILE), max(1, surface.width // TILE)
        (above, row), (beside, column) = (
            torch.tensor(told_by(starts, tiles)).to(device) for starts, tiles in zip((tops, lefts), shape, strict=True)
        )
        whole = said.reshape(len(tops), len(lefts), PIECE_TILES, PIECE_TILES)
        return whole[above[:, None], beside[None], row[:, None], column[None]]

    @property
    def point(self) -> float:
        """From which probability on a tile counts as damaged."""
        return self._use.point.tile

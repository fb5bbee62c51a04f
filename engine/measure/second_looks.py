"""A second opinion on blocks that are torn a little: where they are, the artifact network looks too (decision 0155).

Torn blocks that are too few to be told of by themselves, even two of them, make their stream ask. Of its next picture
the network looks at the pieces around what had changed most in the one that asked; where it is sure of enough tiles,
the stream is corrupt. The network alone would raise false alarms, as it looks at so much; so would fewer torn blocks.
Both together hardly do.

Streams seldom ask, and each has a credit of looks, so that none that looks torn all the time is looked at all the time.
Which picture is looked at, and where, depends on nothing but its stream. On the host that is known at once; on a GPU
who asked comes to the host behind the batch, one byte for each picture, and is waited for before the next one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place
from engine.measure.damage import LEAST_SHARE
from engine.measure.places import inside, places_of_change
from engine.measure.rows import Fact, Rows
from engine.media import FrameBatch, Surface
from kernels.layout import Field
from kernels.tile_stats import MEASURES, TILE_COLUMNS, TILE_ROWS, TILES
from models.artifact_net import TILE
from models.artifact_net import TILES as PIECE_TILES
from models.artifact_weights import SecondPoint

# Doubt of torn blocks from which on a stream asks, which is for eight tenths of a second; unless evidence is enough.
ASKS: Final = 0.2
ENOUGH: Final = 1.0
# Pieces of a picture that is looked at for a second time.
PIECES: Final = 4
# Looks that a stream may have in a row, and that it gains each second; and how far apart they are, as the picture after
# one that was looked at shows the same.
MOST_LOOKS: Final = 4.0
LOOKS_PER_SECOND: Final = 1.0
APART_SECONDS: Final = 0.2
# What was seen holds as long as the evidence of torn blocks.
HOLD_SECONDS: Final = 0.5
# A stream's next picture is not its next one any more behind a gap.
GAP_SECONDS: Final = 1.0

_EARLY: Final = 1e-6
_CORRUPTION: Final = place("corruption")
_DIFFERENCE: Final = MEASURES.index("difference")

Said = Callable[[Tensor, Tensor, Tensor], Tensor]
"""What the network says, of rows of pictures, of those before them, and of crops: see `Network`."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A picture whose stream asks.

    Args:
        pts: of it.
        size: its rows and columns.
    """

    pts: float
    size: tuple[int, int]


class SecondLooks:
    """Who asks, what is looked at because of it, and what is told.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        said: by the network.
        point: from where on it is sure; None: nobody has measured it, and nobody is looked at.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, said: Said, point: SecondPoint | None) -> None:
        self._arithmetic, self._said, self._point = arithmetic, said, point
        device = arithmetic.device
        self._wanted: set[int] = set()
        self._asked: dict[int, _Asked] = {}  # by slot
        self._credit, self._credited = [MOST_LOOKS] * slots, [-np.inf] * slots
        self._looked = [-np.inf] * slots  # media time of the last look
        # Of the last picture of each slot: how much of each part had changed, and, on a GPU, whether it asks.
        self._change = torch.zeros((slots, TILES), dtype=torch.float64, device=device)
        self._asks = torch.zeros(slots, dtype=torch.uint8, device=device)
        self._told, self._until = arithmetic.column(slots), arithmetic.column(slots, -torch.inf)
        self._grid = torch.tensor([TILE_ROWS, TILE_COLUMNS], device=device)
        self.device_to_host_bytes = 0
        """What was copied to know who asks."""
        self._coming: tuple[Sequence[int], Sequence[Surface], Tensor, Any] | None = None
        self.take: Callable[[int, float, Tensor], None] | None = None
        """Handed what is said of a picture that is looked at: slot, pts, (PIECES, tiles, tiles), NaN beyond it."""

    @property
    def runs(self) -> bool:
        return bool(self._wanted) and (self._point is not None or self.take is not None)

    def open_slot(self, slot: int, wanted: bool) -> None:
        """A stream moves in."""
        self.close_slot(slot)
        if wanted:
            self._wanted.add(slot)
        self._credit[slot], self._credited[slot], self._looked[slot] = MOST_LOOKS, -np.inf, -np.inf
        self._told[slot], self._until[slot], self._asks[slot] = 0.0, -torch.inf, 0

    def close_slot(self, slot: int) -> None:
        """A stream has moved out."""
        self._wanted.discard(slot)
        self._asked.pop(slot, None)
        if self._coming is not None and slot in self._coming[0]:
            self._hear()
            self._asked.pop(slot, None)

    def look(self, batch: FrameBatch, references_of: Callable[[Tensor], Tensor], share: float) -> list[int]:
        """Look at those pictures of a batch whose streams asked with the one before.

        Args:
            batch: at hand.
            references_of: as `Network.look` takes it.
            share: of the looks that there usually are; less under load.
        Returns: rows that were looked at.
        """
        self._hear()
        if not self._asked:
            return []
        rows = [
            row
            for row, (slot, surface) in enumerate(zip(batch.numbers, batch.surfaces, strict=True))
            if slot in self._asked and self._may_look(slot, surface, self._asked.pop(slot), share)
        ]
        if rows:
            self._look(batch, rows, references_of)
        return rows

    def _may_look(self, slot: int, surface: Surface, asked: _Asked, share: float) -> bool:
        # As long as there is load, credit grows more slowly; it never grows while time goes back.
        since = max(0.0, surface.pts - self._credited[slot])
        self._credit[slot] = min(MOST_LOOKS, self._credit[slot] + since * LOOKS_PER_SECOND * share)
        self._credited[slot] = surface.pts
        near = 0 < surface.pts - asked.pts <= GAP_SECONDS and asked.size == (surface.height, surface.width)
        too_soon = abs(surface.pts - self._looked[slot]) < APART_SECONDS - _EARLY
        if not near or too_soon or surface.interlaced or share <= 0 or self._credit[slot] < 1 - _EARLY:
            return False
        self._credit[slot] -= 1
        self._looked[slot] = surface.pts
        return True

    def _look(self, batch: FrameBatch, rows: Sequence[int], references_of: Callable[[Tensor], Tensor]) -> None:
        index, device = torch.tensor(rows), self._arithmetic.device
        frames, slots = batch.frames[index], batch.slots[index]
        ranges = torch.tensor([int(batch.surfaces[row].full_range) for row in rows])
        pts = batch.pts[index]
        if device.type == "cuda":
            frames, slots, ranges, pts = (
                part.pin_memory().to(device, non_blocking=True) for part in (frames, slots, ranges, pts)
            )
        references = references_of(index if self._arithmetic.on_host else slots)
        sizes = torch.stack([frames[:, Field.HEIGHT], frames[:, Field.WIDTH]], dim=1)
        with torch.inference_mode():
            corners = places_of_change(self._change[slots], sizes, self._grid, PIECES)
            crops = torch.empty((len(rows), PIECES, 4), dtype=torch.int64, device=frames.device)
            crops[..., 0] = torch.arange(len(rows), device=frames.device)[:, None]
            crops[..., 1:3], crops[..., 3] = corners, ranges[:, None]
            said = self._said(frames, references, crops.reshape(-1, 4))
            said = said.reshape(-1, PIECES, PIECE_TILES, PIECE_TILES)
            within = inside(corners, sizes)
        if self.take is not None:
            shown = torch.where(within, said, torch.nan).cpu()
            for row, part in zip(rows, shown, strict=True):
                self.take(batch.numbers[row], batch.surfaces[row].pts, part)
        if self._point is not None:
            self._conclude(slots, pts, said, within, sizes, self._point)

    def _conclude(
        self, slots: Tensor, pts: Tensor, said: Tensor, within: Tensor, sizes: Tensor, point: SecondPoint
    ) -> None:
        """Keep what is told of pictures that were looked at."""
        damaged = ((said >= point.tile) & within).sum(dim=(1, 2, 3))
        # Pieces lie over each other, and not everywhere: it is this share of the picture, or more.
        share = damaged.double() * TILE * TILE / sizes.prod(dim=1).double()
        sure = damaged >= point.tiles
        view, xp = self._arithmetic.view, self._arithmetic.xp
        at, sure, share, until = view(slots), view(sure), view(share), view(pts + HOLD_SECONDS)
        self._told[at] = xp.where(sure, share.clip(LEAST_SHARE, 1.0), self._told[at])
        self._until[at] = xp.where(sure, until, self._until[at])

    def fill(self, rows: Rows, change: Any, evidence: Any, doubt: Any) -> None:
        """`corruption` is at least what was seen at a second look; and keep who asks for one.

        Args:
            rows: with `corruption` as the torn blocks tell it.
            change: (N, measures, TILES) float64, as `tile_stats` gives it, of these pictures.
            evidence, doubt: (S,) float64, of torn blocks, of each slot.
        """
        xp, view, slots, pts = self._arithmetic.xp, rows.view, rows.slots, rows.pts
        if self._point is not None:
            holds, told, corruption = pts <= self._until[slots], self._told[slots], view[:, _CORRUPTION]
            # Not "larger or NaN": where blocks are not judged, nothing is.
            view[:, _CORRUPTION] = xp.where(holds & (told > corruption), told, corruption)
        asks = (doubt[slots] >= ASKS) & (evidence[slots] < ENOUGH)
        if not self._arithmetic.on_host:
            self._change[slots] = change[:, _DIFFERENCE].nan_to_num()
            self._asks[slots] = asks.to(torch.uint8)
            return
        for row in np.flatnonzero(asks):
            slot = int(slots[row])
            if slot in self._wanted:
                self._change[slot] = torch.from_numpy(change[row, _DIFFERENCE]).nan_to_num()
                height, width = (int(rows.facts[fact, row]) for fact in (Fact.HEIGHT, Fact.WIDTH))
                self._asked[slot] = _Asked(float(pts[row]), (height, width))

    def fetch(self, batch: FrameBatch, slots: Tensor) -> None:
        """On a GPU, behind a batch: who asks is on its way to the host.

        Args:
            batch: whose pictures.
            slots: of these, on the device.
        """
        asks = self._asks[slots]
        done: Any = None
        if asks.device.type == "cuda":
            there = torch.empty(len(asks), dtype=torch.uint8, pin_memory=True)
            there.copy_(asks, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
            asks = there
            self.device_to_host_bytes += there.nbytes
        self._coming = batch.numbers, batch.surfaces, asks, done

    def _hear(self) -> None:
        """Wait for who asked in the batch before."""
        if self._coming is None:
            return
        numbers, surfaces, asks, done = self._coming
        self._coming = None
        if done is not None:
            done.synchronize()
        for row in np.flatnonzero(asks.numpy()):
            slot, surface = numbers[row], surfaces[row]
            if slot in self._wanted:
                self._asked[slot] = _Asked(surface.pts, (surface.height, surface.width))


def wants_second_looks(parameters: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether a stream is looked at for a second time, by the parameters of its detectors."""
    return parameters.get("video.corruption", {}).get("network_looks", 1.0) > 0

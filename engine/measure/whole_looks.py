"""What the artifact network says of whole pictures of a stream at most of which it looks, with what it said before.

Where few pictures lie between looks, damage is told by how long it lasts (decision 0134): a picture's map
goes with those before through the network over histories. What is kept of a stream is as large as eight maps, and is
let go with the stream. It begins anew with another stream or size of the picture, behind a gap, and where looks were
further apart; not at a cut, as damage looks like one.

Picture by picture, so that other streams change nothing. On a GPU launched one by one: nothing waits for the device and
no size depends on what is seen there, but each picture takes the host some hundred launches.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from engine.media import Surface
from kernels.to_network import PIECE, to_network
from models.artifact_history import ArtifactHistory, History
from models.artifact_net import INPUTS, LABELS, MIRRORED_TOO, TILE, ArtifactNet, told_over
from models.artifact_weights import OperatingPoint

# From one look to the next, in pictures: three, and a fourth where rates do not divide. Of every fifth next to nothing
# is left that history tells (decision 0134).
MOST_APART: Final = 4
GAP_SECONDS: Final = 1.0
_LABEL: Final = LABELS.index("corruption")
# Of pictures, of which the pieces' corners are kept.
_MOST_SIZES: Final = 64
_HALF: Final = 2  # the network is given four luma samples at once


@dataclass(slots=True, eq=False)
class _Stream:
    history: History
    shape: tuple[int, int]
    pts: float


class WholeLooks:
    """Looks at whole pictures, and keeps what was seen of each slot.

    Args:
        net: for use, on the device.
        history: the network over maps.
        tile: from which probability on a tile counts as damaged, where `history` has no point.
        device: where.
        dtype: of the network's numbers.
    """

    def __init__(
        self, net: ArtifactNet, history: ArtifactHistory, tile: float, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._net, self._device, self._dtype = net, device, dtype
        self._point = history.point
        self._tile = tile if history.point is None else history.point.tile
        # What is kept is summed up over many maps, so it is not of 16 bits; it is a hundredth of the work.
        self._history = copy.deepcopy(history.net).to(device)
        self._slots = torch.zeros(1, dtype=torch.int64, device=device)
        self._goes_on = torch.zeros(1, dtype=torch.bool, device=device)
        self._crops: dict[tuple[int, int, bool], Tensor] = {}
        self._streams: dict[int, _Stream] = {}
        self.told_map: Callable[[Surface, Tensor], None] | None = None
        """Handed each picture that is looked at and the network's map of it, (rows, columns) logits; for measuring."""

    def forget(self, slot: int) -> None:
        """The stream moves out, or a look was too far from the one before."""
        self._streams.pop(slot, None)

    def look(self, slot: int, surface: Surface, frame: Tensor, reference: Tensor) -> Tensor:
        """(): float64, the share of the picture's whole tiles that are damaged.

        Args:
            slot: of the stream.
            surface: the picture.
            frame, reference: (1, fields) on the device: its row and that of the picture before.
        """
        with torch.no_grad():
            now = self._map(surface, frame, reference)
            if self.told_map is not None:
                self.told_map(surface, now[0])
            shape = now.shape[1], now.shape[2]
            stream = self._streams.get(slot)
            if stream is None or stream.shape != shape or not 0 < surface.pts - stream.pts <= GAP_SECONDS:
                stream = _Stream(History(1, *shape, self._device), shape, surface.pts)
                self._streams[slot] = stream
            stream.pts = surface.pts
            logits = self._history(stream.history.take(self._slots, now, self._goes_on))
            area: Tensor = (logits.sigmoid() >= self._tile).double().mean()
            return area

    @property
    def point(self) -> OperatingPoint | None:
        """From where on damage is told of whole pictures; None: nobody has measured it."""
        return self._point

    @property
    def kept(self) -> frozenset[int]:
        """Slots of which something is kept."""
        return frozenset(self._streams)

    def _map(self, surface: Surface, frame: Tensor, reference: Tensor) -> Tensor:
        """(1, rows, columns) float32 logits: the network sees the picture in one piece."""
        height, width = (max(TILE, size // TILE * TILE) for size in (surface.height, surface.width))
        down, across = -(-height // PIECE), -(-width // PIECE)
        pieces = to_network(frame, reference, self._crops_of(down, across, surface.full_range), self._dtype)
        # Side by side, as they lie in memory, channels last; what lies beyond the last whole tile is left out.
        side = PIECE // _HALF
        rows = pieces.permute(0, 2, 3, 1).reshape(down, across, side, side, INPUTS).transpose(1, 2)
        whole = rows.reshape(1, down * side, across * side, INPUTS)[:, : height // _HALF, : width // _HALF]
        return told_over(self._net, whole.contiguous().permute(0, 3, 1, 2), _LABEL, MIRRORED_TOO)

    def _crops_of(self, down: int, across: int, full_range: bool) -> Tensor:
        """Pieces that cover a picture, as `to_network` takes them; uploaded once."""
        key = down, across, full_range
        if key not in self._crops:
            if len(self._crops) >= _MOST_SIZES:
                self._crops.clear()
            corners = [
                (0, PIECE * row, PIECE * column, int(full_range)) for row in range(down) for column in range(across)
            ]
            table = torch.tensor(corners)
            if self._device.type == "cuda":
                table = table.pin_memory()
            self._crops[key] = table.to(self._device, non_blocking=True)
        return self._crops[key]

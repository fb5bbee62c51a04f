"""What the pictures before tell of a tile: seven numbers of it, kept from map to map, and a small network over them.

The artifact network is asked of a picture and the one before. Damage of a coded stream stays until the next intra
picture, and letters or foliage that look suspicious looked so before. So of each stream some maps are kept: the last
ones as they are, and what a tile usually and at the least shows, which follow what comes slowly. They take the same
memory however long a stream is. Of the first map of a stream, or behind a gap, all seven numbers are that map: what
always looked so is rather no damage.

Everything here takes any number of streams at once; what comes of one depends on nothing but its own maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.artifact_weights import OperatingPoint
from models.weight_files import SHIPPED, put_into, read_weights

SHIPPED_HISTORY: Final = SHIPPED / "artifact_history.safetensors"
# Maps that are kept as they are; and with them what is usual and the least.
RECENT: Final = 6
KEPT: Final = RECENT + 2
# Now, in both maps before, mean and highest of the last RECENT, usual, least.
INPUTS: Final = 7
# Logits beyond are as sure.
MOST_LOGIT: Final = 12.0
# What is usual is the mean of so many maps at most, in which none counts for more than so many logits from it.
USUAL_MAPS: Final = 32
USUAL_STEP: Final = 2.0
# The least comes back to what is usual by this part of the way with each map.
LEAST_RETURNS: Final = 1 / 64
# A picture is what is said of this share of its tiles, those it is surest of.
SUREST_SHARE: Final = 0.01
WIDTH: Final = 16
# Networks of the same form, trained from different seeds, whose mean is taken.
MEMBERS: Final = 3
_SCALE: Final = 4.0


def with_next(maps: Tensor, count: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """What a map is seen with, and what is kept for the next one.

    Args:
        maps: (N, KEPT, rows, columns) float32, as they were kept; not read where `count` is 0.
        count: (N,) int64, maps that were taken in before.
        now: (N, rows, columns) float32 logits.
    Returns: (N, INPUTS, rows, columns), as HistoryNet takes them; and (N, KEPT, rows, columns).
    """
    now = now.clamp(-MOST_LOGIT, MOST_LOGIT)
    # Not NaN, so that memory nobody wrote to spoils nothing.
    maps = torch.where((count == 0)[:, None, None, None], now[:, None], maps)
    recent, usual, least = maps[:, :RECENT], maps[:, RECENT], maps[:, RECENT + 1]
    # Added one by one, in the same order everywhere: a sum over an axis has the order that the device likes.
    total, highest = recent[:, 0], recent[:, 0]
    for index in range(1, RECENT):
        total, highest = total + recent[:, index], torch.maximum(highest, recent[:, index])
    seen = torch.stack([now, recent[:, 0], recent[:, 1], total / RECENT, highest, usual, least], dim=1) / _SCALE
    share = 1.0 / (count + 1).clamp(max=USUAL_MAPS).to(now.dtype)[:, None, None]
    usual = usual + share * (now - usual).clamp(-USUAL_STEP, USUAL_STEP)
    least = torch.minimum(now, least + (usual - least) * LEAST_RETURNS)
    return seen, torch.cat([now[:, None], recent[:, :-1], usual[:, None], least[:, None]], dim=1)


class History:
    """What is kept of each slot's maps, on a device. By launches that can be recorded: no size depends on what is seen.

    Args:
        slots: number of slots.
        rows, columns: most tiles of a picture.
        device: where.
    """

    def __init__(self, slots: int, rows: int, columns: int, device: torch.device) -> None:
        self._maps = torch.zeros((slots, KEPT, rows, columns), device=device)
        self._count = torch.zeros(slots, dtype=torch.int64, device=device)

    def forget(self, slot: int) -> None:
        """Another stream moves in, or the stream's pictures have another size."""
        self._count[slot] = 0

    def take(self, slots: Tensor, now: Tensor, anew: Tensor) -> Tensor:
        """Take in one map of each of these slots.

        Args:
            slots: (N,) int64, all different, but for a spare one that nobody reads.
            now: (N, rows, columns) float32 logits; beyond a picture whatever it is.
            anew: (N,) bool, of those whose maps before are of another time: behind a gap.
        Returns: (N, INPUTS, rows, columns) float32: what each is seen with.
        """
        count = torch.where(anew, 0, self._count.index_select(0, slots))
        seen, kept = with_next(self._maps.index_select(0, slots), count, now)
        self._maps.index_copy_(0, slots, kept)
        self._count.index_copy_(0, slots, count + 1)
        return seen


class Member(nn.Module):
    """One network over the seven numbers of tiles."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Conv2d(INPUTS, WIDTH, 1)
        self.near, self.far = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.told = nn.Conv2d(WIDTH, 1, 1)
        self.gain = nn.Parameter(torch.tensor(1.0))
        # It begins with what the map says.
        nn.init.zeros_(self.told.weight)
        assert self.told.bias is not None
        nn.init.zeros_(self.told.bias)

    def forward(self, seen: Tensor, inside: Tensor | None = None) -> Tensor:
        """(N, rows, columns) logits, as HistoryNet."""
        x = functional.relu(self.own(seen))
        for layer in (self.near, self.far):
            # Beyond a picture there is nothing, however large the tensor that it lies in.
            x = x if inside is None else torch.where(inside[:, None], x, 0.0)
            x = x + functional.relu(layer(x))
        logits: Tensor = (_SCALE * (self.gain * seen[:, :1] + self.told(x)))[:, 0]
        return logits


class HistoryNet(nn.Module):
    """Seven numbers of each tile -> logits of damage: the mean of some networks.

    Args:
        members: which; new ones unless told.
    """

    def __init__(self, members: Sequence[Member] | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members or [Member() for _ in range(MEMBERS)])

    def forward(self, seen: Tensor, inside: Tensor | None = None) -> Tensor:
        """How sure it is of damage.

        Args:
            seen: (N, INPUTS, rows, columns) float32, as `History.take` gives them.
            inside: (N, rows, columns) bool: tiles within the picture; None: all.
        Returns: (N, rows, columns) float32 logits; beyond a picture they mean nothing.
        """
        total = self.members[0](seen, inside)
        for member in self.members[1:]:
            total = total + member(seen, inside)
        mean: Tensor = total / len(self.members)
        return mean


def surest(logits: Tensor) -> Tensor:
    """(N,): what is said of pictures: in the mean of the hundredth part of their tiles that it is surest of.

    Args:
        logits: (N, rows, columns), all within the pictures.
    """
    count = max(1, round(SUREST_SHARE * logits[0].numel()))
    return logits.flatten(1).topk(count, dim=1).values.mean(dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class ArtifactHistory:
    """The network over histories, for use.

    Args:
        net: float32.
        artifact: SHA-256 of the weights of the artifact network whose maps it was trained on; others' say other things.
        version: of the weights, as their file says.
        point: from where on it is sure of whole pictures, as their file says; None: nobody has measured it.
    """

    net: HistoryNet
    artifact: str
    version: str
    point: OperatingPoint | None = None


def load_history(path: Path | None = None) -> ArtifactHistory:
    """The network with the weights of a file; those of the package unless told.

    Raises: WeightsError if the file is not what it should be.
    """
    tensors, about = read_weights(path or SHIPPED_HISTORY, "artifact_history")
    net = HistoryNet()
    put_into(net, tensors, path)
    net.eval().requires_grad_(False)
    point = OperatingPoint.of(about) if "tile" in about else None
    return ArtifactHistory(net, about.get("artifact", ""), about.get("version", ""), point)

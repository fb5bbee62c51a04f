"""The sync network: whether what moves in the pictures is what sounds, and by how much one is later than the other.

Two towers see two streams of small rows on a grid of 40 ms: how the brightness of tiles changes where a picture moves
most, and how the energy in bands of sound does. Both give a vector for each step; where sound and picture belong
together at some offset, their vectors are alike there. It is trained by itself: sound at its own place against the same
sound shifted (no labels). See models/sync_signals.py for what it is given.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sync_signals import MOTION_ROWS, SOUND_ROWS, STEP_SECONDS

# Offsets to both sides that are looked at: a second.
REACH: Final = 25
WINDOW_SECONDS: Final = 10.0
WINDOW_STEPS: Final = round(WINDOW_SECONDS / STEP_SECONDS)
_WIDTH, _VECTOR = 48, 32


class _Tower(nn.Module):
    """Rows -> vectors of length 1, each from about half a second around its step."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(rows, _WIDTH, 5, padding=2),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv1d(_WIDTH, _WIDTH, 5, padding=2),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv1d(_WIDTH, _VECTOR, 5, padding=2),
        )

    def forward(self, rows: Tensor) -> Tensor:
        return functional.normalize(self.layers(rows), dim=1)


class SyncNet(nn.Module):
    """Motion and sound -> how well they fit at each offset."""

    def __init__(self) -> None:
        super().__init__()
        self.motion, self.sound = _Tower(MOTION_ROWS), _Tower(SOUND_ROWS)
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, motion: Tensor, sound: Tensor) -> Tensor:
        """Logits of the offsets.

        Args:
            motion: (N, MOTION_ROWS, T) float32.
            sound: (N, SOUND_ROWS, T + 2 * REACH) float32: from REACH steps before the motion to as much after it.
        Returns: (N, 2 * REACH + 1) float32; number k is of sound that is k - REACH steps late.
        """
        seen, heard = self.motion(motion), self.sound(sound)
        steps = seen.shape[2]
        fits = [(seen * heard[:, :, k : k + steps]).sum(dim=1).mean(dim=1) for k in range(2 * REACH + 1)]
        return torch.stack(fits, dim=1) * self.scale.exp()


@dataclass(frozen=True, slots=True)
class Offset:
    """What the network says of a window.

    Args:
        seconds: by which sound is late.
        margin: how much better that fits than any offset further than 80 ms from it, as a logit.
    """

    seconds: float
    margin: float


def offset_of(logits: Tensor) -> Offset:
    """The offset of one window.

    Args:
        logits: (2 * REACH + 1,) as the network gives them.
    """
    best = int(logits.argmax())
    there = torch.arange(len(logits), device=logits.device)
    others = torch.where((there - best).abs() > 2, logits, -torch.inf)
    margin = float(logits[best] - others.max())
    place = float(best)
    if 0 < best < len(logits) - 1:
        before, at, after = (float(value) for value in logits[best - 1 : best + 2])
        bend = before - 2 * at + after
        if bend < 0:
            place += 0.5 * (before - after) / bend
    return Offset((place - REACH) * STEP_SECONDS, margin)

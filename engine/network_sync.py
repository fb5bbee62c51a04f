"""Lip sync without a test pattern or a reference: what moves in the pictures beside what sounds, by the sync network.

Every two seconds the last ten are looked at. A window in which hardly anything moves or sounds, or of which the network
is not sure, says nothing; and what is told is the middle of what the sure windows of the last two minutes said, once
there are three. Called from the engine's loop only; off unless asked for (docs/sync.md has its measured quality).
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from engine.fingerprints import BANDS, Rows, SoundPrint
from kernels.tile_stats import TILES
from models.sync_net import REACH, WINDOW_SECONDS, WINDOW_STEPS, offset_of
from models.sync_signals import STEP_SECONDS, motion_signal, sound_rows
from models.sync_weights import Sync

HOP_SECONDS: Final = 2.0
# Windows that have to be sure, of those of the last two minutes, and so near to each other.
LEAST_WINDOWS: Final = 3
AVERAGED_SECONDS: Final = 120.0
AGREEING_SECONDS: Final = 0.06
_MARGIN_SECONDS: Final = 1.2
_KEPT_SECONDS: Final = 2 * WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a moment.

    Args:
        at: media second of the middle of the latest window.
        offset: seconds by which sound is late, averaged.
        confidence: 0 to 1, of the latest window.
    """

    at: float
    offset: float
    confidence: float


class NetworkSync:
    """One stream's lip sync by the network.

    Args:
        sync: the network.
        device: where the rows of pictures are.
    """

    def __init__(self, sync: Sync, device: torch.device) -> None:
        self._sync = sync
        self.tiles = Rows(TILES, device)
        """Mean luma of the tiles of each picture."""
        self.print = SoundPrint()
        """Filled by the stream's reader."""
        self._sound = Rows(BANDS, torch.device("cpu"))
        self._end: float | None = None
        self._sure: deque[tuple[float, float, float]] = deque()  # middle, offset, confidence
        self._looked = self._judged = 0
        self._all: deque[float] = deque(maxlen=3600)
        self.latest: Heard | None = None
        """The latest that was told."""

    def settled(self, known_until: float, *, last: bool = False) -> list[Heard]:
        """What has become known since the last call.

        Args:
            known_until: media second up to which every track was judged.
            last: no more comes.
        """
        self.print.taken(self._sound)
        if self._end is None:
            if not len(self.tiles.between(-math.inf, math.inf)[0]):
                return []
            self._end = float(self.tiles.between(-math.inf, math.inf)[0][0]) + WINDOW_SECONDS + 2 * _MARGIN_SECONDS
        found = []
        while self._end + (0.0 if last else _MARGIN_SECONDS) <= known_until:
            told = self._look(self._end)
            if told is not None:
                self.latest = told
                self._all.append(told.offset)
                found.append(told)
            self._end += HOP_SECONDS
        for rows in (self.tiles, self._sound):
            rows.forget(known_until - _KEPT_SECONDS)
        return found

    def _look(self, end: float) -> Heard | None:
        begin = end - WINDOW_SECONDS - REACH * STEP_SECONDS
        self._looked += 1
        pictures, tiles = self.tiles.between(begin - _MARGIN_SECONDS, end + _MARGIN_SECONDS)
        times, bands = self._sound.between(begin - 2 * _MARGIN_SECONDS, end + _MARGIN_SECONDS)
        motion = motion_signal(pictures, tiles.cpu().numpy(), begin, WINDOW_STEPS)
        sound = sound_rows(times, bands.numpy(), begin - REACH * STEP_SECONDS, WINDOW_STEPS + 2 * REACH)
        if motion is None or sound is None:
            return None
        with torch.inference_mode():
            said = offset_of(self._sync.net(torch.from_numpy(motion)[None], torch.from_numpy(sound)[None])[0])
        if said.margin < self._sync.margin:
            return None
        self._judged += 1
        middle = begin + WINDOW_SECONDS / 2
        self._sure.append((middle, said.seconds, self._sync.confidence(said.margin)))
        while self._sure[0][0] < middle - AVERAGED_SECONDS:
            self._sure.popleft()
        offsets = np.array([offset for _, offset, _ in self._sure])
        centre = float(np.median(offsets))
        near = offsets[np.abs(offsets - centre) <= AGREEING_SECONDS]
        if len(near) < LEAST_WINDOWS or len(near) < 0.6 * len(offsets):
            return None
        return Heard(middle, float(near.mean()), self._sure[-1][2])

    def verdict(self, late: float, early: float) -> dict[str, Any]:
        """What the summary says; "unknown" where nothing was told.

        Args:
            late, early: seconds by which sound may be late or early.
        """
        if not self._all:
            return {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
        offset = float(np.median(self._all))
        confidence = self.latest.confidence * self._judged / max(1, self._looked) if self.latest is not None else 0.0
        inside = -early <= offset <= late
        return {"offset_ms": round(1000 * offset, 1), "confidence": round(confidence, 3),
                "verdict": "in_sync" if inside else "out_of_sync"}  # fmt: skip

"""What a network got wrong, as one JPEG: rows of pieces of pictures, or of spectrograms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine.evidence.jpeg import encode
from models.audio_labels import LABELS
from models.train import Pieces
from models.train_audio import Windows

_GAP = 6


def sheet(rows: Sequence[Sequence[npt.NDArray[np.uint8]]]) -> bytes:
    """A JPEG of rows of grey pictures, each row as wide as it is."""
    sizes = [(max((p.shape[0] for p in row), default=0), sum(p.shape[1] + _GAP for p in row)) for row in rows]
    height, width = sum(h + _GAP for h, _ in sizes) + _GAP, max((w for _, w in sizes), default=0) + _GAP
    canvas = np.full((height + height % 2, width + width % 2), 255, np.uint8)
    top = _GAP
    for row, (tall, _) in zip(rows, sizes, strict=True):
        left = _GAP
        for picture in row:
            canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
            left += picture.shape[1] + _GAP
        top += tall + _GAP
    return encode(torch.from_numpy(np.repeat(canvas[None], 3, axis=0)))


def draw_artifact_failures(figures: dict[str, Any], paths: list[Path], target: Path) -> None:
    """Two rows: damaged pieces that were missed, and clean ones that were called damaged.

    Each is the picture before and the picture.
    """
    data = Pieces(paths)
    rows = [
        [np.concatenate(list(data.luma[one["number"]]), axis=1) for one in figures["failures"][name]]
        for name in ("missed", "false")
    ]
    target.write_bytes(sheet(rows))


def draw_audio_failures(figures: dict[str, Any], paths: list[Path], target: Path) -> None:
    """For each label two rows of spectrograms, high notes at the top: missed, and told without being there."""
    data = Windows(paths)
    rows = [
        [data.mel[one["number"], 0, ::-1] for one in figures["failures"][label][name]]
        for label in LABELS
        for name in ("missed", "false")
    ]
    target.write_bytes(sheet(rows))

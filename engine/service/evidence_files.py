"""Evidence as files of the data folder (evidence/day/incident/kind.suffix), each written whole or not at all."""

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from engine.service.contract import EvidenceKind
from engine.store.records import IncidentRecord

_SUFFIXES: Final = {"thumbnail": ".jpg", "overlay": ".jpg", "series": ".json", "clip": ".mp4"}
_CLIP_SUFFIXES: Final = (".mp4", ".mkv", ".ts")
MEDIA_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
    ".ts": "video/mp2t",
}


class KeepsEvidence(Protocol):
    """Where evidence is kept."""

    def keep(self, record: IncidentRecord, kind: EvidenceKind, content: bytes | Path) -> tuple[str, int]:
        """Write a piece; it takes the place of an older one of its kind.

        Returns: its place, and its size in bytes.
        Raises: OSError.
        """

    def path(self, place: str) -> Path | None:
        """A file with the piece; None if it is not there any more."""

    def remove(self, place: str) -> None:
        """Delete a piece, if it is there."""


def evidence_place(record: IncidentRecord, kind: EvidenceKind, content: bytes | Path) -> str:
    """Where a piece is kept: evidence/day/incident/kind.suffix."""
    suffix = _SUFFIXES[kind]
    if kind == "clip" and isinstance(content, Path) and content.suffix in _CLIP_SUFFIXES:
        suffix = content.suffix
    day = datetime.fromtimestamp(record.opened_at, UTC).strftime("%Y-%m-%d")
    return f"evidence/{day}/{record.id}/{kind}{suffix}"


class EvidenceFiles:
    """The files.

    Args:
        data: the data folder.
    """

    def __init__(self, data: Path) -> None:
        self._data = data.resolve()

    def keep(self, record: IncidentRecord, kind: EvidenceKind, content: bytes | Path) -> tuple[str, int]:
        """Write a piece; it takes the place of an older one of its kind.

        Args:
            content: bytes, or a file that is moved, or copied from another disk.
        Returns: its place relative to the data folder, and its size in bytes.
        Raises: OSError.
        """
        target = self._data / evidence_place(record, kind, content)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.part")
        try:
            if isinstance(content, Path):
                # Copied, so that it can be tried again where the database fails after it.
                shutil.copyfile(content, beside)
            else:
                beside.write_bytes(content)
            os.replace(beside, target)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        return str(target.relative_to(self._data)), target.stat().st_size

    def path(self, place: str) -> Path | None:
        """The file of a piece; None if it is not there any more, or lies outside the folder."""
        path = (self._data / place).resolve()
        return path if path.is_relative_to(self._data) and path.is_file() else None

    def remove(self, place: str) -> None:
        """Delete a piece, if it is there."""
        path = self.path(place)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()

"""Evidence in the object store that all engines of a cluster share, with a folder of what was read of it lately."""

import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import Final

from engine.errors import StoreError
from engine.service.contract import EvidenceKind
from engine.service.evidence_files import evidence_place
from engine.store.objects import Objects
from engine.store.records import IncidentRecord

# Of pieces that were asked for; a clip has some megabytes.
_CACHED_FILES: Final = 200

log = logging.getLogger(__name__)


class SharedEvidence:
    """The pieces.

    Args:
        objects: where they are kept.
        cache: folder for copies of what is read; its files are this process's own.
    """

    def __init__(self, objects: Objects, cache: Path) -> None:
        self._objects = objects
        self._cache = cache
        self._lock = threading.Lock()

    def keep(self, record: IncidentRecord, kind: EvidenceKind, content: bytes | Path) -> tuple[str, int]:
        """Write a piece; it takes the place of an older one of its kind.

        Returns: its place, and its size in bytes.
        Raises: OSError if the store is away.
        """
        place = evidence_place(record, kind, content)
        try:
            return place, self._objects.put(place, content)
        except StoreError as error:
            raise OSError(error.line()) from error

    def path(self, place: str) -> Path | None:
        """A copy of a piece; None if it is not there any more, or the store is away."""
        target = (self._cache / place).resolve()
        if not target.is_relative_to(self._cache.resolve()):
            return None
        with self._lock:
            if target.is_file():
                target.touch()
                return target
            try:
                content = self._objects.get(place)
            except StoreError as error:
                log.warning("evidence cannot be read: %s", error.line())
                return None
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.part")
            beside.write_bytes(content)
            os.replace(beside, target)
            self._shrink()
            return target

    def remove(self, place: str) -> None:
        """Delete a piece, if it is there."""
        with contextlib.suppress(StoreError):
            self._objects.delete([place])

    def _shrink(self) -> None:
        files = sorted(
            (file for file in self._cache.rglob("*") if file.is_file()), key=lambda file: file.stat().st_mtime
        )
        for file in files[:-_CACHED_FILES]:
            with contextlib.suppress(OSError):
                file.unlink()

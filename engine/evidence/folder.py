"""Evidence as files for people: `<folder>/<stream>/<start>-<detector>-<id>.mp4`, `.jpg` and `.json`."""

import re
import shutil
from pathlib import Path
from typing import Final

from engine.errors import ConfigError
from engine.evidence.worker import EvidenceKind
from engine.verdicts import Incident

_SUFFIXES: Final = {"thumbnail": ".jpg", "overlay": "-damage.jpg", "series": ".json"}
_MOST_NAME: Final = 100
_ID_DIGITS: Final = 8


class EvidenceFolder:
    """Writes evidence under names that say what it is of.

    Args:
        folder: made if it is not there.
    Attributes:
        files: what was written, by incident id and kind.
    Raises: ConfigError if it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incidents: dict[str, Incident] = {}
        self.files: dict[str, dict[EvidenceKind, Path]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                "cannot write evidence",
                stream=str(folder),
                why=error.strerror or str(error),
                remedy="name a folder that can be written to",
            ) from error

    def know(self, incident: Incident) -> None:
        """An incident changed; told before its evidence comes."""
        self._incidents[incident.id] = incident

    def take(self, incident_id: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """A piece of evidence; a later one of its kind takes its place.

        Raises: OSError.
        """
        incident = self._incidents[incident_id]
        folder = self._folder / safe_name(incident.stream)
        folder.mkdir(exist_ok=True)
        name = f"{incident.start:010.3f}s-{incident.detector}-{incident_id[:_ID_DIGITS]}"
        path = folder / f"{name}{content.suffix if isinstance(content, Path) else _SUFFIXES[kind]}"
        if isinstance(content, Path):
            shutil.move(content, path)
        else:
            path.write_bytes(content)
        self.files.setdefault(incident_id, {})[kind] = path


def safe_name(stream: str) -> str:
    """A file name for a stream: the end of its id, with nothing in it that a path or a shell would obey."""
    return re.sub(r"[^\w.+=@-]+", "_", stream)[-_MOST_NAME:].lstrip("._-") or "stream"

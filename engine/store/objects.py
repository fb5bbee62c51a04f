"""Where files are kept under names: a directory, or an object store. A name is there whole or not at all.

Used from the threads of the verdict store and of evidence, and by readers. Nothing retries: who calls knows how long a
failure may last.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from engine.errors import ConfigError, StoreError
from engine.ingest.url_policy import redact

SCHEMES: Final = ("s3", "gs", "az")
# Of a whole request. A part is a megabyte or less, a clip some: a store that takes longer is away.
REQUEST_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Stored:
    """One object.

    Args:
        name: its path below the root, parts joined by "/".
        bytes: its size.
    """

    name: str
    bytes: int


class Objects(Protocol):
    """Files under names. All raise StoreError where the place cannot be used, NotThere for a name that is none."""

    place: str

    def put(self, name: str, content: bytes | Path) -> int:
        """Keep content under a name, over what is there; on disk, or with the store, when this returns its size."""

    def get(self, name: str) -> bytes:
        """The content of a name."""

    def open(self, stored: Stored) -> Any:
        """The content for pyarrow: something that can be read from any position."""

    def walk(self, prefix: str = "") -> Iterator[Stored]:
        """Everything below a folder ("" for all), in no order."""

    def folders(self) -> list[str]:
        """The folders at the root, sorted."""

    def delete(self, names: Sequence[str]) -> None:
        """Forget names; one that is not there is no error."""


class NotThere(StoreError):
    """Nothing has that name (any more)."""


def open_objects(
    place: str | Path, options: Mapping[str, str] | None = None, request_seconds: float = REQUEST_SECONDS
) -> Objects:
    """The directory or object store that a place names.

    Args:
        place: a path, or a URL with one of SCHEMES.
        options: of an object store.
        request_seconds: limit for one request to an object store.
    Raises: ConfigError for another scheme or a wrong option; StoreError if a directory cannot be made.
    """
    from engine.store.bucket import Bucket
    from engine.store.directory import Directory

    text = str(place)
    scheme, separator, _ = text.partition("://")
    if not separator:
        return Directory(Path(text))
    if scheme == "file":
        return Directory(Path(text.removeprefix("file://")))
    if scheme not in SCHEMES:
        raise ConfigError(
            "cannot use storage",
            stream=redact(text),
            why=f"{scheme}:// is not supported",
            remedy=f"write a directory, or a URL that begins with {', '.join(f'{name}://' for name in SCHEMES)}",
        )
    return Bucket(text, options or {}, request_seconds)

"""Objects as files of a directory."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from engine.errors import StoreError
from engine.store.objects import NotThere, Stored

_TEMPORARY: Final = ".writing-"
# What a killed writer left behind; one that still writes has renamed its file long before.
_ABANDONED_SECONDS: Final = 3600.0


class Directory:
    """Objects as files of a directory.

    Args:
        root: made if it is not there.
    Raises: StoreError if it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root)
        with self._mapped("cannot be made"):
            root.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, content: bytes | Path) -> int:
        """Written beside its place, brought to the disk, then renamed."""
        target = self.root / name
        temporary = target.with_name(f"{_TEMPORARY}{os.getpid()}-{threading.get_ident()}-{target.name}")
        with self._mapped("cannot be written"):
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                sync_folder(target.parent.parent)
            try:
                with temporary.open("wb") as file:
                    if isinstance(content, Path):
                        with content.open("rb") as source:
                            while piece := source.read(1 << 20):
                                file.write(piece)
                    else:
                        file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    size = file.tell()
                os.replace(temporary, target)
                sync_folder(target.parent)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
        return size

    def get(self, name: str) -> bytes:
        """Read the file."""
        with self._mapped("cannot be read", name):
            return (self.root / name).read_bytes()

    def open(self, stored: Stored) -> Any:
        """The file, mapped into memory."""
        with self._mapped("cannot be read", stored.name):
            return pa.memory_map(str(self.root / stored.name))

    def walk(self, prefix: str = "") -> Iterator[Stored]:
        """Files below a folder, without those that are being written."""
        with self._mapped("cannot be listed"):
            yield from self._walk(self.root / prefix if prefix else self.root)

    def _walk(self, folder: Path) -> Iterator[Stored]:
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path))
            elif entry.name.startswith(_TEMPORARY):
                self._forget_if_abandoned(Path(entry.path))
            else:
                try:
                    size = entry.stat().st_size
                except FileNotFoundError:
                    continue  # deleted while the folder was read
                yield Stored(Path(entry.path).relative_to(self.root).as_posix(), size)

    @staticmethod
    def _forget_if_abandoned(file: Path) -> None:
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > _ABANDONED_SECONDS:
                file.unlink()

    def folders(self) -> list[str]:
        """The directories at the root."""
        with self._mapped("cannot be listed"):
            return sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())

    def delete(self, names: Sequence[str]) -> None:
        """Delete files, and the directories that are empty then."""
        with self._mapped("cannot be deleted"):
            for name in names:
                path = self.root / name
                path.unlink(missing_ok=True)
                for parent in path.parents:
                    if parent == self.root:
                        break
                    try:
                        parent.rmdir()
                    except OSError:
                        break  # not empty, or gone

    @contextlib.contextmanager
    def _mapped(self, what: str, name: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if name:
                raise NotThere(
                    "nothing is kept there", stream=name, why="it was deleted", remedy="list what is there again"
                ) from error
            raise self._failed(what, error) from error
        except OSError as error:
            raise self._failed(what, error) from error

    def _failed(self, what: str, error: OSError) -> StoreError:
        return StoreError(
            f"storage directory {what}",
            stream=self.place,
            why=error.strerror or str(error),
            remedy="see that its disk is there and has room, and that the service may write to it",
        )


def sync_folder(folder: Path) -> None:
    """Bring a directory's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(file: Path, content: bytes) -> None:
    """Replace a file so that after any crash it is the old or the new one, whole.

    Raises: OSError.
    """
    temporary = file.with_name(f"{_TEMPORARY}{file.name}")
    try:
        with temporary.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
        sync_folder(file.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise

"""Objects of S3, Google Cloud Storage and Azure Blob Storage."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from engine.errors import ConfigError, StoreError
from engine.ingest.url_policy import redact
from engine.store.objects import REQUEST_SECONDS, NotThere, Stored

CONNECT_SECONDS: Final = 3.0
# Larger objects are read piece by piece, so that one stream's rows of an hour do not cost the whole hour.
WHOLE_BYTES: Final = 4 << 20
_DELETED_AT_ONCE: Final = 1000
# The options that name another server than the provider's own: of S3 and Azure, and of Google.
_ADDRESSES: Final = ("endpoint", "base_url")


class Bucket:
    """Objects of S3, Google Cloud Storage or Azure Blob Storage.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.
        options: of the store (`endpoint`, `region`, `access_key_id`, ...); they come before its environment variables.
        request_seconds: limit for one request.
    Raises: ConfigError if an option is none.
    """

    def __init__(self, url: str, options: Mapping[str, str], request_seconds: float = REQUEST_SECONDS) -> None:
        import obstore.store  # a tenth of a second that directories need not wait for

        self.place = redact(url)
        options = dict(options)
        # It is the connection's, and an option of the store in many a configuration.
        plain_http = options.pop("allow_http", "").lower() == "true"
        plain_http |= any(str(options.get(name, "")).lower().startswith("http://") for name in _ADDRESSES)
        client: dict[str, Any] = {
            "connect_timeout": f"{round(min(CONNECT_SECONDS, request_seconds) * 1000)}ms",
            "timeout": f"{round(request_seconds * 1000)}ms",
        }
        if plain_http:
            client["allow_http"] = True
        try:
            # Which options are known is the store's to say.
            open_store: Any = obstore.store.from_url
            self._store: Any = open_store(
                url,
                config=dict(options),
                client_options=client,
                retry_config={"max_retries": 0},
            )
        except BaseException as error:
            # Some options of others make the library panic, which is no Exception.
            if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
                raise
            raise ConfigError(
                "cannot use object store",
                stream=self.place,
                why=_reason(error),
                remedy="correct storage.verdicts and storage.options",
            ) from error

    def put(self, name: str, content: bytes | Path) -> int:
        """One complete object: an upload that breaks off leaves nothing."""
        import obstore

        size = content.stat().st_size if isinstance(content, Path) else len(content)
        self._call("cannot be written", lambda: obstore.put(self._store, name, content))
        return size

    def get(self, name: str) -> bytes:
        """Fetch the object."""
        import obstore

        return bytes(self._call("cannot be read", lambda: obstore.get(self._store, name).bytes(), name))

    def open(self, stored: Stored) -> Any:
        """A small object whole, of a large one what is read."""
        if stored.bytes <= WHOLE_BYTES:
            return pa.BufferReader(self.get(stored.name))
        return pa.PythonFile(_Ranges(self, stored), mode="r")

    def range(self, name: str, start: int, length: int) -> bytes:
        """Some bytes of an object."""
        import obstore

        return bytes(
            self._call("cannot be read", lambda: obstore.get_range(self._store, name, start=start, length=length), name)
        )

    def walk(self, prefix: str = "") -> Iterator[Stored]:
        """Everything below a prefix."""
        import obstore

        chunks = iter(self._call("cannot be listed", lambda: obstore.list(self._store, prefix or None)))
        while True:
            chunk = self._call("cannot be listed", lambda: next(chunks, None))
            if chunk is None:
                return
            for found in chunk:
                yield Stored(found["path"], found["size"])

    def folders(self) -> list[str]:
        """The common prefixes at the root."""
        import obstore

        found = self._call("cannot be listed", lambda: obstore.list_with_delimiter(self._store))
        return sorted(str(prefix).rstrip("/") for prefix in found["common_prefixes"])

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, many per request where the store can."""
        import obstore

        for start in range(0, len(names), _DELETED_AT_ONCE):
            some = list(names[start : start + _DELETED_AT_ONCE])
            with contextlib.suppress(NotThere):
                self._call("cannot be deleted", functools.partial(obstore.delete, self._store, some), "one of them")

    def _call(self, what: str, call: Callable[[], Any], name: str = "") -> Any:
        import obstore.exceptions

        try:
            return call()
        except (obstore.exceptions.NotFoundError, FileNotFoundError) as error:
            if name:
                raise NotThere(
                    "nothing is kept there", stream=name, why="it was deleted", remedy="list what is there again"
                ) from error
            raise self._failed(what, error) from error
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            raise self._failed(what, error) from error

    def _failed(self, what: str, error: Exception) -> StoreError:
        return StoreError(
            f"object store {what}",
            stream=self.place,
            why=_reason(error),
            remedy="see that it runs and can be reached, that the bucket is there, and that the key may use it",
        )


class _Ranges:
    """A file of ranges of an object, for pyarrow."""

    def __init__(self, bucket: Bucket, stored: Stored) -> None:
        self._bucket, self._stored, self._at = bucket, stored, 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        left = self._stored.bytes - self._at
        size = left if size is None or size < 0 else min(size, left)
        if size <= 0:
            return b""
        piece = self._bucket.range(self._stored.name, self._at, size)
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        self._at = offset + (0, self._at, self._stored.bytes)[whence]
        return self._at

    def tell(self) -> int:
        """Where it is."""
        return self._at

    def close(self) -> None:
        """Nothing is held."""
        self.closed = True


def _reason(error: BaseException) -> str:
    """The first line of a third party's text, without addresses' secrets."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"\s*Debug source:.*", "", text)
    return redact(text)[:300]

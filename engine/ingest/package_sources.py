"""Sources that other packages bring: an entry point of the group `avjury.sources`, named after the scheme it reads.

Such a source gives the bytes of a container, as they come; libav demuxes them, and all that follows is as with any
other input. Entry points are looked up by name, and a package's code runs only where one of its URLs is opened.
"""

import logging
from dataclasses import dataclass
from threading import Event
from typing import Final

from engine.errors import SourceError
from engine.ingest.raw_bytes import TappedBytes
from engine.ingest.url_policy import UrlPolicy, package_schemes, redact

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What a package is asked to open.

    Args:
        url: as the user wrote it, secrets included.
        stream: the stream's id, for errors.
        policy: `policy.allowed_addresses` says which addresses of a host may be connected to.
        connect_seconds: limit for opening it.
        read_seconds: limit for the next bytes.
        stop: is set from another thread; every wait ends within a fraction of a second then.
    """

    url: str
    stream: str
    policy: UrlPolicy
    connect_seconds: float
    read_seconds: float
    stop: Event


def open_package_source(scheme: str, request: Request) -> TappedBytes:
    """Have the package of a scheme open its source.

    Raises: what means the same from any source (SourceError, TimeoutError, ConnectionError, OSError); SourceError for
        all else that comes out of the package.
    """
    point = package_schemes()[scheme]
    try:
        source = point.load()(request)
    except (SourceError, OSError):
        raise
    except Exception as error:  # another package's code: anything can come out of it
        raise _refused(request, f"{point.value} failed: {type(error).__name__}: {error}") from error
    if not isinstance(source, TappedBytes):
        raise _refused(request, f"{point.value} made a {type(source).__name__}, no engine.ingest.raw_bytes.TappedBytes")
    return _Guarded(source, point.value)


class _Guarded(TappedBytes):
    """A package's source whose mistakes end this input and nothing else: its reader knows errors of reading only.

    Args:
        source: of the package.
        name: of what made it.
    """

    def __init__(self, source: TappedBytes, name: str) -> None:
        super().__init__()
        self._source, self._name = source, name

    def next_bytes(self) -> bytes:
        """See TappedBytes. Raises: OSError."""
        try:
            return bytes(memoryview(self._source.next_bytes()))
        except OSError:
            raise
        except Exception as error:
            raise OSError(None, f"{self._name} failed: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """See TappedBytes."""
        self.forget()
        try:
            self._source.close()
        except Exception as error:  # noqa: BLE001 - another package's code: anything can come out of it
            # It is gone either way, and whoever closes is on the way to something else.
            _log.warning("%s failed as it was closed: %s: %s", self._name, type(error).__name__, redact(str(error)))


def _refused(request: Request, why: str) -> SourceError:
    return SourceError(
        "cannot open input", stream=request.stream, why=redact(why),
        remedy="repair or update the package that reads this scheme",
    )  # fmt: skip

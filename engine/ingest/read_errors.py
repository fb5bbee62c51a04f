"""Why reading an input broke off, in words that one can act on."""

import errno
import http.client

import av.error

from engine.errors import SourceError
from engine.ingest.url_policy import is_local, redact


def broken(why: str, cause: Exception, url: str, stream: str) -> SourceError:
    """Reading broke off.

    Args:
        why: in words.
        cause: what was raised.
        url: of the input.
        stream: the stream's id.
    """
    remedy = (
        "the file's disk or the file itself is damaged; what came before is judged"
        if is_local(url)
        else "check the sender and the network; what came before is judged"
    )
    error = SourceError("reading broke off", stream=stream, why=why, remedy=remedy)
    error.__cause__ = cause
    return error


def read_error(error: Exception, url: str, stream: str, limit_seconds: float) -> SourceError:
    """What libav, or a connection of ours, said of a read.

    Args:
        limit_seconds: that was set for it.
    """
    if isinstance(error, av.error.ExitError | TimeoutError):
        return broken(f"no data for {limit_seconds:g} s", error, url, stream)
    # Over HTTP, libav tells an answer that was cut short as an error of input and output.
    if isinstance(error, ConnectionError | http.client.IncompleteRead) or (
        getattr(error, "errno", 0) == errno.EIO and not is_local(url)
    ):
        return broken("the connection broke", error, url, stream)
    return broken(redact(getattr(error, "strerror", None) or str(error)), error, url, stream)

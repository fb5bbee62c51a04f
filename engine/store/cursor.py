"""Opaque cursors: where the next page of a list begins."""

import base64
import binascii
import json
from collections.abc import Sequence

from engine.errors import QueryError

Key = tuple[str | float | int, ...]


def encode(key: Key) -> str:
    """A cursor for the sort key of the last row that was shown."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode(cursor: str, kinds: Sequence[type]) -> Key:
    """The sort key in a cursor.

    Args:
        kinds: type of each part.
    Raises: QueryError for a text that `encode` did not make.
    """
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(key, list) or len(key) != len(kinds):
            raise ValueError(key)
        return tuple(kind(part) for kind, part in zip(kinds, key, strict=True))
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise QueryError(
            "wrong cursor", why=f"{cursor[:40]!r} is none of this list", remedy="take `next` of the page before"
        ) from error

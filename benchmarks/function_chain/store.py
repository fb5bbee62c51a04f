"""The functions' client of the object store: parallel, keeping connections where the server does, and counted."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import obstore
from obstore.store import S3Store

BUCKET = "handoff"


class Client:
    """Puts, gets and deletes objects, many at once.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self._store: Any = S3Store(
            BUCKET,
            endpoint=url,
            region="us-east-1",
            access_key_id="chain",
            secret_access_key="chain",
            # What is signed is not hashed as well, as clients do over TLS.
            unsigned_payload=True,
            client_options={"allow_http": True},
        )
        self._loop = asyncio.new_event_loop()
        self.counted = {"put": 0, "get": 0, "delete": 0, "put_bytes": 0, "get_bytes": 0}

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Write objects side by side, one request each."""

        async def all_of_them() -> None:
            await asyncio.gather(
                *(obstore.put_async(self._store, key, data, use_multipart=False) for key, data in objects.items())
            )

        self._loop.run_until_complete(all_of_them())
        self.counted["put"] += len(objects)
        self.counted["put_bytes"] += sum(len(data) for data in objects.values())

    def get(self, keys: Sequence[str]) -> list[bytes]:
        """Read objects side by side, one request each; in the order of the keys."""

        async def one(key: str) -> bytes:
            return bytes(await (await obstore.get_async(self._store, key)).bytes_async())

        async def all_of_them() -> list[bytes]:
            return list(await asyncio.gather(*(one(key) for key in keys)))

        found = self._loop.run_until_complete(all_of_them())
        self.counted["get"] += len(found)
        self.counted["get_bytes"] += sum(len(data) for data in found)
        return found

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, all in one request, which costs nothing."""
        obstore.delete(self._store, list(keys))
        self.counted["delete"] += 1

    def close(self) -> None:
        """End it."""
        self._loop.close()

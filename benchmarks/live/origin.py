"""Live channels for benchmarks: one clip, sent as MPEG-TS over HTTP at its own pace to whoever asks, from its start.

Run as a process of its own, so that what it costs is not counted as the service's: `python -m benchmarks.live.origin
CLIP`. It prints its port, and then what happens to connections, each with the path that was asked for and Unix seconds:
`began`, when the clip's first timestamp was sent; `late`, since and until when nothing was sent though it was due (the
receiver took nothing, or this process stood); `ended`, when it had begun and when it was over. It ends with its
standard input. With `--on-air` the clip is a channel that began when the process did: whoever asks is sent what is on
now, from the key picture before it.
"""

import asyncio
import bisect
import contextlib
import mmap
import sys
import time
from pathlib import Path
from typing import Final

import av

# Often enough that no picture waits for long, seldom enough that hundreds of connections cost little.
STEP_SECONDS: Final = 0.02
LATE_SECONDS: Final = 1.0
HEADERS: Final = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"


def schedule(clip: Path) -> tuple[list[float], list[int], list[int]]:
    """When each byte is due.

    Returns: seconds from the first timestamp, rising, and the byte offset before which all is sent by then; and the
        offsets at which one may begin to read.
    """
    times: list[float] = []
    offsets: list[int] = []
    keys: list[int] = []
    first: float | None = None
    with av.open(str(clip)) as container:
        for packet in container.demux(video=0):
            if packet.dts is None or packet.pos is None:
                continue
            at = float(packet.dts * packet.time_base)
            first = at if first is None else first
            if packet.is_keyframe:
                keys.append(packet.pos)
            if offsets and packet.pos > offsets[-1]:
                # What came before this picture is complete where this one begins.
                times.append(at - first)
                offsets.append(packet.pos)
            elif not offsets:
                times.append(0.0)
                offsets.append(packet.pos)
    times.append(times[-1] + 0.04)
    offsets.append(clip.stat().st_size)
    return times, offsets, keys


async def serve(clip: Path, *, on_air: bool = False) -> None:
    """Serve until standard input ends."""
    times, offsets, keys = schedule(clip)
    aired = time.time()

    def due_at(seconds: float) -> int:
        return offsets[max(0, bisect.bisect_right(times, seconds) - 1)]

    with clip.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:

        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            path, began = "", 0.0
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = request.split()[1]
                writer.write(HEADERS)
                began, sent = (aired, _before(keys, due_at(time.time() - aired))) if on_air else (time.time(), 0)
                _say(f"began {path} {began:.6f}")
                looked = time.time()
                while sent < offsets[-1]:
                    due = due_at(time.time() - began)
                    if due > sent:
                        writer.write(data[sent:due])
                        sent = due
                        await writer.drain()
                    if (now := time.time()) - looked > LATE_SECONDS:
                        _say(f"late {path} {looked:.6f} {now:.6f}")
                    looked = now
                    await asyncio.sleep(STEP_SECONDS)
            if path:
                _say(f"ended {path} {began:.6f} {time.time():.6f}")
            writer.close()

        server = await asyncio.start_server(connection, "127.0.0.1", 0)
        _say(str(server.sockets[0].getsockname()[1]))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.close()


def _before(keys: list[int], offset: int) -> int:
    return keys[max(0, bisect.bisect_right(keys, offset) - 1)]


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - read by the benchmark


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), on_air="--on-air" in sys.argv[2:]))

"""One run of the decoders over a damaged clip, in a process of its own: what `avjury bench mutations` starts.

Run by: benchmarks/mutations.py, which says on the command line where the clips are and what to do, and which ends it
when it hangs. What it works on, and what it has counted, lies in a small file that both have mapped, so that it is
known whatever happens to this process.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import struct
import sys
import traceback
from collections.abc import Sequence
from mmap import mmap
from pathlib import Path
from typing import Final

# Number of the damaged clip that is worked on, how many are done, resident bytes.
STATE: Final = struct.Struct("<QQQ")
MOST_PIXELS: Final = 4096 * 4096
MOST_PACKETS: Final = 400
MOST_SECONDS: Final = 20
KINDS: Final = ("bits", "bytes", "zeros", "cut", "shortened", "repeated", "swapped", "numbers", "spliced")
_NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(clips: Sequence[bytes], seed: int, number: int) -> tuple[int, str, bytes]:
    """The damaged clip of a number: always the same of the same clips.

    Returns: which clip it was made of, what was done to it, and its bytes.
    """
    draw = random.Random(f"{seed}:{number}")
    which = draw.randrange(len(clips))
    data = bytearray(clips[which])
    kind = draw.choice(KINDS)
    # Headers decide most; half of all damage falls into the first 2 kB.
    reach = min(len(data), 2048) if draw.random() < 0.5 else len(data)
    if kind == "bits":
        for _ in range(draw.choice((1, 1, 2, 8, 64))):
            data[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    elif kind == "bytes":
        for _ in range(draw.choice((1, 4, 32, 256))):
            data[draw.randrange(reach)] = draw.randrange(256)
    elif kind == "zeros":
        at = draw.randrange(reach)
        size = draw.choice((4, 64, 188, 1024))
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif kind == "cut":
        at = draw.randrange(reach)
        del data[at : at + draw.choice((1, 4, 64, 188, 4096))]
    elif kind == "shortened":
        del data[draw.randrange(1, len(data)) :]
    elif kind == "repeated":
        at, size = draw.randrange(reach), draw.choice((4, 188, 4096))
        data[at:at] = data[at : at + size] * draw.choice((1, 2, 16))
    elif kind == "swapped":
        size = draw.choice((4, 188, 1024))
        one, other = draw.randrange(len(data)), draw.randrange(len(data))
        first, second = bytes(data[one : one + size]), bytes(data[other : other + size])
        if len(first) == len(second):
            data[one : one + size], data[other : other + size] = second, first
    elif kind == "numbers":
        size = draw.choice((1, 2, 4))
        at = draw.randrange(max(1, reach - size))
        data[at : at + size] = (draw.choice(_NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "big")
    else:
        other_clip = clips[draw.randrange(len(clips))]
        data[draw.randrange(len(data)) :] = other_clip[draw.randrange(len(other_clip)) :]
    return which, kind, bytes(data)


def decode(path: Path) -> tuple[int, int]:
    """Open, demux and decode as a stream's reader does. Returns: pictures and blocks of sound. Raises: AvjuryError."""
    from engine.decode.audio import SoftwareAudioDecoder
    from engine.decode.software import SoftwareVideoDecoder
    from engine.ingest.source import Source
    from engine.ingest.transport import TransportWatch
    from engine.ingest.url_policy import UrlPolicy

    pictures = blocks = 0
    until = 0.0
    with Source(str(path), stream="damaged", policy=UrlPolicy(max_pixels=MOST_PIXELS)) as source:
        info = source.open()
        watch = TransportWatch(info, {}, source.raw_bytes(), realtime=False, begin=0.0, found=0)
        video = SoftwareVideoDecoder(info.video, "damaged", max_pixels=MOST_PIXELS) if info.video else None
        audio = SoftwareAudioDecoder(info.audio, "damaged") if info.audio else None
        try:
            for count, packet in enumerate(source.packets()):
                if count == MOST_PACKETS:
                    break
                watch.packet(packet, source.clock.found if source.clock is not None else ())
                until = max(until, packet.pts or 0.0)
                if packet.track == "video" and video is not None:
                    for surface in video.decode(packet):
                        pictures += 1
                        surface.release()
                elif packet.track == "audio" and audio is not None:
                    blocks += len(audio.decode(packet))
            if video is not None:
                for surface in video.flush():
                    pictures += 1
                    surface.release()
            if audio is not None:
                blocks += len(audio.flush())
            watch.finish()
            list(watch.rows(until, last=True))
        finally:
            watch.close()
            for decoder in (video, audio):
                if decoder is not None:
                    decoder.close()
    return pictures, blocks


def judge(path: Path) -> tuple[int, int]:
    """Judge with every detector, as `avjury check` does. Raises: AvjuryError."""
    from engine.pipeline import check
    from engine.spec import EngineSettings, StreamSpec

    [outcome] = check([StreamSpec("damaged", str(path))], EngineSettings(device="cpu"))
    if outcome.error is not None:
        raise outcome.error
    assert outcome.summary is not None
    return outcome.summary.frames_measured, round(10 * outcome.summary.audio_seconds)


def main() -> None:
    """The child's life: from a number to another."""
    parser = argparse.ArgumentParser(prog="benchmarks.mutated_clip")
    parser.add_argument("--work", type=Path, required=True, help="folder of the clips, and of what is counted")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--end", type=int, required=True)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--judge", action="store_true")
    given = parser.parse_args()

    from engine.errors import AvjuryError
    from engine.hardening import die_with_parent, give_up_privileges
    from engine.ingest.sandbox import system_devices, system_paths

    die_with_parent(os.getppid())
    paths = sorted((given.work / "clips").iterdir())
    clips = [path.read_bytes() for path in paths]
    with open(given.work / "state", "r+b") as file:
        state = mmap(file.fileno(), STATE.size)
    counted = os.open(given.work / "counted", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    # Each is a file of its own, as its name says what it is taken for; made before nothing can be made any more.
    files = {}
    for path in paths:
        target = given.work / f"damaged{path.suffix}"
        files[path.suffix] = (target, os.open(target, os.O_RDWR | os.O_CREAT, 0o600))
    if not given.judge:  # the kernels' compiler keeps what it made in files
        for path in paths:  # what is compiled or loaded at its first use
            with contextlib.suppress(AvjuryError):
                decode(path)
        give_up_privileges(4 << 30, [*system_paths(), given.work], system_devices())
    page = os.sysconf("SC_PAGE_SIZE")
    done = STATE.unpack(state[:])[1]
    found: collections.Counter[str] = collections.Counter()
    for number in range(given.first, given.end, given.step):
        which, kind, data = damaged(clips, given.seed, number)
        target, descriptor = files[paths[which].suffix]
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, data, 0)
        resident = int(os.pread(statm, 256, 0).split()[1]) * page
        state[:] = STATE.pack(number, done, resident)
        try:
            pictures, blocks = (judge if given.judge else decode)(target)
            found["decoded" if pictures or blocks else "nothing in it"] += 1
        except AvjuryError as error:
            found[f"refused: {error.what}"] += 1
        except Exception as error:  # noqa: BLE001 - a mistake of ours, kept with what led to it
            found["unexpected"] += 1
            where = traceback.format_exc()[-1500:]
            line = {"unexpected": f"{type(error).__name__}: {error}", "number": number, "kind": kind,
                    "clip": paths[which].name, "where": where}  # fmt: skip
            os.write(counted, (json.dumps(line) + "\n").encode())
        done += 1
        if found.total() >= 200 or number + given.step >= given.end:
            os.write(counted, (json.dumps({"counts": found, "resident": resident, "done": done}) + "\n").encode())
            found.clear()
    state[:] = STATE.pack(given.end, done, 0)
    sys.stderr.flush()


if __name__ == "__main__":
    main()

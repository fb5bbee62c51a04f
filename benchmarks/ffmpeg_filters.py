"""What FFmpeg's filters print about a clip, picture by picture or block by block."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PAIR = re.compile(r"^lavfi\.([\w.-]+)=(\S+)$", re.MULTILINE)


def ffmpeg() -> str:
    """The ffmpeg program of the development dependencies."""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def run(*arguments: object) -> tuple[str, str]:
    """FFmpeg's output and log.

    Raises: CalledProcessError where it fails.
    """
    command = [ffmpeg(), "-hide_banner", "-nostats", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=280, check=True, stdin=subprocess.DEVNULL)
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def version() -> str:
    """The program's first line about itself."""
    return run("-version")[0].splitlines()[0]


def pictures(clip: Path, filters: str, count: int) -> tuple[list[dict[str, str]], str]:
    """What filters put into the metadata of each of a clip's first pictures, by key; and the log."""
    chain = f"trim=end_frame={count},{filters},metadata=print:file=-"
    printed, log = run("-i", clip, "-map", "0:V:0", "-vf", chain, "-fps_mode", "passthrough", "-f", "null", "-")
    return _blocks(printed), log


def sound(clip: Path, filters: str) -> list[dict[str, str]]:
    """What filters put into the metadata of each whole 100 ms of a clip's sound at 48 kHz, by key."""
    chain = f"aresample=48000,asetnsamples=4800:p=0,{filters},ametadata=print:file=-"
    return _blocks(run("-i", clip, "-map", "0:a:0", "-af", chain, "-f", "null", "-")[0])


def _blocks(printed: str) -> list[dict[str, str]]:
    parts: Sequence[str] = re.split(r"^frame:.*$", printed, flags=re.MULTILINE)[1:]
    return [dict(_PAIR.findall(part)) for part in parts]

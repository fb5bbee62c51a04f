"""Compiles the CPU kernels once, before tests start side by side and each waits for its own copy of the compiler.

Run as `python tests/warm_up.py`: judges a small clip with every detector, in 8 and in 10 bit. The compiler keeps one
core busy, so the kernels of sound are compiled by a process beside the one that compiles those of pictures; what takes
both is compiled at the end.
"""

import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from media import ffmpeg_exe

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from engine.warm_up import everything

PICTURES = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=3", "-c:v", "ffv1", "-pix_fmt"]
SOUND = ["-f", "lavfi", "-i", "sine=d=3", "-c:a", "flac"]
EIGHT, TEN = [*PICTURES, "yuv420p"], [*PICTURES, "yuv420p10le"]


def judge(clips: list[Path]) -> None:
    """With every detector, and what streams have to ask for."""
    every = everything()
    for outcome in check([StreamSpec(clip.stem, str(clip), every) for clip in clips], EngineSettings(device="cpu")):
        if outcome.error is not None:
            raise outcome.error


def main() -> None:
    """Make the clips, and judge them."""
    with tempfile.TemporaryDirectory(prefix="avjury-warm-") as folder:

        def made(name: str, *parts: list[str]) -> Path:
            clip = Path(folder) / f"{name}.mkv"
            inputs = [option for part in parts for option in part[:4]]
            codecs = [option for part in parts for option in part[4:]]
            command = [ffmpeg_exe(), "-y", "-v", "error", *inputs, *codecs, str(clip)]
            subprocess.run(command, check=True, timeout=120)
            return clip

        sound, pictures = made("sound", SOUND), [made("8", EIGHT), made("10", TEN)]
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside:
            heard = beside.submit(judge, [sound])
            judge(pictures)
            heard.result()
        judge([made("both-8", EIGHT, SOUND), made("both-10", TEN, SOUND)])


if __name__ == "__main__":
    main()

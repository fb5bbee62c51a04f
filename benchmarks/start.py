"""`avjury bench start`: how long commands take to begin: `avjury --help`, and `avjury check` of one second of media.

Each is started as a user does, in turns, after one run of each that compiles and caches kernels. The whole command is
timed, so that of `check` the end and the judging of a small second count too; a machine with other work on it is to be
told by the CPU seconds beside it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from benchmarks.harness import parser, quantiles, say, show_children_this_tree, write_result

RATE: Final = 25
SIZE: Final = (320, 180)


def make_second(path: Path) -> Path:
    """A second of noise that moves, as H.264: nothing in it is a defect to be told."""
    width, height = SIZE
    ground = np.random.default_rng(1).integers(60, 190, (height // 4 + 8, width // 4 + 8), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=RATE, options={"preset": "fast"})
        pictures.width, pictures.height, pictures.pix_fmt = width, height, "yuv420p"
        for index in range(RATE):
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[:height] = np.kron(ground, np.ones((4, 4), np.uint8))[index : index + height, :width]
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
    return path


def run(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock and of CPU of a command; raises CalledProcessError where it fails."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "engine.cli", *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(arguments))
    return seconds, used.ru_utime + used.ru_stime


def measure(commands: Mapping[str, Sequence[str]], turns: int) -> dict[str, Any]:
    """Quantiles of each command, by its name."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(turns + 1):
        for name, arguments in commands.items():
            once = run(arguments)
            say(f"{name}: {once[0]:.2f} s, {once[1]:.2f} s of CPU")
            if turn:
                taken[name].append(once)
    return {
        name: {"seconds": quantiles([each for each, _ in of]), "cpu_seconds": quantiles([each for _, each in of])}
        for name, of in taken.items()
    }


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("start", __doc__)
    arguments.add_argument("--turns", type=int, default=9, help="of each command")
    options = arguments.parse_args()
    show_children_this_tree()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as folder:
        clip = make_second(Path(folder) / "second.mp4")
        commands = {"avjury --help": ["--help"], "avjury check": ["check", str(clip), "--fail-on", "never"]}
        found = measure(commands, options.turns)
    path = write_result("start", {"load_before": round(load, 2), "commands": found}, options.results)
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

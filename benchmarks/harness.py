"""What every benchmark does: check first, warm up, repeat, keep quantiles, and write the machine beside the figures."""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from engine.ffmpeg_release import ffmpeg_in_use

RESULTS = Path(__file__).parent / "results"
# Of a record: 2 has the command and the samples beside the figures, and quantiles say how many samples they are of.
FORM = 2
_PACKAGES = ("torch", "triton", "numpy", "numba", "av", "PyNvVideoCodec")


def environment() -> dict[str, Any]:
    """The machine, its driver and libraries, and the commit: what a figure means nothing without."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "gpu": _run("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"),
        "commit": _run("git", "-C", str(RESULTS.parent), "rev-parse", "HEAD"),
        "changed": bool(_run("git", "-C", str(RESULTS.parent), "status", "--porcelain", "--untracked-files=no")),
        **{name: _version(name) for name in _PACKAGES},
        "ffmpeg": ffmpeg_in_use(),
    }


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _run(*command: str) -> str | None:
    """A command's output; None where there is no such command, or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def quantiles(samples: Sequence[float]) -> dict[str, Any]:
    """The 20th, 50th and 80th percentile of repeated measurements, to six digits, and how many these were.

    Args:
        samples: at least one.
    """
    values = np.quantile(np.asarray(samples, dtype=np.float64), (0.2, 0.5, 0.8))
    found = {name: float(f"{value:.6g}") for name, value in zip(("p20", "p50", "p80"), values, strict=True)}
    return {**found, "n": len(samples)}


def counted(figures: Any) -> dict[str, Any]:
    """What a run's figures are of.

    Returns: the length of each list and each whole number that stands on top or in a part (where there is none, how
        many things the parts name), and the fewest and the most samples of any quantiles.
    """
    found: dict[str, Any] = _lengths(figures)
    for name, value in figures.items():
        if isinstance(value, Mapping) and (inside := _lengths(value)):
            found[name] = inside
    if not found:  # figures of named things, as of architectures
        found = {name: len(value) for name, value in figures.items() if isinstance(value, Mapping)}
    repeats = sorted(_repeats(figures))
    if repeats:
        found["samples_of_a_quantile"] = {"fewest": repeats[0], "most": repeats[-1]}
    return found


def _lengths(figures: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in figures.items():
        if isinstance(value, (list, tuple)):
            found[name] = len(value)
        elif isinstance(value, int) and not isinstance(value, bool) and name not in ("seed", "n"):
            found[name] = value
    return found


def _repeats(figures: Any) -> Iterator[int]:
    if isinstance(figures, Mapping):
        if "p50" in figures and isinstance(figures.get("n"), int):
            yield figures["n"]
        for value in figures.values():
            yield from _repeats(value)
    elif isinstance(figures, (list, tuple)):
        for value in figures:
            yield from _repeats(value)


def command() -> str:
    """The command that this process was started with, as a user types it, without folders of this machine."""
    module = Path(sys.argv[0]).stem
    if Path(sys.argv[0]).parent.name != "benchmarks":
        return shlex.join(["python", *sys.orig_argv[1:]])
    return without_folder(shlex.join(["avjury", "bench", module.replace("_", "-"), *sys.argv[1:]]))


def without_folder(text: str) -> str:
    """A command without its `--results`, which changes no figure, and with an option's name for a folder of its own."""
    text = re.sub(r" --results(=| )('[^']*'|\S+)", "", text)
    return re.sub(r"--([a-z-]+)(=| )('/[^']*'|/\S+)", lambda found: f"--{found[1]}{found[2]}{found[1].upper()}", text)


def time_repeats(
    work: Callable[[], object], *, repeats: int, warm_up: int = 2, wait: Callable[[], object] | None = None
) -> list[float]:
    """Seconds of each of `repeats` runs of `work`, after some that do not count.

    Args:
        work: what is measured; on a GPU it queues, and `wait` waits for what was queued.
        repeats: at least 1.
        warm_up: runs before, in which kernels are compiled and memory is taken.
        wait: called before each clock is read.
    """
    settle = wait or (lambda: None)
    for _ in range(warm_up):
        work()
    seconds = []
    for _ in range(repeats):
        settle()
        began = time.perf_counter()
        work()
        settle()
        seconds.append(time.perf_counter() - began)
    return seconds


def compare(
    sides: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warm_up: int = 1,
    wait: Callable[[], object] | None = None,
) -> dict[str, list[float]]:
    """Seconds of several sides, taken turn by turn, so that a machine that slows down slows all of them.

    Args:
        sides: work by name.
        repeats, warm_up, wait: as for `time_repeats`, per side.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(warm_up + repeats):
        for name, work in sides.items():
            seconds = time_repeats(work, repeats=1, warm_up=0, wait=wait)
            if turn >= warm_up:
                found[name] += seconds
    return found


def say(text: str) -> None:
    """Progress of a command, for whoever waits for it."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress of a command


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark, with the option that all have.

    Args:
        name: of the benchmark, as `avjury bench` has it.
        description: of its module.
    """
    found = argparse.ArgumentParser(prog=f"avjury bench {name}", description=description,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    found.add_argument("--results", type=Path, default=RESULTS, help="folder for the result")
    return found


def write_page(name: str, description: str | None, output: Path, make: Callable[[Path], str]) -> int:
    """The command line of a page that is made from results.

    Args:
        name, description: as for `parser`.
        output: where it is kept.
        make: the page, from a folder of results.
    """
    arguments = parser(name, description)
    arguments.add_argument("--output", type=Path, default=output, help="the page")
    options = arguments.parse_args()
    options.output.write_text(make(options.results), encoding="utf-8")
    print(options.output)  # noqa: T201 - the command's result
    return 0


def show_children_this_tree() -> None:
    """Have processes that are started from here import the packages beside this one, wherever they are started."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(RESULTS.parent.parent), os.environ.get("PYTHONPATH", "")])


def write_result(name: str, figures: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Keep a run's figures with its environment, in a file of its own; nothing is ever overwritten.

    Args:
        name: of the benchmark.
        figures: plain numbers, texts, lists and mappings.
        folder: where results are kept.
    Returns: the new file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "form": FORM,
        "benchmark": name,
        "command": command(),
        "environment": environment(),
        "samples": counted(figures),
        "figures": figures,
    }
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for attempt in range(1000):
        path = folder / f"{name}-{stamp}{f'-{attempt}' if attempt else ''}.json"
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(record, file, indent=1)
                file.write("\n")
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{folder} holds 1000 results of {name} of this second")

"""All that wants a GPU, in one go: `python -m benchmarks.gpu_check`.

The tests marked `gpu`, the kernels' speed and their block sizes, NVDEC's speed, the whole way over it, what the host
spends, and the bytes that cross to it. It needs torch, Triton, numba, numpy and PyNvVideoCodec, and pytest for the
tests; neither PyAV nor the service's libraries. Each part is a process of its own with a limit, so that a part that
fails, hangs or takes the GPU's context down with it leaves the others alone; it tells what it has found as it goes, and
what was told before its end counts. One JSON line per part on stdout; all of it into benchmarks/results/.

The first line says what will run, and `--plan` says only that. Where torch sees no GPU nothing else is begun: the other
parts are told as left out, and nothing is written. With `--device cpu --quick` it proves itself on such a machine; that
says nothing of speed.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, write_result
from benchmarks.progress import Progress

ROOT = Path(__file__).parents[1]
# Where containers of GPU machines put the driver's libraries without telling the loader.
_DRIVER_FOLDER = "/usr/local/nvidia/lib64"
LIBRARIES = ("torch", "triton", "numba", "numpy", "PyNvVideoCodec", "pytest")
# Seconds that a part may take; together 8 minutes less the time to start and write.
LIMITS = {
    "machine": 20, "compile": 100, "kernels": 50, "blocks": 25, "path": 60, "decode": 85, "streams": 75, "tests": 55,
}  # fmt: skip
# Before its limit a part begins nothing new.
_RESERVE = 12
_MARK = "GPU-CHECK-RESULT "
NO_DEVICE = "torch sees no CUDA device"

Found = dict[str, Any]
Part = Callable[[str, bool, Path, Progress], Found]


def _machine(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    import torch

    from engine.decode.caps import query_caps

    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "devices": []}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        caps = query_caps(index)
        found["devices"].append(
            {
                "name": properties.name,
                "memory_bytes": properties.total_memory,
                "nvdec_problem": caps.problem,
                "nvdec": {f"{c.codec} {c.bit_depth} bit": c.engines for c in caps.codecs if c.supported},
            }
        )
    if device != "cpu" and not found["devices"]:
        raise RuntimeError(NO_DEVICE)
    return found


def _kernels(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    import torch

    from benchmarks.gpu_kernels import run

    return run(torch.device(device), quick=quick, progress=progress)


def _compile(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    """Every kernel once on small pictures, side by side: what runs later finds it compiled, and these are timed."""
    from benchmarks.gpu_first_runs import run_first

    return run_first(device, progress)


def _blocks(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    import torch

    from benchmarks.gpu_blocks import run_blocks

    return run_blocks(torch.device(device), quick=quick, progress=progress)


def _path(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    import torch

    from benchmarks.gpu_path import run_path

    return run_path(torch.device(device), clip, quick=quick, progress=progress)


def _decode(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    import torch

    from benchmarks.gpu_decode import run_decode

    return run_decode(torch.device(device), clip, quick=quick, progress=progress)


def _streams(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    import torch

    from benchmarks.gpu_streams import run_streams

    return run_streams(torch.device(device), clip, quick=quick, progress=progress)


def gpu_test_files() -> list[str]:
    """The files that have tests marked `gpu`, by path from the root."""
    return sorted(
        str(file.relative_to(ROOT))
        for file in (ROOT / "tests").rglob("test_*.py")
        if "mark.gpu" in file.read_text(encoding="utf-8")
    )


def _tests(device: str, quick: bool, clip: Path, progress: Progress) -> Found:
    files = gpu_test_files()
    if device == "cpu":
        return {"skipped": "the gpu tests need a GPU", "files": files}
    with tempfile.TemporaryDirectory() as folder:
        # The project's own settings name plugins that are not needed here.
        config, report = Path(folder) / "pytest.ini", Path(folder) / "report.xml"
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
        # Nor are its warnings errors here: that machine's libraries are not those that are pinned.
        lines = ["[pytest]", "markers ="]
        lines += [f"    {marker}" for marker in settings["markers"]]
        lines += ["pythonpath =", *(f"    {ROOT / path}" for path in settings["pythonpath"])]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-c", str(config), "--rootdir", str(ROOT), "-p", "no:cacheprovider"),
                *("--import-mode=importlib", "-m", "gpu", "-q", "--continue-on-collection-errors"),
                *(f"--junitxml={report}", *files),
            ],
            cwd=ROOT,
            env={**os.environ, "AVJURY_REQUIRE_GPU": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            raise RuntimeError(f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-400:]}")
        return _read_report(report, files)


def _read_report(report: Path, files: list[str]) -> dict[str, Any]:
    """Counts of a JUnit report. A file that wants a library that is not here is told apart from one that is wrong."""
    passed, failed, lacking = 0, list[str](), list[str]()
    for case in ElementTree.parse(report).iter("testcase"):  # our own pytest wrote it a moment ago
        name = f"{case.get('classname')}.{case.get('name')}".strip(".")
        trouble = case.find("failure")
        trouble = trouble if trouble is not None else case.find("error")
        if trouble is None:
            passed += case.find("skipped") is None
        elif "ModuleNotFoundError" in (trouble.text or ""):
            lacking.append(name)
        else:
            failed.append(f"{name}: {(trouble.get('message') or '')[:200]}")
    found: dict[str, Any] = {"files": len(files), "passed": passed, "failed": failed, "libraries_missing_for": lacking}
    if failed or not passed:
        found["error"] = f"{len(failed)} failed" if failed else "no test ran"
    return found


PARTS: dict[str, Part] = {
    "machine": _machine,
    "compile": _compile,
    "kernels": _kernels,
    "blocks": _blocks,
    "path": _path,
    "decode": _decode,
    "streams": _streams,
    "tests": _tests,
}


def _run_part(name: str, arguments: list[str], limit_seconds: float) -> Found:
    """Run one part in its own process and read the last line that it has left."""
    environment = dict(os.environ)
    if Path(_DRIVER_FOLDER).is_dir():
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(
            filter(None, (_DRIVER_FOLDER, environment.get("LD_LIBRARY_PATH")))
        )
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--part", name, "--seconds", str(limit_seconds)]
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
        # A session of its own: what it has started ends with it.
        subprocess.Popen(
            [*command, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=errors, start_new_session=True
        ) as process,
    ):
        try:
            code: int | None = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing is left of it
                os.killpg(process.pid, signal.SIGKILL)
        for file in (output, errors):
            file.seek(0)
        found = _last_told(output.read())
        if code is None:
            found["error"] = f"not done after {limit_seconds:.0f} s"
        elif code or not found:
            found["error"] = f"it ended with {code}: {errors.read()[-600:]}"
    return {"part": name, "ok": not _has_error(found), "seconds": round(time.monotonic() - began, 1), **found}


def _last_told(output: str) -> Found:
    """The newest whole line of what a part has found; the last one may be cut off where it was ended."""
    for line in reversed(output.splitlines()):
        if line.startswith(_MARK):
            try:
                found: Found = json.loads(line.removeprefix(_MARK))
            except ValueError:
                continue
            return found
    return {}


def _has_error(found: dict[str, Any]) -> bool:
    return "error" in found or any(_has_error(value) for value in found.values() if isinstance(value, dict))


def check(device: str, *, quick: bool, clip: Path, names: list[str], folder: Path = RESULTS) -> int:
    """Run the parts, print a line for each, and keep the result.

    Args:
        device: "cuda:0" or "cpu".
        quick: small pictures and few repeats: proves the script, says nothing of speed.
        clip: elementary stream for the decode part.
        names: of the parts to run.
        folder: where the result goes.
    Returns: 0 if every part went well, else 1.
    """
    arguments = ["--device", device, "--clip", str(clip), *(["--quick"] if quick else [])]
    _print(plan(device, names))
    lines = list[Found]()
    for name in names:
        if any(NO_DEVICE in line.get("error", "") for line in lines):
            _print({"part": name, "ok": False, "skipped": NO_DEVICE})
            continue
        # A quick run proves the script, also on a machine that others keep busy.
        line = _run_part(name, arguments, LIMITS[name] * (10 if quick else 1))
        _print(line)
        lines.append(line)
    if any(NO_DEVICE in line.get("error", "") for line in lines):
        return 1  # what was not measured is no result
    path = write_result(
        f"gpu-{_model(lines)}" if device != "cpu" else "gpu-dry-run",
        {"device": device, "quick": quick, "parts": {line["part"]: line for line in lines}},
        folder,
    )
    _print({"part": "result", "file": str(path)})
    return int(not all(line["ok"] for line in lines))


def plan(device: str, names: list[str]) -> Found:
    """What would run: parts with their limits in seconds, files of tests, and what is wanted and not installed.

    Args:
        device: "cuda:0" or "cpu".
        names: of the parts.
    """
    return {
        "part": "plan",
        "device": device,
        "limits_seconds": {name: LIMITS[name] for name in names},
        "test_files": gpu_test_files() if "tests" in names else [],
        "libraries_missing": [name for name in LIBRARIES if importlib.util.find_spec(name) is None],
    }


def _print(line: Found) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201 - the command's output


def _model(lines: list[Found]) -> str:
    """The GPU's name, as it goes into a file's: "h200"."""
    names = [device["name"] for line in lines for device in line.get("devices", ())]
    words = re.findall(r"[a-z0-9]+", names[0].lower()) if names else []
    return "-".join(word for word in words if word not in ("nvidia", "tesla")) or "unknown"


def main() -> int:
    """Parse the command line and run."""
    from benchmarks.harness import RESULTS as default_folder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu to try the script itself")
    parser.add_argument("--quick", action="store_true", help="small pictures, few repeats")
    parser.add_argument(
        "--clip",
        type=Path,
        default=ROOT / "tests" / "clips" / "h264_1920x1080_8bit.h264",
        help="elementary stream (.h264 or .hevc) for the decode part",
    )
    parser.add_argument("--results", type=Path, default=default_folder, help="folder for the result")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts to run")
    parser.add_argument("--plan", action="store_true", help="say what would run, and run nothing")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=3600.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plan:
        _print(plan(options.device, options.only))
        return 0
    if options.part is None:
        return check(options.device, quick=options.quick, clip=options.clip, names=options.only, folder=options.results)
    progress = Progress(options.seconds - _RESERVE, _tell)
    try:
        found = PARTS[options.part](options.device, options.quick, options.clip, progress)
    except Exception as error:  # noqa: BLE001 - the parent reports it with the part's name
        found = {**progress.found, "error": f"{type(error).__name__}: {error}"[:600]}
    _tell(found)
    return 0


def _tell(found: Found) -> None:
    print("\n" + _MARK + json.dumps(found), flush=True)  # noqa: T201 - read by the parent


if __name__ == "__main__":
    raise SystemExit(main())

"""Compiles the CPU kernels in a process of its own: the compiler never gives back the memory that it took.

Run by: an engine process that finds a kernel which was never compiled on this machine, as `python -m
engine.compile_apart`. It warms an engine up, which leaves every kernel in numba's cache, and ends; it is killed with
the engine's process. Where it fails, the engine compiles by itself and holds what the compiler took for as long as it
runs (tests/engine/test_compile_apart.py).
"""

import argparse
import logging
import os
import subprocess
import sys
from typing import Final

from engine.hardening import die_with_parent

# A minute or two on a machine that has nothing else to do.
PATIENCE_SECONDS: Final = 900.0

_log: Final = logging.getLogger(__name__)


def compile_apart(patience_seconds: float = PATIENCE_SECONDS) -> bool:
    """Have the kernels compiled, and wait for it. Returns: whether that worked; why not is told in the log."""
    command = [sys.executable, "-P", "-m", "engine.compile_apart", "--parent", str(os.getpid())]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_seconds,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    else:
        if done.returncode == 0:
            return True
        why = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
    _log.warning("cannot compile the kernels in a process of their own, this one does: %s", why)
    return False


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="engine.compile_apart")
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    from engine.ingest.link import Links
    from engine.listener import Silent
    from engine.live import LiveEngine
    from engine.spec import AudioNetworkSettings, EngineSettings, NetworkSettings

    class Nobody(Silent):
        def on_report(self, report: object) -> None:
            """Nobody is told."""

        def on_thumbnail(self, stream: str, jpeg: bytes) -> None:
            """Nobody is told."""

        def on_shadow(self, incident: object, change: object) -> None:
            """Nobody is told."""

    # What the networks look at goes through kernels too.
    settings = EngineSettings(device="cpu", network=NetworkSettings(), audio_network=AudioNetworkSettings())
    LiveEngine(settings, Nobody(), Links(), slots=1).warm_up()
    sys.stderr.flush()
    os._exit(0)  # Python's own end would take apart torch and the compiled kernels for seconds


if __name__ == "__main__":
    main()

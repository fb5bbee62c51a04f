"""`avjury bench`: runs a benchmark of the harness, as a program of its own."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import ConfigError
from engine.exit_codes import CLEAN


def run_benchmark(name: str | None, arguments: Sequence[str]) -> int:
    """Run one; a process of its own measures its memory and threads, and the engine does not import it.

    Args:
        name: as the list has it; None or "--help" prints the list.
        arguments: handed to it.
    Returns: its exit code.
    Raises: ConfigError if there is none of that name.
    """
    folder = importlib.util.find_spec("benchmarks")
    places = list(folder.submodule_search_locations or []) if folder is not None else []
    names = sorted(
        file.stem.replace("_", "-")
        for place in places
        for file in Path(place).glob("*.py")
        if "__main__" in file.read_text(encoding="utf-8")
    )
    if name in (None, "--help"):
        lines = ["Usage: avjury bench NAME [OPTIONS]; `avjury bench NAME --help` tells its options. There are:", *names]
        print("\n".join(lines))  # noqa: T201 - what the command was asked for
        return CLEAN
    if name.replace("_", "-") not in names:
        raise ConfigError("no such benchmark", stream=name, why="the harness has none of that name",
                          remedy=f"choose one of: {', '.join(names)}")  # fmt: skip
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(
        [*(str(Path(place).parent) for place in places), environment.get("PYTHONPATH", "")]
    )
    module = f"benchmarks.{name.replace('-', '_')}"
    return subprocess.call([sys.executable, "-m", module, *arguments], env=environment)

"""Forgets compiled CPU kernels that are older than what they were compiled from.

Numba keeps what it compiled beside the source, and looks at a function's own file only: of a function that calls one in
another file, or goes by a constant there, it would go on using what it made of the old one. So after an update in place
(`git pull` under an editable installation) verdicts would be made of both.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]
# No kernel of the CPU is compiled from these.
_OTHERS: Final = frozenset(("gpu.py", "reference.py"))


def _sources(root: Path) -> Iterator[Path]:
    """What is compiled, and what that goes by."""
    yield from (path for path in (root / "kernels").rglob("*.py") if path.name not in _OTHERS)
    yield from (root / "engine" / "measure").glob("host*.py")
    yield from (root / "engine" / place for place in ("measure/rows.py", "ingest/ts_packets.py", "onset_loops.py"))


@cache
def forget_stale_kernels(root: Path = _ROOT) -> int:
    """Delete what is older than the newest source; once in a process. Returns: how many files."""
    sources = [path for path in _sources(root) if path.exists()]
    newest = max((path.stat().st_mtime_ns for path in sources), default=0)
    dropped = 0
    for folder in {path.parent for path in sources}:
        for kept in (folder / "__pycache__").glob("*.nb[ic]"):
            try:
                if kept.stat().st_mtime_ns < newest:
                    kept.unlink()
                    dropped += 1
            except OSError:
                continue  # another process was faster, or the installation is not ours to change
    return dropped

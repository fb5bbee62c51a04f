"""Compiled kernels that are older than what they were compiled from.

numba looks at a function's own file only: a constant that changed in another one, a layout or a list of columns, would
stay what it was.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILED = ("kernels", "engine")


def drop_stale_caches(root: Path = ROOT) -> int:
    """Delete compiled kernels that are older than the newest source beside them. Returns: how many files."""
    dropped = 0
    for package in COMPILED:
        newest = max(source.stat().st_mtime for source in (root / package).rglob("*.py"))
        for cache in (root / package).rglob("__pycache__/*.nb[ic]"):
            if cache.stat().st_mtime < newest:
                cache.unlink(missing_ok=True)
                dropped += 1
    return dropped

"""The real servers that tests run against: Debian's packages, see programs.txt; and Azurite, of npm."""

import os
import shutil
from pathlib import Path

import pytest

# Debian keeps PostgreSQL's server out of the PATH.
_PLACES = ("/usr/sbin", "/usr/local/bin", "/usr/lib/postgresql/*/bin")


def program(name: str) -> str:
    """The path of an installed program; without it the test is skipped, or fails where none may be missing.

    Args:
        name: of the executable ("nginx", "postgres").
    """
    found = shutil.which(name) or next(
        (str(path) for place in _PLACES for path in sorted(Path("/").glob(f"{place.lstrip('/')}/{name}"))), None
    )
    if found is None:
        reason = f"{name} is not installed (tests/install-programs, as root)"
        if os.environ.get("AVJURY_REQUIRE_PROGRAMS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found

"""Both databases that the store supports."""

import pytest
import servers


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a.db"
    return request.getfixturevalue("postgres").database()

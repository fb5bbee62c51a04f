"""Databases for the tests of the cluster."""

import pytest
import servers

from engine.store.database import Database, sqlite_url


@pytest.fixture(scope="session")
def postgres():
    with servers.postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "owners.db")
    else:
        url = request.getfixturevalue("postgres").database()
    opened = Database(url)
    yield opened
    opened.close()

"""What the migrations make is what the tables say."""

import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from engine.store import schema
from engine.store.sql import Store


def test_a_migrated_database_has_the_tables_as_declared(url):
    Store(url).close()
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    engine.dispose()
    assert [d for d in differences if "alembic_version" not in str(d)] == []

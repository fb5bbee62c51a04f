"""who judges what, on many machines"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import Double, TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME: TypeEngine[float] = Double().with_variant(sa.Float(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("streams", schema=None) as batch_op:
        batch_op.add_column(sa.Column("subsets", sa.JSON(), nullable=True))
    op.create_table(
        "cluster_engines",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(length=128), nullable=False),
        sa.Column("process", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("emptied", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("registered_at", _TIME, nullable=False),
        sa.Column("lease_until", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cluster_engines")),
    )
    op.create_table(
        "cluster_units",
        sa.Column("stream", sa.String(length=256), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("together", sa.String(length=256), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=True),
        sa.Column("owner_incarnation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("owned_from", _TIME, server_default="0", nullable=False),
        sa.Column("before", sa.String(length=128), nullable=True),
        sa.Column("before_incarnation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("before_from", _TIME, server_default="0", nullable=False),
        sa.Column("next", sa.String(length=128), nullable=True),
        sa.Column("next_incarnation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_since", _TIME, server_default="0", nullable=False),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("stream", "part", name=op.f("pk_cluster_units")),
    )
    for column in ("owner", "before", "next"):
        op.create_index(op.f(f"ix_cluster_units_{column}"), "cluster_units", [column], unique=False)


def downgrade() -> None:
    for column in ("next", "before", "owner"):
        op.drop_index(op.f(f"ix_cluster_units_{column}"), table_name="cluster_units")
    op.drop_table("cluster_units")
    op.drop_table("cluster_engines")
    with op.batch_alter_table("streams", schema=None) as batch_op:
        batch_op.drop_column("subsets")

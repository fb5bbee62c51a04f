"""how streams are read, and who muted an incident"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("streams", schema=None) as batch_op:
        batch_op.add_column(sa.Column("group", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("loop", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("rendition", sa.String(length=16), nullable=False, server_default="best"))
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("muted_by", sa.String(length=256), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.drop_column("muted_by")
    with op.batch_alter_table("streams", schema=None) as batch_op:
        batch_op.drop_column("rendition")
        batch_op.drop_column("loop")
        batch_op.drop_column("group")

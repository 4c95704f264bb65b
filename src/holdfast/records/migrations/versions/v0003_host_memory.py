"""How machines behaved, and the bans that people make or lift."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("leases", sa.Column("conduct", sa.Text(), nullable=False, server_default=""))
    op.add_column("leases", sa.Column("failed_in", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_leases_provider_machine_id", "leases", ["provider", "machine_id"])
    op.create_table(
        "machine_bans",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("forgiven_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "machine_id", name="pk_machine_bans"),
    )

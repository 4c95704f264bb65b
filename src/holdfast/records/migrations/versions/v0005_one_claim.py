"""An offer that is one machine is claimed by one workload at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_HELD = sa.text("closed_at IS NULL AND exclusive")


def upgrade() -> None:
    op.add_column("leases", sa.Column("exclusive", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_leases_one_claim",
        "leases",
        ["provider", "offer_id"],
        unique=True,
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    )

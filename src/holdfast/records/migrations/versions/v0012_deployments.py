"""Deployments: which endpoint a name leads to, and which endpoints are releases of one."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import UtcDateTime

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "deployments",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_deployments"),
    )
    op.add_column("endpoints", sa.Column("deployment", sa.Text(), nullable=True))

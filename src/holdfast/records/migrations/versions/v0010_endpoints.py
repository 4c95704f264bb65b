"""Endpoints: what gateways know of them, and how each wake went."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import Document, UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", Document, nullable=False),
        sa.Column("token_hashes", Document, nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_endpoints"),
    )
    op.create_table(
        "wakes",
        sa.Column("replica", sa.Text(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.PrimaryKeyConstraint("replica", "asked_at", name="pk_wakes"),
    )
    op.create_index("ix_wakes_endpoint", "wakes", ["endpoint"])

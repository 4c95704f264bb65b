"""Forecasts of prices: the newest of each series."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import Document, UtcDateTime

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "forecasts",
        sa.Column("gpu", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("known_until", UtcDateTime(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("last", sa.Float(), nullable=True),
        sa.Column("alarm", sa.Text(), nullable=False),
        sa.Column("leads", Document(), nullable=False),
        sa.PrimaryKeyConstraint("gpu", "provider", "region", "kind", "measure", name="pk_forecasts"),
    )

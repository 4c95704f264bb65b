"""Prices of the market: one point for each series and bucket of time, and which questions were answered."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import Money, Span, UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "prices",
        sa.Column("gpu", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("span", Span(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("minimum", Money(), nullable=False),
        sa.Column("median", Money(), nullable=False),
        sa.Column("p10", Money(), nullable=True),
        sa.Column("p25", Money(), nullable=True),
        sa.Column("p75", Money(), nullable=True),
        sa.Column("p90", Money(), nullable=True),
        sa.Column("offers", sa.Integer(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("gpu", "provider", "region", "kind", "basis", "at", name="pk_prices"),
    )
    op.create_index("ix_prices_at", "prices", ["at"])
    op.create_table(
        "surveys",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("span", Span(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "source", "at", name="pk_surveys"),
    )

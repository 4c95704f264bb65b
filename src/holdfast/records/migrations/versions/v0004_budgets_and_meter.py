"""Budgets, what machines have reserved against them, and the meter of each machine."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import Money, UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("amount", Money(), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "name", "span", name="pk_budgets"),
    )
    op.create_table(
        "meter",
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("hourly", Money(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["label"], ["leases.label"], name="fk_meter_leases"),
        sa.PrimaryKeyConstraint("label", "number", name="pk_meter"),
    )
    op.add_column("generations", sa.Column("tenant", sa.Text(), nullable=False, server_default="default"))
    op.add_column("leases", sa.Column("tenant", sa.Text(), nullable=False, server_default="default"))
    op.add_column("leases", sa.Column("reserved", Money(), nullable=False, server_default="0"))
    op.add_column("leases", sa.Column("bid", Money(), nullable=True))
    op.add_column("leases", sa.Column("storage_hourly", Money(), nullable=True))
    op.create_index("ix_leases_tenant", "leases", ["tenant"], unique=False)
    _meter_what_was_rented_before()


def _meter_what_was_rented_before() -> None:
    """As it was charged until now: the whole price from the launch to the close."""
    op.execute(
        "INSERT INTO meter (label, number, state, hourly, since, until)"
        " SELECT label, 1, 'running', hourly, launched_at, closed_at FROM leases WHERE launched_at IS NOT NULL"
    )

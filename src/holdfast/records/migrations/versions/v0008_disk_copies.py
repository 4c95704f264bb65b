"""Copies of machines' disks: which there are at which provider, and which may still be billed."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "disk_copies",
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=True),
        sa.Column("disk_gb", sa.Float(), nullable=True),
        sa.Column("dropped_at", UtcDateTime(), nullable=True),
        sa.Column("left_since", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workload", "generation"],
            ["generations.workload", "generations.number"],
            name="fk_disk_copies_generations",
        ),
        sa.PrimaryKeyConstraint("workload", "number", name="pk_disk_copies"),
        sa.UniqueConstraint("name", name="uq_disk_copies_name"),
    )
    op.create_index("ix_disk_copies_provider_dropped_at", "disk_copies", ["provider", "dropped_at"])

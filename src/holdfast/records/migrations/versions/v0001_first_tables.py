"""The first tables: workloads and their generations, leases, checkpoints, incidents, decisions."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import Document, Money, Span, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_workloads()
    _create_leases()
    _create_checkpoints()
    _create_journal()


def _of_a_generation(name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["workload", "generation"], ["generations.workload", "generations.number"], name=name
    )


def _create_workloads() -> None:
    op.create_table(
        "workloads",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.Integer(), nullable=False),
        sa.Column("head_sequence", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_workloads"),
    )
    op.create_table(
        "generations",
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("spec", Document(), nullable=False),
        sa.Column("rto", Span(), nullable=True),
        sa.Column("rpo", Span(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["workload"], ["workloads.name"], name="fk_generations_workloads"),
        sa.PrimaryKeyConstraint("workload", "number", name="pk_generations"),
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("offer_id", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("gpu", sa.Text(), nullable=False),
        sa.Column("gpu_count", sa.Integer(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("hourly", Money(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("launched_at", UtcDateTime(), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closed_because", sa.Text(), nullable=False),
        sa.Column("cost", Money(), nullable=True),
        _of_a_generation("fk_leases_generations"),
        sa.PrimaryKeyConstraint("label", name="pk_leases"),
    )
    op.create_index("ix_leases_closed_at", "leases", ["closed_at"], unique=False)
    op.create_index("ix_leases_workload_epoch", "leases", ["workload", "epoch"], unique=True)


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.Column("committed_at", UtcDateTime(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=False),
        sa.Column("bytes_uploaded", sa.BigInteger(), nullable=False),
        sa.Column("duration", Span(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("verified_at", UtcDateTime(), nullable=True),
        sa.Column("retired_at", UtcDateTime(), nullable=True),
        _of_a_generation("fk_checkpoints_generations"),
        sa.PrimaryKeyConstraint("workload", "generation", "sequence", name="pk_checkpoints"),
    )
    op.create_index("ix_checkpoints_workload_manifest", "checkpoints", ["workload", "manifest"], unique=False)


def _create_journal() -> None:
    op.create_table(
        "incidents",
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("epoch_lost", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.Column("recovery_time", Span(), nullable=True),
        sa.Column("work_lost", Span(), nullable=True),
        sa.Column("cost", Money(), nullable=False),
        sa.Column("document", Document(), nullable=False),
        _of_a_generation("fk_incidents_generations"),
        sa.PrimaryKeyConstraint("workload", "epoch_lost", name="pk_incidents"),
    )
    op.create_table(
        "decisions",
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("document", Document(), nullable=False),
        _of_a_generation("fk_decisions_generations"),
        sa.PrimaryKeyConstraint("workload", "epoch", "made_at", "strategy", name="pk_decisions"),
    )

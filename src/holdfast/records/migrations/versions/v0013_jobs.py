"""Jobs: how each stood when it was last written down, and the manifests that are kept for it."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import Document, UtcDateTime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("array", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("submitted_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.Column("spec", Document(), nullable=False),
        sa.Column("document", Document(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
    op.create_index("ix_jobs_submitted_at_name", "jobs", ["submitted_at", "name"])
    op.create_index("ix_jobs_array", "jobs", ["array"])
    op.create_table(
        "job_manifests",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.name"], name="fk_job_manifests_jobs"),
        sa.PrimaryKeyConstraint("job", "number", name="pk_job_manifests"),
    )

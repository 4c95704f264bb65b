"""When work sleeps without a machine: which lease ended for that, and when the work was told to wake."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import UtcDateTime

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("leases", sa.Column("asleep", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("leases", sa.Column("wanted_at", UtcDateTime(), nullable=True))
    leases = sa.table("leases", sa.column("asleep", sa.Boolean()), sa.column("closed_because", sa.Text()))
    said = leases.c.closed_because.like("paused, with checkpoint %")  # the only trace that was left until now
    op.execute(leases.update().where(said).values(asleep=sa.true()))

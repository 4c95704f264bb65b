"""The installation's mark, drawn here once: two installations that share an account never write the same label."""

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import UtcDateTime

revision = "0006"
down_revision = "0005"

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike
_LENGTH = 4


def upgrade() -> None:
    installation = op.create_table(
        "installation",
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("set_up_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("mark", name="pk_installation"),
    )
    drawn = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    op.bulk_insert(installation, [{"mark": drawn, "set_up_at": datetime.now(UTC)}])

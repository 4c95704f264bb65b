"""Where fine-tuned models come from."""

import sqlalchemy as sa
from alembic import op

from holdfast.records.types import Document

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("lineage", Document(), nullable=True))

"""The series of an item of a batch, which its slices join."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAME = "ix_batch_items_batch_series"


def upgrade() -> None:
    """Add the column; of items from before it is unknown, and nothing joins them."""
    op.add_column("batch_items", sa.Column("series", sa.String(64)))
    op.create_index(NAME, "batch_items", ["batch_id", "series"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index(NAME, "batch_items")
    op.drop_column("batch_items", "series")

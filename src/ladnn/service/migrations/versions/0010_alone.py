"""Whether a case was tested by itself, so that no batch takes it along when it is deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of cases from before it is known where no batch shows them."""
    op.add_column(
        "cases", sa.Column("alone", sa.Boolean, nullable=False, server_default=sa.false())
    )
    shown = "SELECT case_id FROM batch_items WHERE case_id IS NOT NULL"
    op.execute(f"UPDATE cases SET alone = true WHERE id NOT IN ({shown})")  # noqa: S608  # our own


def downgrade() -> None:
    """Drop it."""
    op.drop_column("cases", "alone")

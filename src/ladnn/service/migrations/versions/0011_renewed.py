"""When a case was tested once more, from which it is kept as long again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of cases from before nothing is known."""
    op.add_column("cases", sa.Column("renewed_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("cases", "renewed_at")

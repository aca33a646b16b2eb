"""What a contributor said of an image is kept beside what the review decided."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; where a reader corrected a settled case, what was given is gone."""
    op.add_column("contributions", sa.Column("given_covid", sa.Boolean()))
    op.add_column("contributions", sa.Column("given_lesions", sa.JSON()))
    op.execute(
        "UPDATE contributions SET given_covid = covid, given_lesions = lesions "
        "WHERE state IN ('waiting', 'disputed') OR id NOT IN "
        "(SELECT contribution_id FROM reviews WHERE verdict = 'correct')"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("contributions", "given_lesions")
    op.drop_column("contributions", "given_covid")

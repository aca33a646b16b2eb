"""The index over the moments of cases also holds the model, so that its drift is read from it."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OLD, NEW = "ix_cases_created_at", "ix_cases_created_model"


def upgrade() -> None:
    """Make the index in place of the narrow one."""
    op.create_index(NEW, "cases", ["created_at", "model_name", "model_version"])
    op.drop_index(OLD, "cases")


def downgrade() -> None:
    """Bring back the narrow one."""
    op.create_index(OLD, "cases", ["created_at"])
    op.drop_index(NEW, "cases")

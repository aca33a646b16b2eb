"""An index over the audit log, to find whether somebody has just looked at something."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAME = "ix_audit_events_object_actor"


def upgrade() -> None:
    """Make the index."""
    op.create_index(NAME, "audit_events", ["object", "actor"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index(NAME, "audit_events")

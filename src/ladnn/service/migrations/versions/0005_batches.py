"""The tables of batches."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        sa.Column("owner", sa.String(48), nullable=False, index=True),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "batch_items",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        _to("batch_id", "batches"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column(
            "case_id", sa.Integer, sa.ForeignKey("cases.id", ondelete="SET NULL"), index=True
        ),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("lease_holder", sa.String(32)),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_batch_items_state_id", "batch_items", ["state", "id"])
    op.create_table(
        "batch_files",
        sa.Column("id", sa.Integer, primary_key=True),
        _to("batch_id", "batches", index=False),
        _to("item_id", "batch_items"),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("blob", sa.String(64), index=True),
    )
    op.create_index(
        "ix_batch_files_batch_sha256", "batch_files", ["batch_id", "sha256"], unique=True
    )


def downgrade() -> None:
    """Drop the tables and what they hold; the results of the batches stay."""
    for table in ("batch_files", "batch_items", "batches"):
        op.drop_table(table)


def _to(name: str, target: str, *, index: bool = True) -> sa.Column[int]:
    key = sa.ForeignKey(f"{target}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Integer, key, nullable=False, index=index)

"""The collection: contributions, their fingerprints, reviews, and versions of the dataset."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DIGEST = sa.String(64)
TABLES = (
    "dataset_items",
    "dataset_versions",
    "reviews",
    "contribution_prints",
    "contributions",
)


def upgrade() -> None:
    """Make the tables."""
    _contributions()
    op.create_table(
        "contribution_prints",
        sa.Column("contribution_id", sa.Integer, _of("contributions.id"), primary_key=True),
        sa.Column("sketch", sa.LargeBinary, nullable=False),
        sa.Column("full", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "contribution_id", sa.Integer, _of("contributions.id"), nullable=False, index=True
        ),
        sa.Column("reviewer", sa.String(48), nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("covid", sa.Boolean, nullable=False),
        sa.Column("lesions", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    _datasets()


def downgrade() -> None:
    """Drop the tables and what they hold."""
    for table in TABLES:
        op.drop_table(table)


def _of(target: str) -> sa.ForeignKey:
    return sa.ForeignKey(target, ondelete="CASCADE")


def _contributions() -> None:
    op.create_table(
        "contributions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("public_id", sa.String(32), nullable=False, unique=True),
        sa.Column("owner", sa.String(48), nullable=False, index=True),
        sa.Column("state", sa.String(12), nullable=False, index=True),
        sa.Column("source_sha256", DIGEST, nullable=False),
        sa.Column("blob", DIGEST, nullable=False, index=True),
        sa.Column("pixel_hash", DIGEST, nullable=False, index=True),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("covid", sa.Boolean, nullable=False),
        sa.Column("lesions", sa.JSON, nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("licence", sa.String(40), nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("burned_in", sa.Boolean, nullable=False),
        sa.Column("near", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )


def _datasets() -> None:
    op.create_table(
        "dataset_versions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", DIGEST, nullable=False, unique=True),
        sa.Column("created_by", sa.String(48), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "dataset_items",
        sa.Column("version", sa.Integer, _of("dataset_versions.number"), primary_key=True),
        sa.Column("file", sa.String(80), primary_key=True),
        sa.Column("blob", DIGEST, nullable=False, index=True),
        sa.Column("row", sa.JSON, nullable=False),
    )

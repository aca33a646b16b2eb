"""The tables of the core: accounts, cases with their images, feedback, the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DIGEST = sa.String(64)
PUBLIC = sa.String(32)
TABLES = (
    "one_time_tokens",
    "api_keys",
    "sessions",
    "feedback",
    "case_images",
    "cases",
    "audit_events",
    "accounts",
    "secrets",
)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    _accounts()
    _access()
    _cases()
    _case_images()
    _records()


def downgrade() -> None:
    """Drop the tables and what they hold."""
    for table in TABLES:
        op.drop_table(table)


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _moment(name: str, *, nullable: bool = False, index: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, index=index)


def _to(name: str, target: str, *, nullable: bool = False, index: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey(f"{target}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Integer, key, nullable=nullable, index=index)


def _accounts() -> None:
    op.create_table(
        "accounts",
        _key(),
        sa.Column("public_id", PUBLIC, nullable=False, unique=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("password_hash", sa.String(200)),
        sa.Column("language", sa.String(8)),
        _moment("created_at"),
    )


def _access() -> None:
    op.create_table(
        "sessions",
        _key(),
        sa.Column("token_hash", DIGEST, nullable=False, unique=True),
        _to("account_id", "accounts"),
        _moment("created_at"),
        _moment("seen_at"),
        _moment("expires_at", index=True),
    )
    op.create_table(
        "api_keys",
        _key(),
        sa.Column("public_id", PUBLIC, nullable=False, unique=True),
        sa.Column("key_hash", DIGEST, nullable=False, unique=True),
        _to("account_id", "accounts"),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        _moment("created_at"),
        _moment("used_at", nullable=True),
        _moment("revoked_at", nullable=True),
    )
    op.create_table(
        "one_time_tokens",
        _key(),
        sa.Column("token_hash", DIGEST, nullable=False, unique=True),
        sa.Column("purpose", sa.String(40), nullable=False),
        _to("account_id", "accounts", nullable=True),
        _moment("expires_at"),
        _moment("used_at", nullable=True),
    )


def _cases() -> None:
    op.create_table(
        "cases",
        _key(),
        sa.Column("public_id", PUBLIC, nullable=False, unique=True),
        sa.Column("share_token", PUBLIC, nullable=False, unique=True),
        sa.Column("owner", sa.String(48), nullable=False),
        sa.Column("fingerprint", DIGEST),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("model_name", sa.String(100), nullable=False),
        sa.Column("model_version", sa.String(100), nullable=False),
        sa.Column("card", sa.JSON, nullable=False),
        sa.Column("operating_point", sa.String(40), nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("study", sa.JSON),
        _moment("created_at", index=True),
    )
    op.create_index("ix_cases_owner_fingerprint", "cases", ["owner", "fingerprint"], unique=True)


def _case_images() -> None:
    op.create_table(
        "case_images",
        _key(),
        _to("case_id", "cases", index=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("source_sha256", DIGEST, nullable=False),
        sa.Column("blob", DIGEST, nullable=False, index=True),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        sa.Column("instance", sa.Integer),
        sa.Column("window", sa.JSON),
        sa.Column("prediction", sa.JSON, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("box", sa.JSON, nullable=False),
        sa.Column("maps", sa.LargeBinary, nullable=False),
        sa.Column("maps_shape", sa.JSON, nullable=False),
    )


def _records() -> None:
    op.create_table(
        "feedback",
        _key(),
        _to("case_id", "cases"),
        sa.Column("author", sa.String(48), nullable=False),
        sa.Column("agreement", sa.String(8)),
        sa.Column("pcr", sa.String(8)),
        _moment("created_at"),
        _moment("changed_at"),
    )
    op.create_index("ix_feedback_case_author", "feedback", ["case_id", "author"], unique=True)
    op.create_table(
        "audit_events",
        _key(),
        _moment("at", index=True),
        sa.Column("actor", sa.String(48), nullable=False, index=True),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("previous", DIGEST),
        sa.Column("hash", DIGEST),
    )

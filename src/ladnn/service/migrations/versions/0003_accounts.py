"""Accounts: second factors, providers, guesses, duties, the chain of the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DIGEST = sa.String(64)
TABLES = ("audit_chain", "duties", "guesses", "identities", "recovery_codes", "authenticators")


def upgrade() -> None:
    """Make the tables and columns. Nobody could sign in before, so no session or key is lost."""
    op.execute(sa.text("DELETE FROM sessions"))
    op.execute(sa.text("DELETE FROM api_keys"))
    with op.batch_alter_table("sessions", recreate="always") as table:
        table.add_column(sa.Column("public_id", sa.String(32), nullable=False))
        table.add_column(sa.Column("agent", sa.String(200), nullable=False))
        table.create_unique_constraint("uq_sessions_public_id", ["public_id"])
    with op.batch_alter_table("api_keys", recreate="always") as table:
        table.add_column(sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False))
    with op.batch_alter_table("audit_events") as table:
        table.add_column(sa.Column("sequence", sa.Integer))
        table.create_unique_constraint("uq_audit_events_sequence", ["sequence"])
    _factors()
    _identities()
    _duties()
    _chain()


def downgrade() -> None:
    """Drop the tables and columns."""
    for name in TABLES:
        op.drop_table(name)
    with op.batch_alter_table("audit_events") as table:
        table.drop_constraint("uq_audit_events_sequence", type_="unique")
        table.drop_column("sequence")
    with op.batch_alter_table("api_keys") as table:
        table.drop_column("expires_at")
    with op.batch_alter_table("sessions") as table:
        table.drop_constraint("uq_sessions_public_id", type_="unique")
        table.drop_column("agent")
        table.drop_column("public_id")


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _account(*, unique: bool | None = None, index: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey("accounts.id", ondelete="CASCADE")
    return sa.Column("account_id", sa.Integer, key, nullable=False, unique=unique, index=index)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _factors() -> None:
    op.create_table(
        "authenticators",
        _key(),
        _account(unique=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("last_step", sa.Integer, nullable=False),
        _moment("confirmed_at", nullable=True),
    )
    op.create_table(
        "recovery_codes", _key(), _account(), sa.Column("code_hash", DIGEST, nullable=False)
    )
    op.create_index("ix_recovery_codes_account_hash", "recovery_codes", ["account_id", "code_hash"])


def _identities() -> None:
    op.create_table(
        "identities",
        _key(),
        _account(index=True),
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        _moment("created_at"),
    )
    op.create_index(
        "ix_identities_issuer_subject", "identities", ["issuer", "subject"], unique=True
    )


def _duties() -> None:
    op.create_table(
        "guesses",
        sa.Column("key", DIGEST, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        _moment("last_at"),
    )
    op.create_table(
        "duties",
        sa.Column("name", sa.String(40), primary_key=True),
        _moment("due_at"),
        _moment("done_at", nullable=True),
    )


def _chain() -> None:
    chain = op.create_table(
        "audit_chain",
        _key(),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("start_hash", DIGEST, nullable=False),
        sa.Column("head", sa.Integer, nullable=False),
        sa.Column("head_hash", DIGEST, nullable=False),
    )
    zeros = "0" * 64
    first = {"id": 1, "start": 0, "start_hash": zeros, "head": 0, "head_hash": zeros}
    op.bulk_insert(chain, [first])

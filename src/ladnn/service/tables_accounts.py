"""Tables of accounts beyond the core: factors, providers, limits, guesses, duties, the chain."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ladnn.service.tables import DIGEST, Account, Base, now


class Authenticator(Base):
    """The second factor of an account.

    Attributes:
        sealed: its secret, encrypted (`accounts.sealing`), and behind blanks a hash of whom it was
            made for and the second in which it was.
        last_step: the half minute whose code was used last; no code counts twice.
        confirmed_at: when its first code was given; None while it is being set up.
    """

    __tablename__ = "authenticators"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), unique=True
    )
    sealed: Mapped[bytes]
    last_step: Mapped[int] = mapped_column(default=0)
    confirmed_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """The hash of a code that stands in for the second factor, once."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index("ix_recovery_codes_account_hash", "account_id", "code_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    code_hash: Mapped[str] = mapped_column(String(DIGEST))


class Identity(Base):
    """An account's name at an OpenID provider: `issuer` and `subject` together are unique."""

    __tablename__ = "identities"
    __table_args__ = (Index("ix_identities_issuer_subject", "issuer", "subject", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), index=True
    )
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=now)
    account: Mapped[Account] = relationship()


class Allowance(Base):
    """What is left of a limit that all processes share, for an account or an address.

    Attributes:
        key: a hash of both.
        tokens: how much was left after the last block was taken.
        at: when that was; it is refilled evenly since.
    """

    __tablename__ = "allowances"

    key: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    tokens: Mapped[float]
    at: Mapped[datetime]


class Guess(Base):
    """Wrong passwords and codes in a row, for an account or an address.

    Attributes:
        key: sha256 of which account or address; neither stands here in the clear.
        count: how many since the last right one.
        last_at: when the last one was.
    """

    __tablename__ = "guesses"

    key: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime]


class Duty(Base):
    """Work that one replica does every so often: whoever moves `due_at` on does it."""

    __tablename__ = "duties"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class AuditChain(Base):
    """The two ends of the chain of the audit log, in a single row.

    Attributes:
        start, start_hash: number and hash of the last line that retention removed; 0 and zeros at
            first.
        head, head_hash: number and hash of the newest line.
    """

    __tablename__ = "audit_chain"

    id: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int]
    start_hash: Mapped[str] = mapped_column(String(DIGEST))
    head: Mapped[int]
    head_hash: Mapped[str] = mapped_column(String(DIGEST))

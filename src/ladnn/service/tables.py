"""The tables of the core. Others add theirs to the same `Base`, each with a migration."""

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    false,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
DIGEST = 64  # hexadecimal digits of a sha256
BLOB: dict[Any, Any] = {"blob": True}
"""The `info` of a column that names stored bytes: what no such column names is deleted."""


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment its zone back."""
        del dialect
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


class Base(DeclarativeBase):
    """The base of every table."""

    type_annotation_map = {datetime: Instant, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


Base.metadata.naming_convention = NAMES


def new_id() -> str:
    """A public id that nobody can guess: 24 characters of a URL, of 144 bits.

    It begins with no hyphen, for files and cells of tables are named by it.
    """
    while (made := secrets.token_urlsafe(18)).startswith("-"):
        pass
    return made


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Secret(Base):
    """What signs cookies; made at the first start, shared by every replica."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[bytes]


class Account(Base):
    """A person with a name of their own; `status` is invited, active or disabled."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True, default=new_id)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20), default="active")
    password_hash: Mapped[str | None] = mapped_column(String(200))
    language: Mapped[str | None] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(default=now)


class SignIn(Base):
    """A session: the browser holds the token, the database its hash.

    Attributes:
        agent: what the browser said it is, so that its person knows it again.
    """

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(DIGEST), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    agent: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    account: Mapped[Account] = relationship()


class ApiKey(Base):
    """A key for programs, with its scopes; the database holds its hash."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True, default=new_id)
    key_hash: Mapped[str] = mapped_column(String(DIGEST), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    account: Mapped[Account] = relationship()


class OneTimeToken(Base):
    """A link that works once: the first administrator, an invitation, a forgotten password."""

    __tablename__ = "one_time_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(DIGEST), unique=True)
    purpose: Mapped[str] = mapped_column(String(40))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Case(Base):
    """What one person tested at one go: an image, or the slices of a series.

    Attributes:
        public_id: for its owner.
        share_token: in the link that anyone may open who has it.
        owner: `account:ID` or `visitor:ID`; `bearer` of a program that showed no identity, where
            whoever has the public id is its owner.
        fingerprint: of the files, the version and how it was asked; None once retracted, so that
            the same files may be tested anew, and of a `bearer`, who has each case alone.
        state: active or retracted.
        card: what the model's card said of these numbers (`predictions.terms`), for the model may
            be gone.
        study: one result for several slices, `StudyPrediction.to_json`; None for one image.
        probability, decision: of the whole case, in columns for lists.
        alone: whether it was tested by itself, perhaps in a batch as well: then it outlives that.
        renewed_at: when its files were tested once more, from which it is kept as long again; None
            when they were not.
    """

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_owner_fingerprint", "owner", "fingerprint", unique=True),
        Index("ix_cases_created_model", "created_at", "model_name", "model_version"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    share_token: Mapped[str] = mapped_column(String(32), unique=True)
    owner: Mapped[str] = mapped_column(String(48))
    fingerprint: Mapped[str | None] = mapped_column(String(DIGEST))
    state: Mapped[str] = mapped_column(String(12), default="active")
    model_name: Mapped[str] = mapped_column(String(100))
    model_version: Mapped[str] = mapped_column(String(100))
    card: Mapped[dict[str, Any]]
    operating_point: Mapped[str] = mapped_column(String(40))
    probability: Mapped[float]
    decision: Mapped[str] = mapped_column(String(16))
    study: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    alone: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(default=now)
    renewed_at: Mapped[datetime | None]
    images: Mapped[list["CaseImage"]] = relationship(
        back_populates="case", order_by="CaseImage.position", cascade="all, delete-orphan"
    )
    feedback: Mapped[list["Feedback"]] = relationship(cascade="all, delete-orphan")


class CaseImage(Base):
    """One image of a case and what was said of it.

    Attributes:
        position: from 0, in the order of the series.
        source_sha256: of the bytes that came in.
        blob: sha256 of the bytes that are kept, without identity.
        prediction: `Prediction.to_json`.
        box: the part of the image that the maps lie over, four fractions.
        maps: float16 [K, h, w] in [0, 1], as bytes; `maps_shape` is [K, h, w].
        window: level and width in HU, None where the values were not known to be HU.
    """

    __tablename__ = "case_images"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    source_sha256: Mapped[str] = mapped_column(String(DIGEST))
    blob: Mapped[str] = mapped_column(String(DIGEST), index=True, info=BLOB)
    format: Mapped[str] = mapped_column(String(8))
    height: Mapped[int]
    width: Mapped[int]
    frame: Mapped[int]
    instance: Mapped[int | None]
    window: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    prediction: Mapped[dict[str, Any]]
    probability: Mapped[float]
    decision: Mapped[str] = mapped_column(String(16))
    score: Mapped[float]
    box: Mapped[list[Any]]
    maps: Mapped[bytes] = mapped_column(LargeBinary)
    maps_shape: Mapped[list[Any]]
    case: Mapped[Case] = relationship(back_populates="images")


class Feedback(Base):
    """What one clinician says of a case: agrees or not, and the PCR result once it is known.

    Attributes:
        author: the owner string of who says it; one row for each author and case.
        agreement: agree or disagree, None when not said.
        pcr: positive or negative, None while unknown.
        changed_at: when `pcr` was said last; of several clinicians the latest counts.
    """

    __tablename__ = "feedback"
    __table_args__ = (Index("ix_feedback_case_author", "case_id", "author", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"))
    author: Mapped[str] = mapped_column(String(48))
    agreement: Mapped[str | None] = mapped_column(String(8))
    pcr: Mapped[str | None] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)


class AuditEvent(Base):
    """One line of the audit log; `audit_log.record` writes it.

    Attributes:
        actor: the owner string of who did it.
        action: such as prediction.create.
        object: the public id of what it was done to.
        sequence, previous, hash: the chain over changes, downloads and sign-ins; None outside it.
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_object_actor", "object", "actor"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    actor: Mapped[str] = mapped_column(String(48), index=True)
    role: Mapped[str] = mapped_column(String(20))
    action: Mapped[str] = mapped_column(String(60))
    object: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]
    sequence: Mapped[int | None] = mapped_column(unique=True)
    previous: Mapped[str | None] = mapped_column(String(DIGEST))
    hash: Mapped[str | None] = mapped_column(String(DIGEST))

"""The tables of the collection: what was given, what reviewers said, and published versions."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ladnn.service.tables import BLOB, DIGEST, Base, new_id, now


class Contribution(Base):
    """One image that somebody gave, with what they say of it.

    Attributes:
        owner: the owner string of who gave it.
        state: waiting, disputed (a second reader is wanted), accepted or rejected.
        source_sha256: of the bytes that came in.
        blob: of what is kept: a DICOM file without identity, or the grey pixels as PNG.
        pixel_hash: `similarity.pixel_hash`.
        covid, lesions: as given; after the review, as decided. Five of true, false or null.
        given_covid, given_lesions: as given, for good; None of some that were settled before this
            was kept.
        patient: pseudonym, within `source`.
        burned_in: whether words seem to stand in the picture.
        near: public ids of contributions that look nearly the same, at the time it came.
    """

    __tablename__ = "contributions"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(48), index=True)
    state: Mapped[str] = mapped_column(String(12), default="waiting", index=True)
    source_sha256: Mapped[str] = mapped_column(String(DIGEST))
    blob: Mapped[str] = mapped_column(String(DIGEST), index=True, info=BLOB)
    pixel_hash: Mapped[str] = mapped_column(String(DIGEST), index=True)
    format: Mapped[str] = mapped_column(String(8))
    covid: Mapped[bool]
    lesions: Mapped[list[Any]]
    given_covid: Mapped[bool | None]
    given_lesions: Mapped[list[Any] | None]
    patient: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(100))
    licence: Mapped[str] = mapped_column(String(40))
    report: Mapped[str] = mapped_column(Text)
    burned_in: Mapped[bool]
    near: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
    reviews: Mapped[list["Review"]] = relationship(
        order_by="Review.id", cascade="all, delete-orphan"
    )
    print: Mapped["Print"] = relationship(cascade="all, delete-orphan")


class Print(Base):
    """The fingerprint of a contribution, for near-duplicates.

    Attributes:
        sketch: int8 [256], read for all when one is compared.
        full: float16 [5120], read for the few whose sketches are alike.
    """

    __tablename__ = "contribution_prints"

    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contributions.id", ondelete="CASCADE"), primary_key=True
    )
    sketch: Mapped[bytes] = mapped_column(LargeBinary)
    full: Mapped[bytes] = mapped_column(LargeBinary)


class Review(Base):
    """What one reviewer said of a contribution; `verdict` is accept, correct or reject."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contributions.id", ondelete="CASCADE"), index=True
    )
    reviewer: Mapped[str] = mapped_column(String(48))
    verdict: Mapped[str] = mapped_column(String(8))
    covid: Mapped[bool]
    lesions: Mapped[list[Any]]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)


class DatasetVersion(Base):
    """A frozen set of accepted contributions; `hash` is that of its table, images included."""

    __tablename__ = "dataset_versions"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(DIGEST), unique=True)
    created_by: Mapped[str] = mapped_column(String(48))
    created_at: Mapped[datetime] = mapped_column(default=now)
    items: Mapped[list["DatasetItem"]] = relationship(
        order_by="DatasetItem.file", cascade="all, delete-orphan"
    )


class DatasetItem(Base):
    """One image of a version, as it was then; its bytes are kept while a version names them."""

    __tablename__ = "dataset_items"

    version: Mapped[int] = mapped_column(
        ForeignKey("dataset_versions.number", ondelete="CASCADE"), primary_key=True
    )
    file: Mapped[str] = mapped_column(String(80), primary_key=True)
    blob: Mapped[str] = mapped_column(String(DIGEST), index=True, info=BLOB)
    row: Mapped[dict[str, Any]] = mapped_column(JSON)

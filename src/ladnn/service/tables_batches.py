"""The tables of batches: what was sent together, each file of it, and whose work it is just now."""

from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ladnn.service.tables import BLOB, DIGEST, Base, Case, new_id, now

ARRIVING, WAITING, DONE, FAILED, CANCELLED = "arriving", "waiting", "done", "failed", "cancelled"
STATES = (ARRIVING, WAITING, DONE, FAILED, CANCELLED)
NAME_LENGTH = 200
SERIES_LENGTH = 64  # of a UID (PS3.5, table 6.2-1)


class Batch(Base):
    """Files that one person sent together.

    Attributes:
        owner: as of a case.
        role: of the owner when the batch was begun; its later work is logged under it.
    """

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True, default=new_id)
    owner: Mapped[str] = mapped_column(String(48), index=True)
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class BatchItem(Base):
    """One result of a batch: of one image, or of the slices of one series.

    Attributes:
        name: of its first file, without folders, for whoever sent it.
        series: the UID that stands for that of its DICOM series, of which further slices join it
            until it is done; None for a picture.
        state: `arriving` while slices of its series may still come, then `waiting` until it is
            `done`, `failed` or `cancelled`.
        error: one sentence; empty unless failed.
        case_id: its result; None also after that was deleted.
        tries: how often a replica took it up.
        lease_holder, lease_until: the replica that works on it, or the request that brings its
            slices, and until when that holds.
        created_at: when its newest file came, or it was last let wait again.
    """

    __tablename__ = "batch_items"
    __table_args__ = (
        Index("ix_batch_items_state_id", "state", "id"),
        Index("ix_batch_items_batch_series", "batch_id", "series"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True, default=new_id)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    series: Mapped[str | None] = mapped_column(String(SERIES_LENGTH))
    state: Mapped[str] = mapped_column(String(12))
    error: Mapped[str] = mapped_column(Text, default="")
    case_id: Mapped[int | None] = mapped_column(
        ForeignKey("cases.id", ondelete="SET NULL"), index=True
    )
    tries: Mapped[int] = mapped_column(default=0)
    lease_holder: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    batch: Mapped[Batch] = relationship()
    case: Mapped[Case | None] = relationship()
    files: Mapped[list["BatchFile"]] = relationship(
        order_by="BatchFile.id", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def void(self) -> bool:
        """Whether it ended with no result, or with one that was deleted since."""
        return self.state in (FAILED, CANCELLED) or (self.state == DONE and self.case_id is None)


def is_void() -> ColumnElement[bool]:
    """`BatchItem.void`, asked of the database."""
    return BatchItem.state.in_((FAILED, CANCELLED)) | is_deleted()


def is_deleted() -> ColumnElement[bool]:
    """Whether it was done, and its result was deleted since."""
    return (BatchItem.state == DONE) & BatchItem.case_id.is_(None)


class BatchFile(Base):
    """One file of an item; the same bytes are in a batch once.

    Attributes:
        sha256: of the bytes that came in.
        blob: sha256 of the bytes that wait to be tested, without identity; None once they were, and
            where nothing of them could be kept.
    """

    __tablename__ = "batch_files"
    __table_args__ = (Index("ix_batch_files_batch_sha256", "batch_id", "sha256", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    item_id: Mapped[int] = mapped_column(
        ForeignKey("batch_items.id", ondelete="CASCADE"), index=True
    )
    sha256: Mapped[str] = mapped_column(String(DIGEST))
    blob: Mapped[str | None] = mapped_column(String(DIGEST), index=True, info=BLOB)

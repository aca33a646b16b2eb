"""The table of the model's versions: one row for each event of the registry."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ladnn.service.tables import Base


class ModelEvent(Base):
    """One event of the registry (`ladnn.ledger.Event`); its number is what makes it whole.

    Attributes:
        token: tells the own event from another's when a commit's answer was lost.
    """

    __tablename__ = "model_events"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(12))
    label: Mapped[str] = mapped_column(String(200))
    by: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
    why: Mapped[str] = mapped_column(Text)
    files: Mapped[dict[str, Any]]
    folder: Mapped[str] = mapped_column(String(250))

"""The audit log: who did what to what, and when."""

from typing import Any

from sqlalchemy.orm import Session

from ladnn.service.accounts.principals import Principal
from ladnn.service.tables import AuditEvent


def record(
    session: Session,
    principal: Principal,
    action: str,
    object: str,  # noqa: A002  # the log's own word
    detail: dict[str, Any],
) -> None:
    """Write one line in the transaction of what it tells of."""
    session.add(
        AuditEvent(
            actor=principal.owner,
            role=str(principal.role),
            action=action,
            object=object,
            detail=detail,
        )
    )

"""Links that work once; the database holds the hash of the secret in them."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ladnn.service.accounts.permissions import Role
from ladnn.service.tables import Account, OneTimeToken

FIRST_ADMINISTRATOR = "first-administrator"
FIRST_DAYS = 7


def hash_of(secret: str) -> str:
    """The sha256 of a secret of at least 128 bits, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def first_administrator(session: Session, present: datetime) -> str | None:
    """A new secret for the first administrator's link; None once there is an administrator.

    It replaces the one before it, so that the link printed last is the one that works.
    """
    query = select(Account.id).where(Account.role == str(Role.ADMINISTRATOR)).limit(1)
    if session.scalar(query) is not None:
        return None
    secret = secrets.token_urlsafe(24)
    session.execute(delete(OneTimeToken).where(OneTimeToken.purpose == FIRST_ADMINISTRATOR))
    session.add(
        OneTimeToken(
            token_hash=hash_of(secret),
            purpose=FIRST_ADMINISTRATOR,
            expires_at=present + timedelta(days=FIRST_DAYS),
        )
    )
    return secret

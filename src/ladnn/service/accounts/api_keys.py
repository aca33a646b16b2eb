"""API keys: a name, scopes and an end; shown once when made, kept as a hash."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from ladnn.service.accounts.permissions import PERMISSIONS, Permission, Role
from ladnn.service.accounts.tokens import hash_of, new_token
from ladnn.service.errors import BadRequest
from ladnn.service.tables import Account, ApiKey

PREFIX = "ladnn_"
"""So that people, and programs that look for leaked keys, know one when they see it."""
SCOPES = (
    Permission.READ_PUBLIC,
    Permission.TEST,
    Permission.READ_CASE,
    Permission.CHANGE_CASE,
    Permission.GIVE_FEEDBACK,
    Permission.CONTRIBUTE,
    Permission.REVIEW,
    Permission.EXPORT_DATASET,
    Permission.MANAGE_MODELS,
    Permission.READ_METRICS,
)
"""What a key may be for. Accounts, keys and the audit log are for people who have signed in."""
DAYS = (7, 30, 90, 365)
MOST_KEYS = 20  # that work at one time, for each account


def scopes_for(role: Role) -> list[Permission]:
    """What a key of somebody with that role may be for."""
    return [scope for scope in SCOPES if scope in PERMISSIONS[role]]


def make(  # noqa: PLR0917  # the fields of one form
    session: Session,
    account: Account,
    name: str,
    scopes: Iterable[str],
    days: int,
    present: datetime,
) -> tuple[ApiKey, str]:
    """A new key, and its text, which nobody sees again.

    Raises BadRequest for no scope, a scope that the role does not have, an unknown time, no name,
    or one key too many.
    """
    name, wanted = name.strip(), set(scopes)
    if not wanted or not wanted <= set(scopes_for(Role(account.role))):
        raise BadRequest("keys.error.scopes")
    if days not in DAYS or not 1 <= len(name) <= 100 or not name.isprintable():
        raise BadRequest("keys.error.fields")
    # Two requests at the same moment count one after the other.
    session.execute(select(Account.id).where(Account.id == account.id).with_for_update())
    if sum(works(key, present) for key in of_account(session, account.id)) >= MOST_KEYS:
        raise BadRequest("keys.error.many", most=MOST_KEYS)
    text = PREFIX + new_token()
    key = ApiKey(
        key_hash=hash_of(text),
        account_id=account.id,
        name=name,
        scopes=sorted(wanted),
        created_at=present,
        expires_at=present + timedelta(days=days),
    )
    session.add(key)
    session.flush()
    return key, text


def find(session: Session, text: str, present: datetime) -> ApiKey | None:
    """The key with its account; None when unknown, revoked, over, or the account is not active."""
    query = (
        select(ApiKey)
        .join(ApiKey.account)
        .options(contains_eager(ApiKey.account))
        .where(ApiKey.key_hash == hash_of(text), Account.status == "active")
    )
    key = session.scalars(query).one_or_none()
    return key if key is not None and works(key, present) else None


def works(key: ApiKey, present: datetime) -> bool:
    """Whether a key is neither revoked nor over."""
    return key.revoked_at is None and key.expires_at > present


def of_account(session: Session, account_id: int) -> list[ApiKey]:
    """All keys of an account, the newest first."""
    query = select(ApiKey).where(ApiKey.account_id == account_id)
    return list(session.scalars(query.order_by(ApiKey.id.desc())))


def revoke(session: Session, public_id: str, present: datetime, account_id: int | None) -> bool:
    """Revoke a key, of that account or of any when None; whether there was one that worked."""
    query = select(ApiKey).where(ApiKey.public_id == public_id, ApiKey.revoked_at.is_(None))
    if account_id is not None:
        query = query.where(ApiKey.account_id == account_id)
    key = session.scalars(query).one_or_none()
    if key is not None:
        key.revoked_at = present
    return key is not None


def touch(session: Session, key: int, present: datetime) -> None:
    """Write that the key was used just now."""
    found = session.get(ApiKey, key)
    if found is not None:
        found.used_at = present

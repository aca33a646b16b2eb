"""Accounts in the database: invited, made, changed, disabled, deleted; links that work once."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ladnn.service.accounts import sessions
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.tokens import hash_of, new_token
from ladnn.service.database import Database
from ladnn.service.errors import BadRequest, NotFound, SignInNeeded
from ladnn.service.tables import Account, ApiKey, OneTimeToken
from ladnn.service.tables_accounts import Authenticator, Identity, RecoveryCode

FIRST = "first-administrator"
INVITATION = "invitation"
RESET = "new-password"
LIFETIMES = {FIRST: timedelta(hours=24), INVITATION: timedelta(days=7), RESET: timedelta(hours=24)}
ROLES = (Role.CLINICIAN, Role.CURATOR, Role.ADMINISTRATOR)
"""The roles that an account may have: visitors have none."""
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.?[^@\s]*")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody who opens a link fills in.

    Attributes:
        email: asked of the first administrator alone; an invitation knows it.
        password_hash: made before the transaction, because it takes time.
    """

    email: str
    name: str
    password_hash: str


def tidy_email(text: str) -> str:
    """An address in one form; BadRequest when it is none."""
    email = text.strip().lower()
    if len(email) > 254 or not email.isprintable() or not _ADDRESS.fullmatch(email):
        raise BadRequest("accounts.error.email")
    return email


def tidy_name(text: str) -> str:
    """A name without spaces around it; BadRequest for none, a long or an unseen one.

    What cannot be seen, such as a mark of direction, would make it look like another one.
    """
    name = " ".join(text.split())
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise BadRequest("accounts.error.name")
    return name


def tidy_role(text: str) -> Role:
    """A role that an account may have; BadRequest for any other word."""
    if text not in ROLES:
        raise BadRequest("accounts.error.role")
    return Role(text)


def by_email(session: Session, email: str) -> Account | None:
    """The account of an address."""
    return session.scalars(select(Account).where(Account.email == email)).one_or_none()


def by_public_id(session: Session, public_id: str) -> Account:
    """The account of a public id; NotFound when there is none."""
    account = session.scalars(select(Account).where(Account.public_id == public_id)).one_or_none()
    if account is None:
        raise NotFound
    return account


def require(session: Session, owner: str) -> None:
    """Raise SignInNeeded where the owner is an account that is gone; else it stays until the end.

    What was tested while its account was deleted would be nobody's, and nobody could delete it.
    """
    kind, _, public_id = owner.partition(":")
    if kind == "account":
        there = select(Account.id).where(Account.public_id == public_id)
        if session.scalar(there.with_for_update(read=True)) is None:
            raise SignInNeeded("error.session_over")


def everyone(session: Session) -> list[Account]:
    """All accounts, by their address."""
    return list(session.scalars(select(Account).order_by(Account.email)))


def with_second_factor(session: Session) -> set[int]:
    """The keys of the accounts whose second factor is set up."""
    query = select(Authenticator.account_id).where(Authenticator.confirmed_at.is_not(None))
    return set(session.scalars(query))


def invite(session: Session, email: str, role: Role, present: datetime) -> tuple[Account, str]:
    """An account that waits for its person, and the token of the link for them.

    Who was invited and has not come yet is invited again: the link before it ends.
    """
    account = by_email(session, email)
    if account is None:
        account = Account(email=email, name="", role=role, status="invited", created_at=present)
        session.add(account)
        session.flush()
    elif account.status != "invited":
        raise BadRequest("accounts.error.taken")
    account.role = role
    return account, _link(session, INVITATION, account.id, present)


def cancel_invitation(session: Session, database: Database, account: Account) -> None:
    """Take back an invitation that nobody has used: its link is dead, the address free again.

    Raises BadRequest where its person has come meanwhile, NotFound where it is gone.
    """
    database.lock(session, "administrators")  # as `accept` does
    if session.get(Account, account.id, populate_existing=True) is None:
        raise NotFound
    if account.status != "invited":
        raise BadRequest("accounts.error.come")
    remove(session, database, account)


def link_for_password(session: Session, account: Account, present: datetime) -> str:
    """The token of a link under which an account chooses a new password; earlier ones end."""
    if account.status != "active":
        raise BadRequest("accounts.error.inactive")
    return _link(session, RESET, account.id, present)


def unlink(session: Session, account: Account) -> None:
    """Forget who the account is at a provider, unless that is the only way into it.

    Part of every reset: whoever had got into the account may have linked it to themselves.
    """
    if account.password_hash is not None:
        session.execute(delete(Identity).where(Identity.account_id == account.id))


def end_links(session: Session, account: Account) -> None:
    """End the links for a new password: whoever has just chosen one did not mean to leave them."""
    mine = (OneTimeToken.purpose == RESET, OneTimeToken.account_id == account.id)
    session.execute(delete(OneTimeToken).where(*mine))


def link_for_first(session: Session, database: Database, present: datetime) -> str | None:
    """The token of the link for the first administrator; None once there is one."""
    database.lock(session, "administrators")
    if administrators(session):
        return None
    return _link(session, FIRST, None, present)


def administrators(session: Session) -> int:
    """How many accounts may manage the site."""
    query = select(func.count()).where(
        Account.role == Role.ADMINISTRATOR, Account.status == "active"
    )
    return session.scalar(query) or 0


def _link(session: Session, purpose: str, account_id: int | None, present: datetime) -> str:
    same = OneTimeToken.account_id == account_id
    if account_id is None:
        same = OneTimeToken.account_id.is_(None)
    session.execute(delete(OneTimeToken).where(OneTimeToken.purpose == purpose, same))
    token = new_token()
    session.add(
        OneTimeToken(
            token_hash=hash_of(token),
            purpose=purpose,
            account_id=account_id,
            expires_at=present + LIFETIMES[purpose],
        )
    )
    return token


def look_up(session: Session, token: str, present: datetime) -> OneTimeToken:
    """The link of a token, not used by looking; NotFound when unknown, used or over."""
    found = session.scalars(
        select(OneTimeToken).where(
            OneTimeToken.token_hash == hash_of(token),
            OneTimeToken.used_at.is_(None),
            OneTimeToken.expires_at > present,
        )
    ).one_or_none()
    if found is None:
        raise NotFound("invitation.error.over")
    return found


def opened(session: Session, token: str, present: datetime) -> tuple[OneTimeToken, Account | None]:
    """The link of a token and whose it is, None for the first administrator's; see `look_up`."""
    link = look_up(session, token, present)
    return link, None if link.purpose == FIRST else _owner(session, link)


def accept(
    session: Session, database: Database, token: str, wish: Wish, present: datetime
) -> Account:
    """Use a link, which ends every session of its account and what links it to a provider.

    It makes the first administrator, brings an invited account to life, or gives one a new
    password. Raises NotFound when somebody else was quicker.
    """
    database.lock(session, "administrators")
    link = look_up(session, token, present)
    spent = (
        update(OneTimeToken)
        .where(OneTimeToken.id == link.id, OneTimeToken.used_at.is_(None))
        .values(used_at=present)
    )
    if session.execute(spent).rowcount != 1:  # type: ignore[attr-defined]  # an update has one
        raise NotFound("invitation.error.over")
    account = _first(session, wish, present) if link.purpose == FIRST else _owner(session, link)
    if link.purpose == INVITATION and account.status != "invited":
        raise NotFound("invitation.error.over")
    others = (OneTimeToken.account_id == account.id, OneTimeToken.id != link.id)
    session.execute(delete(OneTimeToken).where(*others))  # two who asked at once made two
    if link.purpose == INVITATION:
        account.name, account.status = wish.name, "active"
    account.password_hash = wish.password_hash
    unlink(session, account)
    sessions.end_all(session, account.id)
    session.flush()
    return account


def _first(session: Session, wish: Wish, present: datetime) -> Account:
    if administrators(session):
        raise NotFound("invitation.error.over")
    if by_email(session, wish.email):
        raise BadRequest("accounts.error.taken")
    account = Account(
        email=wish.email,
        name=wish.name,
        role=Role.ADMINISTRATOR,
        status="active",
        created_at=present,
    )
    session.add(account)
    session.flush()
    return account


def _owner(session: Session, link: OneTimeToken) -> Account:
    account = session.get(Account, link.account_id)
    if account is None or account.status == "disabled":
        raise NotFound("invitation.error.over")
    return account


def change_role(session: Session, database: Database, account: Account, role: Role) -> None:
    """Give an account another role; its sessions end, its keys lose what the role may not do."""
    if role != Role.ADMINISTRATOR:
        keep_one(session, database, account)
    account.role = role
    sessions.end_all(session, account.id)


def change_status(session: Session, database: Database, account: Account, active: bool) -> None:
    """Disable an account, which ends its sessions, or let it in again."""
    if account.status == "invited":
        raise BadRequest("accounts.error.inactive")
    if not active:
        keep_one(session, database, account)
    account.status = "active" if active else "disabled"
    sessions.end_all(session, account.id)


def remove(session: Session, database: Database, account: Account) -> None:
    """Delete an account with everything that lets somebody in under its name."""
    keep_one(session, database, account)
    for table in (Authenticator, RecoveryCode, Identity, ApiKey, OneTimeToken):
        session.execute(delete(table).where(table.account_id == account.id))
    sessions.end_all(session, account.id)
    session.delete(account)


def keep_one(session: Session, database: Database, account: Account) -> None:
    """Raise BadRequest where without the account nobody would manage the site; for `write`."""
    database.lock(session, "administrators")
    is_one = account.role == Role.ADMINISTRATOR and account.status == "active"
    if is_one and administrators(session) <= 1:
        raise BadRequest("accounts.error.last")

"""Accounts of people whom an OpenID provider vouches for: known by issuer and subject alone."""

from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from ladnn.service.accounts import people
from ladnn.service.accounts.oidc import Person
from ladnn.service.accounts.permissions import Role
from ladnn.service.database import Database
from ladnn.service.errors import BadRequest, NotAllowed
from ladnn.service.tables import Account
from ladnn.service.tables_accounts import Identity


def of_account(session: Session, account_id: int) -> list[Identity]:
    """The names of an account at providers."""
    return list(session.scalars(select(Identity).where(Identity.account_id == account_id)))


def find(session: Session, person: Person) -> Account | None:
    """The account that is linked to that issuer and subject."""
    query = select(Identity).where(
        Identity.issuer == person.issuer, Identity.subject == person.subject
    )
    identity = session.scalars(query).one_or_none()
    return identity.account if identity else None


def admit(session: Session, database: Database, person: Person, present: datetime) -> Account:
    """The person's account, made at the first time; its role follows the provider's claim.

    An account that merely has the same address is never taken over: whoever owns it links it on
    its page.

    Raises NotAllowed for a person without a role, a disabled account, or an address in use.
    """
    database.lock(session, f"identity {person.issuer} {person.subject}")
    if person.role is None:
        raise NotAllowed("oidc.error.no_role")
    account = find(session, person)
    if account is None:
        account = _make(session, person, person.role, present)
    if account.status != "active":
        raise NotAllowed("oidc.error.disabled")
    if account.role != person.role:
        _follow(session, database, account, person.role)
    return account


def link(session: Session, account: Account, person: Person, present: datetime) -> None:
    """Let the person sign in to an account that is theirs already.

    Raises NotAllowed when that name at the provider belongs to another account, or has no role;
    BadRequest for an account without a password.
    """
    require_password(account)
    if person.role is None:
        raise NotAllowed("oidc.error.no_role")
    known = find(session, person)
    if known is not None and known.id != account.id:
        raise NotAllowed("oidc.error.taken")
    if known is None:
        session.add(_identity(account, person, present))


def unlink(session: Session, account: Account) -> None:
    """Let nobody sign in to an account by way of a provider any more; BadRequest as for `link`."""
    require_password(account)
    people.unlink(session, account)


def require_password(account: Account) -> None:
    """Raise BadRequest for an account without a password.

    Its owner could not be proved before it is linked, nor get in after it is unlinked.
    """
    if account.password_hash is None:
        raise BadRequest("account.error.only_way")


def _make(session: Session, person: Person, role: Role, present: datetime) -> Account:
    host = urlsplit(person.issuer).hostname or "provider"
    email = (person.email or f"{person.subject}@{host}")[:254]
    if people.by_email(session, email) is not None:
        raise NotAllowed("oidc.error.address")
    account = Account(
        email=email,
        name=_seen(person.name) or _seen(email),
        role=role,
        status="active",
        created_at=present,
    )
    session.add(account)
    session.flush()
    session.add(_identity(account, person, present))
    return account


def _seen(text: str) -> str:
    """What can be seen of a name that the provider gives, which may be anything."""
    seen = "".join(one for one in " ".join(text.split()) if one.isprintable())
    return " ".join(seen[:200].split())


def _identity(account: Account, person: Person, present: datetime) -> Identity:
    return Identity(
        account_id=account.id, issuer=person.issuer, subject=person.subject, created_at=present
    )


def _follow(session: Session, database: Database, account: Account, role: Role) -> None:
    """Give the account the role of the claim, unless it has a password: then the role is local."""
    if account.password_hash is None:
        people.change_role(session, database, account, role)

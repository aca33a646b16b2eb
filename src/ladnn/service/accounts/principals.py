"""Who is behind a request: an account by session or key, a visitor by cookie, or nobody known."""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated

from fastapi import Depends
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

from ladnn.service.accounts import api_keys, sessions
from ladnn.service.accounts.permissions import PERMISSIONS, Permission, Role
from ladnn.service.context import Services, services
from ladnn.service.errors import NotAllowed, SignInNeeded, StorageFull
from ladnn.service.limits import address_of
from ladnn.service.settings import Settings
from ladnn.service.tables import Account, SignIn

SESSION_COOKIE = "ladnn_session"
VISITOR_COOKIE = "ladnn_visitor"
VISITOR_DAYS = 365


BEARER = "bearer"
"""The owner of what programs without identity test: whoever has the id may do all with it."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes:
        role: what they may do.
        owner: under which name things are theirs: `account:ID`, `visitor:ID`, or empty for a
            program that shows no identity at all.
        account_id: the internal key of the account; None for a visitor.
        name: shown in the page's head; empty for a visitor.
        scopes: of an API key; None means everything that the role may do.
        ambient: whether the browser sends the identity by itself, so that forms need a token.
        session_id: the internal key of the session; None without one.
        address: by which a visitor's limits count, kept nowhere; empty for an account.
    """

    role: Role = Role.VISITOR
    owner: str = ""
    account_id: int | None = None
    name: str = ""
    scopes: frozenset[Permission] | None = None
    ambient: bool = False
    session_id: int | None = None
    address: str = field(default="", repr=False, compare=False)

    @property
    def account(self) -> str:
        """`owner` of somebody who has an account; empty for all others."""
        return self.owner if self.account_id is not None else ""

    @property
    def counts_as(self) -> str:
        """The name that turns go by: the account, else the address, else the owner alone."""
        return self.account or self.address or self.owner

    def may(self, permission: Permission) -> bool:
        """Whether role and scopes both allow it; what every program may ask needs no scope."""
        allowed = permission in PERMISSIONS[self.role]
        scoped = self.scopes is None or permission in self.scopes | {Permission.OPERATE}
        return allowed and scoped


class requires:  # noqa: N801  # reads as a word where a route is declared
    """A dependency: the route is for those who may `permission`; it yields the `Principal`."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        """The principal, or SignInNeeded, NotAllowed or TooMany."""
        principal = await identify_off_loop(request)
        await services(request).limits.take(principal.account, self.permission, request)
        if principal.may(self.permission):
            return principal
        if principal.account_id is not None:
            raise NotAllowed
        raise SignInNeeded("error.session_over" if lost_session(request) else None)


async def admitted(request: Request) -> AsyncIterator[None]:
    """A dependency of the routes that decode what comes in: a turn, while the route is at work."""
    principal = await identify_off_loop(request)
    async with services(request).admission.turn(principal.counts_as):
        yield


Admitted = Annotated[None, Depends(admitted, scope="function")]
"""Stands behind the principal, so that nobody waits for a turn who may not ask."""


async def count(request: Request) -> None:
    """Count a request, whatever will be refused of it; the application's first dependency.

    It counts for the account that asks, so that nobody there pays for others at their address, and
    for the address where none does: a key that does not work, a session that is over.
    """
    who = ""
    try:
        who = (await identify_off_loop(request)).account
    finally:
        services(request).limits.count(who, request)


def identify(connection: HTTPConnection) -> Principal:
    """Who is behind this request, found out once for each.

    Raises SignInNeeded for a key that does not work: a program is not to go on as a visitor.
    """
    state = connection.state
    if not hasattr(state, "principal"):
        state.principal = Principal()  # for the page that tells of the error, if there is one
        state.principal = _find(connection, services(connection))
    found: Principal = state.principal
    return found


async def identify_off_loop(connection: HTTPConnection) -> Principal:
    """`identify` for the event loop: a thread is taken only where the database must be asked."""
    cookie = session_cookie(services(connection).settings)
    asks = "authorization" in connection.headers or cookie in connection.cookies
    if asks and not hasattr(connection.state, "principal"):
        return await run_in_threadpool(identify, connection)
    return identify(connection)


def welcome(request: Request) -> Principal:
    """The principal, a new visitor's cookie being set on the answer where there is no identity."""
    principal = identify(request)
    if principal.owner:
        return principal
    visitor = secrets.token_urlsafe(18)
    request.state.new_visitor = sign(visitor, services(request).secret)
    request.state.principal = replace(principal, owner=f"visitor:{visitor}", ambient=True)
    return identify(request)


def _find(connection: HTTPConnection, site: Services) -> Principal:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _by_key(site, key.strip())
    token = connection.cookies.get(session_cookie(site.settings), "")
    return (by_session(site, token) if token else None) or _visitor(connection, site)


def _by_key(site: Services, text: str) -> Principal:
    present = site.clock()
    key = site.database.read(lambda session: api_keys.find(session, text, present))
    if key is None:
        raise SignInNeeded("error.key")
    if key.used_at is None or present - key.used_at > sessions.TOUCH:
        with suppress(StorageFull):
            site.database.write(lambda session: api_keys.touch(session, key.id, present))
    scopes = frozenset(Permission(scope) for scope in key.scopes)
    return replace(of_account(key.account), scopes=scopes)


def by_session(site: Services, token: str) -> Principal | None:
    """Who signed in under the token; None when that session is over or never was."""
    present, lifetimes = site.clock(), lifetimes_of(site.settings)

    def look(session: Session):  # type: ignore[no-untyped-def]  # noqa: ANN202  # a SignIn
        return sessions.find(session, token, present, lifetimes)

    found = site.database.read(look)
    if found is None:
        return None
    if sessions.is_stale(found, present, lifetimes):
        with suppress(StorageFull):  # or nobody could sign out, or delete, to make room
            site.database.write(lambda session: sessions.touch(session, found.id, present))
    return replace(of_account(found.account), ambient=True, session_id=found.id)


def lost_session(request: Request) -> bool:
    """Whether the browser still has the cookie of a session that is over."""
    cookie = session_cookie(services(request).settings)
    return cookie in request.cookies and identify(request).account_id is None


def of_account(account: Account) -> Principal:
    """The account as the one who acts."""
    return Principal(
        role=Role(account.role),
        owner=owner_of(account),
        account_id=account.id,
        name=account.name,
    )


def own_account(session: Session, principal: Principal) -> Account:
    """The account; SignInNeeded where it was deleted meanwhile, as by a button pressed twice."""
    found = session.get(Account, principal.account_id)
    if found is None:
        raise SignInNeeded("error.session_over")
    return found


def hold_account(session: Session, principal: Principal) -> Account:
    """`own_account` until the transaction ends; SignInNeeded where the session ended meanwhile.

    So a change on its way, whose password may be the former one, comes to nothing after a reset.
    """
    mine = select(Account.id).where(Account.id == principal.account_id).with_for_update()
    session.execute(mine)
    if principal.session_id is not None and session.get(SignIn, principal.session_id) is None:
        raise SignInNeeded("error.session_over")
    return own_account(session, principal)


def owner_of(account: Account) -> str:
    """Under which name things are the account's."""
    return f"account:{account.public_id}"


def host_cookie(settings: Settings, name: str) -> str:
    """The cookie's name; with HTTPS one that only this very host may have set."""
    return f"__Host-{name}" if settings.secure else name


def session_cookie(settings: Settings) -> str:
    """The name of the cookie that holds a session's token."""
    return host_cookie(settings, SESSION_COOKIE)


def visitor_cookie(settings: Settings) -> str:
    """The name of the cookie by which a visitor is known."""
    return host_cookie(settings, VISITOR_COOKIE)


def lifetimes_of(settings: Settings) -> sessions.Lifetimes:
    """How long sessions live, by the settings."""
    return sessions.Lifetimes(
        idle=timedelta(minutes=settings.session_idle_minutes),
        whole=timedelta(hours=settings.session_hours),
    )


def _visitor(connection: HTTPConnection, site: Services) -> Principal:
    visitor = unsign(connection.cookies.get(visitor_cookie(site.settings), ""), site.secret)
    if visitor is None:
        return Principal(address=address_of(connection))
    return Principal(owner=f"visitor:{visitor}", ambient=True, address=address_of(connection))


def sign(value: str, secret: bytes) -> str:
    """The value with a signature behind a dot."""
    return f"{value}.{signature(value, secret)}"


def unsign(signed: str, secret: bytes) -> str | None:
    """The value that was signed; None when the signature is another."""
    value, _, given = signed.rpartition(".")
    right = hmac.compare_digest(given.encode(), signature(value, secret).encode())
    return value if value and right else None


def signature(value: str, secret: bytes) -> str:
    """HMAC-SHA256 in hexadecimal."""
    return hmac.new(secret, value.encode(), hashlib.sha256).hexdigest()

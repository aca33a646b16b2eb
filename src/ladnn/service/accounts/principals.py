"""Who is behind a request: an account, a visitor with a signed cookie, or nobody known."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection, Request

from ladnn.service.accounts.permissions import PERMISSIONS, Permission, Role
from ladnn.service.context import Services, services
from ladnn.service.errors import NotAllowed, SignInNeeded

VISITOR_COOKIE = "ladnn_visitor"
VISITOR_DAYS = 365


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
    """

    role: Role = Role.VISITOR
    owner: str = ""
    account_id: int | None = None
    name: str = ""
    scopes: frozenset[Permission] | None = None
    ambient: bool = False

    def may(self, permission: Permission) -> bool:
        """Whether role and scopes both allow it."""
        allowed = permission in PERMISSIONS[self.role]
        return allowed and (self.scopes is None or permission in self.scopes)


class requires:  # noqa: N801  # reads as a word where a route is declared
    """A dependency: the route is for those who may `permission`; it yields the `Principal`."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(self, request: Request) -> Principal:
        """The principal, or SignInNeeded or NotAllowed."""
        principal = identify(request)
        if principal.may(self.permission):
            return principal
        raise SignInNeeded if principal.account_id is None else NotAllowed


def identify(connection: HTTPConnection) -> Principal:
    """Who is behind this request, found out once for each."""
    state = connection.state
    if not hasattr(state, "principal"):
        state.principal = _visitor(connection, services(connection))
    found: Principal = state.principal
    return found


def welcome(request: Request) -> Principal:
    """The principal, a new visitor's cookie being set on the answer where there is no identity."""
    principal = identify(request)
    if principal.owner:
        return principal
    visitor = secrets.token_urlsafe(18)
    request.state.new_visitor = sign(visitor, services(request).secret)
    request.state.principal = replace(principal, owner=f"visitor:{visitor}", ambient=True)
    return identify(request)


def _visitor(connection: HTTPConnection, site: Services) -> Principal:
    visitor = unsign(connection.cookies.get(VISITOR_COOKIE, ""), site.secret)
    if visitor is None:
        return Principal()
    return Principal(owner=f"visitor:{visitor}", ambient=True)


def sign(value: str, secret: bytes) -> str:
    """The value with a signature behind a dot."""
    return f"{value}.{signature(value, secret)}"


def unsign(signed: str, secret: bytes) -> str | None:
    """The value that was signed; None when the signature is another."""
    value, _, given = signed.rpartition(".")
    return value if value and hmac.compare_digest(given, signature(value, secret)) else None


def signature(value: str, secret: bytes) -> str:
    """HMAC-SHA256 in hexadecimal."""
    return hmac.new(secret, value.encode(), hashlib.sha256).hexdigest()

"""The way in: what the browser keeps between password and code, and the session at its end."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ladnn.service import audit_log
from ladnn.service.accounts import guessing, passwords, people, second_factor, sessions
from ladnn.service.accounts.principals import (
    SESSION_COOKIE,
    by_session,
    host_cookie,
    lifetimes_of,
    of_account,
    sign,
    unsign,
)
from ladnn.service.accounts.sealing import derive
from ladnn.service.context import Services, services
from ladnn.service.errors import BadRequest, NotFound, SignInNeeded
from ladnn.service.limits import address_of
from ladnn.service.tables import Account, new_id

PENDING_COOKIE = "ladnn_pending"
PENDING_SECONDS = 600
BROWSER_COOKIE = "ladnn_browser"
BROWSER_SECONDS = 365 * 86_400
COUNTED = "counted"
"""What the state of a request has whose attempt was counted."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Somebody whose password was right, and whose code is still to come.

    Attributes:
        account: its public id.
        since: seconds of the epoch.
        proof: of the password at that time, so that a change of it ends this too.
        back: the page to go to in the end.
        name: a random one, so that no two attempts have the same cookie.
    """

    account: str
    since: int
    proof: str
    back: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Browser:
    """A browser in which an account has signed in.

    Attributes:
        name: a random one of its own.
        account: the public id.
        proof: of the password at that time, so that a change of it makes the browser a stranger.
    """

    name: str
    account: str
    proof: str


def set_cookie(request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
    """A cookie that scripts cannot read and other sites cannot send with a form."""
    settings = services(request).settings
    answer.set_cookie(
        host_cookie(settings, name),
        value,
        max_age=seconds,
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )


def read_cookie(request: Request, name: str) -> str:
    """What `set_cookie` gave the browser under that name; empty for nothing."""
    return request.cookies.get(host_cookie(services(request).settings, name), "")


def drop_cookie(request: Request, answer: Response, name: str) -> None:
    """Delete a cookie; with the same marks as it was set with, or the browser keeps it."""
    settings = services(request).settings
    name = host_cookie(settings, name)
    answer.delete_cookie(name, path="/", secure=settings.secure, httponly=True, samesite="lax")


def leave(request: Request, answer: Response) -> Response:
    """Let the browser forget the session, and the pictures that it keeps for an hour."""
    drop_cookie(request, answer, SESSION_COOKIE)
    answer.headers["clear-site-data"] = '"cache"'
    return answer


def sealed_cookie(site: Services, purpose: str, record: object) -> str:
    """A record as a signed cookie; `opened_cookie` is the inverse."""
    text = json.dumps(asdict(record))  # type: ignore[call-overload]  # one of our dataclasses
    return sign(base64.urlsafe_b64encode(text.encode()).decode(), derive(site.secret, purpose))


def opened_cookie(request: Request, name: str) -> dict[str, object] | None:
    """The fields of a record that `sealed_cookie` signed for the cookie of that name, or None."""
    text = unsign(read_cookie(request, name), derive(services(request).secret, name))
    if text is None:
        return None
    fields: dict[str, object] = json.loads(base64.urlsafe_b64decode(text))
    return fields


def safe_path(path: str) -> str:
    """A path on this site to go back to; the first page for anything else."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if inside and path.isprintable() and len(path) <= 500 else "/"


def landing(path: str) -> str:
    """`safe_path` for whoever has just signed in: no page of signing in itself, which is over."""
    return "/" if path.startswith("/sign-in") else safe_path(path)


def proceed(request: Request, account: Account, back: str, *, strong: bool = False) -> Response:
    """After the password: the code if the account has or needs one, otherwise in.

    Args:
        request: of the browser.
        account: whose password, link or provider was right.
        back: the page to go to in the end.
        strong: whether a provider has already asked for a second factor.
    """
    site = services(request)
    state = site.database.read(lambda session: second_factor.state(session, account))
    if strong or not (state.required or state.ready):
        return enter(request, account, lambda: RedirectResponse(landing(back), status_code=303))
    pending = Pending(
        account=account.public_id,
        since=int(site.clock().timestamp()),
        proof=_proof(account),
        back=landing(back),
        name=new_id(),
    )
    way = "/sign-in/code" if state.ready else "/sign-in/second-factor"
    answer = RedirectResponse(way, status_code=303)
    value = sealed_cookie(site, PENDING_COOKIE, pending)
    set_cookie(request, answer, PENDING_COOKIE, value, PENDING_SECONDS)
    return answer


def waiting(request: Request) -> tuple[Account, str]:
    """The account whose code is still to come, and the page to go to; SignInNeeded without one."""
    site = services(request)
    fields = opened_cookie(request, PENDING_COOKIE)
    if fields is None:
        raise SignInNeeded("error.again")
    pending = Pending(**fields)  # type: ignore[arg-type]  # signed by this site
    account = site.database.read(lambda session: _account(session, pending.account))
    fresh = site.clock().timestamp() - pending.since <= PENDING_SECONDS
    if account is None or not fresh or pending.proof != _proof(account):
        raise SignInNeeded("error.again")
    return account, pending.back


def count_guess(request: Request, email: str) -> None:
    """Count an attempt before it is made; TooMany while this account or address has to wait."""
    site, who = services(request), _guesser(request, email)
    site.database.write(lambda session: guessing.attempt(session, site.database, site.clock(), who))
    setattr(request.state, COUNTED, True)


def forgive(request: Request, email: str) -> None:
    """Take back what `count_guess` counted: it was right."""
    who = _guesser(request, email)
    services(request).database.write(lambda session: guessing.forget(session, who))


def _guesser(request: Request, email: str) -> guessing.Guesser:
    """Who tries to sign in as `email`; by name if that account has signed in here before."""
    site, address = services(request), address_of(request)
    fields = opened_cookie(request, BROWSER_COOKIE)
    if fields is not None:
        browser = Browser(**fields)  # type: ignore[arg-type]  # signed by this site
        account = site.database.read(lambda session: _account(session, browser.account))
        if account is not None and account.email == email and browser.proof == _proof(account):
            return guessing.Guesser(email=email, address=address, browser=browser.name)
    return guessing.Guesser(email=email, address=address)


def enter(request: Request, account: Account, make: Callable[[], Response]) -> Response:
    """Begin a session and hand its token to the browser.

    Args:
        request: of the browser, which from here on is the account's.
        account: who is let in.
        make: makes the answer. The forms of a page carry the token of whoever asks: one made
            before the session would have those of a visitor, whom the browser is no more.

    Raises SignInNeeded where the account changed since its password was looked at: blocked,
    deleted, given another password, or a role that may need a second factor.
    """
    site, present = services(request), services(request).clock()
    lifetimes = lifetimes_of(site.settings)
    agent, who = request.headers.get("user-agent", ""), _guesser(request, account.email)
    counted = hasattr(request.state, COUNTED)

    def write(session: Session) -> str:
        if not _stands(session, account):
            raise SignInNeeded("error.again")
        token = sessions.begin(session, account, agent, present, lifetimes)
        guessing.forget(session, who, counted=counted)
        audit_log.record(session, of_account(account), "session.begin", account.public_id, {})
        return token

    token = site.database.write(write)
    request.state.principal = by_session(site, token)
    answer = make()
    set_cookie(
        request,
        answer,
        SESSION_COOKIE,
        token,
        int(lifetimes.whole.total_seconds()),
    )
    drop_cookie(request, answer, PENDING_COOKIE)
    known = Browser(name=new_id(), account=account.public_id, proof=_proof(account))
    value = sealed_cookie(site, BROWSER_COOKIE, known)
    set_cookie(request, answer, BROWSER_COOKIE, value, BROWSER_SECONDS)
    return answer


def refuse(
    request: Request, account: Account | None, action: str = "session.refuse", **detail: str
) -> None:
    """Note in the audit log that somebody did not get in: never the address that was typed."""
    site = services(request)
    who = audit_log.SYSTEM if account is None else of_account(account)
    known = "" if account is None else account.public_id
    site.database.write(lambda session: audit_log.record(session, who, action, known, detail))


def prove(request: Request, account: Account, given: str, code: str | None = None) -> None:
    """Make sure that it is the person who sits there; BadRequest when it may be another.

    Args:
        request: of a browser in which the account has signed in.
        account: whose person it should be.
        given: the password; of an account without one its address.
        code: of the second factor, where one that is set up is asked for as well. Guesses at it
            are not given back for a right password.
    """
    count_guess(request, account.email)
    if account.password_hash is None:
        right = given.strip().lower() == account.email
    else:
        right = passwords.check_password(account.password_hash, given)
    if not right:
        refuse(request, account, "account.refuse")
        raise BadRequest("account.error.proof")
    if code is not None and not _holds(request, account, code):
        refuse(request, account, "second_factor.refuse")
        raise BadRequest("code.wrong")
    forgive(request, account.email)


def _holds(request: Request, account: Account, code: str) -> bool:
    """Whether the code is right, or none is needed."""
    site = services(request)

    def check(session: Session) -> bool:
        if not second_factor.state(session, account).ready:
            return True
        return second_factor.check(session, account, code, site.secret, site.clock())

    return site.database.write(check)


def _account(session: Session, public_id: str) -> Account | None:
    try:
        account = people.by_public_id(session, public_id)
    except NotFound:
        return None
    return account if account.status == "active" else None


def _stands(session: Session, account: Account) -> bool:
    """Whether an account is still as it was read, held so until the transaction ends."""
    query = select(Account).where(Account.id == account.id).with_for_update()
    now = session.scalar(query.execution_options(populate_existing=True))
    return (
        now is not None
        and now.status == "active"
        and (now.role, now.password_hash) == (account.role, account.password_hash)
    )


def _proof(account: Account) -> str:
    return hashlib.sha256((account.password_hash or "").encode()).hexdigest()[:16]

"""Signing in and out: password, then code; links that make or mend an account."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import update
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from ladnn.service import audit_log
from ladnn.service.accounts import passwords, people, second_factor, sessions, totp
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, of_account, requires
from ladnn.service.accounts.signing_in import (
    PENDING_COOKIE,
    count_guess,
    enter,
    landing,
    leave,
    proceed,
    read_cookie,
    refuse,
    safe_path,
    waiting,
)
from ladnn.service.context import services
from ladnn.service.errors import BadRequest
from ladnn.service.pages import render, say
from ladnn.service.tables import Account

router = APIRouter(include_in_schema=False)

Anyone = Annotated[Principal, Depends(requires(Permission.SIGN_IN))]
Text = Annotated[str, Form(max_length=500)]


@router.get("/sign-in")
def page(request: Request, principal: Anyone, back: str = "/") -> Response:
    """Ask for address and password."""
    if principal.account_id is not None:
        return RedirectResponse(landing(back), status_code=303)
    return _page(request, back)


@router.post("/sign-in")
def send(
    request: Request, _: Anyone, email: Text = "", password: Text = "", back: Text = "/"
) -> Response:
    """Check the password; a wrong one and an unknown address are answered alike."""
    site, email = services(request), email.strip().lower()
    count_guess(request, email)
    account = site.database.read(lambda session: people.by_email(session, email))
    active = account is not None and account.status == "active"
    kept = account.password_hash if account is not None and active else None
    if not passwords.check_password(kept, password) or account is None:
        refuse(request, account)
        return _page(request, back, error=say(request, "sign_in.wrong"), email=email)
    if kept and passwords.is_outdated(kept):
        _renew(request, account, password)
    return proceed(request, account, back)


@router.get("/sign-in/code")
def code_page(request: Request, _: Anyone) -> Response:
    """Ask for the code of the authenticator."""
    waiting(request)
    return render(request, "code.html", error="")


@router.post("/sign-in/code")
def send_code(request: Request, _: Anyone, code: Text = "") -> Response:
    """Check the code, or a recovery code."""
    site, (account, back) = services(request), waiting(request)
    count_guess(request, account.email)

    def check(session: Session) -> bool:
        return second_factor.check(session, account, code, site.secret, site.clock())

    if not site.database.write(check):
        refuse(request, account)
        return render(request, "code.html", 401, error=say(request, "code.wrong"))
    return enter(request, account, lambda: RedirectResponse(back, status_code=303))


@router.get("/sign-in/second-factor")
def enrolment_page(request: Request, _: Anyone) -> Response:
    """Show what the authenticator has to read, to somebody whose role needs one."""
    account, _back = waiting(request)
    return _enrolment(request, account)


@router.post("/sign-in/second-factor")
def enrol(request: Request, _: Anyone, code: Text = "") -> Response:
    """Check the first code, show the recovery codes once, and let them in."""
    site, (account, back) = services(request), waiting(request)
    count_guess(request, account.email)

    def confirm(session: Session) -> list[str] | None:
        codes = second_factor.confirm(session, account, code, site.secret, site.clock())
        if codes is not None:
            who = of_account(account)
            audit_log.record(session, who, "second_factor.confirm", account.public_id, {})
        return codes

    codes = site.database.write(confirm)
    if codes is None:
        return _enrolment(request, account, error=say(request, "code.wrong"))
    show = partial(render, request, "recovery.html", codes=codes, back=back)
    return enter(request, account, lambda: show(return_to=back))  # this address is over for them


@router.post("/sign-out")
def sign_out(request: Request, principal: Anyone) -> Response:
    """End this session."""
    site = services(request)
    answer = RedirectResponse("/", status_code=303)
    if principal.account_id is not None and principal.session_id is not None:

        def end(session: Session) -> None:
            sessions.end_one(session, principal.session_id or 0)
            audit_log.record(session, principal, "session.end", "", {})

        site.database.write(end, deletes=True)
    return leave(request, answer)


@router.get("/setup/{token}")
def setup_page(request: Request, _: Anyone, token: str) -> Response:
    """Show what a link is for; looking does not use it."""
    return _setup(request, token)


@router.post("/setup/{token}")
def setup(  # the fields of one form
    request: Request,
    _: Anyone,
    token: str,
    email: Text = "",
    name: Text = "",
    password: Text = "",
    again: Text = "",
) -> Response:
    """Make the account of the link, or give it a new password, and go on signing in."""
    site = services(request)
    try:
        wish = _wish(request, token, email, name, password, again)
    except BadRequest as error:
        problem = say(request, error.key, **error.values)
        return _setup(request, token, error=problem, email=email, name=name)

    def write(session: Session) -> Account:
        account = people.accept(session, site.database, token, wish, site.clock())
        audit_log.record(session, of_account(account), "account.open", account.public_id, {})
        return account

    return proceed(request, site.database.write(write), "/")


def _wish(  # the fields of one form
    request: Request, token: str, email: str, name: str, password: str, again: str
) -> people.Wish:
    site = services(request)
    link, account = site.database.read(lambda session: people.opened(session, token, site.clock()))
    email = people.tidy_email(email) if account is None else account.email
    name = account.name if account and link.purpose == people.RESET else people.tidy_name(name)
    return people.Wish(email=email, name=name, password_hash=chosen(password, again, email, name))


def chosen(password: str, again: str, *about: str) -> str:
    """The hash of a new password that was typed twice; BadRequest says why it will not do."""
    problem = passwords.weakness(password, *about)
    if problem is not None:
        raise BadRequest(problem)
    if password != again:
        raise BadRequest("password.differ")
    return passwords.hash_password(password)


def _page(request: Request, back: str, error: str = "", email: str = "") -> Response:
    status = 401 if error else 200
    settings = services(request).settings
    return render(
        request,
        "sign_in.html",
        status,
        back=safe_path(back),
        error=error,
        email=email,
        provider=settings.oidc_name if settings.oidc_issuer else "",
    )


def _enrolment(request: Request, account: Account, error: str = "") -> Response:
    site = services(request)
    shared = site.database.write(
        lambda session: second_factor.prepare(
            session,
            account,
            site.secret,
            holder=read_cookie(request, PENDING_COOKIE),
            present=site.clock(),
            mistyped=bool(error),
        )
    )
    return render(
        request,
        "second_factor.html",
        422 if error else 200,
        error=error,
        address="/sign-in/second-factor",
        proof=False,  # who enrols here has just signed in
        shared=shared,
        qr=totp.qr_code(totp.enrolment_link(shared, account.email)),
    )


def _setup(
    request: Request, token: str, error: str = "", email: str = "", name: str = ""
) -> Response:
    site = services(request)
    link, account = site.database.read(lambda session: people.opened(session, token, site.clock()))
    return render(
        request,
        "setup.html",
        422 if error else 200,
        error=error,
        purpose=link.purpose,
        account=account,
        email=email,
        name=name,
        shortest=passwords.SHORTEST,
    )


def _renew(request: Request, account: Account, password: str) -> None:
    """Hash the password anew at today's costs, unless it was changed meanwhile."""
    made = passwords.hash_password(password)
    same = Account.id == account.id, Account.password_hash == account.password_hash

    def write(session: Session) -> bool:
        done = session.execute(update(Account).where(*same).values(password_hash=made))
        return bool(done.rowcount)  # type: ignore[attr-defined]  # an update has one

    if services(request).database.write(write):
        account.password_hash = made

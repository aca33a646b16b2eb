"""The page of one's own account: password, second factor, sessions, keys, results, its end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from ladnn.service import audit_log, predictions, retention
from ladnn.service.accounts import (
    api_keys,
    passwords,
    people,
    providers,
    second_factor,
    sessions,
    totp,
)
from ladnn.service.accounts.permissions import Permission, Role
from ladnn.service.accounts.principals import (
    Principal,
    hold_account,
    own_account,
    requires,
    session_cookie,
)
from ladnn.service.accounts.signing_in import (
    count_guess,
    forgive,
    leave,
    prove,
    refuse,
)
from ladnn.service.context import services
from ladnn.service.errors import BadRequest, NotFound
from ladnn.service.pages import render, say
from ladnn.service.routes.sign_in import chosen
from ladnn.service.tables import Account

router = APIRouter(prefix="/account", include_in_schema=False)

Self = Annotated[Principal, Depends(requires(Permission.MANAGE_SELF))]
Text = Annotated[str, Form(max_length=500)]
CASES = 50  # on one page


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The key that somebody asked for in a form that is refused."""

    name: str
    scopes: tuple[str, ...]
    days: int


@router.get("")
def page(
    request: Request, principal: Self, offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0
) -> Response:
    """Show everything about the account."""
    return _page(request, principal, offset=offset)


@router.post("/password")
def change_password(
    request: Request, principal: Self, old: Text = "", password: Text = "", again: Text = ""
) -> Response:
    """Choose a new password; every other session ends, and so does a link for a new one."""
    account = _account(request, principal)
    try:
        if (
            account.password_hash is None
        ):  # its role follows the provider; a password would end that
            raise BadRequest("account.error.no_password")
        prove(request, account, old)
        made = chosen(password, again, account.email, account.name)
    except BadRequest as error:
        return _page(request, principal, error=error)

    def work(session: Session, mine: Account) -> None:
        if mine.password_hash != account.password_hash:  # changed while this was looked at
            raise BadRequest("account.error.proof")
        mine.password_hash = made
        people.end_links(session, mine)
        sessions.end_all(session, mine.id, but=principal.session_id)

    return _change(request, principal, "account.password", work)


@router.post("/provider/unlink")
def unlink(request: Request, principal: Self, proof: Text = "") -> Response:
    """Let nobody in by way of the provider any more, given the password."""
    try:
        prove(request, _account(request, principal), proof)
    except BadRequest as error:
        return _page(request, principal, error=error)
    return _change(request, principal, "provider.unlink", providers.unlink)


@router.post("/sessions/{session_id}/end")
def end_session(request: Request, principal: Self, session_id: str) -> Response:
    """End one session."""

    def work(session: Session, mine: Account) -> None:
        if not sessions.end(session, mine.id, session_id):
            raise NotFound

    return _change(request, principal, "session.end", work, object=session_id, locks_out=True)


@router.post("/sessions/end")
def end_sessions(request: Request, principal: Self) -> Response:
    """End every session, this one too."""
    _change(
        request,
        principal,
        "session.end_all",
        lambda session, mine: sessions.end_all(session, mine.id),
        locks_out=True,
    )
    answer = RedirectResponse("/sign-in", status_code=303)
    return leave(request, answer)


@router.post("/keys")
def make_key(
    request: Request,
    principal: Self,
    name: Text = "",
    scope: Annotated[list[str], Form(max_length=20)] = [],  # noqa: B006  # never changed
    days: Annotated[int, Form()] = 0,
    proof: Text = "",
) -> Response:
    """Make a key and show it, this once."""
    site = services(request)

    def write(session: Session) -> str:
        account = hold_account(session, principal)
        key, text = api_keys.make(session, account, name, scope, days, site.clock())
        detail = {"scopes": key.scopes, "days": days}
        audit_log.record(session, principal, "api_key.create", key.public_id, detail)
        return text

    try:
        _prove_password(request, principal, proof)
        text = site.database.write(write)
    except BadRequest as error:
        return _page(
            request, principal, error=error, asked=Asked(name=name, scopes=tuple(scope), days=days)
        )
    return render(request, "shown_once.html", kind="key", text=text, back="/account#keys")


@router.post("/keys/{key_id}/revoke")
def revoke_key(request: Request, principal: Self, key_id: str) -> Response:
    """Revoke a key."""
    present = services(request).clock()

    def work(session: Session, mine: Account) -> None:
        if not api_keys.revoke(session, key_id, present, mine.id):
            raise NotFound

    return _change(request, principal, "api_key.revoke", work, object=key_id, locks_out=True)


@router.get("/second-factor")
def second_factor_page(request: Request, principal: Self) -> Response:
    """Show what the authenticator has to read, or what can be done with the one there is."""
    return _second_factor(request, principal)


@router.post("/second-factor")
def confirm_second_factor(
    request: Request, principal: Self, code: Text = "", proof: Text = ""
) -> Response:
    """Check the first code and show the recovery codes, this once."""
    try:
        _prove_password(request, principal, proof)
    except BadRequest as error:
        return _second_factor(request, principal, error=say(request, error.key))
    return _codes(request, principal, code, second_factor.confirm, "second_factor.confirm")


@router.post("/second-factor/codes")
def renew_codes(request: Request, principal: Self, code: Text = "") -> Response:
    """Make new recovery codes, given a code, and show them, this once."""
    return _codes(request, principal, code, second_factor.renew, "second_factor.renew")


@router.post("/second-factor/remove")
def remove_second_factor(request: Request, principal: Self, code: Text = "") -> Response:
    """Do without a second factor, given a code, where the role does not need one."""

    def remove(session: Session, account: Account, *rest: Any) -> list[str] | None:  # noqa: ANN401
        if account.role in second_factor.REQUIRED or not second_factor.check(
            session, account, *rest
        ):
            return None
        second_factor.reset(session, account)
        return []

    return _codes(request, principal, code, remove, "second_factor.remove")


@router.post("/delete")
def delete(request: Request, principal: Self, proof: Text = "") -> Response:
    """Delete all results of the account and then itself, given the password, or else the address.

    Should the results fail to go, the account is still there to ask for it again.
    """
    site, account = services(request), _account(request, principal)
    try:
        prove(request, account, proof)
        site.database.write(
            lambda session: people.keep_one(
                session, site.database, hold_account(session, principal)
            )
        )
        retention.delete_cases_of(site, principal.owner)
        site.database.write(lambda session: _remove(session, request, principal))
        retention.delete_cases_of(site, principal.owner)  # what was being tested meanwhile
    except BadRequest as error:
        return _page(request, principal, error=error)
    answer = RedirectResponse("/", status_code=303)
    return leave(request, answer)


def _remove(session: Session, request: Request, principal: Principal) -> None:
    account = hold_account(session, principal)
    public_id = account.public_id
    people.remove(session, services(request).database, account)
    audit_log.record(session, principal, "account.delete", public_id, {})


def _account(request: Request, principal: Principal) -> Account:
    return services(request).database.read(lambda session: own_account(session, principal))


def _prove_password(request: Request, principal: Principal, given: str) -> None:
    """Ask for the password of an account that has one: a stolen session makes nothing that lasts.

    Raises BadRequest for another one.
    """
    account = _account(request, principal)
    if account.password_hash is not None:
        prove(request, account, given)


def _change(
    request: Request,
    principal: Principal,
    action: str,
    work: Callable[[Session, Account], object],
    object: str = "",  # noqa: A002  # the log's own word
    *,
    locks_out: bool = False,
) -> Response:
    """Change something of one's own account, note it, and go back to the page.

    What only `locks_out`, such as a key that is revoked, has to work on a full disk too.
    """

    def write(session: Session) -> None:
        account = hold_account(session, principal)
        work(session, account)
        audit_log.record(session, principal, action, object or account.public_id, {})

    try:
        services(request).database.write(write, deletes=locks_out)
    except BadRequest as error:
        return _page(request, principal, error=error)
    return RedirectResponse("/account", status_code=303)


def _codes(
    request: Request,
    principal: Principal,
    code: str,
    work: Callable[..., list[str] | None],
    action: str,
) -> Response:
    """Do something to the second factor that needs a code, and show the codes that come of it."""
    site = services(request)
    count_guess(request, _account(request, principal).email)

    def write(session: Session) -> list[str] | None:
        account = hold_account(session, principal)
        codes = work(session, account, code, site.secret, site.clock())
        if codes is not None:
            audit_log.record(session, principal, action, account.public_id, {})
        return codes

    codes = site.database.write(write)
    if codes is None:
        refuse(request, _account(request, principal), "second_factor.refuse")
        return _second_factor(request, principal, error=say(request, "code.wrong"))
    forgive(request, _account(request, principal).email)
    if not codes:
        return RedirectResponse("/account", status_code=303)
    return render(request, "recovery.html", codes=codes, back="/account")


def _second_factor(request: Request, principal: Principal, error: str = "") -> Response:
    site, account = services(request), _account(request, principal)
    state = site.database.read(lambda session: second_factor.state(session, account))
    status = 422 if error else 200
    if state.ready:
        return render(request, "second_factor_ready.html", status, error=error, state=state)
    shared = site.database.write(
        lambda session: second_factor.prepare(
            session,
            account,
            site.secret,
            holder=request.cookies[session_cookie(site.settings)],
            present=site.clock(),
            mistyped=bool(error),
        )
    )
    return render(
        request,
        "second_factor.html",
        status,
        error=error,
        address="/account/second-factor",
        proof=account.password_hash is not None,
        shared=shared,
        qr=totp.qr_code(totp.enrolment_link(shared, account.email)),
    )


def _page(
    request: Request,
    principal: Principal,
    *,
    error: BadRequest | None = None,
    asked: Asked | None = None,
    offset: int = 0,
) -> Response:
    site = services(request)

    def read(session: Session) -> dict[str, Any]:
        account = own_account(session, principal)
        return {
            "account": account,
            "factor": second_factor.state(session, account),
            "sessions": sessions.of_account(session, account.id),
            "keys": api_keys.of_account(session, account.id),
            "identities": providers.of_account(session, account.id),
            "cases": predictions.owned(session, principal, CASES + 1, offset),
        }

    found = site.database.read(read)
    cases = found.pop("cases")
    return render(
        request,
        "account.html",
        422 if error else 200,
        error=say(request, error.key, **error.values) if error else "",
        asked=asked,
        works=lambda key: api_keys.works(key, site.clock()),
        scopes=api_keys.scopes_for(Role(principal.role)),
        days=api_keys.DAYS,
        provider=site.settings.oidc_name if site.provider else "",
        shortest=passwords.SHORTEST,
        offset=offset,
        page_size=CASES,
        cases=cases[:CASES],
        more=len(cases) > CASES,
        **found,
    )

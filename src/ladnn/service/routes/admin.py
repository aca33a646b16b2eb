"""The pages of administrators: accounts and keys."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload
from starlette.responses import RedirectResponse, Response

from ladnn.service import audit_log
from ladnn.service.accounts import api_keys, people, second_factor, sessions
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, owner_of, requires
from ladnn.service.context import services
from ladnn.service.errors import BadRequest, NotFound
from ladnn.service.pages import render, say
from ladnn.service.tables import Account, ApiKey
from ladnn.service.views import public_link

router = APIRouter(prefix="/admin", include_in_schema=False)

Administrator = Annotated[Principal, Depends(requires(Permission.MANAGE_ACCOUNTS))]
Text = Annotated[str, Form(max_length=500)]


@router.get("")
def first(_: Administrator) -> Response:
    """Go to the first of the pages."""
    return RedirectResponse("/admin/accounts", status_code=303)


@router.get("/accounts")
def accounts(request: Request, _: Administrator) -> Response:
    """List the accounts."""
    return _page(request)


@router.post("/accounts")
def invite(
    request: Request, principal: Administrator, email: Text = "", role: Text = ""
) -> Response:
    """Invite somebody: the link is shown once, to be sent by whatever way is safe."""
    site = services(request)

    def write(session: Session) -> str:
        wanted = people.tidy_role(role)
        account, token = people.invite(session, people.tidy_email(email), wanted, site.clock())
        detail = {"role": wanted}
        audit_log.record(session, principal, "account.invite", account.public_id, detail)
        return token

    return _show_link(request, "invitation", write, asked=(email, role))


@router.post("/accounts/{account_id}/cancel")
def cancel_invitation(request: Request, principal: Administrator, account_id: str) -> Response:
    """Take back an invitation."""
    database = services(request).database

    def work(session: Session, account: Account) -> None:
        people.cancel_invitation(session, database, account)

    return _change(request, principal, account_id, "account.uninvite", work, locks_out=True)


@router.post("/accounts/{account_id}/password")
def link_for_password(request: Request, principal: Administrator, account_id: str) -> Response:
    """Make a link for a new password, for somebody who forgot theirs."""
    site = services(request)

    def write(session: Session) -> str:
        account = people.by_public_id(session, account_id)
        token = people.link_for_password(session, account, site.clock())
        audit_log.record(session, principal, "account.password_link", account_id, {})
        return token

    return _show_link(request, "password", write)


@router.post("/accounts/{account_id}/role")
def change_role(
    request: Request, principal: Administrator, account_id: str, role: Text = ""
) -> Response:
    """Give an account another role, which ends its sessions."""
    database = services(request).database

    def work(session: Session, account: Account) -> None:
        people.change_role(session, database, account, people.tidy_role(role))

    return _change(request, principal, account_id, "account.role", work, {"role": role})


@router.post("/accounts/{account_id}/disable")
def disable(request: Request, principal: Administrator, account_id: str) -> Response:
    """Keep an account out."""
    return _set_status(request, principal, account_id, active=False)


@router.post("/accounts/{account_id}/enable")
def enable(request: Request, principal: Administrator, account_id: str) -> Response:
    """Let an account in again."""
    return _set_status(request, principal, account_id, active=True)


@router.post("/accounts/{account_id}/second-factor")
def reset_second_factor(request: Request, principal: Administrator, account_id: str) -> Response:
    """Forget the second factor of somebody who lost theirs, and end their sessions."""

    def work(session: Session, account: Account) -> None:
        second_factor.reset(session, account)
        people.unlink(session, account)
        sessions.end_all(session, account.id)

    return _change(request, principal, account_id, "second_factor.reset", work, locks_out=True)


@router.post("/accounts/{account_id}/sessions")
def end_sessions(request: Request, principal: Administrator, account_id: str) -> Response:
    """End every session of an account."""
    return _change(
        request,
        principal,
        account_id,
        "session.end_all",
        lambda session, account: sessions.end_all(session, account.id),
        locks_out=True,
    )


@router.get("/keys")
def keys(request: Request, _: Administrator) -> Response:
    """List the keys of everybody."""
    site, present = services(request), services(request).clock()
    query = select(ApiKey).options(joinedload(ApiKey.account)).order_by(ApiKey.id.desc())
    found = site.database.read(lambda session: list(session.scalars(query)))
    return render(
        request, "admin_keys.html", keys=found, works=lambda key: api_keys.works(key, present)
    )


@router.post("/keys/{key_id}/revoke")
def revoke_key(request: Request, principal: Administrator, key_id: str) -> Response:
    """Revoke anybody's key."""
    site = services(request)

    def write(session: Session) -> None:
        if not api_keys.revoke(session, key_id, site.clock(), None):
            raise NotFound
        audit_log.record(session, principal, "api_key.revoke", key_id, {})

    site.database.write(write, deletes=True)
    return RedirectResponse("/admin/keys", status_code=303)


def _set_status(
    request: Request, principal: Principal, account_id: str, *, active: bool
) -> Response:
    database = services(request).database

    def work(session: Session, account: Account) -> None:
        people.change_status(session, database, account, active)

    action = "account.enable" if active else "account.disable"
    return _change(request, principal, account_id, action, work, locks_out=not active)


def _change(
    request: Request,
    principal: Principal,
    account_id: str,
    action: str,
    work: Callable[[Session, Account], object],
    detail: dict[str, Any] | None = None,
    *,
    locks_out: bool = False,
) -> Response:
    """Change something of an account, note it, and go back to the list.

    What only `locks_out`, such as sessions that end, has to work on a full disk too.
    """

    def write(session: Session) -> None:
        work(session, people.by_public_id(session, account_id))
        audit_log.record(session, principal, action, account_id, detail or {})

    try:
        services(request).database.write(write, deletes=locks_out)
    except BadRequest as error:
        return _page(request, error)
    return RedirectResponse("/admin/accounts", status_code=303)


def _show_link(
    request: Request,
    kind: str,
    write: Callable[[Session], str],
    asked: tuple[str, str] = ("", ""),
) -> Response:
    site = services(request)
    try:
        token = site.database.write(write)
    except BadRequest as error:
        return _page(request, error, asked)
    return render(
        request,
        "shown_once.html",
        kind=kind,
        text=public_link(request, f"/setup/{token}"),
        back="/admin/accounts",
    )


def _page(
    request: Request, error: BadRequest | None = None, asked: tuple[str, str] = ("", "")
) -> Response:
    """The list; `asked` is the address and the role of an invitation that is refused."""
    site = services(request)

    def read(session: Session) -> dict[str, Any]:
        accounts = people.everyone(session)
        return {
            "accounts": accounts,
            "owners": {account.id: owner_of(account) for account in accounts},
            "with_factor": people.with_second_factor(session),
        }

    return render(
        request,
        "admin_accounts.html",
        422 if error else 200,
        error=say(request, error.key, **error.values) if error else "",
        roles=people.ROLES,
        asked=asked,
        **site.database.read(read),
    )

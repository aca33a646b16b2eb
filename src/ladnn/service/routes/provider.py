"""Signing in at an OpenID provider, and linking an account to one."""

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from ladnn.service import audit_log
from ladnn.service.accounts import providers
from ladnn.service.accounts.oidc import Journey, Person, Provider
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, of_account, requires
from ladnn.service.accounts.signing_in import (
    drop_cookie,
    opened_cookie,
    proceed,
    safe_path,
    sealed_cookie,
    set_cookie,
)
from ladnn.service.context import services
from ladnn.service.errors import NotFound, ProviderRefused
from ladnn.service.tables import Account

router = APIRouter(include_in_schema=False)

COOKIE = "ladnn_provider"
SECONDS = 600
BACK = "/sign-in/provider/back"

Anyone = Annotated[Principal, Depends(requires(Permission.SIGN_IN))]
Self = Annotated[Principal, Depends(requires(Permission.MANAGE_SELF))]
Text = Annotated[str, Query(max_length=4000)]


@dataclass(frozen=True, kw_only=True)
class Trip:
    """What the browser keeps while its person is at the provider.

    Attributes:
        state, nonce, code_verifier: of `Journey`.
        since: seconds of the epoch.
        back: the page to go to in the end.
        owner: of the account that is to be linked; empty for signing in.
    """

    state: str
    nonce: str
    code_verifier: str
    since: int
    back: str
    owner: str


@router.get("/sign-in/provider")
def start(request: Request, _: Anyone, back: str = "/") -> Response:
    """Send the browser to the provider."""
    return _depart(request, safe_path(back), "")


@router.get("/account/provider")
def start_link(request: Request, principal: Self) -> Response:
    """Send the browser there to link the account."""
    return _depart(request, "/account", principal.owner)


@router.get(BACK)
def back(
    request: Request, principal: Anyone, code: Text = "", state: Text = "", error: Text = ""
) -> Response:
    """Take whoever comes back, if it is who was sent."""
    trip = _trip(request, state)
    if error or not code:
        raise ProviderRefused
    journey = Journey(url="", state=trip.state, nonce=trip.nonce, code_verifier=trip.code_verifier)
    person = _provider(request).finish(code, journey, _address(request))
    if trip.owner:
        answer = _link(request, principal, trip, person)
    else:
        answer = proceed(request, _admit(request, person), trip.back, strong=person.strong)
    drop_cookie(request, answer, COOKIE)
    return answer


def _depart(request: Request, back: str, owner: str) -> Response:
    site = services(request)
    journey = _provider(request).start(_address(request))
    trip = Trip(
        state=journey.state,
        nonce=journey.nonce,
        code_verifier=journey.code_verifier,
        since=int(site.clock().timestamp()),
        back=back,
        owner=owner,
    )
    answer = RedirectResponse(journey.url, status_code=303)
    set_cookie(request, answer, COOKIE, sealed_cookie(site, COOKIE, trip), SECONDS)
    return answer


def _trip(request: Request, state: str) -> Trip:
    """The trip that this browser was sent on; ProviderRefused for another state or none."""
    site = services(request)
    fields = opened_cookie(site, COOKIE, request.cookies.get(COOKIE, ""))
    if fields is None:
        raise ProviderRefused
    trip = Trip(**fields)  # type: ignore[arg-type]  # signed by this site
    fresh = site.clock().timestamp() - trip.since <= SECONDS
    if not fresh or not hmac.compare_digest(trip.state.encode(), state.encode()):
        raise ProviderRefused
    return trip


def _admit(request: Request, person: Person) -> Account:
    site = services(request)

    def write(session: Session) -> Account:
        account = providers.admit(session, site.database, person, site.clock())
        audit_log.record(session, of_account(account), "provider.sign_in", account.public_id, {})
        return account

    return site.database.write(write)


def _link(request: Request, principal: Principal, trip: Trip, person: Person) -> Response:
    site = services(request)
    if principal.owner != trip.owner:
        raise ProviderRefused

    def write(session: Session) -> None:
        account = session.get_one(Account, principal.account_id)
        providers.link(session, account, person, site.clock())
        audit_log.record(session, principal, "provider.link", account.public_id, {})

    site.database.write(write)
    return RedirectResponse(trip.back, status_code=303)


def _provider(request: Request) -> Provider:
    provider = services(request).provider
    if provider is None:
        raise NotFound
    return provider


def _address(request: Request) -> str:
    public = services(request).settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return f"{public}{BACK}"

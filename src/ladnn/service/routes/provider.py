"""Signing in at an OpenID provider, and linking an account to one."""

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from ladnn.service import audit_log
from ladnn.service.accounts import providers, second_factor
from ladnn.service.accounts.oidc import Journey, Person, Provider
from ladnn.service.accounts.permissions import Permission, Role
from ladnn.service.accounts.principals import (
    Principal,
    hold_account,
    of_account,
    own_account,
    requires,
)
from ladnn.service.accounts.signing_in import (
    drop_cookie,
    opened_cookie,
    proceed,
    prove,
    refuse,
    safe_path,
    sealed_cookie,
    set_cookie,
)
from ladnn.service.context import services
from ladnn.service.errors import BadRequest, NotAllowed, NotFound, ProviderRefused
from ladnn.service.pages import render, say
from ladnn.service.tables import Account
from ladnn.service.views import public_link

router = APIRouter(include_in_schema=False)

COOKIE = "ladnn_provider"
LINK_COOKIE = "ladnn_link"
SECONDS = 600
BACK = "/sign-in/provider/back"

Anyone = Annotated[Principal, Depends(requires(Permission.SIGN_IN))]
Self = Annotated[Principal, Depends(requires(Permission.MANAGE_SELF))]
Text = Annotated[str, Query(max_length=4000)]
Field = Annotated[str, Form(max_length=500)]


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


@dataclass(frozen=True, kw_only=True)
class Found:
    """Whom the provider vouched for, until the owner of the account says that it is them.

    Attributes:
        owner: of the account that is to be linked.
        since: seconds of the epoch.
        issuer, subject, email, role: of `Person`.
    """

    owner: str
    since: int
    issuer: str
    subject: str
    email: str
    role: str

    def person(self) -> Person:
        """As the provider gave it."""
        return Person(
            issuer=self.issuer,
            subject=self.subject,
            email=self.email,
            name="",
            role=Role(self.role),
            strong=False,
        )


@router.get("/sign-in/provider")
def start(request: Request, _: Anyone, back: str = "/") -> Response:
    """Send the browser to the provider."""
    return _depart(request, safe_path(back), "")


@router.get("/account/provider")
def start_link(request: Request, principal: Self) -> Response:
    """Send the browser there to learn whom to link the account to."""
    _provider(request)
    providers.require_password(_account(request, principal))
    return _depart(request, "/account", principal.owner)


@router.get("/account/provider/link")
def link_page(request: Request, principal: Self) -> Response:
    """Ask the owner of the account whether that is them at the provider."""
    return _link_page(request, principal, _found(request, principal))


@router.post("/account/provider/link")
def link(request: Request, principal: Self, proof: Field = "", code: Field = "") -> Response:
    """Link the account, given its password and, where it has a second factor, a code."""
    site, found = services(request), _found(request, principal)
    try:
        prove(request, _account(request, principal), proof, code)
    except BadRequest as error:
        return _link_page(request, principal, found, say(request, error.key))

    def write(session: Session) -> None:
        account = hold_account(session, principal)
        providers.link(session, account, found.person(), site.clock())
        audit_log.record(session, principal, "provider.link", account.public_id, {})

    site.database.write(write)
    answer = RedirectResponse("/account", status_code=303)
    drop_cookie(request, answer, LINK_COOKIE)
    return answer


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
        answer = _ask(request, principal, trip, person)
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
    fields = opened_cookie(request, COOKIE)
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

    try:
        return site.database.write(write)
    except NotAllowed as error:
        known = site.database.read(lambda session: providers.find(session, person))
        refuse(request, known, "provider.refuse", reason=error.key.rpartition(".")[2])
        raise


def _ask(request: Request, principal: Principal, trip: Trip, person: Person) -> Response:
    """Go on to the page that asks for the password: a session alone links nobody for good."""
    site = services(request)
    if principal.owner != trip.owner:
        raise ProviderRefused
    if person.role is None:
        raise NotAllowed("oidc.error.no_role")
    found = Found(
        owner=trip.owner,
        since=int(site.clock().timestamp()),
        issuer=person.issuer,
        subject=person.subject,
        email=person.email or person.name,
        role=person.role,
    )
    answer = RedirectResponse("/account/provider/link", status_code=303)
    value = sealed_cookie(site, LINK_COOKIE, found)
    set_cookie(request, answer, LINK_COOKIE, value, SECONDS)
    return answer


def _found(request: Request, principal: Principal) -> Found:
    """Who is to be linked to this account; ProviderRefused for another account or nobody."""
    site, _ = services(request), _provider(request)
    fields = opened_cookie(request, LINK_COOKIE)
    if fields is None:
        raise ProviderRefused
    found = Found(**fields)  # type: ignore[arg-type]  # signed by this site
    if found.owner != principal.owner or site.clock().timestamp() - found.since > SECONDS:
        raise ProviderRefused
    return found


def _link_page(request: Request, principal: Principal, found: Found, error: str = "") -> Response:
    site, account = services(request), _account(request, principal)
    return render(
        request,
        "link.html",
        422 if error else 200,
        error=error,
        account=account,
        person=found.email or found.subject,
        provider=site.settings.oidc_name,
        factor=site.database.read(lambda session: second_factor.state(session, account)),
    )


def _account(request: Request, principal: Principal) -> Account:
    return services(request).database.read(lambda session: own_account(session, principal))


def _provider(request: Request) -> Provider:
    provider = services(request).provider
    if provider is None:
        raise NotFound
    return provider


def _address(request: Request) -> str:
    return public_link(request, BACK)

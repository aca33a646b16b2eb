"""Tokens in forms and a check of the origin, so that no other site can act for somebody."""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request

from ladnn.service.accounts.principals import (
    Principal,
    identify_off_loop,
    lost_session,
    signature,
    welcome,
)
from ladnn.service.context import services
from ladnn.service.edge import SAFE, is_api
from ladnn.service.errors import Malformed, NotAllowed, SignInNeeded

FIELD = "csrf"
HEADER = "x-csrf-token"
SENT = "sent"
"""Where the state of a request has the form that a browser sent from a page of this site."""

_OWN_SITE = ("same-origin", "none")
_PORTS = {"http": 80, "https": 443}


def token(request: Request) -> str:
    """The token of whoever asks, for the forms of the page; another one for every session."""
    return _token(request, welcome(request))


def _token(request: Request, principal: Principal) -> str:
    text = f"csrf {principal.owner} {principal.session_id or ''}"
    return signature(text, services(request).secret)


async def verify(request: Request) -> None:
    """Refuse a change that another site may have caused; a dependency of the whole application.

    Raises NotAllowed when the origin is another, and when neither the form nor the header has the
    token of whoever the browser says is there; SignInNeeded when their session is over. A program
    that calls the interface needs none. A page whose browser lost its identity is no such program:
    what it sends would belong to whoever learns its address.
    """
    if request.method in SAFE:
        return
    if not _is_own_origin(request):
        raise NotAllowed("error.origin")
    principal = await identify_off_loop(request)
    given = request.headers.get(HEADER)
    shown = principal.ambient or given is not None or lost_session(request)
    if is_api(request) and not (shown and _from_browser(request)):
        return
    if given is None:
        form = await _form(request)
        if _from_browser(request):  # which says that it is from here, so it may be shown again
            setattr(request.state, SENT, form)
        given = str(form.get(FIELD, ""))
    told, wanted = given.encode("utf-8", "replace"), _token(request, principal).encode()
    if not principal.owner or not hmac.compare_digest(told, wanted):
        raise (
            SignInNeeded("error.session_over")
            if lost_session(request)
            else NotAllowed("error.csrf")
        )


async def _form(request: Request) -> FormData:
    """The form; Malformed where it names an encoding that is none for texts, or ends too early."""
    try:
        return await request.form()
    except (UnicodeError, ClientDisconnect) as error:
        raise Malformed from error


def _from_browser(request: Request) -> bool:
    """Whether a browser sends this: every one names the origin of a change, or the kind of site."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def _is_own_origin(request: Request) -> bool:
    """Whether what the browser says of where the request comes from, if it does, is this site."""
    if request.headers.get("sec-fetch-site", "none") not in _OWN_SITE:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    public = urlsplit(services(request).settings.public_url)
    try:
        told = urlsplit(origin)
    except ValueError:  # no address at all
        return False
    own = {
        _plain(request.headers.get("host", ""), told.scheme),
        _plain(public.netloc, public.scheme),
    }
    return _plain(told.netloc, told.scheme) in own - {""}


def _plain(netloc: str, scheme: str) -> str:
    """Host and port as a browser writes them in an origin: in small letters, no default port."""
    return netloc.lower().removesuffix(f":{_PORTS.get(scheme)}")

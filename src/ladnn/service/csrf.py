"""Tokens in forms and a check of the origin, so that no other site can act for a visitor."""

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from ladnn.service.accounts.principals import identify, signature
from ladnn.service.context import services
from ladnn.service.edge import is_api
from ladnn.service.errors import NotAllowed

FIELD = "csrf"
HEADER = "x-csrf-token"
_SAFE = ("GET", "HEAD", "OPTIONS")


def token(request: Request) -> str:
    """The token of whoever asks, for the forms of the page."""
    return signature(f"csrf {identify(request).owner}", services(request).secret)


async def verify(request: Request) -> None:
    """Refuse a change that another site may have caused; a dependency of the whole application.

    Raises NotAllowed when the origin is another, and when the browser sent the identity by itself
    and neither the form nor the header has the token.
    """
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise NotAllowed("error.origin")
    if not identify(request).ambient or (is_api(request) and not _from_browser(request)):
        return
    given = request.headers.get(HEADER)
    if given is None:
        form = await request.form()
        given = str(form.get(FIELD, ""))
    if not hmac.compare_digest(given.encode(), token(request).encode()):
        raise NotAllowed("error.csrf")


def _from_browser(request: Request) -> bool:
    """Whether a browser sends this: every one names the origin of a change, or the kind of site."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers

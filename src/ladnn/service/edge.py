"""What surrounds every request: its id, its size, its time, and the headers of its answer."""

import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from fastapi import HTTPException
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ladnn.service.accounts.principals import VISITOR_DAYS, visitor_cookie
from ladnn.service.context import Services
from ladnn.service.errors import Malformed, TooLarge
from ladnn.service.limits import address_of
from ladnn.service.logs import log
from ladnn.service.settings import Settings
from ladnn.service.uploads import Pace, Reach, Uploads

POLICY = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with none at all, a browser names no origin in forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}
HSTS = "max-age=31536000; includeSubDomains"

BODY_MIB = 2
"""The most that a body without files may have: it is read at one go, while everybody else waits.

The longest that the interface takes, 10,000 hashes, has 0.7 MiB.
"""

NOT_UNICODE = "Not in UTF-8"  # by which `problems` knows it again


class Edge:
    """The outermost layer of the site."""

    def __init__(self, app: ASGIApp, site: Services) -> None:
        self._app, self._site = app, site
        self._uploads = Uploads(site.settings.upload_mib << 20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and note that it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, method = time.perf_counter(), 500, scope["method"]
        if method == "HEAD":  # is answered as GET is, without the body
            scope = {**scope, "method": "GET"}
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(scope, message, request_id)
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            with self._uploads.under_way(address_of(HTTPConnection(scope))) as reach:
                await self._app(scope, self._bounded(scope, receive, reach), send_with_headers)
        finally:
            scope["method"] = method
            self._note(scope, status, time.perf_counter() - start, request_id)

    def _bounded(self, scope: Scope, receive: Receive, reach: Reach) -> Receive:
        """Refuse a body that is, or says it is, larger than it may be, or of another encoding.

        So is one that has files and is more than may be under way (`reach`), or that comes too
        slowly. An HTTPException, because FastAPI lets no other out of the reading of a body.
        """
        if scope["method"] in SAFE:  # no body is read: who asks waits for the caller to go away
            return receive
        headers = Headers(scope=scope)
        limit = limit_of(headers, self._site.settings) << 20
        length = headers.get("content-length", "0")
        declared = int(length) if length.isdecimal() else 0
        unicode, files, received, whole = _is_unicode(headers), has_files(headers), 0, False
        pace = Pace()

        async def bounded() -> Message:
            nonlocal received, whole
            if whole:  # what is waited for is that the caller goes away
                return await receive()
            if not unicode:
                raise HTTPException(Malformed.status, NOT_UNICODE)
            if declared > limit:
                raise HTTPException(TooLarge.status)
            if files and not received:
                reach(0, ahead=declared)
            message = await pace.hear(receive)
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > limit:
                raise HTTPException(TooLarge.status)
            if files:
                reach(received)
            scope["state"]["received"] = received
            return message

        return bounded

    def _add_headers(self, scope: Scope, message: MutableMapping[str, Any], request: str) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("cache-control", "no-store")
        headers["x-request-id"] = request
        secure = self._site.settings.secure
        if secure:
            headers["strict-transport-security"] = HSTS
        visitor = scope["state"].get("new_visitor")
        # What a script is refused is no page with forms, and its cookie could take the place of
        # the one that came at the same moment with a page.
        by_script = Headers(scope=scope).get("sec-fetch-dest") == "empty"
        if visitor and not (by_script and message["status"] >= 400):
            headers.append(
                "set-cookie",
                f"{visitor_cookie(self._site.settings)}={visitor}; Path=/; HttpOnly; "
                f"Max-Age={VISITOR_DAYS * 86_400}; SameSite=Lax{'; Secure' if secure else ''}",
            )

    def _note(self, scope: Scope, status: int, seconds: float, request: str) -> None:
        route = template_of(scope)
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        self._site.metrics.requests.labels(method, route, str(status)).inc()
        self._site.metrics.seconds.labels(method, route).observe(seconds)
        write = log().info if status < 500 else log().error
        write(
            "request",
            request=request,
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
        )


def limit_of(headers: Headers, settings: Settings) -> int:
    """The most that the body may have, in MiB: that of the settings only where files come in it."""
    return settings.upload_mib if has_files(headers) else min(BODY_MIB, settings.upload_mib)


def has_files(headers: Headers) -> bool:
    """Whether the body is a form that may have files, as Starlette sees it."""
    return parse_options_header(headers.get("content-type"))[0] == b"multipart/form-data"


def _is_unicode(headers: Headers) -> bool:
    """Whether the body names no encoding but UTF-8: of others some take minutes to read.

    Starlette decodes a form's fields by whatever codec of Python's is named.
    """
    named = parse_options_header(headers.get("content-type"))[1].get(b"charset", b"utf-8")
    return named.strip().lower() in (b"utf-8", b"utf8")


SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def template_of(scope: Scope) -> str:
    """The path of the route that answered, with its placeholders: never what stood in them."""
    route = scope.get("route")
    return getattr(route, "path", None) or ("/static" if "static" in scope else "none")


def is_api(connection: HTTPConnection) -> bool:
    """Whether the answer is for a program."""
    return str(connection.scope["path"]).startswith("/api/")

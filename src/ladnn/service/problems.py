"""Errors to answers: application/problem+json (RFC 9457) for programs, a page for people."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Mount

from ladnn.errors import ImageError, RegistryError, UnreachableError
from ladnn.service.accounts.principals import lost_session
from ladnn.service.context import services
from ladnn.service.edge import HEADERS, METHODS, NOT_UNICODE, has_files, is_api, limit_of
from ladnn.service.errors import (
    BadRequest,
    Malformed,
    NotAllowed,
    NotFound,
    NotJson,
    ServiceError,
    SignInNeeded,
    StorageFull,
    TooLarge,
)
from ladnn.service.logs import cause, log
from ladnn.service.pages import render, say, say_again
from ladnn.service.resending import kept

MAX_FIELDS, MAX_FIELD_KIB = 1000, 1024
"""Of a form: how many fields that are no files it may have, and how long each may be."""

_RETRY = {503: "5", 429: "60"}
_KEYS = {
    401: "error.sign_in",
    403: "error.forbidden",
    404: "error.not_found",
    408: "error.silent",
    413: TooLarge.key,
    429: "error.uploads_of_address",
    503: "error.uploads",
}
"""Of errors that are no ServiceError; 408, 429 and 503 come from the reading of a body."""


class Problem(JSONResponse):
    """The body of RFC 9457."""

    media_type = "application/problem+json"


def add_handlers(app: FastAPI) -> None:
    """Answer every error that may come out of a route."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(ImageError, _image_error)
    app.add_exception_handler(RegistryError, _registry_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def answer(request: Request, status: int, detail: str, **more: Any) -> Response:  # noqa: ANN401
    """The answer that tells of an error; `detail` is one sentence in the page's language."""
    headers = {"retry-after": _RETRY[status]} if status in _RETRY else {}
    headers |= more.pop("headers", None) or {}
    if is_api(request):
        if status == 401:
            headers["www-authenticate"] = _challenge(request)
        body = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "request": getattr(request.state, "request_id", ""),
        }
        return Problem(body | more, status, headers)
    page = render(
        request,
        "error.html",
        status=status,
        detail=detail,
        resend=kept(request),
        status_code=status,
    )
    page.headers.update(headers)
    return page


def _challenge(request: Request) -> str:
    """How to show who one is (RFC 9110, 11.6.1), and of a key that was shown that it does not work.

    Bearer alone (RFC 6750), for which no browser opens a dialog of its own.
    """
    scheme = request.headers.get("authorization", "").partition(" ")[0]
    return 'Bearer error="invalid_token"' if scheme.lower() == "bearer" else "Bearer"


def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # the handler's own class
    if error.key == NotFound.key and lost_session(request):  # it may well be theirs
        error = SignInNeeded("error.session_over")
    if error.key == "error.csrf" and kept(request):  # the page that tells so is not too old
        error = NotAllowed("again.stale")
    if error.status >= 500:
        _note_away(request, error)
    headers = getattr(error, "headers", None)
    looking = isinstance(error, StorageFull) and request.method in ("GET", "HEAD")
    told = say(request, "error.full_look" if looking else error.key, **error.values)
    return answer(request, error.status, told, headers=headers)


def _note_away(request: Request, error: Exception) -> None:
    """Tell whoever runs the site why: the answer says only that something is away."""
    log().warning("away", request=getattr(request.state, "request_id", ""), cause=cause(error))


def _image_error(request: Request, error: Exception) -> Response:
    """An image that cannot be read: programs are told the very cause, people in their language."""
    told = str(error) if is_api(request) else say_again(request, str(error))
    return answer(request, 422, told)


def _registry_error(request: Request, error: Exception) -> Response:
    """The versions of the model cannot be read: the sentence tells where they are, so it stays."""
    if isinstance(error, UnreachableError):
        _note_away(request, error)
    else:
        log().error("registry", request=getattr(request.state, "request_id", ""), exc_info=error)
    return answer(request, 503, say(request, "error.away"))


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if isinstance(error.body, bytes):  # left as it came, for it is not declared as JSON
        return _service_error(request, NotJson())
    if found[0]["type"] == "json_invalid":
        why, where = found[0]["ctx"]["error"], found[0]["loc"][-1]
        return _service_error(request, Malformed("error.json", why=why, where=where))
    wrong = [
        {"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"]} for one in found
    ]
    key = "error.field" if is_api(request) else "error.fields"
    return answer(request, 422, say(request, key, **wrong[0]), errors=wrong)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, OSError):  # while a body was put aside
        return _service_error(request, StorageFull())
    settings = services(request).settings
    if error.status_code == 400:
        return _service_error(request, _unreadable(str(error.detail), settings.files))
    if error.status_code == 405:
        return _no_method(request, error)
    key, limit = _KEYS.get(error.status_code), limit_of(request.headers, settings)
    if key == TooLarge.key and not has_files(request.headers):
        key = "error.body_too_large"
    detail = say(request, key, limit=limit) if key else HTTPStatus(error.status_code).phrase
    return answer(request, error.status_code, detail, headers=error.headers)


def _unreadable(detail: str, files: int) -> ServiceError:
    """Why a body could not be read; Starlette tells its reasons apart by their words alone."""
    if detail.startswith("Too many files"):
        return BadRequest("error.too_many_files", limit=files)
    if detail.startswith("Too many fields"):
        return BadRequest("error.too_many_fields", limit=MAX_FIELDS)
    if "exceeded maximum size" in detail:
        return TooLarge("error.field_too_large", limit=MAX_FIELD_KIB)
    return Malformed("error.not_unicode" if detail == NOT_UNICODE else None)


def _no_method(request: Request, error: HTTPException) -> Response:
    """All methods of the path, for Starlette names those of the first of its routes alone."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    asked = {**request.scope, "path_params": {}}
    allowed = ", ".join(
        method
        for method in METHODS
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
    )
    headers = {"allow": allowed} if allowed else error.headers
    detail = say(request, "error.method", method=request.method, allowed=allowed or "GET, HEAD")
    return answer(request, 405, detail, headers=headers)


def _unexpected(request: Request, error: Exception) -> Response:
    log().error("unexpected", request=getattr(request.state, "request_id", ""), exc_info=error)
    response = answer(request, 500, say(request, "error.unexpected"))
    response.headers.update(HEADERS)  # this one does not pass the edge
    return response

"""Errors to answers: application/problem+json (RFC 9457) for programs, a page for people."""

from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ladnn.errors import ImageError, RegistryError
from ladnn.service.context import services
from ladnn.service.edge import HEADERS, is_api
from ladnn.service.errors import BadRequest, ServiceError, StorageFull
from ladnn.service.logs import log
from ladnn.service.pages import render, say
from ladnn.service.refusals import retell

_RETRY = {503: "5", 429: "60"}
_KEYS = {
    401: "error.sign_in",
    403: "error.forbidden",
    404: "error.not_found",
    413: "error.too_large",
}


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
        body = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "request": getattr(request.state, "request_id", ""),
        }
        return Problem(body | more, status, headers)
    page = render(request, "error.html", status=status, detail=detail, status_code=status)
    page.headers.update(headers)
    return page


def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # the handler's own class
    headers = getattr(error, "headers", None)
    looking = isinstance(error, StorageFull) and request.method in ("GET", "HEAD")
    told = say(request, "error.full_look" if looking else error.key, **error.values)
    return answer(request, error.status, told, headers=headers)


def _image_error(request: Request, error: Exception) -> Response:
    """An image that cannot be read: programs are told the very cause, people in their language."""
    told = str(error) if is_api(request) else retell(partial(say, request), str(error))
    return answer(request, 422, told)


def _registry_error(request: Request, error: Exception) -> Response:
    """The versions of the model cannot be read: the sentence tells where they are, so it stays."""
    log().error("registry", request=getattr(request.state, "request_id", ""), exc_info=error)
    return answer(request, 503, say(request, "error.away"))


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        {"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"]}
        for one in error.errors()
    ]
    return answer(request, 422, say(request, "error.fields"), errors=wrong)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, OSError):  # while a body was put aside
        return _service_error(request, StorageFull())
    settings = services(request).settings
    if error.status_code == 400 and str(error.detail).startswith("Too many files"):
        return _service_error(request, BadRequest("error.too_many_files", limit=settings.files))
    key, limit = _KEYS.get(error.status_code), settings.upload_mib
    detail = say(request, key, limit=limit) if key else HTTPStatus(error.status_code).phrase
    return answer(request, error.status_code, detail, headers=error.headers)


def _unexpected(request: Request, error: Exception) -> Response:
    log().error("unexpected", request=getattr(request.state, "request_id", ""), exc_info=error)
    response = answer(request, 500, say(request, "error.unexpected"))
    response.headers.update(HEADERS)  # this one does not pass the edge
    return response

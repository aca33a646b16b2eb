"""The first page: one image, or the slices of one series, is tested."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from ladnn.errors import ImageError
from ladnn.service import predictions
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Admitted, Principal, requires, welcome
from ladnn.service.context import services
from ladnn.service.errors import BadRequest
from ladnn.service.pages import render, say, say_again
from ladnn.service.paging import Offset

router = APIRouter(include_in_schema=False)

RECENT = 8


@router.get("/")
def page(
    request: Request,
    _: Annotated[Principal, Depends(requires(Permission.TEST))],
    offset: Offset = 0,
) -> Response:
    """Show where to drop an image, and what was tested before."""
    return _page(request, offset=offset)


@router.post("/")
def send(
    request: Request,
    _: Annotated[Principal, Depends(requires(Permission.TEST))],
    __: Admitted,
    file: Annotated[list[UploadFile] | None, File()] = None,
    frame: Annotated[str, Form()] = "",
) -> Response:
    """Test what was sent and go to its page; what cannot be read is told on this one."""
    principal = welcome(request)
    uploads = [predictions.read_upload(one) for one in file or [] if one.filename]
    try:
        number = _frame(frame)
        case, _new = predictions.assess(services(request), principal, uploads, frame=number)
    except ImageError as error:
        return _page(request, say_again(request, str(error)), status=422, frame=frame)
    except BadRequest as error:
        return _page(request, say(request, error.key, **error.values), status=422, frame=frame)
    return RedirectResponse(f"/results/{case.share_token}", status_code=303)


def _frame(text: str) -> int | None:
    """The frame that a person counts from 1, counted from 0."""
    text = text.strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 6 or not 1 <= int(text) <= 100_000:
        raise BadRequest("error.frame")
    return int(text) - 1


def _page(
    request: Request, error: str = "", status: int = 200, offset: int = 0, frame: str = ""
) -> Response:
    principal = welcome(request)
    site = services(request)
    cases = site.database.read(
        lambda session: predictions.recent(session, principal, RECENT + 1, offset)
    )
    return render(
        request,
        "single.html",
        status_code=status,
        error=error,
        frame=frame,
        cases=cases[:RECENT],
        more=len(cases) > RECENT,
        offset=offset,
        page_size=RECENT,
        limit=site.settings.upload_mib,
    )

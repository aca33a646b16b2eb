"""The pages of batches: where files are dropped, how far they are, the worklist, what to take."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Request, UploadFile
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from ladnn.service import batch_intake, batches, downloads
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Admitted, Principal, requires, welcome
from ladnn.service.context import services
from ladnn.service.errors import BadRequest
from ladnn.service.incoming import Incoming
from ladnn.service.pages import render, say
from ladnn.service.paging import Offset
from ladnn.service.tables_batches import Batch

router = APIRouter(prefix="/batches", include_in_schema=False)

Tester = Annotated[Principal, Depends(requires(Permission.TEST))]
Reader = Annotated[Principal, Depends(requires(Permission.READ_CASE))]
Owner = Annotated[Principal, Depends(requires(Permission.CHANGE_CASE))]
Files = Annotated[list[UploadFile], File()]

RECENT = 20
ROWS = 200  # of the worklist on one page
SORT = "probability"  # of a worklist that nobody has ordered otherwise


@router.get("")
def index(request: Request, _: Tester, offset: Offset = 0) -> Response:
    """Show where to drop files, and the batches before."""
    return _index(request, offset=offset)


@router.post("")
def create(request: Request, _: Tester, __: Admitted, file: Files) -> Response:
    """Begin a batch with what was sent and go to its page."""
    principal = welcome(request)
    incoming = _incoming(file)
    if not incoming:
        return _index(request, say(request, "error.no_file"), status=422)
    batch = batches.begin(services(request), principal)
    return _received(request, principal, batch, incoming)


@router.get("/{id}")
def page(
    request: Request,
    principal: Reader,
    id: str,  # noqa: A002
    sort: str = SORT,
    show: str = "",
    offset: Offset = 0,
) -> Response:
    """Show how far the batch is, and its worklist."""
    view = batches.View(sort=sort, show=show, limit=ROWS, offset=offset)
    return _page(request, principal, id, view)


@router.post("/{id}/files")
def add(
    request: Request,
    principal: Tester,
    _: Admitted,
    id: str,  # noqa: A002
    file: Files,
) -> Response:
    """Take more files into the batch."""
    return _received(request, principal, _find(request, principal, id), _incoming(file))


@router.post("/{id}/cancel")
def cancel(request: Request, principal: Owner, id: str) -> Response:  # noqa: A002
    """Test nothing more of what waits."""
    batches.cancel(services(request), principal, id)
    return _to(id)


@router.post("/{id}/retry")
def retry(request: Request, principal: Owner, id: str) -> Response:  # noqa: A002
    """Let what failed or was cancelled wait again."""
    batches.retry(services(request), principal, id)
    return _to(id)


@router.post("/{id}/delete")
def delete(request: Request, principal: Owner, id: str) -> Response:  # noqa: A002
    """Delete the batch and its results."""
    batches.remove(services(request), principal, id)
    return RedirectResponse("/batches", status_code=303)


@router.get("/{id}/results.csv")
def as_csv(request: Request, principal: Reader, id: str) -> Response:  # noqa: A002
    """The worklist as a table."""
    return downloads.table(request, principal, id)


@router.get("/{id}/results.zip")
def as_zip(request: Request, principal: Reader, id: str) -> Response:  # noqa: A002
    """Every result as JSON, with its overlay."""
    return downloads.archive(request, principal, id)


def _incoming(files: list[UploadFile]) -> list[Incoming]:
    return [Incoming(name=one.filename, file=one.file) for one in files if one.filename]


def _received(
    request: Request, principal: Principal, batch: Batch, incoming: list[Incoming]
) -> Response:
    try:
        batch_intake.receive(services(request), principal, batch, incoming)
    except BadRequest as error:
        sentence = say(request, error.key, **error.values)
        view = batches.View(sort=SORT, limit=ROWS)
        return _page(request, principal, batch.public_id, view, sentence, status=422)
    return _to(batch.public_id)


def _to(public_id: str) -> Response:
    return RedirectResponse(f"/batches/{public_id}", status_code=303)


def _find(request: Request, principal: Principal, public_id: str) -> Batch:
    return services(request).database.read(
        lambda session: batches.find(session, principal, public_id)
    )


def _index(request: Request, error: str = "", status: int = 200, offset: int = 0) -> Response:
    principal, site = welcome(request), services(request)
    found, total = site.database.read(
        lambda session: batches.owned(session, principal, limit=RECENT, offset=offset)
    )
    return render(
        request,
        "batches.html",
        status_code=status,
        error=error,
        found=found,
        total=total,
        offset=offset,
        page_size=RECENT,
        limit=site.settings.upload_mib,
    )


def _page(
    request: Request,
    principal: Principal,
    public_id: str,
    view: batches.View,
    error: str = "",
    status: int = 200,
) -> Response:
    batch = batches.look(services(request), principal, public_id)

    def look(session: Session) -> dict[str, Any]:
        return {
            "batch": batch,
            "progress": batches.progress(session, batch),
            "listed": batches.items(session, batch, view),
            "retryable": batches.can_retry(session, batch),
        }

    found = services(request).database.read(look)
    return render(
        request,
        "batch.html",
        status_code=status,
        error=error,
        view=view,
        sorts=batches.SORTS,
        shown=batches.SHOWN,
        limit=services(request).settings.upload_mib,
        **found,
    )

"""Review: the queue, one case beside its proposal, and the versions of the dataset."""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Form, Path, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ladnn.findings import LESIONS
from ladnn.service import audit_log, contributions, datasets, reviews
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import services
from ladnn.service.errors import BadRequest, NotAllowed
from ladnn.service.pages import render, say
from ladnn.service.paging import Offset
from ladnn.service.proposals import propose
from ladnn.service.routes.contribute import FLAGS, read_lesions

router = APIRouter(prefix="/review", include_in_schema=False)

Reviewer = Annotated[Principal, Depends(requires(Permission.REVIEW))]
Publisher = Annotated[Principal, Depends(requires(Permission.EXPORT_DATASET))]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
SHOWN = 100
VERSIONS = 20  # on one page; the images of each are counted


@router.get("")
def queue(request: Request, principal: Reviewer, state: str = "", offset: Offset = 0) -> Response:
    """Show what waits for this reviewer, or the newest of one state."""
    database = services(request).database
    waiting = database.write(
        lambda session: reviews.look(session, principal, SHOWN, offset, state=state)
    )
    counts = database.read(reviews.counts)
    total = counts.get(state, 0)
    if not state:
        total = database.read(lambda session: reviews.count_queue(session, principal))
    return render(
        request,
        "review.html",
        waiting=waiting,
        counts=counts,
        chosen=state,
        offset=offset,
        page_size=SHOWN,
        more=offset + SHOWN < total,
    )


@router.get("/datasets")
def versions(request: Request, _: Publisher, offset: Offset = 0) -> Response:
    """Show the versions of the dataset."""
    return _versions(request, offset=offset)


@router.post("/datasets")
def freeze(request: Request, principal: Publisher) -> Response:
    """Make a version of what is accepted now."""
    try:
        made, new = datasets.freeze(services(request), principal)
    except BadRequest as error:
        return _versions(request, say(request, error.key))
    if not new:
        return _versions(request, say(request, "datasets.error_same", number=made.number))
    return RedirectResponse("/review/datasets", status_code=303)


def _versions(request: Request, error: str = "", offset: int = 0) -> Response:
    made, total = services(request).database.read(
        lambda session: (
            datasets.versions(session, VERSIONS, offset),
            datasets.count_versions(session),
        )
    )
    return render(
        request,
        "datasets.html",
        status_code=422 if error else 200,
        rows=[(datetime.fromisoformat(said["created"]), said) for said in made],
        error=error,
        offset=offset,
        page_size=VERSIONS,
        more=offset + VERSIONS < total,
    )


@router.get("/datasets/{number}.zip")
def download(request: Request, principal: Publisher, number: Number) -> Response:
    """Give a version as a zip archive."""
    return archive(request, principal, number)


def archive(request: Request, principal: Principal, number: int) -> Response:
    """A version as a zip archive, written to a file on the way so that memory stays flat.

    What cannot be given is no download and not noted as one. Raises NotFound, ImageLost.
    """
    site = services(request)

    def note(session: Session) -> None:
        audit_log.record(session, principal, "dataset.download", str(number), {})

    found = site.database.read(lambda session: datasets.read_version(session, number))
    target = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the last piece is sent
    datasets.write_zip(site.blobs, found, target)
    site.database.write(note)
    size = target.tell()
    target.seek(0)
    headers = {
        "content-length": str(size),
        "content-disposition": f'attachment; filename="ladnn-contributed-{number}.zip"',
    }
    return StreamingResponse(_pieces(target), media_type="application/zip", headers=headers)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(1 << 20):
            yield piece


@router.get("/{id}")
def one(request: Request, principal: Reviewer, id: str) -> Response:  # noqa: A002
    """Show an image beside what is proposed for it."""
    return _case(request, principal, id)


@router.post("/{id}")
def judge(
    request: Request,
    principal: Reviewer,
    id: str,  # noqa: A002
    verdict: Annotated[str, Form()] = "",
    covid: Annotated[str, Form()] = "",
    lesions: Annotated[list[str] | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
    seen: Annotated[int | None, Form()] = None,
) -> Response:
    """Keep a judgement and go on to the next case."""
    judgement = None
    try:
        judgement = reviews.Judgement(
            verdict=verdict,
            covid=FLAGS.get(covid),
            lesions=read_lesions(lesions or [""] * len(LESIONS)),
            reason=reason.strip(),
            seen=seen,
        )
        reviews.judge(services(request), principal, id, judgement)
    except (BadRequest, NotAllowed) as error:
        key = {"review.error_whose": "review.error_whose_page"}.get(error.key, error.key)
        return _case(request, principal, id, say(request, key), error.status, judgement)
    waiting = services(request).database.read(lambda s: reviews.queue(s, principal, 1))
    following = f"/{waiting[0].public_id}" if waiting else ""
    return RedirectResponse(f"/review{following}", status_code=303)


@router.post("/{id}/remove")
def remove(
    request: Request,
    principal: Reviewer,
    id: str,  # noqa: A002
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Delete a contribution for good."""
    try:
        contributions.remove(services(request), principal, id, reason)
    except BadRequest as error:
        return _case(request, principal, id, say(request, error.key), error.status)
    return RedirectResponse("/review", status_code=303)


def _case(
    request: Request,
    principal: Principal,
    public_id: str,
    error: str = "",
    status: int = 200,
    said: reviews.Judgement | None = None,
) -> Response:
    """The page; what a refused judgement `said` is in its form again."""
    found = contributions.look(services(request), principal, public_id)
    database = services(request).database
    kept_in = database.read(lambda session: contributions.versions(session, found))
    covid, lesions = reviews.labels_to_judge(found)
    if said is not None and said.verdict == reviews.CORRECT:
        covid, lesions = bool(said.covid), list(said.lesions.values)
    return render(
        request,
        "review_case.html",
        status_code=status,
        one=found,
        error=error,
        said=said,
        alike=database.read(lambda session: contributions.alike(session, principal, found)),
        proposed=propose(found.report) if found.report else None,
        lesions=list(zip(LESIONS, found.lesions, strict=True)),
        correction=reviews.correction(found),
        opinions=reviews.said_by(found),
        given=reviews.given(found),
        covid=covid,
        flags=[{True: "1", False: "0", None: ""}[value] for value in lesions],
        kept_in=kept_in,
        reasons=contributions.REASONS,
        LESION_ORDER=LESIONS,
    )

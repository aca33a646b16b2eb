"""The interface for programs: predictions."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from pydantic_core import to_json

from ladnn.findings import OUTPUTS
from ladnn.service import audit_log, downloads, predictions, views
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Admitted, Principal, requires
from ladnn.service.context import Drawing, services
from ladnn.service.errors import BadRequest
from ladnn.service.feedback import give_feedback, withdraw_feedback
from ladnn.service.maps import map_png
from ladnn.service.paging import Limit, Offset, page
from ladnn.service.schemas import (
    CasesOut,
    FeedbackIn,
    FeedbackOut,
    PredictionOut,
    StudyOut,
    case_json,
    case_link,
    problem,
    short_json,
)
from ladnn.service.tables import Case, Feedback

router = APIRouter(
    prefix="/api/v1/predictions",
    tags=["predictions"],
    responses={
        401: problem("No identity where one is needed"),
        403: problem("Not allowed"),
        404: problem("Nothing there, or not yours"),
        413: problem("Too large"),
        422: problem("A file or a field that cannot be used"),
        429: problem("Too many requests"),
        503: problem("The database or the files cannot be reached just now, or no turn came"),
        507: problem("No room to store what was sent"),
    },
)

studies = APIRouter(prefix="/api/v1/studies", tags=["predictions"], responses=router.responses)

Tester = Annotated[Principal, Depends(requires(Permission.TEST))]
Reader = Annotated[Principal, Depends(requires(Permission.READ_CASE))]
Owner = Annotated[Principal, Depends(requires(Permission.CHANGE_CASE))]
Clinician = Annotated[Principal, Depends(requires(Permission.GIVE_FEEDBACK))]
Slice = Annotated[
    int | None,
    Query(ge=0, description="Of a study, counted from 0; left out, the most suspicious one"),
]


async def one_file(request: Request) -> None:
    """Raise BadRequest for several files: all but one of them would be dropped in silence."""
    count = len((await request.form()).getlist("file"))  # read before, and kept
    if count > 1:
        raise BadRequest("error.one_file", count=count)


@router.post(
    "",
    status_code=201,
    response_model=PredictionOut,
    responses={200: {"model": PredictionOut, "description": "These bytes were tested before"}},
    dependencies=[Depends(one_file)],
    summary="Test one image",
)
def create(
    request: Request,
    principal: Tester,
    _: Admitted,
    file: Annotated[UploadFile, File(description="PNG, JPEG, TIFF, BMP, WebP or DICOM")],
    frame: Annotated[int | None, Form(ge=1, description="Of a file of several, from 1")] = None,
    maps: Annotated[bool, Form(description="Give the maps as numbers, too")] = False,
) -> Response:
    """Assess an image and keep the result.

    The same bytes of the same owner again give the same result and `id`; whoever shows neither a
    key nor a cookie gets a new one each time, and its `id` is the only key to it.
    """
    if not file.filename:
        raise BadRequest("error.no_file")
    upload = predictions.read_upload(file)
    index = None if frame is None else frame - 1
    case, new = predictions.assess(services(request), principal, [upload], frame=index)
    return _answer(case, case_json(case) | ({"maps": _numbers(case)} if maps else {}), new=new)


@router.get("", response_model=CasesOut, summary="List one's predictions")
def index(
    request: Request, principal: Reader, limit: Limit = 50, offset: Offset = 0
) -> dict[str, Any]:
    """Give the results of whoever asks; a program without a key has none it could list."""
    found, total = services(request).database.read(
        lambda session: (
            predictions.owned(session, principal, limit, offset),
            predictions.count_owned(session, principal),
        )
    )
    items, path = map(short_json, found), "/api/v1/predictions"
    return page("predictions", items, path, limit=limit, offset=offset, total=total)


@router.get(
    "/{id}",
    response_model=PredictionOut | StudyOut,
    response_model_exclude_unset=True,
    summary="Read a prediction",
)
def read(request: Request, principal: Reader, id: str) -> dict[str, Any]:  # noqa: A002
    """Give the prediction of that id, or of a study its result, to its owner."""
    return case_json(_find(request, principal, id))


@router.get(
    "/{id}/heatmaps/{name}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
    summary="Read a map",
)
def heatmap(
    request: Request,
    principal: Reader,
    _: Drawing,
    id: str,  # noqa: A002
    name: str,
    image: Slice = None,
) -> Response:
    """Give the map of `covid` or of a lesion, transparent, in the frame of the whole image."""
    case = _find(request, principal, id)
    return Response(map_png(views.image_at(case, image), name), media_type="image/png")


@router.get(
    "/{id}/overlay.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
    summary="Download the overlay",
)
def overlay(
    request: Request,
    principal: Reader,
    _: Drawing,
    id: str,  # noqa: A002
    image: Slice = None,
) -> Response:
    """Give the sheet with the image and its maps."""
    case = _find(request, principal, id, "prediction.download")
    return downloads.overlay(request, case, image)


@router.get(
    "/{id}/report.pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
    summary="Download the report",
)
def report(
    request: Request,
    principal: Reader,
    _: Drawing,
    id: str,  # noqa: A002
    image: Slice = None,
) -> Response:
    """Give one page to print, in the language of `Accept-Language`."""
    case = _find(request, principal, id, "prediction.download")
    return downloads.report(request, case, image)


@router.post("/{id}/feedback", response_model=FeedbackOut, summary="Say what was true")
def feedback(
    request: Request,
    principal: Clinician,
    id: str,  # noqa: A002
    said: FeedbackIn,
) -> Feedback:
    """Keep whether a clinician agrees, and the PCR result once it is known; both may be changed."""
    site = services(request)
    return give_feedback(
        site, principal, id, by_token=False, agreement=said.agreement, pcr=said.pcr
    )


@router.delete("/{id}/feedback", response_model=FeedbackOut, summary="Take back what was said")
def withdraw(
    request: Request,
    principal: Clinician,
    id: str,  # noqa: A002
    what: Annotated[
        Literal["agreement", "pcr"] | None, Query(description="One of the two; both without it")
    ] = None,
) -> Feedback:
    """Take back what the caller said of a result; it counts no more. The rest of it is answered."""
    return withdraw_feedback(services(request), principal, id, by_token=False, what=what)


@router.post("/{id}/retract", status_code=204, summary="Retract a prediction")
def retract(request: Request, principal: Owner, id: str) -> Response:  # noqa: A002
    """Take the result back from everyone who has its link; its owner can still read it."""
    predictions.retract(services(request), principal, id, by_token=False)
    return Response(status_code=204)


@router.delete("/{id}", status_code=204, summary="Delete a prediction")
def delete(request: Request, principal: Owner, id: str) -> Response:  # noqa: A002
    """Delete the prediction and its image for good."""
    predictions.delete(services(request), principal, id, by_token=False)
    return Response(status_code=204)


@studies.post(
    "",
    status_code=201,
    response_model=StudyOut | PredictionOut,
    responses={
        200: {"model": StudyOut | PredictionOut, "description": "These files were tested before"}
    },
    summary="Test the slices of one series",
)
def create_study(
    request: Request,
    principal: Tester,
    _: Admitted,
    file: Annotated[list[UploadFile], File(description="DICOM files of one series")],
) -> Response:
    """Assess slices in any order, together, and keep the result, which is a prediction like others.

    The same files of the same owner again give the same result and `id`. A single file is answered
    as an image.
    """
    uploads = [predictions.read_upload(one) for one in file if one.filename]
    case, new = predictions.assess(services(request), principal, uploads)
    return _answer(case, case_json(case), new=new)


def _answer(case: Case, body: dict[str, Any], *, new: bool) -> Response:
    """A response, so that FastAPI does not check our own numbers in another thread.

    Written by pydantic, which takes a quarter of the time: maps are thousands of numbers.
    """
    place = {"location": case_link(case)}
    return Response(to_json(body), 201 if new else 200, place, "application/json")


def _find(
    request: Request, principal: Principal, public_id: str, action: str = "prediction.view"
) -> Case:
    """The principal's own case, the look at it noted: a map that a program asks for is one too."""
    find = partial(predictions.find_own, principal=principal, public_id=public_id)
    return audit_log.look(services(request).database, find, principal, action)


def _numbers(case: Case) -> dict[str, list[list[float]]]:
    """The maps of the first image by their names, in [0, 1], as precise as they are kept."""
    # as float64, or every number would be written with the digits of its nearest float32
    stored = predictions.read_maps(case.images[0]).astype(float).round(4).tolist()
    return dict(zip(OUTPUTS, stored, strict=False))

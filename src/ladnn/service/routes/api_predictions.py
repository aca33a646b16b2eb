"""The interface for programs: predictions."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from starlette.responses import JSONResponse

from ladnn.findings import OUTPUTS
from ladnn.service import audit_log, predictions
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import services
from ladnn.service.errors import BadRequest
from ladnn.service.maps import map_png
from ladnn.service.schemas import PredictionOut, ProblemOut, prediction_json
from ladnn.service.tables import Case

_PROBLEM = {"application/problem+json": {"schema": ProblemOut.model_json_schema()}}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": _PROBLEM}


router = APIRouter(
    prefix="/api/v1/predictions",
    tags=["predictions"],
    responses={
        401: _problem("No identity where one is needed"),
        403: _problem("Not allowed"),
        404: _problem("Nothing there, or not yours"),
        413: _problem("Too large"),
        422: _problem("A file or a field that cannot be used"),
        429: _problem("Too many requests"),
        503: _problem("The database or the files cannot be reached just now"),
        507: _problem("No room to store what was sent"),
    },
)

Tester = Annotated[Principal, Depends(requires(Permission.TEST))]
Reader = Annotated[Principal, Depends(requires(Permission.READ_CASE))]
Owner = Annotated[Principal, Depends(requires(Permission.CHANGE_CASE))]


@router.post(
    "",
    status_code=201,
    response_model=PredictionOut,
    responses={200: {"model": PredictionOut, "description": "These bytes were tested before"}},
    summary="Test one image",
)
def create(
    request: Request,
    principal: Tester,
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
    body = prediction_json(case) | ({"maps": _numbers(case)} if maps else {})
    location = {"location": f"/api/v1/predictions/{case.public_id}"}
    # a response, so that FastAPI does not check our own numbers in another thread
    return JSONResponse(body, 201 if new else 200, location)


@router.get(
    "/{id}",
    response_model=PredictionOut,
    response_model_exclude_unset=True,
    summary="Read a prediction",
)
def read(request: Request, principal: Reader, id: str) -> dict[str, Any]:  # noqa: A002
    """Give the prediction of that id to its owner."""
    return prediction_json(_find(request, principal, id))


@router.get(
    "/{id}/heatmaps/{name}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
    summary="Read a map",
)
def heatmap(request: Request, principal: Reader, id: str, name: str) -> Response:  # noqa: A002
    """Give the map of `covid` or of a lesion, transparent, in the frame of the whole image."""
    case = _find(request, principal, id)
    return Response(map_png(case.images[0], name), media_type="image/png")


@router.delete("/{id}", status_code=204, summary="Delete a prediction")
def delete(request: Request, principal: Owner, id: str) -> Response:  # noqa: A002
    """Delete the prediction and its image for good."""
    predictions.delete(services(request), principal, id, by_token=False)
    return Response(status_code=204)


def _find(request: Request, principal: Principal, public_id: str) -> Case:
    """The principal's own case, the look at it noted: a map that a program asks for is one too."""
    find = partial(predictions.find_own, principal=principal, public_id=public_id)
    return audit_log.look(services(request).database, find, principal, "prediction.view")


def _numbers(case: Case) -> dict[str, list[list[float]]]:
    """The maps of the first image by their names, in [0, 1], as precise as they are kept."""
    stored = predictions.read_maps(case.images[0]).round(4).tolist()
    return dict(zip(OUTPUTS, stored, strict=False))

"""The interface for programs: contributions, reviews and versions of the dataset."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from ladnn.findings import LESIONS, LesionLabels
from ladnn.service import contributions, datasets, reviews
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Admitted, Principal, requires
from ladnn.service.context import services
from ladnn.service.contributions import MAX_REPORT, Proposal
from ladnn.service.errors import BadRequest
from ladnn.service.paging import Limit, Offset, page
from ladnn.service.predictions import read_upload
from ladnn.service.proposals import propose
from ladnn.service.routes.api_predictions import one_file
from ladnn.service.routes.api_predictions import router as predictions_router
from ladnn.service.routes.review import Number, archive
from ladnn.service.schemas import Asked
from ladnn.service.tables_contributions import Contribution

router = APIRouter(prefix="/api/v1", tags=["collection"], responses=predictions_router.responses)

Contributor = Annotated[Principal, Depends(requires(Permission.CONTRIBUTE))]
Reviewer = Annotated[Principal, Depends(requires(Permission.REVIEW))]
Publisher = Annotated[Principal, Depends(requires(Permission.EXPORT_DATASET))]


class LabelsOut(BaseModel):
    """Five lesions; null is unknown, which is not absent."""

    GGO: bool | None = None
    Csld: bool | None = None
    CrPa: bool | None = None
    AirBr: bool | None = None
    InSepThi: bool | None = None


class LabelsIn(LabelsOut, Asked):
    """Five lesions; one that is null or not named is unknown, which is not absent."""

    def labels(self) -> LesionLabels:
        """The same in the order of LESIONS."""
        return LesionLabels(values=tuple(getattr(self, str(name)) for name in LESIONS))


class ReviewOut(BaseModel):
    """What one reader said, with the labels that they stand for; not who it was."""

    verdict: Literal["accept", "correct", "reject"]
    covid: bool
    lesions: LabelsOut
    reason: str


class GivenOut(BaseModel):
    """The labels as they were given."""

    covid: bool
    lesions: LabelsOut


class ContributionOut(BaseModel):
    """One image that was given, and what became of it; `reviews` in their order.

    `covid` and `lesions` are the labels as decided, until then as given; `given` keeps those, and
    is null where a correction was accepted before they were kept.
    """

    id: str
    state: Literal["waiting", "disputed", "accepted", "rejected"]
    reviews: list[ReviewOut]
    covid: bool
    lesions: LabelsOut
    given: GivenOut | None
    patient: str
    source: str
    licence: str
    burned_in: bool
    near: list[str]
    created: str


class ContributionsOut(BaseModel):
    """A page of contributions; `next` is the address of the page behind it."""

    contributions: list[ContributionOut]
    total: int
    next: str | None


class DatasetOut(BaseModel):
    """A version of the dataset; `licences` says how many images are under each."""

    format: str
    version: int
    hash: str
    created: str
    images: int
    positive: int
    patients: int
    licences: dict[str, int]
    note: str


class DatasetsOut(BaseModel):
    """A page of versions, newest first; `next` is the address of the page behind it."""

    datasets: list[DatasetOut]
    total: int
    next: str | None


class ReportIn(Asked):
    """A radiology report."""

    text: str = Field(max_length=MAX_REPORT)


class JudgementIn(Asked):
    """What a reviewer says; `covid` and `lesions` are needed for `correct` and read for it alone.

    After a first reader who disagreed, `accept` is refused: say `accept_correction` to take the
    labels of the first reader, or `accept_contributed` to take those of the contributor.
    """

    verdict: Literal["accept", "accept_contributed", "accept_correction", "correct", "reject"]
    covid: bool | None = None
    lesions: LabelsIn | None = Field(None, validate_default=True)
    reason: str = Field("", max_length=reviews.MAX_REASON)

    @field_validator("lesions")
    @classmethod
    def _need_lesions(cls, lesions: LabelsIn | None, info: ValidationInfo) -> LabelsIn | None:
        """Left out, a correction would take away the labels that are there."""
        if lesions is None and info.data.get("verdict") == reviews.CORRECT:
            raise PydanticCustomError("missing", "a correction gives all lesions that are known")
        return lesions


def _labels_json(covid: bool, lesions: list[Any]) -> dict[str, Any]:
    return {"covid": covid, "lesions": dict(zip(map(str, LESIONS), lesions, strict=True))}


def _json(one: Contribution) -> dict[str, Any]:
    covid, lesions = reviews.given(one)
    return {
        "id": one.public_id,
        "state": one.state,
        "reviews": [
            {
                "verdict": said.verdict,
                "reason": said.reason,
                **_labels_json(said.covid, said.lesions),
            }
            for said in one.reviews
        ],
        **_labels_json(one.covid, one.lesions),
        "given": None if covid is None or lesions is None else _labels_json(covid, lesions),
        "patient": one.patient,
        "source": one.source,
        "licence": one.licence,
        "burned_in": one.burned_in,
        "near": one.near,
        "created": one.created_at.isoformat(timespec="seconds"),
    }


@router.post("/reports", summary="Label a report")
def label(_: Contributor, report: ReportIn) -> dict[str, Any]:
    """Propose lesions, with the words that each rests on; nothing is kept."""
    proposed = propose(report.text)
    words = [
        {
            "lesion": str(piece.lesion),
            "words": piece.text,
            "denied": piece.denied,
            "course": str(piece.course),
        }
        for piece in proposed.pieces
        if piece.lesion
    ]
    labels = dict(zip(map(str, LESIONS), proposed.labels.values, strict=True))
    return {"lesions": labels, "words": words}


@router.post(
    "/contributions",
    status_code=201,
    response_model=ContributionOut,
    dependencies=[Depends(one_file)],
    summary="Give an image",
)
def create(
    request: Request,
    principal: Contributor,
    _: Admitted,
    file: Annotated[UploadFile, File()],
    covid: Annotated[bool, Form()],
    patient: Annotated[str, Form()],
    source: Annotated[str, Form()],
    licence: Annotated[str, Form()],
    consent: Annotated[bool, Form()],
    present: Annotated[list[str] | None, Form(description="Lesions that are there")] = None,
    absent: Annotated[list[str] | None, Form(description="Lesions that are not")] = None,
    report: Annotated[str, Form()] = "",
) -> dict[str, Any]:
    """Keep an image with its labels for review; lesions that are not named are unknown."""
    if not file.filename:
        raise BadRequest("error.no_file")
    proposal = Proposal(
        covid=covid,
        lesions=_labels(present or [], absent or []),
        patient=patient.strip(),
        source=source.strip(),
        licence=licence,
        consent=consent,
        report=report,
    )
    upload = read_upload(file)
    return _json(contributions.contribute(services(request), principal, upload, proposal))


def _labels(present: list[str], absent: list[str]) -> LesionLabels:
    known = ", ".join(map(str, LESIONS))
    for field, names in (("present", present), ("absent", absent)):
        for name in names:
            if name not in LESIONS:
                shown = name[:40]
                raise BadRequest("contribute.error_lesion", field=field, name=shown, known=known)
    both = ", ".join(name for name in present if name in absent)
    if both:
        raise BadRequest("contribute.error_both", names=both)
    return LesionLabels(
        values=tuple(True if x in present else False if x in absent else None for x in LESIONS)
    )


@router.get("/contributions", response_model=ContributionsOut, summary="List your own")
def mine(
    request: Request, principal: Contributor, limit: Limit = 50, offset: Offset = 0
) -> dict[str, Any]:
    """What you gave, newest first."""
    found, total = services(request).database.read(
        lambda session: (
            contributions.own(session, principal, limit, offset),
            contributions.count_own(session, principal),
        )
    )
    items, path = map(_json, found), "/api/v1/contributions"
    return page("contributions", items, path, limit=limit, offset=offset, total=total)


@router.get("/contributions/{id}", response_model=ContributionOut, summary="Read one")
def read(request: Request, principal: Contributor, id: str) -> dict[str, Any]:  # noqa: A002
    """One contribution with what reviewers said of it, and why, for its owner and for reviewers."""
    return _json(contributions.look(services(request), principal, id))


@router.delete("/contributions/{id}", status_code=204, summary="Take one back")
def delete(request: Request, principal: Contributor, id: str) -> Response:  # noqa: A002
    """Withdraw a contribution; versions that have it keep it."""
    contributions.withdraw(services(request), principal, id)
    return Response(status_code=204)


@router.get("/reviews", response_model=ContributionsOut, summary="Read the queue")
def queue(
    request: Request, principal: Reviewer, limit: Limit = 50, offset: Offset = 0
) -> dict[str, Any]:
    """What waits for you, the disputed first."""
    found, total = services(request).database.write(
        lambda session: (
            reviews.look(session, principal, limit, offset),
            reviews.count_queue(session, principal),
        )
    )
    items, path = map(_json, found), "/api/v1/reviews"
    return page("contributions", items, path, limit=limit, offset=offset, total=total)


@router.post("/reviews/{id}", summary="Judge a contribution")
def judge(
    request: Request,
    principal: Reviewer,
    id: str,  # noqa: A002
    said: JudgementIn,
) -> dict[str, str]:
    """Accept, correct or reject; answers the state that this leads to."""
    judgement = reviews.Judgement(
        verdict=said.verdict,
        covid=said.covid,
        lesions=(said.lesions or LabelsIn()).labels(),
        reason=said.reason.strip(),
    )
    return {"state": reviews.judge(services(request), principal, id, judgement)}


@router.delete("/reviews/{id}", status_code=204, summary="Remove a contribution")
def remove(
    request: Request,
    principal: Reviewer,
    id: str,  # noqa: A002
    reason: Annotated[str, Query(pattern=f"^({'|'.join(contributions.REASONS)})$")],
) -> Response:
    """Delete anybody's contribution for good; versions that have its image keep it.

    The audit log keeps the reason: a name in the picture (`identity`), no `consent`, no `rights`,
    or an image of no use (`unusable`).
    """
    contributions.remove(services(request), principal, id, reason)
    return Response(status_code=204)


@router.get("/datasets", response_model=DatasetsOut, summary="List the versions")
def versions(
    request: Request, _: Publisher, limit: Limit = 50, offset: Offset = 0
) -> dict[str, Any]:
    """The versions, newest first, with their hashes and their licences."""
    made, total = services(request).database.read(
        lambda session: (
            datasets.versions(session, limit, offset),
            datasets.count_versions(session),
        )
    )
    return page("datasets", made, "/api/v1/datasets", limit=limit, offset=offset, total=total)


@router.post(
    "/datasets",
    status_code=201,
    response_model=DatasetOut,
    responses={200: {"model": DatasetOut, "description": "Nothing new: the version there is"}},
    summary="Make a version",
)
def freeze(request: Request, response: Response, principal: Publisher) -> dict[str, Any]:
    """Freeze what is accepted now; the same content is the version there is, answered with 200."""
    made, new = datasets.freeze(services(request), principal)
    response.status_code = 201 if new else 200
    return datasets.describe(made)


@router.get("/datasets/{number}.zip", response_class=Response, summary="Download a version")
def download(request: Request, principal: Publisher, number: Number) -> Response:
    """A version as a zip of the folder that `ladnn data import` reads."""
    return archive(request, principal, number)

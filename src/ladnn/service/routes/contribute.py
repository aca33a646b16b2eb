"""Contribute: the form, its proposals from a report, and what became of what one gave."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from ladnn.errors import ImageError
from ladnn.findings import LESIONS, LesionLabels
from ladnn.service import contributions, reviews
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Admitted, Principal, requires
from ladnn.service.context import Drawing, services
from ladnn.service.contributions import LICENCES, MAX_REPORT, Proposal
from ladnn.service.errors import BadRequest
from ladnn.service.maps import as_png
from ladnn.service.pages import render, say, say_again
from ladnn.service.paging import Offset
from ladnn.service.predictions import read_upload
from ladnn.service.proposals import propose

router = APIRouter(include_in_schema=False)

Contributor = Annotated[Principal, Depends(requires(Permission.CONTRIBUTE))]
OWN = 20
FLAGS = {"1": True, "0": False, "": None}


class Fields:
    """The fields of the form, as they were sent."""

    def __init__(
        self,
        covid: Annotated[str, Form()] = "",
        lesions: Annotated[list[str] | None, Form()] = None,
        proposed: Annotated[list[str] | None, Form()] = None,
        patient: Annotated[str, Form()] = "",
        source: Annotated[str, Form()] = "",
        licence: Annotated[str, Form()] = "",
        consent: Annotated[str, Form()] = "",
        report: Annotated[str, Form()] = "",
    ) -> None:
        self.covid = covid
        self.lesions = lesions or [""] * len(LESIONS)
        self._proposed = proposed or [""] * len(LESIONS)
        self.patient, self.source = patient.strip(), source.strip()
        self.licence, self.consent = licence, consent
        self.report = report.replace("\r\n", "\n").strip()

    def propose(self, labels: LesionLabels) -> None:
        """Take what a report proposes now for what one proposed before; what was chosen stays."""
        told = {flag: value for value, flag in FLAGS.items()}
        self.lesions = [
            told[label] if value == before else value
            for value, before, label in zip(
                self.lesions, self._proposed, labels.values, strict=False
            )
        ]

    def proposal(self) -> Proposal:
        """What they say; raises BadRequest for what no form sends."""
        if self.covid not in ("1", "0"):
            raise BadRequest("contribute.error_covid")
        return Proposal(
            covid=self.covid == "1",
            lesions=read_lesions(self.lesions),
            patient=self.patient,
            source=self.source,
            licence=self.licence,
            consent=self.consent == "1",
            report=self.report,
        )


def read_lesions(values: list[str]) -> LesionLabels:
    """Five of "1", "0" and "" as labels; raises BadRequest for anything else."""
    if len(values) != len(LESIONS) or any(value not in FLAGS for value in values):
        raise BadRequest("error.fields")
    return LesionLabels(values=tuple(FLAGS[value] for value in values))


@router.get("/contribute")
def page(request: Request, principal: Contributor, offset: Offset = 0) -> Response:
    """Show the form and what one gave before."""
    return _page(request, principal, Fields(), offset=offset)


@router.post("/contribute/report")
def report(
    request: Request,
    principal: Contributor,
    fields: Annotated[Fields, Depends()],
    part: Annotated[str, Form()] = "",
) -> Response:
    """Propose lesions from the report: the whole form again, or the part that a script asks for."""
    fields.report = fields.report[:MAX_REPORT]
    proposed = propose(fields.report)
    if part:
        return render(request, "proposal.html", proposed=proposed, lesions=LESIONS)
    fields.propose(proposed.labels)
    return _page(request, principal, fields, proposed=proposed)


@router.post("/contribute")
def send(
    request: Request,
    principal: Contributor,
    _: Admitted,
    fields: Annotated[Fields, Depends()],
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Keep the image and go to its page; what does not do is told beside the form."""
    try:
        proposal = fields.proposal()
        if file is None or not file.filename:
            raise BadRequest("error.no_file")
        upload = read_upload(file)
        made = contributions.contribute(services(request), principal, upload, proposal)
    except ImageError as error:
        return _page(request, principal, fields, error=say_again(request, str(error)))
    except BadRequest as error:
        return _page(request, principal, fields, error=say(request, error.key, **error.values))
    return RedirectResponse(f"/contributions/{made.public_id}", status_code=303)


def _page(
    request: Request,
    principal: Principal,
    fields: Fields,
    *,
    error: str = "",
    proposed: object = None,
    offset: int = 0,
) -> Response:
    site = services(request)
    if error and fields.report:
        proposed = propose(fields.report[:MAX_REPORT])
    if len(fields.lesions) != len(LESIONS):  # of no form of this site; the page shows one for each
        fields.lesions = [""] * len(LESIONS)
    mine = site.database.read(
        lambda session: contributions.own(session, principal, OWN + 1, offset)
    )
    return render(
        request,
        "contribute.html",
        status_code=422 if error else 200,
        fields=fields,
        error=error,
        proposed=proposed,
        mine=mine[:OWN],
        more=len(mine) > OWN,
        offset=offset,
        page_size=OWN,
        lesions=LESIONS,
        licences=LICENCES,
        limit=site.settings.upload_mib,
    )


@router.get("/contributions/{id}")
def one(request: Request, principal: Contributor, id: str) -> Response:  # noqa: A002
    """Show one contribution and what became of it."""
    site = services(request)
    found = contributions.look(site, principal, id)

    def read(session: Session) -> dict[str, Any]:
        return {
            "alike": contributions.alike(session, principal, found),
            "published": contributions.published(session, found),
        }

    return render(
        request,
        "contribution.html",
        one=found,
        **site.database.read(read),
        lesions=list(zip(LESIONS, found.lesions, strict=True)),
        opinions=reviews.said_by(found),
        given=reviews.given(found),
        mine=found.owner == principal.owner,
    )


@router.get("/contributions/{id}/image.png")
def image(
    request: Request,
    principal: Contributor,
    _: Drawing,
    id: str,  # noqa: A002
    small: bool = False,
) -> Response:
    """Give the image, drawn from what is kept."""
    site = services(request)
    found = contributions.look(site, principal, id, picture=True)
    pixels = site.decoder.decode(site.blobs.get(found.blob)).image.pixels
    headers = {"cache-control": "private, max-age=3600"}
    return Response(as_png(pixels, small=small), media_type="image/png", headers=headers)


@router.post("/contributions/{id}/withdraw")
def withdraw(request: Request, principal: Contributor, id: str) -> Response:  # noqa: A002
    """Take a contribution back."""
    contributions.withdraw(services(request), principal, id)
    return RedirectResponse("/contribute", status_code=303)

"""The JSON of the interface, as OpenAPI describes it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ladnn.findings import OUTPUTS, Decision
from ladnn.service.tables import Case


class Covid(BaseModel):
    """The calibrated probability of COVID-19 in [0, 1], and the decision at an operating point."""

    probability: float
    decision: Decision
    operating_point: str


class Lesions(BaseModel):
    """The probability of each lesion in [0, 1]."""

    GGO: float
    Csld: float
    CrPa: float
    AirBr: float
    InSepThi: float


class Calibrated(BaseModel):
    """Of each lesion, whether its probability is calibrated; not, where examples were too few."""

    GGO: bool
    Csld: bool
    CrPa: bool
    AirBr: bool
    InSepThi: bool


class InDistribution(BaseModel):
    """How much the image looks like an axial chest CT, and whether that is enough to judge it."""

    score: float
    ok: bool


class Model(BaseModel):
    """Which bundle answered."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    version: str


class SliceOut(BaseModel):
    """What the model says of one image."""

    sha256: str
    covid: Covid
    lesions: Lesions | None
    in_distribution: InDistribution
    heatmap: str
    model: Model
    research_use_only: bool


class PredictionOut(SliceOut):
    """What the model says of one image, under its id."""

    id: str
    state: Literal["active", "retracted"]
    calibrated: Calibrated | None
    links: dict[str, str]
    maps: dict[str, list[list[float]]] | None = Field(
        default=None, description="Where `maps` was asked for: each map, rows from the top"
    )


class StudyOut(BaseModel):
    """What the model says of the slices of one series together, and of each."""

    id: str
    study: str = Field(description="Empty: the site keeps no name of a study")
    slices: int
    assessable: int
    covid: Covid
    lesions: Lesions | None
    model: Model
    research_use_only: bool
    state: Literal["active", "retracted"]
    calibrated: Calibrated | None
    images: list[SliceOut] = Field(description="In the order of the series")
    links: dict[str, str]


class CaseOut(BaseModel):
    """A result in short."""

    id: str
    created_at: datetime
    state: Literal["active", "retracted"]
    slices: int
    covid: Covid
    model: Model
    research_use_only: bool
    links: dict[str, str]


class CasesOut(BaseModel):
    """A page of results, newest first; `next` is the address of the page behind it."""

    predictions: list[CaseOut]
    total: int
    next: str | None


class Asked(BaseModel):
    """What a request says in JSON: a name that is not known is an error, never left out."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, said: Any) -> Any:  # noqa: ANN401  # any JSON
        """Tell which names there are, as `extra` alone does not."""
        given = said if isinstance(said, dict) else {}
        unknown = [name for name in given if name not in cls.model_fields]
        if unknown:
            name = unknown[0][:40].encode("utf-8", "replace").decode()  # surrogates, too
            known = ", ".join(cls.model_fields)
            raise PydanticCustomError(
                "unknown_name", "{name} is none of {known}", {"name": name, "known": known}
            )
        return said


class FeedbackIn(Asked):
    """What a clinician says of a result; null leaves what was said before."""

    agreement: Literal["agree", "disagree"] | None = None
    pcr: Literal["positive", "negative"] | None = None


class FeedbackOut(BaseModel):
    """All that the caller has said of a result."""

    agreement: Literal["agree", "disagree"] | None
    pcr: Literal["positive", "negative"] | None


class ProblemOut(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence: what happened, and what to do")
    request: str = Field(description="Its number in the site's logs")
    errors: list[dict[str, str]] = Field(
        default=[], description="Of fields and parameters: `where` each is, and `what` is wrong"
    )


def problem(description: str) -> dict[str, Any]:
    """How an answer that tells of an error is described."""
    kind = {"application/problem+json": {"schema": ProblemOut.model_json_schema()}}
    return {"description": description, "content": kind}


def case_json(case: Case) -> dict[str, Any]:
    """One Prediction, or the study's result with one for each slice; with `id` and `links`."""
    links = _links(case)
    first = links["heatmap_covid"]
    heatmaps = [f"{first}?image={image.position}" for image in case.images]
    return {"id": case.public_id, **_said(case, links, [first] if case.study is None else heatmaps)}


def shared_json(case: Case) -> dict[str, Any]:
    """The same for whoever has the link of its page: no id, for that may open more than the link.

    Of a case without an owner the id is the key to retract and to delete it.
    """
    page = _page(case)
    links = {
        "self": f"{page}/prediction.json",
        "overlay": f"{page}/overlay.png",
        "report": f"{page}/report.pdf",
        "page": page,
    }
    heatmaps = [f"{page}/maps/{image.position}/{OUTPUTS[0]}.png" for image in case.images]
    return _said(case, links, heatmaps)


def _said(case: Case, links: dict[str, str], heatmaps: Sequence[str]) -> dict[str, Any]:
    slices = [
        {**image.prediction, "heatmap": heatmap}
        for image, heatmap in zip(case.images, heatmaps, strict=True)
    ]
    more = {"state": case.state, "calibrated": calibrated_json(case), "links": links}
    return {**slices[0], **more} if case.study is None else {**case.study, "images": slices, **more}


def _links(case: Case) -> dict[str, str]:
    """Where a case and what belongs to it are; maps and overlay of the most suspicious slice."""
    itself = case_link(case)
    names = OUTPUTS if case.images[0].prediction["lesions"] is not None else OUTPUTS[:1]
    return {
        "self": itself,
        **{f"heatmap_{name}": f"{itself}/heatmaps/{name}.png" for name in names},
        "overlay": f"{itself}/overlay.png",
        "report": f"{itself}/report.pdf",
        "page": _page(case),
    }


def _page(case: Case) -> str:
    """The address of the page of a case."""
    return f"/results/{case.share_token}"


def case_link(case: Case) -> str:
    """The address of a case for programs."""
    return f"/api/v1/predictions/{case.public_id}"


def short_json(case: Case) -> dict[str, Any]:
    """A case in a list; its images need not be loaded."""
    return {
        "id": case.public_id,
        "created_at": case.created_at,
        "state": case.state,
        "slices": 1 if case.study is None else case.study["slices"],
        "covid": covid_json(case),
        "model": {"name": case.model_name, "version": case.model_version},
        "research_use_only": True,
        "links": {"self": case_link(case), "page": _page(case)},
    }


def covid_json(case: Case) -> dict[str, Any]:
    """What a case says of COVID-19, of a study the whole."""
    return {
        "probability": case.probability,
        "decision": case.decision,
        "operating_point": case.operating_point,
    }


def calibrated_json(case: Case) -> dict[str, bool] | None:
    """For each lesion, whether its probability is calibrated; None of a baseline."""
    return case.card["calibrated"] or None

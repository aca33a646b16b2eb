"""The JSON of the interface, as OpenAPI describes it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

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


class PredictionOut(BaseModel):
    """What the model says of one image."""

    id: str
    sha256: str
    covid: Covid
    lesions: Lesions | None
    in_distribution: InDistribution
    heatmap: str
    model: Model
    research_use_only: bool
    calibrated: Calibrated | None
    links: dict[str, str]
    maps: dict[str, list[list[float]]] | None = Field(
        default=None, description="Where `maps` was asked for: each map, rows from the top"
    )


class ProblemOut(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


def prediction_json(case: Case) -> dict[str, Any]:
    """The design's Prediction of a case of one image, with `id`, `calibrated` and `links`."""
    said = case.images[0].prediction
    self_link = f"/api/v1/predictions/{case.public_id}"
    names = OUTPUTS if said["lesions"] is not None else OUTPUTS[:1]
    maps = {f"heatmap_{name}": f"{self_link}/heatmaps/{name}.png" for name in names}
    page = f"/results/{case.share_token}"
    links = {"self": self_link, **maps, "page": page, "report": f"{page}/report.pdf"}
    return {
        "id": case.public_id,
        **said,
        "heatmap": maps["heatmap_covid"],
        "calibrated": calibrated_json(case),
        "links": links,
    }


def calibrated_json(case: Case) -> dict[str, bool] | None:
    """For each lesion, whether its probability is calibrated; None of a baseline."""
    return case.card["calibrated"] or None

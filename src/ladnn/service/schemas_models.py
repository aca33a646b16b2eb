"""The JSON of the model's versions, as OpenAPI describes it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from ladnn.gate import Verdict
from ladnn.ledger import Event, Kind, Status
from ladnn.registry import MAX_LABEL
from ladnn.service.promotion import MAX_REASON
from ladnn.service.schemas import Asked
from ladnn.service.version_views import Row
from ladnn.service.watching import Agreement, Week


class EventOut(BaseModel):
    """One transition of a version."""

    kind: Kind
    at: datetime
    why: str
    by: str | None = Field(description="Null for whoever has no account")


class EstimateOut(BaseModel):
    """A value in [0, 1] with its interval; `reason` says why either is null."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None


class LockedTestOut(BaseModel):
    """The images that judged a version."""

    sha256: str
    images: int
    patients: int
    sources: list[str]


class TrialOut(BaseModel):
    """How a version did on the locked test, image by image, at its operating point."""

    locked_test: LockedTestOut
    data_version: str
    operating_point: str
    auc: EstimateOut
    sensitivity: EstimateOut
    specificity: EstimateOut
    accuracy: EstimateOut


class VersionOut(BaseModel):
    """A version with its results; `trial` is null where it was never judged."""

    label: str
    status: Status
    last: EventOut
    trial: TrialOut | None
    links: dict[str, str]


class VersionsOut(BaseModel):
    """A page of versions, the champion first; `next` is the address of the page behind it."""

    models: list[VersionOut]
    total: int
    next: str | None


class UsedVersionOut(VersionOut):
    """A version with its history and how it does on this site.

    What its card would say is null where the version cannot be opened: files of it are missing,
    altered or of a newer program.
    """

    history: list[EventOut]
    backbone: str | None
    networks: int | None
    licence: str | None
    sha256: str = Field(description="Of model.onnx")
    agreement: Agreement | None
    weeks: list[Week]


class ComparisonOut(BaseModel):
    """Two versions; `verdict` is null where they were not both judged on the same locked test."""

    first: VersionOut
    second: VersionOut
    verdict: Verdict | None = Field(description="May the second replace the first?")


class ReasonIn(Asked):
    """Why the champion is changed."""

    why: str = Field(min_length=1, max_length=MAX_REASON)
    champion: str | None = Field(
        default=None,
        max_length=MAX_LABEL,
        description="The one that this was decided on, empty for none: refused where another is by"
        " now. Null is not asked",
    )


class ChampionOut(BaseModel):
    """The label of the champion; null where the site answers with the bundle of its settings."""

    champion: str | None


def version_json(row: Row, *, names: bool) -> dict[str, Any]:
    """A version with its results; `names` says whether to name who changed it."""
    return {
        "label": row.version.label,
        "status": row.version.status,
        "last": event_json(row.history[-1], names=names),
        "trial": _trial_json(row),
        "links": {
            "self": f"/api/v1/models/{row.version.label}",
            "page": f"/models/{row.version.label}",
        },
    }


def event_json(event: Event, *, names: bool) -> dict[str, Any]:
    """A transition."""
    by = event.by if names else None
    return {"kind": event.kind, "at": event.at, "why": event.why, "by": by}


def _trial_json(row: Row) -> dict[str, Any] | None:
    if row.trial is None:
        return None
    return {
        "locked_test": row.trial.test,
        "data_version": row.trial.data_version,
        "operating_point": row.trial.metrics["operating_point"],
        "auc": row.auc,
        **row.rates,
    }

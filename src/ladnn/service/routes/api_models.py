"""The interface for programs: the model's versions, their comparison, promotion and rollback."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from ladnn.bundle import MODEL_FILE
from ladnn.service import models, promotion, version_views
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import services
from ladnn.service.paging import Limit, Offset, page
from ladnn.service.routes.api_predictions import router as predictions
from ladnn.service.schemas_models import (
    ChampionOut,
    ComparisonOut,
    ReasonIn,
    UsedVersionOut,
    VersionsOut,
    event_json,
    version_json,
)

router = APIRouter(prefix="/api/v1/models", tags=["models"], responses=predictions.responses)

Reader = Annotated[Principal, Depends(requires(Permission.READ_PUBLIC))]
Manager = Annotated[Principal, Depends(requires(Permission.MANAGE_MODELS))]


@router.get("", response_model=VersionsOut, summary="List the versions")
def index(
    request: Request, principal: Reader, limit: Limit = 50, offset: Offset = 0
) -> dict[str, Any]:
    """Give the versions with their results on the locked test: the champion, then the newest."""
    registry = models.registry_of(services(request))
    found = version_views.in_order(registry)
    shown = [version_views.row(registry, one) for one in found[offset : offset + limit]]
    items = [version_json(row, names=_sees_names(principal)) for row in shown]
    return page("models", items, "/api/v1/models", limit=limit, offset=offset, total=len(found))


@router.get("/compare", response_model=ComparisonOut, summary="Compare two versions")
def compare(request: Request, principal: Reader, first: str, second: str) -> dict[str, Any]:
    """Put the second beside the first: image by image, where both saw the same locked test."""
    found = version_views.comparison(models.registry_of(services(request)), first, second)
    one, other = (version_json(row, names=_sees_names(principal)) for row in found.pair)
    return {"first": one, "second": other, "verdict": found.verdict}


@router.get("/{label}", response_model=UsedVersionOut, summary="Read a version")
def read(request: Request, principal: Reader, label: str) -> dict[str, Any]:
    """Give a version with its history, what clinicians say of it here, and its weeks of use."""
    found, names = version_views.whole(services(request), label), _sees_names(principal)
    card, use = found.card, found.use
    return {
        **version_json(found.row, names=names),
        "history": [event_json(event, names=names) for event in found.row.history],
        "backbone": card.backbone if card else None,
        "networks": len(card.members) if card else None,
        "licence": card.licence if card else None,
        "sha256": found.row.version.added.files[MODEL_FILE],
        "agreement": use.agreement if use else None,
        "weeks": use.weeks if use else [],
    }


@router.post("/rollback", response_model=ChampionOut, summary="Roll back")
def rollback(request: Request, principal: Manager, said: ReasonIn) -> dict[str, Any]:
    """Bring back the champion before this one."""
    found = promotion.rollback(services(request), principal, said.why, said.champion)
    return {"champion": found or None}


@router.post("/{label}/promote", response_model=ChampionOut, summary="Promote a version")
def promote(request: Request, principal: Manager, label: str, said: ReasonIn) -> dict[str, Any]:
    """Make a version the champion; every replica answers with it within ten seconds."""
    found = promotion.promote(services(request), principal, label, said.why, said.champion)
    return {"champion": found}


def _sees_names(principal: Principal) -> bool:
    return principal.account_id is not None

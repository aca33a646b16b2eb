"""The pages of the model's versions: all of them, one, two side by side; promotion and rollback."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from ladnn.ledger import Status
from ladnn.registry import MAX_LABEL
from ladnn.service import about, models, promotion, version_views
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import services
from ladnn.service.pages import render

router = APIRouter(prefix="/models", include_in_schema=False)

Reader = Annotated[Principal, Depends(requires(Permission.READ_PUBLIC))]
Manager = Annotated[Principal, Depends(requires(Permission.MANAGE_MODELS))]
Why = Annotated[str, Form(max_length=promotion.MAX_REASON)]
Shown = Annotated[str, Form(max_length=MAX_LABEL)]
"""The champion that the page showed, empty where there was none."""


@router.get("")
def overview(request: Request, principal: Reader) -> Response:
    """Show every version, the champion first."""
    registry = models.registry_of(services(request))
    found = version_views.in_order(registry)
    rows = [version_views.row(registry, one) for one in found]
    card = services(request).predictor().card
    of_settings = version_views.answering(registry, card) is None
    return render(
        request,
        "models.html",
        rows=rows,
        champion=next((one.label for one in found if one.status == Status.CHAMPION), None),
        card=card,
        known=about.tested_of(card),
        use=version_views.use(services(request), card) if of_settings else None,
        manages=principal.may(Permission.MANAGE_MODELS),
        names=principal.account_id is not None,
    )


@router.get("/compare")
def compare(request: Request, _: Reader, first: str, second: str) -> Response:
    """Show two versions side by side, on the locked test that both were judged on."""
    registry = models.registry_of(services(request))
    found = version_views.comparison(registry, first, second)
    return render(
        request,
        "compare.html",
        pair=found.pair,
        verdict=found.verdict,
        check_in_words=version_views.check_in_words,
        others=list(registry.versions()),
    )


@router.get("/bundle")
def bundle(request: Request, _: Reader) -> Response:
    """Show the bundle of the settings while it answers; afterwards, the version that does."""
    card = services(request).predictor().card
    found = version_views.answering(models.registry_of(services(request)), card)
    if found is not None:
        return RedirectResponse(f"/models/{found.version.label}", status_code=303)
    known, use = about.tested_of(card), version_views.use(services(request), card)
    return render(request, "bundle.html", card=card, known=known, use=use)


@router.get("/{label}")
def version(request: Request, principal: Reader, label: str) -> Response:
    """Show one version: its results, its use, its history."""
    site = services(request)
    found, registry = version_views.whole(site, label), models.registry_of(site)
    manages = principal.may(Permission.MANAGE_MODELS)
    return render(
        request,
        "model.html",
        row=found.row,
        card=found.card,
        use=found.use,
        others=[other for other in registry.versions() if other != label],
        manages=manages,
        champion=registry.champion(),
        doubt=version_views.doubt(registry, label) if manages else "",
        names=principal.account_id is not None,
    )


@router.post("/rollback")
def rollback(request: Request, principal: Manager, why: Why, champion: Shown = "") -> Response:
    """Bring back the champion before."""
    promotion.rollback(services(request), principal, why, champion)
    return RedirectResponse("/models", status_code=303)


@router.post("/{label}/promote")
def promote(
    request: Request, principal: Manager, label: str, why: Why, champion: Shown = ""
) -> Response:
    """Make a version the champion."""
    promotion.promote(services(request), principal, label, why, champion)
    return RedirectResponse("/models", status_code=303)

"""The pages of the model's versions: all of them, one, two side by side; promotion and rollback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from ladnn.bundle import Card
from ladnn.errors import RegistryError
from ladnn.locked_test import compare_versions
from ladnn.registry import Registry
from ladnn.service import about, audit_log, models, version_views
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import services
from ladnn.service.errors import BadRequest, NotFound
from ladnn.service.pages import render

router = APIRouter(prefix="/models", include_in_schema=False)

Reader = Annotated[Principal, Depends(requires(Permission.READ_PUBLIC))]
Manager = Annotated[Principal, Depends(requires(Permission.MANAGE_MODELS))]
Why = Annotated[str, Form(max_length=2000)]


@router.get("")
def overview(request: Request, principal: Reader) -> Response:
    """Show every version, the champion first."""
    registry = _registry(request)
    card = services(request).predictor().card
    of_settings = version_views.answering(registry, card) is None
    return render(
        request,
        "models.html",
        rows=version_views.rows(registry),
        card=card,
        known=about.tested_of(card),
        use=_use(request, card) if of_settings else None,
        manages=principal.may(Permission.MANAGE_MODELS),
        names=principal.account_id is not None,
    )


@router.get("/compare")
def compare(request: Request, _: Reader, first: str, second: str) -> Response:
    """Show two versions side by side, on the locked test that both were judged on."""
    registry = _registry(request)
    known = registry.versions()
    if first not in known or second not in known:
        raise NotFound
    try:
        verdict = compare_versions(registry, first, second)
    except RegistryError:  # one was never judged, or they were judged on different tests
        verdict = None
    pair = [version_views.row(registry, known[label]) for label in (first, second)]
    return render(request, "compare.html", pair=pair, verdict=verdict, others=list(known))


@router.get("/bundle")
def bundle(request: Request, _: Reader) -> Response:
    """Show the bundle of the settings while it answers; afterwards, the version that does."""
    card = services(request).predictor().card
    found = version_views.answering(_registry(request), card)
    if found is not None:
        return RedirectResponse(f"/models/{found.version.label}", status_code=303)
    known, use = about.tested_of(card), _use(request, card)
    return render(request, "bundle.html", card=card, known=known, use=use)


@router.get("/{label}")
def version(request: Request, principal: Reader, label: str) -> Response:
    """Show one version: its results, its use, its history."""
    registry = _registry(request)
    known = registry.versions()
    if label not in known:
        raise NotFound
    card = registry.open(label).card
    return render(
        request,
        "model.html",
        row=version_views.row(registry, known[label]),
        card=card,
        use=_use(request, card),
        others=[other for other in known if other != label],
        manages=principal.may(Permission.MANAGE_MODELS),
        names=principal.account_id is not None,
    )


@router.post("/rollback")
def rollback(request: Request, principal: Manager, why: Why) -> Response:
    """Bring back the champion before."""
    registry = _registry(request)
    with _told():
        label = registry.rollback(by=principal.owner, why=why)
    _note(request, principal, "model.rollback", label, why)
    return RedirectResponse("/models", status_code=303)


@router.post("/{label}/promote")
def promote(request: Request, principal: Manager, label: str, why: Why) -> Response:
    """Make a version the champion."""
    registry = _registry(request)
    if label not in registry.versions():
        raise NotFound
    with _told():
        registry.promote(label, by=principal.owner, why=why)
    _note(request, principal, "model.promote", label, why)
    return RedirectResponse("/models", status_code=303)


def _registry(request: Request) -> Registry:
    site = services(request)
    return models.site_registry(site.settings, site.database, site.clock)


def _use(request: Request, card: Card) -> version_views.Use:
    return services(request).database.read(
        lambda session: version_views.use(session, card.name, card.version)
    )


@contextmanager
def _told() -> Iterator[None]:
    """Turn a step that cannot be taken into an answer."""
    try:
        yield
    except RegistryError as error:
        raise BadRequest("models.refused_change") from error


def _note(request: Request, principal: Principal, action: str, label: str, why: str) -> None:
    services(request).database.write(
        lambda session: audit_log.record(session, principal, action, label, {"why": why})
    )

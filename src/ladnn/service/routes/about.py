"""What the site is, how well its model does and where it fails; and its interface for programs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from ladnn import __version__
from ladnn.service import about, models, retention, version_views
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import services
from ladnn.service.pages import render, say

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(requires(Permission.READ_PUBLIC))]


@router.get("/about")
def page(request: Request, _: Reader) -> Response:
    """Show what this is."""
    site = services(request)
    card = site.predictor().card
    registry = models.registry_of(site)
    return render(
        request,
        "about.html",
        card=card,
        kept=[(kind.name, getattr(site.settings, kind.setting)) for kind in retention.KINDS],
        row=version_views.answering(registry, card),
        known=about.tested_of(card),
        rare=say(request, "about.between").join(
            say(request, f"output.{name}")
            for name, one in card.lesions.items()
            if not one.calibrated
        ),
        tested=about.tested(),
        ship=about.ship(),
        citation=about.citation(),
        settings=site.settings,
        version=__version__,
    )


@router.get("/about/api")
def interface(request: Request, _: Reader) -> Response:
    """Show the interface for programs, from its own description."""
    description = request.app.openapi()
    return render(
        request, "api.html", groups=about.operations(description), address=request.app.openapi_url
    )

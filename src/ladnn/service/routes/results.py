"""The page of one result and everything that can be taken from it, under its permanent link."""

import json
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from ladnn.errors import ConfigError
from ladnn.greyscale import Window
from ladnn.service import audit_log, downloads, maps, predictions, views
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import Drawing, services
from ladnn.service.errors import NotFound
from ladnn.service.feedback import give_feedback, withdraw_feedback
from ladnn.service.pages import render, say
from ladnn.service.schemas import case_json, shared_json
from ladnn.service.tables import Case

router = APIRouter(prefix="/results/{token}", include_in_schema=False)

Reader = Annotated[Principal, Depends(requires(Permission.READ_CASE))]
Owner = Annotated[Principal, Depends(requires(Permission.CHANGE_CASE))]
Clinician = Annotated[Principal, Depends(requires(Permission.GIVE_FEEDBACK))]
_KEPT = {"cache-control": "private, max-age=3600"}


class Shown:
    """Which image of a result is shown, under which map and through which window."""

    def __init__(
        self,
        image: Annotated[int | None, Query(ge=0)] = None,
        map: str = "covid",  # noqa: A002  # as it stands in the address
        level: float | None = None,
        width: float | None = None,
    ) -> None:
        self.image, self.map, self.window = image, map, _window(level, width)


@router.get("")
def page(
    request: Request, principal: Reader, token: str, shown: Annotated[Shown, Depends()]
) -> Response:
    """Show the result: decision, lesions, image and map; of a series the most suspicious slice."""
    return _show(request, principal, token, shown)


@router.get("/images/{position}.png")
def image_png(
    request: Request,
    principal: Reader,
    _: Drawing,
    token: str,
    position: int,
    level: float | None = None,
    width: float | None = None,
    small: bool = False,
) -> Response:
    """The image, through a window in HU where one is given; `small` for a list."""
    site = services(request)
    image = views.image_at(_find_again(request, principal, token), position)
    picture = maps.image_png(site, image, _window(level, width), small=small)
    return Response(picture, media_type="image/png", headers=_KEPT)


@router.get("/maps/{position}/{name}.png")
def map_png(
    request: Request, principal: Reader, _: Drawing, token: str, position: int, name: str
) -> Response:
    """One map, transparent where the model did not look."""
    case = _find_again(request, principal, token)
    return Response(
        maps.map_png(views.image_at(case, position), name), media_type="image/png", headers=_KEPT
    )


@router.get("/prediction.json")
def as_json(request: Request, principal: Reader, token: str) -> Response:
    """The result for a program."""
    case = _find(request, principal, token, "prediction.download")
    said = case_json(case) if predictions.is_own(case, principal) else shared_json(case)
    body = json.dumps(said, indent=2)
    return downloads.of_case(body.encode(), "application/json", case, "json")


@router.get("/overlay.png")
def overlay_png(
    request: Request,
    principal: Reader,
    _: Drawing,
    token: str,
    image: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """The sheet with the image and its maps, of a series with its most suspicious slice."""
    case = _find(request, principal, token, "prediction.download")
    return downloads.overlay(request, case, image)


@router.get("/report.pdf")
def report(
    request: Request,
    principal: Reader,
    _: Drawing,
    token: str,
    image: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """One page to print, of a series with its most suspicious slice."""
    case = _find(request, principal, token, "prediction.download")
    return downloads.report(request, case, image)


@router.post("/retract")
def retract(request: Request, principal: Owner, token: str) -> Response:
    """Take the result back from everyone who has its link."""
    predictions.retract(services(request), principal, token, by_token=True)
    return RedirectResponse(f"/results/{token}", status_code=303)


@router.post("/delete")
def delete(request: Request, principal: Owner, token: str) -> Response:
    """Delete the result and its images."""
    predictions.delete(services(request), principal, token, by_token=True)
    return RedirectResponse("/", status_code=303)


@router.post("/feedback")
def feedback(
    request: Request,
    principal: Clinician,
    token: str,
    shown: Annotated[Shown, Depends()],
    agreement: Annotated[str | None, Form()] = None,
    pcr: Annotated[str | None, Form()] = None,
) -> Response:
    """Keep what a clinician says of the result; where nothing was chosen the page says so."""
    site = services(request)
    if not agreement and not pcr and principal.may(Permission.READ_CASE):
        return _show(request, principal, token, shown, error=say(request, "feedback.nothing"))
    give_feedback(
        site, principal, token, by_token=True, agreement=agreement or None, pcr=pcr or None
    )
    return RedirectResponse(f"/results/{token}", status_code=303)


@router.post("/feedback/withdraw")
def withdraw(
    request: Request, principal: Clinician, token: str, what: Annotated[str, Form()] = ""
) -> Response:
    """Take back one of the things that a clinician said of the result."""
    withdraw_feedback(services(request), principal, token, by_token=True, what=what)
    return RedirectResponse(f"/results/{token}", status_code=303)


def _show(
    request: Request,
    principal: Principal,
    token: str,
    shown: Shown,
    *,
    error: str = "",
) -> Response:
    """The page, with `error` where something on it was refused."""
    case = _find(request, principal, token, "prediction.view")
    chosen = views.image_at(case, shown.image)
    values = views.result(request, principal, case, chosen, shown=shown.map, window=shown.window)
    return render(request, "result.html", 422 if error else 200, **values, error=error)


def _find(request: Request, principal: Principal, token: str, action: str) -> Case:
    """The case behind a link."""
    find = partial(predictions.find_shared, principal=principal, token=token)
    return audit_log.look(services(request).database, find, principal, action)


def _find_again(request: Request, principal: Principal, token: str) -> Case:
    """The same for a picture: part of the view of its page, or of a worklist, if there was one."""
    find = partial(predictions.find_shared, principal=principal, token=token)
    database, within = services(request).database, predictions.shown_in
    return audit_log.look_again(database, find, principal, "prediction.view", within)


def _window(level: float | None, width: float | None) -> Window | None:
    if level is None or width is None:
        return None
    try:
        return Window(level=level, width=width)
    except ConfigError:
        raise NotFound from None

"""What the page of a result shows: numbers in words, one row for each output, what may be done."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request

from ladnn.findings import LESIONS, OUTPUTS, Decision
from ladnn.imaging import Window
from ladnn.service import maps, pdf
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import services
from ladnn.service.errors import NotFound
from ladnn.service.i18n import language_of
from ladnn.service.pages import say
from ladnn.service.predictions import is_own, read_maps
from ladnn.service.tables import Case, CaseImage
from ladnn.service.wording import (
    chance,
    point_in_words,
    point_name,
    rule_in_words,
    slice_number,
    study_in_words,
    study_lesions,
)

PRESETS = (("lung", -600, 1500), ("mediastinum", 40, 400), ("bone", 400, 1800))
"""Names of windows, with level and width in HU."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One output of the model.

    Attributes:
        name: `covid` or a lesion's short name.
        probability: in [0, 1].
        calibrated: False where validation had too few examples.
        map: the address of its map.
    """

    name: str
    probability: float
    calibrated: bool
    map: str


def result(
    request: Request,
    principal: Principal,
    case: Case,
    image: CaseImage,
    *,
    shown: str,
    window: Window | None,
) -> dict[str, Any]:
    """The values of `result.html` for one image of a case, with the map `shown`, or `none`.

    `window` is the one that was asked for, None for the image's own.
    """
    rows = _rows(case, image)
    if shown != "none" and shown not in {row.name for row in rows}:
        raise NotFound
    address = f"/results/{case.share_token}"
    return {
        "case": case,
        "image": image,
        "rows": rows,
        "shown": shown,
        "shown_map": next((row.map for row in rows if row.name == shown), None),
        "address": address,
        "link": public_link(request, address),
        "owned": is_own(case, principal),
        "may_judge": principal.may(Permission.GIVE_FEEDBACK),
        "judged": next((one for one in case.feedback if one.author == principal.owner), None),
        "ranked": ranked(case),
        "slice_number": slice_number,
        "point": case.card["point"],
        "rule": rule_in_words(partial(say, request), case.card["point"]["rule"]),
        "chance": chance(case),
        "explanation": point_in_words(partial(say, request), case),
        "study": study_in_words(partial(say, request), case),
        "study_lesions": study_lesions(partial(say, request), case),
        "presets": PRESETS,
        "window": image.window if window is None else [window.level, window.width],
        "window_query": "" if window is None else f"level={window.level:g}&width={window.width:g}",
        "point_name": point_name(partial(say, request), case.operating_point),
    }


def ranked(case: Case) -> list[CaseImage]:
    """The images of a case, those that can be judged first, the most suspicious foremost."""

    def rank(image: CaseImage) -> tuple[bool, float]:
        return image.decision == Decision.NOT_ASSESSABLE, -image.probability

    return sorted(case.images, key=rank)


def image_at(case: Case, position: int | None) -> CaseImage:
    """The image at that position, the most suspicious one for None; NotFound beyond the last."""
    if position is None:
        return ranked(case)[0]
    if not 0 <= position < len(case.images):
        raise NotFound
    return case.images[position]


def public_link(request: Request, path: str) -> str:
    """The whole address of a path, as people reach the site."""
    base = services(request).settings.public_url.rstrip("/")
    return f"{base or str(request.base_url).rstrip('/')}{path}"


def _rows(case: Case, image: CaseImage) -> list[Row]:
    said = image.prediction
    probabilities = [said["covid"]["probability"]]
    probabilities += [] if said["lesions"] is None else [said["lesions"][one] for one in LESIONS]
    calibrated = {"covid": True, **case.card["calibrated"]}
    return [
        Row(
            name=name,
            probability=probability,
            calibrated=calibrated[name],
            map=f"/results/{case.share_token}/maps/{image.position}/{name}.png",
        )
        for name, probability in zip(OUTPUTS, probabilities, strict=False)
    ]


def report(request: Request, case: Case, image: CaseImage) -> bytes:
    """The PDF of a result, in the language of the request."""
    site = services(request)
    return pdf.report(
        partial(say, request),
        language=language_of(request, site.settings.language),
        case=case,
        image=image,
        pixels=maps.pixels_of(site, image),
        heatmap=read_maps(image)[0],
        rows=[(row.name, row.probability, row.calibrated) for row in _rows(case, image)],
        link=public_link(request, f"/results/{case.share_token}"),
    )

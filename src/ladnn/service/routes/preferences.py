"""The choice of a language and of a theme, kept in cookies."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse

from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.accounts.signing_in import safe_path
from ladnn.service.context import services
from ladnn.service.errors import BadRequest
from ladnn.service.i18n import COOKIE, LANGUAGES
from ladnn.service.pages import THEME_COOKIE, THEMES

router = APIRouter(include_in_schema=False)

_YEAR = 31_536_000


@router.post("/preferences")
def choose(
    request: Request,
    _: Annotated[Principal, Depends(requires(Permission.OPERATE))],
    language: Annotated[str | None, Form()] = None,
    theme: Annotated[str | None, Form()] = None,
    back: Annotated[str, Form()] = "/",
) -> RedirectResponse:
    """Remember what was chosen and go back to the page."""
    if language not in (None, *LANGUAGES) or theme not in (None, *THEMES):
        raise BadRequest("error.fields")
    answer = RedirectResponse(safe_path(back), status_code=303)
    for cookie, value in ((COOKIE, language), (THEME_COOKIE, theme)):
        if value is not None:
            secure = services(request).settings.secure
            answer.set_cookie(
                cookie, value, max_age=_YEAR, secure=secure, httponly=True, samesite="lax"
            )
    return answer

"""Pages: templates with the words, the navigation and the tokens that every page has."""

from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Self

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ladnn.service import csrf
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import identify
from ladnn.service.context import services
from ladnn.service.i18n import LANGUAGES, language_of
from ladnn.service.refusals import Refusal, retell
from ladnn.service.wording import moment, percent

THEMES = ("light", "dark")
THEME_COOKIE = "ladnn_theme"
FOLDER = Path(__file__).parent
NAVIGATION: tuple[tuple[str, str, Permission], ...] = (
    ("/", "nav.test", Permission.TEST),
    ("/batches", "nav.batches", Permission.TEST),
    ("/contribute", "nav.contribute", Permission.CONTRIBUTE),
    ("/review", "nav.review", Permission.REVIEW),
    ("/models", "nav.models", Permission.READ_PUBLIC),
    ("/about", "nav.about", Permission.READ_PUBLIC),
    ("/admin", "nav.admin", Permission.MANAGE_ACCOUNTS),
)
"""Address, key of its name, and the permission that whoever sees it has."""


class Told(str):
    """A sentence in the language of a page.

    Attributes:
        again: the same in the language that it is given.
    """

    __slots__ = ("again",)
    again: Callable[[str], str]

    def __new__(cls, language: str, again: Callable[[str], str]) -> Self:
        """What `again` says in the language of the page."""
        told = super().__new__(cls, again(language))
        told.again = again
        return told


def render(
    request: Request,
    template: str,
    status_code: int = 200,
    **values: Any,  # noqa: ANN401  # whatever the template shows
) -> HTMLResponse:
    """Render a template with `values` and with what `base.html` needs."""
    principal = identify(request)
    language = language_of(request, services(request).settings.language)
    theme = request.cookies.get(THEME_COOKIE)
    common = {
        "request": request,
        "t": partial(say, request),
        "language": language,
        "languages": LANGUAGES,
        "theme": theme if theme in THEMES else "",
        "principal": principal,
        "csrf": csrf.token(request),
        "navigation": [
            (path, key, is_here(request, path))
            for path, key, permission in NAVIGATION
            if principal.may(permission)
        ],
        "here": request.url.path,
        "return_to": return_to(request),
        "resend": None,
    }
    return HTMLResponse(_templates().get_template(template).render(common | values), status_code)


def is_here(request: Request, path: str) -> bool:
    """Whether the page belongs to that entry of the navigation."""
    here = request.url.path
    return here == path or (path != "/" and here.startswith(f"{path}/"))


def return_to(request: Request) -> str:
    """The page to come back to, as it was opened; of an address for forms alone the page above."""
    path, query = request.url.path, request.url.query
    if request.method in ("GET", "HEAD"):
        return f"{path}?{query}" if query else path
    template = PurePosixPath(getattr(request.scope.get("route"), "path", "/"))
    while path and str(template) not in request.app.state.opened:
        path, template = path.rpartition("/")[0], template.parent
    return path or "/"


def say(request: Request, key: str, **values: object) -> Told:
    """The sentence of a key in the language of the request."""
    site = services(request)
    language = language_of(request, site.settings.language)

    def again(one: str) -> str:
        within = partial(site.catalogues.say, one)
        told = {
            name: retell(within, value) if isinstance(value, Refusal) else value
            for name, value in values.items()
        }
        return within(key, **told)

    return Told(language, again)


def say_again(request: Request, sentence: str) -> Told:
    """A sentence of the decoder in the language of the request."""
    site = services(request)
    language = language_of(request, site.settings.language)
    return Told(language, lambda one: retell(partial(site.catalogues.say, one), sentence))


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static
    environment.globals["icon"] = icon
    environment.globals["percent"] = percent
    environment.globals["moment"] = moment
    environment.globals["retell"] = retell
    environment.globals["in_each"] = in_each
    return environment


def in_each(sentence: str) -> Markup:
    """Attributes that hold a sentence in every language, where it can be told again."""
    if not isinstance(sentence, Told):
        return Markup()
    words = [(language, sentence.again(language)) for language in LANGUAGES]
    return Markup(" ").join(Markup('data-in-{}="{}"').format(*one) for one in words)


@lru_cache(maxsize=64)
def static(name: str) -> str:
    """The address of a static file, which changes with its content."""
    digest = sha256((FOLDER / "static" / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


@lru_cache(maxsize=64)
def icon(name: str) -> Markup:
    """An SVG icon of the static folder, inline; it is decoration, its text stands beside it."""
    return Markup((FOLDER / "static" / "icons" / f"{name}.svg").read_text(encoding="utf-8"))  # noqa: S704  # our own file

"""Every page of the site in a real browser: what axe-core finds, in both themes, and at a phone's
width; `make screenshots` writes what they look like, to be looked at."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from personas import PASSWORD, carry_over
from playwright.sync_api import Browser, BrowserContext, Page
from showcase import REPORT, Showcase, drawn, furnish, real, refuser
from sites import Site, served
from sqlalchemy import select
from starlette.testclient import TestClient
from tabs import fill_in, payload, send_batch

from ladnn.runtime import Predictor, load_bundle
from ladnn.service.accounts import totp
from ladnn.service.accounts.principals import owner_of
from ladnn.service.accounts.signing_in import sealed_cookie
from ladnn.service.app import ROUTERS, create_app
from ladnn.service.decoding import DecodingPool
from ladnn.service.errors import DatabaseAway, NotAllowed, TooMany
from ladnn.service.i18n import COOKIE
from ladnn.service.routes.provider import LINK_COOKIE, Found
from ladnn.service.settings import Settings
from ladnn.service.tables import Account

FOLDER = os.environ.get("LADNN_SCREENSHOTS", "")
"""Where screenshots go; empty for none. With it, the images and the model are real ones."""
THEMES = ("light", "dark")
PHONE = {"width": 390, "height": 844}
NARROW = {"width": 320, "height": 844}  # as far as pages reflow: WCAG 2.2, 1.4.10
DESK = {"width": 1440, "height": 900}


def propose(tab: Page) -> None:
    fill_in(tab, report=REPORT)
    tab.get_by_role("button", name="Propose lesions").click()
    tab.locator("mark").first.wait_for()


def give_again(tab: Page) -> None:
    fill_in(tab, patient="P-12", source="Ward 3")
    tab.locator("[name=covid]").first.check()
    tab.locator("[name=consent]").check()
    tab.set_input_files("#image", payload("a.png", SENT[0]))
    tab.locator("main button.primary").click()
    tab.locator("[role=alert]:visible").wait_for()


def send_text(tab: Page) -> None:
    tab.set_input_files("#file", payload("notes.png", b"no image at all"))
    tab.locator("[role=alert]:visible").wait_for()


def send_some(tab: Page) -> None:
    send_batch(tab, [("a.png", SENT[0]), ("broken.zip", b"PK\x03\x04 is no archive")])
    tab.get_by_text("1 of 1 answered").wait_for()


def sign_in(who: str) -> Callable[[Page], None]:
    def act(tab: Page) -> None:
        fill_in(tab, email=f"{who}@hospital.org", password=PASSWORD)
        tab.locator("main button.primary").click()
        tab.wait_for_url(re.compile("/sign-in/"))

    return act


def fail_to_sign_in(tab: Page) -> None:
    fill_in(tab, email="nobody@hospital.org", password="wrong")
    tab.locator("main button.primary").click()
    tab.locator("[role=alert]:visible").wait_for()


def make_key(tab: Page) -> None:
    fill_in(tab, name="the ward's workstation")
    tab.locator("[name=scope]").first.check()
    tab.locator("[action='/account/keys'] button").click()
    tab.locator(".once").wait_for()


def set_up_factor(tab: Page) -> None:
    shared = str(tab.locator("code.secret").text_content()).replace(" ", "")
    fill_in(tab, code=totp.code_at(shared, datetime.now(UTC)), proof=PASSWORD)
    tab.locator("main button.primary").click()
    tab.locator(".codes li").first.wait_for()


def verify(tab: Page) -> None:
    tab.locator("[action='/admin/audit/verify'] button").click()
    tab.locator("[role=status]").wait_for()


@dataclass(frozen=True)
class Shown:
    """A page as somebody sees it.

    Attributes:
        route: the path of the route.
        who: has signed in, by the names of `showcase`.
        link: the path, or the name of one in the showcase; "" is the route's own.
        query: of the address.
        act: what is done on it before it is looked at.
        status: of the answer.
    """

    route: str
    who: str = ""
    link: str = ""
    query: str = ""
    act: Callable[[Page], None] | None = None
    status: int = 200


PAGES = {
    "single-empty": Shown("/"),
    "single": Shown("/", "clinician"),
    "single-refused": Shown("/", act=send_text),
    "result": Shown("/results/{token}", "clinician", "result"),
    "result-visitor": Shown("/results/{token}", "", "result"),
    "result-dicom": Shown("/results/{token}", "clinician", "dicom", "?map=GGO"),
    "result-not-assessable": Shown("/results/{token}", "clinician", "refused"),
    "result-study": Shown("/results/{token}", "clinician", "study"),
    "batches-empty": Shown("/batches"),
    "batches": Shown("/batches", "clinician"),
    "batch-sent": Shown("/batches", act=send_some),
    "batch-running": Shown("/batches/{id}", "clinician", "running"),
    "batch": Shown("/batches/{id}", "clinician", "batch", "?sort=probability"),
    "contribute-empty": Shown("/contribute", "newcomer"),
    "contribute-proposed": Shown("/contribute", "clinician", act=propose),
    "contribute-duplicate": Shown("/contribute", "newcomer", act=give_again),
    "contribution": Shown("/contributions/{id}", "clinician", "accepted"),
    "contribution-near": Shown("/contributions/{id}", "clinician", "near"),
    "review": Shown("/review", "curator"),
    "review-empty": Shown("/review", "giver"),
    "review-settled": Shown("/review", "curator", "", "?state=accepted"),
    "review-case": Shown("/review/{id}", "curator", "waiting"),
    "review-second": Shown("/review/{id}", "curator", "disputed"),
    "review-corrected": Shown("/review/{id}", "curator", "corrected"),
    "review-rejected": Shown("/review/{id}", "curator", "settled"),
    "datasets": Shown("/review/datasets", "curator"),
    "models": Shown("/models", "administrator"),
    "models-visitor": Shown("/models"),
    "bundle": Shown("/models/bundle"),
    "model": Shown("/models/{label}", "administrator", "/models/tiny-2"),
    "compare": Shown("/models/compare", "", "", "?first=tiny-2&second=tiny-3"),
    "compare-impossible": Shown("/models/compare", "", "", "?first=tiny-1&second=tiny-3"),
    "about": Shown("/about"),
    "api": Shown("/about/api"),
    "sign-in": Shown("/sign-in"),
    "sign-in-wrong": Shown("/sign-in", act=fail_to_sign_in),
    "sign-in-code": Shown("/sign-in/code", link="/sign-in", act=sign_in("curator")),
    "sign-in-factor": Shown("/sign-in/second-factor", link="/sign-in", act=sign_in("giver")),
    "setup": Shown("/setup/{token}", link="setup"),
    "account": Shown("/account", "curator"),
    "account-key-made": Shown("/account", "clinician", act=make_key),
    "account-link": Shown("/account/provider/link", "curator"),
    "account-factor": Shown("/account/second-factor", "newcomer"),
    "account-factor-codes": Shown("/account/second-factor", "newcomer", act=set_up_factor),
    "account-factor-ready": Shown("/account/second-factor", "curator"),
    "admin-accounts": Shown("/admin/accounts", "administrator"),
    "admin-keys": Shown("/admin/keys", "administrator"),
    "admin-audit": Shown("/admin/audit", "administrator"),
    "admin-audit-verified": Shown("/admin/audit", "administrator", act=verify),
    "admin-retention": Shown("/admin/retention", "administrator"),
    "error-401": Shown("/account", status=401),
    "error-403": Shown("/broken/{status}", "", "/broken/403", status=403),
    "error-404": Shown("/broken/{status}", "", "/nowhere", status=404),
    "error-429": Shown("/broken/{status}", "", "/broken/429", status=429),
    "error-500": Shown("/broken/{status}", "", "/broken/500", status=500),
    "error-503": Shown("/broken/{status}", "", "/broken/503", status=503),
}

NO_PAGES = {
    "/admin",
    "/admin/audit.csv",
    "/batches/{id}/results.csv",
    "/batches/{id}/results.zip",
    "/contributions/{id}/image.png",
    "/healthz",
    "/metrics",
    "/readyz",
    "/results/{token}/images/{position}.png",
    "/results/{token}/maps/{position}/{name}.png",
    "/results/{token}/overlay.png",
    "/results/{token}/prediction.json",
    "/results/{token}/report.pdf",
    "/review/datasets/{number}.zip",
    "/account/provider",
    "/sign-in/provider",
    "/sign-in/provider/back",
}
"""Files, and ways to elsewhere."""

SENT = drawn().scans
ERRORS = {403: NotAllowed(), 429: TooMany(seconds=30), 503: DatabaseAway()}


@pytest.fixture(scope="module")
def showcase(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    decoder: DecodingPool,
    prepared_sqlite: Path,
    tiny_predictor: Predictor,
) -> Iterator[Showcase]:
    """One furnished site for all pages."""
    folder = tmp_path_factory.mktemp("showcase")
    database = folder / "site.db"
    database.write_bytes(prepared_sqlite.read_bytes())
    usual = tiny_predictor
    album = drawn()
    if FOLDER:
        album = real(request.getfixturevalue("data_root"))
        usual = Predictor(load_bundle("default"), threads=1)
        SENT[:1] = album.scans[:1]
    answering = [refuser(folder / "refuser"), usual]
    settings = Settings(
        database_url=f"sqlite:///{database}",
        storage=str(folder / "files"),
        log_level="error",
        oidc_issuer="https://sso.hospital.org",
        oidc_client_id="ladnn",
        oidc_client_secret="none",
        oidc_name="Hospital sign-on",
        oidc_roles=("radiology=clinician",),
    )
    app = create_app(settings, lambda: answering[-1], decoder)
    app.add_api_route("/broken/{status}", _break)
    site = Site(app, TestClient(app, follow_redirects=False))
    yield furnish(site, folder, album, answering)
    site.services.database.dispose()


def _break(status: int) -> None:
    raise ERRORS.get(status, RuntimeError("broken"))


@pytest.fixture(scope="module")
def at(showcase: Showcase) -> Iterator[str]:
    with served(showcase.site.app) as address:
        yield address


@pytest.fixture(scope="module")
def contexts(chromium: Browser, at: str, showcase: Showcase) -> Iterator[dict[str, BrowserContext]]:
    """A browser's window for everybody."""
    made = {}
    for who, browser in showcase.browsers.items():
        context = chromium.new_context(base_url=at, bypass_csp=True)  # for axe-core alone
        context.set_default_timeout(20_000)
        if who:
            carry_over(showcase.site, browser, context, at)
        if who == "curator":
            context.add_cookies([{"name": LINK_COOKIE, "value": found(showcase), "url": at}])
        made[who] = context
    yield made
    for context in made.values():
        context.close()


def found(showcase: Showcase) -> str:
    """What the browser keeps when its person comes back from the provider, and stays a while."""
    site = showcase.site.services
    query = select(Account).where(Account.email == "curator@hospital.org")
    account = site.database.read(lambda session: session.scalars(query).one())
    person = Found(
        owner=owner_of(account),
        since=int(site.clock().timestamp()) + 86_400,
        issuer="https://sso.hospital.org",
        subject="s-1",
        email=account.email,
        role=account.role,
    )
    return sealed_cookie(site, LINK_COOKIE, person)


@pytest.fixture
def tab(contexts: dict[str, BrowserContext], showcase: Showcase, shown: Shown) -> Iterator[Page]:
    """The page, opened."""
    tab = contexts[shown.who].new_page()
    tab.set_viewport_size(DESK)  # type: ignore[arg-type]
    tab.emulate_media(color_scheme="light")
    path = showcase.links.get(shown.link, shown.link or shown.route)
    answer = tab.goto(path + shown.query)
    assert answer is not None
    assert answer.status == shown.status, path
    if shown.act:
        shown.act(tab)
    yield tab
    tab.close()


HELD_TOO = ("empty-table-header", "landmark-unique")
"""Rules of axe-core that are less than serious and hold on every page all the same."""


def faults(tab: Page, *rules: str) -> list[tuple[str, str]]:
    options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    return [
        (one["id"], one["nodes"][0]["html"])
        for one in Axe().run(tab, options=options).response["violations"]
        if one["impact"] in ("serious", "critical") or one["id"] in HELD_TOO
    ]


WIDER_THAN_THEIR_PLACE = """
    [...document.querySelectorAll(".listed")]
        .filter(one => one.scrollWidth > one.parentElement.clientWidth)
        .map(one => one.closest("[aria-label]").ariaLabel)
"""
"""Tables that become lists on a phone, and yet have to be scrolled sideways there."""


@pytest.mark.parametrize("shown", PAGES.values(), ids=PAGES)
def test_axe_finds_nothing_serious_in_either_theme_and_a_phone_shows_it_whole(
    tab: Page, request: pytest.FixtureRequest
):
    assert faults(tab) == []
    tab.emulate_media(color_scheme="dark")
    assert faults(tab, "color-contrast") == []
    for place in (NARROW, PHONE):
        tab.set_viewport_size(place)  # type: ignore[arg-type]
        assert tab.evaluate("document.documentElement.scrollWidth") <= place["width"]
    assert tab.evaluate(WIDER_THAN_THEIR_PLACE) == []
    if FOLDER:
        photograph(tab, request.node.callspec.id)


def photograph(tab: Page, name: str) -> None:
    """Write the page in both themes, at a phone's width and, as it was opened, in Chinese."""
    folder = Path(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=folder / f"{name}-phone.png", full_page=True)
    tab.set_viewport_size(DESK)  # type: ignore[arg-type]
    for theme in THEMES:
        tab.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        tab.screenshot(path=folder / f"{name}-{theme}.png", full_page=True)
    if PAGES[name].act is None:
        tab.context.add_cookies([{"name": COOKIE, "value": "zh", "url": tab.url}])
        tab.reload()
        tab.screenshot(path=folder / f"{name}-chinese.png", full_page=True)
        tab.context.clear_cookies(name=COOKIE)


def test_no_page_is_left_out(showcase: Showcase):
    known = {shown.route for shown in PAGES.values()} | NO_PAGES
    served = {
        route.path  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if "GET" in route.methods  # type: ignore[attr-defined]
    }
    assert {path for path in served if not path.startswith("/api/")} - known == set()

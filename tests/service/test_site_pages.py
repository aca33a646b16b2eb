"""Every page: its words in both languages, its headers, its weight; and what machines ask for."""

import re
from importlib import resources
from pathlib import Path
from string import Formatter

import pytest
from sites import Site, sqlite_url
from starlette.testclient import TestClient

from ladnn.service.i18n import LANGUAGES, read_catalogues
from ladnn.service.tables import Secret

FOLDER = Path(str(resources.files("ladnn.service")))
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
SOURCES = [*TEMPLATES, *FOLDER.rglob("*.py")]
WORDS = read_catalogues().words
USED = re.compile(r"""\b(?:t|say)\((?:request, )?["']([a-z_]+\.[A-Za-z0-9_]+)["'](?! ~)""")


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def test_every_language_has_the_same_sentences():
    assert {language: set(WORDS[language]) ^ set(WORDS["en"]) for language in LANGUAGES} == {
        language: set() for language in LANGUAGES
    }


def test_a_sentence_has_the_same_placeholders_in_every_language():
    differing = [
        key
        for key, sentence in WORDS["en"].items()
        if any(fields(sentence) != fields(WORDS[language][key]) for language in LANGUAGES)
    ]
    assert differing == []


def test_chinese_has_chinese_punctuation():
    narrow = re.compile(r"[\u4e00-\u9fff][,:;?!()]|[,:;?!()][\u4e00-\u9fff]")
    assert [key for key, sentence in WORDS["zh"].items() if narrow.search(sentence)] == []


def test_every_sentence_that_is_asked_for_exists():
    asked = {key for path in SOURCES for key in USED.findall(path.read_text(encoding="utf-8"))}
    assert asked - set(WORDS["en"]) == set()
    assert len(asked) > 50


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_words_of_its_own(path: Path):
    source = re.sub(r"\{% block (title|width) %\}.*?\{%", "{%", path.read_text(encoding="utf-8"))
    text = re.sub(r"\{[{%#].*?[}%#]\}|<[^>]*>", " ", source, flags=re.DOTALL)
    allowed = {
        "LA-DNN",
        "PDF",
        "JSON",
        "SHA-",
        "CSV",
        "ZIP",
        "API",
        "OpenAPI",
        "COVID-19",
        "AUC",
    }
    assert set(re.findall(r"[A-Za-z][A-Za-z-]+", text)) - allowed == set()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_script_or_style_within(path: Path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text) == []


def test_the_first_page_weighs_less_than_150_kb_and_asks_nobody_else(page: Site):
    first = page.client.get("/")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', first.text)
    assert [one for one in addresses if "//" in one] == []
    parts = [page.client.get(one) for one in addresses if one.startswith("/static/")]
    assert all(part.status_code == 200 for part in parts)
    assert len(first.content) + sum(len(part.content) for part in parts) < 150_000


def test_a_browser_may_keep_a_static_file_also_after_it_asked_for_it_again(page: Site):
    [sheet] = re.findall(r'href="(/static/app\.css[^"]*)"', page.client.get("/").text)
    whole = page.client.get(sheet)
    again = page.client.get(sheet, headers={"if-none-match": whole.headers["etag"]})
    assert (whole.status_code, again.status_code) == (200, 304)
    assert whole.headers["cache-control"] == again.headers["cache-control"]
    assert "immutable" in again.headers["cache-control"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/healthz", "/api/v1/predictions/none"])
def test_every_answer_has_the_headers_that_protect(page: Site, path: str):
    headers = page.client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in headers


def test_behind_https_cookies_are_for_https_alone(make_site, database_url: str):  # type: ignore[no-untyped-def]
    site = make_site(database_url, public_url="https://ladnn.example.org")
    answer = site.client.get("/")
    assert "strict-transport-security" in answer.headers
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax"))


def test_a_page_speaks_the_language_of_the_browser_and_the_one_that_was_chosen(page: Site):
    assert 'lang="zh"' in page.client.get("/", headers={"accept-language": "zh-CN,en"}).text
    form = {"language": "zh", "back": "/", "csrf": token(page)}
    assert page.client.post("/preferences", data=form).headers["location"] == "/"
    assert 'lang="zh"' in page.client.get("/", headers={"accept-language": "en"}).text


def test_a_theme_that_was_chosen_stays(page: Site):
    page.client.post("/preferences", data={"theme": "dark", "csrf": token(page)})
    assert 'data-theme="dark"' in page.client.get("/").text


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_the_way_back_never_leaves_the_site(page: Site, back: str):
    form = {"theme": "dark", "back": back, "csrf": token(page)}
    assert page.client.post("/preferences", data=form).headers["location"] == "/"


def token(page: Site) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', page.client.get("/").text)
    assert found is not None
    return found[1]


def test_a_form_without_its_token_is_refused(page: Site):
    page.client.get("/")
    assert page.client.post("/preferences", data={"theme": "dark"}).status_code == 403


def test_a_form_of_another_site_is_refused(page: Site, scan: bytes):
    for path in ("/", "/api/v1/predictions"):
        answer = page.client.post(
            path, files={"file": ("a.png", scan)}, headers={"origin": "https://evil.example"}
        )
        assert answer.status_code == 403


@pytest.mark.parametrize(("kind", "welcomed"), [("document", True), ("empty", False)])
def test_a_page_that_refuses_gives_an_identity_and_what_a_script_is_refused_none(
    page: Site, kind: str, welcomed: bool
):
    headers = {"sec-fetch-site": "same-origin", "sec-fetch-dest": kind}
    answer = page.browser().post("/contribute/report", data={"report": "x"}, headers=headers)
    assert answer.status_code in (401, 403)
    assert ("ladnn_visitor" in answer.cookies) == welcomed


def test_a_forged_visitor_is_nobody(page: Site, scan: bytes):
    page.client.get("/")
    sent = page.client.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
    visitor = page.client.cookies["ladnn_visitor"].split(".")[0]
    forger = page.browser()
    forger.cookies.set("ladnn_visitor", f"{visitor}.{'0' * 64}")
    assert forger.get(f"/api/v1/predictions/{sent['id']}").status_code == 404


def test_health_and_readiness_are_told(site: Site):
    assert site.client.get("/healthz").status_code == 200
    assert site.client.get("/readyz").status_code == 200


def test_a_site_whose_database_is_away_is_alive_but_not_ready(page: Site, monkeypatch):  # type: ignore[no-untyped-def]
    from ladnn.service.errors import DatabaseAway

    def away(*_: object) -> None:
        raise DatabaseAway

    monkeypatch.setattr(page.services.database, "_run", away)
    ready = page.client.get("/readyz")
    assert (page.client.get("/healthz").status_code, ready.status_code) == (200, 503)
    assert ready.headers["retry-after"] == "5"


ADDRESSES = ("192.0.2.7", "10.1.0.0/16", "2001:db8::/32", "::ffff:198.51.100.0/120")


@pytest.mark.parametrize(
    ("caller", "status"),
    [
        ("192.0.2.7", 200),
        ("::ffff:192.0.2.7", 200),
        ("192.0.2.8", 403),
        ("10.1.255.1", 200),
        ("10.2.0.1", 403),
        ("2001:DB8:0:0::9", 200),
        ("2001:db9::1", 403),
        ("198.51.100.77", 200),
        ("testclient", 403),
    ],
)
def test_metrics_are_for_the_addresses_and_networks_of_the_settings(  # type: ignore[no-untyped-def]
    make_site, tmp_path: Path, request: pytest.FixtureRequest, caller: str, status: int
):
    site = make_site(sqlite_url(request, tmp_path), metrics_from=ADDRESSES)
    answer = TestClient(site.app, client=(caller, 1)).get("/metrics")
    assert answer.status_code == status
    assert ("ladnn_requests_total" in answer.text) == (status == 200)


def test_metrics_count_predictions_and_requests_by_their_route(  # type: ignore[no-untyped-def]
    make_site, database_url: str, scan: bytes
):
    shut, open_ = (
        make_site(database_url, metrics_from=addresses) for addresses in ((), ("192.0.2.7",))
    )
    open_.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
    callers = [TestClient(site.app, client=("192.0.2.7", 1)) for site in (shut, open_)]
    said = [caller.get("/metrics") for caller in callers]
    assert [answer.status_code for answer in said] == [403, 200]
    assert 'ladnn_predictions_total{decision="' in said[1].text
    assert 'route="/api/v1/predictions"' in said[1].text


def test_replicas_share_one_secret(make_site, database_url: str):  # type: ignore[no-untyped-def]
    first, second = make_site(database_url), make_site(database_url)
    assert first.services.secret == second.services.secret
    assert len(first.services.secret) == 32
    assert Secret.__tablename__ == "secrets"


def test_the_interface_is_described_as_openapi_3_1(page: Site):
    description = page.client.get("/api/v1/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    responses = description["paths"]["/api/v1/predictions"]["post"]["responses"]
    assert {"200", "201", "413", "422", "507"} <= set(responses)


def test_an_error_of_the_interface_is_problem_json(page: Site):
    answer = page.client.post("/api/v1/predictions")
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "errors"} <= set(answer.json())


def test_about_names_the_lesions_that_the_model_which_answers_has_uncalibrated(page: Site):
    card = page.services.predictor().card
    told = page.client.get("/about").text
    [said] = re.findall(r"for a calibrated probability: (.*?)\. Results say", told)
    rare = {
        WORDS["en"][f"output.{name}"] for name, one in card.lesions.items() if not one.calibrated
    }
    assert set(said.split(", ")) == rare

"""No other site acts for somebody: tokens, origins, cookies, headers."""

from dataclasses import replace

import pytest
from personas import PASSWORD, as_role, browser_of, key_of, make_account, post, token_on
from sites import MakeSite, Site
from starlette.requests import Request

from ladnn.service import csrf
from ladnn.service.accounts.permissions import Role

PREFERENCE = {"theme": "dark", "back": "/"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "http://testserver.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_a_form_sent_from_another_origin_is_refused_even_with_its_token(
    page: Site, headers: dict[str, str]
):
    fields = PREFERENCE | {"csrf": token_on(page.client)}
    assert page.client.post("/preferences", data=fields, headers=headers).status_code == 403


def test_a_form_sent_from_this_site_is_taken(page: Site):
    fields = PREFERENCE | {"csrf": token_on(page.client)}
    headers = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    assert page.client.post("/preferences", data=fields, headers=headers).status_code == 303


@pytest.mark.parametrize(
    ("public", "origin", "own"),
    [
        ("https://LADNN.Example.org:443", "https://ladnn.example.org", True),
        ("https://ladnn.example.org", "https://ladnn.example.org", True),
        ("http://ladnn.example.org:80", "http://ladnn.example.org", True),
        ("https://ladnn.example.org:8443", "https://ladnn.example.org", False),
        ("https://ladnn.example.org:80", "https://ladnn.example.org", False),
        ("", "http://127.0.0.1:8000", True),
        ("", "http://127.0.0.1", False),
    ],
)
def test_the_site_s_own_address_is_known_in_any_writing(
    page: Site, public: str, origin: str, own: bool
):
    settings = replace(page.services.settings, public_url=public)
    page.app.state.services = replace(page.services, settings=settings)
    headers = [(b"origin", origin.encode()), (b"host", b"127.0.0.1:8000")]
    request = Request({"type": "http", "headers": headers, "app": page.app})
    assert csrf._is_own_origin(request) == own


def test_a_form_needs_the_token_of_this_very_session(page: Site):
    account = make_account(page, Role.CLINICIAN)
    one, two = browser_of(page, account), browser_of(page, account)
    stolen = token_on(two)
    for token in ("", "0" * 64, stolen, token_on(page.browser())):
        answer = one.post("/account/sessions/end", data={"csrf": token})
        assert answer.status_code == 403
    assert post(one, "/account/sessions/end", "/account").status_code == 303


def test_nobody_is_signed_in_by_a_form_that_was_not_shown_to_them(page: Site):
    make_account(page, Role.CLINICIAN, "a@h.org", PASSWORD)
    fields = {"email": "a@h.org", "password": PASSWORD}
    assert page.browser().post("/sign-in", data=fields).status_code == 403


def test_a_program_with_a_key_or_without_cookies_needs_no_token(page: Site, scan: bytes):
    header = key_of(page, make_account(page, Role.CLINICIAN), "test")
    for headers in (header, {}):
        files = {"file": ("scan.png", scan, "image/png")}
        answer = page.browser().post("/api/v1/predictions", files=files, headers=headers)
        assert answer.status_code == 201


def test_a_browser_with_a_session_needs_a_token_for_the_interface_too(page: Site, scan: bytes):
    browser = as_role(page, Role.CLINICIAN)
    files = {"file": ("scan.png", scan, "image/png")}
    here = {"origin": "http://testserver"}
    assert browser.post("/api/v1/predictions", files=files, headers=here).status_code == 403


def test_what_a_page_sends_after_its_session_ended_goes_to_nobody(page: Site, scan: bytes):
    browser = as_role(page, Role.CLINICIAN)
    headers = {"origin": "http://testserver", "x-csrf-token": token_on(browser, "/batches")}
    for cookie in ({"ladnn_session": "over"}, {}):  # the browser drops it after `session_hours`
        stranger = page.browser()
        stranger.cookies.update(cookie)
        begun = stranger.post("/api/v1/batches", headers=headers)
        assert begun.status_code == (401 if cookie else 403)
        tested = stranger.post("/api/v1/predictions", headers=headers, files={"file": scan})
        assert tested.status_code == begun.status_code
    stranger.cookies.update({"ladnn_session": "over"})
    here = {"origin": "http://testserver"}
    assert stranger.post("/api/v1/batches", headers=here).status_code == 401


def test_one_s_own_things_are_not_called_gone_when_the_session_is_over(page: Site):
    browser = as_role(page, Role.CLINICIAN)
    headers = {"origin": "http://testserver", "x-csrf-token": token_on(browser, "/batches")}
    batch = browser.post("/api/v1/batches", headers=headers).json()["id"]
    browser.cookies.set("ladnn_session", "over")
    answer = browser.get(f"/batches/{batch}")
    assert answer.status_code == 401
    assert f"/sign-in?back=/batches/{batch}" in answer.text
    assert browser.get(f"/api/v1/batches/{batch}").status_code == 401
    assert page.browser().get(f"/batches/{batch}").status_code == 404
    assert "This link was used" in browser.get("/setup/nothing").text


def test_a_key_that_does_not_work_is_told_so_and_is_not_a_visitor(page: Site, scan: bytes):
    files = {"file": ("scan.png", scan, "image/png")}
    header = {"authorization": "Bearer ladnn_nothing"}
    answer = page.client.post("/api/v1/predictions", files=files, headers=header)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert page.client.get("/", headers=header).status_code == 401


def test_cookies_are_kept_from_scripts_other_sites_and_the_clear(page: Site, make_site: MakeSite):
    url = page.services.settings.database_url
    site = make_site(url, public_url="https://ladnn.example.org")
    make_account(site, Role.CLINICIAN, "a@h.org", PASSWORD)
    site.client.base_url = "https://ladnn.example.org"
    answer = post(site.client, "/sign-in", email="a@h.org", password=PASSWORD)
    cookies = [one for one in answer.headers.get_list("set-cookie") if "Max-Age=0" not in one]
    cookies += site.browser().get("/").headers.get_list("set-cookie")
    names = [one.partition("=")[0] for one in cookies]
    assert names == [f"__Host-ladnn_{name}" for name in ("session", "browser", "visitor")]
    for cookie, age in zip(cookies, (43_200, 31_536_000, 31_536_000), strict=True):
        for mark in ("httponly", "secure", "samesite=lax", "path=/", f"max-age={age}"):
            assert mark in cookie.lower()
        assert "Domain" not in cookie
    assert "max-age=" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nothing", "/api/v1/predictions/x"])
def test_every_answer_carries_the_headers_that_keep_a_browser_to_this_site(page: Site, path: str):
    headers = page.client.get(path).headers
    policy = headers["content-security-policy"]
    for rule in ("default-src 'self'", "frame-ancestors 'none'", "form-action 'self'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_a_limit_on_requests_is_a_429_with_the_time_to_wait(page: Site, make_site: MakeSite):
    site = make_site(page.services.settings.database_url, requests_per_minute=3)
    statuses = [site.client.get("/sign-in").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    answer = site.client.get("/api/v1/predictions/x")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    mine = as_role(site, Role.CLINICIAN)
    assert mine.get("/account").status_code == 200
    assert site.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("asked", "headers", "refused"),
    [
        ("POST /sign-in", {}, 403),
        ("POST /preferences", {}, 403),
        ("POST /sign-in", {"origin": "https://evil.example"}, 403),
        ("GET /api/v1/predictions", {"authorization": "Bearer x"}, 401),
        ("GET /account", {"cookie": "ladnn_session=over"}, 401),
    ],
)
def test_what_is_refused_counts_for_its_address(
    page: Site, make_site: MakeSite, asked: str, headers: dict[str, str], refused: int
):
    site = make_site(page.services.settings.database_url, requests_per_minute=3)
    said = [site.client.request(*asked.split(), headers=headers).status_code for _ in range(5)]
    assert said == [refused] * 3 + [429] * 2


def test_readiness_counts_by_itself_and_health_not_at_all(page: Site, make_site: MakeSite):
    site = make_site(page.services.settings.database_url, requests_per_minute=3)
    assert {site.client.get("/sign-in").status_code for _ in range(4)} == {200, 429}
    assert [site.client.get("/readyz").status_code for _ in range(4)] == [200] * 3 + [429]
    assert {site.client.get("/healthz").status_code for _ in range(9)} == {200}


@pytest.mark.parametrize("path", ["/", "/about", "/nothing", "/account", "/api/v1/openapi.json"])
def test_the_head_of_a_page_is_that_of_the_page(page: Site, path: str):
    whole, head = page.browser().get(path), page.browser().head(path)
    assert head.status_code == whole.status_code
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert abs(int(head.headers["content-length"]) - len(whole.content)) < 100  # of tokens
    assert head.content == b""


def test_what_a_visitor_sends_in_a_day_has_a_limit_and_an_account_s_has_not(
    page: Site, make_site: MakeSite, scan: bytes
):
    site = make_site(page.services.settings.database_url, visitor_mib_per_day=1)
    large = {"file": ("scan.png", scan + bytes(900_000), "image/png")}
    small = {"file": ("scan.png", scan, "image/png")}
    assert site.client.post("/api/v1/predictions", files=large).status_code == 201
    refused = site.client.post("/api/v1/predictions", files=large)
    assert (refused.status_code, "stored" in refused.json()["detail"]) == (429, True)
    assert int(refused.headers["retry-after"]) > 60
    assert site.client.post("/api/v1/predictions", files=small).status_code == 201
    key = key_of(site, make_account(site, Role.CLINICIAN), "test")
    sent = [site.client.post("/api/v1/predictions", files=large, headers=key) for _ in "12"]
    assert {answer.status_code for answer in sent} == {200, 201}


@pytest.mark.parametrize(("slices", "status"), [(10, 422), (2000, 202)])
def test_a_request_brings_a_thousand_files_or_those_of_a_longer_study(
    page: Site, make_site: MakeSite, slices: int, status: int
):
    site = make_site(page.services.settings.database_url, slices=slices)
    batch = site.client.post("/api/v1/batches").json()["id"]
    files = [("file", (f"{n}.txt", b"no image %d" % n)) for n in range(1001)]
    answer = site.client.post(f"/api/v1/batches/{batch}/items", files=files)
    wanted = 201 if status == 202 else status  # none of them waits: each has failed
    assert answer.status_code == wanted, answer.text
    if status == 422:
        assert "at most 1000 files" in answer.json()["detail"]


def test_tests_of_visitors_have_a_limit_of_their_own(page: Site, make_site: MakeSite, scan: bytes):
    site = make_site(page.services.settings.database_url, visitor_tests_per_minute=1)
    files = {"file": ("scan.png", scan, "image/png")}
    statuses = [site.client.post("/api/v1/predictions", files=files).status_code for _ in range(2)]
    assert statuses == [201, 429]
    assert site.client.get("/sign-in").status_code == 200

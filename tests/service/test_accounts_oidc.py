"""Signing in at a real OpenID provider that runs on loopback."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey
from openid import CLIENT, LEFT_OUT, SECRET, OpenId
from personas import PASSWORD, browser_of, give_factor, make_account, post
from playwright.sync_api import Page, expect
from sites import MakeSite, Site, served
from starlette.testclient import TestClient
from tabs import enter, fill_in
from test_accounts_meanwhile import change_during

from ladnn.errors import ConfigError
from ladnn.service import audit_log
from ladnn.service.accounts import totp
from ladnn.service.accounts.oidc import mapped_role
from ladnn.service.accounts.permissions import Role
from ladnn.service.settings import Settings
from ladnn.service.tables import Account, AuditEvent
from ladnn.service.tables_accounts import Identity


@pytest.fixture(scope="module")
def running() -> Iterator[OpenId]:
    provider = OpenId()
    with served(provider.app()) as address:
        provider.issuer = address
        yield provider


@pytest.fixture
def provider(running: OpenId) -> OpenId:
    running.claims = {
        "sub": "s-1",
        "email": "Lee@hospital.org",
        "name": "Lee",
        "roles": ["radiology", "staff"],
    }
    running.wrong, running.forge = {}, False
    return running


def settings_of(provider: OpenId) -> dict[str, object]:
    return {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "oidc_roles": ("radiology=clinician", "research=curator", "it=administrator"),
    }


@pytest.fixture
def site(database_url: str, make_site: MakeSite, provider: OpenId) -> Site:
    return make_site(database_url, **settings_of(provider))


def travel(browser: TestClient, start: str = "/sign-in/provider") -> str:
    """To the provider and to the address it sends back to, which is not opened yet."""
    away = browser.get(start)
    assert away.status_code == 303, away.text
    answer = httpx2.get(away.headers["location"])
    back = urlsplit(answer.headers["location"])
    return f"{back.path}?{back.query}"


def link(browser: TestClient, **fields: str) -> int:
    """Go to the provider, come back, and say who one is; the status of the last answer."""
    back = browser.get(travel(browser, "/account/provider"))
    if back.status_code != 303:
        return back.status_code
    assert back.headers["location"] == "/account/provider/link"
    return post(browser, back.headers["location"], back.headers["location"], **fields).status_code


def lines(site: Site, action: str) -> list[AuditEvent]:
    wanted = audit_log.Filter(action=action)
    return site.services.database.read(lambda session: audit_log.browse(session, wanted))


def is_in(browser: TestClient) -> bool:
    return browser.get("/account").status_code == 200


def test_a_person_with_a_role_gets_an_account_and_is_in_and_finds_it_again(site: Site):
    for browser in (site.browser(), site.browser()):
        answer = browser.get(travel(browser, "/sign-in/provider?back=/account"))
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        assert is_in(browser)
    (account,) = site.services.database.read(lambda s: s.query(Account).all())
    assert (account.email, account.role) == ("lee@hospital.org", "clinician")


def test_a_person_without_a_role_gets_no_account(site: Site, provider: OpenId):
    provider.claims["roles"] = ["kitchen"]
    assert site.client.get(travel(site.client)).status_code == 403
    assert site.services.database.read(lambda s: s.query(Account).count()) == 0


def test_the_role_follows_the_claim_and_the_highest_counts(site: Site, provider: OpenId):
    site.client.get(travel(site.client))
    provider.claims |= {"roles": ["radiology", "research"], "amr": ["pwd", "mfa"]}
    again = site.browser()
    again.get(travel(again))
    assert is_in(again)
    (role,) = site.services.database.read(lambda s: [one.role for one in s.query(Account)])
    assert role == "curator"


def test_a_curator_without_a_second_factor_at_the_provider_needs_one_here(
    site: Site, provider: OpenId
):
    provider.claims["roles"] = "research"
    answer = site.client.get(travel(site.client))
    assert answer.headers["location"] == "/sign-in/second-factor"
    assert not is_in(site.client)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"nonce": "another"},
        {"nonce": LEFT_OUT},
        {"nonce": None},
        {"exp": 1_000_000_000},
        {"sub": LEFT_OUT},
        {"sub": None},
        {"sub": ""},
        {"sub": 17},
        {"sub": True},
        {"sub": ["s-1"]},
    ],
    ids=lambda wrong: "-".join(map(str, next(iter(wrong.items())))),
)
def test_a_token_that_does_not_hold_is_refused(
    page_site: Site, provider: OpenId, wrong: dict[str, object]
):
    provider.wrong = wrong
    assert page_site.client.get(travel(page_site.client)).status_code == 403
    assert not is_in(page_site.client)


@pytest.fixture
def page_site(page: Site, make_site: MakeSite, provider: OpenId) -> Site:
    return make_site(page.services.settings.database_url, **settings_of(provider))


def test_a_token_signed_by_another_key_is_refused(page_site: Site, provider: OpenId):
    provider.forge = True
    assert page_site.client.get(travel(page_site.client)).status_code == 403


def test_a_key_that_took_anothers_place_under_its_name_is_asked_for_and_not_often(
    page_site: Site, provider: OpenId, monkeypatch: pytest.MonkeyPatch
):
    assert page_site.client.get(travel(page_site.client)).status_code == 303  # the key is known
    asked = provider.keys_asked
    monkeypatch.setattr(provider, "key", RSAKey.generate_key(2048, {"kid": "one"}))
    again = page_site.browser()
    assert again.get(travel(again)).status_code == 303
    assert is_in(again)
    provider.forge = True
    for _ in range(2):
        other = page_site.browser()
        assert other.get(travel(other)).status_code == 403
    assert provider.keys_asked == asked + 1


def test_an_answer_is_refused_in_a_browser_that_was_not_sent(page_site: Site):
    back = travel(page_site.client)
    assert page_site.browser().get(back).status_code == 403


def test_an_answer_with_another_state_is_refused(page_site: Site):
    back = travel(page_site.client)
    assert page_site.client.get(f"{back}x").status_code == 403


def test_an_answer_is_taken_once(page_site: Site):
    back = travel(page_site.client)
    assert page_site.client.get(back).status_code == 303
    assert page_site.client.get(back).status_code == 403


def test_an_account_with_the_same_address_is_not_taken_over(page_site: Site):
    make_account(page_site, Role.ADMINISTRATOR, "lee@hospital.org")
    answer = page_site.client.get(travel(page_site.client))
    assert answer.status_code == 403
    assert "link it" in answer.text
    assert not is_in(page_site.client)


def test_a_linked_account_is_signed_in_to_and_belongs_to_one(site: Site):
    mine = make_account(site, Role.CLINICIAN, "lee@hospital.org", PASSWORD)
    other = make_account(site, Role.CLINICIAN, "other@hospital.org", PASSWORD)
    here, there = browser_of(site, mine), browser_of(site, other)
    assert link(here, proof=PASSWORD) == 303
    assert link(there, proof=PASSWORD) == 403
    browser = site.browser()
    browser.get(travel(browser))
    assert is_in(browser)
    owners = site.services.database.read(lambda s: [i.account_id for i in s.query(Identity)])
    assert owners == [mine.id]


def identities(site: Site) -> int:
    return site.services.database.read(lambda s: s.query(Identity).count())


def test_a_stolen_session_links_nobody(page_site: Site, provider: OpenId):
    account = make_account(page_site, Role.ADMINISTRATOR, "boss@h.org", PASSWORD)
    shared = give_factor(page_site, account)
    stolen = browser_of(page_site, account)
    code = totp.code_at(shared, page_site.services.clock())
    assert link(stolen) == 422
    assert link(stolen, proof="wrong", code=code) == 422
    assert link(stolen, proof=PASSWORD, code="000000") == 422
    assert identities(page_site) == 0
    assert len(lines(page_site, "account.refuse")) == 2
    assert len(lines(page_site, "second_factor.refuse")) == 1
    assert link(stolen, proof=PASSWORD, code=code) == 303
    assert identities(page_site) == 1


def test_codes_cannot_be_guessed_by_the_form_for_linking(page_site: Site):
    account = make_account(page_site, Role.CLINICIAN, "c@h.org", PASSWORD)
    give_factor(page_site, account)
    browser = browser_of(page_site, account)
    said = [link(browser, proof=PASSWORD, code="000000") for _ in range(6)]
    assert said == [422] * 5 + [429]


def test_an_account_without_a_password_is_linked_and_unlinked_by_nobody(page_site: Site):
    browser = page_site.browser()
    browser.get(travel(browser))
    assert browser.get("/account/provider").status_code == 422
    mail = "lee@hospital.org"
    assert post(browser, "/account/provider/unlink", "/account", proof=mail).status_code == 422
    assert identities(page_site) == 1


def test_a_link_is_asked_for_by_whom_it_is_shown_to_and_not_for_long(page_site: Site):
    mine, other = (
        browser_of(page_site, make_account(page_site, Role.CLINICIAN, name, PASSWORD))
        for name in ("a@h.org", "b@h.org")
    )
    assert mine.get("/account/provider/link").status_code == 403
    mine.get(travel(mine, "/account/provider"))
    assert "lee@hospital.org" in mine.get("/account/provider/link").text
    other.cookies.set("ladnn_link", mine.cookies["ladnn_link"])
    assert other.get("/account/provider/link").status_code == 403
    later = page_site.services.clock() + timedelta(minutes=11)
    page_site.app.state.services = replace(page_site.services, clock=lambda: later)
    assert mine.get("/account/provider/link").status_code == 403


@pytest.mark.parametrize("change", ["reset", "deleted"])
def test_a_link_on_its_way_comes_to_nothing_once_the_account_changes(
    page_site: Site, monkeypatch: pytest.MonkeyPatch, change: str
):
    account = make_account(page_site, Role.CLINICIAN, "c@h.org", PASSWORD)
    browser = browser_of(page_site, account)
    change_during(monkeypatch, "check_password", page_site, account, change)
    assert link(browser, proof=PASSWORD) == 401
    assert identities(page_site) == 0


def test_an_account_is_unlinked_given_its_password(page_site: Site):
    account = make_account(page_site, Role.CLINICIAN, "c@h.org", PASSWORD)
    browser = browser_of(page_site, account)
    assert link(browser, proof=PASSWORD) == 303
    assert post(browser, "/account/provider/unlink", "/account", proof="no").status_code == 422
    assert identities(page_site) == 1
    assert post(browser, "/account/provider/unlink", "/account", proof=PASSWORD).status_code == 303
    assert identities(page_site) == 0
    assert len(lines(page_site, "provider.unlink")) == 1


@pytest.mark.parametrize("what", ["password", "second-factor"])
def test_a_reset_unlinks_whoever_had_linked_themselves(page_site: Site, what: str):
    account = make_account(page_site, Role.CLINICIAN, "c@h.org", PASSWORD)
    assert link(browser_of(page_site, account), proof=PASSWORD) == 303
    admin = browser_of(page_site, make_account(page_site, Role.ADMINISTRATOR))
    answer = post(admin, f"/admin/accounts/{account.public_id}/{what}", "/admin/accounts")
    if what == "password":
        found = re.search(r"/setup/[\w-]+", answer.text)
        assert found
        assert identities(page_site) == 1
        new = {"password": "green boat field", "again": "green boat field"}
        assert post(page_site.browser(), found[0], found[0], **new).status_code == 303
    assert identities(page_site) == 0


def test_a_reset_of_the_factor_leaves_the_only_way_in(page_site: Site):
    page_site.client.get(travel(page_site.client))
    (account,) = page_site.services.database.read(lambda s: s.query(Account).all())
    admin = browser_of(page_site, make_account(page_site, Role.ADMINISTRATOR))
    path = f"/admin/accounts/{account.public_id}/second-factor"
    assert post(admin, path, "/admin/accounts").status_code == 303
    assert identities(page_site) == 1


def test_whom_the_provider_vouches_for_and_the_site_refuses_is_in_the_audit_log(
    page_site: Site, provider: OpenId
):
    page_site.client.get(travel(page_site.client))
    provider.claims["roles"] = []
    browser = page_site.browser()
    assert browser.get(travel(browser)).status_code == 403
    provider.claims["sub"] = "s-2"
    assert browser.get(travel(browser)).status_code == 403
    account = page_site.services.database.read(lambda s: s.query(Account).one().public_id)
    found = [(line.object, line.detail) for line in lines(page_site, "provider.refuse")]
    assert found == [("", {"reason": "no_role"}), (account, {"reason": "no_role"})]


def test_signing_in_at_the_provider_pays_for_no_guess(page_site: Site):
    def guess(number: int) -> int:
        browser, mail = page_site.browser(), f"victim{number}@h.org"
        return post(browser, "/sign-in", email=mail, password="wrong").status_code

    for number in range(20):
        assert guess(number) == 401
        browser = page_site.browser()
        browser.get(travel(browser))
    assert guess(20) == 429


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (" Lee\n  Wu ", "Lee Wu"),
        ("Lee\u202e\u200b Wu", "Lee Wu"),
        ("\u200b", "lee@hospital.org"),
        ("", "lee@hospital.org"),
    ],
)
def test_a_name_from_the_provider_holds_nothing_that_cannot_be_seen(
    page_site: Site, provider: OpenId, said: str, kept: str
):
    provider.claims["name"] = said
    page_site.client.get(travel(page_site.client))
    assert page_site.services.database.read(lambda s: s.query(Account).one().name) == kept


@pytest.mark.parametrize("odd", [None, LEFT_OUT, ["lee@hospital.org"], 7, True], ids=str)
def test_two_people_without_an_address_get_an_account_each(
    site: Site, provider: OpenId, odd: object
):
    provider.claims |= {"email": odd, "name": odd}
    for subject in ("s-1", "s-2"):
        provider.claims["sub"] = subject
        browser = site.browser()
        assert browser.get(travel(browser)).status_code == 303
    found = site.services.database.read(
        lambda s: {(one.email, one.name) for one in s.query(Account)}
    )
    assert found == {(f"{one}@127.0.0.1", f"{one}@127.0.0.1") for one in ("s-1", "s-2")}


def test_no_role_is_given_for_a_claim_that_is_null():
    given = Settings(
        **settings_of(OpenId(issuer="https://login.example.org"))
        | {"oidc_roles": ("None=curator",)}
    )
    assert mapped_role(None, given) is mapped_role([None], given) is None


def test_a_link_begun_by_one_account_is_not_finished_by_another(page_site: Site):
    mine = browser_of(page_site, make_account(page_site, Role.CLINICIAN, password=PASSWORD))
    back = travel(mine, "/account/provider")
    other = browser_of(page_site, make_account(page_site, Role.CLINICIAN, "o@h.org"))
    mine.cookies.set("ladnn_session", other.cookies["ladnn_session"])
    assert mine.get(back).status_code == 403


@pytest.fixture
def address(page_site: Site) -> Iterator[str]:
    """Where the site with the provider is served to real browsers."""
    with served(page_site.app) as where:
        yield where


def test_somebody_whom_the_provider_refuses_first_gets_in_by_the_page(
    tab: Page, provider: OpenId, address: str
):
    provider.claims["roles"] = ["kitchen"]
    tab.goto("/sign-in?back=/contribute")
    tab.get_by_role("link", name="Sign in with").click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text("gives you no role here")
    provider.claims["roles"] = ["radiology"]
    tab.get_by_role("link", name="Sign in", exact=True).click()
    tab.get_by_role("link", name="Sign in with").click()
    expect(tab).to_have_url(f"{address}/")
    tab.get_by_role("button", name="Sign out").click()
    tab.goto("/sign-in?back=/contribute")
    tab.get_by_role("link", name="Sign in with").click()
    expect(tab).to_have_url(f"{address}/contribute")
    expect(tab.get_by_role("link", name="Lee")).to_be_visible()


def test_somebody_links_and_unlinks_their_account_by_its_page(tab: Page, page_site: Site):
    enter(tab, page_site, Role.CLINICIAN, PASSWORD)
    tab.goto("/account")
    tab.get_by_role("link", name="Link with").click()
    expect(tab.get_by_text("lee@hospital.org")).to_be_visible()
    fill_in(tab, proof=PASSWORD)
    tab.get_by_role("button", name="Link with").click()
    expect(tab.get_by_text("Linked to this account.")).to_be_visible()
    tab.locator("summary", has_text="Unlink").click()
    fill_in(tab, proof=PASSWORD)
    tab.get_by_role("button", name="Unlink").click()
    expect(tab.get_by_role("link", name="Link with")).to_be_visible()


def test_a_provider_that_is_away_is_a_502_and_not_a_500(page: Site, make_site: MakeSite):
    settings = settings_of(OpenId(issuer="http://127.0.0.1:9"))
    site = make_site(page.services.settings.database_url, **settings)
    assert site.client.get("/sign-in/provider").status_code == 502


def test_without_a_provider_there_is_no_way_to_one(page: Site):
    assert page.client.get("/sign-in/provider").status_code == 404
    assert "/sign-in/provider" not in page.client.get("/sign-in").text


@pytest.mark.parametrize(
    "change",
    [
        {"oidc_issuer": "http://login.example.org"},
        {"oidc_issuer": "http://127.0.0.1.example.org"},
        {"oidc_client_secret": ""},
        {"oidc_roles": ()},
        {"oidc_roles": ("radiology",)},
        {"oidc_roles": ("radiology=visitor",)},
    ],
    ids=str,
)
def test_a_provider_that_is_half_described_or_in_the_clear_is_refused(change: dict[str, object]):
    given = settings_of(OpenId(issuer="https://login.example.org"))
    Settings(**given)
    with pytest.raises(ConfigError):
        Settings(**(given | change))

"""Accounts as people use them: first administrator, invitation, signing in, their own page."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from personas import PASSWORD, browser_of, give_factor, make_account, post, token_on
from sites import MakeSite, Site
from sqlalchemy import delete
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from ladnn.service import audit_log, retention
from ladnn.service.accounts import api_keys, people, second_factor, totp
from ladnn.service.accounts.passwords import hash_password
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.tokens import hash_of, new_token
from ladnn.service.errors import BadRequest, DatabaseAway, NotFound
from ladnn.service.tables import Account, Case, OneTimeToken, SignIn, now


def first_link(site: Site) -> str | None:
    database = site.services.database
    token = database.write(
        lambda session: people.link_for_first(session, database, site.services.clock())
    )
    return None if token is None else f"/setup/{token}"


def code_of(shared: str, site: Site, later: int = 0) -> str:
    return totp.code_at(shared, site.services.clock() + timedelta(seconds=later))


def secret_on(html: str) -> str:
    found = re.search(r'<code class="secret">([A-Z2-7 ]+)</code>', html)
    assert found, html
    return found[1].replace(" ", "")


def link_on(html: str) -> str:
    found = re.search(r'value="http[^"]*(/setup/[\w-]+)"', html)
    assert found, html
    return found[1]


def open_account(site: Site, browser: TestClient, link: str, **fields: str) -> str:
    """Go through a link and the second factor; gives the authenticator's secret."""
    words = {"name": "Anna Meyer", "password": PASSWORD, "again": PASSWORD} | fields
    answer = post(browser, link, link, **words)
    assert answer.headers["location"] == "/sign-in/second-factor", answer.text
    shared = secret_on(browser.get("/sign-in/second-factor").text)
    done = post(browser, "/sign-in/second-factor", "/sign-in", code=code_of(shared, site))
    assert done.text.count("<li><code>") == 10
    return shared


def sign_in(browser: TestClient, email: str, password: str = PASSWORD):
    return post(browser, "/sign-in", email=email, password=password)


def is_in(browser: TestClient) -> bool:
    return browser.get("/account").status_code == 200


def test_the_first_administrator_s_link_makes_one_administrator_and_works_once(site: Site):
    link = first_link(site)
    assert link is not None
    browser = site.browser()
    open_account(site, browser, link, email="anna@hospital.org")
    assert browser.get("/admin/accounts").status_code == 200
    assert site.browser().get(link).status_code == 404
    assert first_link(site) is None


def test_opening_a_link_does_not_use_it_and_a_newer_link_replaces_it(page: Site):
    old, new = first_link(page), first_link(page)
    assert page.client.get(new).status_code == 200
    assert page.client.get(new).status_code == 200
    assert page.client.get(old).status_code == 404


def test_two_people_who_open_the_first_link_make_one_administrator(page: Site):
    link = first_link(page)
    one, two = page.browser(), page.browser()
    fields = {"name": "x y", "password": PASSWORD, "again": PASSWORD}
    tokens = [token_on(browser, link) for browser in (one, two)]
    answers = [
        browser.post(link, data={"csrf": token, "email": f"{number}@h.org", **fields})
        for number, (browser, token) in enumerate(zip((one, two), tokens, strict=True))
    ]
    assert [answer.status_code for answer in answers] == [303, 404]


def test_an_invited_clinician_chooses_a_password_and_is_in(site: Site):
    admin = browser_of(site, make_account(site, Role.ADMINISTRATOR))
    shown = post(
        admin, "/admin/accounts", "/admin/accounts", email="Lee@hospital.org", role="clinician"
    )
    browser = site.browser()
    link = link_on(shown.text)
    answer = post(browser, link, link, name="Lee", password=PASSWORD, again=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert is_in(browser)
    again = site.browser()
    assert sign_in(again, "lee@hospital.org").status_code == 303
    assert is_in(again)


def test_an_invited_curator_is_in_only_after_the_second_factor(page: Site):
    admin = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    shown = post(admin, "/admin/accounts", "/admin/accounts", email="c@h.org", role="curator")
    browser, link = page.browser(), link_on(shown.text)
    post(browser, link, link, name="Cy", password=PASSWORD, again=PASSWORD)
    assert not is_in(browser)
    shared = secret_on(browser.get("/sign-in/second-factor").text)
    wrong = post(browser, "/sign-in/second-factor", "/sign-in", code="000000")
    assert wrong.status_code == 422
    assert not is_in(browser)
    post(browser, "/sign-in/second-factor", "/sign-in", code=code_of(shared, page))
    assert is_in(browser)


def test_an_invitation_that_was_cancelled_is_gone_and_its_link_dead(site: Site):
    admin = browser_of(site, make_account(site, Role.ADMINISTRATOR))
    there = "/admin/accounts"
    shown = post(admin, there, there, email="wrongly@h.org", role="clinician")
    (account,) = re.findall(r'action="/admin/accounts/(\w[^/]*)/cancel"', admin.get(there).text)
    assert post(admin, f"{there}/{account}/cancel", there).status_code == 303
    assert "wrongly@h.org" not in admin.get(there).text
    assert site.browser().get(link_on(shown.text)).status_code == 404
    lines = site.services.database.read(
        lambda s: audit_log.browse(s, audit_log.Filter(action="account.uninvite"))
    )
    assert [line.object for line in lines] == [account]
    assert post(admin, f"{there}/{account}/cancel", there).status_code == 404


def test_an_invitation_that_two_cancel_at_once_is_gone_for_the_second(site: Site):
    store = site.services.database

    def second(session: Session) -> None:
        account, _ = people.invite(session, "two@hospital.org", Role.CLINICIAN, now())
        gone = delete(Account).where(Account.id == account.id)
        session.execute(delete(OneTimeToken))
        session.execute(gone, execution_options={"synchronize_session": False})
        people.cancel_invitation(session, store, account)

    with pytest.raises(NotFound):
        store.write(second)


def test_nobody_who_has_come_is_cancelled(page: Site):
    admin = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    come = make_account(page, Role.CLINICIAN)
    path = f"/admin/accounts/{come.public_id}/cancel"
    refused = post(admin, path, "/admin/accounts")
    assert (refused.status_code, "has come" in refused.text) == (422, True)
    assert is_in(browser_of(page, come))


@pytest.mark.parametrize("role", ["visitor", "root", ""])
def test_nobody_is_invited_into_a_role_that_accounts_do_not_have(page: Site, role: str):
    admin = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    answer = post(admin, "/admin/accounts", "/admin/accounts", email="x@h.org", role=role)
    assert answer.status_code == 422


@pytest.mark.parametrize("odd", ["\0", "\u202e", "\u200b"])
def test_names_hold_nothing_that_cannot_be_seen(page: Site, odd: str):
    admin = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    there = "/admin/accounts"
    email = post(admin, there, there, email=f"a{odd}b@h.org", role="clinician")
    link = link_on(post(admin, there, there, email="x@h.org", role="clinician").text)
    browser = page.browser()
    name = post(browser, link, link, name=f"A{odd}b", password=PASSWORD, again=PASSWORD)
    key = post(admin, "/account/keys", "/account", name=f"a{odd}b", scope="test", days=7)
    assert [answer.status_code for answer in (email, name, key)] == [422, 422, 422]


def test_a_refused_form_for_a_key_or_an_invitation_keeps_what_was_typed(page: Site):
    admin = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    odd = "Ward 3\u200b"
    shown = post(admin, "/account/keys", "/account", name=odd, scope=["test"], days=7)
    assert shown.status_code == 422
    assert 'value="Ward 3' in shown.text
    assert '<option value="7" selected>' in shown.text
    assert 'value="test" checked' in shown.text
    there = "/admin/accounts"
    shown = post(admin, there, there, email="nobody", role="curator")
    assert shown.status_code == 422
    assert 'value="nobody"' in shown.text
    assert '<option value="curator" selected>' in shown.text


def test_two_attempts_to_sign_in_within_a_second_have_cookies_of_their_own(page: Site):
    account = make_account(page, Role.CURATOR, password=PASSWORD)
    give_factor(page, account)
    moment = now()
    object.__setattr__(page.services, "clock", lambda: moment)
    cookies = set()
    for browser in (page.browser(), page.browser()):
        sign_in(browser, account.email)
        cookies.add(browser.cookies["ladnn_pending"])
    assert len(cookies) == 2


def test_signing_in_with_a_second_factor_needs_a_code_that_is_not_used_again(site: Site):
    account = make_account(site, Role.CURATOR, password=PASSWORD)
    shared = give_factor(site, account)
    browser, code = site.browser(), code_of(shared, site)
    assert sign_in(browser, account.email).headers["location"] == "/sign-in/code"
    assert not is_in(browser)
    assert post(browser, "/sign-in/code", "/sign-in/code", code=code).status_code == 303
    assert is_in(browser)
    other = site.browser()
    sign_in(other, account.email)
    assert post(other, "/sign-in/code", "/sign-in/code", code=code).status_code == 401
    assert not is_in(other)


def test_a_recovery_code_stands_in_once(site: Site):
    account = make_account(site, Role.CURATOR, password=PASSWORD)
    shared = give_factor(site, account)
    shown = post(
        browser_of(site, account),
        "/account/second-factor/codes",
        "/account",
        code=code_of(shared, site),
    )
    recovery = re.findall(r"<li><code>([a-z0-9-]+)</code>", shown.text)[3]
    statuses = []
    for _ in range(2):
        browser = site.browser()
        sign_in(browser, account.email)
        statuses.append(post(browser, "/sign-in/code", "/sign-in/code", code=recovery).status_code)
    assert statuses == [303, 401]


def test_a_recovery_code_lets_in_where_the_site_s_secret_is_another_by_now(site: Site):
    account = make_account(site, Role.CURATOR, password=PASSWORD)
    give_factor(site, account)
    codes = site.services.database.write(
        lambda session: second_factor.renew_recovery_codes(session, account)
    )
    right = site.services.database.write(
        lambda session: second_factor.check(
            session, account, codes[0], b"another" * 8, site.services.clock()
        )
    )
    assert right


def test_no_code_is_asked_for_without_a_right_password_first(page: Site):
    assert page.client.get("/sign-in/code").status_code == 401
    assert page.client.get("/sign-in/second-factor").status_code == 401


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(page: Site):
    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    disabled = make_account(page, Role.CLINICIAN, "gone@hospital.org", PASSWORD)
    page.services.database.write(
        lambda s: people.change_status(s, page.services.database, s.merge(disabled), active=False)
    )
    attempts = [(account.email, "x"), ("nobody@h.org", PASSWORD), (disabled.email, PASSWORD)]
    pages = set()
    for email, password in attempts:
        browser = page.browser()
        answer = sign_in(browser, email, password)
        assert answer.status_code == 401
        pages.add(re.sub(r"[0-9a-f]{64}", "", answer.text.replace(email, "")))
    assert len(pages) == 1


def test_guessing_is_slowed_down_whether_the_account_is_there_or_not(site: Site):
    make_account(site, Role.CLINICIAN, "a@h.org", PASSWORD)
    for email in ("a@h.org", "nobody@h.org"):
        statuses = [sign_in(site.client, email, "wrong").status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
    held = sign_in(site.client, "a@h.org")
    assert held.status_code == 429
    assert 1 <= int(held.headers["retry-after"]) <= 20


def test_strangers_who_guess_do_not_lock_the_owner_out_of_a_known_browser(page: Site):
    make_account(page, Role.CLINICIAN, "a@h.org", PASSWORD)
    own, strange = page.browser(), page.browser()
    assert sign_in(own, "a@h.org").status_code == 303
    post(own, "/sign-out", "/account")
    for _ in range(6):
        last = sign_in(strange, "a@h.org", "wrong")
    assert last.status_code == 429
    strange.cookies.set("ladnn_browser", "made.up")
    assert sign_in(strange, "a@h.org").status_code == 429
    assert sign_in(own, "a@h.org").status_code == 303


def test_a_browser_known_before_the_password_changed_is_a_stranger(page: Site):
    account = make_account(page, Role.CLINICIAN, "a@h.org", PASSWORD)
    own = page.browser()
    sign_in(own, account.email)
    post(own, "/sign-out", "/account")

    def change(session):
        session.merge(account).password_hash = hash_password("another teal lamp")

    page.services.database.write(change)
    for _ in range(5):
        sign_in(page.browser(), account.email, "wrong")
    assert sign_in(own, account.email, "another teal lamp").status_code == 429


def test_codes_cannot_be_guessed_by_giving_the_right_password_in_between(page: Site):
    account = make_account(page, Role.CURATOR, password=PASSWORD)
    give_factor(page, account)
    statuses = []
    for _ in range(4):
        sign_in(page.client, account.email)
        statuses.append(post(page.client, "/sign-in/code", "/sign-in", code="123456").status_code)
    assert 429 in statuses


def test_a_session_ends_when_idle_and_in_any_case_after_its_whole_time(
    database_url: str, make_site: MakeSite
):
    site = make_site(database_url, session_idle_minutes=30, session_hours=2)
    account = make_account(site, Role.CLINICIAN)

    def seen(**fields: datetime) -> bool:
        browser = browser_of(site, account)
        site.services.database.write(
            lambda s: [setattr(one, k, v) for one in s.query(SignIn) for k, v in fields.items()]
        )
        return is_in(browser)

    now = site.services.clock()
    assert seen(seen_at=now - timedelta(minutes=29))
    assert not seen(seen_at=now - timedelta(minutes=31))
    assert not seen(expires_at=now - timedelta(seconds=1))


def test_a_session_that_is_used_stays_seen(site: Site):
    browser = browser_of(site, make_account(site, Role.CLINICIAN))
    before = site.services.clock() - timedelta(minutes=20)
    site.services.database.write(
        lambda s: [setattr(one, "seen_at", before) for one in s.query(SignIn)]
    )
    assert is_in(browser)
    (seen,) = site.services.database.read(lambda s: [one.seen_at for one in s.query(SignIn)])
    assert seen > before + timedelta(minutes=19)


def test_a_session_in_use_goes_on_however_soon_it_would_be_over_without(
    database_url: str, make_site: MakeSite
):
    site = make_site(database_url, session_idle_minutes=1)
    browser = browser_of(site, make_account(site, Role.CLINICIAN))
    start = site.services.clock()
    for seconds in (*range(40, 200, 40), 300):
        present = start + timedelta(seconds=seconds)
        site.app.state.services = replace(site.services, clock=lambda now=present: now)
        assert is_in(browser) is (seconds < 300)


def test_the_database_holds_no_token_of_a_session_a_link_or_a_key(page: Site):
    account = make_account(page, Role.CLINICIAN)
    browser = browser_of(page, account)
    shown = post(browser, "/account/keys", "/account", name="k", scope="test", days=7)
    (key,) = re.findall(r'value="(ladnn_[\w-]+)"', shown.text)
    link = first_link(page)
    session = browser.cookies["ladnn_session"]
    page.services.database.engine.dispose()
    path = page.services.database.engine.url.database
    stored = b"".join(
        file.read_bytes() for file in __import__("pathlib").Path(path).parent.glob("site.db*")
    )
    for token in (key, key.removeprefix("ladnn_"), link.removeprefix("/setup/"), session):
        assert token.encode() not in stored


def test_signing_out_ends_the_session_on_the_server_too(site: Site):
    browser = browser_of(site, make_account(site, Role.CLINICIAN))
    token = browser.cookies["ladnn_session"]
    post(browser, "/sign-out", "/account")
    thief = site.browser()
    thief.cookies.set("ladnn_session", token)
    assert not is_in(thief)


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/sign-out", {}), ("/account/sessions/end", {}), ("/account/delete", {"proof": "c@h.org"})],
)
def test_a_browser_that_is_left_forgets_the_pictures_that_it_keeps(
    page: Site, path: str, fields: dict[str, str]
):
    browser = browser_of(page, make_account(page, Role.CLINICIAN, "c@h.org"))
    answer = post(browser, path, "/account", **fields)
    assert (answer.status_code, answer.headers["clear-site-data"]) == (303, '"cache"')


def test_signing_out_everywhere_ends_every_session_of_the_account_and_no_other(site: Site):
    mine, other = make_account(site, Role.CLINICIAN), make_account(site, Role.CLINICIAN, "o@h.org")
    here, there, theirs = (browser_of(site, who) for who in (mine, mine, other))
    post(here, "/account/sessions/end", "/account")
    assert [is_in(browser) for browser in (here, there, theirs)] == [False, False, True]


def test_nobody_ends_another_s_session(page: Site):
    mine, other = make_account(page, Role.CLINICIAN), make_account(page, Role.CLINICIAN, "o@h.org")
    theirs, here = browser_of(page, other), browser_of(page, mine)
    (session,) = page.services.database.read(
        lambda s: [o.public_id for o in s.query(SignIn) if o.account_id == other.id]
    )
    assert post(here, f"/account/sessions/{session}/end", "/account").status_code == 404
    assert is_in(theirs)


def test_a_new_password_needs_the_old_one_and_ends_the_other_sessions(site: Site):
    account = make_account(site, Role.CLINICIAN, password=PASSWORD)
    here, there = browser_of(site, account), browser_of(site, account)
    new = {"password": "green boat field", "again": "green boat field"}
    assert post(here, "/account/password", "/account", old="wrong", **new).status_code == 422
    assert is_in(there)
    assert post(here, "/account/password", "/account", old=PASSWORD, **new).status_code == 303
    assert [is_in(here), is_in(there)] == [True, False]
    assert sign_in(site.browser(), account.email).status_code == 401
    assert sign_in(site.browser(), account.email, "green boat field").status_code == 303


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "short", "again": "short"},
        {"password": "green boat field", "again": "green boat fields"},
        {"password": "clinician@hospital", "again": "clinician@hospital"},
    ],
)
def test_a_weak_or_mistyped_password_is_not_taken(page: Site, fields: dict[str, str]):
    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    browser = browser_of(page, account)
    answer = post(browser, "/account/password", "/account", old=PASSWORD, **fields)
    assert answer.status_code == 422


def test_a_link_for_a_new_password_changes_it_and_nothing_else(site: Site):
    account = make_account(site, Role.CURATOR, password=PASSWORD)
    shared = give_factor(site, account)
    admin = browser_of(site, make_account(site, Role.ADMINISTRATOR))
    shown = post(admin, f"/admin/accounts/{account.public_id}/password", "/admin/accounts")
    browser, link = site.browser(), link_on(shown.text)
    new = {"password": "green boat field", "again": "green boat field"}
    assert post(browser, link, link, **new).headers["location"] == "/sign-in/code"
    assert not is_in(browser)
    code = code_of(shared, site)
    assert post(browser, "/sign-in/code", "/sign-in/code", code=code).status_code == 303


@pytest.mark.parametrize("purpose", [people.INVITATION, people.RESET])
def test_of_two_links_made_at_once_one_works(page: Site, purpose: str):
    status = "invited" if purpose == people.INVITATION else "active"
    account, database = make_account(page, Role.CLINICIAN), page.services.database

    def both(session: Session) -> list[str]:
        """As two requests do that see none of the other's yet."""
        session.get_one(Account, account.id).status = status
        over = now() + timedelta(hours=1)
        tokens = [new_token() for _ in range(2)]
        session.add_all(
            OneTimeToken(
                token_hash=hash_of(token), purpose=purpose, account_id=account.id, expires_at=over
            )
            for token in tokens
        )
        return tokens

    one, other = database.write(both)
    wish = people.Wish(email="", name="Lee", password_hash="x")

    def use(token: str) -> object:
        return database.write(lambda s: people.accept(s, database, token, wish, now()))

    use(one)
    with pytest.raises(NotFound):
        use(other)


def test_a_link_for_a_new_password_ends_when_its_owner_chooses_one(page: Site):
    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    admin = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    link = link_on(
        post(admin, f"/admin/accounts/{account.public_id}/password", "/admin/accounts").text
    )
    said = page.client.get(link)
    assert (said.status_code, "Keys for programs go on working" in said.text) == (200, True)
    here = browser_of(page, account)
    new = {"password": "green boat field", "again": "green boat field"}
    assert post(here, "/account/password", "/account", old=PASSWORD, **new).status_code == 303
    assert page.client.get(link).status_code == 404


@pytest.mark.parametrize(
    ("path", "fields", "action"),
    [
        ("/account/password", {"old": "wrong"}, "account.refuse"),
        ("/account/delete", {"proof": "wrong"}, "account.refuse"),
        ("/account/second-factor/codes", {"code": "000000"}, "second_factor.refuse"),
        ("/account/second-factor/remove", {"code": "000000"}, "second_factor.refuse"),
    ],
)
def test_whoever_fails_to_prove_who_they_are_is_in_the_audit_log(
    page: Site, path: str, fields: dict[str, str], action: str
):
    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    give_factor(page, account)
    assert post(browser_of(page, account), path, "/account", **fields).status_code == 422
    (line,) = page.services.database.read(
        lambda session: audit_log.browse(session, audit_log.Filter(action=action))
    )
    assert (line.actor, line.object) == (f"account:{account.public_id}", account.public_id)
    assert line.sequence is not None


def test_a_changed_role_ends_the_sessions_and_needs_what_the_new_role_needs(site: Site):
    account = make_account(site, Role.CLINICIAN, password=PASSWORD)
    theirs = browser_of(site, account)
    admin = browser_of(site, make_account(site, Role.ADMINISTRATOR))
    path = f"/admin/accounts/{account.public_id}/role"
    assert post(admin, path, "/admin/accounts", role="curator").status_code == 303
    assert not is_in(theirs)
    assert sign_in(theirs, account.email).headers["location"] == "/sign-in/second-factor"


def test_a_disabled_account_is_out_at_once_and_in_again_when_enabled(site: Site):
    account = make_account(site, Role.CLINICIAN, password=PASSWORD)
    theirs = browser_of(site, account)
    admin = browser_of(site, make_account(site, Role.ADMINISTRATOR))
    base = f"/admin/accounts/{account.public_id}"
    post(admin, f"{base}/disable", "/admin/accounts")
    assert not is_in(theirs)
    assert sign_in(site.browser(), account.email).status_code == 401
    post(admin, f"{base}/enable", "/admin/accounts")
    assert sign_in(theirs, account.email).status_code == 303


@pytest.mark.parametrize("change", ["disable", "role"])
def test_the_only_administrator_cannot_be_taken_away(site: Site, change: str, scan: bytes):
    account = make_account(site, Role.ADMINISTRATOR)
    admin = browser_of(site, account)
    files = {"file": ("scan.png", scan, "image/png")}
    link = admin.post("/", data={"csrf": token_on(admin)}, files=files).headers["location"]
    path = f"/admin/accounts/{account.public_id}/{change}"
    assert post(admin, path, "/admin/accounts", role="clinician").status_code == 422
    assert is_in(admin)
    assert post(admin, "/account/delete", "/account", proof=account.email).status_code == 422
    assert admin.get(link).status_code == 200


def test_a_reset_second_factor_is_set_up_anew(page: Site):
    account = make_account(page, Role.CURATOR, password=PASSWORD)
    give_factor(page, account)
    admin = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    post(admin, f"/admin/accounts/{account.public_id}/second-factor", "/admin/accounts")
    assert sign_in(page.client, account.email).headers["location"] == "/sign-in/second-factor"


def test_the_secret_that_was_scanned_stays_until_it_is_confirmed_and_for_its_session_alone(
    page: Site,
):
    """A page opened again made a new one, so that nobody who saw an earlier page knew it: whoever
    had scanned that had to begin anew. Bound to one session, it is known to no other."""
    account = make_account(page, Role.CLINICIAN)
    browser, other = browser_of(page, account), browser_of(page, account)
    path = "/account/second-factor"
    assert secret_on(browser.get(path).text) != secret_on(other.get(path).text)
    shown = secret_on(browser.get(path).text)
    assert secret_on(browser.get(path, headers={"accept-language": "zh"}).text) == shown
    again = post(browser, path, "/account", code="000000")
    assert secret_on(again.text) == shown
    assert post(browser, path, "/account", code=code_of(shared=shown, site=page)).status_code == 200
    assert shown not in browser.get(path).text.replace(" ", "")


def test_a_session_alone_makes_neither_a_second_factor_nor_a_key(page: Site):
    account = make_account(page, Role.CLINICIAN, "a@h.org", PASSWORD)
    browser, path = browser_of(page, account), "/account/second-factor"
    code = code_of(secret_on(browser.get(path).text), page)
    key = {"name": "k", "scope": "test", "days": 7}
    for proof, status in (("", 422), ("another", 422), (PASSWORD, 200)):
        confirmed = post(browser, path, "/account", code=code, proof=proof)
        made = post(browser, "/account/keys", "/account", **key, proof=proof)
        assert (confirmed.status_code, made.status_code) == (status, status)
        assert ("ladnn_" in made.text) is (status == 200)


def test_a_secret_that_nobody_confirms_ends_and_a_mistyped_code_ends_none(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    make_account(page, Role.CURATOR, "c@h.org", PASSWORD)
    browser, path = page.browser(), "/sign-in/second-factor"
    sign_in(browser, "c@h.org")
    seen, shown = (secret_on(browser.get(path).text) for _ in range(2))
    assert seen == shown
    monkeypatch.setattr(second_factor, "LASTS", timedelta(seconds=-1))
    assert secret_on(post(browser, path, "/sign-in", code="000000").text) == shown
    assert secret_on(browser.get(path).text) != shown


def test_an_account_of_a_provider_gets_no_password_by_typing_its_address(page: Site):
    account = make_account(page, Role.CLINICIAN)
    browser = browser_of(page, account)
    new = {"old": account.email, "password": "green boat field", "again": "green boat field"}
    assert post(browser, "/account/password", "/account", **new).status_code == 422
    assert sign_in(page.client, account.email, "green boat field").status_code == 401


def test_a_clinician_may_set_up_and_remove_a_second_factor_and_a_curator_may_not_remove_it(
    page: Site,
):
    for role, status in ((Role.CLINICIAN, 303), (Role.CURATOR, 422)):
        account = make_account(page, role)
        shared = give_factor(page, account)
        browser = browser_of(page, account)
        code = code_of(shared, page)
        removed = post(browser, "/account/second-factor/remove", "/account", code=code)
        assert removed.status_code == status


def test_of_keys_made_at_the_same_moment_an_account_gets_no_more_than_it_may_have(site: Site):
    account = make_account(site, Role.CLINICIAN)

    def make_one(number: int) -> int:
        def write(session: Session) -> None:
            mine = session.get_one(Account, account.id)
            api_keys.make(session, mine, f"key {number}", ["test"], 7, site.services.clock())

        try:
            site.services.database.write(write)
        except BadRequest:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make_one, range(40))) == api_keys.MOST_KEYS


def test_a_deleted_account_is_gone_with_its_sessions_keys_and_results(site: Site, scan: bytes):
    account = make_account(site, Role.CLINICIAN, password=PASSWORD)
    browser = browser_of(site, account)
    files = {"file": ("scan.png", scan, "image/png")}
    sent = browser.post("/", data={"csrf": token_on(browser)}, files=files)
    link = sent.headers["location"]
    assert "/results/" in browser.get("/account").text
    assert post(browser, "/account/delete", "/account", proof="wrong").status_code == 422
    assert post(browser, "/account/delete", "/account", proof=PASSWORD).status_code == 303
    assert not is_in(browser)
    assert site.client.get(link).status_code == 404
    assert site.services.blobs.names() == []
    assert site.services.database.read(lambda s: s.query(Account).count()) == 0


def test_what_is_tested_while_its_account_is_deleted_is_not_kept(
    site: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    account = make_account(site, Role.CLINICIAN, password=PASSWORD)
    browser, other = browser_of(site, account), browser_of(site, account)
    look = site.services.decoder.look

    def gone_meanwhile(*given: object, **named: object) -> object:
        assert post(other, "/account/delete", "/account", proof=PASSWORD).status_code == 303
        return look(*given, **named)  # type: ignore[arg-type]

    page = token_on(browser)
    monkeypatch.setattr(site.services.decoder, "look", gone_meanwhile)
    files = {"file": ("scan.png", scan, "image/png")}
    sent = browser.post("/", data={"csrf": page}, files=files)
    assert sent.status_code != 303 or "/results/" not in sent.headers["location"]
    assert sent.status_code < 500
    assert site.services.database.read(lambda s: s.query(Case).count()) == 0
    assert site.services.blobs.names() == []


def test_an_account_that_is_deleted_twice_at_once_is_no_mistake_of_the_site(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    browser, other = browser_of(page, account), browser_of(page, account)
    delete_all, again = retention.delete_cases_of, [True]

    def slowly(*given: object) -> None:
        if again and again.pop():
            assert post(other, "/account/delete", "/account", proof=PASSWORD).status_code == 303
        delete_all(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("ladnn.service.retention.delete_cases_of", slowly)
    assert post(browser, "/account/delete", "/account", proof=PASSWORD).status_code < 500


def test_an_account_outlives_results_that_cannot_be_deleted_just_now(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    def away(*_: object) -> None:
        raise DatabaseAway

    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    browser = browser_of(page, account)
    browser.post(
        "/", data={"csrf": token_on(browser)}, files={"file": ("scan.png", scan, "image/png")}
    )
    with monkeypatch.context() as patched:
        patched.setattr("ladnn.service.retention.delete_cases_of", away)
        answer = post(browser, "/account/delete", "/account", proof=PASSWORD)
        assert answer.status_code == 503
    assert post(browser, "/account/delete", "/account", proof=PASSWORD).status_code == 303
    assert page.services.blobs.names() == []


def test_a_link_that_has_run_out_is_told_so(page: Site):
    link = first_link(page)
    past = page.services.clock() - timedelta(seconds=1)
    page.services.database.write(
        lambda s: [setattr(one, "expires_at", past) for one in s.query(OneTimeToken)]
    )
    answer = page.client.get(link)
    assert answer.status_code == 404
    assert "run out" in answer.text


@pytest.mark.parametrize("back", ["//evil.org", "https://evil.org", "/\\evil.org", "/a\nb", ""])
def test_signing_in_never_leads_to_another_site(page: Site, back: str):
    make_account(page, Role.CLINICIAN, "a@h.org", PASSWORD)
    answer = post(page.client, "/sign-in", email="a@h.org", password=PASSWORD, back=back)
    assert answer.headers["location"] == "/"

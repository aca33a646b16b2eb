"""Accounts in a real browser: made, signed in to, protected, left."""

import re
from datetime import timedelta

from personas import PASSWORD, browser_of, give_factor, make_account
from playwright.sync_api import Page, expect
from sites import Site
from sqlalchemy import update
from tabs import enter, fill_in, send_image
from test_accounts_flows import code_of, first_link
from test_models import case

from ladnn.service.accounts.permissions import Role
from ladnn.service.tables import Account, SignIn


def test_the_first_administrator_sets_up_the_site_and_invites_a_clinician(page: Site, tab: Page):
    tab.goto(str(first_link(page)))
    fill_in(tab, email="anna@hospital.org", name="Anna Meyer", password=PASSWORD, again=PASSWORD)
    tab.get_by_role("button", name="Continue").click()
    expect(tab.get_by_role("img", name="QR code for the authenticator")).to_be_visible()
    shared = str(tab.locator("code.secret").text_content()).replace(" ", "")
    fill_in(tab, code=code_of(shared, page))
    tab.get_by_role("button", name="Confirm").click()
    expect(tab.locator(".codes li")).to_have_count(10)
    tab.get_by_role("link", name="I have kept them").click()
    tab.get_by_role("link", name="Administration").click()
    expect(tab.get_by_role("cell", name=re.compile("anna@hospital.org"))).to_be_visible()
    fill_in(tab, email="lee@hospital.org")
    tab.get_by_role("button", name="Invite").click()
    link = tab.locator("input.once").input_value()
    tab.get_by_role("button", name="Sign out").click()
    tab.goto(link)
    fill_in(tab, name="Lee", password=PASSWORD, again=PASSWORD)
    tab.get_by_role("button", name="Continue").click()
    tab.get_by_role("link", name="Lee").click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text("Lee")


def sign_in(tab: Page, account: Account, password: str = PASSWORD) -> None:
    fill_in(tab, email=account.email, password=password)
    tab.locator("main").get_by_role("button", name="Sign in").click()


def test_a_curator_signs_in_with_a_code_and_comes_back_to_the_page_and_signs_out(
    page: Site, tab: Page
):
    account = make_account(page, Role.CURATOR, password=PASSWORD)
    shared = give_factor(page, account)
    tab.goto("/review?state=accepted")
    expect(tab.get_by_text("This needs an account")).to_be_visible()
    tab.locator("main").get_by_role("link", name="Sign in").click()
    sign_in(tab, account, "wrong")
    expect(tab.get_by_role("alert")).to_contain_text("Address or password is wrong")
    sign_in(tab, account)
    expect(tab.get_by_role("heading", level=1)).to_have_text("Enter your code")
    for code in ("000000", code_of(shared, page)):
        fill_in(tab, code=code)
        tab.locator("main").get_by_role("button", name="Sign in").click()
        if code == "000000":
            expect(tab.get_by_role("alert")).to_contain_text("That code is wrong")
    expect(tab).to_have_url(re.compile(r"/review\?state=accepted$"))
    tab.get_by_role("button", name="Sign out").click()
    expect(tab).to_have_url(re.compile("/$"))
    expect(tab.get_by_role("link", name="Sign in")).to_be_visible()
    answer = tab.goto("/review")
    assert answer is not None
    assert answer.status == 401


def test_who_was_too_slow_with_the_code_begins_again_and_gets_in(page: Site, tab: Page):
    account = make_account(page, Role.CURATOR, password=PASSWORD)
    shared = give_factor(page, account)
    tab.goto("/sign-in/code")
    expect(tab.get_by_text("That took too long")).to_be_visible()
    tab.locator("main").get_by_role("link", name="Sign in").click()
    sign_in(tab, account)
    fill_in(tab, code=code_of(shared, page))
    tab.locator("main").get_by_role("button", name="Sign in").click()
    expect(tab).to_have_url(re.compile("/$"))
    expect(tab.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_session_that_is_over_is_told_and_the_way_back_leads_to_the_same_page(
    page: Site, tab: Page, scan: bytes
):
    account = enter(tab, page, Role.CLINICIAN, PASSWORD)
    send_image(tab, "scan.png", scan)
    where = tab.url
    hours_ago = page.services.clock() - timedelta(hours=9)
    page.services.database.write(lambda s: s.execute(update(SignIn).values(seen_at=hours_ago)))
    tab.get_by_label("I agree", exact=True).check()
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text("Your session is over")
    with tab.expect_popup() as opened:  # the judgement stays in this tab
        tab.locator("main").get_by_role("link", name="Sign in").click()
    sign_in(opened.value, account)
    expect(opened.value).to_have_url(where)
    for _ in range(2):  # the first tells as whom
        tab.get_by_role("button", name="Send it again").click()
    expect(tab).to_have_url(where)
    expect(tab.get_by_label("I agree", exact=True)).to_be_checked()


def test_somebody_sets_up_a_second_factor_uses_its_codes_and_does_without_again(
    page: Site, tab: Page
):
    account = enter(tab, page, Role.CLINICIAN, PASSWORD)
    tab.goto("/account/second-factor")
    shared = str(tab.locator("code.secret").text_content()).replace(" ", "")
    fill_in(tab, code=code_of(shared, page), proof=PASSWORD)
    tab.get_by_role("button", name="Confirm").click()
    first, second = tab.locator(".codes code").all_inner_texts()[:2]
    tab.get_by_role("link", name="I have kept them").click()
    expect(tab.get_by_text("10 recovery codes are left")).to_be_visible()
    tab.get_by_role("button", name="Sign out", exact=True).click()
    tab.goto("/sign-in?back=/account/second-factor")
    sign_in(tab, account)
    fill_in(tab, code=first)
    tab.locator("main").get_by_role("button", name="Sign in").click()
    expect(tab.get_by_text("9 recovery codes are left")).to_be_visible()
    fill_in(tab, code=second)
    tab.get_by_role("button", name="New recovery codes").click()
    newer = tab.locator(".codes code").first.inner_text()
    tab.goto("/account/second-factor")
    fill_in(tab, code=newer)
    tab.get_by_role("button", name="Remove second factor").click()
    expect(tab.get_by_text("Not set up.")).to_be_visible()


def test_somebody_ends_their_other_sessions_and_deletes_their_account(
    page: Site, tab: Page, scan: bytes
):
    account = enter(tab, page, Role.CLINICIAN, PASSWORD)
    send_image(tab, "scan.png", scan)
    result = tab.url
    other = browser_of(page, account)
    tab.goto("/account")
    tab.get_by_role("button", name="End", exact=True).click()
    expect(tab.get_by_role("button", name="End", exact=True)).to_have_count(0)
    assert other.get("/account").status_code == 401
    leave = tab.locator("form[action='/account/delete']")
    leave.get_by_label("Your password").fill("wrong")
    leave.get_by_role("button", name="Delete account").click()
    expect(tab.get_by_role("alert")).to_contain_text("That is not your present password")
    leave.get_by_label("Your password").fill(PASSWORD)
    leave.get_by_role("button", name="Delete account").click()
    expect(tab.get_by_role("link", name="Sign in")).to_be_visible()
    gone = tab.goto(result)
    assert gone is not None
    assert (gone.status, page.services.blobs.names()) == (404, [])
    tab.goto("/sign-in")
    sign_in(tab, account)
    expect(tab.get_by_role("alert")).to_contain_text("Address or password is wrong")


def test_somebody_leafs_through_their_results(page: Site, tab: Page):
    account = enter(tab, page, Role.CLINICIAN)
    cases = [case(page.services.clock(), 0.9) for _ in range(51)]
    for one in cases:
        one.owner = f"account:{account.public_id}"
    page.services.database.write(lambda session: session.add_all(cases))
    tab.goto("/account")
    lines = tab.locator("#cases tbody tr")
    expect(lines).to_have_count(50)
    tab.get_by_role("link", name="Older").click()
    expect(lines).to_have_count(1)
    tab.get_by_role("link", name="Newer").click()
    expect(lines).to_have_count(50)


def test_somebody_signs_out_everywhere(page: Site, tab: Page):
    account = enter(tab, page, Role.CLINICIAN)
    other = browser_of(page, account)
    tab.goto("/account")
    tab.get_by_role("button", name="Sign out everywhere").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert other.get("/account").status_code == 401

"""Administration in a real browser: accounts, keys, the audit log."""

import csv

import pytest
from personas import PASSWORD, browser_of, give_factor, key_of, make_account
from playwright.sync_api import Locator, Page, expect
from sites import Site
from sqlalchemy.orm import Session
from tabs import enter, fill_in
from test_accounts_flows import sign_in

from ladnn.service import audit_log
from ladnn.service.accounts.permissions import Role

LEE = "lee@hospital.org"
pytestmark = pytest.mark.parametrize("tab", ["without scripts"], indirect=True)
"""No script has anything to do on these pages."""


def row_of(tab: Page, email: str = LEE) -> Locator:
    """The row of an account, its actions open."""
    tab.goto("/admin/accounts")
    row = tab.locator("tr", has_text=email)
    row.locator("summary").click()
    return row


def test_an_administrator_changes_a_role_and_ends_what_an_account_has(tab: Page, page: Site):
    lee = make_account(page, Role.CLINICIAN, LEE)
    give_factor(page, lee)
    browser = browser_of(page, lee)
    enter(tab, page, Role.ADMINISTRATOR)
    row_of(tab).get_by_role("button", name="Reset second factor").click()
    expect(tab.locator("tr", has_text=LEE).get_by_role("cell").nth(2)).to_have_text("No")
    browser = browser_of(page, lee)
    row_of(tab).get_by_role("button", name="End sessions").click()
    expect(tab.locator("tr", has_text=LEE)).to_be_visible()
    assert browser.get("/account").status_code == 401
    tab.get_by_label(f"Role of {LEE}").select_option("Curator")
    tab.locator("tr", has_text=LEE).get_by_role("button", name="Set").click()
    expect(tab.get_by_label(f"Role of {LEE}")).to_have_value("curator")


def test_somebody_who_forgot_their_password_gets_in_by_a_link(tab: Page, page: Site):
    make_account(page, Role.CLINICIAN, LEE, PASSWORD)
    enter(tab, page, Role.ADMINISTRATOR)
    row_of(tab).get_by_role("button", name="Link for a new password").click()
    link = tab.locator("input.once").input_value()
    tab.get_by_role("button", name="Sign out").click()
    tab.goto(link)
    fill_in(tab, password="grey otter bay", again="grey otter bays")
    tab.get_by_role("button", name="Continue").click()
    expect(tab.get_by_role("alert")).to_contain_text("The two passwords differ")
    fill_in(tab, password="grey otter bay", again="grey otter bay")
    tab.get_by_role("button", name="Continue").click()
    expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
    assert sign_in(page.browser(), LEE).status_code == 401
    assert sign_in(page.browser(), LEE, "grey otter bay").status_code == 303


def test_an_account_is_disabled_and_enabled_again(tab: Page, page: Site):
    make_account(page, Role.CLINICIAN, LEE, PASSWORD)
    enter(tab, page, Role.ADMINISTRATOR)
    for action, state, status in (("Disable", "Disabled", 401), ("Enable", "Active", 303)):
        row_of(tab).get_by_role("button", name=action).click()
        expect(tab.locator("tr", has_text=LEE)).to_contain_text(state)
        assert sign_in(page.browser(), LEE).status_code == status


def test_nobody_is_invited_twice_and_the_only_administrator_stays_one(tab: Page, page: Site):
    mine = enter(tab, page, Role.ADMINISTRATOR)
    tab.goto("/admin/accounts")
    fill_in(tab, email=mine.email)
    tab.get_by_role("button", name="Invite").click()
    expect(tab.get_by_role("alert")).to_contain_text("There is an account with this address")
    tab.get_by_label(f"Role of {mine.email}").select_option("Clinician")
    tab.get_by_role("button", name="Set").click()
    expect(tab.get_by_role("alert")).to_contain_text("This is the only administrator")


def test_an_administrator_revokes_somebody_s_key(tab: Page, page: Site):
    header = key_of(page, make_account(page, Role.CLINICIAN, LEE), "test", "read_case")
    enter(tab, page, Role.ADMINISTRATOR)
    tab.goto("/admin/keys")
    tab.locator("tr", has_text=LEE).get_by_role("button", name="Revoke").click()
    expect(tab.locator("tr", has_text=LEE)).to_contain_text("Revoked")
    assert page.browser().get("/api/v1/predictions", headers=header).status_code == 401


def many_lines(session: Session) -> None:
    for number in range(101):
        audit_log.record(session, audit_log.SYSTEM, "model.promote", str(number), {})


def test_the_audit_log_is_narrowed_leafed_through_and_downloaded(tab: Page, page: Site):
    account = enter(tab, page, Role.ADMINISTRATOR)
    page.services.database.write(many_lines)
    tab.goto("/admin/accounts")
    fill_in(tab, email=LEE)
    tab.get_by_role("button", name="Invite").click()
    tab.goto("/admin/audit")
    tab.get_by_label("What", exact=True).fill("account.invite")
    tab.get_by_role("button", name="Show").click()
    lines = tab.locator("main tbody tr")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text(account.public_id)
    with tab.expect_download() as taken:
        tab.get_by_role("link", name="CSV").click()
    with taken.value.path().open(newline="") as table:
        [row] = csv.DictReader(table)
    assert row["action"] == "account.invite"
    tab.get_by_label("What", exact=True).fill("model.promote")
    tab.get_by_role("button", name="Show").click()
    expect(lines).to_have_count(100)
    tab.get_by_role("link", name="Older").click()
    expect(lines).to_have_count(1)

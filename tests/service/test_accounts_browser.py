"""A fresh site in a real browser: from the printed link to somebody whom its owner invites."""

import re

from personas import PASSWORD
from playwright.sync_api import Page, expect
from sites import Site
from tabs import fill_in
from test_accounts_flows import code_of, first_link


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

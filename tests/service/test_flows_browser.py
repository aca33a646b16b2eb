"""What people do on the site beside testing and contributing, with JavaScript on and off."""

import re
from pathlib import Path

from personas import PASSWORD, make_account
from playwright.sync_api import Browser, Page, expect
from sites import Site, served
from tabs import choose, enter, payload, send_image, send_study
from test_collection import give
from test_models import fill

from ladnn.service.accounts.permissions import Role
from synthetic import dicom_bytes


def test_a_clinician_judges_a_result_and_takes_it_back(tab: Page, page: Site, scan: bytes):
    enter(tab, page, Role.CLINICIAN)
    send_image(tab, "scan.png", scan)
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_role("alert")).to_contain_text("Nothing was chosen")
    tab.get_by_role("link", name="Ground-glass opacity").click()
    expect(tab.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()
    expect(tab).to_have_url(re.compile(r"/results/[^/?]+\?.*map=GGO"))
    tab.get_by_label("I agree", exact=True).check()
    tab.get_by_label("PCR positive").check()
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("Saved")).to_be_visible()
    expect(tab.get_by_label("PCR positive")).to_be_checked()
    tab.get_by_role("button", name="Take back the PCR result").click()
    expect(tab.get_by_label("PCR positive")).not_to_be_checked()
    expect(tab.get_by_label("I agree", exact=True)).to_be_checked()
    tab.get_by_role("button", name="Take back my judgement").click()
    expect(tab.get_by_label("I agree", exact=True)).not_to_be_checked()
    expect(tab.get_by_text("Saved")).to_have_count(0)
    tab.get_by_text("Retract this result").click()
    tab.get_by_role("button", name="Retract").click()
    expect(tab.get_by_text("You have retracted this result")).to_be_visible()
    where = tab.url
    tab.get_by_text("Delete this result").click()
    tab.get_by_role("button", name="Delete for good").click()
    expect(tab).to_have_url(re.compile("/$"))
    gone = tab.goto(where)
    assert gone is not None
    assert gone.status == 404


def test_a_judgement_that_says_nothing_leaves_slice_and_map_as_they_are(tab: Page, page: Site):
    enter(tab, page, Role.CLINICIAN)
    send_study(tab)
    tab.locator(".slices a:not([aria-current])").click()
    shown = tab.get_by_role("heading", name=re.compile("What the model says of slice"))
    expect(tab).to_have_url(re.compile("image="))
    title = str(shown.text_content())
    tab.get_by_role("link", name="Ground-glass opacity").click()
    expect(tab.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_role("alert")).to_contain_text("Nothing was chosen")
    expect(shown).to_have_text(title)
    expect(tab.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()


def test_a_dicom_image_is_seen_through_another_window(tab: Page):
    send_image(tab, "slice.dcm", dicom_bytes())
    tab.get_by_role("link", name="Mediastinum").click()
    scan = tab.locator("[data-scan]")
    expect(scan).to_have_attribute("src", re.compile(r"level=40.*width=400"))
    assert tab.request.get(str(scan.get_attribute("src"))).ok


def test_a_series_is_one_result_whose_slices_can_be_looked_at(tab: Page):
    send_study(tab)
    tab.get_by_role("link", name=re.compile("Slice 4")).click()
    expect(tab.get_by_role("heading", name=re.compile("slice 4"))).to_be_visible()


def test_a_file_that_is_no_image_is_refused_on_the_page_and_in_its_language(tab: Page):
    tab.goto("/")
    tab.get_by_role("button", name="中文").click()
    choose(tab, "#file", "测试", payload("notes.png", b"no image"))
    expect(tab.get_by_role("alert")).to_contain_text("notes.png 是文本")


def test_a_theme_and_a_language_that_were_chosen_stay(tab: Page):
    tab.goto("/models")
    tab.get_by_role("button", name="Dark").click()
    expect(tab.locator("html")).to_have_attribute("data-theme", "dark")
    tab.get_by_role("button", name="中文").click()
    expect(tab).to_have_url(re.compile("/models$"))
    expect(tab.locator("html")).to_have_attribute("lang", "zh")
    expect(tab.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_curator_corrects_a_case_and_a_second_one_settles_it(tab: Page, page: Site):
    case = give(page).json()["id"]
    for decision in ("Correct to these labels", "Accept the correction of the first reader"):
        tab.context.clear_cookies()
        enter(tab, page, Role.CURATOR)
        tab.goto(f"/review/{case}")
        if decision == "Correct to these labels":
            tab.get_by_text("Correct", exact=True).click()
            tab.get_by_label("Consolidation").select_option("1")
            tab.get_by_label("Reason for the correction").fill("There is a consolidation.")
        tab.get_by_role("button", name=decision).click()
        expect(tab.get_by_text("Nothing waits for you")).to_be_visible()
    tab.goto(f"/contributions/{case}")
    expect(tab.get_by_role("main")).to_contain_text("Accepted")
    found = tab.locator("dt", has_text="Consolidation").locator("+ dd").first
    expect(found).to_have_text("present")


def test_a_reviewer_enlarges_the_image(chromium: Browser, page: Site):
    case = give(page).json()["id"]
    with served(page.app) as address:
        tab = chromium.new_context(base_url=address).new_page()
        enter(tab, page, Role.CURATOR)
        tab.goto(f"/review/{case}")
        wide = tab.locator(".scan").bounding_box()
        tab.get_by_role("button", name="Larger").click()
        tab.wait_for_function(
            "wide => document.querySelector('.scan').getBoundingClientRect().width > 1.3 * wide",
            arg=wide["width"],
        )
        tab.context.close()


def test_an_administrator_compares_promotes_and_rolls_back(tab: Page, page: Site, tmp_path: Path):
    registry = fill(page, tmp_path)
    enter(tab, page, Role.ADMINISTRATOR)
    tab.goto("/models")
    tab.get_by_role("button", name="Compare").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Two versions side by side")
    tab.goto("/models/tiny-2")
    expect(tab.get_by_text("Beside tiny-1 it does not pass the gate of updates.")).to_be_visible()
    tab.get_by_label("Reason").fill("better on the ward's images")
    tab.get_by_role("button", name="Promote").click()
    tab.wait_for_url(re.compile("/models$"))
    assert registry.champion() == "tiny-2"
    tab.get_by_label("Reason").fill("it was not")
    tab.get_by_role("button", name="Roll back").click()
    expect(tab.get_by_role("cell", name=re.compile("it was not"))).to_have_count(2)  # of both
    assert registry.champion() == "tiny-1"


def test_somebody_changes_their_password_and_makes_and_revokes_a_key(tab: Page, page: Site):
    enter(tab, page, Role.CLINICIAN, PASSWORD)
    tab.goto("/account")
    for name, value in (
        ("old", PASSWORD),
        ("password", "grey otter bay"),
        ("again", "grey otter bay"),
    ):
        tab.locator(f"[action='/account/password'] [name={name}]").fill(value)
    tab.locator("[action='/account/password'] button").click()
    expect(tab.get_by_role("alert")).to_have_count(0)
    tab.locator("[action='/account/keys'] [name=name]").fill("workstation")
    tab.locator("[action='/account/keys'] [name=scope]").first.check()
    tab.locator("[action='/account/keys'] [name=proof]").fill("grey otter bay")
    tab.get_by_role("button", name="Make").click()
    expect(tab.locator("input.once")).to_have_value(re.compile("^ladnn"))
    tab.goto("/account")
    tab.get_by_role("button", name="Revoke").click()
    expect(tab.get_by_text("Revoked", exact=True)).to_be_visible()


def test_an_administrator_checks_the_log_purges_and_shuts_an_account(tab: Page, page: Site):
    make_account(page, Role.CLINICIAN, "lee@hospital.org")
    enter(tab, page, Role.ADMINISTRATOR)
    tab.goto("/admin/retention")
    tab.locator("[action='/admin/retention/purge'] button").click()
    expect(tab.get_by_role("heading", level=1)).to_be_visible()
    tab.goto("/admin/accounts")
    row = tab.locator("tr", has_text="lee@hospital.org")
    row.locator("summary").click()
    row.locator("button.danger").click()
    row = tab.locator("tr", has_text="lee@hospital.org")
    expect(row).to_contain_text("Disabled")
    row.get_by_role("link", name="What they did, in the audit log").click()
    expect(tab.get_by_label("Who", exact=True)).to_have_value(re.compile("account:."))
    tab.goto("/admin/audit")
    tab.locator("[action='/admin/audit/verify'] button").click()
    expect(tab.get_by_role("status")).to_contain_text("holds")

"""The collection in a real browser: given with a report, told of doubles, judged, published."""

import re
import zipfile

import numpy as np
from personas import person
from playwright.sync_api import Page, expect
from sites import Site
from sqlalchemy import delete
from tabs import become, fill_in, payload
from test_collection import CLINICIAN, CURATOR, REPORT, SECOND, give, image, judge

from ladnn.imaging import decode
from ladnn.service.tables import SignIn
from synthetic import encode


def be(tab: Page, page: Site, who: str) -> None:
    """Go on as somebody such as "curator:2"."""
    become(tab, page, person(page, who))


def contribute(tab: Page, data: bytes, report: str = "", patient: str = "P-01") -> None:
    tab.goto("/contribute")
    if report:
        fill_in(tab, report=report)
        tab.get_by_role("button", name="Propose lesions").click()
        expect(tab.locator("mark").first).to_be_visible()
    tab.get_by_label("positive").check()
    fill_in(tab, patient=patient, source="Ward 3")
    tab.set_input_files("#image", payload("a.png", data))
    tab.get_by_label("The patient or an ethics").check()
    tab.get_by_role("button", name="Contribute", exact=True).click()


def test_a_case_is_contributed_accepted_and_published_by_page(tab: Page, page: Site):
    be(tab, page, CLINICIAN)
    contribute(tab, image(), REPORT)
    tab.wait_for_url(re.compile("/contributions/"))
    expect(tab.get_by_role("main")).to_contain_text("Waiting")
    be(tab, page, CURATOR)
    tab.goto("/review")
    tab.get_by_role("link", name="Open this case").click()
    expect(tab.locator("mark.found").first).to_be_visible()
    tab.get_by_role("button", name="Accept as contributed").click()
    expect(tab.get_by_role("main")).to_contain_text("Nothing waits for you")
    tab.get_by_role("link", name="Dataset versions").click()
    tab.get_by_role("button", name="Make a version").click()
    with tab.expect_download() as taken:
        tab.get_by_role("link", name="ZIP").click()
    with zipfile.ZipFile(taken.value.path()) as pack:
        assert pack.testzip() is None
        assert sum(name.endswith(".png") for name in pack.namelist()) == 1


def test_the_words_of_a_report_are_marked_by_what_they_say(tab: Page, page: Site):
    be(tab, page, CLINICIAN)
    tab.goto("/contribute")
    fill_in(tab, report=REPORT)
    tab.get_by_role("button", name="Propose lesions").click()
    expect(tab.locator("mark.found", has_text="consolidation")).to_be_visible()
    expect(tab.locator("mark.denied")).to_contain_text("not: Crazy-paving")
    fill_in(tab, report="Consolidation has disappeared. " + REPORT)
    tab.get_by_role("button", name="Propose lesions").click()
    gone = tab.locator("mark", has_text="gone by then")
    expect(gone).to_contain_text("Consolidation, gone by then")
    fill_in(tab, report=REPORT)
    tab.get_by_role("button", name="Propose lesions").click()
    expect(gone).to_have_count(0)
    expect(tab.get_by_label("Crazy-paving appearance")).to_have_value("0")
    expect(tab.get_by_label("Ground-glass opacity")).to_have_value("1")
    expect(tab.locator("[name=report]")).to_have_value(REPORT)


def test_labels_of_a_report_that_is_taken_out_go_with_it_and_chosen_ones_stay(
    scripted: Page, page: Site
):
    be(scripted, page, CLINICIAN)
    scripted.goto("/contribute")
    fill_in(scripted, report=REPORT)
    expect(scripted.get_by_label("Crazy-paving appearance")).to_have_value("0")
    scripted.get_by_label("Consolidation").select_option("0")
    fill_in(scripted, report="")
    expect(scripted.get_by_label("Crazy-paving appearance")).to_have_value("")
    expect(scripted.get_by_label("Consolidation")).to_have_value("0")


def test_labels_chosen_on_a_form_that_was_refused_stay_whatever_is_written_then(
    scripted: Page, page: Site
):
    be(scripted, page, CLINICIAN)
    contribute(scripted, b"no image")
    scripted.locator("[role=alert]:visible").wait_for()
    scripted.get_by_label("Consolidation").select_option("1")
    scripted.set_input_files("#image", payload("b.png", b"no image"))
    scripted.get_by_role("button", name="Contribute", exact=True).click()
    expect(scripted.get_by_role("alert")).to_contain_text("b.png")
    fill_in(scripted, report="双肺")
    expect(scripted.locator("[data-proposed]")).to_have_count(5)
    expect(scripted.get_by_label("Consolidation")).to_have_value("1")


def test_while_a_report_is_written_lesions_are_proposed_and_what_was_chosen_stays(
    scripted: Page, page: Site
):
    be(scripted, page, CLINICIAN)
    scripted.goto("/contribute")
    scripted.get_by_label("Consolidation").select_option("absent")
    scripted.locator("[name=report]").press_sequentially("Ground-glass opacities, consolidation.")
    expect(scripted.get_by_label("Ground-glass opacity")).to_have_value("1")
    expect(scripted.get_by_label("Consolidation")).to_have_value("0")


def test_the_same_image_again_is_refused_and_the_form_keeps_what_was_entered(tab: Page, page: Site):
    give(page, who="clinician:9")
    be(tab, page, CLINICIAN)
    contribute(tab, image(), REPORT, patient="P-77")
    expect(tab.get_by_role("alert")).to_contain_text("was contributed before")
    for name, value in (("patient", "P-77"), ("source", "Ward 3"), ("report", REPORT)):
        expect(tab.locator(f"main [name={name}]")).to_have_value(value)
    expect(tab.get_by_label("positive")).to_be_checked()
    expect(tab.get_by_label("Crazy-paving appearance")).to_have_value("0")


def test_nearly_the_same_image_is_told_at_once_and_a_curator_can_look_at_both(
    tab: Page, page: Site
):
    first = give(page).json()["id"]
    be(tab, page, CLINICIAN)
    darker = np.clip(decode(image()).pixels * 0.9 + 10, 0, 255).astype(np.uint8)
    contribute(tab, encode(darker, "PNG"), patient="P-02")
    expect(tab.get_by_text("look nearly the same: 1")).to_be_visible()
    second = tab.url
    be(tab, page, CURATOR)
    tab.goto(second)
    tab.get_by_role("link", name="P-01").click()
    expect(tab).to_have_url(re.compile(f"/review/{first}$"))


def test_a_contributor_takes_their_case_back(tab: Page, page: Site):
    be(tab, page, CLINICIAN)
    contribute(tab, image())
    tab.wait_for_url(re.compile("/contributions/"))
    where = tab.url
    tab.get_by_text("Take it back").click()
    tab.get_by_role("button", name="Delete the contribution").click()
    expect(tab.get_by_text("Nothing contributed yet.")).to_be_visible()
    gone = tab.goto(where)
    assert gone is not None
    assert (gone.status, page.services.blobs.names()) == (404, [])


def test_a_case_is_rejected_with_a_reason_which_its_contributor_reads(tab: Page, page: Site):
    case = give(page).json()["id"]
    be(tab, page, CURATOR)
    tab.goto(f"/review/{case}")
    tab.locator("summary", has_text="Reject").click()
    tab.get_by_role("button", name="Reject").click()
    expect(tab).to_have_url(re.compile(f"/review/{case}$"))  # it asks for a reason
    tab.get_by_label("Reason for the rejection").fill("It shows no chest.")
    tab.get_by_role("button", name="Reject").click()
    expect(tab.get_by_text("Nothing waits for you")).to_be_visible()
    be(tab, page, SECOND)
    tab.goto("/review")
    tab.get_by_role("link", name="Open this case").click()
    expect(tab.get_by_text("Rejected: It shows no chest.")).to_be_visible()
    tab.get_by_label("Reason for the rejection").fill("I agree.")
    tab.get_by_role("button", name="Reject, as the first reader does").click()
    tab.get_by_role("link", name=re.compile("Rejected")).click()
    expect(tab.locator("tbody tr")).to_have_count(1)
    be(tab, page, CLINICIAN)
    tab.goto("/contribute")
    tab.locator(".recent a").click()
    expect(tab.get_by_role("main")).to_contain_text("It shows no chest.")


def test_a_curator_removes_a_case_for_good(tab: Page, page: Site):
    case = give(page).json()["id"]
    judge(page, case)
    be(tab, page, CURATOR)
    tab.goto(f"/review/{case}")
    tab.get_by_text("Remove it for good").click()
    tab.get_by_label("Why").select_option("Picture or report may name somebody")
    tab.get_by_role("button", name="Delete for good").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Review")
    assert page.services.blobs.names() == []


def test_nothing_accepted_makes_no_version(tab: Page, page: Site):
    be(tab, page, CURATOR)
    tab.goto("/review/datasets")
    tab.get_by_role("button", name="Make a version").click()
    expect(tab.get_by_role("alert")).to_contain_text("Nothing is accepted yet")


def test_a_proposal_that_a_session_s_end_prevents_is_told(scripted: Page, page: Site):
    be(scripted, page, CLINICIAN)
    scripted.goto("/contribute")
    page.services.database.write(lambda session: session.execute(delete(SignIn)))
    fill_in(scripted, report=REPORT)
    scripted.get_by_role("button", name="Propose lesions").click()
    expect(scripted.get_by_role("heading", level=1)).to_contain_text("Your session is over")

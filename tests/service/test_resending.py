"""What was typed into a form is never lost: a session that ends, a judgement that comes too late,
another language, another theme."""

import html
import re

import pytest
from personas import browser_of, make_account, person, token_on
from playwright.sync_api import Page, expect
from sites import Site
from sqlalchemy import delete, select
from starlette.testclient import TestClient
from tabs import become, enter, fill_in, payload, send_image
from test_collection import CURATOR, FIELDS, SECOND, give, image, judge

from ladnn.service.accounts.permissions import Role
from ladnn.service.errors import DatabaseAway
from ladnn.service.i18n import read_catalogues
from ladnn.service.tables import SignIn
from ladnn.service.tables_contributions import Contribution

HERE = {"origin": "http://testserver"}
REPORTS = select(Contribution.report)
TYPED = 'A <b>report</b> & "quotes",\n\nof three lines'


def end_sessions(site: Site) -> None:
    site.services.database.write(lambda session: session.execute(delete(SignIn)))


def form_on(text: str, action: str) -> dict[str, list[str]]:
    """The fields of a form, as a browser would send them."""
    found = re.search(rf'<form method="post" action="{action}".*?</form>', text, re.DOTALL)
    assert found, text
    boxes = re.findall(r'<textarea name="(\w+)"[^>]*>\n(.*?)</textarea>', found[0], re.DOTALL)
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'name="(\w+)"[^>]*value="(.*?)"', found[0], re.DOTALL) + boxes:
        fields.setdefault(name, []).append(html.unescape(value))
    return fields


def sent_too_late(page: Site) -> tuple[TestClient, str]:
    """Somebody's browser, and the page that answers a contribution after the session's end."""
    browser = browser_of(page, make_account(page, Role.CLINICIAN))
    token = token_on(browser, "/contribute")
    end_sessions(page)
    lesions = ["1", "", "0", "", ""]
    fields = FIELDS | {"csrf": token, "report": TYPED, "lesions": lesions}
    answer = browser.post(
        "/contribute", data=fields, files={"file": ("P.png", image())}, headers=HERE
    )
    assert answer.status_code == 401
    return browser, answer.text


def contribute_too_late(tab: Page, page: Site) -> None:
    """Fill in the form of a contribution and send it once the session is over."""
    tab.goto("/contribute")
    fill_in(tab, report=TYPED, patient="P-7", source="Ward 3")
    tab.locator("[name=covid]").first.check()
    tab.locator("[name=consent]").check()
    tab.set_input_files("#image", payload("a.png", image()))
    end_sessions(page)
    tab.locator("[action='/contribute'] button.primary").click()


def test_a_report_that_is_sent_after_the_session_s_end_is_shown_again(page: Site):
    _, shown = sent_too_late(page)
    fields = form_on(shown, "/contribute")
    assert fields["report"] == [TYPED]
    assert fields["lesions"] == ["1", "", "0", "", ""]
    assert fields["patient"] == ["P-01"]
    assert "once more: P.png" in shown
    assert re.search(r'href="/sign-in\?back=/contribute" target="_blank"', shown)


def test_it_is_sent_as_whoever_has_signed_in_meanwhile_and_not_before_they_were_told(page: Site):
    browser, shown = sent_too_late(page)
    other = browser_of(page, make_account(page, Role.CLINICIAN, "lee@hospital.org"))
    again = browser.post("/contribute", data=form_on(shown, "/contribute"), headers=HERE)
    assert again.status_code == 401
    browser.cookies = other.cookies
    file = {"file": ("P.png", image())}
    fields = form_on(again.text, "/contribute")
    told = browser.post("/contribute", data=fields, files=file, headers=HERE)
    assert (told.status_code, "as clinician of the tests" in told.text) == (403, True)
    fields = form_on(told.text, "/contribute")
    done = browser.post("/contribute", data=fields, files=file, headers=HERE)
    assert done.status_code == 303
    reports = page.services.database.read(lambda session: session.scalars(REPORTS).all())
    assert reports == [TYPED]


def test_what_a_clinician_chose_on_a_result_goes_along_too(page: Site, scan: bytes):
    browser = browser_of(page, make_account(page, Role.CLINICIAN))
    token = token_on(browser, "/contribute")
    end_sessions(page)
    said = {"csrf": token, "agreement": "disagree", "pcr": "positive"}
    shown = browser.post("/results/some/feedback", data=said, headers=HERE).text
    fields = form_on(shown, "/results/some/feedback")
    assert (fields["agreement"], fields["pcr"]) == (["disagree"], ["positive"])


def test_what_was_typed_is_shown_again_where_the_store_is_away(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    browser = person(page, CURATOR)
    token = token_on(browser, "/contribute")
    del browser.headers["x-csrf-token"]

    def away(*_: object) -> None:
        raise DatabaseAway

    monkeypatch.setattr("ladnn.service.reviews.judge", away)
    fields = {"csrf": token, "verdict": "reject", "reason": "letters in the picture"}
    shown = browser.post("/review/some", data=fields, headers=HERE)
    assert shown.status_code == 503
    assert form_on(shown.text, "/review/some")["reason"] == ["letters in the picture"]


def test_no_password_is_shown_again_and_nothing_that_another_site_sent(page: Site):
    browser = browser_of(page, make_account(page, Role.CLINICIAN))
    fields = {"csrf": "0", "email": "a@h.org", "password": "teal lamp river", "report": "typed"}
    for path, headers in (
        ("/sign-in", HERE),
        ("/contribute", {"origin": "https://evil.example"}),
        ("/contribute", {}),
    ):
        refused = browser.post(path, data=fields, headers=headers)
        assert refused.status_code == 403
        assert not {"teal lamp river", "typed"} & set(re.findall(r'[>"]([\w ]+)[<"]', refused.text))


MANY = dict.fromkeys(map(str, range(900)), "x" * 200)


@pytest.mark.parametrize("fields", [{"report": '"' * 100_001}, {"reason": "short"} | MANY])
def test_a_form_too_large_for_a_page_is_not_shown_again(page: Site, fields: dict[str, str]):
    refused = page.browser().post("/contribute", data=fields, headers=HERE)
    assert (refused.status_code, len(refused.content) < 20_000) == (403, True)


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "punycode", "undefined"])
@pytest.mark.parametrize("path", ["/contribute", "/sign-out", "/api/v1/predictions/some/retract"])
def test_a_form_in_another_encoding_than_utf_8_is_refused(page: Site, charset: str, path: str):
    browser = person(page, "clinician")
    del browser.headers["x-csrf-token"]
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = "".join(part.format(name, r"\ud800+2AA-") for name in ("csrf", "report")) + "--b--\r\n"
    kind = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    refused = browser.post(path, content=body, headers=HERE | kind)
    assert refused.status_code == 400
    assert "in another encoding: send it in UTF-8." in refused.text


def test_a_judgement_that_comes_too_late_keeps_its_reason_and_labels(page: Site):
    case = give(page).json()["id"]
    lesions = ["", "1", "", "", "0"]
    typed = {"verdict": "correct", "covid": "0", "reason": "no such thing", "lesions": lesions}
    judge(page, case, CURATOR, "reject")
    refused = person(page, SECOND).post(f"/review/{case}", data=typed | {"seen": "0"})
    assert refused.status_code == 422
    correcting = refused.text[refused.text.index('<details class="more" open>') :]
    assert "no such thing</textarea>" in correcting
    assert '<input type="radio" name="covid" value="0" checked>' in correcting
    assert correcting.count('<option value="1" selected>') == 1
    judge(page, case, "curator:4", "reject")
    settled = person(page, SECOND).post(f"/review/{case}", data=typed | {"seen": "0"})
    assert "no such thing</textarea>" in settled.text


def test_a_page_says_in_its_own_words_that_a_side_must_be_named(page: Site):
    case = give(page).json()["id"]
    judge(page, case, CURATOR, "correct", covid=False, lesions={})
    refused = person(page, SECOND).post(f"/review/{case}", data={"verdict": "accept"})
    told = re.search(r'role="alert">.*?<span[^>]*>(.*?)</span>', refused.text, re.DOTALL)
    assert (refused.status_code, told is not None) == (422, True)
    assert "by the button" in told[1]
    assert "accept_contributed" not in told[1]
    assert "accept_contributed" in judge(page, case, SECOND, "accept").json()["detail"]


def press(tab: Page, name: str) -> Page:
    """Press a button of the head; the tab in which its answer stands."""
    button = tab.get_by_role("button", name=name)
    if tab.locator("noscript a, noscript span").count() == 0:  # scripts run: these are no elements
        button.click()
        return tab
    with tab.expect_popup() as opened:
        button.click()
    return opened.value


def test_language_and_theme_leave_a_half_filled_contribution_as_it_is(tab: Page, page: Site):
    enter(tab, page, Role.CLINICIAN)
    tab.goto("/contribute")
    fill_in(tab, report=TYPED, patient="P-7")
    tab.locator("[name=covid]").last.check()
    tab.set_input_files("#image", payload("a.png", image()))
    dark = press(tab, "Dark")
    expect(dark.locator("html")).to_have_attribute("data-theme", "dark")
    chinese = press(tab, "中文")
    expect(chinese.locator("html")).to_have_attribute("lang", "zh")
    expect(chinese.get_by_role("heading", level=1)).to_have_text("贡献一个病例")
    expect(chinese.locator("html")).to_have_attribute("data-theme", "dark")
    assert tab.locator("[name=report]").input_value() == TYPED
    assert tab.locator("[name=patient]").input_value() == "P-7"
    expect(tab.locator("[name=covid]").last).to_be_checked()
    assert tab.evaluate("() => 1 + 1") == 2
    tab.locator("[name=consent]").check()
    fill_in(tab, source="Ward 3")
    tab.locator("[action='/contribute'] button.primary").click()  # with the file that was chosen
    tab.wait_for_url(re.compile("/contributions/."))


def test_language_and_theme_leave_a_judgement_as_it_is(tab: Page, page: Site, scan: bytes):
    case = give(page).json()["id"]
    enter(tab, page, Role.CURATOR)
    tab.goto(f"/review/{case}")
    tab.get_by_text("Correct", exact=True).click()
    tab.get_by_label("Consolidation").select_option("1")
    tab.get_by_label("Reason for the correction").fill("I see one.")
    press(tab, "Dark")
    beside = press(tab, "中文")
    expect(beside.locator("html")).to_have_attribute("lang", "zh")
    assert tab.locator("[name=lesions]").nth(1).input_value() == "1"
    assert tab.locator("details[open] [name=reason]").input_value() == "I see one."
    send_image_in_english(tab, scan)
    tab.get_by_label("I disagree").check()
    press(tab, "Light" if tab.locator("html[data-theme=dark]").count() else "Dark")
    press(tab, "中文")
    expect(tab.locator("[name=agreement][value=disagree]")).to_be_checked()


def send_image_in_english(tab: Page, scan: bytes) -> None:
    for cookie in tab.context.cookies():
        if cookie["name"] == "ladnn_language":
            tab.context.add_cookies([cookie | {"value": "en"}])
    send_image(tab, "scan.png", scan)


def test_another_language_puts_nobody_s_name_on_another_s_buttons(tab: Page, page: Site):
    enter(tab, page, Role.ADMINISTRATOR)
    zoe = make_account(page, Role.CLINICIAN, "zoe@hospital.org")
    tab.goto("/admin/accounts")
    tab.locator("main [name=email]").fill("new@hospital.org")
    make_account(page, Role.CLINICIAN, "yan@hospital.org")  # sorts before
    press(tab, "中文")
    row = tab.locator("tr", has=tab.locator(f"form[action*='{zoe.public_id}/role']"))
    if tab.locator("noscript span").count() == 0:
        expect(row).to_contain_text("临床医生")
    expect(row.locator("td").first).to_contain_text("zoe@hospital.org")


def test_a_contribution_after_the_session_s_end_is_sent_again_by_hand(tab: Page, page: Site):
    account = enter(tab, page, Role.CLINICIAN)
    contribute_too_late(tab, page)
    assert tab.locator("[name=report]").input_value() == TYPED
    with tab.context.expect_page() as opened:
        tab.get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(opened.value).to_have_url(re.compile("/sign-in"))
    become(opened.value, page, browser_of(page, account))
    for _ in range(2):  # the first tells as whom
        tab.set_input_files("#file-1", payload("a.png", image()))
        tab.get_by_role("button", name="Send it again").click()
    tab.wait_for_url(re.compile("/contributions/."))
    expect(tab.get_by_role("main")).to_contain_text("P-7")


def test_a_refusal_has_its_words_in_every_language(page: Site):
    _, shown = sent_too_late(page)
    for language, words in read_catalogues().words.items():
        for key in ("error.session_over", "again.sign_in", "again.send", "error.home"):
            assert f'data-in-{language}="{html.escape(words[key], quote=True)}"' in shown


def test_a_form_that_is_refused_says_why_in_every_language(page: Site):
    browser = person(page, "clinician")
    answer = browser.post("/contribute", data=FIELDS, files={"file": ("a.png", b"no image")})
    assert answer.status_code == 422
    assert 'data-in-zh="a.png 是文本' in answer.text
    assert 'data-in-en="a.png is text' in answer.text


def test_a_contribution_that_is_refused_still_shows_what_its_report_proposes(page: Site):
    lesions = ["0", "", "", "", ""]
    fields = FIELDS | {"consent": "", "lesions": lesions}
    refused = person(page, "clinician").post("/contribute", data=fields).text
    assert 'name="proposed" value="1"' in refused  # beside the choice, which stays
    assert refused.count('<option value="0" selected>') == 1

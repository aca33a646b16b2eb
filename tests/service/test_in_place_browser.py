"""What changes on a page that stays: its language, its map and window, its files."""

import re

from personas import PASSWORD, browser_of, make_account
from playwright.sync_api import Page, Route, expect
from sites import Site
from tabs import become, choose, enter, fill_in, payload, send_image, send_study
from test_accounts_browser import sign_in
from test_accounts_flows import code_of
from test_collection import REPORT
from test_resending import TYPED, contribute_too_late, press
from test_site_batches import scans

from ladnn.service.accounts.permissions import Role


def in_chinese(tab: Page) -> None:
    tab.get_by_role("button", name="中文").click()
    expect(tab.locator("html")).to_have_attribute("lang", "zh")


def test_a_refusal_changes_its_language_and_keeps_what_was_typed(scripted: Page, page: Site):
    enter(scripted, page, Role.CLINICIAN)
    contribute_too_late(scripted, page)
    scripted.get_by_label("Report").press_sequentially("!")
    in_chinese(scripted)
    expect(scripted.get_by_role("heading", level=1)).to_contain_text("您的会话已结束")
    expect(scripted.get_by_role("link", name="测试图像")).to_be_visible()
    expect(scripted.get_by_role("button", name="重新发送")).to_be_visible()
    assert scripted.get_by_label("报告").input_value() in (TYPED + "!", "!" + TYPED)
    scripted.get_by_role("button", name="English").click()
    expect(scripted.get_by_role("heading", level=1)).to_contain_text("Your session is over")


def test_the_form_of_a_judgement_changes_its_language_whatever_map_is_shown(
    scripted: Page, page: Site
):
    enter(scripted, page, Role.CLINICIAN)
    send_study(scripted)
    scripted.get_by_role("link", name="Ground-glass opacity").click()
    scripted.get_by_label("I agree", exact=True).check()
    in_chinese(scripted)
    expect(scripted.get_by_role("heading", name="您的判断")).to_be_visible()
    expect(scripted.locator("[name=agreement][value=agree]")).to_be_checked()


def test_what_is_shown_once_outlasts_another_language(tab: Page, page: Site):
    enter(tab, page, Role.CLINICIAN)
    tab.goto("/account")
    fill_in(tab, name="workstation")
    tab.locator("[name=scope]").first.check()
    tab.locator("[action='/account/keys'] button").click()
    key = tab.locator(".once").input_value()
    beside = press(tab, "中文")
    expect(beside.locator("html")).to_have_attribute("lang", "zh")
    assert tab.locator(".once").input_value() == key
    if beside is tab:
        expect(tab.get_by_role("heading", level=1)).to_have_text("您的新密钥")
        expect(tab.get_by_role("link", name="完成")).to_be_visible()


def test_recovery_codes_shown_at_a_sign_in_outlast_another_language(tab: Page, page: Site):
    account = make_account(page, Role.CURATOR, password=PASSWORD)
    tab.goto("/sign-in?back=/review")
    sign_in(tab, account)
    shared = str(tab.locator("code.secret").text_content()).replace(" ", "")
    fill_in(tab, code=code_of(shared, page))
    tab.get_by_role("button", name="Confirm").click()
    codes = tab.locator(".codes code").all_inner_texts()
    beside = press(tab, "中文")
    expect(beside.locator("html")).to_have_attribute("lang", "zh")
    assert tab.locator(".codes code").all_inner_texts() == codes
    if beside is tab:
        expect(tab.get_by_role("heading", level=1)).to_have_text("请记下您的恢复码")
        expect(tab.get_by_role("button", name="退出")).to_be_visible()
    else:
        expect(beside).to_have_url(re.compile("/review$"))


def test_a_wrong_password_is_told_in_the_language_that_is_chosen_then(scripted: Page):
    scripted.goto("/sign-in")
    fill_in(scripted, email="nobody@hospital.org", password="wrong")
    scripted.locator("main button.primary").click()
    in_chinese(scripted)
    expect(scripted.get_by_role("alert")).to_have_text("地址或密码错误。")
    expect(scripted.get_by_role("heading", level=1)).to_have_text("登录")
    assert scripted.locator("main [name=email]").input_value() == "nobody@hospital.org"


def test_map_window_and_slices_keep_their_names_in_another_language(scripted: Page, page: Site):
    enter(scripted, page, Role.CLINICIAN)
    send_study(scripted)
    scripted.get_by_role("link", name="Ground-glass opacity").click()
    scripted.get_by_role("link", name="Mediastinum").click()
    in_chinese(scripted)
    expect(scripted.get_by_role("img", name=re.compile("模型关注的位置.磨玻璃影"))).to_be_visible()
    expect(scripted.locator("[data-level-output]")).to_have_text("40")
    expect(scripted.locator("[data-width-output]")).to_have_text("400")
    expect(scripted.locator(".slices li").first).to_contain_text("层面")
    expect(scripted.get_by_role("textbox", name="永久链接", exact=True)).to_be_visible()


def test_keys_go_through_the_slices_of_a_study(scripted: Page, page: Site):
    enter(scripted, page, Role.CLINICIAN)
    send_study(scripted)
    slices = scripted.locator(".slices a")
    scripted.locator("[data-stage]").focus()
    for key, place in (("PageDown", 1), ("PageUp", 0)):
        scripted.keyboard.press(key)
        expect(slices.nth(place)).to_have_attribute("aria-current", "true")
        expect(scripted.locator("[data-stage]")).to_be_focused()


def test_space_shows_no_map_where_none_is_chosen(scripted: Page, scan: bytes):
    send_image(scripted, "scan.png", scan)
    the_map = scripted.locator("[data-map]")
    scripted.locator("[data-stage]").focus()
    scripted.keyboard.press("Space")
    expect(the_map).to_be_hidden()
    scripted.keyboard.press("Space")
    expect(the_map).to_be_visible()
    scripted.keyboard.press("0")
    scripted.keyboard.press("Space")
    expect(the_map).to_be_hidden()


def test_the_same_file_can_be_chosen_again_after_going_back(scripted: Page, scan: bytes):
    scripted.goto("/")
    scripted.route("**/", lambda route: route.fulfill(status=204))  # so it stays
    scripted.set_input_files("#file", payload("scan.png", scan))
    expect(scripted.get_by_text("Reading the image")).to_be_visible()
    back = "() => window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"
    scripted.evaluate(back)  # out of the browser's memory, as it was left
    expect(scripted.locator("#file")).to_have_js_property("value", "")


def test_the_language_changes_while_files_are_sent(scripted: Page):
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    scripted.goto("/batches")
    scripted.route("**/items", hold)
    choose(scripted, "#files", "Test them", *(payload(*file) for file in scans(1)))
    expect(scripted.get_by_text("Sending: 0 of 1 files")).to_be_visible()
    in_chinese(scripted)
    held[0].continue_()
    expect(scripted.get_by_text("全部 1 个文件已送达")).to_be_visible()


def test_what_was_chosen_against_the_report_stays_after_a_refusal(scripted: Page, page: Site):
    become(scripted, page, browser_of(page, make_account(page, Role.CLINICIAN)))
    scripted.goto("/contribute")
    fill_in(scripted, report=REPORT, patient="P-7", source="Ward 3")
    opacity = scripted.get_by_label("Ground-glass opacity")
    expect(opacity).to_have_value("1")
    opacity.select_option("0")
    scripted.locator("[name=covid]").first.check()
    scripted.locator("[name=consent]").check()
    scripted.set_input_files("#image", payload("a.png", b"no image"))
    scripted.locator("[action='/contribute'] button.primary").click()
    expect(scripted.get_by_role("alert")).to_be_visible()
    report = scripted.locator("[name=report]")
    report.fill(f"{REPORT} Air bronchograms.")
    expect(scripted.get_by_label("Air bronchograms")).to_have_value("1")
    expect(opacity).to_have_value("0")


def test_a_report_says_so_where_the_site_cannot_be_reached(scripted: Page, page: Site):
    enter(scripted, page, Role.CLINICIAN)
    scripted.goto("/contribute")
    scripted.route("**/contribute/report", lambda route: route.abort())
    fill_in(scripted, report=REPORT)
    scripted.get_by_role("button", name="Propose lesions").click()
    expect(scripted.get_by_text("The site cannot be reached")).to_be_visible()
    assert scripted.locator("[name=report]").input_value() == REPORT
    scripted.unroute("**/contribute/report")
    scripted.get_by_role("button", name="Propose lesions").click()
    expect(scripted.locator("mark").first).to_be_visible()

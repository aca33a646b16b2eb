"""Batches in a real browser: dropped, watched, stopped, gone on with, taken away, deleted."""

import csv
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect
from sites import MakeSite, Site, served
from sqlalchemy import select
from tabs import choose, drop, newest, payload, send_batch
from test_site_batches import drain, packed, scans

from ladnn.service import batches
from ladnn.service.draining import Drainer
from ladnn.service.tables_batches import Batch
from synthetic import dicom_bytes


def head(tab: Page):
    return expect(tab.get_by_role("heading", level=1))


def names(tab: Page) -> list[str]:
    return [text.split(" #")[0] for text in tab.locator(".worklist .file-cell").all_inner_texts()]


def brought(tab: Page) -> list[Request]:
    """The requests with which a script will have brought files."""
    sent: list[Request] = []
    tab.on("request", lambda one: sent.append(one) if one.url.endswith("/items") else None)
    return sent


def write(folder: Path, files: list[tuple[str, bytes]]) -> list[Path]:
    paths = [folder / name for name, _ in files]
    for path, (_, data) in zip(paths, files, strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return paths


def test_a_batch_is_answered_most_suspicious_first_sorted_narrowed_and_taken_away(
    tab: Page, page: Site
):
    files = scans(4)
    send_batch(tab, [("all.zip", packed(files[:3])), files[3], ("notes.png", b"no image")])
    drain(page)
    newest(tab)
    head(tab).to_have_text("4 of 5 answered")
    *figures, failed = tab.locator(".worklist td.number").all_inner_texts()
    assert (figures, failed) == (sorted(figures, reverse=True), "")
    tab.get_by_label("Order").select_option("by name")
    tab.get_by_role("button", name="Apply").click()
    tab.wait_for_url(re.compile("sort=name"))
    assert names(tab) == ["notes.png", *(name for name, _ in files)]
    tab.get_by_role("link", name="1 failed").click()
    tab.wait_for_url(re.compile("show=failed"))
    assert names(tab) == ["notes.png"]
    expect(tab.get_by_text("is text, not an image")).to_be_visible()
    with tab.expect_download() as taken:
        tab.get_by_role("link", name="CSV").click()
    with taken.value.path().open(newline="") as table:
        assert {row["name"] for row in csv.DictReader(table)} == {"notes.png", *dict(files)}
    with tab.expect_download() as taken:
        tab.get_by_role("link", name="ZIP with overlays").click()
    with zipfile.ZipFile(taken.value.path()) as pack:
        assert sum(name.startswith("overlays/") for name in pack.namelist()) == 4


def test_what_waits_is_cancelled_tried_again_and_deleted(tab: Page, page: Site):
    send_batch(tab, [("all.zip", packed(scans(3)))])
    tab.get_by_role("button", name="Cancel what waits").click()
    expect(tab.get_by_role("link", name="3 cancelled")).to_be_visible()
    drain(page)
    tab.get_by_role("button", name="Try again").click()
    expect(tab.get_by_role("link", name="3 waiting")).to_be_visible()
    drain(page)
    newest(tab)
    head(tab).to_have_text("3 of 3 answered")
    where = tab.url
    tab.get_by_text("Delete this batch").click()
    tab.get_by_role("button", name="Delete for good").click()
    expect(tab.get_by_text("No batch yet in this browser")).to_be_visible()
    gone = tab.goto(where)
    assert gone is not None
    assert (gone.status, page.services.blobs.names()) == (404, [])


def test_slices_of_a_series_that_are_chosen_together_get_one_result(tab: Page, page: Site):
    send_batch(tab, [(f"{n}.dcm", dicom_bytes(InstanceNumber=n)) for n in (3, 4)])
    drain(page)
    newest(tab)
    head(tab).to_have_text("1 of 1 answered")
    expect(tab.locator(".worklist .file-cell")).to_contain_text("2 slices")


def test_a_batch_is_gone_on_with_another_day_and_nothing_is_tested_twice(tab: Page, page: Site):
    files = scans(4)
    send_batch(tab, files[:2])
    drain(page)
    tab.goto("/batches")
    tab.get_by_role("link", name="Results: 2").click()
    requests = brought(tab)
    choose(tab, "#files", "Test them", *(payload(*file) for file in files))
    expect(tab.get_by_text("1 to 4 of 4")).to_be_visible()
    drain(page)
    newest(tab)
    head(tab).to_have_text("4 of 4 answered")
    assert len(requests) in (0, 2)  # a script sends what is missing, a form all in one request


def test_a_long_worklist_is_leafed_through(tab: Page):
    files = [(f"{number:03}.txt", b"x" * (number + 1)) for number in range(205)]
    send_batch(tab, [("all.zip", packed(files))])
    expect(tab.get_by_role("link", name="205 failed")).to_be_visible()
    tab.get_by_role("link", name="After").click()
    expect(tab.get_by_text("201 to 205 of 205")).to_be_visible()
    assert names(tab) == [name for name, _ in files[200:]]
    tab.get_by_role("link", name="Before").click()
    expect(tab.get_by_text("1 to 200 of 205")).to_be_visible()


def test_what_is_no_archive_is_told_on_the_page_of_the_batch_which_stays_where_it_was(
    tab: Page, page: Site
):
    send_batch(tab, scans(1))
    drain(page)
    broken = payload("broken.zip", b"PK\x03\x04" + bytes(100))
    choose(tab, "#files", "Test them", broken)
    expect(tab.get_by_text("The archive was not taken whole")).to_be_in_viewport()
    expect(tab.get_by_text("All 1 files are with the site")).to_have_count(0)
    tab.get_by_role("button", name="中文").click()
    head(tab).to_have_text("1 个中已有 1 个得到结果")


def test_a_whole_batch_in_chinese(tab: Page, page: Site):
    tab.goto("/batches")
    tab.get_by_role("button", name="中文").click()
    files = [*scans(1), ("notes.png", b"no image")]
    choose(tab, "#files", "开始测试", *(payload(*file) for file in files))
    expect(tab.get_by_text("第 1 至 2 项")).to_be_visible()
    drain(page)
    newest(tab)
    head(tab).to_have_text("2 个中已有 1 个得到结果")
    expect(tab.locator(".worklist .wrong")).to_contain_text("是文本")
    tab.get_by_text("删除此批次").click()
    tab.get_by_role("button", name="永久删除").click()
    expect(tab.get_by_text("此浏览器中还没有批次")).to_be_visible()


def test_files_a_folder_and_an_archive_that_are_dropped_are_followed_live(
    scripted: Page, page: Site, tmp_path: Path
):
    files = scans(9)
    alone = write(tmp_path, files[:2])
    write(tmp_path / "ward", files[2:4])
    [pack] = write(tmp_path, [("all.zip", packed(files[4:]))])
    scripted.goto("/batches")
    drop(scripted, *alone, tmp_path / "ward", pack)
    head(scripted).to_have_text("4 of 9 answered")
    expect(scripted.locator("[data-sending]")).to_have_text("All 5 files are with the site.")
    expect(scripted.get_by_role("link", name="5 waiting")).to_be_visible()
    scripted.evaluate("() => { window.sameAsBefore = true; }")
    Drainer(page.services).step()
    newest(scripted)
    head(scripted).to_have_text("8 of 9 answered")
    drain(page)
    newest(scripted)
    head(scripted).to_have_text("9 of 9 answered")
    assert scripted.evaluate("() => window.sameAsBefore")
    assert sorted(names(scripted)) == sorted(name for name, _ in files)


SHUT = """() => {
  const refuse = (done, failed) => failed(new DOMException("", "NoModificationAllowedError"));
  const meet = (entry) => {
    const shut = entry.name.startsWith("shut");
    if (shut && entry.isFile) entry.file = refuse;
    if (!entry.isDirectory) return entry;
    const reader = entry.createReader();
    const read = (done, failed) => reader.readEntries((some) => done(some.map(meet)), failed);
    entry.createReader = () => ({ readEntries: shut ? refuse : read });
    return entry;
  };
  const get = DataTransferItem.prototype.webkitGetAsEntry;
  DataTransferItem.prototype.webkitGetAsEntry = function () { return meet(get.call(this)); };
}"""
"""Files and folders called so are refused as the system refuses them to whoever may not read."""


def test_what_cannot_be_opened_in_a_dropped_folder_is_told_by_its_path(
    scripted: Page, tmp_path: Path
):
    files = scans(5)
    write(tmp_path / "ward", [*files[:1], ("shut.png", b"")])
    write(tmp_path / "ward" / "shut", files[1:2])
    write(tmp_path / "ward" / "other", files[2:3])
    scripted.goto("/batches")
    scripted.evaluate(SHUT)
    drop(scripted, tmp_path / "ward" / "shut")
    expect(scripted.get_by_text("Not sent: shut: It cannot be read")).to_be_visible()
    expect(scripted.get_by_text("0 of 1 files are with the site")).to_be_visible()
    drop(scripted, tmp_path / "ward")
    head(scripted).to_have_text("2 of 2 answered")
    for path in ("ward/shut", "ward/shut.png"):
        expect(scripted.get_by_text(f"Not sent: {path}: It cannot be read")).to_be_visible()
    expect(scripted.get_by_text("2 of 4 files are with the site")).to_be_visible()


def test_a_lost_connection_is_told_where_it_is_seen_and_sending_goes_on_by_itself(scripted: Page):
    files = scans(5)
    scripted.goto("/batches")
    sent, back = brought(scripted), list[bool]()

    def lose(route: Route) -> None:
        if len(sent) > 2 and not back:
            scripted.context.set_offline(True)
        route.continue_()

    scripted.route("**/items", lose)
    choose(scripted, "#files", "Test them", *(payload(*file) for file in files))
    lost = scripted.get_by_text("The connection is lost. What was sent is safe")
    expect(lost).to_be_in_viewport()
    back.append(True)  # the route stays: one taken away while it is followed is an error
    scripted.context.set_offline(False)
    expect(scripted.get_by_text("All 5 files are with the site")).to_be_in_viewport()
    head(scripted).to_have_text("5 of 5 answered")
    assert len(names(scripted)) == 5


def test_a_batch_that_is_deleted_elsewhere_is_sent_nothing_more_and_is_told_to_be_gone(
    scripted: Page, page: Site
):
    site, sent = page.services, brought(scripted)
    held, read = list[Route](), list[bool]()

    def remove(route: Route) -> None:
        key = site.database.read(lambda session: session.scalar(select(Batch.id)))
        if len(sent) > 2 and key is not None:
            batches.remove_all(site, key)
        route.continue_()

    def look(route: Route) -> None:
        if len(sent) > 2 and not read:  # so that the page stays until what it tells is read
            held.append(route)
        else:
            route.continue_()

    scripted.route("**/items", remove)
    scripted.route(re.compile(r"/api/v1/batches/[^/]+$"), look)
    scripted.goto("/batches")
    choose(scripted, "#files", "Test them", *(payload(*file) for file in scans(20)))
    unsent = scripted.get_by_text("Not sent: ")
    expect(unsent).to_contain_text("There is nothing here")
    scripted.wait_for_function("() => sending === 0")
    assert unsent.count() == 1
    assert len(sent) < 10
    read.append(True)
    for route in held:
        route.continue_()
    head(scripted).to_contain_text("There is nothing here")


def test_a_batch_that_was_deleted_elsewhere_is_told_to_be_gone_where_it_is_shown(
    scripted: Page, page: Site
):
    send_batch(scripted, scans(1))
    key = page.services.database.read(lambda session: session.scalar(select(Batch.id)))
    batches.remove_all(page.services, key)
    newest(scripted)
    head(scripted).to_contain_text("There is nothing here")


def test_a_site_that_is_busy_is_asked_again_when_it_says_so(scripted: Page):
    sent = brought(scripted)

    def refuse(route: Route) -> None:
        if len(sent) > 1:
            route.continue_()
        else:
            route.fulfill(status=429, headers={"retry-after": "1"})

    scripted.route("**/items", refuse)
    send_batch(scripted, scans(1))
    head(scripted).to_have_text("1 of 1 answered")
    assert len(sent) == 2


def test_a_file_that_is_too_large_is_told_before_it_is_sent(
    page: Site, make_site: MakeSite, chromium: Browser
):
    site = make_site(page.services.settings.database_url, upload_mib=1)
    with served(site.app) as at:
        tab = chromium.new_context(base_url=at).new_page()
        send_batch(tab, [*scans(1), ("large.png", bytes(2**20))])
        expect(tab.get_by_text("Not sent: large.png")).to_be_visible()
        expect(tab.get_by_text("1 of 2 files are with the site")).to_be_visible()
        tab.context.close()


@pytest.mark.parametrize("when", ["**/api/v1/batches", "**/missing"])
def test_a_file_that_goes_while_files_are_sent_is_told_and_the_others_are_sent(
    scripted: Page, tmp_path: Path, when: str
):
    kept, gone = write(tmp_path, scans(2))

    def remove(route: Route) -> None:
        gone.unlink(missing_ok=True)
        route.continue_()

    scripted.route(when, remove)
    scripted.goto("/batches")
    scripted.set_input_files("#files", [gone, kept])
    expect(scripted.get_by_text(f"Not sent: {gone.name}: It cannot be read")).to_be_visible()
    expect(scripted.get_by_text("1 of 2 files are with the site")).to_be_visible()
    head(scripted).to_have_text("1 of 1 answered")
    assert scripted.evaluate("() => sending") == 0


def test_what_is_sent_after_the_language_changed_in_place_is_told_in_it(scripted: Page):
    send_batch(scripted, scans(1))
    scripted.reload()
    scripted.get_by_label("Order").select_option("by name")
    scripted.get_by_role("button", name="中文").click()
    scripted.locator("#files").set_input_files([payload(*file) for file in scans(2)[1:]])
    expect(scripted.locator("[data-sending]")).to_contain_text("个文件")


def test_who_leaves_while_files_are_sent_is_asked(scripted: Page):
    scripted.goto("/batches")
    scripted.route("**/items", lambda route: None)
    scripted.get_by_role("heading", level=1).click()
    choose(scripted, "#files", "Test them", *(payload(*file) for file in scans(1)))
    expect(scripted.get_by_text("Sending: 0 of 1 files")).to_be_visible()
    with scripted.expect_event("dialog") as asked:
        scripted.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.accept()


def test_the_worklist_is_renewed_under_the_hands_of_who_works_in_it(scripted: Page, page: Site):
    send_batch(scripted, [*scans(1), ("all.zip", packed(scans(3)[1:]))])
    result = scripted.get_by_role("link", name="scan0.png")
    result.focus()
    drain(page)
    newest(scripted)
    expect(scripted.locator(".worklist .file-cell a")).to_have_count(3)
    expect(result).to_be_focused()


def test_a_finished_batch_that_is_left_open_asks_the_site_for_nothing(scripted: Page):
    send_batch(scripted, scans(1))
    scripted.clock.install()
    asked: list[str] = []
    scripted.on("request", lambda one: asked.append(one.url))
    with scripted.expect_response(re.compile("/api/v1/batches/")):
        scripted.reload()
    scripted.clock.run_for(60_000)
    scripted.clock.run_for(60_000)
    assert len([url for url in asked if "/api/v1/batches/" in url]) == 1

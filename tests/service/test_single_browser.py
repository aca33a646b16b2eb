"""One image in a real browser: dropped, its result taken away, passed on, taken back; languages."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from sites import Site
from tabs import choose, drop, payload, send_image, send_study

from synthetic import dicom_bytes, hounsfield

DOWNLOADS = {"PDF": b"%PDF-", "Overlay": b"\x89PNG", "JSON": b"{"}


def test_a_result_is_taken_away_as_json_overlay_and_pdf(tab: Page, scan: bytes):
    send_image(tab, "scan.png", scan)
    for name, start in DOWNLOADS.items():
        with tab.expect_download() as taken:
            tab.get_by_role("link", name=name).click()
        data = taken.value.path().read_bytes()
        assert data.startswith(start), name
        assert taken.value.suggested_filename.endswith({"Overlay": "png"}.get(name, name.lower()))
    assert json.loads(data)["research_use_only"] is True


def test_an_image_that_is_dropped_is_tested(scripted: Page, scan: bytes, tmp_path: Path):
    (tmp_path / "scan.png").write_bytes(scan)
    scripted.goto("/")
    drop(scripted, tmp_path / "scan.png")
    scripted.wait_for_url(re.compile("/results/"))


def test_slices_that_are_dropped_together_are_one_study(scripted: Page, tmp_path: Path):
    paths = [tmp_path / f"{number}.dcm" for number in (3, 4)]
    for number, path in enumerate(paths, 3):
        path.write_bytes(dicom_bytes(InstanceNumber=number))
    scripted.goto("/")
    drop(scripted, *paths)
    scripted.wait_for_url(re.compile("/results/"))
    expect(scripted.get_by_role("link", name=re.compile("Slice 4"))).to_be_visible()


@pytest.mark.parametrize("said", ["notes.txt is text", "ward cannot be read"])
def test_what_cannot_be_tested_is_told_and_the_page_takes_the_next_image(
    scripted: Page, scan: bytes, tmp_path: Path, said: str
):
    given = tmp_path / said.split(maxsplit=1)[0]
    if given.suffix:
        given.write_bytes(b"no image")
    else:
        given.mkdir()
    (tmp_path / "scan.png").write_bytes(scan)
    scripted.goto("/")
    drop(scripted, given)
    expect(scripted.get_by_role("alert")).to_contain_text(said)
    drop(scripted, tmp_path / "scan.png")
    scripted.wait_for_url(re.compile("/results/"))


def test_one_frame_of_several_is_tested_and_one_that_is_not_there_is_refused(tab: Page):
    frames = np.stack([hounsfield(seed, size=(64, 80)) for seed in (1, 2)])
    tab.goto("/")
    for frame, answer in (
        ("", "has 2 frames: choose"),
        ("9", "no frame of that number"),
        ("2", ""),
    ):
        if not tab.get_by_label("Which frame").is_visible():  # a refusal leaves it open
            tab.get_by_text("File of several frames", exact=True).click()
        tab.get_by_label("Which frame").fill(frame)
        choose(tab, "#file", "Test", payload("frames.dcm", dicom_bytes(frames)))
        if answer:
            expect(tab.get_by_role("alert")).to_contain_text(answer)
    tab.wait_for_url(re.compile("/results/"))


def test_a_visitor_passes_a_result_on_takes_it_back_and_deletes_it(
    tab: Page, page: Site, scan: bytes
):
    send_image(tab, "scan.png", scan)
    other = page.browser()
    path = tab.url.removeprefix(tab.url.split("/results/")[0])
    link = tab.get_by_label("Link")
    expect(link).to_have_value(tab.url)
    assert "Delete this result" not in other.get(path).text
    tab.get_by_text("Retract this result").click()
    tab.get_by_role("button", name="Retract").click()
    expect(tab.get_by_text("You have retracted this result")).to_be_visible()
    assert other.get(path).status_code == 404
    tab.get_by_text("Delete this result").click()
    tab.get_by_role("button", name="Delete for good").click()
    expect(tab).to_have_url(re.compile("/$"))
    expect(tab.locator(".recent")).to_have_count(0)
    assert page.services.blobs.names() == []


def test_the_link_is_copied(scripted: Page, scan: bytes):
    send_image(scripted, "scan.png", scan)
    scripted.context.grant_permissions(["clipboard-read", "clipboard-write"])
    scripted.get_by_role("button", name="Copy").click()
    expect(scripted.get_by_role("button", name="Copied")).to_be_visible()
    assert scripted.evaluate("() => navigator.clipboard.readText()") == scripted.url


def test_a_whole_test_in_chinese(tab: Page, scan: bytes):
    tab.goto("/")
    tab.get_by_role("button", name="中文").click()
    choose(tab, "#file", "测试", payload("scan.png", scan))
    tab.wait_for_url(re.compile("/results/"))
    expect(tab.locator("html")).to_have_attribute("lang", "zh")
    tab.get_by_role("link", name="实变").click()
    expect(tab.get_by_role("img", name=re.compile("实变"))).to_be_visible()
    tab.get_by_text("删除此结果").click()
    tab.get_by_role("button", name="永久删除").click()
    expect(tab).to_have_url(re.compile("/$"))


def test_who_changes_language_or_theme_still_sees_the_slice_and_the_map(tab: Page):
    send_study(tab)
    tab.goto(f"{tab.url}?image=1&map=GGO&level=40&width=400")
    tab.get_by_role("button", name="Dark").click()
    tab.get_by_role("button", name="中文").click()
    expect(tab).to_have_url(re.compile(r"\?image=1&map=GGO&level=40&width=400$"))


def test_a_browser_that_takes_no_more_addresses_shows_maps_all_the_same(scripted: Page):
    send_study(scripted)
    refuse = "() => { history.replaceState = () => { throw new DOMException('too often'); }; }"
    scripted.evaluate(refuse)
    scripted.get_by_role("link", name="Ground-glass opacity").click()
    expect(scripted.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()


def test_window_and_map_stay_from_slice_to_slice(tab: Page):
    send_study(tab)
    tab.get_by_role("link", name="Mediastinum").click()
    tab.get_by_role("link", name="Ground-glass opacity").click()
    tab.reload()
    expect(tab.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()
    expect(tab.get_by_role("link", name="Mediastinum")).to_have_attribute("aria-current", "true")
    tab.locator(".slices a:not([aria-current])").click()
    expect(tab).to_have_url(re.compile(r"\?image=1&map=GGO&level=40&width=400$"))
    expect(tab.get_by_role("link", name="Mediastinum")).to_have_attribute("aria-current", "true")
    expect(tab.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()


def test_signing_in_leads_back_to_the_map_that_was_chosen(tab: Page, scan: bytes):
    send_image(tab, "scan.png", scan)
    tab.get_by_role("link", name="Ground-glass opacity").click()
    expect(tab.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()
    way = tab.get_by_role("link", name="Sign in").get_attribute("href") or ""
    tab.goto(parse_qs(urlsplit(way).query)["back"][0])
    expect(tab.get_by_role("img", name=re.compile("Ground-glass"))).to_be_visible()


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_is_the_system_s_until_one_is_chosen(tab: Page, system: str):
    tab.emulate_media(color_scheme=system)  # type: ignore[arg-type]
    tab.goto("/about")
    ground = tab.locator("body")
    colours = {"light": "rgb(244, 246, 248)", "dark": "rgb(13, 18, 23)"}
    other = {"light": "dark", "dark": "light"}[system]
    expect(ground).to_have_css("background-color", colours[system])
    with tab.expect_response(lambda answer: answer.request.method == "POST"):
        tab.get_by_role("button", name=f"{other.capitalize()} theme").click()
    expect(ground).to_have_css("background-color", colours[other])
    tab.goto("/models")
    expect(ground).to_have_css("background-color", colours[other])

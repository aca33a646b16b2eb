"""The page of a result in a real browser: the viewer, the keys, what axe-core finds."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from synthetic import dicom_bytes

THEMES = ("light", "dark")


@pytest.fixture
def viewer(chromium: Browser, address: str, tmp_path: Path) -> Iterator[Page]:
    """The page of a DICOM image's result, with scripts; a test fails if the console complains."""
    context = chromium.new_context(base_url=address, bypass_csp=True)  # for axe-core alone
    context.set_default_timeout(20_000)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    file = tmp_path / "slice.dcm"
    file.write_bytes(dicom_bytes())
    tab.goto("/")
    tab.set_input_files("#file", file)
    tab.wait_for_url(re.compile("/results/"))
    yield tab
    context.close()
    assert complaints == []


def test_keys_choose_maps_hide_them_and_zoom(viewer: Page):
    shown = viewer.locator("[data-map]")
    viewer.locator("[data-stage]").focus()
    viewer.keyboard.press("3")
    expect(shown).to_have_attribute("src", re.compile("/Csld.png"))
    viewer.keyboard.press("Space")
    expect(shown).to_be_hidden()
    viewer.keyboard.press("Space")
    expect(shown).to_be_visible()
    viewer.keyboard.press("0")
    expect(shown).to_be_hidden()
    viewer.keyboard.press("+")
    expect(viewer.locator("[data-stage]")).to_have_class(re.compile("zoomed"))
    viewer.keyboard.press("f")
    expect(viewer.locator("[data-stage]")).not_to_have_class(re.compile("zoomed"))


def test_an_enlarged_image_is_moved_with_the_pointer_and_whole_again(viewer: Page):
    stage, canvas = viewer.locator("[data-stage]"), viewer.locator("[data-canvas]")
    viewer.get_by_role("button", name="Larger").click()
    expect(stage).to_have_class(re.compile("zoomed"))
    still = canvas.evaluate("one => one.style.transform")
    box = stage.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.mouse.move(*middle)
    viewer.mouse.down()
    viewer.mouse.move(middle[0] + 30, middle[1] + 20)
    viewer.mouse.up()
    moved = canvas.evaluate("one => one.style.transform")
    viewer.mouse.move(*middle)
    viewer.mouse.wheel(0, -200)
    expect(canvas).not_to_have_attribute("style", f"transform: {moved};")
    assert moved != still
    viewer.get_by_role("button", name="Fit").click()
    expect(stage).not_to_have_class(re.compile("zoomed"))


def test_keys_scroll_the_page_while_the_image_has_no_focus(viewer: Page):
    viewer.set_viewport_size({"width": 1280, "height": 400})
    for key in ("Space", "PageDown"):
        there, tries = viewer.evaluate("window.scrollY"), 0
        viewer.keyboard.press(key)
        while viewer.evaluate("window.scrollY") <= there:
            viewer.wait_for_timeout(100)
            tries += 1
            assert tries < 50, f"{key} does not scroll"
        viewer.wait_for_timeout(300)  # or the second would only go on where the first has not ended
    expect(viewer.locator("[data-map]")).to_be_visible()


def test_the_slider_fades_the_map(viewer: Page):
    viewer.locator("[data-opacity]").fill("30")
    expect(viewer.locator("[data-map]")).to_have_css("opacity", "0.3")


def test_opacity_level_and_width_are_moved_by_keys(viewer: Page):
    viewer.locator("[data-opacity]").focus()
    viewer.keyboard.press("Home")
    expect(viewer.locator("[data-map]")).to_have_css("opacity", "0")
    for name, key, wanted in (
        ("level", "ArrowRight", "level=-590"),
        ("width", "End", "width=3000"),
    ):
        viewer.locator(f"[data-{name}-input]").focus()
        viewer.keyboard.press(key)
        expect(viewer.locator("[data-scan]")).to_have_attribute("src", re.compile(wanted))


def test_everything_on_a_result_is_reached_by_the_tab_key(viewer: Page):
    reached = set()
    for _ in range(60):
        viewer.keyboard.press("Tab")
        reached.add(
            viewer.evaluate(
                "document.activeElement.dataset.show ?? document.activeElement.id ?? ''"
            )
        )
        if viewer.evaluate("document.activeElement.closest('details.more') !== null"):
            break
    assert {"covid", "GGO", "Csld", "CrPa", "AirBr", "InSepThi"} <= reached


def test_the_first_page_asks_nobody_else_and_weighs_less_than_150_kb(
    chromium: Browser, address: str
):
    context = chromium.new_context(base_url=address)
    tab, weights = context.new_page(), {}
    tab.on("response", lambda answer: weights.__setitem__(answer.url, len(answer.body())))
    tab.goto("/", wait_until="networkidle")
    context.close()
    assert len(weights) >= 3
    assert [url for url in weights if not url.startswith(address)] == []
    assert sum(weights.values()) < 150_000


def test_a_window_that_is_chosen_draws_the_image_anew(viewer: Page):
    viewer.get_by_role("link", name="Mediastinum").click()
    expect(viewer.locator("[data-scan]")).to_have_attribute("src", re.compile("level=40&width=400"))
    viewer.wait_for_function("document.querySelector('[data-scan]').naturalWidth > 0")


def test_an_image_pasted_on_the_first_page_is_tested(viewer: Page, scan: bytes):
    before = viewer.url
    viewer.goto("/")
    viewer.evaluate(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
        }""",
        list(scan),
    )
    viewer.wait_for_url(re.compile("/results/"))
    assert viewer.url != before


@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_serious_on_a_result_in_either_theme(viewer: Page, width: int):
    viewer.set_viewport_size({"width": width, "height": 900})
    found = []
    for theme in THEMES:
        viewer.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found += [
            (theme, one["id"], one["nodes"][0]["html"])
            for one in Axe().run(viewer).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    assert found == []
    assert viewer.evaluate("document.documentElement.scrollWidth") <= width

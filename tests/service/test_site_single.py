"""One image through the page and through the interface: assessed, stored, shown, taken back."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sites import Site

from ladnn.findings import OUTPUTS


def send(site: Site, scan: bytes) -> dict[str, object]:
    answer = site.client.post("/api/v1/predictions", files={"file": ("scan.png", scan)})
    assert answer.status_code == 201, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_an_image_sent_is_answered_with_a_prediction_that_can_be_read_again(
    site: Site, scan: bytes
):
    sent = send(site, scan)
    read = site.client.get(f"/api/v1/predictions/{sent['id']}")
    assert read.json() == sent
    assert sent["research_use_only"] is True


def test_the_same_bytes_of_the_same_owner_are_the_same_prediction(site: Site, scan: bytes):
    site.client.get("/")  # which makes the browser a visitor
    sent = send(site, scan)
    again = site.client.post("/api/v1/predictions", files={"file": ("other.png", scan)})
    assert (again.status_code, again.json()["id"]) == (200, sent["id"])


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_output_has_a_map(page: Site, scan: bytes, name: str):
    link = send(page, scan)["links"][f"heatmap_{name}"]
    answer = page.client.get(link)
    assert answer.content.startswith(b"\x89PNG")


def test_an_image_chosen_on_the_page_leads_to_its_result_with_its_maps(
    tab: Page, scan: bytes, tmp_path: Path
):
    file = tmp_path / "scan.png"
    file.write_bytes(scan)
    tab.goto("/")
    tab.set_input_files("#file", file)
    if tab.get_by_role("button", name="Test", exact=True).is_visible():
        tab.get_by_role("button", name="Test", exact=True).click()
    tab.wait_for_url(re.compile("/results/"))
    expect(tab.get_by_role("heading", level=1)).to_contain_text(re.compile("COVID-19|assess|Indet"))
    assert loaded(tab, "Where the model looked for: COVID-19")
    tab.get_by_role("link", name="Consolidation").click()
    assert loaded(tab, "Where the model looked for: Consolidation")


def test_a_frame_that_was_typed_stays_where_the_file_is_refused(page: Site, scan: bytes):
    token = page.client.get("/").text.split('name="csrf" value="')[1][:64]
    form = {"csrf": token, "frame": "2"}
    refused = page.client.post("/", data=form, files={"file": ("scan.png", scan)})
    assert refused.status_code == 422
    assert '<details class="more" open>' in refused.text
    assert re.search(r'<input name="frame"[^>]* value="2">', refused.text)


def loaded(tab: Page, name: str) -> bool:
    """Whether a picture of that name is there and was drawn from what the server sent."""
    picture = tab.get_by_role("img", name=name)
    expect(picture).to_be_visible()
    answer = tab.request.get(str(picture.get_attribute("src")))
    return answer.ok and answer.body().startswith(b"\x89PNG")

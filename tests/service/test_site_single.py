"""One image through the page and through the interface: assessed, stored, shown, taken back."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sites import Site

from bundles import tiny_bundle
from ladnn.bundle import OperatingPoint
from ladnn.findings import OUTPUTS
from ladnn.runtime import Predictor, load_bundle


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


def test_a_version_with_the_same_graph_and_other_cuts_answers_the_same_bytes_anew(
    site: Site, scan: bytes, tmp_path: Path
):
    site.client.get("/")  # which makes the browser a visitor
    before = send(site, scan)
    strict = OperatingPoint(threshold=0.99, low=0.99, high=0.99, rule="Youden")
    folder = tiny_bundle(tmp_path, version="2", operating_points={"balanced": strict})
    promoted = Predictor(load_bundle(folder), threads=1)
    assert promoted.card.sha256 == site.services.predictor().card.sha256
    site.app.state.services = replace(site.services, predictor=lambda: promoted)
    after = send(site, scan)
    said = [(one["model"]["version"], one["covid"]["decision"]) for one in (before, after)]
    assert said == [("1", "indeterminate"), ("2", "negative")]


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

"""Slices of one series in a batch: one item with one result, however many requests bring them."""

import csv
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hostile import misplaced
from playwright.sync_api import Browser, expect
from sites import MakeSite, Site, served, sqlite_url
from sqlalchemy import select
from sqlalchemy.orm import Session

from ladnn.phantom import hounsfield
from ladnn.service import batch_intake, leases
from ladnn.service.decoding import Decoded
from ladnn.service.draining import Drainer
from ladnn.service.tables import CaseImage
from synthetic import dicom_bytes, encode

File = tuple[str, bytes]


def slices(*numbers: int, **fields: object) -> list[File]:
    return [(f"{n}.dcm", dicom_bytes(InstanceNumber=n, **fields)) for n in numbers]


def begin(site: Site) -> str:
    return f"/api/v1/batches/{site.client.post('/api/v1/batches').json()['id']}"


def add(site: Site, batch: str, *files: File, more: bool = False):
    address = f"{batch}/items{'?more=true' if more else ''}"
    return site.browser().post(address, files=[("file", file) for file in files])


def packed(files: list[File]) -> File:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as pack:
        for name, data in files:
            pack.writestr(name, data)
    return "all.zip", target.getvalue()


def drain(site: Site) -> None:
    drainer = Drainer(site.services)
    while drainer.step():
        pass


def rows(site: Site, batch: str) -> list[tuple[str, int]]:
    """The state of each item and how many files it has."""
    found = site.client.get(f"{batch}/items").json()["items"]
    return [(item["state"], len(item["sha256"])) for item in found]


def claim(site: Site, holder: str, later: timedelta = timedelta(0)) -> list[int]:
    present = site.services.clock() + later
    items = site.services.database.write(lambda s: leases.claim(s, holder, present, 9))
    return [item.id for item in items]


def test_slices_that_several_requests_bring_are_tested_together_at_the_end(site: Site):
    batch = begin(site)
    for numbers in ((1, 2), (3,)):
        assert add(site, batch, *slices(*numbers), more=True).status_code == 202
        drain(site)
    assert (rows(site, batch), site.client.get(batch).json()["finished"]) == (
        [("arriving", 3)],
        False,
    )
    add(site, batch, *slices(4, 5))
    drain(site)
    assert rows(site, batch) == [("done", 5)]


def test_the_last_request_ends_series_of_which_it_brings_nothing(page: Site):
    batch = begin(page)
    add(page, batch, *slices(1, 2), more=True)
    add(page, batch, *slices(1, 2, SeriesInstanceUID="1.2.3.4"))
    drain(page)
    assert rows(page, batch) == [("done", 2)] * 2


def test_an_archive_and_a_picture_end_no_series_that_waits_for_more(page: Site):
    batch = begin(page)
    add(page, batch, *slices(1, 2), more=True)
    add(page, batch, packed(slices(1, 2, SeriesInstanceUID="1.2.3.4")))
    add(page, batch, ("scan.png", encode(np.full((64, 64), 99, np.uint8), "PNG")))
    drain(page)
    assert rows(page, batch) == [("arriving", 2), ("done", 2), ("done", 1)]


def test_an_item_that_waits_takes_further_slices(site: Site):
    batch = begin(site)
    add(site, batch, *slices(1, 2))
    assert add(site, batch, packed(slices(3, 4))).json()["new"] == 0
    drain(site)
    assert rows(site, batch) == [("done", 4)]


def test_the_table_rates_a_study_by_the_slices_that_can_be_judged(page: Site):
    batch = begin(page)
    add(page, batch, *slices(1, 2, 3))
    drain(page)

    def spoil(session: Session) -> None:
        for image in session.scalars(select(CaseImage)):
            ok, image.score = image.position > 0, (0.1, 0.8, 0.7)[image.position]
            image.prediction = image.prediction | {"in_distribution": {"ok": ok}}

    page.services.database.write(spoil)
    text = page.client.get(batch.removeprefix("/api/v1") + "/results.csv").text
    [row] = csv.DictReader(io.StringIO(text))
    told = [row[name] for name in ("files", "assessable", "in_distribution")]
    assert told == ["3", "2", "0.7"]


def test_a_single_slice_joins_the_others(page: Site):
    batch = begin(page)
    add(page, batch, *slices(1), more=True)
    add(page, batch, *slices(2), more=True)
    add(page, batch, *slices(3))
    drain(page)
    assert rows(page, batch) == [("done", 3)]


def test_what_a_replica_finds_of_a_part_is_discarded_when_further_slices_come(site: Site):
    batch = begin(site)
    add(site, batch, *slices(1, 2))
    [item] = claim(site, "early")
    add(site, batch, *slices(3, 4))
    with pytest.raises(leases.LeaseLostError):
        site.services.database.write(lambda s: leases.settle(s, "early", item, error="no"))
    drain(site)
    assert rows(site, batch) == [("done", 4)]


def test_a_result_that_was_given_stays_and_later_slices_become_another(site: Site):
    batch = begin(site)
    add(site, batch, *slices(1, 2))
    drain(site)
    before = site.client.get(f"{batch}/items").json()["items"]
    add(site, batch, *slices(3, 4))
    drain(site)
    assert rows(site, batch) == [("done", 2), ("done", 2)]
    assert site.client.get(f"{batch}/items").json()["items"][:1] == before


@pytest.mark.parametrize("more", [False, True])
def test_what_is_sent_again_is_there_once_and_changes_nothing(site: Site, more: bool):
    batch = begin(site)
    add(site, batch, *slices(1, 2), more=True)
    assert add(site, batch, *slices(1, 2), more=True).json()["new"] == 0
    add(site, batch, *slices(2, 3))
    assert add(site, batch, *slices(1, 2), more=more).json()["new"] == 0
    assert rows(site, batch) == [("waiting", 3)]
    drain(site)
    assert add(site, batch, *slices(1, 2, 3), more=more).status_code == 200
    assert rows(site, batch) == [("done", 3)]


def test_requests_at_the_same_moment_make_one_item(site: Site):
    batch, series = begin(site), slices(*range(8))
    with ThreadPoolExecutor(4) as pool:
        sent = pool.map(lambda n: add(site, batch, *series[n : n + 2], more=True), (0, 2, 4, 6, 3))
        assert {answer.status_code for answer in sent} == {202}
    assert rows(site, batch) == [("arriving", 8)]


def test_an_item_whose_last_request_never_came_is_tested_after_an_hour(site: Site):
    batch = begin(site)
    add(site, batch, *slices(1, 2), more=True)
    assert claim(site, "soon", batch_intake.PATIENCE - timedelta(minutes=1)) == []
    [item] = claim(site, "later", batch_intake.PATIENCE + timedelta(minutes=1))
    site.services.database.write(lambda s: leases.settle(s, "later", item, error="a reason"))
    assert rows(site, batch) == [("failed", 2)]


def test_slices_before_a_forged_member_of_their_archive_are_tested_at_once(site: Site):
    name, data = packed([*slices(*range(33)), ("z.png", b"no image")])
    batch = begin(site)
    assert add(site, batch, (name, misplaced(data))).status_code == 202
    drain(site)
    assert rows(site, batch) == [("done", 33), ("failed", 1)]


def test_slices_of_a_request_that_fails_as_nobody_foresaw_wait_for_nothing(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    batch, decode = begin(page), page.services.decoder.decode

    def fail(data: bytes, *, name: str) -> Decoded:
        if name == "32.dcm":
            raise RuntimeError(name)
        return decode(data, name=name)

    monkeypatch.setattr(page.services.decoder, "decode", fail)
    assert add(page, batch, packed(slices(*range(33)))).status_code == 500
    monkeypatch.undo()
    drain(page)
    assert rows(page, batch) == [("done", 32)]


def test_a_cancelled_study_keeps_what_still_comes_and_is_tested_when_asked_for(page: Site):
    batch = begin(page)
    add(page, batch, *slices(1, 2), more=True)
    page.client.post(f"{batch}/cancel")
    add(page, batch, *slices(3, 4))
    drain(page)
    assert rows(page, batch) == [("cancelled", 4)]
    page.client.post(f"{batch}/retry")
    drain(page)
    assert rows(page, batch) == [("done", 4)]


def test_a_study_that_failed_is_tested_again_with_the_slices_that_come(page: Site):
    batch = begin(page)
    add(page, batch, *slices(1, 2))
    [item] = claim(page, "one")
    page.services.database.write(lambda s: leases.settle(s, "one", item, error="a reason"))
    add(page, batch, *slices(3))
    drain(page)
    assert rows(page, batch) == [("done", 3)]


def test_the_uid_of_a_series_is_not_kept(page: Site):
    add(page, begin(page), *slices(1, 2, SeriesInstanceUID="1.2.826.99"))
    kept = Path(page.services.database.engine.url.database or "").read_bytes()
    assert b"1.2.826.99" not in kept


def test_a_series_larger_than_a_request_is_dropped_as_one_row(
    request: pytest.FixtureRequest, tmp_path: Path, make_site: MakeSite, chromium: Browser
):
    large = hounsfield(1, size=(360, 400))
    parts = [(f"{n}.dcm", dicom_bytes(large, InstanceNumber=n)) for n in range(4)]
    files = [{"name": n, "mimeType": "application/dicom", "buffer": data} for n, data in parts]
    site = make_site(sqlite_url(request, tmp_path), upload_mib=1)
    assert 3 * len(parts[0][1]) < 1 << 20 < 4 * len(parts[0][1])  # so the last comes alone
    drainer = Drainer(site.services)
    drainer.start()
    try:
        with served(site.app) as address:
            tab = chromium.new_page(base_url=address)
            tab.goto("/batches")
            tab.set_input_files("#files", files)  # type: ignore[arg-type]
            answered = expect(tab.get_by_role("heading", level=1))
            answered.to_have_text("1 of 1 answered", timeout=30_000)
            expect(tab.locator(".worklist tbody tr")).to_have_count(1)
            tab.close()
    finally:
        drainer.stop()

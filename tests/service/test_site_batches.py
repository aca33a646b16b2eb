"""Batches: answered as they come, drained under leases, worked through, taken away, deleted."""

import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta

import pytest
from PIL import Image
from sites import Site
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from bundles import TOO_FEW
from ladnn.findings import Decision
from ladnn.phantom import hounsfield, thorax
from ladnn.service import leases, predictions
from ladnn.service.draining import Drainer
from ladnn.service.routes import batch as routes_batch
from ladnn.service.tables import AuditEvent, CaseImage
from ladnn.service.tables_batches import BatchFile, BatchItem
from synthetic import dicom_bytes, encode


def scans(count: int) -> list[tuple[str, bytes]]:
    return [(f"scan{i}.png", encode(thorax(i, size=(64, 72)), "PNG")) for i in range(count)]


def packed(files: list[tuple[str, bytes]]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as pack:
        for name, data in files:
            pack.writestr(f"folder/{name}", data)
    return target.getvalue()


def begin(site: Site) -> str:
    answer = site.client.post("/api/v1/batches")
    assert answer.status_code == 201, answer.text
    return f"/api/v1/batches/{answer.json()['id']}"


def add(site: Site, batch: str, *files: tuple[str, bytes]):
    return site.client.post(f"{batch}/items", files=[("file", file) for file in files])


def drain(site: Site) -> None:
    drainer = Drainer(site.services)
    while drainer.step():
        pass


def states(site: Site, batch: str) -> dict[str, int]:
    said = site.client.get(batch).json()
    return {key: said[key] for key in ("total", "waiting", "done", "failed", "cancelled")}


def worklist(site: Site, batch: str, query: str = "") -> list[dict[str, object]]:
    found: list[dict[str, object]] = site.client.get(f"{batch}/items{query}").json()["items"]
    return found


def test_one_image_is_answered_in_its_request(site: Site):
    batch, [file] = begin(site), scans(1)
    answer = add(site, batch, file)
    [item] = answer.json()["items"]
    assert (answer.status_code, item["state"]) == (201, "done")
    assert site.client.get(item["links"]["prediction"]).json()["covid"] == item["covid"]


def test_the_same_bytes_again_are_the_same_item(site: Site):
    batch, [file] = begin(site), scans(1)
    first, again = add(site, batch, file), add(site, batch, ("other.png", file[1]))
    assert (again.status_code, again.json()["new"]) == (200, 0)
    assert again.json()["items"] == first.json()["items"]


def test_an_image_that_two_requests_bring_at_once_is_new_to_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    batch, [scan], assess = begin(site), scans(1), predictions.assess
    first = []

    def late(*given: object, **named: object) -> predictions.Tested:
        monkeypatch.setattr(predictions, "assess", assess)
        first.append(add(site, batch, scan))
        return assess(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(predictions, "assess", late)
    second = add(site, batch, scan)
    told = [(answer.status_code, answer.json()["new"]) for answer in (*first, second)]
    assert told == [(201, 1), (200, 0)]
    assert first[0].json()["items"] == second.json()["items"]


def test_no_row_names_bytes_that_are_not_stored_yet(site: Site, monkeypatch: pytest.MonkeyPatch):
    database, blobs, seen = site.services.database, site.services.blobs, list[int]()
    write = database.write

    def look(work: Callable[[Session], object]) -> object:
        done = write(work)
        named = database.read(lambda s: set(s.scalars(select(BatchFile.blob))))
        assert named <= set(blobs.names())
        seen.append(len(named))
        return done

    batch = begin(site)
    monkeypatch.setattr(database, "write", look)
    assert add(site, batch, ("all.zip", packed(scans(40)))).json()["new"] == 40
    assert {32, 40} <= set(seen)  # in two groups


def test_the_files_of_an_archive_are_looked_up_many_at_a_time(page: Site):
    batch = begin(page)
    notes = [(f"{number}.txt", b"note %d" % number) for number in range(64)]
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement.split(maxsplit=1)[0])

    engine = page.services.database.engine
    event.listen(engine, "before_cursor_execute", note)
    assert add(page, batch, ("all.zip", packed(notes))).json()["new"] == 64
    event.remove(engine, "before_cursor_execute", note)
    assert asked.count("SELECT") < 32


def test_an_archive_waits_until_a_replica_drains_it(site: Site):
    batch, files = begin(site), scans(5)
    answer = add(site, batch, ("all.zip", packed(files)))
    assert (answer.status_code, answer.json()["new"]) == (202, 5)
    drain(site)
    assert states(site, batch) == {"total": 5, "waiting": 0, "done": 5, "failed": 0, "cancelled": 0}


def test_what_waited_leaves_no_bytes_behind_but_those_of_results(site: Site):
    batch, files = begin(site), scans(3)
    add(site, batch, ("all.zip", packed(files)))
    drain(site)
    assert site.services.blobs.names() == sorted(hashlib.sha256(d).hexdigest() for _, d in files)
    assert site.client.delete(batch).status_code == 204
    assert site.services.blobs.names() == []
    assert site.client.get(batch).status_code == 404


def test_an_archive_that_is_sent_again_leaves_nothing_that_no_row_names(site: Site):
    batch, files = begin(site), scans(3)
    files.append(("a.jpg", encode(thorax(9, size=(64, 72)), "JPEG", comment=b"CANARY")))
    add(site, batch, ("all.zip", packed(files)))
    drain(site)
    kept = site.services.blobs.names()
    assert not any(b"CANARY" in site.services.blobs.get(name) for name in kept)
    answer = add(site, batch, ("all.zip", packed(files)))
    assert (answer.status_code, answer.json()["new"]) == (200, 0)
    assert site.services.blobs.names() == kept
    assert site.client.delete(batch).status_code == 204
    assert site.services.blobs.names() == []


def test_a_file_that_cannot_be_read_fails_with_its_reason_and_the_others_go_on(site: Site):
    batch, files = begin(site), scans(1)
    add(site, batch, ("all.zip", packed([("notes.txt", b"no image"), *files])))
    add(site, batch, ("bad.png", b"\x89PNG\r\n\x1a\n no image"))
    drain(site)
    failed = worklist(site, batch, "?show=failed")
    assert [item["name"] for item in failed] == ["notes.txt", "bad.png"]
    assert all(item["error"] for item in failed)
    assert states(site, batch)["done"] == 1


def test_files_of_one_name_that_cannot_be_read_are_a_row_each_however_often_they_come(site: Site):
    names, target = [f"ser{number}/IM1.png" for number in range(4)], io.BytesIO()
    with zipfile.ZipFile(target, "w") as pack:
        for name in names[:3]:
            pack.writestr(name, b"the same", zipfile.ZIP_BZIP2)
        pack.writestr(names[3], b"")
    batch, whole = begin(site), target.getvalue()
    assert [add(site, batch, ("all.zip", whole)).json()["new"] for _ in range(2)] == [4, 0]
    assert [item["name"] for item in worklist(site, batch)] == ["IM1.png"] * 4
    assert states(site, batch)["failed"] == 4


def test_what_is_no_archive_is_refused_in_one_sentence(page: Site):
    answer = add(page, begin(page), ("all.zip", b"PK\x03\x04" + bytes(100)))
    assert answer.status_code == 422
    assert "zip" in answer.json()["detail"]


def test_two_replicas_never_take_up_the_same_item(site: Site):
    add(site, begin(site), ("all.zip", packed(scans(4))))
    database, present = site.services.database, site.services.clock()
    taken = [
        {item.id for item in database.write(lambda s: leases.claim(s, name, present, 3))}  # noqa: B023
        for name in ("one", "two")
    ]
    assert (len(taken[0]), len(taken[1]), taken[0] & taken[1]) == (3, 1, set())


def test_what_a_dead_replica_held_is_taken_up_when_its_lease_has_run_out(site: Site):
    add(site, begin(site), ("all.zip", packed(scans(2))))
    database, present = site.services.database, site.services.clock()
    claim = leases.claim
    database.write(lambda s: claim(s, "dead", present, 9))
    soon, later = present + leases.LEASE / 2, present + leases.LEASE + timedelta(seconds=1)
    assert database.write(lambda s: claim(s, "alive", soon, 9)) == []
    assert len(database.write(lambda s: claim(s, "alive", later, 9))) == 2


def test_a_replica_that_lost_its_lease_cannot_end_the_work(site: Site):
    add(site, begin(site), ("all.zip", packed(scans(1))))
    database, present = site.services.database, site.services.clock()
    [item] = database.write(lambda s: leases.claim(s, "slow", present, 1))
    later = present + leases.LEASE * 2
    database.write(lambda s: leases.claim(s, "fast", later, 1))
    with pytest.raises(leases.LeaseLostError):
        database.write(lambda s: leases.settle(s, "slow", item.id, error="no"))


def test_a_renewed_lease_holds_on(site: Site):
    add(site, begin(site), ("all.zip", packed(scans(1))))
    database, present = site.services.database, site.services.clock()
    [item] = database.write(lambda s: leases.claim(s, "one", present, 1))
    later = present + leases.LEASE
    database.write(lambda s: leases.renew(s, "one", [item.id], later))
    later += timedelta(seconds=1)
    assert database.write(lambda s: leases.claim(s, "two", later, 1)) == []


def test_an_item_over_which_replicas_die_is_given_up(site: Site):
    batch = begin(site)
    add(site, batch, ("all.zip", packed(scans(1))))

    def worn(session):
        session.query(BatchItem).update({"tries": leases.TRIES})

    site.services.database.write(worn)
    drain(site)
    assert "never came to an end" in str(worklist(site, batch)[0]["error"])


def test_an_item_whose_file_is_lost_says_so(site: Site):
    batch = begin(site)
    add(site, batch, ("all.zip", packed(scans(1))))
    for digest in site.services.blobs.names():
        site.services.blobs.remove(digest)
    drain(site)
    assert "not in the storage any more" in str(worklist(site, batch)[0]["error"])


def test_cancelled_items_are_not_tested_until_they_are_tried_again(site: Site):
    batch = begin(site)
    add(site, batch, ("all.zip", packed(scans(2))))
    assert site.client.post(f"{batch}/cancel").json()["cancelled"] == 2
    drain(site)
    assert states(site, batch)["done"] == 0
    assert site.client.post(f"{batch}/retry").json()["waiting"] == 2
    drain(site)
    assert states(site, batch)["done"] == 2


def test_a_picture_of_a_cancelled_item_that_is_answered_alone_leaves_no_bytes_that_wait(site: Site):
    batch = begin(site)
    scan = encode(thorax(0, size=(64, 72)), "PNG") + b"Jane Doe"
    add(site, batch, ("all.zip", packed([("scan.png", scan)])))
    site.client.post(f"{batch}/cancel")
    came = hashlib.sha256(scan).hexdigest()
    assert site.services.blobs.has(came)
    assert add(site, batch, ("scan.png", scan)).status_code == 201
    assert states(site, batch)["done"] == 1
    waiting = select(BatchFile.blob).where(BatchFile.blob.is_not(None))
    assert site.services.database.read(lambda session: session.scalars(waiting).all()) == []
    assert not site.services.blobs.has(came)


def test_what_cancels_or_tries_again_nothing_adds_no_line_to_the_audit_log(page: Site):
    batch = begin(page)

    def lines() -> list[str]:
        return page.services.database.read(lambda s: [one.action for one in s.query(AuditEvent)])

    for _ in range(2):
        assert page.client.post(f"{batch}/cancel").status_code == 200
        assert page.client.post(f"{batch}/retry").status_code == 200
    assert not {"batch.cancel", "batch.retry"} & set(lines())
    add(page, batch, ("all.zip", packed(scans(1))))
    for _ in range(2):
        page.client.post(f"{batch}/cancel")
    for _ in range(2):
        page.client.post(f"{batch}/retry")
    assert [one for one in lines() if one in ("batch.cancel", "batch.retry")] == [
        "batch.cancel",
        "batch.retry",
    ]


def test_after_a_lost_connection_only_what_is_missing_is_asked_for(site: Site):
    batch, files = begin(site), scans(3)
    add(site, batch, files[1])
    hashes = [hashlib.sha256(data).hexdigest() for _, data in files]
    said = site.client.post(f"{batch}/missing", json={"sha256": hashes})
    assert said.json() == {"sha256": [hashes[0], hashes[2]]}


def test_a_failed_file_is_missing_because_nothing_of_it_was_kept(page: Site):
    batch = begin(page)
    add(page, batch, ("bad.png", b"no image"))
    digest = hashlib.sha256(b"no image").hexdigest()
    assert page.client.post(f"{batch}/missing", json={"sha256": [digest]}).json()["sha256"]


def test_the_worklist_is_sorted_filtered_and_cut_into_pages(site: Site):
    batch = begin(site)
    add(site, batch, *scans(5))
    drain(site)
    first = site.client.get(f"{batch}/items?sort=probability&limit=3").json()
    rest = site.client.get(first["next"]).json()
    values = [
        item["covid"]["probability"]
        for item in first["items"] + rest["items"]
        if item["covid"]["decision"] != "not_assessable"
    ]
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 2, None)
    assert values == sorted(values, reverse=True)
    shown = [worklist(site, batch, f"?show={name}") for name in ("positive", "negative")]
    assert all(
        item["covid"]["decision"] == name  # type: ignore[index]
        for name, found in zip(("positive", "negative"), shown, strict=True)
        for item in found
    )


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?sort=foo", "The value of sort is unknown: give one of probability, name, arrival."),
        ("?show=foo", "The value of show is unknown: give one of arriving, waiting, done"),
    ],
)
def test_an_unknown_order_or_choice_is_told_with_the_ones_that_there_are(
    site: Site, query: str, told: str
):
    batch = begin(site)
    answers = [site.client.get(f"{path}{query}") for path in (f"{batch}/items", batch[7:])]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json()["detail"].startswith(told)
    assert told in answers[1].text


def test_nobody_else_sees_a_batch(site: Site):
    site.client.get("/batches")
    html = site.client.get("/batches").text
    token = html.split('name="csrf" value="')[1].split('"')[0]
    [file] = scans(1)
    sent = site.client.post("/batches", data={"csrf": token}, files={"file": file})
    path = sent.headers["location"]
    assert site.client.get(path).status_code == 200
    other = site.browser()
    for part in ("", "/results.csv", "/results.zip"):
        for address in (f"{path}{part}", f"/api/v1{path}{part}"):
            assert other.get(address).status_code == 404, address


def test_batches_of_programs_without_identity_share_no_result(site: Site):
    [file] = scans(1)
    results = [add(site, begin(site), file).json()["items"][0]["links"] for _ in range(2)]
    assert site.client.delete(results[0]["prediction"]).status_code == 204
    assert site.client.get(results[1]["prediction"]).status_code == 200


def test_a_result_that_another_batch_shows_too_outlives_the_first(site: Site):
    site.client.get("/batches")  # which makes the browser a visitor
    [file] = scans(1)
    one, two = begin(site), begin(site)
    first, second = (add(site, batch, file).json()["items"][0]["links"] for batch in (one, two))
    assert first == second
    for batch, left in ((one, 200), (two, 404)):
        assert site.client.delete(batch).status_code == 204
        assert site.client.get(second["prediction"]).status_code == left


def test_older_batches_are_found_on_the_pages_behind(page: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes_batch, "RECENT", 1)
    page.client.get("/batches")
    one, two = (begin(page).removeprefix("/api/v1") for _ in range(2))
    newest, oldest = (page.client.get(f"/batches?offset={at}").text for at in (0, 1))
    assert (two in newest, one in newest, "/batches?offset=1" in newest) == (True, False, True)
    assert (one in oldest, two in oldest, "/batches?offset=2" in oldest) == (True, False, False)


@pytest.mark.parametrize("first", [True, False])
def test_a_result_that_was_tested_by_itself_too_outlives_the_batch(site: Site, first: bool):
    site.client.get("/batches")  # which makes the browser a visitor
    [(name, data)], batch = scans(1), begin(site)

    def alone() -> str:
        said = site.client.post("/api/v1/predictions", files={"file": (name, data)}).json()
        return str(said["links"]["self"])

    if first:
        alone()
    add(site, batch, (name, data))
    link = alone()
    assert site.client.delete(batch).status_code == 204
    assert site.client.get(link).status_code == 200
    assert len(site.services.blobs.names()) == 1


@pytest.mark.parametrize("many", [True, False])
def test_files_of_a_batch_that_is_deleted_while_they_come_find_nothing_and_leave_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, many: bool
):
    batch, put = begin(site), site.services.blobs.put

    def delete_and_put(data: bytes) -> str:
        monkeypatch.setattr(site.services.blobs, "put", put)
        assert site.browser().delete(batch).status_code == 204
        return put(data)

    monkeypatch.setattr(site.services.blobs, "put", delete_and_put)
    [scan] = scans(1)
    sent = add(site, batch, ("all.zip", packed([scan])) if many else scan)
    assert sent.status_code == 404
    assert site.services.blobs.names() == []


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_the_table_and_the_archive_hold_every_result(page: Site, prefix: str):
    batch = begin(page)
    add(page, batch, *scans(2), ("=1+1.png", b"no image"))
    drain(page)
    path = prefix + batch.removeprefix("/api/v1")
    rows = list(csv.DictReader(io.StringIO(page.client.get(f"{path}/results.csv").text)))
    assert [row["name"] for row in rows] == ["scan0.png", "scan1.png", "'=1+1.png"]
    assert all("research use only" in row["notice"] for row in rows)
    assert [row["too_few_examples"] for row in rows] == [" ".join(TOO_FEW)] * 2 + [""]
    with zipfile.ZipFile(io.BytesIO(page.client.get(f"{path}/results.zip").content)) as pack:
        assert pack.testzip() is None
        assert Image.open(io.BytesIO(pack.read("overlays/00001.jpg"))).info["comment"]
        said = json.loads(pack.read("predictions/00001.json"))
        assert float(rows[0]["probability"]) == said["covid"]["probability"]
        assert pack.read("overlays/00002.jpg").startswith(b"\xff\xd8")


@pytest.mark.parametrize("inside", [[], [("folder/", b""), (".DS_Store", b"hidden")]])
def test_an_archive_without_files_says_so_and_the_others_are_tested(
    page: Site, inside: list[tuple[str, bytes]]
):
    batch = begin(page)
    add(page, batch, ("empty.zip", packed(inside)), *scans(1))
    drain(page)
    one, other = page.client.get(f"{batch}/items").json()["items"]
    assert (one["name"], one["state"], other["state"]) == ("empty.zip", "failed", "done")
    assert one["error"].startswith("empty.zip holds no files: ")


def test_items_of_one_name_are_told_apart_by_their_numbers_wherever_they_stand(page: Site):
    batch = begin(page)
    [(_, one), (_, other)] = scans(2)
    add(page, batch, ("a.png", b"no image"), ("a.png", one), ("a.png", other))
    drain(page)
    listed = page.client.get(f"{batch}/items?sort=probability").json()["items"]
    assert {item["state"]: item["number"] for item in listed}["failed"] == 1
    path = batch.removeprefix("/api/v1")
    rows = list(csv.DictReader(io.StringIO(page.client.get(f"{path}/results.csv").text)))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    text = page.client.get(f"{path}?show=done&sort=probability").text
    told = re.findall(r'/results/([\w-]+)">a.png</a> <span class="muted small">#(\d)', text)
    assert sorted(told) == sorted((row["page"].rsplit("/")[-1], row["number"]) for row in rows[1:])
    with zipfile.ZipFile(io.BytesIO(page.client.get(f"{path}/results.zip").content)) as pack:
        for row in rows[1:]:
            said = json.loads(pack.read(f"predictions/{int(row['number']):05d}.json"))
            assert said["covid"]["probability"] == float(row["probability"])


def test_the_table_says_what_became_of_a_result(page: Site):
    batch = begin(page)
    add(page, batch, *scans(2))
    drain(page)
    one, other = page.client.get(f"{batch}/items").json()["items"]
    browser = page.client
    assert browser.post(f"/api/v1/predictions/{one['prediction']}/retract").status_code < 300
    assert browser.delete(f"/api/v1/predictions/{other['prediction']}").status_code == 204
    rows = csv.DictReader(io.StringIO(browser.get(f"{batch}/results.csv").text))
    assert [row["state"] for row in rows] == ["retracted", "deleted"]


def test_a_batch_says_where_its_results_are_for_programs(page: Site):
    batch = begin(page)
    links = page.client.get(batch).json()["links"]
    assert page.client.get(links["csv"]).headers["content-type"].startswith("text/csv")
    assert page.client.get(links["zip"]).headers["content-type"] == "application/zip"


def test_the_slices_of_a_series_become_one_result(page: Site, series: list[tuple[str, bytes]]):
    batch = begin(page)
    answer = add(page, batch, ("series.zip", packed(series)))
    assert answer.json()["new"] == 1
    drain(page)
    [item] = worklist(page, batch)
    assert (item["state"], len(item["sha256"])) == ("done", len(series)), item  # type: ignore[arg-type]


def test_the_archive_shows_the_slice_of_a_study_that_the_page_shows(page: Site):
    scans = [dicom_bytes(hounsfield(n, size=(96, 120)), InstanceNumber=n) for n in (1, 2)]
    batch = begin(page)
    add(page, batch, ("series.zip", packed([(f"{n}.dcm", scan) for n, scan in enumerate(scans)])))
    drain(page)

    def refuse_the_first(session: Session) -> None:
        image = session.scalars(select(CaseImage).order_by(CaseImage.position)).first()
        assert image is not None
        image.decision, image.probability = Decision.NOT_ASSESSABLE, 0.999

    page.services.database.write(refuse_the_first)
    [item] = page.client.get(f"{batch}/items").json()["items"]
    sheet = io.BytesIO(page.client.get(f"{item['links']['page']}/overlay.png").content)
    expected = io.BytesIO()
    Image.open(sheet).convert("RGB").save(expected, "JPEG", quality=90)
    with zipfile.ZipFile(io.BytesIO(page.client.get(f"{batch}/results.zip").content)) as pack:
        assert pack.read("overlays/00001.jpg") == expected.getvalue()


def test_nothing_that_names_the_patient_waits_in_the_store(
    page: Site, series: list[tuple[str, bytes]]
):
    add(page, begin(page), ("series.zip", packed(series)))
    kept = [page.services.blobs.get(name) for name in page.services.blobs.names()]
    assert len(kept) == len(series)
    assert not any(b"CANARY" in data for data in kept)


@pytest.fixture
def series() -> list[tuple[str, bytes]]:
    return [(f"{n}.dcm", dicom_bytes(InstanceNumber=n, PatientID=f"CANARY{n}")) for n in (1, 2)]

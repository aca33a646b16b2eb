"""Cases: whose they are, how they are taken back, studies, feedback, refusals, full disks."""

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import structlog
from personas import as_role, browser_of, make_account, person, token_on
from sites import MakeSite, Site, plain_logs, sqlite_url
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from ladnn.findings import LESION_NAMES
from ladnn.fitting import operating_points
from ladnn.phantom import hounsfield, thorax
from ladnn.service import predictions, retention
from ladnn.service.accounts import principals
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import Principal
from ladnn.service.errors import StorageFull
from ladnn.service.i18n import read_catalogues
from ladnn.service.logs import configure_logs
from ladnn.service.routes import account, single
from ladnn.service.settings import Settings
from ladnn.service.tables import AuditEvent, Case, Feedback, now
from ladnn.service.wording import rule_in_words
from synthetic import PATIENT, dicom_bytes, encode

PARTS = ("prediction.json", "overlay.png", "report.pdf")
CSRF = re.compile(r'name="csrf" value="(\w+)"')


def send(browser: TestClient, *files: bytes, **fields: str) -> str:
    """Test files on the page as a browser does; gives the address of the result."""
    fields["csrf"] = CSRF.search(browser.get("/").text)[1]  # type: ignore[index]
    parts = [("file", (f"{n}.dat", data)) for n, data in enumerate(files)]
    answer = browser.post("/", data=fields, files=parts)
    assert answer.status_code == 303, re.search(r'role="alert".*?</p>', answer.text, re.DOTALL)
    return answer.headers["location"]


def act(browser: TestClient, address: str, **fields: str) -> int:
    """Send a form of the page of a result."""
    fields["csrf"] = CSRF.search(browser.get("/").text)[1]  # type: ignore[index]
    return browser.post(address, data=fields).status_code


def refusal(browser: TestClient, *files: bytes, **fields: str) -> str:
    """Send what is refused; gives the sentence."""
    fields["csrf"] = CSRF.search(browser.get("/").text)[1]  # type: ignore[index]
    parts = [("file", (f"{n}.dat", data)) for n, data in enumerate(files)]
    answer = browser.post("/", data=fields, files=parts)
    assert answer.status_code == 422
    found = re.search(r'role="alert">.*?<span[^>]*>(.*?)</span>', answer.text, re.DOTALL)
    assert found is not None
    return found[1]


def slices(count: int = 4) -> list[bytes]:
    return [
        dicom_bytes(hounsfield(n, size=(64, 80)), InstanceNumber=count - n) for n in range(count)
    ]


def test_a_test_whose_commit_arrived_unheard_is_answered_once(
    site: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    database = site.services.database
    write = database.write

    def heard_at_the_second_attempt(work: Callable[[Session], object]) -> object:
        write(work)
        return write(work)

    monkeypatch.setattr(database, "write", heard_at_the_second_attempt)
    answer = site.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
    monkeypatch.undo()
    assert answer.status_code == 201
    assert site.client.get(f"/api/v1/predictions/{answer.json()['id']}").status_code == 200
    assert database.read(lambda session: session.scalar(select(func.count(Case.id)))) == 1


def test_another_visitor_finds_nothing_under_the_id_of_a_case(site: Site, scan: bytes):
    owner, other = site.client, site.browser()
    owner.get("/")
    other.get("/")
    sent = owner.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
    link = f"/api/v1/predictions/{sent['id']}"
    assert owner.get(link).status_code == 200
    assert [other.get(link).status_code, other.delete(link).status_code] == [404, 404]


def test_the_same_image_of_two_visitors_is_two_cases(page: Site, scan: bytes):
    assert send(page.client, scan) != send(page.browser(), scan)


def test_the_same_image_of_one_visitor_is_one_case(page: Site, scan: bytes):
    assert send(page.client, scan) == send(page.client, scan)


def test_whoever_has_the_link_sees_the_result_but_cannot_take_it_back(site: Site, scan: bytes):
    address, other = send(site.client, scan), site.browser()
    seen = other.get(address)
    assert seen.status_code == 200
    assert "/delete" not in seen.text
    assert act(other, f"{address}/delete") == act(other, f"{address}/retract") == 404


def test_a_program_without_identity_reads_and_deletes_by_the_id_but_not_by_the_link(
    page: Site, scan: bytes
):
    sent = page.browser().post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
    stranger = page.browser()
    assert "/delete" not in stranger.get(sent["links"]["page"]).text
    assert act(stranger, f"{sent['links']['page']}/delete") == 404
    link = f"/api/v1/predictions/{sent['id']}"
    assert page.browser().get(link).status_code == 200
    assert page.browser().delete(link).status_code == 204
    assert page.browser().get(link).status_code == 404


def test_the_same_image_of_two_programs_without_identity_is_two_cases(site: Site, scan: bytes):
    answers = [
        site.browser().post("/api/v1/predictions", files={"file": ("a.png", scan)})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    one, two = (f"/api/v1/predictions/{answer.json()['id']}" for answer in answers)
    assert site.browser().delete(one).status_code == 204
    assert site.browser().get(two).status_code == 200


def test_a_retracted_result_is_seen_by_its_owner_alone(site: Site, scan: bytes):
    address = send(site.client, scan)
    assert act(site.client, f"{address}/retract") == 303
    assert site.client.get(address).status_code == 200
    assert site.browser().get(address).status_code == 404


@pytest.mark.parametrize(("path", "size"), [("/", "RECENT"), ("/account", "CASES")])
def test_older_results_are_found_and_the_last_page_leads_no_further(
    page: Site, monkeypatch: pytest.MonkeyPatch, path: str, size: str
):
    for module in (single, account):
        monkeypatch.setattr(module, size, 1, raising=False)
    browser = person(page, "clinician")
    sent = [send(browser, encode(thorax(seed, size=(64, 72)), "PNG")) for seed in (1, 2)]
    newest, oldest = (browser.get(f"{path}?offset={at}").text for at in (0, 1))
    assert (sent[1] in newest, sent[0] in newest) == (True, False)
    assert f"{path}?offset=1" in newest
    assert (sent[0] in oldest, sent[1] in oldest) == (True, False)
    assert f"{path}?offset=2" not in oldest


def test_a_retracted_image_may_be_tested_anew(page: Site, scan: bytes):
    address = send(page.client, scan)
    act(page.client, f"{address}/retract")
    assert send(page.client, scan) != address


def test_a_deleted_result_is_gone_with_its_bytes(site: Site, scan: bytes):
    address = send(site.client, scan)
    assert act(site.client, f"{address}/delete") == 303
    assert site.client.get(address).status_code == 404
    assert site.services.blobs.names() == []
    actions = site.services.database.read(lambda s: list(s.scalars(select(AuditEvent.action))))
    assert "prediction.delete" in actions


@pytest.mark.parametrize("images", [1, 3])
def test_the_link_of_what_nobody_owns_does_not_give_its_key_away(page: Site, images: int):
    files = [("file", (f"{n}.dcm", data)) for n, data in enumerate(slices(images))]
    path = "/api/v1/predictions" if images == 1 else "/api/v1/studies"
    sent = page.client.post(path, files=files).json()
    answers = [page.client.get(sent["links"]["page"])]
    answers += [page.client.get(f"{sent['links']['page']}/{part}") for part in PARTS]
    for answer in answers:
        assert answer.status_code == 200
        assert sent["id"].encode() not in answer.content
        assert sent["id"][:8] not in answer.headers.get("content-disposition", "")
    shared = answers[1].json()
    assert shared["covid"] == sent["covid"]
    ones = shared.get("images", [shared])
    assert [page.client.get(one["heatmap"]).status_code for one in ones] == [200] * images
    assert all(page.client.get(link).status_code == 200 for link in shared["links"].values())


def test_slices_of_a_series_are_one_study_in_their_order(site: Site):
    address = send(site.client, *slices())
    body = site.client.get(f"{address}/prediction.json").json()
    assert (body["slices"], len(body["images"])) == (4, 4)
    page = site.client.get(address).text
    ranked = [float(n) for n in re.findall(r"(\d+\.\d)%</span></a></li>", page)]
    assert ranked == sorted(ranked, reverse=True)
    assert "4 slices" in page


def test_slices_in_another_order_are_the_same_study(page: Site):
    files = slices()
    assert send(page.client, *files) == send(page.client, *reversed(files))


def test_a_slice_that_is_sent_twice_counts_once(page: Site):
    one, two = (dicom_bytes(InstanceNumber=number) for number in (1, 2))
    assert send(page.client, one, two, one) == send(page.client, one, two)
    assert send(page.client, two, two) == send(page.client, two)


def test_images_that_are_not_of_one_series_are_refused_together(page: Site, scan: bytes):
    assert "one DICOM series" in refusal(page.client, scan, *slices(1))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"hello", "is text"),
        (b"%PDF-1.4", "PDF"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "is damaged"),
    ],
)
def test_a_file_that_is_no_image_is_refused_with_its_reason(page: Site, data: bytes, sentence: str):
    assert sentence in refusal(page.client, data)
    answer = page.client.post("/api/v1/predictions", files={"file": ("a.png", data)})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert sentence in answer.json()["detail"]


def test_a_form_without_a_file_is_told_so(page: Site):
    assert "choose an image" in refusal(page.client, frame="1")


def test_a_frame_is_counted_from_1_on_the_page_and_by_programs(page: Site):
    volume = np.stack([hounsfield(n, size=(64, 80)) for n in range(3)])
    file = dicom_bytes(volume)
    assert "choose frame 1 to 3" in refusal(page.client, file)
    address = send(page.client, file, frame="2")
    sent = page.client.post(
        "/api/v1/predictions", files={"file": ("a", file)}, data={"frame": "2"}
    ).json()
    assert page.client.get(f"{address}/prediction.json").json()["id"] == sent["id"]


@pytest.mark.parametrize("frame", ["first", "0", "1" * 5000])
def test_a_frame_that_is_no_number_is_refused(page: Site, scan: bytes, frame: str):
    assert "whole number" in refusal(page.client, scan, frame=frame)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "DICOM"])
def test_every_kind_of_file_can_be_taken_as_json_overlay_and_pdf(page: Site, kind: str):
    pixels = np.clip(hounsfield(1, size=(64, 80)) / 8 + 128, 0, 255).astype(np.uint8)
    data = dicom_bytes() if kind == "DICOM" else encode(pixels, kind)
    address = send(page.client, data)
    heads = {"prediction.json": b"{", "overlay.png": b"\x89PNG", "report.pdf": b"%PDF"}
    for name, head in heads.items():
        answer = page.client.get(f"{address}/{name}")
        assert answer.content.startswith(head)
        assert "attachment" in answer.headers["content-disposition"]


def test_a_dicom_image_is_drawn_through_the_window_that_is_asked_for(page: Site, scan: bytes):
    address = send(page.client, dicom_bytes())
    first, second = (
        page.client.get(f"{address}/images/0.png?level={level}&width=400").content
        for level in (-600, 40)
    )
    assert first != second
    assert page.client.get(f"{address}/images/0.png?level=0&width=0").status_code == 404
    assert "Mediastinum" in page.client.get(address).text
    assert "Mediastinum" not in page.client.get(send(page.client, scan)).text


def test_the_operating_point_has_its_name_in_the_language_of_the_page(page: Site, scan: bytes):
    chinese = {"accept-language": "zh"}
    text = page.client.get(send(page.client, scan), headers=chinese).text
    assert "平衡" in text
    assert "<dd>balanced" not in text


@pytest.mark.parametrize("rest", ["/images/1.png", "/maps/0/heart.png", "?image=9", "?map=heart"])
def test_what_a_result_does_not_have_is_not_found(page: Site, scan: bytes, rest: str):
    assert page.client.get(send(page.client, scan) + rest).status_code == 404


def test_the_page_says_what_was_decided_and_where_too_few_examples_were(page: Site, scan: bytes):
    text = page.client.get(send(page.client, scan)).text
    assert text.count('class="tag"') == 3  # the tiny bundle calibrates two lesions of five
    assert all(name in text for name in LESION_NAMES.values())
    assert "For research use only. Not for diagnosis." in text
    assert "55.0% and more is called positive, less than 45.0% negative" in text


def test_the_rule_of_an_operating_point_is_told_in_chinese_where_our_export_wrote_it():
    say = partial(read_catalogues().say, "zh")
    points = operating_points(np.array([False, True] * 20), np.linspace(0.1, 0.9, 40)).values()
    told = [rule_in_words(say, point.rule) for point in points]
    assert all(re.search(r"验证集.*(10%|0\.95)", one) for one in told)
    assert rule_in_words(say, "chosen by hand") == "chosen by hand"
    english = partial(read_catalogues().say, "en")
    assert [rule_in_words(english, point.rule) for point in points] == [p.rule for p in points]


@pytest.mark.parametrize("in_batch", [True, False])
def test_a_result_that_is_deleted_while_it_is_found_again_is_tested_anew(
    site: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch, in_batch: bool
):
    owner, upload = Principal(owner="visitor:a"), predictions.Upload(name="a.png", data=scan)
    first, _ = predictions.assess(site.services, owner, [upload])
    find, ended = predictions._same, list[int]()

    def find_and_delete(*given: object) -> object:
        found = find(*given)  # type: ignore[arg-type]
        if not deleted:
            deleted.append(True)
            site.services.database.write(lambda s: s.delete(s.get_one(Case, first.id)))
        return found

    deleted: list[bool] = []
    monkeypatch.setattr(predictions, "_same", find_and_delete)
    also = (lambda _session, case_id: ended.append(case_id)) if in_batch else None
    again, new = predictions.assess(site.services, owner, [upload], also=also)
    assert (new, again.public_id != first.public_id) == (True, True)
    assert ended == ([again.id] if in_batch else [])


def test_a_clinician_can_agree_and_later_enter_the_pcr_result(
    site: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    address = send(site.client, scan)
    assert act(site.client, f"{address}/feedback", agreement="agree") == 401
    as_clinician(monkeypatch)
    assert act(site.client, f"{address}/feedback", agreement="agree") == 303
    assert act(site.client, f"{address}/feedback", pcr="negative") == 303
    assert act(site.client, f"{address}/feedback", pcr="perhaps") == 422
    rows = site.services.database.read(
        lambda s: list(s.execute(select(Feedback.agreement, Feedback.pcr)))
    )
    assert [tuple(row) for row in rows] == [("agree", "negative")]
    assert "Saved" in site.client.get(address).text


def as_clinician(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every visitor be a clinician with the same cookie."""
    visitor = principals.identify

    def clinician(connection: object) -> Principal:
        found = visitor(connection)  # type: ignore[arg-type]
        return Principal(role=Role.CLINICIAN, owner=found.owner, account_id=1, ambient=True)

    for where in ("accounts.principals", "pages"):
        monkeypatch.setattr(f"ladnn.service.{where}.identify", clinician)


def test_a_full_disk_is_507_and_nothing_is_kept(
    site: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = site.client.post("/api/v1/predictions", files={"file": ("scan.png", scan)})
    assert answer.status_code == 507
    assert answer.headers["content-type"] == "application/problem+json"
    assert site.services.blobs.names() == []
    assert site.services.database.read(lambda s: s.scalar(select(func.count(Case.id)))) == 0


def fill_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every write of the database find no room while its reserve is there; its path."""
    database = site.services.database
    assert database.reserve is not None
    database.reserve.keep()
    held, run = Path(f"{database.engine.url.database}-reserve"), database._run
    assert held.stat().st_blocks * 512 >= 16 << 20

    def full(engine: object, work: Callable[[Session], object]) -> object:
        if held.exists() and engine is database._writing:
            raise StorageFull
        return run(engine, work)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "_run", full)
    return held


def test_on_a_full_disk_a_look_is_refused_for_what_cannot_be_noted(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    address = send(page.client, scan)
    held = fill_disk(page, monkeypatch)
    answer = page.client.get(address)
    assert (answer.status_code, held.exists()) == (507, True)
    assert "cannot be noted in the audit log" in answer.text
    assert "nothing was kept" not in answer.text
    sent = page.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
    assert "nothing was kept" in sent.json()["detail"]


@pytest.mark.parametrize("by", ["page", "program", "retention"])
def test_deleting_works_on_a_full_disk(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch, by: str
):
    if by == "page":
        address = send(page.client, scan)
        held = fill_disk(page, monkeypatch)
        assert act(page.client, f"{address}/delete") == 303
    elif by == "program":
        sent = page.client.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
        held = fill_disk(page, monkeypatch)
        assert page.client.delete(f"/api/v1/predictions/{sent['id']}").status_code == 204
    else:
        send(page.client, scan)
        held = fill_disk(page, monkeypatch)
        later = replace(page.services, clock=lambda: now() + timedelta(days=31))
        assert retention.purge_when_due(later) is not None
    assert page.services.database.read(lambda s: s.scalar(select(func.count(Case.id)))) == 0
    assert held.exists() == (by == "retention")  # which makes it anew at its end


@pytest.mark.parametrize("what", ["sign-out", "sessions", "account", "admin sessions"])
def test_access_is_taken_away_on_a_full_disk(
    page: Site, monkeypatch: pytest.MonkeyPatch, what: str
):
    account = make_account(page, Role.CLINICIAN)
    browser, admin = browser_of(page, account), as_role(page, Role.ADMINISTRATOR)
    at = f"/admin/accounts/{account.public_id}"
    sender, form, path = {
        "sign-out": (browser, "/account", "/sign-out"),
        "sessions": (browser, "/account", "/account/sessions/end"),
        "account": (admin, "/admin/accounts", f"{at}/disable"),
        "admin sessions": (admin, "/admin/accounts", f"{at}/sessions"),
    }[what]
    token = token_on(sender, form)
    held = fill_disk(page, monkeypatch)
    assert sender.post(path, data={"csrf": token}).status_code == 303
    assert not held.exists()
    assert browser.get("/account").status_code != 200


def test_a_body_that_finds_no_room_on_its_way_is_507(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    async def full(_file: object, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("starlette.datastructures.UploadFile.write", full)
    answer = page.client.post("/api/v1/predictions", files={"file": ("scan.png", scan)})
    assert (answer.status_code, answer.json()["status"]) == (507, 507)


def test_bytes_of_a_case_that_could_not_be_written_are_deleted(
    site: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("ladnn.service.audit_log.record", fail)
    answer = site.client.post("/api/v1/predictions", files={"file": ("scan.png", scan)})
    assert answer.status_code == 500
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert site.services.blobs.names() == []


def test_a_file_beyond_the_limit_is_413_however_it_is_sent(
    make_site: MakeSite, request: pytest.FixtureRequest, tmp_path: Path
):
    browser = make_site(sqlite_url(request, tmp_path), upload_mib=1).client
    sent = browser.post("/api/v1/predictions", files={"file": ("a.png", bytes(2 << 20))})
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    streamed = browser.post(
        "/api/v1/predictions",
        content=iter([head, *[bytes(1 << 19)] * 4, b"\r\n--x--\r\n"]),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert (sent.status_code, streamed.status_code) == (413, 413)
    assert "1 MiB" in sent.json()["detail"]


@pytest.fixture
def _other_logs_after() -> Iterator[None]:
    """Take down what `configure_logs` put up: its stream is closed with the test."""
    root = logging.getLogger()
    level = root.level
    yield
    root.handlers[:] = [one for one in root.handlers if type(one) is not logging.StreamHandler]
    root.setLevel(level)
    structlog.reset_defaults()  # the logger's class and factory too
    plain_logs()


@pytest.mark.usefixtures("_other_logs_after")
def test_nothing_of_a_patient_is_in_the_logs(
    make_site: MakeSite,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    site = make_site(sqlite_url(request, tmp_path))
    configure_logs(Settings(log_level="debug"))
    name = "Doe-Jane-1950.dcm"
    answer = site.client.post("/api/v1/predictions?who=Doe", files={"file": (name, dicom_bytes())})
    site.client.post("/api/v1/predictions", files={"file": (name, b"broken")})
    site.client.get(f"/api/v1/predictions/{answer.json()['id']}")
    logs = "".join(capfd.readouterr())
    assert '"route": "/api/v1/predictions/{id}"' in logs
    for secret in (PATIENT, "Doe", "MRN-0815", answer.json()["id"]):
        assert secret not in logs

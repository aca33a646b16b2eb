"""Contribute, review, publish: what is given is judged by others before it teaches anything."""

import io
import re
import threading
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from personas import person, token_on
from sites import Site
from sqlalchemy import event, func, null, select, update
from sqlalchemy.orm import Session

from ladnn.errors import DataError
from ladnn.findings import LESIONS, Lesion
from ladnn.imaging import decode
from ladnn.intake import take_in
from ladnn.phantom import thorax
from ladnn.service import audit_log, contributions, datasets, migrations, retention, tables
from ladnn.service.routes import contribute, review
from ladnn.service.tables import AuditEvent
from ladnn.service.tables_contributions import Contribution, DatasetItem, Print, Review
from ladnn.similarity import pixel_hash
from synthetic import dicom_bytes, encode, hounsfield

REPORT = "Bilateral ground-glass opacities with consolidation. No crazy-paving pattern."
CLINICIAN, CURATOR, SECOND = "clinician:1", "curator:2", "curator:3"
FIELDS = {
    "covid": "1",
    "patient": "P-01",
    "source": "Ward 3",
    "licence": "CC-BY-4.0",
    "consent": "1",
    "report": REPORT,
}


def image(seed: int = 1) -> bytes:
    return encode(thorax(seed, size=(120, 150)), "PNG")


def give(
    site: Site,
    data: bytes | None = None,
    who: str = CLINICIAN,
    name: str = "P-01.png",
    **fields: object,
):
    file = {"file": (name, data or image())}
    return person(site, who).post("/api/v1/contributions", data=FIELDS | fields, files=file)


def judge(site: Site, case: str, who: str = CURATOR, verdict: str = "accept", **more: object):
    said = {"verdict": verdict, "reason": "as I see it"} | more
    return person(site, who).post(f"/api/v1/reviews/{case}", json=said)


def test_what_is_given_waits_for_review_and_is_read_by_its_owner_and_curators_alone(site: Site):
    given = give(site, present=["GGO"], absent=["CrPa"])
    assert given.status_code == 201, given.text
    body = given.json()
    assert (body["state"], body["lesions"]["GGO"], body["lesions"]["CrPa"]) == (
        "waiting",
        True,
        False,
    )
    assert body["lesions"]["Csld"] is None
    link = f"/api/v1/contributions/{body['id']}"
    assert person(site, CLINICIAN).get(link).json() == body
    assert person(site, CURATOR).get(link).status_code == 200
    assert person(site, "clinician:9").get(link).status_code == 404
    assert site.browser().get(link).status_code == 401


def test_what_is_given_is_there_once_though_its_commit_arrived_unheard(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    database = site.services.database
    write = database.write
    person(site, CLINICIAN)

    def heard_at_the_second_attempt(work: Callable[[Session], object]) -> object:
        write(work)
        return write(work)

    monkeypatch.setattr(database, "write", heard_at_the_second_attempt)
    given = give(site)
    monkeypatch.undo()
    assert given.status_code == 201, given.text
    assert [one["id"] for one in queue_of(site, CURATOR)] == [given.json()["id"]]


def queue_of(site: Site, who: str) -> list[dict]:
    waiting: list[dict] = person(site, who).get("/api/v1/reviews").json()["contributions"]
    return waiting


def test_what_one_gave_and_what_waits_are_listed_in_pages_with_their_total(site: Site):
    for seed in (1, 2, 3):
        give(site, image(seed), patient=f"P-0{seed}")
    judge(site, queue_of(site, CURATOR)[0]["id"])
    for who, path, patients in (
        (CLINICIAN, "/api/v1/contributions", ["P-03", "P-02", "P-01"]),
        (CURATOR, "/api/v1/reviews", ["P-02", "P-03"]),
    ):
        first = person(site, who).get(f"{path}?limit=1").json()
        assert first["total"] == len(patients)
        assert first["next"] == f"{path}?limit=1&offset=1"
        rest = person(site, who).get(first["next"].replace("limit=1", "limit=9")).json()
        assert rest["next"] is None
        shown = [*first["contributions"], *rest["contributions"]]
        assert [one["patient"] for one in shown] == patients


@pytest.mark.parametrize(
    ("who", "path"),
    [
        (CLINICIAN, "/contribute?"),
        (CURATOR, "/review?state=&"),
        (CURATOR, "/review?state=waiting&"),
    ],
)
def test_nothing_is_too_old_to_be_found_on_a_page(
    page: Site, monkeypatch: pytest.MonkeyPatch, who: str, path: str
):
    monkeypatch.setattr(contribute, "OWN", 2)
    monkeypatch.setattr(review, "SHOWN", 2)
    given = {give(page, image(seed), patient=f"P-0{seed}").json()["id"] for seed in range(4)}
    first, second = (person(page, who).get(f"{path}offset={at}").text for at in (0, 2))
    link = re.compile(r"/(?:contributions|review)/([\w-]{24})\"")
    assert [len(set(link.findall(text))) for text in (first, second)] == [2, 2]
    assert set(link.findall(first + second)) == given
    assert path.replace("&", "&amp;") + "offset=2" in first
    assert "offset=4" not in second  # exactly two pages


def test_a_contributor_is_told_why_a_case_was_rejected(site: Site):
    case = give(site).json()["id"]
    for reader in (CURATOR, SECOND):
        judge(site, case, reader, "reject", reason=f"{reader}: a name is in the picture")
    mine = person(site, CLINICIAN).get(f"/api/v1/contributions/{case}").json()
    assert mine["state"] == "rejected"
    told = [(said["verdict"], said["reason"]) for said in mine["reviews"]]
    assert told == [
        ("reject", "curator:2: a name is in the picture"),
        ("reject", "curator:3: a name is in the picture"),
    ]


def test_the_same_pixels_are_not_kept_twice_whatever_the_file(site: Site):
    assert give(site).status_code == 201
    pixels = decode(image()).pixels
    again = give(site, encode(pixels, "TIFF"), who="clinician:9")
    assert again.status_code == 422
    assert "before" in again.json()["detail"]


def test_a_near_duplicate_is_found_at_once(site: Site):
    first = give(site).json()
    brighter = np.clip(decode(image()).pixels * 0.9 + 10, 0, 255).astype(np.uint8)
    second = give(site, encode(brighter, "PNG"), patient="P-02").json()
    noise = np.random.default_rng(0).integers(0, 255, (9, 12), np.uint8).repeat(12, 0).repeat(12, 1)
    other = give(site, encode(noise, "PNG"), patient="P-03").json()
    assert second["near"] == [first["id"]]
    assert other["near"] == []


def test_sketches_find_what_fingerprints_call_near(site: Site):
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, two = rng.standard_normal((2, 5120)).astype(np.float32)
        one /= np.linalg.norm(one)
        two -= one * (two @ one)
        mixed = 0.79 * one + (1 - 0.79**2) ** 0.5 * two / np.linalg.norm(two)
        a, b = (np.frombuffer(contributions.sketch(x), np.int8).astype(float) for x in (one, mixed))
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.79 - contributions._LEEWAY


@pytest.mark.parametrize(
    "wrong",
    [
        {"consent": "0"},
        {"licence": "mine"},
        {"patient": ""},
        {"source": "x" * 101},
        {"source": "a\0b"},
        {"source": "@ward"},
        {"patient": "=1+1"},
        {"patient": "\uff1d1"},
        {"patient": "P\u202e-01"},
        {"report": "x" * 20_001},
        {"present": ["Pneumothorax"]},
        {"covid": "perhaps"},
    ],
)
def test_a_field_that_does_not_do_is_refused_and_nothing_is_kept(page: Site, wrong: dict):
    assert give(page, **wrong).status_code == 422
    assert page.services.blobs.names() == []


@pytest.mark.parametrize("lesions", [["1"], ["1"] * 6, ["x"] * 5])
def test_a_form_with_other_lesions_than_five_is_refused_on_its_page(page: Site, lesions: list[str]):
    fields = FIELDS | {"lesions": lesions, "csrf": token_on(person(page, CLINICIAN), "/contribute")}
    answer = person(page, CLINICIAN).post("/contribute", data=fields)
    assert answer.status_code == 422
    assert answer.text.count('<select name="lesions"') == len(LESIONS)


def test_a_picture_is_kept_as_its_pixels_and_a_dicom_file_without_identity(page: Site):
    commented = encode(thorax(1, size=(120, 150)), "JPEG", comment=b"CANARY")
    assert b"CANARY" in commented
    give(page, commented)
    give(page, dicom_bytes(hounsfield(7, size=(120, 150)), PatientName="CANARY^A"))
    kept = [page.services.blobs.get(name) for name in page.services.blobs.names()]
    assert len(kept) == 2
    assert not [data for data in kept if b"CANARY" in data]


def test_the_first_reader_s_acceptance_settles_it(site: Site):
    case = give(site).json()["id"]
    assert judge(site, case).json() == {"state": "accepted"}
    assert judge(site, case, SECOND).status_code == 422


@pytest.mark.parametrize(
    ("second", "state"), [("accept", "accepted"), ("reject", "rejected"), ("correct", "accepted")]
)
def test_where_the_first_reader_disagrees_the_second_decides(site: Site, second: str, state: str):
    case = give(site).json()["id"]
    assert judge(site, case, verdict="reject").json() == {"state": "disputed"}
    assert [one["id"] for one in queue_of(site, CURATOR)] == []
    assert [one["id"] for one in queue_of(site, SECOND)] == [case]
    lesions = {"Csld": True}
    verdict = "accept_contributed" if second == "accept" else second
    assert judge(site, case, SECOND, verdict, covid=False, lesions=lesions).json() == {
        "state": state
    }
    found = person(site, SECOND).get(f"/api/v1/contributions/{case}").json()
    assert found["covid"] is (second != "correct")
    assert found["lesions"]["Csld"] is (True if second == "correct" else None)


def corrected(site: Site, data: bytes | None = None) -> str:
    """A positive case with GGO, which the first reader says is negative and has a consolidation."""
    case = str(give(site, data, present=["GGO"]).json()["id"])
    said = {"covid": False, "lesions": {"Csld": True}, "reason": "No opacity is to be seen."}
    assert judge(site, case, verdict="correct", **said).json() == {"state": "disputed"}
    return case


@pytest.mark.parametrize(
    ("verdict", "covid", "lesion"),
    [("accept_correction", False, "Csld"), ("accept_contributed", True, "GGO")],
)
def test_the_second_reader_says_whose_labels_are_accepted(
    site: Site, verdict: str, covid: bool, lesion: str
):
    case = corrected(site)
    second = person(site, SECOND)
    (queued,) = queue_of(site, SECOND)
    (first,) = queued["reviews"]
    assert (first["verdict"], first["covid"], first["lesions"]["Csld"]) == ("correct", False, True)
    assert judge(site, case, SECOND, verdict).json() == {"state": "accepted"}
    found = second.get(f"/api/v1/contributions/{case}").json()
    assert found["covid"] is covid
    assert [name for name, value in found["lesions"].items() if value] == [lesion]


def test_a_plain_acceptance_throws_no_first_reader_s_opinion_away(page: Site):
    case = corrected(page)
    refused = judge(page, case, SECOND)
    assert refused.status_code == 422
    assert "accept_correction" in refused.json()["detail"]
    seen = person(page, SECOND).post(f"/review/{case}", data={"verdict": "accept"})
    assert seen.status_code == 422
    assert "No opacity is to be seen." in seen.text
    state = person(page, SECOND).get(f"/api/v1/contributions/{case}").json()["state"]
    assert state == "disputed"


@pytest.mark.parametrize("verdict", ["accept", "correct", "reject"])
def test_a_form_that_was_opened_before_the_first_opinion_does_not_overrule_it(
    page: Site, verdict: str
):
    case = give(page).json()["id"]
    form = person(page, SECOND).get(f"/review/{case}").text
    (seen,) = set(re.findall(r'name="seen" value="(\d+)"', form))
    judge(page, case, verdict="reject")
    said = {"verdict": verdict, "covid": "1", "reason": "mine", "seen": seen}
    refused = person(page, SECOND).post(f"/review/{case}", data=said)
    assert refused.status_code == 422
    assert "Somebody else judged this case" in refused.text
    assert "as I see it" in refused.text
    assert person(page, SECOND).post(
        f"/review/{case}", data=said | {"seen": "1", "verdict": "reject"}
    )
    assert person(page, SECOND).get(f"/api/v1/contributions/{case}").json()["state"] == "rejected"


def test_where_nothing_was_corrected_there_is_no_correction_to_accept(page: Site):
    case = give(page).json()["id"]
    assert judge(page, case, verdict="accept_correction").status_code == 422
    judge(page, case, verdict="reject")
    assert judge(page, case, SECOND, "accept_correction").status_code == 422


def primary(text: str) -> str:
    """What the one primary button of a page that judges says."""
    (said,) = re.findall(r'<button[^>]*class="primary"[^>]*>([^<]+)</button>', text)
    return str(said)


def test_the_second_reader_s_page_begins_with_what_the_first_one_said(page: Site):
    case = corrected(page)
    text = person(page, SECOND).get(f"/review/{case}").text
    assert primary(text) == "Accept the correction of the first reader"
    assert "Accept as contributed" in text
    assert re.search(r'name="covid" value="0" checked', text)
    chosen = re.findall(r'<option value="([01]?)" selected', text)
    assert chosen == ["", "1", "", "", ""]
    assert "(was: positive)" in text


def test_the_first_reader_s_page_and_that_after_a_rejection_say_what_is_accepted(page: Site):
    case = give(page).json()["id"]
    assert primary(person(page, CURATOR).get(f"/review/{case}").text) == "Accept as contributed"
    judge(page, case, verdict="reject")
    text = person(page, SECOND).get(f"/review/{case}").text
    assert primary(text) == "Reject, as the first reader does"
    assert "correction of the first reader" not in text


def test_a_reviewer_sees_near_duplicates_and_opens_their_cases(page: Site):
    first = give(page).json()["id"]
    brighter = np.clip(decode(image()).pixels * 0.9 + 10, 0, 255).astype(np.uint8)
    second = give(page, encode(brighter, "PNG"), patient="P-02").json()["id"]
    thumb = f'<a href="/review/{first}">'
    assert thumb in person(page, CURATOR).get(f"/review/{second}").text
    assert thumb not in person(page, CLINICIAN).get(f"/contributions/{second}").text
    remove(page, first, reason="identity")
    assert thumb not in person(page, CURATOR).get(f"/review/{second}").text


def test_a_correction_says_whether_the_case_is_positive(site: Site):
    case = give(site).json()["id"]
    assert judge(site, case, verdict="correct", lesions={}).status_code == 422


@pytest.mark.parametrize(
    ("more", "where", "what"),
    [
        ({"lesions": {"AirBronch": True}}, "body.lesions", "AirBronch is none of GGO, Csld"),
        ({"lesions": {"ggo": True, "GGO": True}}, "body.lesions", "ggo is none of GGO"),
        ({}, "body.lesions", "a correction gives all lesions"),
        ({"lesions": None}, "body.lesions", "a correction gives all lesions"),
        ({"lesions": {}, "lesion": "GGO"}, "body", "lesion is none of verdict, covid, lesions"),
    ],
)
def test_a_correction_with_lesions_that_nobody_knows_or_without_any_is_refused(
    site: Site, more: dict[str, object], where: str, what: str
):
    case = give(site).json()["id"]
    answer = judge(site, case, verdict="correct", covid=True, **more)
    [wrong] = answer.json()["errors"]
    assert (answer.status_code, wrong["where"], what in wrong["what"]) == (422, where, True)
    assert answer.headers["content-type"] == "application/problem+json"
    assert queue_of(site, CURATOR)[0]["reviews"] == []


def test_a_correction_says_what_is_known_and_the_rest_is_unknown(site: Site):
    case = give(site, present=["GGO"]).json()["id"]
    said = {"covid": True, "lesions": {"Csld": False}}
    assert judge(site, case, verdict="correct", **said).json() == {"state": "disputed"}
    [review] = queue_of(site, SECOND)[0]["reviews"]
    assert (review["lesions"]["Csld"], review["lesions"]["GGO"]) == (False, None)


@pytest.mark.parametrize("of", ["contributor", "first reader"])
def test_a_correction_that_changes_nothing_is_none_and_its_reason_stays(page: Site, of: str):
    case = give(page, present=["GGO"]).json()["id"] if of == "contributor" else corrected(page)
    who, lesions = (CURATOR, "1") if of == "contributor" else (SECOND, "")
    said = {
        "verdict": "correct",
        "covid": "1" if of == "contributor" else "0",
        "lesions": [lesions, "" if lesions else "1", "", "", ""],
        "reason": "a word on it",
    }
    refused = person(page, who).post(f"/review/{case}", data=said)
    assert refused.status_code == 422
    assert "correct nothing" in refused.text
    assert "a word on it" in refused.text
    assert len(queue_of(page, who)[0]["reviews"]) == (of != "contributor")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("accept_correction", "Accepted as the first reader corrected it"),
        ("accept_contributed", "Accepted as contributed"),
    ],
)
def test_a_settled_case_tells_what_was_given_and_whose_labels_were_accepted(
    page: Site, verdict: str, words: str
):
    case = corrected(page)
    judge(page, case, SECOND, verdict, reason="")
    given = person(page, CLINICIAN).get(f"/api/v1/contributions/{case}").json()["given"]
    assert (given["covid"], given["lesions"]["GGO"], given["lesions"]["Csld"]) == (True, True, None)
    for who, path in ((CURATOR, "review"), (CLINICIAN, "contributions")):
        text = person(page, who).get(f"/{path}/{case}").text
        assert "What the first reader says" in text
        assert "(was: positive)" in text
        assert words in text


def test_what_was_given_is_known_of_cases_from_before_unless_a_correction_took_its_place(
    site: Site,
):
    cases = {}
    for verdict in ("accept_correction", "accept_contributed", "reject"):
        cases[verdict] = corrected(site, image(len(verdict)))
        judge(site, cases[verdict], SECOND, verdict)
    migrations.downgrade(site.services.database, "0011")
    migrations.upgrade(site.services.database)
    curator = person(site, CURATOR)
    given = {
        verdict: curator.get(f"/api/v1/contributions/{case}").json()["given"]
        for verdict, case in cases.items()
    }
    assert given.pop("accept_correction") is None
    for labels in given.values():
        assert (labels["covid"], labels["lesions"]["GGO"]) == (True, True)


def test_of_a_case_that_an_older_site_took_in_what_was_given_is_kept_as_well(page: Site):
    case = corrected(page)
    as_before = update(Contribution).values(given_covid=None, given_lesions=null())
    page.services.database.write(lambda session: session.execute(as_before))
    for who in (SECOND, CURATOR):
        assert "(was: positive)" in person(page, who).get(f"/review/{case}").text
        judge(page, case, SECOND, "accept_correction")
        given = person(page, who).get(f"/api/v1/contributions/{case}").json()["given"]
        assert (given["covid"], given["lesions"]["GGO"]) == (True, True)


def test_nobody_judges_their_own_or_twice_and_no_reason_is_no_rejection(site: Site):
    own = give(site, who=CURATOR).json()["id"]
    assert judge(site, own).status_code == 403
    assert judge(site, own, SECOND, "reject", reason="").status_code == 422
    assert judge(site, own, SECOND, "reject").status_code == 200
    assert judge(site, own, SECOND).status_code == 403
    assert judge(site, own, CLINICIAN).status_code == 403


def publish(site: Site) -> dict:
    for seed, patient in ((1, "P-01"), (2, "P-02"), (3, "P-03")):
        case = give(site, image(seed), patient=patient, present=["GGO"]).json()["id"]
        judge(site, case, verdict="reject" if seed == 3 else "accept")
    scan = dicom_bytes(hounsfield(5, size=(120, 150)))
    judge(site, give(site, scan, covid="0", patient="P-04", licence="CC0-1.0").json()["id"])
    made: dict = person(site, CURATOR).post("/api/v1/datasets").json()
    return made


def test_a_version_holds_what_was_accepted_and_comes_back_by_data_import(
    site: Site, tmp_path: Path
):
    made = publish(site)
    assert (made["version"], made["images"]) == (1, 3)
    assert made["licences"] == {"CC-BY-4.0": 2, "CC0-1.0": 1}
    given = person(site, CLINICIAN).get("/api/v1/contributions").json()["contributions"]
    said = Counter(
        sentence
        for one in given
        for sentence in ("in version 1 of the dataset", "in the next version")
        if sentence in person(site, CLINICIAN).get(f"/contributions/{one['id']}").text
    )
    assert said == {"in version 1 of the dataset": 3}  # of the rejected one neither
    answer = person(site, CURATOR).get("/api/v1/datasets/1.zip")
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    folder = tmp_path / "ladnn-contributed-1"
    manifest = take_in([folder], labels="paper", extract_to=tmp_path / "x").manifest
    assert len(manifest) == 3
    assert {record.split for record in manifest} == {"train"}
    by_patient = {record.patient: record for record in manifest}
    first = by_patient["contributed Ward 3/P-01"]
    assert first.pixel_hash == pixel_hash(decode(image()).pixels)
    assert (first.covid, first.lesions[Lesion.GGO], first.lesions[Lesion.CRPA]) == (
        True,
        True,
        None,
    )
    assert by_patient["contributed Ward 3/P-04"].covid is False


def test_an_id_that_names_a_file_of_a_version_begins_with_no_hyphen(
    monkeypatch: pytest.MonkeyPatch,
):
    ids = iter(["-rjp9eOuH3CxgWIZLt6iJK2-", "7Jp9eOuH3CxgWIZLt6iJK2-x"])
    monkeypatch.setattr(tables.secrets, "token_urlsafe", lambda _: next(ids))
    assert tables.new_id() == "7Jp9eOuH3CxgWIZLt6iJK2-x"


def test_the_same_content_is_the_same_version_and_other_content_another(site: Site):
    made = publish(site)
    again = person(site, CURATOR).post("/api/v1/datasets")
    assert (again.status_code, again.json()) == (200, made)
    judge(site, give(site, image(6), patient="P-06").json()["id"])
    later = person(site, CURATOR).post("/api/v1/datasets").json()
    assert (later["version"], later["images"]) == (2, 4)


def test_a_version_whose_commit_arrived_unheard_is_one_that_was_made(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    judge(page, give(page).json()["id"])
    curator, database = person(page, CURATOR), page.services.database
    write = database.write

    def again(work: Callable[[Session], object], **more: bool) -> object:
        write(work, **more)
        return write(work, **more)

    monkeypatch.setattr(database, "write", again)
    answers = [curator.post("/api/v1/datasets") for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 200]
    assert [one.json()["version"] for one in answers] == [1, 1]


def test_who_makes_a_version_of_nothing_new_is_told_which_one_has_it_all(page: Site):
    publish(page)
    answer = person(page, CURATOR).post("/review/datasets")
    assert answer.status_code == 422
    assert "version 1 already" in answer.text


def test_the_versions_are_listed_in_pages_the_newest_first(site: Site):
    publish(site)
    judge(site, give(site, image(6), patient="P-06").json()["id"])
    curator = person(site, CURATOR)
    curator.post("/api/v1/datasets")
    pages = [curator.get(f"/api/v1/datasets?limit=1&offset={n}").json() for n in range(3)]
    listed = [[one["version"] for one in page["datasets"]] for page in pages]
    assert listed == [[2], [1], []]
    assert [page["total"] for page in pages] == [2, 2, 2]
    assert [page["next"] for page in pages] == ["/api/v1/datasets?limit=1&offset=1", None, None]


def test_a_list_of_versions_tells_of_each_what_it_tells_of_itself_and_reads_none_of_its_images(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    publish(site)
    judge(site, give(site, image(6), patient="P-01").json()["id"])
    curator = person(site, CURATOR)
    curator.post("/api/v1/datasets")
    whole = [
        datasets.describe(site.services.database.read(lambda s, n=n: datasets.read_version(s, n)))
        for n in (2, 1)
    ]
    assert (whole[0]["images"], whole[0]["patients"]) == (4, 3)
    read: list[object] = []
    event.listen(DatasetItem, "load", note := lambda item, _: read.append(item))
    monkeypatch.setattr(review, "VERSIONS", 1)
    try:
        listed = curator.get("/api/v1/datasets").json()["datasets"]
        pages = [curator.get(f"/review/datasets?offset={n}").text for n in (0, 1)]
    finally:
        event.remove(DatasetItem, "load", note)
    assert (listed, read) == (whole, [])
    assert ["/review/datasets/1.zip" in page for page in pages] == [False, True]
    assert "offset=1" in pages[0]


def test_who_takes_an_image_back_takes_it_out_of_later_versions_alone(site: Site):
    made = publish(site)
    mine = person(site, CLINICIAN)
    for one in mine.get("/api/v1/contributions").json()["contributions"]:
        assert mine.delete(f"/api/v1/contributions/{one['id']}").status_code == 204
    assert person(site, CURATOR).post("/api/v1/datasets").status_code == 422
    assert len(site.services.blobs.names()) == made["images"]
    again = give(site, image(1), patient="P-01").json()["id"]  # which waits for review anew
    assert "in version 1" not in mine.get(f"/contributions/{again}").text
    judge(site, again)  # version 1 has the case that was taken back
    assert "in the next version" in mine.get(f"/contributions/{again}").text
    assert person(site, CURATOR).get("/api/v1/datasets/1.zip").status_code == 200


def test_an_image_that_is_taken_back_while_a_version_is_made_is_whole_or_not_in_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    case = give(site).json()["id"]
    judge(site, case)
    mine, write = person(site, CLINICIAN), datasets.table_text
    taken = threading.Thread(target=mine.delete, args=(f"/api/v1/contributions/{case}",))

    def text(rows: list[dict[str, str]]) -> str:
        taken.start()
        taken.join(timeout=2)  # it has to wait until the version is there
        return write(rows)

    monkeypatch.setattr(datasets, "table_text", text)
    assert person(site, CURATOR).post("/api/v1/datasets").status_code == 201
    taken.join()
    monkeypatch.setattr(datasets, "table_text", write)
    assert person(site, CURATOR).get("/api/v1/datasets/1.zip").status_code == 200


@pytest.mark.parametrize("path", ["/review/datasets/1.zip", "/api/v1/datasets/1.zip"])
def test_a_version_that_lost_an_image_says_so_and_no_download_is_noted(page: Site, path: str):
    publish(page)
    version = page.services.database.read(lambda session: datasets.read_version(session, None))
    page.services.blobs.remove(version.items[0].blob)
    answer = person(page, CURATOR).get(path)
    assert answer.status_code == 500
    assert "An image of this version is not in the store any more" in answer.text
    assert lines(page, "dataset.download") == []


def test_a_version_that_was_downloaded_is_noted(page: Site):
    publish(page)
    assert person(page, CURATOR).get("/review/datasets/1.zip").status_code == 200
    assert [line.object for line in lines(page, "dataset.download")] == ["1"]


def test_an_image_that_was_altered_is_not_imported(page: Site, tmp_path: Path):
    publish(page)
    version = page.services.database.read(lambda session: datasets.read_version(session, None))
    folder = tmp_path / "set"
    datasets.write_folder(page.services.blobs, version, folder)
    next(folder.glob("images/*.png")).write_bytes(image(9))
    with pytest.raises(DataError, match="is not the image that was reviewed"):
        take_in([folder], labels="paper", extract_to=tmp_path / "x")


def remove(site: Site, case: str, who: str = CURATOR, by: str = "page", **fields: str):
    if by == "api":
        return person(site, who).delete(f"/api/v1/reviews/{case}", params=fields)
    return person(site, who).post(f"/review/{case}/remove", data=fields)


def lines(site: Site, action: str) -> list[AuditEvent]:
    wanted = audit_log.Filter(action=action)
    return site.services.database.read(lambda session: audit_log.browse(session, wanted))


@pytest.mark.parametrize(
    ("who", "by", "status"),
    [(CURATOR, "page", 303), ("administrator:4", "page", 303), (CURATOR, "api", 204)],
)
@pytest.mark.parametrize("state", ["waiting", "rejected"])
def test_a_curator_removes_a_contribution_for_good_and_the_chain_keeps_why(
    site: Site, who: str, by: str, status: int, state: str
):
    case = give(site).json()["id"]
    for reader in (CURATOR, SECOND) if state == "rejected" else ():
        judge(site, case, reader, "reject")
    assert remove(site, case, who, by, reason="identity").status_code == status
    assert person(site, CLINICIAN).get(f"/api/v1/contributions/{case}").status_code == 404
    assert site.services.blobs.names() == []
    (line,) = lines(site, "contribution.remove")
    assert (line.object, line.detail) == (
        case,
        {"reason": "identity", "state": state, "kept_in": []},
    )
    assert line.sequence is not None
    assert audit_log.verify(site.services.database).fault is None
    assert give(site).status_code == 201  # the same image may come again, without what was wrong


def test_the_image_of_a_removed_contribution_stays_where_a_version_has_it(site: Site):
    made = publish(site)
    mine = person(site, CLINICIAN).get("/api/v1/contributions").json()["contributions"]
    accepted = [one["id"] for one in mine if one["state"] == "accepted"]
    page = person(site, CURATOR).get(f"/review/{accepted[0]}").text
    assert "Versions that have it keep its image: 1." in page
    for case in accepted:
        remove(site, case, reason="consent")
    assert {str(line.detail["kept_in"]) for line in lines(site, "contribution.remove")} == {"[1]"}
    assert person(site, CURATOR).get("/api/v1/datasets/1.zip").status_code == 200
    assert person(site, CURATOR).post("/api/v1/datasets").status_code == 422
    assert len(site.services.blobs.names()) == made["images"] + 1  # and the disputed one's


@pytest.mark.parametrize("reason", ["", "Anna Example is in the picture"])
@pytest.mark.parametrize(
    ("by", "words"), [("page", "Choose one of the reasons"), ("api", "reason")]
)
def test_without_one_of_the_reasons_nothing_is_removed(
    page: Site, reason: str, by: str, words: str
):
    case = give(page).json()["id"]
    answer = remove(page, case, by=by, reason=reason)
    assert answer.status_code == 422
    assert words in answer.text
    assert person(page, CURATOR).get(f"/review/{case}").status_code == 200


@pytest.mark.parametrize("by", ["page", "api"])
def test_who_is_no_curator_removes_nothing(page: Site, by: str):
    case = give(page).json()["id"]
    assert remove(page, case, CLINICIAN, by, reason="identity").status_code == 403
    assert remove(page, "nowhere", by=by, reason="identity").status_code == 404
    assert person(page, CLINICIAN).get(f"/contributions/{case}").status_code == 200


def test_a_curator_finds_what_is_settled_by_its_state(page: Site):
    case = give(page).json()["id"]
    judge(page, case)
    other = give(page, image(2), patient="P-02").json()["id"]
    curator = person(page, CURATOR)
    assert case not in curator.get("/review").text
    shown = curator.get("/review?state=accepted").text
    assert case in shown
    assert other not in shown
    assert "none in this state" in curator.get("/review?state=rejected").text
    assert curator.get("/review?state=none").status_code == 422


def after(site: Site, **more: float) -> dict[str, int]:
    then = site.services.clock() + timedelta(**more)
    return retention.purge(replace(site.services, clock=lambda: then))


def test_what_nobody_accepted_goes_with_its_report_when_its_days_are_over(site: Site):
    publish(site)  # three accepted, one disputed
    rejected = give(site, image(4), patient="P-05").json()["id"]
    for reader in (CURATOR, SECOND):
        judge(site, rejected, reader, "reject")
    give(site, image(5), patient="P-06")
    assert after(site, days=364)["contributions"] == 0
    assert after(site, days=366)["contributions"] == 3
    left = site.services.database.read(lambda session: session.scalars(select(Contribution)).all())
    assert [one.state for one in left] == ["accepted"] * 3
    assert len(site.services.blobs.names()) == 3
    for table in (Print, Review):
        assert site.services.database.read(lambda s, t=table: s.scalar(count_of(t))) == 3


def count_of(table: type[Print | Review]):
    return select(func.count()).select_from(table)


def test_what_was_judged_late_stays_as_long_from_then_on(site: Site):
    case = give(site).json()["id"]
    judge(site, case, verdict="reject")
    old = site.services.clock() - timedelta(days=400)
    site.services.database.write(lambda s: s.execute(update(Contribution).values(created_at=old)))
    assert after(site)["contributions"] == 0
    site.services.database.write(lambda s: s.execute(update(Review).values(created_at=old)))
    assert after(site)["contributions"] == 1


def test_with_no_days_set_contributions_stay(page: Site):
    give(page)
    settings = replace(page.services.settings, contribution_days=0)
    then = page.services.clock() + timedelta(days=4000)
    gone = retention.purge(replace(page.services, settings=settings, clock=lambda: then))
    assert "contributions" not in gone
    assert len(page.services.blobs.names()) == 1


def test_a_report_proposes_lesions_with_their_words(page: Site):
    answer = person(page, CLINICIAN).post("/api/v1/reports", json={"text": REPORT}).json()
    assert answer["lesions"] == {
        "GGO": True, "Csld": True, "CrPa": False, "AirBr": False, "InSepThi": False
    }  # fmt: skip
    assert {one["lesion"] for one in answer["words"] if one["denied"]} == {"CrPa"}


def test_the_words_of_a_report_say_what_became_of_a_lesion(page: Site):
    told = "Ground-glass opacities that were seen before have disappeared. Possible consolidation."
    answer = person(page, CLINICIAN).post("/api/v1/reports", json={"text": told}).json()
    courses = {one["lesion"]: one["course"] for one in answer["words"]}
    assert courses == {"GGO": "resolved", "Csld": "uncertain"}


@pytest.mark.parametrize(("report", "read"), [(REPORT, True), ("双肺多发磨玻璃影。", False)])
def test_a_report_that_is_not_in_english_is_said_not_to_be_read(
    page: Site, report: str, read: bool
):
    browser = person(page, CLINICIAN)
    token = re.search(r'name="csrf" value="(\w+)"', browser.get("/contribute").text)
    assert token is not None
    fields = {"csrf": token[1], "report": report, "part": "1"}
    sent = browser.post("/contribute/report", data=fields).text
    assert ("Only English reports are read" in sent) == (not read)
    assert ('lang="en"' in sent.partition("report-words")[2][:40]) == read


def options(page: str, name: str = "lesions") -> list[str]:
    """The values of the five lesions on a form, or what a report proposed for them."""
    if name == "proposed":
        return re.findall(r'name="proposed" value="([01]?)"', page)
    return re.findall(r'<option value="([01]?)" selected', page.partition('name="lesions"')[2])[:5]


@pytest.mark.parametrize("report", ["", "双肺多发磨玻璃影。", "Consolidation is seen."])
def test_another_report_takes_away_what_the_former_proposed_and_nothing_that_was_chosen(
    page: Site, report: str
):
    browser = person(page, CLINICIAN)
    token = re.search(r'name="csrf" value="(\w+)"', browser.get("/contribute").text)
    assert token is not None
    fields: dict[str, object] = {"csrf": token[1], "report": REPORT}
    fields["lesions"] = ["0", "", "", "", ""]  # one that was chosen before
    first = browser.post("/contribute/report", data=fields).text
    assert options(first) == ["0", "1", "0", "0", "0"]
    fields |= {"report": report, "lesions": options(first), "proposed": options(first, "proposed")}
    second = browser.post("/contribute/report", data=fields).text
    read = report.startswith("C")
    assert options(second) == ["0", "1", "0", "0", "0"] if read else ["0", "", "", "", ""]


def test_lesions_of_the_table_stand_in_the_order_of_lesions():
    from ladnn.sources.contributed import COLUMNS

    assert COLUMNS[6:11] == tuple(map(str, LESIONS))

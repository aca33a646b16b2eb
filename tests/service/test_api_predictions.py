"""Predictions from a program: listed, judged, taken back, taken away; the slices of a series."""

import pytest
from personas import key_of, make_account
from sites import Site
from sqlalchemy import select

from ladnn.phantom import hounsfield, thorax
from ladnn.service.accounts.permissions import Permission, Role
from ladnn.service.tables import AuditEvent
from ladnn.service.watching import agreement
from synthetic import dicom_bytes, encode

PREDICTIONS = "/api/v1/predictions"
PARTS = ("/heatmaps/covid.png", "/overlay.png", "/report.pdf")


@pytest.fixture
def mine(site: Site) -> dict[str, str]:
    """The header of a clinician's key that may do all that a clinician may with results."""
    scopes = ("test", "read_case", "change_case", "give_feedback")
    return key_of(site, make_account(site, Role.CLINICIAN), *scopes)


def send(site: Site, header: dict[str, str], seed: int = 3) -> dict[str, object]:
    data = encode(thorax(seed, size=(64, 72)), "PNG")
    answer = site.client.post(PREDICTIONS, files={"file": ("a.png", data)}, headers=header)
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_maps_as_numbers_are_shares_written_with_four_digits(site: Site, mine: dict[str, str]):
    files = {"file": ("a.png", encode(thorax(5, size=(64, 72)), "PNG"))}
    said = site.client.post(PREDICTIONS, files=files, data={"maps": "true"}, headers=mine).json()
    assert set(said["maps"]) == {"covid", *said["lesions"]}
    numbers = [value for plane in said["maps"].values() for row in plane for value in row]
    assert 0 <= min(numbers) <= max(numbers) <= 1
    assert max(len(str(value)) for value in numbers) <= len("0.1234")


def slices(count: int = 3, **fields: object) -> list[tuple[str, tuple[str, bytes]]]:
    files = [
        dicom_bytes(hounsfield(n, size=(64, 80)), InstanceNumber=count - n, **fields)
        for n in range(count)
    ]
    return [("file", (f"{n}.dcm", data)) for n, data in enumerate(files)]


def actions(site: Site) -> list[str]:
    return site.services.database.read(
        lambda session: list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))
    )


def test_one_s_predictions_are_listed_in_pages_the_newest_first(site: Site, mine: dict[str, str]):
    sent = [send(site, mine, seed)["id"] for seed in range(3)]
    address, listed = f"{PREDICTIONS}?limit=2", []
    while address:
        found = site.client.get(address, headers=mine).json()
        assert found["total"] == 3
        listed += found["predictions"]
        address = found["next"]
    assert [one["id"] for one in listed] == sent[::-1]


def test_a_listed_prediction_says_in_short_what_it_says_when_read(site: Site, mine: dict[str, str]):
    sent = send(site, mine)
    [short] = site.client.get(PREDICTIONS, headers=mine).json()["predictions"]
    shared = ("id", "covid", "model", "research_use_only")
    assert {name: short[name] for name in shared} == {name: sent[name] for name in shared}
    assert (short["state"], short["slices"]) == ("active", 1)


def test_nobody_lists_what_is_another_s(site: Site, mine: dict[str, str]):
    send(site, mine)
    send(site, {})
    other = key_of(site, make_account(site, Role.ADMINISTRATOR), Permission.READ_CASE)
    for header in (other, {}):
        found = site.browser().get(PREDICTIONS, headers=header).json()
        assert found == {"predictions": [], "total": 0, "next": None}


def test_feedback_is_kept_and_completed_later(site: Site, mine: dict[str, str]):
    address = f"{PREDICTIONS}/{send(site, mine)['id']}/feedback"
    first = site.client.post(address, json={"agreement": "disagree"}, headers=mine)
    later = site.client.post(address, json={"pcr": "negative"}, headers=mine)
    assert (first.status_code, first.json()) == (200, {"agreement": "disagree", "pcr": None})
    assert later.json() == {"agreement": "disagree", "pcr": "negative"}
    assert actions(site).count("feedback.give") == 2


def test_feedback_is_withdrawn_piece_by_piece_and_counts_no_more(site: Site, mine: dict[str, str]):
    sent = send(site, mine)
    address = f"{PREDICTIONS}/{sent['id']}/feedback"
    site.client.post(address, json={"agreement": "agree", "pcr": "negative"}, headers=mine)
    model = sent["model"]["name"], sent["model"]["version"]

    def counted() -> tuple[int, int]:
        said = site.services.database.read(lambda session: agreement(session, *model))
        return said.agree, said.right + said.wrong + said.undecided

    assert counted() == (1, 1)
    left = site.client.delete(f"{address}?what=pcr", headers=mine)
    assert (left.status_code, left.json()) == (200, {"agreement": "agree", "pcr": None})
    assert counted() == (1, 0)
    for _ in range(2):
        left = site.client.delete(address, headers=mine)
        assert (left.status_code, left.json()) == (200, {"agreement": None, "pcr": None})
    assert counted() == (0, 0)
    assert actions(site).count("feedback.withdraw") == 2
    assert site.client.delete(f"{address}?what=all", headers=mine).status_code == 422
    other = key_of(site, make_account(site, Role.CLINICIAN, "b@h.org"), "give_feedback")
    assert site.client.delete(address, headers=other).status_code == 404


@pytest.mark.parametrize("said", [{}, {"agreement": "perhaps"}, {"pcr": "unknown"}])
def test_feedback_that_says_nothing_or_something_else_is_a_problem(
    page: Site, said: dict[str, str]
):
    header = key_of(page, make_account(page, Role.CLINICIAN), "test", "give_feedback")
    address = f"{PREDICTIONS}/{send(page, header)['id']}/feedback"
    answer = page.client.post(address, json=said, headers=header)
    problem = (answer.status_code, answer.headers["content-type"])
    assert problem == (422, "application/problem+json")


def test_what_is_retracted_is_listed_as_such_and_closed_to_whoever_has_its_link(
    site: Site, mine: dict[str, str]
):
    sent = send(site, mine)
    address = f"{PREDICTIONS}/{sent['id']}"
    assert site.client.post(f"{address}/retract", headers=mine).status_code == 204
    assert site.browser().get(sent["links"]["page"]).status_code == 404
    assert site.client.get(address, headers=mine).json() == sent | {"state": "retracted"}
    [short] = site.client.get(PREDICTIONS, headers=mine).json()["predictions"]
    assert short["state"] == "retracted"
    assert send(site, mine)["id"] != sent["id"]
    assert "prediction.retract" in actions(site)


def test_whoever_has_the_id_of_a_program_without_identity_retracts_it(page: Site):
    sent = send(page, {})
    address = f"{PREDICTIONS}/{sent['id']}/retract"
    assert page.browser().post(address).status_code == 204
    assert page.browser().get(sent["links"]["page"]).status_code == 404


def test_the_report_and_the_overlay_are_those_of_the_page(site: Site, mine: dict[str, str]):
    sent = send(site, mine)
    for name, kind in (("report", "application/pdf"), ("overlay", "image/png")):
        answer = site.client.get(sent["links"][name], headers=mine)
        assert answer.headers["content-type"] == kind
        assert "attachment" in answer.headers["content-disposition"]
        shown = site.client.get(f"{sent['links']['page']}/{sent['links'][name].split('/')[-1]}")
        assert len(shown.content) == len(answer.content)
    assert actions(site).count("prediction.download") == 4


@pytest.mark.parametrize("part", PARTS)
def test_another_s_key_takes_nothing_away(page: Site, part: str):
    header = key_of(page, make_account(page, Role.CLINICIAN), "test")
    address = f"{PREDICTIONS}/{send(page, header)['id']}{part}"
    other = key_of(page, make_account(page, Role.ADMINISTRATOR), "read_case")
    assert page.client.get(address, headers=other).status_code == 404


def test_slices_sent_together_are_one_study_that_is_read_again(site: Site, mine: dict[str, str]):
    answer = site.client.post("/api/v1/studies", files=slices(), headers=mine)
    said = answer.json()
    assert (answer.status_code, said["slices"], len(said["images"])) == (201, 3, 3)
    assert site.client.get(answer.headers["location"], headers=mine).json() == said
    [short] = site.client.get(PREDICTIONS, headers=mine).json()["predictions"]
    assert (short["slices"], short["covid"]) == (3, said["covid"])


def test_the_same_slices_in_another_order_are_the_same_study(page: Site):
    header = key_of(page, make_account(page, Role.CLINICIAN), "test")
    first, again = (
        page.client.post("/api/v1/studies", files=files, headers=header)
        for files in (slices(), slices()[::-1])
    )
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


def test_every_slice_of_a_study_has_a_map_and_one_beyond_the_last_is_not_found(page: Site):
    said = page.client.post("/api/v1/studies", files=slices()).json()
    maps = {page.client.get(one["heatmap"]).content for one in said["images"]}
    assert len(maps) == 3
    assert page.client.get(said["links"]["heatmap_covid"]).content in maps
    for part in PARTS:
        address = f"{said['links']['self']}{part}"
        assert page.client.get(f"{address}?image=2").status_code == 200
        assert page.client.get(f"{address}?image=3").status_code == 404


def test_a_single_slice_is_the_prediction_of_an_image(page: Site):
    [file] = slices(1)
    header = key_of(page, make_account(page, Role.CLINICIAN), "test")
    image = page.client.post(PREDICTIONS, files=[file], headers=header)
    assert page.client.post("/api/v1/studies", files=[file], headers=header).json() == image.json()


def test_slices_of_two_series_are_no_study(page: Site):
    files = slices(2) + slices(2, SeriesInstanceUID="1.2.3.4")
    answer = page.client.post("/api/v1/studies", files=files)
    assert (answer.status_code, answer.json()["status"]) == (422, 422)

"""Versions from a program: listed, read, compared; promoted and rolled back by administrators."""

import re
from pathlib import Path

import pytest
from personas import browser_of, key_of, make_account
from sites import Site
from sqlalchemy import select
from starlette.testclient import TestClient
from test_models import WHO, fill, registry_of

from bundles import tiny_bundle
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import owner_of
from ladnn.service.tables import AuditEvent

MODELS = "/api/v1/models"


@pytest.fixture
def chief(site: Site, tmp_path: Path) -> dict[str, str]:
    """The header of a key that manages the models of a site with two versions."""
    fill(site, tmp_path)
    scopes = ("read_public", "manage_models")
    return key_of(site, make_account(site, Role.ADMINISTRATOR), *scopes)


def test_the_versions_are_listed_in_pages_the_champion_first(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    first = page.client.get(f"{MODELS}?limit=1").json()
    last = page.client.get(first["next"]).json()
    labels = [one["label"] for one in first["models"] + last["models"]]
    assert (labels, first["total"], last["next"]) == (["tiny-1", "tiny-2"], 2, None)


def test_a_version_has_its_results_on_the_locked_test(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    trial = page.client.get(f"{MODELS}/tiny-1").json()["trial"]
    assert trial["auc"] == {"value": 0.875, "low": 0.75, "high": 0.95, "reason": None}
    assert trial["sensitivity"]["value"] == 0.875
    assert trial["locked_test"]["images"] == 4


def test_a_version_has_its_history_and_its_use(page: Site, tmp_path: Path, scan: bytes):
    fill(page, tmp_path)
    page.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
    said = page.client.get(f"{MODELS}/tiny-1").json()
    assert [event["kind"] for event in said["history"]] == ["add", "promote"]
    assert said["history"][-1] == said["last"]
    assert [week["images"] for week in said["weeks"]] == [1]
    assert said["agreement"]["agree"] == 0


def test_a_version_that_was_never_judged_has_no_trial(page: Site, tmp_path: Path):
    registry_of(page).add(tiny_bundle(tmp_path), {}, **WHO)
    [version] = page.client.get(MODELS).json()["models"]
    assert version["trial"] is None
    pair = f"first={version['label']}&second={version['label']}"
    assert page.client.get(f"{MODELS}/compare?{pair}").json()["verdict"] is None


def test_who_changed_a_version_is_told_to_accounts_alone(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    header = key_of(page, make_account(page, Role.CLINICIAN), "read_public")
    told = page.client.get(f"{MODELS}/tiny-1", headers=header).json()
    assert [event["by"] for event in told["history"]] == ["ada", "ada"]
    assert "ada" not in page.client.get(f"{MODELS}/tiny-1").text


def test_two_versions_are_compared_image_by_image(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    said = page.client.get(f"{MODELS}/compare?first=tiny-1&second=tiny-2").json()
    assert [said[side]["label"] for side in ("first", "second")] == ["tiny-1", "tiny-2"]
    checks = [check["name"] for check in said["verdict"]["checks"]]
    assert checks == ["sensitivity", "AUC"]


@pytest.mark.parametrize("path", ["/none-1", "/compare?first=tiny-1&second=none"])
def test_an_unknown_version_is_not_found(page: Site, tmp_path: Path, path: str):
    fill(page, tmp_path)
    answer = page.client.get(f"{MODELS}{path}")
    problem = (answer.status_code, answer.headers["content-type"])
    assert problem == (404, "application/problem+json")
    assert f"no version {path.rsplit('=', maxsplit=1)[-1].strip('/')}:" in answer.json()["detail"]


def test_a_key_promotes_and_rolls_back_and_both_are_noted(site: Site, chief: dict[str, str]):
    for path, champion in (("/tiny-2/promote", "tiny-2"), ("/rollback", "tiny-1")):
        answer = site.client.post(f"{MODELS}{path}", json={"why": "a trial"}, headers=chief)
        assert (answer.status_code, answer.json()) == (200, {"champion": champion})
        assert registry_of(site).champion() == champion
    noted = site.services.database.read(
        lambda s: list(s.execute(select(AuditEvent.action, AuditEvent.object, AuditEvent.detail)))
    )
    why = {"why": "a trial"}
    assert [tuple(line) for line in noted[-2:]] == [
        ("model.promote", "tiny-2", why),
        ("model.rollback", "tiny-1", why),
    ]


def test_the_event_names_the_account_whose_key_it_was(page: Site, tmp_path: Path):
    registry = fill(page, tmp_path)
    account = make_account(page, Role.ADMINISTRATOR)
    header = key_of(page, account, "manage_models")
    page.client.post(f"{MODELS}/tiny-2/promote", json={"why": "a trial"}, headers=header)
    assert registry.ledger.events()[-1].by == owner_of(account)


def test_before_the_first_champion_there_is_none(site: Site, chief: dict[str, str]):
    why = {"json": {"why": "a trial"}, "headers": chief}
    assert site.client.post(f"{MODELS}/rollback", **why).json() == {"champion": None}
    assert site.client.post(f"{MODELS}/rollback", **why).status_code == 422


@pytest.mark.parametrize(
    ("path", "why", "status"),
    [
        ("/tiny-1/promote", "it is the champion", 422),
        ("/tiny-2/promote", " ", 422),
        ("/tiny-2/promote", "\0", 422),
        ("/none-1/promote", "unknown", 404),
    ],
)
def test_a_change_that_is_not_possible_is_a_problem_and_changes_nothing(
    site: Site, chief: dict[str, str], path: str, why: str, status: int
):
    answer = site.client.post(f"{MODELS}{path}", json={"why": why}, headers=chief)
    problem = (answer.status_code, answer.headers["content-type"])
    assert problem == (status, "application/problem+json")
    assert registry_of(site).champion() == "tiny-1"


def forms_of(browser: TestClient, path: str) -> list[dict[str, str]]:
    """What the forms of a page that change the champion send, as they stand there."""
    found = re.findall(
        r'<form[^>]*method="post" action="/models/.*?</form>', page_of(browser, path)
    )
    return [dict(re.findall(r'name="(csrf|champion)" value="([^"]*)"', form)) for form in found]


def page_of(browser: TestClient, path: str) -> str:
    return browser.get(path).text.replace("\n", " ")


@pytest.mark.parametrize(
    ("page", "action"),
    [("/models", "/models/rollback"), ("/models/tiny-1", "/models/tiny-1/promote")],
)
def test_of_two_administrators_with_the_same_page_one_changes_the_champion(
    site: Site, chief: dict[str, str], tmp_path: Path, page: str, action: str
):
    registry_of(site).promote("tiny-2", **WHO)
    browser = browser_of(site, make_account(site, Role.ADMINISTRATOR, "second@hospital.org"))
    [form] = forms_of(browser, page)
    assert form["champion"] == "tiny-2"
    answers = [browser.post(action, data={**form, "why": "worse"}) for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 422]
    assert "The champion is tiny-1 by now" in answers[1].text
    events = registry_of(site).ledger.events()
    assert [event.label for event in events[-2:]] == ["tiny-2", "tiny-1"]


def test_a_page_from_before_the_first_champion_changes_no_champion(page: Site, tmp_path: Path):
    registry = registry_of(page)
    browser = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    label = registry.add(tiny_bundle(tmp_path), {}, **WHO)
    [form] = forms_of(browser, f"/models/{label}")
    assert form["champion"] == ""
    registry.promote(label, **WHO)
    refused = browser.post("/models/rollback", data={**form, "why": "worse"})
    assert (refused.status_code, registry.champion()) == (422, label)


def test_a_program_that_says_which_champion_it_saw_changes_no_other(
    site: Site, chief: dict[str, str]
):
    said = {"why": "a trial", "champion": "tiny-2"}
    answer = site.client.post(f"{MODELS}/rollback", json=said, headers=chief)
    assert (answer.status_code, registry_of(site).champion()) == (422, "tiny-1")
    answer = site.client.post(f"{MODELS}/tiny-2/promote", json=said, headers=chief)
    assert answer.json()["detail"].startswith("The champion is tiny-1 by now")
    answer = site.client.post(
        f"{MODELS}/rollback", json=said | {"champion": "tiny-1"}, headers=chief
    )
    assert answer.json() == {"champion": None}
    answer = site.client.post(f"{MODELS}/rollback", json=said, headers=chief)
    assert answer.json()["detail"].startswith("No version is the champion by now")

"""From a case that somebody gives to the champion that answers: promoted once, refused once."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from personas import key_of, make_account
from sites import Site
from starlette.testclient import TestClient
from typer.testing import CliRunner

pytest.importorskip("torch")

from albums import plain
from bundles import tiny_bundle
from ladnn.cli import app
from ladnn.dataset import write_manifest
from ladnn.service.accounts.permissions import Role
from ladnn.service.app import create_app
from ladnn.service.champion import Champion
from ladnn.service.decoding import DecodingPool
from test_updating import RECIPE, base_manifest

QUICK = ("decoys=1", "gate.replicates=100")
# The margins decide, so that nothing hangs on what a few epochs learn on this or that processor.
MARGINS = ("gate.sensitivity_margin", "gate.auc_margin", "gate.subgroup_margin")
LENIENT = tuple(f"{margin}=0.99" for margin in MARGINS)
STRICT = tuple(f"{margin}=0" for margin in MARGINS)
LEARNS_NOTHING = ("training.learning_rate=1e-9", "training.epochs=1")


def contribute_and_review(site: Site, folder: Path) -> int:
    """Give every picture of a folder; the first is disputed, and settled by a second reader."""
    giver = key_of(site, make_account(site, Role.CLINICIAN), "contribute")
    readers = [
        key_of(site, make_account(site, Role.CURATOR, f"{who}@h.org"), "review", "export_dataset")
        for who in ("ben", "cem")
    ]
    given = [give(site, path, giver) for path in sorted(folder.glob("*/*.png"))]
    for number, case in enumerate(given):
        verdicts = ("accept",) if number else ("reject", "accept_contributed")
        for reader, verdict in zip(readers, verdicts, strict=False):
            said = {"verdict": verdict, "reason": "as I see it"}
            answer = site.client.post(f"/api/v1/reviews/{case}", json=said, headers=reader)
        assert answer.json() == {"state": "accepted"}, answer.text
    frozen = site.client.post("/api/v1/datasets", headers=readers[0])
    assert frozen.status_code == 201
    return len(given)


def give(site: Site, path: Path, key: dict[str, str]) -> str:
    fields = {
        "covid": str(int(path.parent.name == "COVID")),
        "patient": f"{path.parent.name} {path.stem}",
        "source": "Ward 3",
        "licence": "CC-BY-4.0",
        "consent": "1",
    }
    answer = site.client.post(
        "/api/v1/contributions",
        data=fields,
        files={"file": (path.name, path.read_bytes())},
        headers=key,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def answered_by(site: Site, scan: bytes, wanted: str) -> None:
    """Ask again and again until `wanted` answers; every answer on the way is one."""
    deadline = time.monotonic() + 60  # seconds; a busy machine
    while time.monotonic() < deadline:
        answer = site.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
        assert answer.status_code == 201
        if answer.json()["model"]["version"] == wanted:
            return
    pytest.fail(f"{answer.json()['model']} still answers")


@pytest.fixture
def running(page: Site, decoder: DecodingPool, tmp_path: Path):
    """A site that answers with the champion of its own registry."""
    bundle = tiny_bundle(
        tmp_path / "bundle", name="phantom", training={"members": [{"config": RECIPE}]}
    )
    application = create_app(replace(page.services.settings, bundle=str(bundle)), None, decoder)
    site = Site(application, TestClient(application, follow_redirects=False))
    yield site
    assert isinstance(site.services.predictor, Champion)
    site.services.predictor.close()
    site.services.database.dispose()


@pytest.mark.timeout(1200)  # two trainings, on a crowded machine
def test_given_cases_are_reviewed_published_and_learned_from_and_the_site_answers_anew(
    running: Site, scan: bytes, tmp_path: Path
):
    settings = running.services.settings
    where = {"LADNN_DATABASE_URL": settings.database_url, "LADNN_STORAGE": settings.storage}

    def ladnn(*words: object) -> str:
        done = CliRunner().invoke(app, list(map(str, words)), env=where)
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output

    def update(name: str, *settings: str) -> str:
        chosen = [word for one in (*QUICK, *settings) for word in ("--set", one)]
        where = ("--manifest", base, "-o", tmp_path / name, "--by", "ada")
        return ladnn("model", "update", dataset, *where, *chosen)

    given = contribute_and_review(running, plain(tmp_path / "clinic", patients=3))
    dataset, base = tmp_path / "contributed", tmp_path / "base.csv"
    assert f"{given} images" in ladnn("collection", "export", "-o", dataset)
    write_manifest(base_manifest(tmp_path / "base"), base)
    ladnn("model", "add", settings.bundle, "--manifest", base, "--why", "the first")
    ladnn("model", "promote", "phantom-1", "--why", "the first")

    promoted = update("better", *LENIENT)
    assert "phantom-1.1 is the champion" in promoted
    answered_by(running, scan, "1.1")
    refused = update("worse", *STRICT, *LEARNS_NOTHING)
    assert "phantom-1.2 stays a candidate; phantom-1.1 remains the champion" in refused
    answered_by(running, scan, "1.1")
    ladnn("model", "rollback", "--why", "to see that it works")
    answered_by(running, scan, "1")

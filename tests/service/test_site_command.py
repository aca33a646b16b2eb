"""`ladnn site` as an administrator types it, beside a site on SQLite; what retention deletes."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from personas import PASSWORD, browser_of, key_of, make_account, post, token_on
from sites import Site, free_port
from sqlalchemy import func, select, text
from typer.testing import CliRunner, Result

from ladnn.cli import app, main
from ladnn.errors import ConfigError, DataError, LadnnError
from ladnn.service import audit_log, retention
from ladnn.service.accounts.permissions import Role
from ladnn.service.blobs import Blobs
from ladnn.service.errors import StorageAway
from ladnn.service.tables import AuditEvent, Case, now
from ladnn.service.tables_accounts import Duty


def run(site: Site, *words: object, **environment: str) -> Result:
    """The command with the settings of a site in its environment."""
    settings = site.services.settings
    where = {"LADNN_DATABASE_URL": settings.database_url, "LADNN_STORAGE": settings.storage}
    return CliRunner().invoke(app, ["site", *map(str, words)], env=where | environment)


def keep_case(site: Site, scan: bytes, **headers: str) -> str:
    """The id of a case that the site keeps."""
    answer = site.client.post(
        "/api/v1/predictions", files={"file": ("a.png", scan)}, headers=headers
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def cases(site: Site) -> int:
    return site.services.database.read(lambda s: s.scalar(select(func.count(Case.id)))) or 0


def test_a_site_is_backed_up_and_restored_by_its_commands(page: Site, scan: bytes, tmp_path: Path):
    keep_case(page, scan)
    saved = run(page, "backup", tmp_path / "b")
    assert (saved.exit_code, "with 1 cases" in saved.output) == (0, True)
    elsewhere = {
        "LADNN_DATABASE_URL": f"sqlite:///{tmp_path}/other.db",
        "LADNN_STORAGE": str(tmp_path / "other"),
    }
    back = run(page, "restore", tmp_path / "b", **elsewhere)
    assert (back.exit_code, "1 cases are back" in back.output) == (0, True)
    again = run(page, "restore", tmp_path / "b")
    assert isinstance(again.exception, DataError)
    assert "holds a site" in str(again.exception)


def test_a_storage_that_is_away_is_told_in_one_sentence(
    page: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert run(page, "backup", tmp_path / "b").exit_code == 0
    monkeypatch.setenv("LADNN_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    monkeypatch.setenv("LADNN_STORAGE", "s3://bucket/site")
    monkeypatch.setenv("LADNN_S3_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hushed")
    monkeypatch.setattr("sys.argv", ["ladnn", "site", "restore", str(tmp_path / "b")])
    with pytest.raises(SystemExit, match="1"):
        main()
    told = capsys.readouterr().err
    assert "the storage s3://bucket/site cannot be used (no connection)" in told
    assert "hushed" not in told


def test_an_error_of_the_site_is_told_by_its_sentence(
    page: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("LADNN_DATABASE_URL", page.services.settings.database_url)
    monkeypatch.setattr("sys.argv", ["ladnn", "site", "password-link", "nobody@x.org"])
    with pytest.raises(SystemExit, match="1"):
        main()
    told = capsys.readouterr().err
    assert told.startswith("ladnn: ")
    assert "accounts.error" not in told


def test_the_log_is_verified_and_a_noted_head_is_held_against_it(page: Site):
    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    post(browser_of(page, account), "/sign-out", "/account")
    said = run(page, "verify-log")
    assert said.exit_code == 0
    head = re.search(r"the head is (\d+:[0-9a-f]{64})", said.output)
    assert head is not None
    assert run(page, "verify-log", "--head", head[1]).exit_code == 0
    other = run(page, "verify-log", "--head", head[1][:-64] + "0" * 64)
    assert isinstance(other.exception, DataError)


def test_a_log_that_was_changed_is_a_failure(page: Site):
    account = make_account(page, Role.CLINICIAN, password=PASSWORD)
    post(browser_of(page, account), "/sign-out", "/account")
    page.services.database.write(
        lambda s: s.execute(text("UPDATE audit_events SET actor = 'someone else'"))
    )
    assert isinstance(run(page, "verify-log").exception, DataError)


@pytest.mark.parametrize("command", ["purge", "verify-log"])
def test_where_there_is_no_site_none_is_made(page: Site, tmp_path: Path, command: str):
    missing = tmp_path / "none.db"
    said = run(page, command, LADNN_DATABASE_URL=f"sqlite:///{missing}")
    assert isinstance(said.exception, ConfigError)
    assert not missing.exists()


def test_a_link_for_a_new_password_is_printed_and_works(page: Site):
    account = make_account(page, Role.CLINICIAN, "anna@hospital.org", PASSWORD)
    said = run(page, "password-link", account.email)
    link = re.search(r"/setup/\S+", said.output)
    assert link is not None
    assert page.client.get(link[0]).status_code == 200
    assert isinstance(run(page, "password-link", "nobody@x.org").exception, LadnnError)


def test_the_purge_command_says_what_it_deleted_of_each_kind(page: Site, scan: bytes):
    keep_case(page, scan)
    page.services.database.write(
        lambda s: s.execute(text("UPDATE cases SET created_at = '2020-01-01 00:00:00.000000'"))
    )
    said = run(page, "purge")
    assert said.exit_code == 0
    assert "visitor_cases: 1 deleted" in said.output
    assert {f"{kind.name}: " in said.output for kind in retention.KINDS} == {True}
    assert cases(page) == 0


def test_what_was_deleted_is_told_though_the_storage_is_away(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    def away(*_: object) -> None:
        raise StorageAway

    keep_case(page, scan)
    old = text("UPDATE cases SET created_at = '2020-01-01 00:00:00.000000'")
    page.services.database.write(lambda session: session.execute(old))
    monkeypatch.setattr(Blobs, "names", away)
    said = run(page, "purge")
    assert isinstance(said.exception, StorageAway)
    assert "visitor_cases: 1 deleted" in said.output


def test_each_kind_of_case_goes_when_its_days_are_over_and_not_before(site: Site, scan: bytes):
    account = make_account(site, Role.CLINICIAN)
    keep_case(site, scan)
    keep_case(site, scan, **key_of(site, account, "test"))
    left = []
    for days in (29, 31, 364, 366):
        later = replace(site.services, clock=lambda days=days: now() + timedelta(days=days))
        retention.purge(later)
        left.append(cases(site))
    assert left == [2, 1, 1, 0]
    assert site.services.blobs.names() == []


def test_what_is_tested_again_is_kept_as_long_again(site: Site, scan: bytes):
    site.client.get("/")  # a visitor, who finds the same case again
    header = {"x-csrf-token": token_on(site.client, "/"), "origin": "http://testserver"}
    keep_case(site, scan, **header)
    files = {"file": ("scan.png", scan)}
    first = site.services.database.read(lambda s: s.scalars(select(Case.created_at)).one())
    left = []
    for days in (29, 31, 58, 60):
        present = now() + timedelta(days=days)
        site.app.state.services = replace(site.services, clock=lambda present=present: present)
        if days == 29:
            again = site.client.post("/api/v1/predictions", files=files, headers=header)
            assert again.status_code == 200
        retention.purge(site.services)
        left.append(cases(site))
        if left[-1]:  # what is shown as tested, and counted by its week, stays
            query = select(Case.created_at)
            assert site.services.database.read(lambda s, q=query: s.scalars(q).one()) == first
    assert left == [1, 1, 1, 0]


def test_the_log_forgets_visits_before_changes_and_its_chain_still_holds(site: Site, scan: bytes):
    account = make_account(site, Role.CLINICIAN, password=PASSWORD)
    keep_case(site, scan)  # a visit
    post(browser_of(site, account), "/sign-out", "/account")  # a change

    def lines(chained: bool) -> int:
        numbered = AuditEvent.sequence.is_not(None)
        query = select(func.count()).where(numbered if chained else ~numbered)
        return site.services.database.read(lambda s: s.scalar(query)) or 0

    before = lines(chained=True)
    later = replace(site.services, clock=lambda: now() + timedelta(days=366))
    retention.purge(later)
    assert lines(chained=False) == 0
    assert lines(chained=True) >= before > 0
    assert audit_log.verify(site.services.database).fault is None


def test_only_one_replica_purges_in_an_hour(site: Site):
    assert retention.purge_when_due(site.services) is not None
    assert retention.purge_when_due(site.services) is None
    later = replace(site.services, clock=lambda: now() + timedelta(hours=1, minutes=1))
    assert retention.purge_when_due(later) is not None


def test_a_purge_that_somebody_asks_for_is_the_last_one_done(site: Site):
    retention.purge_when_due(site.services)
    later = replace(site.services, clock=lambda: now() + timedelta(minutes=7))
    asked = later.clock()
    retention.purge(later)
    done = site.services.database.read(lambda s: s.get_one(Duty, retention.DUTY).done_at)
    assert done is not None
    assert done >= asked

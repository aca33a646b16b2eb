"""The audit log: what is chained, what verifying finds, what retention leaves verifiable."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from personas import person
from sites import Site
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from ladnn.service import audit_log
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import Principal
from ladnn.service.database import Database
from ladnn.service.routes import oversight
from ladnn.service.tables import AuditEvent

ANNA = Principal(role=Role.CURATOR, owner="account:anna", account_id=1)
LATER = datetime.now(UTC) + timedelta(days=1)


def record(database: Database, *actions: str) -> None:
    for action in actions:
        detail = {"n": 1.5, "word": "Füße", "none": None, "list": [1, "x"]}
        database.write(
            lambda session, action=action, detail=detail: audit_log.record(
                session, ANNA, action, "object", detail
            )
        )


def verify(database: Database, noted: str | None = None) -> audit_log.Verdict:
    return audit_log.verify(database, noted)


@pytest.fixture
def filled(database: Database) -> Database:
    record(database, "session.begin", "prediction.create", "account.role", "prediction.view")
    record(database, "prediction.delete", "prediction.download", "session.end")
    return database


def test_changes_downloads_and_sign_ins_are_chained_views_and_tests_are_not(filled: Database):
    events = filled.read(lambda session: audit_log.browse(session, audit_log.Filter()))
    chained = {event.action for event in events if event.sequence is not None}
    assert chained == {
        "session.begin",
        "account.role",
        "prediction.delete",
        "prediction.download",
        "session.end",
    }
    assert len(events) == 7


def test_an_untouched_log_holds_and_says_its_head(filled: Database):
    verdict = verify(filled)
    assert (verdict.lines, verdict.fault) == (5, None)
    assert verdict.head.startswith("5:")


def test_a_log_that_grows_while_it_is_verified_holds(
    filled: Database, monkeypatch: pytest.MonkeyPatch
):
    chain = audit_log._chain

    def overtaken(session: Session) -> object:
        monkeypatch.undo()
        found = chain(session)
        with ThreadPoolExecutor(1) as other:
            other.submit(record, filled, "session.begin").result()
        return found

    monkeypatch.setattr(audit_log, "_chain", overtaken)
    verdict = verify(filled)
    assert (verdict.lines, verdict.fault) == (5, None)
    assert verify(filled).lines == 6


def test_an_empty_log_holds(database: Database):
    assert verify(database) == audit_log.Verdict(lines=0, head=f"0:{audit_log.ZEROS}")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "account:eve"),
        ("role", "visitor"),
        ("action", "account.rule"),
        ("object", "other"),
        ("detail", {}),
        ("at", datetime(2020, 1, 1, tzinfo=UTC)),
        ("hash", "f" * 64),
        ("previous", "f" * 64),
    ],
)
def test_a_line_that_was_changed_is_found(filled: Database, column: str, value: object):
    change = update(AuditEvent).where(AuditEvent.sequence == 2).values({column: value})
    filled.write(lambda session: session.execute(change))
    assert (verify(filled).fault, verify(filled).line) == ("audit.fault_changed", 2)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_line_that_was_removed_is_found(filled: Database, number: int):
    filled.write(
        lambda session: session.execute(delete(AuditEvent).where(AuditEvent.sequence == number))
    )
    assert (verify(filled).fault, verify(filled).line) == ("audit.fault_missing", number)


def test_the_newest_line_removed_is_found(filled: Database):
    filled.write(
        lambda session: session.execute(delete(AuditEvent).where(AuditEvent.sequence == 5))
    )
    assert (verify(filled).fault, verify(filled).line) == ("audit.fault_end", 5)


def test_two_lines_that_changed_places_are_found(filled: Database):
    def swap(session: Session) -> None:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            session.execute(
                update(AuditEvent).where(AuditEvent.sequence == old).values(sequence=new)
            )

    filled.write(swap)
    assert (verify(filled).fault, verify(filled).line) == ("audit.fault_changed", 2)


def test_a_log_written_anew_does_not_hold_the_head_that_was_noted(filled: Database):
    noted = verify(filled).head

    def rewrite(session: Session) -> None:
        session.execute(delete(AuditEvent))
        session.execute(
            text("UPDATE audit_chain SET head = 0, head_hash = :zeros"), {"zeros": audit_log.ZEROS}
        )

    record(filled, "account.role")
    assert verify(filled, noted).fault is None
    filled.write(rewrite)
    record(filled, *["account.role"] * 6)
    assert verify(filled).fault is None
    assert verify(filled, noted).fault == "audit.fault_noted"


def test_a_noted_head_whose_line_retention_removed_accuses_nobody(filled: Database):
    noted = verify(filled).head
    record(filled, "account.role")
    later = datetime.now(UTC) + timedelta(seconds=5)
    filled.write(lambda session: audit_log.forget_chained(session, later))
    record(filled, "account.role")
    found = verify(filled, noted)
    assert (found.fault, found.line) == ("audit.fault_before", 5)
    assert verify(filled, noted.replace(":", "")).fault == "audit.fault_noted"


def test_many_writers_at_the_same_time_make_one_chain(database: Database):
    threads = [
        threading.Thread(target=record, args=(database, *["account.role", "prediction.view"] * 5))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verify(database)
    assert (verdict.lines, verdict.fault) == (30, None)


def test_a_change_that_is_rolled_back_leaves_no_line_and_no_gap(database: Database):
    def fail(session: Session) -> None:
        audit_log.record(session, ANNA, "account.role", "x", {})
        raise KeyError

    record(database, "account.role")
    with pytest.raises(KeyError):
        database.write(fail)
    record(database, "account.role")
    assert (verify(database).lines, verify(database).fault) == (2, None)


def test_visits_that_are_forgotten_leave_the_chain_as_it_was(filled: Database):
    before = verify(filled)
    gone = filled.write(lambda session: audit_log.forget_visits(session, LATER, 100))
    assert gone == 2
    assert verify(filled) == before


def test_a_chain_whose_oldest_lines_are_forgotten_still_holds(filled: Database):
    def age(session: Session) -> None:
        # Lines are dated by their writing: the first three become old by moving the cut instead.
        events = audit_log.browse(session, audit_log.Filter())
        cut = next(event.at for event in events if event.sequence == 4)
        assert audit_log.forget_chained(session, cut) == 3

    head = verify(filled).head
    filled.write(age)
    verdict = verify(filled, head)
    assert (verdict.lines, verdict.fault) == (3, None)  # two, and the one that tells of it
    assert verdict.head.startswith("6:")
    record(filled, "account.role")
    assert verify(filled).lines == 4


def test_oldest_lines_that_retention_did_not_remove_are_missed(filled: Database):
    def shorten(session: Session) -> None:
        last = session.scalars(select(AuditEvent).where(AuditEvent.sequence == 4)).one()
        session.execute(
            text("UPDATE audit_chain SET start = 4, start_hash = :hash"), {"hash": last.hash}
        )
        session.execute(delete(AuditEvent).where(AuditEvent.sequence <= 4))

    filled.write(shorten)
    assert (verify(filled).fault, verify(filled).line) == ("audit.fault_start", 4)


def test_nobody_hides_behind_what_retention_removed(filled: Database):
    third = filled.read(lambda s: s.scalar(select(AuditEvent.at).where(AuditEvent.sequence == 3)))
    assert third is not None
    filled.write(lambda session: audit_log.forget_chained(session, third))

    def shorten(session: Session) -> None:
        last = session.scalars(select(AuditEvent).where(AuditEvent.sequence == 5)).one()
        session.execute(
            text("UPDATE audit_chain SET start = 5, start_hash = :hash"), {"hash": last.hash}
        )
        session.execute(delete(AuditEvent).where(AuditEvent.sequence <= 5))

    assert verify(filled).fault is None
    filled.write(shorten)
    assert (verify(filled).fault, verify(filled).line) == ("audit.fault_start", 5)


def test_a_chain_forgotten_as_a_whole_goes_on_from_its_head(filled: Database):
    assert filled.write(lambda session: audit_log.forget_chained(session, LATER)) == 5
    record(filled, "account.role")
    assert (verify(filled).lines, verify(filled).fault) == (2, None)
    assert verify(filled).head.startswith("7:")
    assert filled.write(lambda session: audit_log.forget_chained(session, LATER)) == 2
    assert (verify(filled).lines, verify(filled).fault) == (1, None)


def test_the_log_is_browsed_by_who_what_when_and_page(filled: Database):
    def actions(**wanted: object) -> list[str]:
        chosen = audit_log.Filter(**wanted)
        return [e.action for e in filled.read(lambda s: audit_log.browse(s, chosen))]

    assert actions(actor="account:eve") == []
    assert actions(action="session.") == ["session.end", "session.begin"]
    assert actions(action="%") == []
    assert actions(since=LATER) == []
    newest = filled.read(lambda s: audit_log.browse(s, audit_log.Filter(), limit=3))
    rest = filled.read(lambda s: audit_log.browse(s, audit_log.Filter(), before=newest[-1].id))
    assert len(rest) == 4


def test_the_log_opens_nothing_that_a_program_without_a_key_tested(page: Site, scan: bytes):
    page.client.cookies.clear()
    files = {"file": ("a.png", scan)}
    made = page.client.post("/api/v1/predictions", files=files).json()
    assert page.client.get(f"/api/v1/predictions/{made['id']}").status_code == 200
    shown = person(page, Role.CLINICIAN).get(made["links"]["page"])  # by its link
    assert shown.status_code == 200
    batch = page.client.post("/api/v1/batches").json()
    sent = page.client.post(f"/api/v1/batches/{batch['id']}/items", files=files).json()
    ids = [made["id"], batch["id"], sent["items"][0]["prediction"].rsplit("/", 1)[-1]]
    assert page.client.delete(f"/api/v1/predictions/{made['id']}").status_code == 204
    everything = page.services.database.read(
        lambda session: audit_log.browse(session, audit_log.Filter())
    )
    written = [f"{line.object} {line.detail}" for line in everything]
    assert [one for one in ids if any(one in line for line in written)] == []
    found = page.services.database.read(
        lambda session: audit_log.browse(session, audit_log.Filter(object=made["id"]))
    )
    assert [line.action for line in found] == [
        "prediction.delete",
        "prediction.view",
        "prediction.view",
        "prediction.create",
    ]


def test_what_changes_nothing_is_no_line_of_the_chain(page: Site, scan: bytes):
    page.client.cookies.clear()
    files = [("file", (name, scan, "image/png")) for name in ("a.png", "b.png")]
    made = page.client.post("/api/v1/predictions", files=files[:1]).json()["id"]
    batch = page.client.post("/api/v1/batches").json()["id"]
    for _ in range(3):
        assert page.client.post(f"/api/v1/predictions/{made}/retract").status_code < 300
        assert page.client.post(f"/api/v1/batches/{batch}/items", files=files).status_code < 300
    lines = page.services.database.read(
        lambda session: audit_log.browse(session, audit_log.Filter())
    )
    chained = [line.action for line in lines if audit_log.is_chained(line.action)]
    assert sorted(chained) == ["batch.add", "batch.create", "prediction.retract"]


def test_the_table_goes_out_in_pieces_of_many_lines(page: Site):
    record(page.services.database, *["prediction.view"] * 2500)
    pieces = list(oversight._rows(page.services, audit_log.Filter()))
    assert [piece.count("\r\n") for piece in pieces] == [1, 1000, 1000, 500]


def test_whoever_verifies_the_chain_sees_lines_of_it_and_is_noted_once(page: Site):
    administrator = person(page, "administrator")
    csrf = {"csrf": administrator.headers["x-csrf-token"]}
    assert administrator.post("/admin/audit/verify", data=csrf).status_code == 200
    query = select(AuditEvent).where(AuditEvent.action == "audit.view")
    [look] = page.services.database.read(lambda session: session.scalars(query).all())
    assert look.role == "administrator"
    assert verify(page.services.database).fault is None


@pytest.mark.parametrize("path", ["/admin/audit", "/admin/audit.csv"])
def test_the_last_day_of_the_calendar_narrows_nothing(page: Site, path: str):
    administrator = person(page, "administrator")
    assert administrator.get(f"{path}?until=9999-12-31").status_code == 200


@pytest.mark.parametrize("field", ["actor", "action", "object"])
def test_a_filter_that_no_database_can_hold_is_refused_before_a_table_begins(
    site: Site, field: str
):
    for path in ("/admin/audit", "/admin/audit.csv"):
        answer = person(site, "administrator").get(f"{path}?{field}=a%00b")
        assert answer.status_code == 422, path

"""Results that are deleted between the two queries that read a case and then its images."""

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sites import MakeSite, PostgreSql, Site
from sqlalchemy import delete, event
from sqlalchemy.engine import Connection
from test_site_batches import add, begin, scans

from ladnn.service.tables import Case


@pytest.fixture
def shared(make_site: MakeSite, postgresql: PostgreSql) -> Site:
    """A site over PostgreSQL, where each query sees what was committed before it."""
    return make_site(postgresql.fresh("prepared"))


@contextmanager
def deleted_between(site: Site) -> Iterator[None]:
    """Delete every case just before the first query for images."""
    engine, done = site.services.database.engine, list[str]()

    def before(_: Connection, __: object, statement: str, *___: object) -> None:
        if "FROM case_images" in statement and not done:
            done.append(statement)
            with engine.begin() as other:
                other.execute(delete(Case))

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)
    assert done, "no query for images was made"


@pytest.mark.parametrize("part", ["", "/overlay.png", "/heatmaps/covid.png", "/report.pdf"])
def test_a_result_that_is_deleted_while_it_is_read_is_not_found(shared: Site, part: str):
    [file] = scans(1)
    said = shared.client.post("/api/v1/predictions", files={"file": file}).json()["links"]
    with deleted_between(shared):
        assert shared.client.get(f"{said['self']}{part}").status_code == 404


def test_a_page_whose_result_is_deleted_while_it_is_read_is_not_found(shared: Site):
    [file] = scans(1)
    said = shared.client.post("/api/v1/predictions", files={"file": file}).json()["links"]
    with deleted_between(shared):
        assert shared.client.get(said["page"]).status_code == 404


def test_files_whose_result_is_deleted_meanwhile_are_tested_anew(shared: Site):
    shared.client.get("/batches")  # which makes the browser a visitor
    [file] = scans(1)
    first = shared.client.post("/api/v1/predictions", files={"file": file}).json()
    with deleted_between(shared):
        again = shared.client.post("/api/v1/predictions", files={"file": file})
    assert (again.status_code, again.json()["id"] == first["id"]) == (201, False)


@pytest.mark.parametrize("kind", ["csv", "zip"])
def test_a_batch_is_taken_away_without_what_is_deleted_meanwhile(shared: Site, kind: str):
    batch, [file] = begin(shared), scans(1)
    add(shared, batch, file)
    with deleted_between(shared):
        data = shared.client.get(f"{batch}/results.{kind}").content
    if kind == "zip":
        pack = zipfile.ZipFile(io.BytesIO(data))
        assert pack.namelist() == ["results.csv"]
        data = pack.read("results.csv")
    [row] = csv.DictReader(io.StringIO(data.decode()))
    assert (row["state"], row["probability"]) == ("deleted", "")

"""Versions of the tables: up and down with data, and the same as the classes say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sites import Site
from sqlalchemy import func, inspect, select

from ladnn.service import migrations
from ladnn.service.database import Database
from ladnn.service.tables import Account, Base, Case


def test_the_tables_that_migrations_make_are_those_of_the_classes(database: Database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_the_tables_of_a_fresh_site_are_of_the_newest_version(database: Database):
    assert migrations.current(database) == migrations.head()


def test_going_down_and_up_again_with_data_leaves_tables_that_work(site: Site, scan: bytes):
    site.client.post("/api/v1/predictions", files={"file": ("scan.png", scan)})
    database = site.services.database
    migrations.downgrade(database, "base")
    left = set(inspect(database.engine).get_table_names())
    migrations.upgrade(database)
    account = Account(email="a@example.org", name="A", role="clinician")
    database.write(lambda session: session.add(account))
    assert left <= {migrations.VERSIONS}
    assert database.read(lambda session: session.scalar(select(func.count(Case.id)))) == 0


def test_a_step_up_keeps_the_rows(site: Site, scan: bytes):
    site.client.post("/api/v1/predictions", files={"file": ("scan.png", scan)})
    database = site.services.database
    migrations.downgrade(database, "0001")
    migrations.upgrade(database)
    assert database.read(lambda session: session.scalar(select(func.count(Case.id)))) == 1


@pytest.mark.parametrize("again", [1, 2])
def test_bringing_up_to_date_what_is_so_already_changes_nothing(database: Database, again: int):
    for _ in range(again):
        migrations.upgrade(database)
    assert migrations.current(database) == migrations.head()

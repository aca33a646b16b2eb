"""A site of each test's own, over SQLite and over a real PostgreSQL made with initdb."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sites import (
    MakeSite,
    PostgreSql,
    Site,
    make_postgresql,
    needs,
    plain_logs,
    served,
    sqlite_url,
)
from starlette.testclient import TestClient

from bundles import tiny_bundle
from ladnn.phantom import thorax
from ladnn.runtime import Predictor, load_bundle
from ladnn.service import migrations
from ladnn.service.app import create_app
from ladnn.service.database import Database
from ladnn.service.decoding import DecodingPool
from ladnn.service.settings import Settings
from synthetic import encode

PATIENCE = 30_000
"""Milliseconds that something on a page may take on a crowded machine."""


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    plain_logs()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """One server for a whole process of tests; each test has a database of its own in it."""
    for server in make_postgresql():
        database = Database(server.fresh())
        name = database.engine.url.database
        migrations.upgrade(database)
        database.dispose()
        server.sql(f"ALTER DATABASE {name} RENAME TO prepared")
        yield server


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("prepared") / "site.db"
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    database.dispose()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of either kind with all tables and no rows."""
    if request.param == "postgresql":
        server: PostgreSql = request.getfixturevalue("postgresql")
        return server.fresh("prepared")
    return sqlite_url(request, tmp_path)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database itself."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def tiny_predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A predictor of a few numbers, made once."""
    folder = tiny_bundle(tmp_path_factory.mktemp("tiny"))
    return Predictor(load_bundle(folder), threads=1, streams=2)


@pytest.fixture(scope="session")
def decoder() -> Iterator[DecodingPool]:
    """Two processes that decode for all sites of a process of tests."""
    pool = DecodingPool(b"a secret of the tests' sites", workers=2)
    yield pool
    pool.close()


@pytest.fixture
def make_site(
    tmp_path: Path, tiny_predictor: Predictor, decoder: DecodingPool
) -> Iterator[MakeSite]:
    """Makes sites with settings of their own."""
    made: list[Site] = []

    def make(database_url: str, predictor: object = tiny_predictor, **settings: object) -> Site:
        values = {"storage": str(tmp_path / "files"), "log_level": "error"} | settings
        wanted = Settings(database_url=database_url, **values)
        app = create_app(wanted, lambda: predictor, decoder)
        made.append(Site(app, TestClient(app, follow_redirects=False)))
        made[-1].client = made[-1].browser()
        return made[-1]

    yield make
    for site in made:
        site.services.database.dispose()


@pytest.fixture
def site(database_url: str, make_site: MakeSite) -> Site:
    """A site over each kind of database: where stores are concerned."""
    return make_site(database_url)


@pytest.fixture
def page(request: pytest.FixtureRequest, tmp_path: Path, make_site: MakeSite) -> Site:
    """A site over SQLite alone: where they are not."""
    return make_site(sqlite_url(request, tmp_path))


@pytest.fixture(scope="session")
def scan() -> bytes:
    """A drawn chest CT as PNG."""
    return encode(thorax(3, size=(96, 120)), "PNG")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's chromium, one for a whole process of tests.

    The one that has no window, where it is installed: it takes half the processor time.
    """
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    needs(path, "chromium")
    switches = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
    quiet = ("--disable-component-update", "--disable-sync")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*switches, *quiet])
        yield browser
        browser.close()


@pytest.fixture
def address(page: Site) -> Iterator[str]:
    """Where `page` is served to real browsers."""
    with served(page.app) as where:
        yield where


@pytest.fixture(params=["with scripts", "without scripts"])
def tab(request: pytest.FixtureRequest, chromium: Browser, address: str) -> Iterator[Page]:
    """A new tab of a browser; every test that takes it runs with JavaScript on and off."""
    with_scripts = request.param == "with scripts"
    context = chromium.new_context(base_url=address, java_script_enabled=with_scripts)
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    yield tab
    context.close()


@pytest.fixture
def scripted(chromium: Browser, address: str) -> Iterator[Page]:
    """A new tab with JavaScript on; a test fails if a script does."""
    context = chromium.new_context(base_url=address)
    context.set_default_timeout(PATIENCE)
    tab, errors = context.new_page(), list[str]()
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    context.close()
    assert errors == []

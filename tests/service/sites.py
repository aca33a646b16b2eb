"""What the tests of the site are made with: a PostgreSQL of their own, and sites."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import httpx
import psycopg
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from ladnn.service.context import Services

SERVE = (sys.executable, "-c", "from ladnn.cli import main; main()", "serve")
UNLIMITED = (
    "LADNN_REQUESTS_PER_MINUTE",
    "LADNN_VISITOR_TESTS_PER_MINUTE",
    "LADNN_VISITOR_MIB_PER_DAY",
)
Found = TypeVar("Found")
START = 150.0  # seconds that a replica may take to start on a crowded machine


def plain_logs() -> None:
    """Log without the values of local variables, which take half a minute to print."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])


def in_a_loop(work: Coroutine[None, None, Found]) -> Found:
    """Run it to its end; in a thread, because a browser of another test may run a loop in this."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def needs(found: object, what: str) -> None:
    """Skip on a laptop and fail in CI where something is not installed."""
    if found:
        return
    reason = f"{what} is not installed: make services"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class PostgreSql:
    """A server of the tests' own, on a Unix socket and a free port; `kill` and `start` it."""

    bin: Path
    folder: Path
    port: int

    def run(self, program: str, *arguments: str) -> None:
        as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_postgres, str(self.bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr + done.stdout

    def init(self) -> None:
        self.run("initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", "ladnn", "-E", "UTF8")
        # Nothing here has to outlive the machine, so nothing waits for its disk.
        quick = "fsync=off\nfull_page_writes=off\nmax_connections=200\n"
        where = f"listen_addresses='127.0.0.1'\nport={self.port}\n"
        config = self.folder / "data" / "postgresql.conf"
        config.write_text(
            config.read_text() + quick + where + f"unix_socket_directories='{self.folder}'\n"
        )

    def start(self) -> None:
        data, log = f"{self.folder}/data", f"{self.folder}/log"
        self.run("pg_ctl", "-D", data, "-l", log, "-w", "-t", "60", "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", mode, "-w", "stop")

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://ladnn@127.0.0.1:{self.port}/{name}"

    def sql(self, statement: str) -> None:
        address = f"host=127.0.0.1 port={self.port} user=ladnn dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def fresh(self, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"t{time.monotonic_ns()}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_postgresql() -> Iterator[PostgreSql]:
    """A server that is stopped and deleted at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    needs(found, "postgresql")
    folder = Path(tempfile.mkdtemp(prefix="ladnn-pg-"))  # a socket's path must be short
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = PostgreSql(found[-1].parent, folder, free_port())
    try:
        server.init()
        server.start()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Site:
    """A site under test.

    Attributes:
        app: the application.
        client: a browser that has been nowhere yet.
    """

    app: FastAPI
    client: TestClient

    @property
    def services(self) -> Services:
        found: Services = self.app.state.services
        return found

    def browser(self) -> TestClient:
        """Another browser, with cookies of its own."""
        return TestClient(self.app, follow_redirects=False, raise_server_exceptions=False)


MakeSite = Callable[..., Site]


@contextmanager
def served(app: FastAPI, *, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Serve an application on a free port in a thread; yields its address.

    With `lifespan` its own threads start with it, and everything that it opened is closed.
    """
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan=lifespan)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An SQLite file with all tables and no rows."""
    target = tmp_path / "site.db"
    shutil.copy(request.getfixturevalue("prepared_sqlite"), target)
    return f"sqlite:///{target}"


@dataclass
class Replica:
    """One `ladnn serve` that can be killed and started again on its port."""

    options: tuple[str, ...]
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*SERVE, "--port", str(self.port), *self.options],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(UNLIMITED, "0"),
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, "the replica ended by itself"
            try:
                if httpx.get(f"{self.address}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        pytest.fail("the replica did not get ready")

"""Runs the site: tables brought up to date, the first administrator's link, worker processes."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NoReturn

import uvicorn

from ladnn.errors import ConfigError
from ladnn.findings import RESEARCH_NOTICE
from ladnn.runtime import load_bundle
from ladnn.service import migrations
from ladnn.service.accounts.people import link_for_first
from ladnn.service.addresses import both_ways
from ladnn.service.blobs import Blobs
from ladnn.service.database import Database
from ladnn.service.metrics import counted_together
from ladnn.service.settings import Settings, to_environment
from ladnn.service.tables import now

FACTORY = "ladnn.service.app:from_environment"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Hosts that stand for all addresses of a machine, each with one that reaches it from there."""
_LOOK = 0.05  # seconds between looks whether the site answers


def serve(settings: Settings) -> None:
    """Serve until told to stop; requests under way are answered first.

    Everything that the settings name is tried before there is a new link for the first
    administrator: it voids the older one. Where the site is, is said once it answers there.

    Raises:
        BundleError, ConfigError: a bundle or a setting that cannot be used.
        DatabaseAway: no connection to the database.
    """
    signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again once it has shut down
    load_bundle(settings.bundle).card.operating_point(settings.operating_point)
    _try_address(settings)
    Blobs(settings.storage, settings.s3_endpoint).require()
    secret = prepare(settings)
    with _environment(settings), _announced(settings, secret):
        uvicorn.run(
            FACTORY,
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=True,
            forwarded_allow_ips=both_ways(settings.trusted_proxies),
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )


def _end(_number: int, _frame: object) -> NoReturn:
    """Being told to stop is no failure, with one worker process as with several."""
    sys.exit(0)


def _try_address(settings: Settings) -> None:
    """Raise ConfigError where the site could not listen: uvicorn would say so in a log alone."""
    try:
        flags = socket.AI_PASSIVE
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=flags
        )
        for family, kind, protocol, _, where in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
    except OSError as error:
        raise ConfigError(
            f"the site cannot listen on {settings.host} port {settings.port} "
            f"({(error.strerror or str(error)).lower()}): give another host or port"
        ) from error


def prepare(settings: Settings) -> str | None:
    """Bring the tables up to date; a secret for the first administrator while there is none."""
    database = Database(settings.database_url)
    try:
        migrations.upgrade(database)
        if database.reserve:
            database.reserve.keep()
        return database.write(lambda session: link_for_first(session, database, now()))
    finally:
        database.dispose()


def address(settings: Settings) -> str:
    """Where people reach the site."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    return settings.public_url.rstrip("/") or f"http://{host}:{settings.port}"


@contextmanager
def _announced(settings: Settings, secret: str | None) -> Iterator[None]:
    """Say where the site is as soon as a worker process listens, and nothing if none ever does."""
    over = threading.Event()

    def wait() -> None:
        while not _answers(settings):
            if over.wait(_LOOK):
                return
        _announce(settings, secret)

    threading.Thread(target=wait, name="announcement", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _answers(settings: Settings) -> bool:
    host = _EVERYWHERE.get(settings.host, settings.host)
    try:
        socket.create_connection((host, settings.port), timeout=1).close()
    except OSError:
        return False
    return True


def _announce(settings: Settings, secret: str | None) -> None:
    """Say on stderr where the site is: standard output is for the logs."""
    lines = [f"LA-DNN is at {address(settings)}", RESEARCH_NOTICE]
    if secret is not None:
        lines.insert(1, f"First administrator, once: {address(settings)}/setup/{secret}")
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """Hand the settings, and a folder for counters, to the worker processes."""
    with counted_together() if settings.workers > 1 else nullcontext():
        os.environ.update(to_environment(settings))
        os.environ.pop("LADNN_CONFIG", None)  # it is in the settings already
        yield

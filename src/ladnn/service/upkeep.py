"""Work on a site from its own machine, beside the running processes: opened, and people let in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from ladnn.errors import ConfigError
from ladnn.registry import Registry
from ladnn.service import audit_log, migrations
from ladnn.service.accounts import people, second_factor
from ladnn.service.app import make_services
from ladnn.service.context import Services
from ladnn.service.database import Database
from ladnn.service.errors import NotFound
from ladnn.service.models import site_registry
from ladnn.service.settings import Settings


@contextmanager
def opened_site(settings: Settings) -> Iterator[Services]:
    """The services of a site that was started before, without a model.

    Raises ConfigError where there is none.
    """
    require_site(settings)
    site = make_services(settings, _no_predictor, _NoDecoder())
    try:
        yield site
    finally:
        site.decoder.close()
        site.database.dispose()


def running_registry(settings: Settings) -> Registry:
    """The registry of the site that the settings name, for the command line.

    Raises ConfigError where there is none.
    """
    require_site(settings, "give --config or --registry")
    return site_registry(settings, Database(settings.database_url))


def rescue(site: Services, email: str, *, forget_factor: bool) -> str:
    """The token of a link for a new password; NotFound for an address without an account."""

    def write(session: Session) -> str:
        account = people.by_email(session, people.tidy_email(email))
        if account is None:
            raise NotFound("accounts.error.unknown")
        if forget_factor:
            second_factor.reset(session, account)
            people.unlink(session, account)
        token = people.link_for_password(session, account, site.clock())
        detail = {"second_factor": forget_factor}
        audit_log.record(
            session, audit_log.SYSTEM, "account.password_link", account.public_id, detail
        )
        return token

    return site.database.write(write)


def require_file(settings: Settings, otherwise: str = "give --config") -> None:
    """`require_site` of a database of any version."""
    url = settings.database_url
    if url.startswith("sqlite") and not Path(make_url(url).database or "").is_file():
        raise ConfigError(f"there is no site at {url}: {otherwise}, or start it with ladnn serve")


def require_site(settings: Settings, otherwise: str = "give --config") -> None:
    """Refuse a database that no site was started on: opening it would make an empty one.

    `otherwise` is what the ConfigError says can be done beside starting it.
    """
    require_file(settings, otherwise)
    database = Database(settings.database_url)
    try:
        version = migrations.current(database)
    finally:
        database.dispose()
    if version != migrations.head():
        raise ConfigError("the tables are of another version: start the site once, ladnn serve")


def _no_predictor() -> NoReturn:
    raise NotImplementedError("nothing is predicted here")


class _NoDecoder:
    """In the place of processes that would decode."""

    def decode(self, *_: object, **__: object) -> NoReturn:
        """Nothing is decoded here."""
        raise NotImplementedError("nothing is decoded here")

    look = decode

    def close(self) -> None:
        """Nothing was started."""

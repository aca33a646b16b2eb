"""Versions of the tables, and how to go from one to another."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from ladnn.service.database import Database, opening

VERSIONS = "alembic_version"
"""The table of Alembic's own, which holds the version of the others."""

_LOCK = 0x1AD77  # one replica at a time brings the tables up to date


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the tables to a version, `head` being the newest; data stays.

    Raises ConfigError for a database that cannot be used.
    """
    _run(database, lambda config: command.upgrade(config, revision))


def upgrade_within(session: Session, revision: str = "head") -> None:
    """The same as a part of a transaction: with what else it does, or not at all."""
    _step(session.connection(), lambda config: command.upgrade(config, revision))


def downgrade(database: Database, revision: str) -> None:
    """Go back to an older version, `base` being no tables at all."""
    _run(database, lambda config: command.downgrade(config, revision))


def current(database: Database) -> str | None:
    """The version of the tables; None where there are none; raises ConfigError like `opening`."""
    with opening(database), database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The newest version."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def known() -> set[str]:
    """Every version that this program can bring tables to."""
    scripts = ScriptDirectory.from_config(_config())
    return {script.revision for script in scripts.walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _run(database: Database, step: Callable[[Config], None]) -> None:
    writing = database.engine.execution_options(ladnn_writes=True)
    with opening(database), writing.begin() as connection:
        _step(connection, step)


def _step(connection: Connection, step: Callable[[Config], None]) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = _config()
    config.attributes["connection"] = connection
    step(config)

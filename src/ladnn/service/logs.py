"""Structured logs on standard output: request id, route template, status, time; no patient data.

What a request carries (paths with ids, query strings, file names, bodies) is never logged.
"""

import logging
import os
import sys
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from structlog.typing import EventDict

from ladnn.certificates import chain, fault
from ladnn.service.database import reason
from ladnn.service.errors import places
from ladnn.service.settings import Settings

_UNREACHABLE = (OperationalError, InterfaceError)
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(settings: Settings) -> None:
    """Send the site's lines, and those of the libraries, to standard output in one format."""
    level = LEVELS[settings.log_level]
    as_json = settings.log_format == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, _short_trace, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _short_trace,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True  # it would write paths with ids


def log() -> Any:  # noqa: ANN401  # structlog's logger
    """The site's logger."""
    return structlog.get_logger("ladnn")


def cause(error: BaseException) -> str:
    """Why a server is away, for the log: the classes of the errors, and what the system calls it.

    Of the text of an error it takes the first line of the database's driver alone, for what made a
    database seem away names no value there.
    """
    errors = list(chain(error))
    words = [fault(error)]
    words += [reason(one) for one in errors if isinstance(one, _UNREACHABLE)]
    words += [os.strerror(one.errno) for one in errors if isinstance(one, OSError) and one.errno]
    names = " from ".join(type(one).__name__ for one in errors)
    told = next(filter(None, words), None)
    return f"{names}: {told}" if told else names


def _short_trace(_logger: object, _method: str, entry: EventDict) -> EventDict:
    """Replace an exception by its class and the lines it passed through.

    Its text may hold what a request carried, such as a value of a row.
    """
    given = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if not isinstance(error, BaseException):
        return entry
    entry.update(error=type(error).__name__, trace=places(error))
    return entry

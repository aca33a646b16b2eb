"""The composition root: mounts the commands and turns every error into one sentence."""

import errno
import os
import sys
from typing import Annotated

import typer

from ladnn.commands import (
    audit,
    benchmark,
    collection,
    data,
    evaluate,
    export,
    figures,
    model,
    phantom,
    predict,
    quantise,
    remote,
    reports,
    serve,
    site,
    train,
)
from ladnn.errors import LadnnError
from ladnn.findings import RESEARCH_NOTICE

app = typer.Typer(
    rich_markup_mode="markdown",
    name="ladnn",
    help=f"Read chest CT images for COVID-19 and five lesions. {RESEARCH_NOTICE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (predict, serve, evaluate, audit, train, export, quantise, benchmark, phantom):
    app.add_typer(commands.app)  # one command each, under its own name
app.add_typer(data.app, name="data")
app.add_typer(figures.app, name="figures")
app.add_typer(reports.app, name="reports")
app.add_typer(model.app, name="model")
app.add_typer(remote.app, name="remote")
app.add_typer(site.app, name="site")
app.add_typer(collection.app, name="collection")


def _version(wanted: bool) -> None:
    if wanted:
        from ladnn import __version__

        typer.echo(f"ladnn {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run one command; exit code 0, 1 for a failure, 2 for a wrong call."""
    _ready_streams()
    try:
        app()
    except LadnnError as error:
        _fail(_sentence(error))
    except MemoryError:
        _fail("there is not enough memory for this: give smaller or fewer files")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "make room on the disk" if full else "check the paths given"
        _fail(f"{(error.strerror or str(error)).lower()}: {error.filename or advice}")
    except Exception as error:
        if os.environ.get("LADNN_DEBUG"):
            raise
        _fail(f"this should not happen ({type(error).__name__}): set LADNN_DEBUG=1 and report it")


def _ready_streams() -> None:
    """Let no file's name end a run: what an encoding lacks is escaped, what is closed swallows."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # and the next file opened would stand in its place
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _sentence(error: LadnnError) -> str:
    """The text of an error; the site's own ones name a sentence of its catalogues."""
    from ladnn.service.errors import ServiceError

    if not isinstance(error, ServiceError):
        return str(error)
    from ladnn.service.i18n import read_catalogues

    return read_catalogues().say("en", error.key, **error.values)


def _fail(sentence: str) -> None:
    sys.stderr.write(f"ladnn: {sentence}\n")
    sys.exit(1)

"""`ladnn serve`: the site."""

from typing import Annotated

import typer

from ladnn.commands.extras import site_side
from ladnn.commands.inputs import SiteConfig

app = typer.Typer()


@app.command()
def serve(
    config: SiteConfig = None,
    database_url: Annotated[
        str | None, typer.Option(help="Of SQLite or PostgreSQL, as SQLAlchemy writes it.")
    ] = None,
    storage: Annotated[str | None, typer.Option(help="A folder, or s3://bucket/prefix.")] = None,
    bundle: Annotated[str | None, typer.Option(help="A bundle's folder or shipped name.")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes.")] = None,
) -> None:
    """Serve the site until it is told to stop by Ctrl-C or SIGTERM.

    Settings come from these options, else the environment (LADNN_PORT and the like), else the TOML
    file, else their defaults: SQLite and a folder beside where it is started.

    Example: ladnn serve --port 8080 --workers 2
    """
    with site_side("serving"):
        from ladnn.service.server import serve as run
        from ladnn.service.settings import read_settings
    options = {
        "database_url": database_url,
        "storage": storage,
        "bundle": bundle,
        "host": host,
        "port": port,
        "workers": workers,
    }
    run(read_settings(config, options={k: v for k, v in options.items() if v is not None}))

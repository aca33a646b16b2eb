"""`ladnn collection`: what the site collected."""

from pathlib import Path
from typing import Annotated

import typer

from ladnn.commands.extras import site_side
from ladnn.commands.inputs import SiteConfig, given

app = typer.Typer(help="Export what the site collected.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `export` a word of its own, though it is the only one."""


@app.command("export")
def export_(
    output: Annotated[Path, typer.Option("--output", "-o", parser=given, help="A folder to make.")],
    version: Annotated[int | None, typer.Option(min=1, help="The newest without it.")] = None,
    config: SiteConfig = None,
) -> None:
    """Write a version of the collected dataset as a folder that `ladnn data import` reads.

    The site's settings come from the TOML file or the environment, as for `ladnn serve`.

    Example: ladnn collection export -o contributed --version 3
    """
    with site_side("exporting"):
        from ladnn.errors import DataError
        from ladnn.service import datasets
        from ladnn.service.blobs import Blobs
        from ladnn.service.database import Database
        from ladnn.service.errors import NotFound
        from ladnn.service.settings import read_settings
        from ladnn.service.upkeep import require_site
    settings = read_settings(config)
    require_site(settings)
    database = Database(settings.database_url)
    try:
        found = database.read(lambda session: datasets.read_version(session, version))
    except NotFound:
        raise DataError(
            "there is no such version: make one on the site, under Review, Dataset versions"
        ) from None
    finally:
        database.dispose()
    datasets.write_folder(Blobs(settings.storage, settings.s3_endpoint), found, output)
    said = datasets.describe(found)
    typer.echo(f"version {said['version']}: {said['images']} images in {output}, {said['hash']}")

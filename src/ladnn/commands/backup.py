"""`ladnn site backup` and `ladnn site restore`."""

from pathlib import Path
from typing import Annotated

import typer

from ladnn.commands.extras import site_side
from ladnn.commands.inputs import SiteConfig, given
from ladnn.commands.progress import counting
from ladnn.errors import DataError

Folder = Annotated[
    Path, typer.Argument(parser=given, metavar="DIR", help="The folder of the backup.")
]


def backup(folder: Folder, config: SiteConfig = None) -> None:
    """Copy the site that the settings name into a new folder, while it runs.

    Rows are of one moment; with them come every stored image and every version of the model, each
    with its hash. Keep the folder as safe as the site itself: it holds the same. Where files of the
    site are lost the others are copied, and the exit code is 1.

    Example: ladnn site backup /backup/2026-11-25
    """
    with site_side("a backup"):
        from ladnn.service.backup import backup as run
        from ladnn.service.settings import read_settings

    settings = read_settings(config)
    with counting("tables and files copied:") as advance:
        done = run(settings, folder, advance)
    typer.echo(f"{folder} holds the site with {done.cases} cases")
    if done.lost:
        raise DataError(
            f"{len(done.lost)} files that the site names are lost, {done.lost[0]} the first: "
            f"all else is in {folder}, and its backup.json names them"
        )


def restore(folder: Folder, config: SiteConfig = None) -> None:
    """Put a backup into the empty database and the storage that the settings name.

    Every hash is checked before anything is written. The database and the storage may be of another
    kind than those the backup was made of.

    Example: ladnn site restore /backup/2026-11-25
    """
    with site_side("restoring"):
        from ladnn.service.backup import restore as run
        from ladnn.service.settings import read_settings

    settings = read_settings(config)
    with counting("tables and files put back:") as advance:
        cases = run(settings, folder, advance)
    typer.echo(f"{cases} cases are back; start the site")

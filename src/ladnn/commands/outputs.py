"""What commands that write files share: nothing of a user's is replaced unasked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.errors import DataError

if TYPE_CHECKING:
    from ladnn.dataset import Manifest

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]


def tell_leaks(manifest: "Manifest") -> None:
    """Say on the standard error that pictures lie in two parts of the split, where some do."""
    from ladnn.dataset import leaks

    found = leaks(manifest)
    if found:
        one, other = found[0]
        count = f"{len(found)} pictures lie" if len(found) > 1 else "a picture lies"
        typer.echo(
            f"{count} in two parts of the split, as {one.path.name} ({one.source}, {one.split}) "
            f"and {other.path.name} ({other.source}, {other.split}): what is measured is too good; "
            "`ladnn data check` names all, `ladnn data split` parts them",
            err=True,
        )


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise DataError for a folder, and for a file that is there, unless it may be replaced.

    A device or a pipe never may: a file in its place would break what else writes to it.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: give the name of a file")
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is a device or a pipe: give the name of a file")
    if path.exists() and not overwrite:
        raise DataError(f"{path} is already there: give --overwrite, or another name")


def keep_apart(given: Path, output: Path) -> None:
    """Raise DataError where what is written would take the place of what is read."""
    if given.resolve() == output.resolve():
        raise DataError(f"{output} is the file to be read: give another --output")

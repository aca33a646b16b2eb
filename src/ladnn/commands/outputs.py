"""What commands that write files share: nothing of a user's is replaced unasked."""

from pathlib import Path
from typing import Annotated

import typer

from ladnn.errors import DataError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]


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

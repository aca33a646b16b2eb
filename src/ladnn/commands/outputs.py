"""What commands that write files share: nothing of a user's is replaced unasked; a bar."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ladnn.errors import DataError

Thing = TypeVar("Thing")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise DataError for a folder, and for a file that is there, unless it may be replaced."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: give the name of a file")
    if path.exists() and not overwrite:
        raise DataError(f"{path} is already there: give --overwrite, or another --output")


def bar(what: str) -> Callable[[Sequence[Thing]], Iterable[Thing]]:
    """Pass things on and draw how many are done on stderr, where a person is looking at it."""

    def follow(things: Sequence[Thing]) -> Iterable[Thing]:
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True)
        hidden = not console.is_terminal
        return track(things, what, console=console, transient=True, disable=hidden)

    return follow

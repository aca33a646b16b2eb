"""What commands that read files share: how a path that was typed is taken."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


def given(text: str) -> Path:
    """Take a path as it was typed; whether it can be read is told by whoever reads it.

    Raises typer.BadParameter for an empty one, which pathlib takes for the current folder.
    """
    if not text:
        raise typer.BadParameter("an empty path names nothing: give a file or a folder")
    return Path(text)


def one_of(kind: type[StrEnum], said: str) -> Any:  # noqa: ANN401  # as typer.Option itself
    """An option that takes a name of `kind`; `said` is its help."""

    def parse(text: str) -> StrEnum:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is no choice: give one of {', '.join(kind)}"
            ) from None

    return typer.Option(parser=parse, metavar="|".join(kind), help=said)


Images = Annotated[list[Path], typer.Argument(parser=given, help="Images, or folders of images.")]
SiteConfig = Annotated[
    Path | None,
    typer.Option(parser=given, help="A TOML file of the site's settings."),
]

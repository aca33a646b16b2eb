"""What commands that read files share: how a path that was typed is taken."""

from pathlib import Path
from typing import Annotated

import typer


def given(text: str) -> Path:
    """Take a path as it was typed; whether it can be read is told by whoever reads it.

    Raises typer.BadParameter for an empty one, which pathlib takes for the current folder.
    """
    if not text:
        raise typer.BadParameter("an empty path names nothing: give a file or a folder")
    return Path(text)


Images = Annotated[list[Path], typer.Argument(parser=given, help="Images, or folders of images.")]
SiteConfig = Annotated[
    Path | None,
    typer.Option(parser=given, help="A TOML file of the site's settings."),
]

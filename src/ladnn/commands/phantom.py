"""`ladnn phantoms`: drawn chest CT slices to try the program on, for no patient's image ships."""

import io
import json
from pathlib import Path
from typing import Annotated

import typer

from ladnn.commands.inputs import given
from ladnn.errors import ConfigError
from ladnn.findings import LESIONS, Lesion

app = typer.Typer()


@app.command()
def phantoms(
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="A folder for the PNG files.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another patient.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Draw seven chest CT phantoms: no lesion, each of the five, and all of them.

    They have a CT's layout and grey levels, so that the program can be tried without a patient's
    image; what the model says of them has no meaning.

    Example: ladnn phantoms -o phantoms
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        files = [_write(output, seed, lesions) for lesions in _sets()]
    except OSError as error:
        raise ConfigError(
            f"the phantoms cannot be written to {output} ({error.strerror}): give another folder"
        ) from error
    if as_json:
        typer.echo(json.dumps([str(file) for file in files]))
    else:
        typer.echo(f"{len(files)} phantoms drawn in {output}")


def _sets() -> list[tuple[Lesion, ...]]:
    return [(), *((lesion,) for lesion in LESIONS), LESIONS]


def _write(folder: Path, seed: int, lesions: tuple[Lesion, ...]) -> Path:
    from PIL import Image

    from ladnn.phantom import thorax

    name = "all" if len(lesions) > 1 else "-".join(lesions) or "none"
    file, drawn = folder / f"phantom-{name}.png", io.BytesIO()
    Image.fromarray(thorax(seed, lesions=lesions)).save(drawn, "PNG")
    if file.exists() and file.read_bytes() != drawn.getvalue():
        raise ConfigError(f"{file} is there and is another picture: give another folder")
    file.write_bytes(drawn.getvalue())
    return file

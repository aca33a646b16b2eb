"""`ladnn export`: checkpoints become one bundle, fitted on validation and proven."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.extras import training_side
from ladnn.commands.inputs import given, one_of
from ladnn.commands.progress import stages
from ladnn.stored import Stored

if TYPE_CHECKING:
    from ladnn.bundle import Card

app = typer.Typer()


class Precision(StrEnum):
    """What `--precision` takes."""

    AUTO = "auto"
    FLOAT32 = "float32"


@app.command()
def export(
    checkpoints: Annotated[
        list[Path], typer.Argument(parser=given, help="Folders written by `ladnn train`.")
    ],
    *,
    manifest: Annotated[Path, typer.Option(parser=given, help="Made by `ladnn data import`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="The bundle's folder.")
    ],
    name: Annotated[str, typer.Option(help="Of the model, as `default`.")],
    version: Annotated[str, typer.Option(help="Of the model.")] = "1",
    flip: Annotated[bool, typer.Option(help="Average over the mirror image too.")] = False,
    weights: Annotated[
        Stored, one_of(Stored, "How the file stores them; int8 is for convolutions.")
    ] = Stored.FLOAT32,
    precision: Annotated[
        Precision, one_of(Precision, "auto: bfloat16 where validation finds it safe.")
    ] = Precision.AUTO,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights, as CC-BY-4.0; else the card states none.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace an older bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card.")] = False,
) -> None:
    """Make a bundle of one checkpoint, or of several that are averaged.

    Their backbones and input sizes may differ; their mode may not, nor what they see of an image.
    Writes model.onnx and card.json after torch and the runtimes were found to agree. Temperatures,
    operating points and the guard are fitted on the manifest's validation split, of the sources
    that the checkpoints were trained on; the test split is not touched.

    Example: ladnn export runs/a runs/b --manifest manifest.csv -o runs/ab --name ab --flip
    """
    with training_side("exporting"):
        from ladnn.export import UNSTATED, Identity, Options
        from ladnn.export import export as make
    from ladnn.calibration import HOTTEST
    from ladnn.dataset import read_manifest

    options = Options(flip=flip, stored=weights, precision=precision.value, force=force)
    with stages() as stage:
        card = make(
            checkpoints,
            read_manifest(manifest),
            output,
            Identity(name=name, version=version, licence=licence or UNSTATED),
            options=options,
            stage=stage,
        )
    if not card.training["sources"]:
        typer.echo(
            f"nothing shows that the checkpoints were trained on {manifest} as it is: if they "
            "learned images of its validation split, the bundle's probabilities are too sure",
            err=True,
        )
    if card.temperature >= HOTTEST:
        typer.echo(
            f"the temperature is {HOTTEST:g}, the highest that is fitted, so on validation the "
            "network tells next to nothing: train for longer, or look at its validation AUC",
            err=True,
        )
    if as_json:
        typer.echo(json.dumps(card.to_json(), indent=2))
    else:
        _report(card, output)


def _report(card: "Card", folder: Path) -> None:
    agreement = card.training["agreement"]
    points = ", ".join(f"{name} {p.threshold:.3f}" for name, p in card.operating_points.items())
    lesions = [name for name, item in card.lesions.items() if not item.calibrated]
    typer.echo(f"{card.name} {card.version}: {card.networks} in {folder}")
    typer.echo(f"torch and the runtimes agree within {agreement['probability']:.1e}")
    typer.echo(f"temperature {card.temperature:.2f}; operating points {points}; {card.precision}")
    if lesions:
        typer.echo(f"too few examples on validation: {', '.join(lesions)}")

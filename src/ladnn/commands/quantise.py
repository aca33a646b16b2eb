"""`ladnn quantise`: a bundle whose convolutions are computed in 8 bits."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.extras import training_side
from ladnn.commands.inputs import given
from ladnn.commands.progress import stages
from ladnn.stored import EIGHT_BITS

if TYPE_CHECKING:
    from ladnn.bundle import Card

app = typer.Typer()


@app.command()
def quantise(
    bundle: Annotated[
        Path, typer.Argument(parser=given, help="A bundle's folder, written by `ladnn export`.")
    ],
    *,
    manifest: Annotated[Path, typer.Option(parser=given, help="That of its training.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="The new bundle's folder.")
    ],
    version: Annotated[str, typer.Option(help="Of the new bundle.")],
    force: Annotated[bool, typer.Option(help="Replace an older bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card.")] = False,
) -> None:
    """Compute a bundle's convolutions in 8 bits, which takes a residual network half the time.

    Convolutions that read a ReLU are rounded, but for those that by themselves change an answer
    too much; an EfficientNet has none, and its bundle is refused. Temperatures and operating points
    are fitted anew on the manifest's validation split, and what changed on it is printed; the guard
    stays, and the test split is not touched.

    Example: ladnn quantise runs/float32 --manifest manifest.csv -o runs/fast --version 2
    """
    with training_side("quantising"):
        from ladnn.quantising import quantise as make
    from ladnn.bundle import load_bundle
    from ladnn.dataset import read_manifest

    with stages() as stage:
        card = make(
            load_bundle(bundle),
            read_manifest(manifest),
            output,
            version=version,
            force=force,
            stage=stage,
        )
    if as_json:
        typer.echo(json.dumps(card.to_json(), indent=2))
    else:
        _report(card, output)


def _report(card: "Card", folder: Path) -> None:
    said = card.training[EIGHT_BITS]
    moved, kept = said["validation"], len(said["kept_float32"])
    changed = ", ".join(f"{count} at {name}" for name, count in moved["decisions_changed"].items())
    typer.echo(f"{card.name} {card.version}: {card.networks} in {folder}")
    typer.echo(f"{said['convolutions']} convolutions in 8 bits, {kept} too sensitive for that")
    typer.echo(
        f"of {moved['images']} validation images a probability moved by "
        f"{moved['probability_median']:.4f} in the median and {moved['probability_largest']:.3f} "
        f"at most; decisions changed: {changed}; refusals: {moved['refusals_changed']}"
    )
    apart = said["runtimes"]  # empty where one was installed
    typer.echo(
        f"the runtimes agree within {apart['probability']:.1e}"
        if apart
        else "one runtime is installed, so nothing shows that another would say the same"
    )

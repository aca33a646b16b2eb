"""`ladnn train`: a configuration and a manifest -> a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from ladnn.commands.extras import training_side
from ladnn.commands.inputs import given
from ladnn.commands.outputs import tell_leaks

app = typer.Typer()


@app.command()
def train(
    manifest: Annotated[Path, typer.Option(parser=given, help="Made by `ladnn data import`.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", parser=given, help="The run's folder; an old run resumes."),
    ],
    config: Annotated[
        Path | None, typer.Option(parser=given, help="TOML, such as conf/default.toml.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: key=value.")
    ] = None,
) -> None:
    """Train a network on the manifest's training split and choose its epoch on validation.

    A run that was interrupted goes on where it stopped when the same command is given again.

    Example: ladnn train --manifest manifest.csv --config conf/default.toml -o runs/a --set seed=1
    """
    with training_side("training"):
        from ladnn.learner import TrainConfig
        from ladnn.training import fit
    from ladnn.config import read_config
    from ladnn.dataset import read_manifest

    chosen = read_config(config, settings or [], TrainConfig)
    listed = read_manifest(manifest)
    tell_leaks(listed)
    best = fit(chosen, listed, output)
    typer.echo(f"{output}: epoch {best.epoch + 1}, validation AUC {best.val_auc:.3f}")

"""`ladnn train`: a configuration and a manifest -> a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def train(
    manifest: Annotated[Path, typer.Option("--manifest", "-m", help="From `ladnn data import`.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run; an old run resumes.")
    ],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="TOML, such as conf/default.toml.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: key=value.")
    ] = None,
) -> None:
    """Train a network on the manifest's training split and choose its epoch on validation.

    A run that was interrupted goes on where it stopped when the same command is given again.

    Example: ladnn train -m manifest.csv -c conf/default.toml -o runs/default --set seed=1
    """
    from ladnn.config import read_config
    from ladnn.dataset import read_manifest
    from ladnn.learner import TrainConfig
    from ladnn.training import fit

    chosen = read_config(config, settings or [], TrainConfig)
    best = fit(chosen, read_manifest(manifest), out)
    typer.echo(f"{out}: epoch {best.epoch + 1}, validation AUC {best.val_auc:.3f}")

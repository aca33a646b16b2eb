"""`ladnn benchmark`: a grid of runs -> a folder for each, and the tables that come of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.extras import training_side
from ladnn.findings import RESEARCH_NOTICE

if TYPE_CHECKING:
    from ladnn.benchmark.grid import Run

app = typer.Typer()


@app.command()
def benchmark(
    grid: Annotated[Path, typer.Argument(help="TOML, such as conf/lesions.toml.")],
    *,
    manifest: Annotated[Path, typer.Option(help="Made by `ladnn data import`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The grid's folder; an old one goes on.")
    ],
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, one thread each.")] = 1,
) -> None:
    """Train and score every network of a grid.

    Each run has a folder of its own. A benchmark that was interrupted goes on where it stopped
    when the same command is given again.

    Example: ladnn benchmark conf/lesions.toml --manifest d0.csv -o runs/lesions --jobs 2
    """
    with training_side("benchmarking"):
        from ladnn.benchmark.engines import local
        from ladnn.benchmark.grid import read_grid
        from ladnn.benchmark.perform import plan
        from ladnn.benchmark.progress import watch
    from ladnn.dataset import read_manifest

    asked, runs = read_grid(grid)
    if asked.note:
        typer.echo(asked.note)
    listed = read_manifest(manifest)
    todo = plan(runs, listed, output)
    failed = watch(local(todo, listed, output, jobs=jobs), runs, todo, output)
    typer.echo(RESEARCH_NOTICE)
    _report(failed)


def _report(failed: "list[tuple[Run, str]]") -> None:
    for run, reason in failed:
        typer.echo(f"{run.name}: {reason}", err=True)
    if failed:
        raise typer.Exit(1)

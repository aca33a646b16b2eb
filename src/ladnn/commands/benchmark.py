"""`ladnn benchmark`: a grid of runs -> a folder for each, and the tables that come of them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.extras import training_side
from ladnn.commands.inputs import given, one_of
from ladnn.errors import DataError
from ladnn.findings import RESEARCH_NOTICE
from ladnn.paths import alone

if TYPE_CHECKING:
    from ladnn.benchmark.grid import Run

app = typer.Typer()


class Engine(StrEnum):
    """What `--engine` takes."""

    LOCAL = "local"
    RAY = "ray"


@app.command()
def benchmark(
    grid: Annotated[Path, typer.Argument(parser=given, help="TOML, such as conf/lesions.toml.")],
    *,
    manifest: Annotated[Path, typer.Option(parser=given, help="Made by `ladnn data import`.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", parser=given, help="The grid's folder; an old one goes on."),
    ],
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, one thread each.")] = 1,
    engine: Annotated[Engine, one_of(Engine, "local: processes of this machine.")] = (Engine.LOCAL),
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster, as auto; none starts Ray here.")
    ] = None,
    tables: Annotated[bool, typer.Option("--tables", help="Only write the tables.")] = False,
) -> None:
    """Train and score every network of a grid, and write its Table 2.

    Each run has a folder of its own. A benchmark that was interrupted goes on where it stopped
    when the same command is given again. The tables hold what is done so far: means over seeds,
    the paper's figures, and tests of the differences.

    Example: ladnn benchmark conf/lesions.toml --manifest manifest.csv -o runs/lesions --jobs 2
    """
    if address is not None and engine is Engine.LOCAL:
        raise typer.BadParameter("--address is of a Ray cluster: give --engine ray too")
    with training_side("benchmarking"):
        from ladnn.benchmark import engines
        from ladnn.benchmark.grid import read_grid
        from ladnn.benchmark.perform import plan
        from ladnn.benchmark.progress import watch
        from ladnn.benchmark.tables import collect, write_tables
    from ladnn.dataset import read_manifest

    asked, runs = read_grid(grid)
    failed: list[tuple[Run, str]] = []
    if not tables:
        listed = read_manifest(manifest)
        with alone(output):
            todo = plan(runs, listed, output)
            if engine is Engine.RAY:
                outcomes = engines.on_ray(todo, listed, output, jobs=jobs, address=address)
            else:
                outcomes = engines.local(todo, listed, output, jobs=jobs)
            failed = watch(outcomes, runs, todo, output)
    _report(failed)
    results = collect(asked, runs, output)
    if results.cells:
        for path in write_tables(results, output):
            typer.echo(path)
        typer.echo(asked.note or RESEARCH_NOTICE)
    elif tables:
        raise DataError(f"no run of the grid is done in {output}: give its folder")
    if failed:
        raise typer.Exit(1)


def _report(failed: "list[tuple[Run, str]]") -> None:
    for run, reason in failed:
        typer.echo(f"{run.name}: {reason}", err=True)

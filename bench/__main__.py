"""`python -m bench`: measure, print, and write runs/bench.json."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.bundles import Studio
from bench.command import measure_cold, measure_folder
from bench.epoch import measure_epoch
from bench.load import measure_load
from bench.maps import measure_cam, measure_engines, measure_rate
from bench.report import Figure, busy, machine, show, write
from bench.scale import FULL, QUICK, Scale

BENCHES: dict[str, Callable[[Scale, Studio], list[Figure]]] = {
    "cold": measure_cold,
    "folder": measure_folder,
    "cam": measure_cam,
    "rate": measure_rate,
    "epoch": measure_epoch,
    "engines": measure_engines,
    "load": measure_load,
}

_WIDTH = 140  # of the table in a file or a pipe


def main(
    only: Annotated[list[str] | None, typer.Option(help="Of the benches; all by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: see that it runs.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when a bar is missed.")] = False,
    output: Annotated[Path, typer.Option(help="A JSON file.")] = Path("runs/bench.json"),
) -> None:
    """Measure speed as ratios within one run, each beside its bar.

    Example: python -m bench --only cold --only folder
    """
    wrong = [name for name in only or () if name not in BENCHES]
    if wrong:
        raise typer.BadParameter(f"unknown bench {wrong[0]!r}: choose of {', '.join(BENCHES)}")
    console, about = Console(), machine()
    if not console.is_terminal:
        console.width = _WIDTH
    figures = run(only or list(BENCHES), QUICK if quick else FULL, Console(stderr=True))
    if quick:  # the bars are for full sizes
        figures = [replace(figure, at_most=None, at_least=None) for figure in figures]
    show(figures, console)
    if busy(about):
        console.print(f"The load was {about['load']}: other work spoils these figures.")
    if quick:
        console.print("Quick sizes: these figures say only that the benches run.")
    write(figures, about, quick=quick, path=output)
    console.print(f"{output} holds the same as JSON.")
    verdicts = [figure.verdict for figure in figures if figure.verdict]
    if verdicts:
        console.print(f"{verdicts.count('pass')} of {len(verdicts)} bars are met.")
    if strict and set(verdicts) - {"pass"}:
        sys.exit(1)


def run(names: list[str], scale: Scale, console: Console) -> list[Figure]:
    """Run the benches of those names."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(folder=Path(folder), input_size=scale.input_size)
        for name in names:
            with console.status(f"measuring: {name}"):
                figures += BENCHES[name](scale, studio)
    return figures


if __name__ == "__main__":
    typer.run(main)

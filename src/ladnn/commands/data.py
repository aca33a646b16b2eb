"""`ladnn data`: import collections into a manifest, check it, sum it up, split it, fetch one."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ladnn.commands.inputs import given
from ladnn.commands.outputs import AsJson, Overwrite, keep_apart, refuse_existing, tell_leaks
from ladnn.commands.progress import bar
from ladnn.errors import DataError
from ladnn.paths import require_writable, write_whole

# Everything heavy is imported where it is used: `ladnn --help` and a wrong call need none of it.
if TYPE_CHECKING:
    from rich.console import Console

    from ladnn.dataset import Manifest
    from ladnn.fetching import Fetched
    from ladnn.inspection import Problem
    from ladnn.intake import Intake
    from ladnn.summary import Summary

app = typer.Typer(help="Import, check, sum up, split and fetch images.", no_args_is_help=True)

FEW = 5

Given = Annotated[
    Path, typer.Argument(metavar="MANIFEST", parser=given, help="Made by `ladnn data import`.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same split.")]


@app.command("import")
def import_(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", parser=given, help="Collections.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="Manifest to write, CSV.")
    ],
    labels: Annotated[str, typer.Option(help="published, paper or audited.")] = "paper",
    extract_to: Annotated[
        Path | None,
        typer.Option(parser=given, help="Unpack archives here; covid-ct-new beside the manifest."),
    ] = None,
    seed: Seed = 0,
    missing: Annotated[
        Path | None,
        typer.Option(parser=given, help="Write the names of listed but absent images here."),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(parser=given, help="A review by `ladnn reports review`, filled in."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Read collections of images into one manifest.

    Known layouts: COVID-CT with its split and tables, the later collection's tables and archives,
    and any folder with the two subfolders COVID and NonCOVID, whose unknown patients are replaced
    by clusters of near-duplicates. An image that cannot be read is named, the others are still
    imported, and the exit code is then 1.

    Example: ladnn data import covid-ct sarscov2-ct --labels paper -o manifest.csv
    """
    from ladnn.dataset import write_manifest
    from ladnn.intake import take_in
    from ladnn.sources import LABEL_SETS
    from ladnn.sources.reviewed import read_decisions

    if labels not in LABEL_SETS:
        raise typer.BadParameter(f"{labels!r} is none of {', '.join(LABEL_SETS)}: give --labels")
    refuse_existing(output, overwrite)
    files = [path for path in (output, missing, corrections) if path is not None]
    for place, path in enumerate(files):
        if path.resolve() in (other.resolve() for other in files[:place]):
            raise DataError(f"{path} is given twice, for two files: give another name for one")
    require_writable(output.parent)
    if missing is not None:
        refuse_existing(missing, overwrite)
        require_writable(missing.parent)
    intake = take_in(
        folders,
        labels=labels,
        extract_to=extract_to or output.parent / "covid-ct-new",
        seed=seed,
        decisions=read_decisions(corrections) if corrections else {},
        progress=bar("Importing"),
    )
    write_manifest(intake.manifest, output)
    if missing is not None:
        _write_names(missing, intake)
    if as_json:
        _print_json(_intake_json(intake, output))
    else:
        _print_intake(intake, output)
    tell_leaks(intake.manifest)
    if intake.failures:
        raise typer.Exit(1)


@app.command()
def check(
    manifest: Given,
    acknowledged: Annotated[
        list[Path] | None,
        typer.Option(parser=given, help="CSV of more leaks that are known and kept."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for missing, undecodable, changed, equal and near-duplicate images, and for leaks.

    A leak is a patient, or a pair of near-duplicates, on two sides of the split; it is an error
    unless the packaged list of the published split's own leaks, or a file of yours, acknowledges
    it with a reason; then it is a note, however little alike the pair is. The exit code is 1 where
    there is any error.

    Example: ladnn data check manifest.csv
    """
    from ladnn.dataset import read_manifest
    from ladnn.inspection import acknowledged_leaks, inspect, view

    known = acknowledged_leaks(*(acknowledged or ()))
    problems = inspect(view(read_manifest(manifest), progress=bar("Checking")), known)
    if as_json:
        _print_json({"manifest": str(manifest), "problems": [_problem_json(p) for p in problems]})
    else:
        _print_problems(problems)
    if any(problem.error for problem in problems):
        raise typer.Exit(1)


@app.command()
def summary(manifest: Given, as_json: AsJson = False) -> None:
    """Print Table 1 and the numbers of Figure 3 of the paper, for each source and for all.

    Example: ladnn data summary manifest.csv
    """
    from ladnn.dataset import read_manifest
    from ladnn.summary import summarise

    read = read_manifest(manifest)
    summaries = summarise(read)
    if as_json:
        _print_json({"labels": read.labels, "summaries": [one.to_json() for one in summaries]})
        return
    for one in summaries:
        _print_summary(one)


@app.command()
def split(
    manifest: Given,
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="Manifest to write, CSV.")
    ],
    source: Annotated[
        list[str] | None, typer.Option(help="Split this source anew; all without it.")
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Split anew by patient (or cluster) into 60, 15 and 25%, near-duplicates kept together.

    So are pairs less alike that the packaged list of the published split's own leaks names: they
    are known to be of one patient.

    Example: ladnn data split manifest.csv --source covid-ct --seed 1 -o resplit.csv
    """
    from ladnn.dataset import read_manifest, require_listed, write_manifest
    from ladnn.inspection import acknowledged_leaks, view
    from ladnn.intake import resplit

    keep_apart(manifest, output)
    refuse_existing(output, overwrite)
    require_writable(output.parent)
    whole = read_manifest(manifest)
    viewed = view(whole, progress=bar("Comparing"))
    if viewed.failures:
        raise DataError(f"{viewed.failures[0][1]} ({len(viewed.failures)} such images)")
    for record, sha256 in zip(viewed.records, viewed.sha256, strict=True):
        require_listed(record, sha256)
    known = acknowledged_leaks().pairs(whole.records)
    result = resplit(whole, viewed.prints, known, sources=source or whole.sources, seed=seed)
    write_manifest(result, output)
    _print_counts(result)
    typer.echo(f"wrote {output}")


@app.command()
def fetch(
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="Folder for COVID-CT.")
    ],
    base_url: Annotated[str | None, typer.Option(help="Another home of the images.")] = None,
    labels_url: Annotated[str | None, typer.Option(help="Another home of the labels.")] = None,
    as_json: AsJson = False,
) -> None:
    """Download COVID-CT, prove every image by the hash of its pixels, and go on where one ended.

    Example: ladnn data fetch -o covid-ct
    """
    from ladnn.fetching import IMAGES_URL, LABELS_URL, fetch_covid_ct

    with _byte_bar() as notify:
        done = fetch_covid_ct(
            output,
            images_url=base_url or IMAGES_URL,
            labels_url=labels_url or LABELS_URL,
            notify=notify,
        )
    _print_fetched(done, output, as_json)


@contextmanager
def _byte_bar() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def notify(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name)
            progress.update(tasks[name], completed=done, total=total or None)

        yield notify


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2))


def _write_names(path: Path, intake: "Intake") -> None:
    names = (name for names in intake.missing.values() for name in names)
    path.parent.mkdir(parents=True, exist_ok=True)  # as that of the manifest
    write_whole(path, "".join(f"{name}\n" for name in names))


def _intake_json(intake: "Intake", output: Path) -> dict[str, Any]:
    from ladnn.summary import summarise

    return {
        "manifest": str(output),
        "labels": intake.manifest.labels,
        "images": len(intake.manifest),
        "summaries": [one.to_json() for one in summarise(intake.manifest)],
        "failures": [{"path": str(path), "error": error} for path, error in intake.failures],
        "missing": {source: list(names) for source, names in intake.missing.items()},
        "unlisted": {source: list(names) for source, names in intake.unlisted.items()},
    }


def _print_intake(intake: "Intake", output: Path) -> None:
    _print_counts(intake.manifest)
    for _, error in intake.failures:
        typer.echo(f"not imported: {error}", err=True)
    for source, names in intake.missing.items():
        more = f" and {len(names) - FEW} more (--missing FILE for all)" if len(names) > FEW else ""
        said = f"{', '.join(names[:FEW])}{more}"
        typer.echo(f"{source} lists {len(names)} images that are not there: {said}", err=True)
    for source, names in intake.unlisted.items():
        typer.echo(f"{source} holds {len(names)} images that no table lists: {names[0]}, ...")
    typer.echo(f"wrote {len(intake.manifest)} images to {output}, labels {intake.manifest.labels}")


def _print_counts(manifest: "Manifest") -> None:
    from ladnn.summary import summarise

    for one in summarise(manifest):
        for flag, row in one.table.items():
            cells = ", ".join(f"{part} {c.images} ({c.patients})" for part, c in row.items())
            typer.echo(f"{one.source} {flag}: images (patients) {cells}")


def _problem_json(problem: "Problem") -> dict[str, Any]:
    return {
        "kind": problem.kind,
        "error": problem.error,
        "paths": [str(path) for path in problem.paths],
        "sentence": problem.sentence,
    }


def _print_problems(problems: Sequence["Problem"]) -> None:
    for problem in problems:
        typer.echo(f"{'error' if problem.error else 'note'}: {problem.kind}: {problem.sentence}")
    errors = sum(problem.error for problem in problems)
    typer.echo(f"{errors} errors, {len(problems) - errors} notes")


def _print_summary(one: "Summary") -> None:
    from rich.console import Console
    from rich.table import Table

    from ladnn.summary import UNKNOWN

    console = Console(markup=False)  # names of sources may hold brackets
    table = Table("images (patients)", *one.table["positive"], title=f"{one.source}: Table 1")
    for flag, row in one.table.items():
        table.add_row(flag, *(f"{c.images} ({c.patients})" for c in row.values()))
    console.print(table)
    if set(one.lesions_per_image) != {UNKNOWN}:  # a table of noughts would say that none has any
        _print_lesions(one, console)
    for title, counts in (
        ("lesions per positive image (Figure 3a)", one.lesions_per_image),
        ("diagnoses of the negatives (Figure 3c)", one.negatives),
    ):
        console.print(f"{title}: " + ", ".join(f"{name}: {n}" for name, n in counts.items()))
    console.print(f"corrected by the label set or a review: {one.corrected}\n")


def _print_lesions(one: "Summary", console: "Console") -> None:
    from rich.table import Table

    from ladnn.findings import LESIONS

    lesions = Table("lesion", *one.lesions[LESIONS[0]], title="positive images showing it")
    for lesion, counts in one.lesions.items():
        lesions.add_row(lesion, *map(str, counts.values()))
    console.print(lesions)
    together = Table("together", *LESIONS, title="concordance of lesions (Figure 3b)")
    for lesion, numbers in zip(LESIONS, one.concordance, strict=True):
        together.add_row(lesion, *map(str, numbers))
    console.print(together)


def _print_fetched(done: "Fetched", folder: Path, as_json: bool) -> None:
    if as_json:
        _print_json({"folder": str(folder), **asdict(done)})
        return
    typer.echo(
        f"COVID-CT is whole in {folder}: {done.present} images were there, {done.added} came, "
        f"and {done.tables} tables"
    )

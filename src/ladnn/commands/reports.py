"""`ladnn reports`: radiology texts to lesion labels, and where labels and texts disagree."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.inputs import given
from ladnn.commands.outputs import AsJson, Overwrite, keep_apart, refuse_existing
from ladnn.commands.progress import bar
from ladnn.findings import LESIONS, RESEARCH_NOTICE

if TYPE_CHECKING:
    from ladnn.labelling import Labelled

app = typer.Typer(
    help="Read radiology reports: lesion labels with the words that prove them.",
    no_args_is_help=True,
)


@app.command()
def label(
    table: Annotated[
        Path, typer.Argument(metavar="FILE.csv", parser=given, help="One report in each row.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="Table of labels to write, CSV.")
    ],
    text_column: Annotated[str, typer.Option(help="Its head, or its number from 1.")] = "caption",
    image_column: Annotated[str, typer.Option(help="Its head, or its number from 1.")] = "image",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Read the report in each row of a table and write its labels, row by row.

    For each row: COVID-19 positive, negative or unstated; the five lesions as 1 or 0; for each
    lesion the words, where they stand in the text, its course and its panels. Images that share the
    caption of a figure with as many panels as there are images are labelled panel by panel.

    Example: ladnn reports label captions.csv --text-column caption -o labels.csv
    """
    from ladnn.labelling import label_table, write_labels

    keep_apart(table, output)
    refuse_existing(output, overwrite)
    labelled = label_table(
        table, text_column=text_column, image_column=image_column, progress=bar("Reading")
    )
    write_labels(labelled, output)
    notes = Counter(one.note for one in labelled if one.note)
    if as_json:
        typer.echo(json.dumps(_summary(labelled, notes, output), indent=2))
        return
    for note, number in notes.items():
        typer.echo(
            f"{number} of {len(labelled)} texts: {note}, so nothing is found in them", err=True
        )
    shown = ", ".join(f"{name} {number}" for name, number in _present(labelled).items())
    typer.echo(f"wrote {len(labelled)} rows to {output}: {shown}. {RESEARCH_NOTICE}")


@app.command()
def review(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST", parser=given, help="With captions, by `ladnn data import`."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="Review to write, CSV.")
    ],
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write every label on which a manifest and its captions disagree, one row for each.

    Write 1 or 0 into the column decision, and why into the column reason; rows left empty change
    nothing. `ladnn data import --corrections` takes the result.

    Example: ladnn reports review manifest.csv -o review.csv
    """
    from ladnn.dataset import read_manifest
    from ladnn.review import counts, disagreements, write_review

    keep_apart(manifest, output)
    refuse_existing(output, overwrite)
    found = disagreements(read_manifest(manifest), progress=bar("Comparing"))
    write_review(found, output)
    by_label = counts(found)
    if as_json:
        typer.echo(json.dumps({"review": str(output), "disagreements": by_label}, indent=2))
        return
    shown = ", ".join(f"{name} {number}" for name, number in by_label.items())
    typer.echo(f"wrote {len(found)} disagreements to {output}: {shown}. {RESEARCH_NOTICE}")


def _present(labelled: Sequence["Labelled"]) -> dict[str, int]:
    return {str(lesion): sum(one.report[lesion].present for one in labelled) for lesion in LESIONS}


def _summary(
    labelled: Sequence["Labelled"], notes: Counter[str], output: Path
) -> dict[str, object]:
    return {
        "labels": str(output),
        "rows": len(labelled),
        "covid": dict(Counter(str(one.report.covid) for one in labelled)),
        "lesions": _present(labelled),
        "notes": dict(notes),
        "research_use_only": True,
    }

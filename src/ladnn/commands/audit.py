"""`ladnn audit`: the questions that reviewers of such a model ask, answered in one report."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.evaluate import Part
from ladnn.commands.extras import auditing_side
from ladnn.commands.inputs import given, one_of
from ladnn.commands.opening import interval_settings, open_predictor
from ladnn.commands.progress import bars
from ladnn.findings import RESEARCH_NOTICE
from ladnn.paths import alone

# Everything heavy is imported where it is used: `ladnn --help` and a wrong call need none of it.
if TYPE_CHECKING:
    from ladnn.audit.examination import Audit

app = typer.Typer()


@app.command()
def audit(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder or shipped name.")],
    *,
    manifest: Annotated[Path, typer.Option(parser=given, help="Made by `ladnn data import`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="A folder for the report.")
    ],
    split: Annotated[Part, one_of(Part, "The part to examine; all: every image.")] = Part.TEST,
    people: Annotated[
        Path | None, typer.Option(parser=given, help="CSV with file name, age and gender.")
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            parser=given, help="Results of `ladnn evaluate` of a model trained without a source."
        ),
    ] = None,
    acknowledged: Annotated[
        list[Path] | None,
        typer.Option(parser=given, help="CSV of more leaks that are known and kept."),
    ] = None,
    cap: Annotated[int, typer.Option(min=1, help="Images of each source at most.")] = 250,
    sample: Annotated[int, typer.Option(min=1, help="About so many images are altered.")] = 80,
    operating_point: Annotated[str, typer.Option(help="A name in the card.")] = "balanced",
    force: Annotated[bool, typer.Option(help="Replace the audit in the folder.")] = False,
    replicates: Annotated[int, typer.Option(min=1, help="Resamples for intervals.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of samples and resampling.")] = 0,
    engine: Annotated[str, typer.Option(help="openvino or onnxruntime.")] = "openvino",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
) -> None:
    """Examine a bundle on the images of a manifest and write one report.

    Leaks, shortcuts, unseen sources, sensitivity to alterations, where the maps lie, subgroups, the
    worst mistakes, suspected labels, calibration, refusals: audit.html (one file), audit.md with
    overlays, and audit.json for programs, all of them or none. The overlays show patients' images:
    keep the folder where those may lie.

    Example: ladnn audit default --manifest manifest.csv -o audits/default
    """
    with auditing_side("ladnn audit"):
        # Asked before any work: the audit itself imports each where it is used.
        for library in ("cleanlab.filter", "skimage.morphology", "sklearn.linear_model"):
            import_module(library)
    from ladnn import evaluation
    from ladnn.audit.examination import Plan, examine
    from ladnn.audit.writing import write
    from ladnn.dataset import read_manifest
    from ladnn.intervals import LEVEL

    settings = interval_settings(replicates, LEVEL, seed)
    listed = read_manifest(manifest)
    images = len(evaluation.part_of(listed, split.value))
    _, predictor = open_predictor(bundle, operating_point, engine, threads, images)
    plan = Plan(
        split=split.value,
        cap=cap,
        sample=sample,
        seed=seed,
        point=operating_point,
        settings=settings,
        people=people,
        results=tuple(results or ()),
        acknowledged=tuple(acknowledged or ()),
    )
    with alone(output):
        evaluation.prepare_folder(output, force=force)
        with bars() as progress:
            found = examine(predictor, listed, plan, progress)
        write(found, output)
    _report(found, output)
    if found.failures:
        raise typer.Exit(1)


def _report(found: "Audit", folder: Path) -> None:
    for record, sentence in found.failures:
        typer.echo(f"{record.path}: {sentence}", err=True)
    for answer in found.answers:
        typer.echo(f"{answer.title}:")
        for finding in answer.findings:
            typer.echo(f"  {finding}")
    typer.echo(f"Report: {folder / 'audit.html'}")
    typer.echo(RESEARCH_NOTICE)

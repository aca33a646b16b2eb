"""`ladnn evaluate`: a bundle on one part of a manifest, with intervals, as files and a table."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ladnn.commands.answers import tell
from ladnn.commands.inputs import given, one_of
from ladnn.commands.opening import interval_settings, open_predictor
from ladnn.commands.outputs import tell_leaks
from ladnn.commands.progress import stages
from ladnn.findings import RESEARCH_NOTICE
from ladnn.paths import alone

# Everything heavy is imported where it is used: `ladnn --help` and a wrong call need none of it.
if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ladnn.bundle import Bundle, Card
    from ladnn.evaluation import Evaluation
    from ladnn.intervals import Estimate
    from ladnn.scoring import AtThreshold, Group, Scores

app = typer.Typer()

_WIDE = 200  # columns of a table that goes to a file or a pipe
_RANKING = {
    "auc": "AUC",
    "average_precision": "avg. precision",
    "brier": "Brier score",
    "ece": "ECE",
}
_LESION_RATES = {"sensitivity": "sensitivity", "specificity": "specificity", "f1": "F1"}
_RATES = {**_LESION_RATES, "precision": "precision", "accuracy": "accuracy"}


class Part(StrEnum):
    """What `--split` takes: `splitting.PARTS` and `evaluation.EVERYTHING`."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    ALL = "all"


@app.command()
def evaluate(
    *,
    manifest: Annotated[Path, typer.Option(parser=given, help="Made by `ladnn data import`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="A folder for the results.")
    ],
    bundle: Annotated[str, typer.Option(help="A bundle's folder or shipped name.")] = "default",
    split: Annotated[Part, one_of(Part, "The part to judge; all: every image.")] = Part.TEST,
    operating_point: Annotated[str, typer.Option(help="A name in the card.")] = "balanced",
    maps: Annotated[
        bool, typer.Option("--maps", help="Keep the maps of every image, for figure 5.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json.")] = False,
    force: Annotated[bool, typer.Option(help="Replace the results in the folder.")] = False,
    replicates: Annotated[int, typer.Option(min=1, help="Resamples for intervals.")] = 2000,
    level: Annotated[float, typer.Option(help="Coverage of intervals, as 0.95.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
    engine: Annotated[str, typer.Option(help="openvino or onnxruntime.")] = "openvino",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
) -> None:
    """Measure a bundle on the images of a manifest.

    Writes predictions.csv, metrics.json and config.json. Each metric comes with an interval from a
    bootstrap that draws patients. An image that cannot be read is named and counted, the others
    are judged, and the exit code is then 1.

    Example: ladnn evaluate --manifest manifest.csv --split test -o results/default
    """
    from ladnn import evaluation
    from ladnn.dataset import read_manifest

    settings = interval_settings(replicates, level, seed)
    listed = read_manifest(manifest)
    sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()  # of what is judged
    tell_leaks(listed)
    images = evaluation.part_size(listed, split.value)
    loaded, predictor = open_predictor(bundle, operating_point, engine, threads, images)
    with alone(output):
        evaluation.prepare_folder(output, force=force)
        with stages() as stage:
            found = evaluation.evaluate(
                predictor,
                listed,
                split.value,
                operating_point=operating_point,
                settings=settings,
                maps=maps,
                on_image=stage("evaluate", images),
            )
        listing = {"path": str(manifest.resolve()), "sha256": sha256, "labels": found.labels}
        config = _config(loaded, found, engine=engine, threads=threads)
        evaluation.write_results(found, output, config | {"manifest": listing})
    _report(found, output, as_json=as_json)
    if found.failures:
        raise typer.Exit(1)


def _config(
    bundle: "Bundle", found: "Evaluation", *, engine: str, threads: int | None
) -> dict[str, Any]:
    """Whatever the results depend on beside the manifest, resolved."""
    from ladnn import __version__
    from ladnn.engines import processor_threads

    return {
        "ladnn": __version__,
        "bundle": {
            "path": str(bundle.path.resolve()),
            **found.model,
            "trained_on": _trained_on(bundle.card),
        },
        "split": found.split,
        "operating_point": found.operating_point,
        "engine": engine,
        "precision": bundle.card.precision,
        "threads": threads or processor_threads(),
        "replicates": found.settings.replicates,
        "level": found.settings.level,
        "seed": found.settings.seed,
    }


def _trained_on(card: "Card") -> list[str]:
    """The sources that a bundle was trained on; none where its card does not know them all."""
    return sorted(card.learned.sources) if card.learned.complete else []


# ------------------------------------------------------------------ what is printed


def _report(found: "Evaluation", folder: Path, *, as_json: bool) -> None:
    for failure in found.failures:
        tell(Path(failure.path), failure.error)
    if as_json:
        # ASCII, so that any file name survives any terminal or pipe.
        sys.stdout.write(json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n")
        return
    from rich.console import Console

    # Names of sources may hold brackets, which are no markup here.
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    print_tables(found, console)
    console.print(f"Results: {folder}")
    console.print(RESEARCH_NOTICE)


def print_tables(found: "Evaluation", console: "Console") -> None:
    """Print one column for each source and one for all, then the lesions over all."""
    from ladnn.study import rule_with_origin

    groups = {"all": found.overall, **found.sources} if len(found.sources) > 1 else found.sources
    model, part = found.model, f"{found.split} split, positive: COVID-19"
    title = f"{model['name']} {model['version']}, {part}"
    console.print(_covid_table(groups, title, found.operating_point))
    for name, group in groups.items():
        caution = group.covid["per_image"].caution
        if caution:
            console.print(f"{name}: {caution}")
    if found.patient_rule:
        console.print(f"a patient: {rule_with_origin(found.patient_rule)}")
    if found.overall.lesions and found.overall.patient_lesions:
        console.print(_lesion_table(found.overall.lesions, found.calibrated, "image"))
        console.print(_lesion_table(found.overall.patient_lesions, found.calibrated, "patient"))
        if not all(found.calibrated.values()):
            console.print("* too few examples: this lesion's probability is not calibrated")
    low, high = f"{100 * found.settings.level:g}% intervals", "resamples of patients"
    console.print(f"{low} from {found.settings.replicates} {high}; ~ no spread, so wider in truth")


def _table(title: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)


def _covid_table(groups: "Mapping[str, Group]", title: str, point: str) -> "Table":
    table = _table(title)
    table.add_column("")
    for name in groups:
        table.add_column(name, justify="right")
    each = list(groups.values())
    table.add_row("images", *(str(group.images) for group in each))
    table.add_row("patients", *(str(group.patients) for group in each))
    decisions = [group.decisions for group in each]
    refused = (_cell(one[point].refusal_rate) for one in decisions)
    table.add_row("not assessable", *refused, end_section=True)
    images = [group.covid["per_image"] for group in each]
    _score_rows(table, "per image", images)
    for name in images[0].at:
        _rate_rows(table, f"image, {name}", [score.at[name] for score in images])
        if name in decisions[0]:
            unsure = (_cell(one[name].indeterminate_rate) for one in decisions)
            table.add_row("  indeterminate", *unsure, end_section=True)
    patients = [group.covid["per_patient"] for group in each]
    _score_rows(table, "per patient", patients)
    for name in patients[0].at:
        _rate_rows(table, f"patient, {name}", [score.at[name] for score in patients])
        if name in each[0].patient_decisions:
            unsure = (_cell(one.patient_decisions[name].indeterminate_rate) for one in each)
            table.add_row("  indeterminate", *unsure, end_section=True)
    return table


def _score_rows(table: "Table", head: str, scores: "Sequence[Scores]") -> None:
    table.add_row(head)
    for name, label in _RANKING.items():
        table.add_row(f"  {label}", *(_cell(getattr(score, name)) for score in scores))


def _rate_rows(table: "Table", head: str, rates: "Sequence[AtThreshold]") -> None:
    table.add_row(head)
    for name, label in _RATES.items():
        table.add_row(f"  {label}", *(_cell(getattr(rate, name)) for rate in rates))


def _lesion_table(
    lesions: "Mapping[str, Scores]", calibrated: Mapping[str, bool], unit: str
) -> "Table":
    from ladnn.scoring import HALF

    table = _table(f"Lesions, per {unit} where known, at {HALF}")
    for head in ("", "known", "present", "AUC", *_LESION_RATES.values()):
        table.add_column(head, justify="right" if head else "left")
    for lesion, scores in lesions.items():
        rates = (getattr(scores.at[HALF], name) for name in _LESION_RATES)
        table.add_row(
            lesion if calibrated.get(lesion, True) else f"{lesion}*",
            str(scores.cases),
            str(scores.positives),
            *(_cell(estimate) for estimate in (scores.auc, *rates)),
        )
    return table


def _cell(estimate: "Estimate") -> str:
    """As 0.912 (.861-.953); without the noughts, more columns fit a terminal."""
    if estimate.value is None:
        return (estimate.reason or "not defined").partition(":")[0]
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    if estimate.low == estimate.high:
        return f"{estimate.value:.3f} ~"
    low, high = (f"{bound:.3f}".lstrip("0") for bound in (estimate.low, estimate.high))
    return f"{estimate.value:.3f} ({low}-{high})"

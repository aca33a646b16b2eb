"""`ladnn model`: versions of the model; add, compare, promote, roll back, update."""

import getpass
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ladnn.commands.extras import site_side, training_side
from ladnn.commands.inputs import SiteConfig, given
from ladnn.commands.outputs import AsJson
from ladnn.commands.progress import stages

if TYPE_CHECKING:
    from ladnn.bundle import Bundle
    from ladnn.gate import Verdict
    from ladnn.ledger import Version
    from ladnn.registry import Registry
    from ladnn.updating import Update

app = typer.Typer(help="Versions of the model: which answers, and which may.", no_args_is_help=True)

Place = Annotated[
    str | None,
    typer.Option("--registry", help="A folder or s3://bucket/prefix; the site's own without it."),
]
Label = Annotated[str, typer.Argument(metavar="VERSION", help="As `ladnn model list` names it.")]
Why = Annotated[str, typer.Option(help="The reason, for the record.")]
By = Annotated[str | None, typer.Option(help="Who does it; the user of this machine without it.")]


@app.command()
def card(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder or shipped name.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="A folder for the documents.")
    ],
    results: Annotated[
        Path | None,
        typer.Option(parser=given, help="metrics.json of `ladnn evaluate` on the test split."),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(parser=given, help="audit.json of `ladnn audit` on this bundle.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace the documents in the folder.")] = False,
) -> None:
    """Write a model card, a datasheet, and CLAIM and TRIPOD+AI checklists, as Markdown.

    Filled from the card and the result files given; what those cannot answer stays visibly open.

    Example: ladnn model card default -o cards/default
    """
    from ladnn.bundle import load_bundle
    from ladnn.evaluation import prepare_folder
    from ladnn.findings import RESEARCH_NOTICE
    from ladnn.model_card.documents import write_documents
    from ladnn.model_card.facts import facts, read_audit, read_metrics

    read = load_bundle(bundle).card
    metrics = None if results is None else read_metrics(results, read)
    examined = None if audit is None else read_audit(audit, read)
    found = facts(read, metrics, examined)
    prepare_folder(output, force=force)
    title = f"{read.name} {read.version}"
    for document in write_documents(found, title, output):
        total = len(document.entries)
        path = output / f"{document.name}.md"
        typer.echo(f"{document.title}: {document.answered} of {total} items answered: {path}")
    typer.echo(RESEARCH_NOTICE)


@app.command("list")
def list_(registry: Place = None, config: SiteConfig = None, as_json: AsJson = False) -> None:
    """List every version with its state, what it reached on the locked test, and why.

    Example: ladnn model list --registry models
    """
    opened = open_registry(registry, config)
    found = opened.versions()
    rows = [_row(opened, version) for version in found.values()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        _print_rows(rows)
    else:
        where = "" if registry is None else f" in {registry}"
        typer.echo(f"There is no version yet{where}: `ladnn model add` takes one in")


@app.command()
def add(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder or shipped name.")],
    why: Why,
    manifest: Annotated[
        Path | None,
        typer.Option(parser=given, help="Judge it on this manifest's test split, which is locked."),
    ] = None,
    registry: Place = None,
    config: SiteConfig = None,
    by: By = None,
) -> None:
    """Take a bundle in as a candidate.

    Example: ladnn model add default --manifest base.csv --registry models --why "the first"
    """
    opened = open_registry(registry, config)
    loaded, _ = opened.check_addition(bundle, why=why)
    if manifest is None:
        label = opened.add(bundle, {}, by=_who(by), why=why)
        typer.echo(f"{label} is a candidate that was never judged")
        return
    files, still_locked = _judged(opened, loaded, manifest)
    label = opened.add(bundle, files, by=_who(by), why=why, check=still_locked)
    typer.echo(f"{label} is a candidate")


@app.command()
def judge(
    label: Label,
    manifest: Annotated[
        Path, typer.Option(parser=given, help="Its test split is locked, as `add` locks it.")
    ],
    why: Why,
    registry: Place = None,
    config: SiteConfig = None,
    by: By = None,
) -> None:
    """Judge a version that was added without a manifest.

    Example: ladnn model judge default-9 --manifest base.csv --why "to be compared"
    """
    from ladnn.locked_test import EVALUATION

    opened = open_registry(registry, config)
    opened.check_judging(label, EVALUATION, why=why)
    files, still_locked = _judged(opened, opened.open(label), manifest)
    opened.judge(label, files, by=_who(by), why=why, check=still_locked)
    typer.echo(f"{label} was judged: `ladnn model list` shows how it did")


def _judged(
    opened: "Registry", bundle: "Bundle", manifest: Path
) -> tuple[dict[str, bytes], Callable[[], None]]:
    """What a registry keeps of a bundle's trial on a manifest's test split.

    And the check that this split is still the locked one, for two may be judged at the same time.
    """
    from ladnn.dataset import read_manifest
    from ladnn.gate import Gate
    from ladnn.locked_test import EVALUATION, check_test, evidence, judge

    listed = read_manifest(manifest)
    check_test(opened, listed)
    with stages() as stage:
        advance = stage("locked test", len(listed.part("test")))
        found = judge(bundle, listed, Gate(), advance)
    return {EVALUATION: evidence(bundle, found, listed)}, lambda: check_test(opened, listed)


@app.command()
def promote(
    label: Label, why: Why, registry: Place = None, config: SiteConfig = None, by: By = None
) -> None:
    """Make a version the champion; running sites answer with it within ten seconds.

    No gate stands in the way of who decides by hand, but what it would have said is told.

    Example: ladnn model promote default-1.1 --why "passed the gate"
    """
    from ladnn.locked_test import objection

    opened = open_registry(registry, config)
    doubt = objection(opened, label)
    opened.promote(label, by=_who(by), why=why)
    typer.echo(f"{label} is the champion")
    if doubt:
        sys.stderr.write(f"mind: {doubt}; `ladnn model rollback` brings back the champion before\n")


@app.command()
def rollback(why: Why, registry: Place = None, config: SiteConfig = None, by: By = None) -> None:
    """Bring back the champion before this one.

    Example: ladnn model rollback --why "misses basal opacities"
    """
    label = open_registry(registry, config).rollback(by=_who(by), why=why)
    none = "no version" if registry else "no version, so the bundle of the settings,"
    typer.echo(f"{label or none} is the champion again")


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="The version to compare with.")],
    second: Annotated[str, typer.Argument(help="The version to judge.")],
    registry: Place = None,
    config: SiteConfig = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions on the locked test that both were judged on, image by image.

    Example: ladnn model compare default-1 default-1.1
    """
    from ladnn.locked_test import compare_versions

    verdict = compare_versions(open_registry(registry, config), first, second)
    if as_json:
        typer.echo(json.dumps(verdict.to_json(), indent=2))
    else:
        _print_verdict(verdict)


@app.command()
def update(
    dataset: Annotated[
        Path, typer.Argument(parser=given, help="Contributed images, as the site exports them.")
    ],
    *,
    manifest: Annotated[
        Path,
        typer.Option(parser=given, help="The base manifest; its test split is the locked test."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=given, help="A folder for the runs.")
    ],
    config: Annotated[
        Path | None, typer.Option(parser=given, help="TOML, such as conf/update.toml.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: training.epochs=12.")
    ] = None,
    registry: Place = None,
    site_config: SiteConfig = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Train a challenger with contributed images and promote it if it passes the gate.

    It learns by the champion's own recipe. It is judged on the locked test beside the champion and
    the first champion, and promoted only where, against each of the two, sensitivity and AUC are
    not inferior and no subgroup falls beyond its margin. Otherwise it stays a candidate, with the
    reason. An interrupted update goes on when the same command is given again.

    Example: ladnn model update dataset-3 --manifest base.csv -o runs/update-3
    """
    with training_side("updating"):
        from ladnn.updating import UpdateConfig
        from ladnn.updating import update as run
    from ladnn.config import read_config
    from ladnn.dataset import read_manifest

    chosen = read_config(config, settings or [], UpdateConfig)
    opened = open_registry(registry, site_config)
    with stages() as stage:
        done = run(
            dataset, read_manifest(manifest), opened, output, chosen, by=_who(by), stage=stage
        )
    _report(done, as_json=as_json)


def open_registry(place: str | None, config: Path | None = None) -> "Registry":
    """The registry at a folder or URL; without one, that of the site that the settings name."""
    from ladnn.registry import Registry
    from ladnn.storage import Store

    if place is not None:
        return Registry(Store(place))
    with site_side("the registry of a site"):
        from ladnn.service.settings import read_settings
        from ladnn.service.upkeep import running_registry
    return running_registry(read_settings(config))


def _who(by: str | None) -> str:
    """Who does it: as given, or the user of this machine, who has no name in some containers."""
    try:
        return by or getpass.getuser()
    except (KeyError, OSError):  # the latter of later versions of Python
        return f"uid {os.getuid()}"


def _row(registry: "Registry", version: "Version") -> dict[str, Any]:
    from ladnn.errors import DamagedError
    from ladnn.locked_test import read_trial

    damaged = False
    try:
        trial = read_trial(registry, version.label)
    except DamagedError:  # the others are listed
        trial, damaged = None, True
    last = (version.added, *version.events)[-1]
    score = trial.metrics["all"]["covid"]["per_image"] if trial else {}
    return {
        "version": version.label,
        "status": version.status,
        "damaged": damaged,
        "auc": score.get("auc"),
        "sensitivity": trial.rates["sensitivity"] if trial else None,
        "data_version": trial.data_version if trial else None,
        "by": last.by,
        "at": last.at.isoformat(timespec="seconds"),
        "why": last.why,
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    heads = ("version", "status", "AUC", "sensitivity", "when", "who", "why")
    table = Table(*(Column(head, overflow="fold") for head in heads))  # nothing is cut off
    for row in rows:
        scores = [_cell(row[name]) for name in ("auc", "sensitivity")]
        cells = (row["version"], row["status"], *(["damaged"] * 2 if row["damaged"] else scores))
        table.add_row(*cells, row["at"], row["by"], row["why"])
    Console(markup=False).print(table)


def _cell(estimate: dict[str, Any] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "not judged"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}-{estimate['high']:.3f})"


def _print_verdict(verdict: "Verdict") -> None:
    for check in verdict.checks:
        typer.echo(f"{'passed' if check.passed else 'failed'}: {check.sentence}")


def _report(done: "Update", *, as_json: bool) -> None:
    judged = done.judgement
    if as_json:
        said = {
            "version": done.label,
            "champion": done.label if judged.verdict.passed else judged.champion,
            "contributed": done.contributed,
            "left_out": [{"path": str(path), "why": why} for path, why in done.left_out],
            "verdict": judged.verdict.to_json(),
        }
        typer.echo(json.dumps(said, indent=2))
        return
    for path, why in done.left_out:
        named = why if why.startswith(str(path)) else f"{path.name}: {why}"
        sys.stderr.write(f"left out: {named}\n")
    typer.echo(f"{done.contributed} contributed images were learned from")
    _print_verdict(judged.verdict)
    if judged.verdict.passed:
        typer.echo(f"{done.label} is the champion")
    else:
        typer.echo(f"{done.label} stays a candidate; {judged.champion} remains the champion")

"""Leave one source out: how a model does on the collections that it did not learn from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ladnn.audit.answers import Answer, Cell, Table, auc, few, words
from ladnn.audit.subjects import Subject
from ladnn.bundle import Card, Learned, read_card
from ladnn.dataset import Manifest, hash_records
from ladnn.errors import BundleError, DataError
from ladnn.evaluation import CONFIG, METRICS, SCHEMA_VERSION
from ladnn.findings import NOT_ANSWERED
from ladnn.intervals import Estimate
from ladnn.scoring import Settings

_HEADS = ("model", "learned from", "judged on", "images", "patients", "AUC", "")
_FEW = "too few to conclude from"
_GONE = "unknown: its bundle is gone"
_UNSAID = "unknown: its card does not say"


class Judged(NamedTuple):
    """A line of the table, and whether the model was trained on its source; None if unknown."""

    cells: tuple[Cell, ...]
    seen: bool | None


def learned_from(card: Card, manifest: Manifest) -> Learned:
    """The sources that any member of the bundle trained on, by its card.

    A training configuration that names no source took all that have training images in its
    manifest; `manifest` tells them where the hash in the card shows that it is the same.
    """
    if card.learned.complete:
        return card.learned
    records = [record for record in manifest if record.split in ("train", "val")]
    if hash_records(records) != card.data_hash:
        return card.learned
    return Learned(sources=tuple(dict.fromkeys(r.source for r in records)), complete=True)


def _in_words(learned: Learned) -> str:
    names = ", ".join(learned.sources)
    if learned.complete:
        return names
    return f"{names} and what else its manifest held, unknown" if names else _UNSAID


def answer(
    card: Card,
    manifest: Manifest,
    subjects: Sequence[Subject],
    settings: Settings,
    *,
    results: Sequence[Path],
) -> Answer:
    """The bundle on each source, and result folders of other bundles.

    Raises:
        DataError: for a folder without complete results of `ladnn evaluate`.
    """
    known = learned_from(card, manifest)
    rows = [_row(card.name, known, source, subjects, settings) for source in _sources(subjects)]
    for folder in results:
        rows += read_results(folder, manifest, settings.level)
    return Answer(
        key="outside",
        title="Leave one source out",
        method=(
            "What the card names as training sources is compared with the source of each image. "
            "Result folders that were given are read for models trained without a source."
        ),
        findings=_findings(rows),
        tables=(
            Table(title="Each source alone", heads=_HEADS, rows=tuple(row.cells for row in rows)),
        ),
    )


def _sources(subjects: Sequence[Subject]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(subject.case.source for subject in subjects))


def _row(
    name: str, known: Learned, source: str, subjects: Sequence[Subject], settings: Settings
) -> Judged:
    cases = [subject.case for subject in subjects if subject.case.source == source]
    patients = len({case.patient for case in cases})
    remark = _FEW if few(cases) else ""
    sizes = (len(cases), patients)
    cells = (name, _in_words(known), source, *sizes, auc(cases, settings), remark)
    return Judged(cells, known.saw(source))


def _findings(rows: Sequence[Judged]) -> tuple[str, ...]:
    unseen = [row.cells for row in rows if row.seen is False]
    unknown = dict.fromkeys(f"{row.cells[0]} on {row.cells[2]}" for row in rows if row.seen is None)
    sentences = []
    if not unseen:
        why = "every image examined is of a source that the model learned from"
        if unknown:
            why = "no image examined is known to be of a source that the model did not learn from"
        sentences.append(
            f"{NOT_ANSWERED}: {why}; give results of a bundle trained without one by --results."
        )
    for name, learned, source, images, patients, found, remark in unseen:
        what = f"{name}, which learned from {learned}, has AUC {words(found)} on {source}"
        sizes = f"{words(images)} images, {words(patients)} patients"
        verdict = remark or _against_chance(found)
        sentences.append(f"{what}, which it never saw ({sizes}); {verdict}.")
    if unknown:
        sentences.append(
            f"Whether the model learned from the source is not known of {', '.join(unknown)}: "
            "nothing is concluded from those."
        )
    return tuple(sentences)


def _against_chance(found: Cell) -> str:
    if not isinstance(found, Estimate) or found.low is None or found.high is None:
        return "not told from chance"
    if found.high < 0.5:
        return "worse than chance"
    return "better than chance" if found.low > 0.5 else "not told from chance"


# ------------------------------------------------------------------ results of other bundles


def read_results(folder: Path, manifest: Manifest, level: float) -> list[Judged]:
    """One row for each source in a folder of `ladnn evaluate`.

    Raises:
        DataError: when the folder is not complete, of another version, or has intervals of another
            level than the audit's.
    """
    metrics, config = _json(folder / METRICS, folder), _json(folder / CONFIG, folder)
    try:
        if metrics["schema_version"] != SCHEMA_VERSION:
            raise DataError(
                f"{folder / METRICS} has schema version {metrics['schema_version']!r} and this "
                f"ladnn reads {SCHEMA_VERSION}: evaluate again"
            )
        found = float(metrics["intervals"]["level"])
        if found != level:
            raise DataError(
                f"{folder} has {100 * found:g}% intervals and this audit {100 * level:g}%: "
                f"evaluate again with --level {level:g}"
            )
        bundle = config["bundle"]
        learned = _learned(Path(bundle["path"]), bundle["sha256"], manifest)
        return [
            _result_row(metrics["model"]["name"], learned, source, group)
            for source, group in metrics["sources"].items()
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder} does not hold what ladnn evaluate writes ({type(error).__name__}: {error}): "
            "run it again"
        ) from error


def _learned(bundle: Path, sha256: str, manifest: Manifest) -> Learned | None:
    """What the bundle of that graph learned from; None where it is gone, also for another one."""
    try:
        card = read_card(bundle)
    except BundleError:
        return None
    return learned_from(card, manifest) if card.sha256 == sha256 else None


def _result_row(
    name: str, learned: Learned | None, source: str, group: Mapping[str, Any]
) -> Judged:
    scores = group["covid"]["per_image"]
    found = Estimate(**scores["auc"])
    remark = _FEW if scores["caution"] else ""
    known = _GONE if learned is None else _in_words(learned)
    cells = (name, known, source, group["images"], group["patients"], found, remark)
    return Judged(cells, None if learned is None else learned.saw(source))


def _json(path: Path, folder: Path) -> Any:  # noqa: ANN401  (JSON)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{folder} holds no complete results ({path.name}: {error.strerror}): give a folder "
            "written by ladnn evaluate"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: run ladnn evaluate again") from error

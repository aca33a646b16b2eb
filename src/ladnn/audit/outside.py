"""Leave one source out: how a model does on the collections that it did not learn from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ladnn.audit.answers import Answer, Cell, Table, auc, few, words
from ladnn.audit.subjects import Subject
from ladnn.bundle import Card, read_card
from ladnn.dataset import Manifest
from ladnn.errors import BundleError, DataError
from ladnn.evaluation import CONFIG, METRICS
from ladnn.intervals import Estimate
from ladnn.scoring import Settings

_HEADS = ("model", "learned from", "judged on", "images", "patients", "AUC", "")
_FEW = "too few to conclude from"
_GONE = "unknown: its bundle is gone"


def learned_from(card: Card, manifest: Manifest) -> tuple[str, ...]:
    """The sources that any member of the bundle trained on, by its card.

    A training configuration that names no source took all that have training images in its
    manifest; those of `manifest` stand for them.
    """
    everything = tuple(
        dict.fromkeys(record.source for record in manifest if record.split in ("train", "val"))
    )
    named: dict[str, None] = {}
    for member in card.training.get("members", ()):
        sources = member.get("config", {}).get("sources") or everything
        named |= dict.fromkeys(map(str, sources))
    return tuple(named) or everything


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
        rows += read_results(folder, manifest)
    unseen = [row for row in rows if row[1] != _GONE and row[2] not in str(row[1]).split(", ")]
    return Answer(
        key="outside",
        title="Leave one source out",
        method=(
            "What the card names as training sources is compared with the source of each image. "
            "Result folders that were given are read for models trained without a source."
        ),
        findings=_findings(unseen),
        tables=(Table(title="Each source alone", heads=_HEADS, rows=tuple(rows)),),
    )


def _sources(subjects: Sequence[Subject]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(subject.case.source for subject in subjects))


def _row(
    name: str, known: Sequence[str], source: str, subjects: Sequence[Subject], settings: Settings
) -> tuple[Cell, ...]:
    cases = [subject.case for subject in subjects if subject.case.source == source]
    patients = len({case.patient for case in cases})
    remark = _FEW if few([case.label for case in cases]) else ""
    learned = ", ".join(known)
    return (name, learned, source, len(cases), patients, auc(cases, settings), remark)


def _findings(unseen: Sequence[tuple[Cell, ...]]) -> tuple[str, ...]:
    if not unseen:
        return (
            "Not answered: every image examined is of a source that the model learned from; give "
            "results of a bundle trained without one by --results.",
        )
    sentences = []
    for name, learned, source, images, patients, found, remark in unseen:
        what = f"{name}, which learned from {learned}, has AUC {words(found)} on {source}"
        sizes = f"{words(images)} images, {words(patients)} patients"
        verdict = remark or _against_chance(found)
        sentences.append(f"{what}, which it never saw ({sizes}); {verdict}.")
    return tuple(sentences)


def _against_chance(found: Cell) -> str:
    low = found.low if isinstance(found, Estimate) else None
    return "better than chance" if low is not None and low > 0.5 else "not told from chance"


# ------------------------------------------------------------------ results of other bundles


def read_results(folder: Path, manifest: Manifest) -> list[tuple[Cell, ...]]:
    """One row for each source in a folder of `ladnn evaluate`.

    Raises:
        DataError: when the folder is not complete.
    """
    metrics, config = _json(folder / METRICS, folder), _json(folder / CONFIG, folder)
    try:
        learned = _learned(Path(config["bundle"]["path"]), manifest)
        return [
            _result_row(metrics["model"]["name"], learned, source, group)
            for source, group in metrics["sources"].items()
        ]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{folder} lacks {error}: it is no result of this ladnn evaluate, so run it again"
        ) from error


def _learned(bundle: Path, manifest: Manifest) -> str:
    try:
        return ", ".join(learned_from(read_card(bundle), manifest))
    except BundleError:
        return _GONE


def _result_row(name: str, learned: str, source: str, group: Mapping[str, Any]) -> tuple[Cell, ...]:
    scores = group["covid"]["per_image"]
    found = Estimate(**scores["auc"])
    remark = _FEW if scores["caution"] else ""
    return (name, learned, source, group["images"], group["patients"], found, remark)


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

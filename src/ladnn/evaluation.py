"""A predictor and a manifest in; predictions.csv, metrics.json and config.json out."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from ladnn.bundle import Card, StudyRule
from ladnn.csvs import csv_text
from ladnn.dataset import Manifest, Record, require_listed
from ladnn.errors import DataError, LadnnError
from ladnn.findings import LESIONS, RESEARCH_NOTICE, Decision, Prediction
from ladnn.heatmaps import MAPS, Heatmaps
from ladnn.imaging import CtImage, read_image
from ladnn.paths import LOCK_FILE, put_together, require_writable
from ladnn.runtime import DEFAULT_POINT, Assessment
from ladnn.scoring import Case, Group, Settings, score
from ladnn.splitting import PARTS
from ladnn.study import patients, rule_in_words

SCHEMA_VERSION = 2
CALIBRATED = "calibrated"
"""What `lesion_calibration` says of a lesion that is; of another it says why not."""
EVERYTHING = "all"
"""The split that takes every image of a manifest, those without a split too."""

PREDICTIONS, METRICS, CONFIG = "predictions.csv", "metrics.json", "config.json"

COLUMNS = (
    "path",
    "source",
    "patient",
    "covid_label",
    "covid_probability",
    "decision",
    *(f"{lesion}_{what}" for lesion in LESIONS for what in ("probability", "label")),
    "in_distribution",
)

Source = TypeVar("Source")
Result = TypeVar("Result")


class Judge(Protocol):
    """What evaluation needs of a `runtime.Predictor`."""

    card: Card

    def each(
        self,
        sources: Iterable[Source],
        read: Callable[[Source], CtImage],
        finish: Callable[[Source, CtImage, Assessment], Result],
        operating_point: str = ...,
    ) -> Iterator[tuple[Source, Result | LadnnError]]:
        """Yield the result or the error of each source, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An image of the manifest that was not judged, and why."""

    path: str
    source: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model said of one part of a manifest, and how good that is.

    Attributes:
        model: name, version, mode and sha256 of the bundle.
        split: one of `PARTS`, or `EVERYTHING`.
        labels: the manifest's label set.
        operating_point: of the decisions in predictions.csv.
        settings: of the intervals.
        cases: the images judged, in the manifest's order.
        failures: the images that were not.
        overall: metrics over all sources.
        sources: metrics of each source alone, by name.
        calibrated: whether each lesion's probability is calibrated, by name; empty for a baseline.
        patient_rule: how the images of a patient make one probability; None for the plain mean,
            which nobody chose.
        heatmaps: of the cases, in their order; None where they were not asked for.
    """

    model: Mapping[str, str]
    split: str
    labels: str
    operating_point: str
    settings: Settings
    cases: tuple[Case, ...]
    failures: tuple[Failure, ...]
    overall: Group
    sources: Mapping[str, Group]
    calibrated: Mapping[str, bool]
    patient_rule: StudyRule | None = None
    heatmaps: Heatmaps | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of metrics.json; undefined numbers are null and say why."""
        return {
            "schema_version": SCHEMA_VERSION,
            "research_use_only": RESEARCH_NOTICE,
            "model": dict(self.model),
            "split": self.split,
            "labels": self.labels,
            "positive_class": "COVID-19",
            "operating_point": self.operating_point,
            "intervals": {
                "method": "percentile bootstrap that draws patients",
                **asdict(self.settings),
            },
            "images": {
                "listed": len(self.cases) + len(self.failures),
                "evaluated": len(self.cases),
                "failed": len(self.failures),
            },
            "failures": [asdict(failure) for failure in self.failures],
            "lesion_calibration": {
                name: CALIBRATED if known else "too few examples"
                for name, known in self.calibrated.items()
            },
            "patient_rule": self._rule(),
            "all": asdict(self.overall),
            "sources": {name: asdict(group) for name, group in self.sources.items()},
        }

    def _rule(self) -> dict[str, Any]:
        rule = self.patient_rule or StudyRule()
        return {
            "rule": rule.rule,
            "fraction": rule.fraction,
            "minimum": rule.minimum,
            "meaning": rule_in_words(rule),
            "chosen_on": "validation" if rule.chosen else None,
        }


def evaluate(
    predictor: Judge,
    manifest: Manifest,
    split: str,
    *,
    operating_point: str = DEFAULT_POINT,
    settings: Settings | None = None,
    maps: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Judge one part of a manifest and measure how well.

    An image that cannot be read, or whose file is not the one that the manifest was made from, is
    listed among the failures and the others are judged all the same.

    Args:
        predictor: of a bundle.
        manifest: images and what is known of them.
        split: "train", "val", "test", or "all" for every image.
        operating_point: of the decisions that are listed; metrics cover all points of the card.
        settings: of the intervals.
        maps: keep the maps of every image, a few kilobytes each.
        on_image: called after each image.

    Raises:
        DataError: when the split is unknown or holds no image, or none that could be judged.
        BundleError: for an operating point that the card does not name.
    """
    card, chosen = predictor.card, settings or Settings()
    card.operating_point(operating_point)
    records = part_of(manifest, split)
    judged = _judge_all(predictor, records, operating_point, on_image, maps=maps)
    overall, sources = _groups(judged.cases, records, card, chosen)
    return Evaluation(
        model={name: getattr(card, name) for name in ("name", "version", "mode", "sha256")},
        split=split,
        labels=manifest.labels,
        operating_point=operating_point,
        settings=chosen,
        cases=tuple(judged.cases),
        failures=tuple(judged.failures),
        overall=overall,
        sources=sources,
        calibrated={name: item.calibrated for name, item in card.lesions.items()},
        patient_rule=card.study_rule,
        heatmaps=_heatmaps(judged.cases, judged.kept) if maps else None,
    )


class _Judged(NamedTuple):
    """The images judged and those that were not; `kept` holds what was said where maps are."""

    cases: list[Case]
    failures: list[Failure]
    kept: list[Assessment]


def _judge_all(
    predictor: Judge,
    records: Sequence[Record],
    operating_point: str,
    on_image: Callable[[], None],
    *,
    maps: bool,
) -> _Judged:
    """What the predictor says of each image; DataError where none could be judged."""
    judged = _Judged([], [], [])
    said = predictor.each(records, read_listed, lambda _record, _image, one: one, operating_point)
    for record, result in said:
        if isinstance(result, LadnnError):
            path = record.path.as_posix()
            judged.failures.append(Failure(path=path, source=record.source, error=str(result)))
        else:
            judged.cases.append(case_of(record, result.prediction, predictor.card))
            judged.kept.extend([result] if maps else [])
        on_image()
    if not judged.cases:
        raise DataError(
            f"none of the {len(records)} images could be judged, so nothing is written; the first: "
            f"{judged.failures[0].error}"
        )
    return judged


def part_size(manifest: Manifest, split: str) -> int:
    """How many images `evaluate` will judge; raises DataError as it does."""
    return len(part_of(manifest, split))


def part_of(manifest: Manifest, split: str) -> tuple[Record, ...]:
    """The records of a split, or of `EVERYTHING`; raises DataError where there are none."""
    if split not in (*PARTS, EVERYTHING):
        raise DataError(f"split {split!r} is unknown: give {', '.join(PARTS)} or {EVERYTHING}")
    chosen = manifest if split == EVERYTHING else manifest.part(split)
    if not chosen.records:
        held = {record.split for record in manifest}
        others = ", ".join(name for name in PARTS if name in held) or "no split"
        raise DataError(
            f"the manifest holds no image in {split!r} but {others}: give another --split, or "
            f"{EVERYTHING} for every image"
        )
    return chosen.records


def read_listed(record: Record) -> CtImage:
    """The image of a record; raises DataError where its file is not the one that was imported."""
    image = read_image(record.path)
    require_listed(record, image.sha256)
    return image


def case_of(record: Record, prediction: Prediction, card: Card) -> Case:
    """The prediction of one record, with the decision that each operating point would take."""
    chance = prediction.probability
    decisions = {
        name: point.decide(chance) if prediction.assessable else Decision.NOT_ASSESSABLE
        for name, point in card.operating_points.items()
    }
    return Case(
        path=record.path.as_posix(),
        source=record.source,
        patient=record.patient,
        label=record.covid,
        probability=chance,
        decisions=decisions,
        lesion_labels=record.lesions.values,
        lesion_probabilities=prediction.lesions,
        in_distribution=prediction.score,
    )


def _heatmaps(cases: Sequence[Case], said: Sequence[Assessment]) -> Heatmaps:
    return Heatmaps(
        paths=tuple(case.path for case in cases),
        values=np.stack([one.maps.astype(np.float16) for one in said]),
        boxes=np.array([one.field.box for one in said], dtype=np.float32),
    )


def _groups(
    cases: Sequence[Case], records: Sequence[Record], card: Card, settings: Settings
) -> tuple[Group, dict[str, Group]]:
    """Metrics over all sources and of each; a source whose every image failed is there, empty."""
    overall = score_images(cases, card, settings)
    names = tuple(dict.fromkeys(record.source for record in records))
    if len(names) == 1:
        return overall, {names[0]: overall}
    each = {name: [case for case in cases if case.source == name] for name in names}
    return overall, {name: score_images(part, card, settings) for name, part in each.items()}


def score_images(cases: Sequence[Case], card: Card, settings: Settings) -> Group:
    """All metrics of some images at the card's cuts, and of their patients by its study rule."""
    cuts = {name: point.threshold for name, point in card.operating_points.items()}
    return score(cases, cuts, settings, patients=patients(cases, card))


# ------------------------------------------------------------------ files


def prepare_folder(folder: Path, *, force: bool = False) -> None:
    """Make the folder of a result, before any work is done.

    Raises:
        DataError: when it holds something and `force` is not given, cannot be made, or cannot be
            written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(path.name != LOCK_FILE for path in folder.iterdir())
    except OSError as error:
        raise DataError(
            f"the output folder {folder} cannot be used ({error.strerror}): give another"
        ) from error
    require_writable(folder)
    if occupied and not force:
        raise DataError(f"the output folder {folder} is not empty: give another, or --force")


def write_results(evaluation: Evaluation, folder: Path, config: Mapping[str, Any]) -> None:
    """Write predictions.csv, config.json and, last, metrics.json, each whole or not at all.

    maps.npz comes first where the evaluation kept maps; one of an earlier result is removed. The
    metrics.json of an earlier result goes first, so that a killed run leaves no mixture that passes
    for a result.

    Raises:
        DataError: when a file cannot be written.
    """
    maps = evaluation.heatmaps
    files = {
        MAPS: None if maps is None else maps.to_bytes(),
        PREDICTIONS: _csv(evaluation),
        CONFIG: _json(config),
        METRICS: _json(evaluation.to_json()),
    }
    try:
        put_together({folder / name: text for name, text in files.items()}, folder / METRICS)
    except OSError as error:
        raise DataError(
            f"the results cannot be written to {folder} ({error.strerror}): give another folder"
        ) from error


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(evaluation: Evaluation) -> str:
    """One row per image judged; probabilities in full, so that metrics can be made from them."""
    rows: list[Iterable[object]] = [COLUMNS]
    for case in evaluation.cases:
        chances = case.lesion_probabilities or (None,) * len(LESIONS)
        lesions: list[object] = []
        for chance, label in zip(chances, case.lesion_labels, strict=True):
            lesions += ["" if chance is None else chance, "" if label is None else int(label)]
        decision = case.decisions[evaluation.operating_point]
        head = (case.path, case.source, case.patient, int(case.label), case.probability, decision)
        rows.append((*head, *lesions, case.in_distribution))  # None is an empty cell
    return csv_text(rows)

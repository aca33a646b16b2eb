"""Asks every question of one bundle on one manifest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ladnn.audit import (
    attention,
    labels,
    leaks,
    mistakes,
    outside,
    performance,
    sensitivity,
    shortcuts,
    subgroups,
    trust,
)
from ladnn.audit.answers import Answer, Progress, count, silently
from ladnn.audit.people import Person, read_people
from ladnn.audit.subjects import Subject, by_source_and_label, capped, look, views
from ladnn.bundle import Card
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.evaluation import part_of
from ladnn.findings import RESEARCH_NOTICE
from ladnn.runtime import DEFAULT_POINT, Predictor
from ladnn.scoring import Settings

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is examined, and how.

    Attributes:
        split: of the manifest; "all" for every image.
        cap: images of each source at most, and training images of each for the probes.
        sample: about so many images are altered, at least one of each source and label.
        seed: of every sample.
        point: the operating point of all rates.
        settings: of the intervals.
        people: a table of age and sex by file name.
        results: folders of `ladnn evaluate` of models trained without a source.
        acknowledged: tables of leaks that are known and kept.
    """

    split: str = "test"
    cap: int = 250
    sample: int = 80
    seed: int = 0
    point: str = DEFAULT_POINT
    settings: Settings = field(default_factory=Settings)
    people: Path | None = None
    results: tuple[Path, ...] = ()
    acknowledged: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Audit:
    """An audit that was done.

    Attributes:
        listed: the images of the split before the cap.
        remarks: what has to be known before the answers are read.
        worst: whose overlays are drawn.
    """

    card: Card
    labels: str
    plan: Plan
    listed: int
    subjects: tuple[Subject, ...]
    failures: tuple[tuple[Record, str], ...]
    remarks: tuple[str, ...]
    answers: tuple[Answer, ...]
    worst: tuple[Subject, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of audit.json."""
        card, plan = self.card, self.plan
        return {
            "schema_version": SCHEMA_VERSION,
            "research_use_only": RESEARCH_NOTICE,
            "model": {
                "name": card.name,
                "version": card.version,
                "mode": card.mode,
                "sha256": card.sha256,
            },
            "labels": self.labels,
            "plan": {
                "split": plan.split,
                "cap": plan.cap,
                "sample": plan.sample,
                "seed": plan.seed,
                "operating_point": plan.point,
                "intervals": asdict(plan.settings),
            },
            "images": {
                "listed": self.listed,
                "examined": len(self.subjects),
                "failed": len(self.failures),
            },
            "failures": [
                {"path": record.path.as_posix(), "error": sentence}
                for record, sentence in self.failures
            ],
            "remarks": list(self.remarks),
            "answers": [answer.to_json() for answer in self.answers],
        }


def examine(
    predictor: Predictor, manifest: Manifest, plan: Plan, progress: Progress = silently
) -> Audit:
    """Ask every question.

    Raises:
        DataError: a split without images, images that cannot be read at all, a table of people or
            a result folder that cannot be used. BundleError: an unknown operating point.
    """
    card = predictor.card
    card.operating_point(plan.point)
    listed = part_of(manifest, plan.split)
    people = None if plan.people is None else read_people(plan.people, manifest)
    # Result folders are read first, so that a wrong one is told before minutes are spent.
    for folder in plan.results:
        outside.read_results(folder, manifest, plan.settings.level)
    chosen = capped(listed, plan.cap, plan.seed)
    subjects, failures = look(predictor, chosen, progress)
    return Audit(
        card=card,
        labels=manifest.labels,
        plan=plan,
        listed=len(listed),
        subjects=subjects,
        failures=failures,
        remarks=_remarks(card, manifest, subjects, len(listed)),
        answers=_answers(predictor, manifest, subjects, plan, people=people, progress=progress),
        worst=mistakes.worst(subjects, card, point=plan.point),
    )


def _answers(
    predictor: Predictor,
    manifest: Manifest,
    subjects: Sequence[Subject],
    plan: Plan,
    *,
    people: dict[Path, Person] | None,
    progress: Progress,
) -> tuple[Answer, ...]:
    card, settings, point = predictor.card, plan.settings, plan.point
    held_out = not _learned(card, manifest, subjects)
    return (
        performance.answer(card, subjects, settings, point=point),
        leaks.answer(manifest, subjects, settings, progress, acknowledged=plan.acknowledged),
        shortcuts.source_answer(subjects, settings),
        _without_lungs(predictor, manifest, subjects, plan, progress),
        outside.answer(card, manifest, subjects, settings, results=plan.results),
        sensitivity.answer(
            predictor,
            _sample(subjects, plan),
            settings,
            progress,
            point=point,
            seed=plan.seed,
        ),
        attention.answer(card, subjects, settings, point=point),
        subgroups.answer(card, subjects, settings, point=point, people=people),
        mistakes.answer(card, subjects, point=point),
        labels.answer(subjects, held_out=held_out),
        trust.calibration_answer(subjects, settings),
        trust.refusal_answer(card, subjects, settings, point=point),
    )


def _without_lungs(
    predictor: Predictor,
    manifest: Manifest,
    subjects: Sequence[Subject],
    plan: Plan,
    progress: Progress,
) -> Answer:
    sources = {subject.case.source for subject in subjects}
    training = [r for r in manifest if r.split == "train" and r.source in sources]
    seen = views(predictor, capped(training, plan.cap, plan.seed), progress)
    return shortcuts.lungs_answer(predictor, subjects, seen, plan.settings, progress)


def _sample(subjects: Sequence[Subject], plan: Plan) -> tuple[Subject, ...]:
    """About `plan.sample` subjects, as many of each source and label where there are enough."""
    records = [subject.view.record for subject in subjects]
    each = max(1, plan.sample // len({by_source_and_label(record) for record in records}))
    kept = set(capped(records, each, plan.seed, by_source_and_label))
    return tuple(subject for subject in subjects if subject.view.record in kept)


# ------------------------------------------------------------------ what has to be known first


def _learned(card: Card, manifest: Manifest, subjects: Sequence[Subject]) -> list[Subject]:
    """The subjects that the bundle trained on or chose by, if the manifest is that of training.

    Where nobody can tell whether it learned from their source, or they have no split, they are
    among them.
    """
    learned = outside.learned_from(card, manifest)
    return [
        subject
        for subject in subjects
        if learned.saw(subject.case.source) is not False and subject.view.record.split != "test"
    ]


def _remarks(
    card: Card, manifest: Manifest, subjects: Sequence[Subject], listed: int
) -> tuple[str, ...]:
    remarks = [_hash_remark(card, manifest)]
    seen = _learned(card, manifest, subjects)
    if seen:
        learned = outside.learned_from(card, manifest)
        split = all(subject.view.record.split for subject in seen)
        sure = split and all(learned.saw(subject.case.source) for subject in seen)
        where = "of the training or validation split" if split else "not of the test split"
        remarks.append(
            f"{len(seen)} of the {count(len(subjects), 'image')} examined are {where}: numbers on "
            f"those {'are' if sure else 'may be'} too good."
        )
    if len(subjects) < listed:
        remarks.append(f"{len(subjects)} of {listed} images are examined: a seeded sample.")
    return tuple(remarks)


def _hash_remark(card: Card, manifest: Manifest) -> str:
    sources = outside.learned_from(card, manifest).sources
    learned = [r for r in manifest if r.source in sources and r.split in ("train", "val")]
    if hash_records(learned) == card.data_hash:
        return (
            "The training and validation images in the manifest are exactly those that the bundle "
            "learned from (their hash is the card's), so the test split is one that it never saw."
        )
    return (
        "The training and validation images in the manifest are not shown to be those that the "
        "bundle learned from (their hash is not the card's): that the images examined were never "
        "learned from rests on whoever made the manifest."
    )

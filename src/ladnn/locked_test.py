"""The locked test: the part of a manifest that judges every version, and what is kept of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ladnn.bundle import Bundle
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.errors import DataError, RegistryError
from ladnn.evaluation import Evaluation, evaluate
from ladnn.findings import LESIONS, Decision
from ladnn.gate import Answers, Gate, Verdict, compare
from ladnn.registry import Registry
from ladnn.runtime import Predictor
from ladnn.scoring import Case, Settings

EVALUATION = "evaluation.json"
"""Name of the file that a version keeps of its evaluation."""


def locked_test(manifest: Manifest) -> str:
    """Hash of the locked test: its pictures, labels, patients and sources."""
    return hash_records(manifest.part("test").records)


def judge(
    bundle: Bundle, manifest: Manifest, gate: Gate, on_image: Callable[[], None] = lambda: None
) -> Evaluation:
    """Judge a bundle on the locked test.

    Raises:
        DataError: when an image of it cannot be read: a test with holes is another test.
    """
    found = evaluate(
        Predictor(bundle),
        manifest,
        "test",
        operating_point=gate.operating_point,
        settings=Settings(replicates=gate.replicates, level=gate.level, seed=gate.seed),
        on_image=on_image,
    )
    if found.failures:
        first = found.failures[0]
        raise DataError(
            f"the locked test is not whole ({first.path}: {first.error}): "
            "put back the images that it was made of"
        )
    return found


def subgroups(records: Sequence[Record]) -> dict[str, list[int]]:
    """Positions by subgroup: each source, each flag, both, each diagnosis, each lesion shown."""
    found: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        flag = "positives" if record.covid else "negatives"
        names = [record.source, flag, f"{record.source}, {flag}"]
        names += [record.diagnosis] if record.diagnosis else []
        shown = zip(LESIONS, record.lesions.values, strict=True)
        names += [f"images with {lesion}" for lesion, present in shown if present]
        for name in names:
            found.setdefault(name, []).append(row)
    return found


def evidence(bundle: Bundle, found: Evaluation, manifest: Manifest) -> bytes:
    """What the registry keeps of an evaluation: metrics, and one row per image without its name."""
    records = manifest.part("test").records
    patients: dict[tuple[str, str], int] = {}
    rows = [
        {
            "image": record.pixel_hash or record.sha256,
            "source": record.source,
            "patient": patients.setdefault((record.source, record.patient), len(patients)),
            "label": int(case.label),
            "probability": case.probability,
            "decision": case.decisions[found.operating_point],
        }
        for record, case in zip(records, found.cases, strict=True)
    ]
    test = {
        "sha256": locked_test(manifest),
        "images": len(rows),
        "patients": len(patients),
        "sources": sorted({record.source for record in records}),
    }
    point = bundle.card.operating_points[found.operating_point]
    data = {
        "locked_test": test,
        "data_version": bundle.card.data_hash,
        "threshold": point.threshold,
        "metrics": found.to_json(),
        "cases": rows,
        "subgroups": subgroups(records),
    }
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()


def answers(bundle: Bundle, found: Evaluation) -> Answers:
    """What the gate compares."""
    point = bundle.card.operating_point(found.operating_point)
    return Answers(cases=found.cases, threshold=point.threshold)


# ------------------------------------------------------------------ what the registry has kept


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a version did on the locked test, as `evidence` wrote it.

    Attributes:
        test: hash of the locked test, its numbers of images and patients, its sources.
        data_version: hash of what the version was trained on.
        metrics: as in metrics.json.
        answers: image by image; patients are numbers and images are hashes.
        subgroups: positions of its images by name; the sources alone in what older versions wrote.
    """

    test: Mapping[str, Any]
    data_version: str
    metrics: Mapping[str, Any]
    answers: Answers
    subgroups: Mapping[str, Sequence[int]]


def read_trial(registry: Registry, label: str) -> Trial | None:
    """The trial of a version; None where it was added without one.

    Raises RegistryError for an unknown version or an altered file.
    """
    version = registry.versions().get(label)
    if version is not None and EVALUATION not in version.added.files:
        return None
    data = json.loads(registry.read(label, EVALUATION))
    cases = tuple(
        Case(
            path=row["image"],
            source=row["source"],
            patient=str(row["patient"]),
            label=bool(row["label"]),
            probability=row["probability"],
            decisions={data["metrics"]["operating_point"]: Decision(row["decision"])},
        )
        for row in data["cases"]
    )
    return Trial(
        test=data["locked_test"],
        data_version=data["data_version"],
        metrics=data["metrics"],
        answers=Answers(cases=cases, threshold=data["threshold"]),
        subgroups=data.get("subgroups") or _by_source(cases),
    )


def _by_source(cases: Sequence[Case]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, case in enumerate(cases):
        found.setdefault(case.source, []).append(row)
    return found


def compare_versions(registry: Registry, first: str, second: str) -> Verdict:
    """The second version against the first, from what the registry has kept of both.

    Raises RegistryError where one was never judged, or the two on different tests.
    """
    trials = []
    for label in (first, second):
        trial = read_trial(registry, label)
        if trial is None:
            raise RegistryError(f"{label} was never judged: add it with --manifest")
        trials.append(trial)
    old, new = trials
    if old.test["sha256"] != new.test["sha256"]:
        raise RegistryError(f"{first} and {second} were judged on different tests: judge one anew")
    richer = max(old.subgroups, new.subgroups, key=len)  # the test is the same, so both are of it
    return compare(old.answers, new.answers, richer, Gate())


def refuse_other_test(registry: Registry, base: Manifest) -> None:
    """Raise DataError unless the base's test split is the one that champions were judged on.

    The newest of them that was judged tells: one that never was does not open the lock.
    """
    for label in reversed(registry.line()):
        trial = read_trial(registry, label)
        if trial is None:
            continue
        if trial.test["sha256"] != locked_test(base):
            raise DataError(
                f"the test split is not the one that {label} was judged on, which is locked: "
                "give the base manifest that it was added with"
            )
        return

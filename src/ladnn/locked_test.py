"""The locked test: the part of a manifest that judges every version, and what is kept of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ladnn.bundle import Bundle
from ladnn.config import build
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.errors import BundleError, ConfigError, DataError, RegistryError
from ladnn.evaluation import Evaluation, evaluate
from ladnn.findings import LESIONS, Decision
from ladnn.gate import Answers, Check, Gate, Verdict, compare
from ladnn.registry import Registry
from ladnn.runtime import DEFAULT_POINT, Predictor
from ladnn.scoring import Case, Settings

EVALUATION = "evaluation.json"
"""Name of the file that a version keeps of its evaluation."""
VERDICT = "verdict.json"
"""Name of the file that the challenger of an update keeps of its gate."""
FEWEST = 3
"""Patients of each class in a locked test: with fewer, too many draws of patients have one class
alone for an interval, and no challenger could pass."""


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
    """Positions by subgroup: each source, each flag, both, each diagnosis, each lesion shown.

    Those of one name are one subgroup, in which a position stands once.
    """
    found: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        flag = "positives" if record.covid else "negatives"
        names = [record.source, flag, f"{record.source}, {flag}"]
        names += [record.diagnosis] if record.diagnosis else []
        shown = zip(LESIONS, record.lesions.values, strict=True)
        names += [f"images with {lesion}" for lesion, present in shown if present]
        for name in dict.fromkeys(names):  # a source may bear the name of a diagnosis
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

    @property
    def rates(self) -> Mapping[str, Any]:
        """Sensitivity and the like at the default operating point, where versions can be compared.

        At that of the trial where the version has no such point.
        """
        at = self.metrics["all"]["covid"]["per_image"]["at"]
        shared = DEFAULT_POINT if DEFAULT_POINT in at else self.metrics["operating_point"]
        found: Mapping[str, Any] = at[shared]
        return found


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What an update concluded on its challenger.

    Attributes:
        champion: the version that answered then.
        gate: what the challenger had to pass.
        verdict: whether it did.
    """

    champion: str
    gate: Gate
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """A JSON object, which `read_judgement` reads."""
        return asdict(self)


def _kept(registry: Registry, label: str, name: str) -> Any:  # noqa: ANN401  # what JSON holds
    """What a version's file says; None where it was added without one."""
    version = registry.versions().get(label)
    if version is not None and version.brought(name) is None:
        return None
    return json.loads(registry.read(label, name))


def read_judgement(registry: Registry, label: str) -> Judgement | None:
    """What the update that made a version concluded; None where no update made it.

    Raises RegistryError for an unknown version or an altered file.
    """
    data = _kept(registry, label, VERDICT)
    if data is None:
        return None
    said = data["verdict"]
    return Judgement(
        champion=data.get("champion", ""),  # which older programs did not write
        gate=build(Gate, data["gate"], f" of {label}"),
        verdict=Verdict(**{**said, "checks": tuple(Check(**one) for one in said["checks"])}),
    )


def read_trial(registry: Registry, label: str) -> Trial | None:
    """The trial of a version; None where it was added without one.

    Raises RegistryError for an unknown version or an altered file.
    """
    data = _kept(registry, label, EVALUATION)
    if data is None:
        return None
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

    By the gate that the second had to pass; by the usual one where no update made it.

    Raises RegistryError where one was never judged, or the two on different tests, or what is kept
    of them cannot be read by this program.
    """
    trials = []
    for label in (first, second):
        trial = read_trial(registry, label)
        if trial is None:
            raise RegistryError(f"{label} was never judged: `ladnn model judge {label}` does it")
        trials.append(trial)
    old, new = trials
    if old.test["sha256"] != new.test["sha256"]:
        raise RegistryError(
            f"{first} and {second} were judged on different tests: compare versions of one"
        )
    richer = max(old.subgroups, new.subgroups, key=len)  # the test is the same, so both are of it
    try:
        judged = read_judgement(registry, second)
        gate = judged.gate if judged else Gate()
        before, after = (
            _answers_at(registry, label, trial, gate.operating_point)
            for label, trial in zip((first, second), trials, strict=True)
        )
    except (BundleError, ConfigError) as error:
        raise RegistryError(f"{first} and {second} cannot be compared: {error}") from error
    return compare(before, after, richer, gate)


def objection(registry: Registry, label: str) -> str:
    """Why the gate would not promote a version over the champion; "" where it would, or is none.

    Raises RegistryError for an unknown version or an altered file.
    """
    champion = registry.champion()
    if champion is None or champion == label:
        return ""
    try:
        verdict = compare_versions(registry, champion, label)
    except RegistryError as error:
        return f"nothing shows how it does beside {champion} ({error})"
    if verdict.passed:
        return ""
    return f"beside {champion} it does not pass the gate: {verdict.reason}"


def _answers_at(registry: Registry, label: str, trial: Trial, point: str) -> Answers:
    """A version's answers at an operating point of its own card."""
    if trial.metrics["operating_point"] == point:
        return trial.answers
    threshold = registry.open(label).card.operating_point(point).threshold
    return replace(trial.answers, threshold=threshold)


def check_test(registry: Registry, base: Manifest) -> None:
    """Raise DataError unless the base's test split can judge and is what versions were judged on.

    The newest of them that was judged tells, champion or not: one that never was does not open the
    lock.
    """
    _require_both_classes(base.part("test"))
    for label in reversed(list(registry.versions())):
        trial = read_trial(registry, label)
        if trial is None:
            continue
        if trial.test["sha256"] != locked_test(base):
            raise DataError(
                f"the test split is not the one that {label} was judged on, which is locked: "
                "give the base manifest that it was added with"
            )
        return


def _require_both_classes(test: Manifest) -> None:
    ill, well = (
        len({(r.source, r.patient) for r in test if r.covid is covid}) for covid in (True, False)
    )
    if min(ill, well) < FEWEST:
        raise DataError(
            f"the test split has {ill} patients with COVID-19 and {well} without: to judge a "
            f"version it needs at least {FEWEST} of each"
        )

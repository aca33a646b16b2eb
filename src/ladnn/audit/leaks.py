"""Are the sides of the split apart: patients and near-duplicates on two of them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ladnn.audit.answers import Answer, Progress, Table, auc, count, words
from ladnn.audit.subjects import Subject
from ladnn.dataset import Manifest
from ladnn.inspection import Problem, acknowledged_leaks, inspect, view
from ladnn.scoring import Case, Settings
from ladnn.similarity import NEAR

_MEANING = {
    "patient": "a patient on two sides",
    "leak": "near-duplicates on two sides",
    "known": "a pair less alike that is known to belong together on two sides",
    "name": "patients or sources whose names differ by spaces or letter case alone",
    "flags": "near-duplicates with opposite labels on one side",
    "duplicate": "the same picture twice on one side",
    "near-duplicate": "near-duplicates of two patients on one side",
    "missing": "an image that is gone",
    "undecodable": "an image that cannot be decoded",
    "changed": "an image that is another than was imported",
}
_CROSSING = ("patient", "leak", "known")


def answer(
    manifest: Manifest,
    subjects: Sequence[Subject],
    settings: Settings,
    progress: Progress,
    *,
    acknowledged: Sequence[Path],
) -> Answer:
    """Every image of the manifest compared with every other."""
    viewed = view(manifest, progress=lambda items: progress("Comparing", items))
    problems = inspect(viewed, acknowledged_leaks(*acknowledged))
    crossing = [problem for problem in problems if problem.kind in _CROSSING]
    leaked = {path for problem in crossing for path in problem.paths}
    apart = [s.case for s in subjects if s.view.record.path not in leaked]
    return Answer(
        key="leaks",
        title="Patients and near-duplicates across splits",
        method=(
            f"All {count(len(viewed.records), 'image')} of the manifest that could be decoded are "
            f"compared with each other; from a similarity of {NEAR} on two are near-duplicates. "
            "Where patients are unknown a cluster of near-duplicates stands for one."
        ),
        findings=(
            *_sentences(crossing),
            _without(subjects, apart, settings),
        ),
        tables=(_kinds(problems), _pairs(crossing)),
    )


def _sentences(crossing: Sequence[Problem]) -> tuple[str, ...]:
    kinds = Counter(problem.kind for problem in crossing)
    known = kinds["known"]
    sentence = (
        f"{count(kinds['patient'], 'patient')} and {count(kinds['leak'], 'pair')} of "
        "near-duplicates lie on two sides of the split"
    )
    if known:
        verb = "does" if known == 1 else "do"
        sentence += f", as {verb} {count(known, 'pair')} less alike and known to belong together"
    if not crossing:
        return (f"{sentence}.",)
    listed = sum(not problem.error for problem in crossing)
    return (f"{sentence}; {listed} of these {len(crossing)} leaks are acknowledged with a reason.",)


def _without(subjects: Sequence[Subject], apart: Sequence[Case], settings: Settings) -> str:
    cases = [subject.case for subject in subjects]
    touched = len(cases) - len(apart)
    whole = f"AUC of the {count(len(cases), 'image')} examined is {words(auc(cases, settings))}"
    if not touched:
        return f"None of the images examined is part of a leak; the {whole}."
    kept = words(auc(apart, settings))
    return f"The {whole}, and {kept} without the {touched} that are part of a leak."


def _kinds(problems: Sequence[Problem]) -> Table:
    counts = Counter((problem.kind, problem.error) for problem in problems)
    rows = tuple((_MEANING[kind], counts[kind, True], counts[kind, False]) for kind in _MEANING)
    return Table(
        title="What was found",
        heads=("what", "errors", "acknowledged, or worth a look"),
        rows=rows,
    )


def _pairs(crossing: Sequence[Problem]) -> Table:
    rows = tuple((p.kind, "error" if p.error else "acknowledged", p.sentence) for p in crossing)
    return Table(title="The leaks", heads=("kind", "", "what"), rows=rows, of_images=True)

"""`python -m bench.reports COVID-CT`: how well captions become labels, and two ways of context.

On the training captions of COVID-CT, whose labels the authors gave: plain keywords, our words
alone, our words with negspaCy's negation, with our own rules, and with the panel of each image;
patients are drawn for the intervals. What is tuned is chosen on the other patients of each fold.
"""

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from bench.sentences import DENIALS, SENTENCES
from ladnn.errors import LadnnError
from ladnn.findings import LESIONS, Lesion
from ladnn.intervals import Estimate, bootstrap
from ladnn.labelling import Labelled, label_images
from ladnn.reports import Course, Mention, Report, label_report
from ladnn.sources import covid_ct
from ladnn.statistics import at_threshold, ratio

Labels = NDArray[np.bool_]
Negation = Callable[[str, Sequence[tuple[int, int]]], list[bool]]
"""(text, spans) -> whether each span is denied."""

KEYWORDS = {
    Lesion.GGO: r"ground[\s-]?glass|\bggo",
    Lesion.CSLD: r"consolidat",
    Lesion.CRPA: r"crazy[\s-]?paving",
    Lesion.AIRBR: r"air[\s-]?bronchogram",
    Lesion.INSEPTHI: r"septal thickening|thickened .{0,20}sept",
}
FOLDS = 10
_VAGUE = re.compile(r"(?!.*gl?[ra]+s).*(?:shadow|opacit)", re.IGNORECASE)
_COBBLESTONE = re.compile(r"cobble", re.IGNORECASE)
_CONDENSATION = re.compile(r"condensation", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image with its caption and the authors' labels."""

    image: str
    patient: str
    caption: str
    given: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What the captions decide about the authors' habits; the values are those that ship.

    Attributes:
        by_panel: an image of a figure carries what the caption says of its panel.
        vague: patchy or hazy shadows are ground glass.
        gone: a lesion that goes or went away is a label.
        doubted: so is one that is only possible.
        cobblestone: is crazy paving.
        condensation: is consolidation.
    """

    by_panel: bool = True
    vague: bool = True
    gone: bool = True
    doubted: bool = True
    cobblestone: bool = False
    condensation: bool = False


NONE = Conventions(**dict.fromkeys((field.name for field in fields(Conventions)), False))


def training_cases(folder: Path) -> list[Case]:
    """The images of COVID-CT in `folder` that have a caption: those of the training part."""
    found = covid_ct.read(folder, labels="published", extract_to=folder)
    return [
        Case(
            image=entry.path.name,
            patient=entry.patient,
            caption=entry.caption,
            given=tuple(bool(value) for value in entry.lesions.values),
        )
        for entry in found.entries
        if entry.caption.strip()
    ]


def by_keywords(cases: Sequence[Case]) -> Labels:
    """A plain search of the caption for one expression per lesion."""
    found = [
        [bool(re.search(KEYWORDS[lesion], case.caption, re.IGNORECASE)) for lesion in LESIONS]
        for case in cases
    ]
    return np.array(found)


def by_rules(
    cases: Sequence[Case], conventions: Conventions, denied: Negation | None = None
) -> Labels:
    """The labels under `conventions`; `denied` takes the place of our own context rules."""
    labelled = label_images([(case.image, case.caption) for case in cases])
    return np.array(
        [
            _row(one, case.caption, conventions, denied)
            for one, case in zip(labelled, cases, strict=True)
        ]
    )


def _row(
    one: Labelled, caption: str, conventions: Conventions, denied: Negation | None
) -> list[bool]:
    report = one.report if conventions.by_panel else label_report(caption)
    row = [
        any(_counts(mention, conventions, no) for mention, no in _judged(report, lesion, denied))
        for lesion in LESIONS
    ]
    row[LESIONS.index(Lesion.CRPA)] |= conventions.cobblestone and bool(
        _COBBLESTONE.search(caption)
    )
    row[LESIONS.index(Lesion.CSLD)] |= conventions.condensation and bool(
        _CONDENSATION.search(caption)
    )
    return row


def _judged(report: Report, lesion: Lesion, denied: Negation | None) -> list[tuple[Mention, bool]]:
    mentions = report[lesion].mentions
    if denied is None:
        return [(mention, mention.course is Course.NEGATED) for mention in mentions]
    spans = [(mention.span.start, mention.span.end) for mention in mentions]
    return list(zip(mentions, denied(report.text, spans), strict=True))


def _counts(mention: Mention, conventions: Conventions, denied: bool) -> bool:
    gone = mention.course in (Course.RESOLVED, Course.RESOLVING)
    left_out = (
        denied,
        gone and not conventions.gone,
        mention.course is Course.UNCERTAIN and not conventions.doubted,
        bool(_VAGUE.fullmatch(mention.span.words)) and not conventions.vague,
    )
    return not any(left_out)


def cross_validated(cases: Sequence[Case], seed: int = 0) -> tuple[Labels, list[Conventions]]:
    """Labels of each image under the conventions that the other folds' patients choose."""
    patients = sorted({case.patient for case in cases})
    np.random.default_rng(seed).shuffle(patients)
    fold_of = {patient: number % FOLDS for number, patient in enumerate(patients)}
    folds = np.array([fold_of[case.patient] for case in cases])
    truth = np.array([case.given for case in cases])
    predicted = partial(_remembered, cases, {})
    out, chosen = np.zeros_like(truth), []
    for fold in range(FOLDS):
        learning = folds != fold
        best = _choose(truth, predicted, learning)
        out[~learning] = predicted(best)[~learning]
        chosen.append(best)
    return out, chosen


def _remembered(
    cases: Sequence[Case], known: dict[Conventions, Labels], conventions: Conventions
) -> Labels:
    if conventions not in known:
        known[conventions] = by_rules(cases, conventions)
    return known[conventions]


def _choose(
    truth: Labels, predict: Callable[[Conventions], Labels], rows: NDArray[np.bool_]
) -> Conventions:
    """Turn single conventions on or off, from none, while micro-F1 on `rows` grows."""
    best = NONE
    score = _micro(truth[rows], predict(best)[rows])
    for name in [field.name for field in fields(Conventions)] * 2:
        other = replace(best, **{name: not getattr(best, name)})
        if (its := _micro(truth[rows], predict(other)[rows])) > score:
            best, score = other, its
    return best


def _micro(truth: Labels, predicted: Labels) -> float:
    return float(at_threshold("f1", 0.5)(truth.ravel(), predicted.ravel(), None))


def _macro(labels: Any, scores: Any, weights: Any = None) -> NDArray[np.float64]:  # noqa: ANN401  # a Metric takes what NumPy takes
    """Mean F1 of the five lesions; rows are images, each repeated for the lesions in order."""
    shape = (-1, len(LESIONS))
    truth, called = (np.asarray(x, dtype=np.float64).reshape(shape) for x in (labels, scores))
    counts = np.ones(truth.size) if weights is None else np.asarray(weights)
    counts = counts.reshape(*counts.shape[:-1], *truth.shape)
    both, either = (counts * (truth * called)).sum(-2), (counts * (truth + called)).sum(-2)
    return np.asarray(ratio(2 * both, either).mean(-1))


def estimates(cases: Sequence[Case], predicted: Labels) -> dict[str, dict[str, Estimate]]:
    """Precision, recall and F1 by lesion, `micro` and `macro`, with intervals over patients."""
    truth = np.array([case.given for case in cases])
    patients = [case.patient for case in cases]
    metrics = {
        name: at_threshold(metric, 0.5)
        for name, metric in (("precision", "precision"), ("recall", "sensitivity"), ("F1", "f1"))
    }
    found = {
        str(lesion): bootstrap(metrics, truth[:, n], predicted[:, n].astype(float), patients)
        for n, lesion in enumerate(LESIONS)
    }
    repeated = [patient for patient in patients for _ in LESIONS]
    flat = (truth.ravel(), predicted.ravel().astype(float), repeated)
    found["micro"] = bootstrap(metrics, *flat)
    found["macro"] = bootstrap({"F1": _macro}, *flat)
    return found


def negspacy() -> Negation:
    """Negation by negspaCy's own English terms on a blank spaCy pipeline."""
    import negspacy.negation  # noqa: F401 - registers the pipe
    import spacy
    from spacy.util import filter_spans

    pipeline = spacy.blank("en")
    split = pipeline.add_pipe("sentencizer")
    negex = pipeline.add_pipe("negex", config={"ent_types": ["LESION"]})

    def denied(text: str, spans: Sequence[tuple[int, int]]) -> list[bool]:
        document = split(pipeline.make_doc(text))
        found = [document.char_span(*s, label="LESION", alignment_mode="expand") for s in spans]
        document.ents = filter_spans([span for span in found if span is not None])
        negex(document)
        said = {entity.start: entity._.negex for entity in document.ents}
        return [bool(span is not None and said.get(span.start, False)) for span in found]

    return denied


def on_sentences(denied: Negation | None) -> tuple[int, int]:
    """Labels right and labels in all on the invented sentences."""
    right = total = 0
    for text, said in SENTENCES:
        report = label_report(text)
        wanted = {word.split(":")[0]: not word.endswith(":no") for word in said.split()}
        for lesion in LESIONS:
            judged = _judged(report, lesion, denied)
            right += any(not no for _, no in judged) == wanted.get(lesion, False)
            total += 1
    return right, total


def on_denials() -> tuple[int, int]:
    """Labels right on the sentences of denial, and statements on COVID-19 right on them."""
    labels = covid = 0
    for text, stated, lesions in DENIALS:
        report = label_report(text)
        labels += sum(report[lesion].present == (lesion in lesions.split()) for lesion in LESIONS)
        covid += report.covid == stated
    return labels, covid


def main(
    folder: Annotated[Path, typer.Argument(help="COVID-CT, with its tables.")],
) -> None:
    """Print every table of docs/results.md on reports.

    Example: python -m bench.reports ../shared/data/covid-ct
    """
    cases, kept = training_cases(folder), negspacy()
    tuned, chosen = cross_validated(cases)
    whole = Conventions(by_panel=False)
    ways = {
        "keywords": by_keywords(cases),
        "our words alone": by_rules(cases, whole, lambda _, spans: [False] * len(spans)),
        "our words, negspaCy": by_rules(cases, whole, kept),
        "our words, our context": by_rules(cases, whole),
        "with the image's panel, as shipped": by_rules(cases, Conventions()),
        "the same, cross-validated": tuned,
    }
    typer.echo(f"{len(cases)} captions of {len({case.patient for case in cases})} patients")
    for name, predicted in ways.items():
        _print(name, estimates(cases, predicted))
    for conventions in sorted(set(chosen), key=chosen.count, reverse=True):
        typer.echo(f"chosen in {chosen.count(conventions)} of {FOLDS} folds: {conventions}")
    for name, denied in (("negspaCy", kept), ("our context", None)):
        right, total = on_sentences(denied)
        typer.echo(f"{name}: {right} of {total} labels right on {len(SENTENCES)} sentences")
    labels, covid = on_denials()
    typer.echo(f"on {len(DENIALS)} denials: {labels} labels right, COVID-19 right in {covid}")
    for name, seconds in _speed(cases, kept).items():
        typer.echo(f"{name}: {1000 * seconds / len(cases):.2f} ms per caption")


def _print(name: str, found: Mapping[str, Mapping[str, Estimate]]) -> None:
    typer.echo(f"\n{name}\n\n| label | precision | recall | F1 |\n|---|---|---|---|")
    for label, metrics in found.items():
        cells = (_cell(metrics.get(metric)) for metric in ("precision", "recall", "F1"))
        typer.echo(f"| {label} | {' | '.join(cells)} |")


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _speed(cases: Sequence[Case], kept: Negation) -> dict[str, float]:
    """Seconds for all captions, the whole reading against negspaCy's negation alone."""
    reports = [label_report(case.caption) for case in cases]
    started = time.perf_counter()
    for case in cases:
        label_report(case.caption)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    for report in reports:
        mentions = [m for finding in report.findings for m in finding.mentions]
        kept(report.text, [(m.span.start, m.span.end) for m in mentions])
    return {"ours, everything": ours, "negspaCy, negation alone": time.perf_counter() - started}


if __name__ == "__main__":
    try:
        typer.run(main)
    except LadnnError as error:
        sys.exit(str(error))

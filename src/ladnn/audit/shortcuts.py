"""Whether the model judges the lungs, or the collection that an image comes from."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ladnn.audit.answers import Answer, Progress, Table, average, clustered_auc, count, words
from ladnn.audit.lungs import BORDER, Mask, Pixels, border_alone, without_lungs
from ladnn.audit.subjects import Subject, View, run
from ladnn.calibration import probability
from ladnn.findings import NOT_ASKED
from ladnn.intervals import Estimate
from ladnn.runtime import Predictor
from ladnn.scoring import CAUTION_BELOW, Settings, caution

Floats = NDArray[np.float32] | NDArray[np.float64]

FOLDS = 5
ALL, AS_IT_IS = "all", "as it is"
_LEAST = 10  # training images of each class that a probe needs


LOOKS: dict[str, Callable[[Pixels, Mask], Pixels]] = {
    AS_IT_IS: lambda square, _: square,
    "lungs blanked": without_lungs,
    "border alone": border_alone,
}
"""What is shown of an image, by name."""


def source_answer(subjects: Sequence[Subject], settings: Settings) -> Answer:
    """How well the embedding tells where an image comes from."""
    sources = [subject.case.source for subject in subjects]
    names = sorted(set(sources))
    blank = Answer(
        key="sources",
        title="Can the source be told from the embedding?",
        method=(
            "A logistic regression on the standardised embedding predicts the source of each "
            f"image, in {FOLDS} folds that keep patients together. A model that saw only lungs and "
            "lesions would leave it near chance, an AUC of .5."
        ),
        findings=(),
    )
    people = {name: len(_people(subjects, name)) for name in names}
    if len(names) < 2 or min(people.values()) < FOLDS:
        held = ", ".join(f"{name} ({count(n, 'patient')})" for name, n in people.items())
        why = f"at least two sources of {FOLDS} patients are needed; the images are of {held}"
        return replace(blank, findings=(f"{NOT_ASKED}: {why}.",))
    chances = _told(subjects, names)
    patients = [subject.case.patient for subject in subjects]
    rows, found = [], []
    for column, name in enumerate(names):
        is_here = [source == name for source in sources]
        auc = clustered_auc(is_here, chances[:, column].tolist(), patients, settings)
        rows.append((name, sum(is_here), people[name], auc))
        found.append(auc)
    told = [names[int(row.argmax())] for row in chances]
    right = [float(one == source) for one, source in zip(told, sources, strict=True)]
    share = average(right, patients, settings)
    best = max(found, key=lambda estimate: estimate.value or 0)
    smallest = min(people.values())
    most = max(sources.count(name) for name in names) / len(sources)
    sentence = (
        f"The source is told from the embedding in {words(share)} of images, where always naming "
        f"the largest source gives {words(most)}; the AUC is {words(best)} at best."
    )
    heads = ("source", "images", "patients", "AUC against the other sources")
    table = Table(title="Source told from the embedding", heads=heads, rows=tuple(rows))
    return replace(blank, findings=(sentence, _meaning(best, smallest)), tables=(table,))


def _people(subjects: Sequence[Subject], source: str) -> set[str]:
    return {subject.case.patient for subject in subjects if subject.case.source == source}


def _meaning(best: Estimate, smallest: int) -> str:
    if smallest < CAUTION_BELOW:
        return f"A source of {count(smallest, 'patient')} is too small to conclude from."
    if (best.low or 0) > 0.5:
        return (
            "The embedding carries the source, so a difference between collections is open to the "
            "model as a shortcut, and results within one collection overstate those elsewhere."
        )
    return "The embedding was not found to carry the source."


def _told(subjects: Sequence[Subject], names: Sequence[str]) -> NDArray[np.float64]:
    """Probability of each source, float [N, K], from folds that keep patients together."""
    from sklearn.model_selection import StratifiedGroupKFold

    features = np.stack([subject.assessment.embedding for subject in subjects])
    target = np.array([names.index(subject.case.source) for subject in subjects])
    groups = np.array([subject.case.patient for subject in subjects])
    chances = np.zeros((len(target), len(names)))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for learned, asked in folds.split(features, target, groups):
        probe = _probe(features[learned], target[learned])
        chances[np.ix_(asked, probe.classes_)] = probe.predict_proba(features[asked])
    return chances


def _probe(features: Floats, target: NDArray[Any]) -> Any:  # noqa: ANN401  (scikit-learn has no types)
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    axes = min(64, *(size - 1 for size in features.shape))
    reduce = PCA(max(axes, 1), svd_solver="randomized", random_state=0)
    fit = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
    return make_pipeline(StandardScaler(), reduce, StandardScaler(), fit).fit(features, target)


# ------------------------------------------------------------------ without the lungs


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What comes of images shown in one way: probabilities [N] and embeddings [N, C]."""

    chances: Floats
    embeddings: Floats


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Views that have a lung mask, and what comes of them by look."""

    views: tuple[View, ...]
    looks: Mapping[str, _Look]


def lungs_answer(
    predictor: Predictor,
    subjects: Sequence[Subject],
    training: Sequence[View],
    settings: Settings,
    progress: Progress,
) -> Answer:
    """How much is told without the lungs, by the model and by a probe that is trained on that."""
    asked = _see_again(predictor, subjects, progress)
    learned = _see(predictor, training, LOOKS, progress)
    rows = []
    sources = tuple(dict.fromkeys(view.record.source for view in asked.views))
    groups = (*((ALL,) if len(sources) > 1 else ()), *sources)
    for source in groups:
        for look in LOOKS:
            model = _model_auc(asked, look, source, settings)
            probe = _probe_auc(asked, learned, look, source, settings)
            rows.append((source, *_sizes(asked, source), look, model, probe))
    large = {source for source in groups if not _is_few(asked, source)}
    heads = ("source", "positive", "negative", "what is shown", "the model", "a probe, retrained")
    missing = len(subjects) - len(asked.views)
    return Answer(
        key="lungs",
        title="What is told without the lungs?",
        method=(
            "The network's input is altered, after it was cropped to the lungs: the lungs and all "
            "between them set to the grey of the tissue around, or all that and all but a border "
            f"of {BORDER:.0%} on each side. The model is scored on that; and a probe (logistic "
            "regression on the frozen features, standardised, 64 principal axes) is trained on the "
            "training images altered in the same way and scored on the images examined. Both AUCs "
            "should fall to .5; what is left is the chest wall, the outline of what was hidden, "
            f"and opacities that the mask misses. {count(missing, 'image')} of {len(subjects)} "
            "without a lung mask are left out."
        ),
        findings=_lung_findings(rows, large),
        tables=(Table(title="AUC by what is shown", heads=heads, rows=tuple(rows)),),
    )


def _see_again(predictor: Predictor, subjects: Sequence[Subject], progress: Progress) -> _Seen:
    """The subjects as they are, which the model has judged, and in every other look."""
    kept = [subject for subject in subjects if subject.view.lungs is not None]
    others = [name for name in LOOKS if name != AS_IT_IS]
    seen = _see(predictor, [subject.view for subject in kept], others, progress)
    if not kept:
        return seen
    known = _Look(
        chances=np.array([subject.case.probability for subject in kept]),
        embeddings=np.stack([subject.assessment.embedding for subject in kept]),
    )
    return _Seen(views=seen.views, looks={AS_IT_IS: known, **seen.looks})


def _see(
    predictor: Predictor, views: Sequence[View], names: Iterable[str], progress: Progress
) -> _Seen:
    kept = tuple(view for view in views if view.lungs is not None)
    looks = {}
    for name in names if kept else ():
        shown = [_shown(view, view.lungs, LOOKS[name]) for view in kept if view.lungs is not None]
        logits, embeddings = run(predictor, shown, progress, f"Images, {name}")
        chances = probability(logits, predictor.card.temperature)
        looks[name] = _Look(chances=chances, embeddings=embeddings)
    return _Seen(views=kept, looks=looks)


def _shown(view: View, lungs: Mask, look: Callable[[Pixels, Mask], Pixels]) -> Pixels:
    return np.concatenate([look(square, lungs) for square in view.squares])


def _rows(seen: _Seen, source: str) -> NDArray[np.intp]:
    return np.flatnonzero([source in (ALL, view.record.source) for view in seen.views])


def _labels(seen: _Seen, rows: NDArray[np.intp]) -> list[bool]:
    return [seen.views[row].record.covid for row in rows]


def _sizes(seen: _Seen, source: str) -> tuple[int, int]:
    labels = _labels(seen, _rows(seen, source))
    return sum(labels), len(labels) - sum(labels)


def _patients(seen: _Seen, rows: NDArray[np.intp]) -> list[str]:
    return [seen.views[row].record.patient for row in rows]


def _model_auc(seen: _Seen, look: str, source: str, settings: Settings) -> Estimate:
    rows = _rows(seen, source)
    scores = seen.looks[look].chances[rows].tolist()
    return clustered_auc(_labels(seen, rows), scores, _patients(seen, rows), settings)


def _probe_auc(
    asked: _Seen, learned: _Seen, look: str, source: str, settings: Settings
) -> Estimate:
    rows, known = _rows(asked, source), _rows(learned, source)
    truth = np.array(_labels(learned, known), dtype=bool)
    if min(int(truth.sum()), int((~truth).sum())) < _LEAST:
        reason = f"not trained: fewer than {_LEAST} training images of a class"
        return Estimate(value=None, reason=reason)
    probe = _probe(learned.looks[look].embeddings[known], truth)
    scores = probe.predict_proba(asked.looks[look].embeddings[rows])[:, 1]
    return clustered_auc(_labels(asked, rows), scores.tolist(), _patients(asked, rows), settings)


def _is_few(seen: _Seen, source: str) -> bool:
    rows = _rows(seen, source)
    return caution(_labels(seen, rows), _patients(seen, rows)) is not None


def _lung_findings(rows: Sequence[tuple[Any, ...]], large: Container[str]) -> tuple[str, ...]:
    """One sentence for each look that hides the lungs and each source, of which `large` are."""
    sentences = []
    for source, _, _, look, model, probe in rows:
        if look == AS_IT_IS:
            continue
        told = f"the model's AUC is {words(model)}, the retrained probe's {words(probe)}"
        start = f"{source}, {look}: {told}"
        verdict = _verdict(model, probe) if source in large else "too few patients to conclude from"
        sentences.append(f"{start}; {verdict}.")
    return tuple(sentences)


def _verdict(model: Estimate, probe: Estimate) -> str:
    both = (("the model", model), ("the probe", probe))
    above = [name for name, one in both if one.low is not None and one.low > 0.5]
    below = [name for name, one in both if one.high is not None and one.high < 0.5]
    if not above and not below:
        return "neither is told from chance"
    verb = "tell" if len(above) + len(below) > 1 else "tells"
    turned = f", {' and '.join(below)} the wrong way round" if below else ""
    return f"{' and '.join(above + below)} {verb} the classes apart without the lungs{turned}"

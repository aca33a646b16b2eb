"""Can the probability be taken at its word, and what does the model refuse to judge."""

from collections.abc import Sequence

from ladnn.audit.answers import Answer, Cell, Table, average, few, words
from ladnn.audit.subjects import Subject
from ladnn.bundle import Card
from ladnn.calibration import reliability
from ladnn.findings import Decision
from ladnn.intervals import Estimate
from ladnn.scoring import Case, Level, Settings, covid_scores

ALL = "all"


def _groups(subjects: Sequence[Subject]) -> dict[str, list[Case]]:
    cases = [subject.case for subject in subjects]
    names = dict.fromkeys(case.source for case in cases)
    groups = {name: [case for case in cases if case.source == name] for name in names}
    return ({ALL: cases} if len(groups) > 1 else {}) | groups


def calibration_answer(subjects: Sequence[Subject], settings: Settings) -> Answer:
    """Probabilities against outcomes."""
    rows, findings = [], []
    for name, cases in _groups(subjects).items():
        scores = covid_scores(Level(cases=cases, thresholds={}), settings)
        gaps = [case.probability - case.label for case in cases]
        bias = average(gaps, [case.patient for case in cases], settings)
        rows.append((name, scores.cases, bias, scores.brier, scores.ece))
        findings.append(_bias_sentence(name, bias, scores.ece, cases))
    heads = ("source", "images", "mean probability less share of positives", "Brier score", "ECE")
    return Answer(
        key="calibration",
        title="Calibration",
        method=(
            "The temperature was fitted on validation. The calibration error (ECE) is over ten "
            "bins of equal width and biased upward with few images; the Brier score is beside it."
        ),
        findings=tuple(findings),
        tables=(
            Table(title="Calibration", heads=heads, rows=tuple(rows)),
            _bins([subject.case for subject in subjects]),
        ),
    )


def _bias_sentence(name: str, bias: Estimate, ece: Estimate, cases: Sequence[Case]) -> str:
    gap = f"the mean probability less the share of positives is {words(bias)}"
    start = f"{name}: {gap}, ECE {words(ece)}"
    if few(cases):
        return f"{start}; too few patients to conclude from."
    if bias.low is None or bias.high is None or bias.low <= 0 <= bias.high:
        return f"{start}; no general bias is told from none."
    return f"{start}; probabilities are too {'high' if bias.low > 0 else 'low'} in general."


def _bins(cases: Sequence[Case]) -> Table:
    found = reliability([case.label for case in cases], [case.probability for case in cases])
    rows = tuple(
        (f"{low:.1f} to {high:.1f}", int(images), float(predicted), float(observed))
        for low, high, images, predicted, observed in zip(
            found.edges[:-1],
            found.edges[1:],
            found.counts,
            found.predicted,
            found.observed,
            strict=True,
        )
        if images
    )
    heads = ("probability", "images", "mean probability", "share of positives")
    return Table(title="Reliability, all images", heads=heads, rows=rows)


def refusal_answer(
    card: Card, subjects: Sequence[Subject], settings: Settings, *, point: str
) -> Answer:
    """What is refused, and what is called indeterminate."""
    rows: list[tuple[Cell, ...]] = []
    findings = []
    for name, cases in _groups(subjects).items():
        for label, part in _by_label(cases).items():
            refused = _share(part, Decision.NOT_ASSESSABLE, point, settings)
            unsure = _share(part, Decision.INDETERMINATE, point, settings)
            rows.append((name, label, len(part), refused, unsure))
        share = _share(cases, Decision.NOT_ASSESSABLE, point, settings)
        unsure = _share(cases, Decision.INDETERMINATE, point, settings)
        findings.append(
            f"{name}: {words(share)} of {len(cases)} images are refused and {words(unsure)} are "
            "called indeterminate."
        )
    rule = card.operating_point(point).rule
    return Answer(
        key="refusals",
        title="Refusals",
        method=(
            "All images examined are chest CT images, so each refusal is one too many. The "
            f"indeterminate band is that of the {point} point ({rule})."
        ),
        findings=tuple(findings),
        tables=(
            Table(
                title="Refused and indeterminate",
                heads=("source", "label", "images", "refused", "indeterminate"),
                rows=tuple(rows),
            ),
        ),
    )


def _by_label(cases: Sequence[Case]) -> dict[str, list[Case]]:
    return {
        "positive": [case for case in cases if case.label],
        "negative": [case for case in cases if not case.label],
    }


def _share(cases: Sequence[Case], what: Decision, point: str, settings: Settings) -> Estimate:
    taken = [float(case.decisions[point] == what) for case in cases]
    return average(taken, [case.patient for case in cases], settings)

"""Whom and what the model serves worse: by source, lesions, size and format, age and sex."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ladnn.audit.answers import Answer, Cell, Table, few, words
from ladnn.audit.people import Person
from ladnn.audit.subjects import Subject
from ladnn.bundle import Card
from ladnn.intervals import Estimate
from ladnn.scoring import CAUTION_BELOW, Level, Settings, covid_scores

_HEADS = ("group", "positive", "negative", "patients", "AUC", "sensitivity", "specificity", "")
_FEW = f"under {CAUTION_BELOW} patients of a class: not to be concluded from"
UNKNOWN = "unknown"


def answer(
    card: Card,
    subjects: Sequence[Subject],
    settings: Settings,
    *,
    point: str,
    people: Mapping[Path, Person] | None,
) -> Answer:
    """Metrics of each group; `people` is None where no table of ages was given."""
    cut = card.operating_point(point).threshold
    ways: dict[str, Callable[[Subject], str | None]] = {
        "By source": lambda one: one.case.source,
        "By image size (longer side in pixels)": _size,
        "By file format": lambda one: one.format,
        "By number of lesions (positives alone)": _lesions,
    }
    if people is not None:
        known = people
        ways["By age (positives alone)"] = lambda one: _age(one, known)
        ways["By sex (positives alone)"] = lambda one: _sex(one, known)
    tables = tuple(
        _table(name, way, subjects, (point, cut), settings) for name, way in ways.items()
    )
    findings = [sentence for table in tables for sentence in _sentences(table)]
    if people is None:
        findings.append("By age and sex: not asked; no table of them was given (--people).")
    else:
        findings.append(_coverage(subjects, people))
    return Answer(
        key="subgroups",
        title="Subgroups",
        method=(
            f"Sensitivity and specificity are at the {point} threshold. Number of lesions, age and "
            "sex are known of positives alone, so sensitivity is all that can be given there. "
            f"Groups of fewer than {CAUTION_BELOW} patients of a class that a number rests on "
            "are shown and not concluded from."
        ),
        findings=tuple(findings),
        tables=tables,
    )


def _size(subject: Subject) -> str:
    longer = max(subject.size)
    for limit in (256, 512):
        if longer < limit:
            return f"under {limit}"
    return "512 and more"


def _lesions(subject: Subject) -> str | None:
    if not subject.case.label:
        return None
    labels = subject.view.record.lesions
    return f"{min(labels.count, 3)}{'+' if labels.count >= 3 else ''}" if labels.known else UNKNOWN


def _age(subject: Subject, people: Mapping[Path, Person]) -> str | None:
    if not subject.case.label:
        return None
    age = people.get(subject.view.record.path, Person()).age
    if age is None:
        return UNKNOWN
    return "under 40" if age < 40 else "40 to 59" if age < 60 else "60 and over"


def _sex(subject: Subject, people: Mapping[Path, Person]) -> str | None:
    if not subject.case.label:
        return None
    return people.get(subject.view.record.path, Person()).sex or UNKNOWN


def _table(
    title: str,
    way: Callable[[Subject], str | None],
    subjects: Sequence[Subject],
    cut: tuple[str, float],
    settings: Settings,
) -> Table:
    groups: dict[str, list[Subject]] = {}
    for subject in subjects:
        name = way(subject)
        if name is not None:
            groups.setdefault(name, []).append(subject)
    rows = tuple(_row(name, groups[name], cut, settings) for name in sorted(groups, key=_order))
    return Table(title=title, heads=_HEADS, rows=rows)


def _order(name: str) -> tuple[bool, bool, str]:
    return name == UNKNOWN, not name.startswith("under"), name


def _row(
    name: str, subjects: Sequence[Subject], cut: tuple[str, float], settings: Settings
) -> tuple[Cell, ...]:
    cases = [subject.case for subject in subjects]
    scores = covid_scores(Level(cases=cases, thresholds=dict([cut])), settings)
    at = scores.at[cut[0]]
    alone = scores.negatives == 0
    rests = scores.patients < CAUTION_BELOW if alone else few(cases)
    numbers = (scores.auc, at.sensitivity, at.specificity)
    sizes = (scores.positives, scores.negatives, scores.patients)
    return (name, *sizes, *numbers, _FEW if rests else "")


def _sentences(table: Table) -> list[str]:
    """The best and the worst of the groups that are large enough, by AUC or by sensitivity."""
    alone = table.title.endswith("(positives alone)")
    column, name = (5, "sensitivity") if alone else (4, "AUC")
    known = [row for row in table.rows if row[0] != UNKNOWN and _is_number(row[column])]
    large = [row for row in known if not row[-1]]
    if len(large) < 2:
        held = words(large[0][column]) if large else ""
        none = "no group is large enough to conclude from"
        one = f"only {large[0][0]} is large enough, with {name} {held}" if large else none
        return [f"{table.title}: {one}."]
    ranked = sorted(large, key=lambda row: _value(row[column]))
    worst, best = ranked[0], ranked[-1]
    apart = _high(worst[column]) < _low(best[column])
    return [
        f"{table.title}: {name} is lowest for {worst[0]} with {words(worst[column])} and highest "
        f"for {best[0]} with {words(best[column])}; the intervals "
        f"{'do not ' if apart else ''}overlap."
    ]


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, Estimate) and cell.value is not None


def _value(cell: Cell) -> float:
    return cell.value if isinstance(cell, Estimate) and cell.value is not None else 0.0


def _low(cell: Cell) -> float:
    return cell.low if isinstance(cell, Estimate) and cell.low is not None else 0.0


def _high(cell: Cell) -> float:
    return cell.high if isinstance(cell, Estimate) and cell.high is not None else 1.0


def _coverage(subjects: Sequence[Subject], people: Mapping[Path, Person]) -> str:
    positives = [subject for subject in subjects if subject.case.label]
    persons = [people.get(subject.view.record.path, Person()) for subject in positives]
    ages, sexes = sum(p.age is not None for p in persons), sum(p.sex is not None for p in persons)
    return (
        f"Age is known of {ages} and sex of {sexes} of the {len(positives)} positive images; "
        "of negatives neither is, so a difference in specificity by age or sex cannot be seen."
    )

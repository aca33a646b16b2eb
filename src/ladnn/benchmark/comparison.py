"""Means over seeds, and differences between networks tested on their seed-averaged scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ladnn.benchmark.results import Cases, Cell
from ladnn.intervals import (
    Difference,
    Estimate,
    Metric,
    bootstrap,
    delong_test,
    paired_bootstrap,
    student_interval,
)
from ladnn.statistics import at_threshold, roc_auc

METRICS: dict[str, Metric] = {
    "sensitivity": at_threshold("sensitivity", 0.5),
    "auc": roc_auc,
    "f1": at_threshold("f1", 0.5),
    "accuracy": at_threshold("accuracy", 0.5),
}
"""Those of the paper's Table 2, in its order; calls are made at one half."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One metric of a cell: the mean over seeds, and that of the seed-averaged scores."""

    over_seeds: Estimate
    averaged: Estimate


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """First minus second cell, on the scores averaged over the seeds that both have.

    Attributes:
        first, second: cells of one split, dataset and backbone.
        seeds: averaged over.
        differences: by metric, from resampled patients.
        delong: of the AUC; it takes images as independent.
    """

    first: Cell
    second: Cell
    seeds: tuple[int, ...]
    differences: Mapping[str, Difference]
    delong: Difference


def summarise(cell: Cell) -> dict[str, Summary]:
    """Every metric of a cell."""
    averaged = cell.averaged()
    found = bootstrap(METRICS, labels(averaged), scores(averaged), patients(averaged))
    each = {
        name: [float(metric(labels(one), scores(one), None)) for one in cell.seeds.values()]
        for name, metric in METRICS.items()
    }
    return {
        name: Summary(over_seeds=student_interval(each[name]), averaged=found[name])
        for name in METRICS
    }


def compare(first: Cell, second: Cell) -> Comparison | None:
    """Test two cells on the seeds that both have; None where they share none."""
    seeds = tuple(seed for seed in first.seeds if seed in second.seeds)
    if not seeds:
        return None
    one, two = first.averaged(seeds), second.averaged(seeds)
    differences = {
        name: paired_bootstrap(metric, labels(one), scores(one), scores(two), patients(one))
        for name, metric in METRICS.items()
    }
    return Comparison(
        first=first,
        second=second,
        seeds=seeds,
        differences=differences,
        delong=delong_test(labels(one), scores(one), scores(two)),
    )


def comparisons(cells: Sequence[Cell], variants: Sequence[str]) -> list[Comparison]:
    """All tests of a grid: LA-DNN against its baseline, and each variant against the first."""
    found = (compare(one, two) for one, two in _pairs(cells, variants[0]))
    return [item for item in found if item is not None]


def _pairs(cells: Sequence[Cell], plain: str) -> Iterator[tuple[Cell, Cell]]:
    by_name = {(c.split, c.dataset, c.backbone, c.name): c for c in cells}
    for (*place, _), cell in by_name.items():
        baselines = (f"baseline/{cell.variant}", f"baseline/{plain}")
        others = [next((n for n in baselines if (*place, n) in by_name), "")]
        if cell.variant != plain:
            others.append(f"{cell.mode}/{plain}")
        for other in dict.fromkeys(others):
            if other != cell.name and (*place, other) in by_name:
                yield cell, by_name[(*place, other)]  # type: ignore[index]


def labels(cases: Cases) -> list[bool]:
    """COVID-19 of each image."""
    return [case.label for case in cases]


def scores(cases: Cases) -> list[float]:
    """Probability of COVID-19 of each image."""
    return [case.probability for case in cases]


def patients(cases: Cases) -> list[str]:
    """The patient of each image."""
    return [case.patient for case in cases]

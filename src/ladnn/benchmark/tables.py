"""The tables of a grid, from its result folders: CSV for programs, Markdown and LaTeX for people.

`table2.*` has the form of the paper's Table 2, with the paper's figure beside each; figures for
people are in percent, as the paper's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ladnn.benchmark.comparison import METRICS, Comparison, Summary, comparisons, summarise
from ladnn.benchmark.grid import Grid, Run
from ladnn.benchmark.lesions import LesionReport, report
from ladnn.benchmark.paper import LABELS, table2
from ladnn.benchmark.results import Cell, gather
from ladnn.csvs import write_rows
from ladnn.findings import RESEARCH_NOTICE
from ladnn.intervals import Difference, Estimate
from ladnn.paths import write_whole

CELLS, DIFFERENCES, LESIONS = "table2.csv", "differences.csv", "lesions.csv"
MARKDOWN, LATEX = "table2.md", "table2.tex"

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"

NAMES = {"sensitivity": "Sensitivity", "auc": "AUC", "f1": "F1 score", "accuracy": "Accuracy"}
MODES = ("baseline", "ladnn")

_NOTE = (
    "Percent; calls are made at one half. A cell is the mean over seeds with Student's 95% "
    "interval for it. A difference is LA-DNN minus baseline on seed-averaged probabilities, with "
    "the 95% interval and p of a paired bootstrap that draws patients; DeLong's p takes images as "
    "independent. The paper's figures are of one run each."
)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the tables say: cells with their metrics, tests, and the lesion branch."""

    grid: Grid
    cells: tuple[tuple[Cell, Mapping[str, Summary]], ...]
    tests: tuple[Comparison, ...]
    lesions: tuple[LesionReport, ...]


def collect(grid: Grid, runs: Sequence[Run], output: Path) -> Results:
    """Read the finished runs of a grid and measure them.

    Raises:
        DataError: as `results.gather`.
    """
    cells = gather(runs, output)
    reports = (report(cell) for cell in cells)
    return Results(
        grid=grid,
        cells=tuple((cell, summarise(cell)) for cell in cells),
        tests=tuple(comparisons(cells, list(grid.variants))),
        lesions=tuple(item for item in reports if item is not None),
    )


def write_tables(results: Results, output: Path) -> list[Path]:
    """Write every table into the grid's folder, each whole or not at all; their paths."""
    rows = {
        CELLS: (_CELL_HEADS, _cell_rows(results)),
        DIFFERENCES: (_TEST_HEADS, _test_rows(results.tests)),
        LESIONS: (_LESION_HEADS, _lesion_rows(results.lesions)),
    }
    pages = {MARKDOWN: markdown(results), LATEX: latex(results)}
    for name, (heads, lines) in rows.items():
        write_rows(output / name, heads, lines, what="the table")
    for name, text in pages.items():
        write_whole(output / name, text)
    return [output / name for name in (*rows, *pages)]


# ------------------------------------------------------------------ for programs: fractions of one

_PLACE = ("split", "dataset", "backbone", "variant", "mode")
_AVERAGED = ("averaged", "averaged_low", "averaged_high")
_CELL_HEADS = (*_PLACE, "metric", "seeds", "mean", "low", "high", *_AVERAGED, "paper")
_TESTED = ("difference", "low", "high", "p", "delong_p")
_TEST_HEADS = ("split", "dataset", "backbone", "first", "second", "metric", "seeds", *_TESTED)
_LESION_HEADS = (*_PLACE, "measure", "lesion", "value", "low", "high", "p", "reason")


def _cell_rows(results: Results) -> Iterable[Sequence[object]]:
    for cell, summaries in results.cells:
        for metric, summary in summaries.items():
            seeds, averaged = summary.over_seeds, summary.averaged
            yield (
                *(getattr(cell, name) for name in _PLACE),
                metric,
                len(cell.seeds),
                *(seeds.value, seeds.low, seeds.high),
                *(averaged.value, averaged.low, averaged.high),
                _paper(results.grid, cell, metric),
            )


def _test_rows(tests: Iterable[Comparison]) -> Iterable[Sequence[object]]:
    for test in tests:
        one, two = test.first, test.second
        for metric, found in test.differences.items():
            yield (
                *(one.split, one.dataset, one.backbone, one.name, two.name, metric),
                len(test.seeds),
                *(found.value, found.low, found.high, found.p_value),
                test.delong.p_value if metric == "auc" else None,
            )


def _lesion_rows(reports: Iterable[LesionReport]) -> Iterable[Sequence[object]]:
    for item in reports:
        place = [getattr(item.cell, name) for name in _PLACE]
        for lesion, scores in item.found.items():
            yield (*place, "finds the lesion, AUC", lesion, *_numbers(scores.auc))
        for lesion, auc in item.covid.items():
            yield (*place, "tells COVID-19, AUC", lesion, *_numbers(auc))
        for (one, two), found in item.pairs.items():
            yield (*place, "tells COVID-19, difference of AUC", f"{one} - {two}", *_numbers(found))
        groups = "CrPa, AirBr, InSepThi - GGO, Csld"
        yield (*place, "tells COVID-19, difference of mean AUC", groups, *_numbers(item.groups))
        measure = "tells COVID-19 either way, difference of mean AUC"
        yield (*place, measure, groups, *_numbers(item.either_way))


def _numbers(found: Estimate | Difference) -> tuple[object, ...]:
    p_value = found.p_value if isinstance(found, Difference) else None
    return found.value, found.low, found.high, p_value, found.reason


def _paper(grid: Grid, cell: Cell, metric: str) -> float | None:
    label, dataset = LABELS.get(cell.backbone, ""), grid.paper.get(cell.dataset, "")
    return table2().get((metric, label, dataset, cell.mode))


# ------------------------------------------------------------------ for people: percent


@dataclass(frozen=True, kw_only=True)
class Block:
    """One table for people: a title, heads, and rows of texts."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def markdown(results: Results) -> str:
    """All tables as one Markdown page."""
    parts = ["# Table 2", results.grid.note, _NOTE, RESEARCH_NOTICE]
    for block in _blocks(results):
        line = "|" + "---|" * len(block.heads)
        rows = [f"| {' | '.join(row)} |" for row in (block.heads, *block.rows)]
        parts += [f"## {block.title}", "\n".join([rows[0], line, *rows[1:]])]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(results: Results) -> str:
    """All tables as LaTeX, to be read by `input`; the preamble has booktabs and graphicx.

    A table that is wider than the text is set smaller, as Table 2 is on a portrait page.
    """
    notes = (results.grid.note, _NOTE, RESEARCH_NOTICE)
    lines = [f"% {text}" for note in notes for text in note.splitlines()]
    for block in _blocks(results):
        rows = [" & ".join(map(_tex, row)) + r" \\" for row in (block.heads, *block.rows)]
        lines += [
            r"\begin{table}",
            rf"\caption{{{_tex(block.title)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{'l' * len(block.heads)}}}",
            *(r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule"),
            r"\end{tabular}}",
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    for plain, escaped in (
        ("%", r"\%"),
        ("_", r"\_"),
        ("&", r"\&"),
        (DASH, "--"),
        (MINUS, "$-$"),
        ("<", "$<$"),
    ):
        text = text.replace(plain, escaped)
    return text


def _blocks(results: Results) -> Iterable[Block]:
    """A table like the paper's for each split, dataset and variant, then the other tests."""
    groups: dict[tuple[str, str, str], dict[tuple[str, str], tuple[Cell, Mapping[str, Summary]]]]
    groups = {}
    for cell, summaries in results.cells:
        place = cell.split, cell.dataset, cell.variant
        groups.setdefault(place, {})[cell.backbone, cell.mode] = cell, summaries
    paired = {
        (t.first.split, t.first.dataset, t.first.variant, t.first.backbone): t
        for t in results.tests
        if t.first.variant == t.second.variant
    }
    for (split, dataset, variant), found in groups.items():
        backbones = list(dict.fromkeys(backbone for backbone, _ in found))
        rows = [
            _row(
                results.grid,
                metric,
                [found.get((backbone, mode)) for mode in MODES],
                paired.get((split, dataset, variant, backbone)),
            )
            for metric in METRICS
            for backbone in backbones
        ]
        yield Block(title=f"{dataset}, {variant}, {split}", heads=_HEADS, rows=tuple(rows))
    yield from _variant_blocks(results.tests)
    yield from _lesion_blocks(results.lesions)


_CHANGE = (f"LA-DNN {MINUS} baseline", "p", "p, DeLong", "seeds")
_HEADS = ("Metric", "Backbone", "Baseline", "paper", "LA-DNN", "paper", *_CHANGE)


def _row(
    grid: Grid,
    metric: str,
    pair: Sequence[tuple[Cell, Mapping[str, Summary]] | None],
    test: Comparison | None,
) -> tuple[str, ...]:
    cells = []
    for item in pair:
        if item is None:
            cells += [DASH, DASH]
            continue
        cell, summaries = item
        cells += [_percent(summaries[metric].over_seeds), _one(_paper(grid, cell, metric))]
    some = next(item[0] for item in pair if item is not None)
    seeds = "/".join(f"{len(item[0].seeds)}" for item in pair if item is not None)
    difference = test.differences[metric] if test else None
    delong = test.delong if test and metric == "auc" else None
    name = LABELS.get(some.backbone, some.backbone)
    tested = (_change(difference), _p(difference), _p(delong))
    return (NAMES[metric], name, *cells, *tested, f"{seeds} of {some.asked}")


_COMPARED = (f"AUC, first {MINUS} second", "p", "p, DeLong", f"accuracy, first {MINUS} second", "p")
_VARIANT_HEADS = ("Dataset", "Backbone", "First", "Second", "seeds", *_COMPARED)


def _variant_blocks(tests: Iterable[Comparison]) -> Iterable[Block]:
    by_split: dict[str, list[Comparison]] = {}
    for test in tests:
        if test.first.variant != test.second.variant:
            by_split.setdefault(test.first.split, []).append(test)
    for split, mine in by_split.items():
        rows = tuple(_variant_row(test) for test in mine)
        yield Block(title=f"Variants, {split}", heads=_VARIANT_HEADS, rows=rows)


def _variant_row(test: Comparison) -> tuple[str, ...]:
    one, two = test.first, test.second
    auc, accuracy = test.differences["auc"], test.differences["accuracy"]
    return (
        *(one.dataset, LABELS.get(one.backbone, one.backbone), one.name, two.name),
        str(len(test.seeds)),
        *(_change(auc), _p(auc), _p(test.delong), _change(accuracy), _p(accuracy)),
    )


def _lesion_blocks(reports: Sequence[LesionReport]) -> Iterable[Block]:
    for item in reports:
        cell = item.cell
        rows = [
            (
                lesion,
                f"{scores.positives} of {scores.cases}",
                _percent(scores.auc),
                _percent(item.covid[lesion]),
            )
            for lesion, scores in item.found.items()
        ]
        groups = f"CrPa, AirBr, InSepThi {MINUS} GGO, Csld"
        tests = {groups: item.groups, f"{groups}, either way": item.either_way}
        for what, test in tests.items():
            rows.append((what, "", "", f"{_change(test)}, p {_p(test)}"))
        name = LABELS.get(cell.backbone, cell.backbone)
        yield Block(
            title=f"Lesion outputs of {name}, {cell.dataset}, {cell.variant}, {cell.split}",
            heads=("Lesion", "present where known", "AUC for the lesion", "AUC for COVID-19"),
            rows=tuple(rows),
        )


def _percent(found: Estimate) -> str:
    if found.value is None:
        return (found.reason or "not defined").partition(":")[0]
    value = f"{100 * found.value:.1f}"
    if found.low is None or found.high is None:
        return value
    low, high = (f"{100 * end:.1f}".replace("-", MINUS) for end in (found.low, found.high))
    return f"{value} ({low}{DASH}{high})"


def _one(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f}"


def _change(found: Difference | None) -> str:
    if found is None or found.value is None:
        return DASH
    if found.low is None or found.high is None:
        return _signed(found.value)
    return f"{_signed(found.value)} ({_signed(found.low)} to {_signed(found.high)})"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", MINUS)


def _p(found: Difference | None) -> str:
    if found is None or found.p_value is None:
        return DASH
    return "<.001" if found.p_value < 0.001 else f"{found.p_value:.3f}".removeprefix("0")

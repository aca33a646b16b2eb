"""Reads what `ladnn evaluate` and `ladnn train` wrote; half a result is refused in one sentence."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ladnn.csvs import read_named
from ladnn.errors import DataError
from ladnn.evaluation import CALIBRATED, COLUMNS, CONFIG, METRICS, PREDICTIONS, SCHEMA_VERSION
from ladnn.figures.names import short, told_apart
from ladnn.findings import LESIONS
from ladnn.intervals import Estimate, bands
from ladnn.scoring import HALF, RANKING, AtThreshold, Scores, Settings
from ladnn.statistics import THRESHOLD_METRICS, BoolArray, FloatArray, roc_auc

_ALIKE = 1e-6  # an AUC made again from what is written in full

Curves = Callable[..., FloatArray]


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The rows of predictions.csv, as columns of N.

    Attributes:
        paths, sources, patients: text[N].
        labels: bool[N]; COVID-19 is True.
        probabilities: float[N] in [0, 1], calibrated.
        lesions: float[N, 5] in [0, 1] in the order of LESIONS; None for a baseline.
    """

    paths: tuple[str, ...]
    sources: tuple[str, ...]
    patients: tuple[str, ...]
    labels: BoolArray
    probabilities: FloatArray
    lesions: FloatArray | None

    def __len__(self) -> int:
        return len(self.paths)

    def of(self, chosen: NDArray[np.intp]) -> "Cases":
        """Some of the rows."""
        return Cases(
            paths=tuple(self.paths[i] for i in chosen),
            sources=tuple(self.sources[i] for i in chosen),
            patients=tuple(self.patients[i] for i in chosen),
            labels=self.labels[chosen],
            probabilities=self.probabilities[chosen],
            lesions=None if self.lesions is None else self.lesions[chosen],
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One result of `ladnn evaluate`.

    Attributes:
        folder: it was read from.
        label: what a legend calls it.
        mode: `ladnn` or `baseline`.
        split: the part that was judged.
        settings: of the intervals.
        cases: the images judged.
        scores: per image, over these cases.
        sources: the same for each source alone.
        trained_on: the sources that the model learned from; empty where not stated.
        uncalibrated: lesions whose probability is not calibrated, for want of examples.
    """

    folder: Path
    label: str
    mode: str
    split: str
    settings: Settings
    cases: Cases
    scores: Scores
    sources: Mapping[str, Scores]
    trained_on: tuple[str, ...]
    uncalibrated: tuple[str, ...]

    @property
    def points(self) -> dict[str, float]:
        """The thresholds of the operating points by name, that of one half left out."""
        found = {name: at.threshold for name, at in self.scores.at.items() if name != HALF}
        return {name: cut for name, cut in found.items() if cut is not None}

    def how(self, what: str) -> str:
        """How the intervals that a figure shows as `what` were made, or why there are none."""
        if len(set(self.cases.patients)) < 2:
            return "No intervals: all images are of one patient"
        return f"{what}: {self.interval}"

    @property
    def interval(self) -> str:
        """How intervals were made, in words."""
        level, draws = f"{100 * self.settings.level:g}%", self.settings.replicates
        return f"{level} percentile intervals of {draws} resamples of patients"

    @property
    def sample(self) -> str:
        """What was judged, in words."""
        scores, names = self.scores, ", ".join(dict.fromkeys(self.cases.sources))
        people = f"{scores.patients} patient{'' if scores.patients == 1 else 's'}"
        return (
            f"{names}; {self.split} split: n = {scores.cases} images of {people} "
            f"({scores.positives} COVID-19 positive, {scores.negatives} negative)"
        )

    def of(self, source: str) -> "Run":
        """The images of one source alone.

        Raises:
            DataError: for a source that was not judged.
        """
        if source not in self.sources:
            raise DataError(
                f"{self.folder} has no source {source!r}: give one of {', '.join(self.sources)}"
            )
        rows = np.flatnonzero(np.array(self.cases.sources) == source)
        if not rows.size:
            raise DataError(
                f"{self.folder} has no image of {source} that was judged: give another source"
            )
        only = {source: self.sources[source]}
        return replace(self, cases=self.cases.of(rows), scores=only[source], sources=only)

    def bands(self, curve: Curves) -> tuple[FloatArray, ...]:
        """The band of a curve of labels and probabilities, as `intervals.bands`."""
        return bands(
            curve,
            self.cases.labels,
            self.cases.probabilities,
            self.cases.patients,
            replicates=self.settings.replicates,
            level=self.settings.level,
            seed=self.settings.seed,
        )


def read_runs(folders: Sequence[Path], source: str | None = None) -> list[Run]:
    """Read results of `ladnn evaluate`, each by a label of its own, of one source or of all.

    Raises DataError for a folder that is missing, half written or of another schema, for a source
    that was not judged, and for intervals of which one note at the foot cannot tell.
    """
    runs = [read_run(folder) for folder in folders]
    hows = sorted({run.interval for run in runs})
    if len(hows) > 1:
        raise DataError(f"results have {' or '.join(hows)}: evaluate all with the same options")
    labels = told_apart(short([run.label for run in runs]), folders)
    named = [replace(run, label=label) for run, label in zip(runs, labels, strict=True)]
    return [run if source is None else run.of(source) for run in named]


def same_images(runs: Sequence[Run]) -> None:
    """See that all results are of the same images with the same labels.

    Raises:
        DataError: when they are not.
    """
    first = runs[0]
    wanted = dict(zip(first.cases.paths, first.cases.labels.tolist(), strict=True))
    for run in runs[1:]:
        if dict(zip(run.cases.paths, run.cases.labels.tolist(), strict=True)) != wanted:
            raise DataError(
                f"{first.folder} and {run.folder} are not of the same images and labels, so their "
                "curves cannot be compared: evaluate both on one manifest and split"
            )


def read_run(folder: Path) -> Run:
    """Read one result; raise DataError as `read_runs`."""
    metrics = _read_json(folder, METRICS, "it is not complete, so run ladnn evaluate again")
    if metrics.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{folder / METRICS} has schema version {metrics.get('schema_version')!r} and this "
            f"ladnn reads {SCHEMA_VERSION}: evaluate again"
        )
    config = _read_json(folder, CONFIG, "copy the whole folder, or evaluate again")
    cases = _read_cases(folder / PREDICTIONS)
    try:
        return _run(folder, metrics, config, cases)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{folder / METRICS} does not hold what ladnn evaluate writes "
            f"({type(error).__name__}: {error}): evaluate again"
        ) from error


def _run(folder: Path, metrics: dict[str, Any], config: dict[str, Any], cases: Cases) -> Run:
    counted = metrics["images"]["evaluated"]
    if counted != len(cases):
        raise DataError(
            f"{folder / PREDICTIONS} holds {len(cases)} images where {METRICS} counts {counted}: "
            "the folder is half written, so evaluate again"
        )
    model = metrics["model"]
    sources = {name: _scores(group) for name, group in metrics["sources"].items()}
    _see("sources", metrics["sources"], bool(sources))
    run = Run(
        folder=folder,
        label=f"{model['name']} {model['version']}".strip(),
        mode=_text(model, "mode"),
        split=_text(metrics, "split"),
        settings=_settings(metrics["intervals"]),
        cases=cases,
        scores=_scores(metrics["all"]),
        sources=sources,
        trained_on=tuple(config.get("bundle", {}).get("trained_on") or ()),
        uncalibrated=tuple(n for n, s in metrics["lesion_calibration"].items() if s != CALIBRATED),
    )
    _agree(run)
    return run


def _agree(run: Run) -> None:
    """See that predictions.csv is what metrics.json was made of; raise DataError where not."""
    names = np.array(run.cases.sources)
    strange = set(run.cases.sources) - set(run.sources)
    if strange:
        raise DataError(
            f"{run.folder / PREDICTIONS} has images of {min(strange)}, of which {METRICS} knows "
            "nothing: evaluate again"
        )
    parts = {"all images": (run.scores, np.ones(names.size, dtype=np.bool_))}
    parts |= {name: (scores, names == name) for name, scores in run.sources.items()}
    for part, (scores, rows) in parts.items():
        found = float(roc_auc(run.cases.labels[rows], run.cases.probabilities[rows]))
        stated = np.nan if scores.auc.value is None else scores.auc.value
        if not np.isclose(found, stated, rtol=0, atol=_ALIKE, equal_nan=True):
            raise DataError(
                f"{run.folder / PREDICTIONS} gives an AUC of {_six(found)} for {part} where "
                f"{METRICS} says {_six(stated)}: one of them was changed, so evaluate again"
            )


def _six(value: float) -> str:
    return f"{value:.6f}" if isfinite(value) else "none"


def _settings(data: Mapping[str, Any]) -> Settings:
    replicates, level, seed = (data[name] for name in ("replicates", "level", "seed"))
    _see("replicates", replicates, _whole(replicates) and replicates >= 1)
    _see("level", level, _number(level) and 0 < level < 1)
    _see("seed", seed, _whole(seed))
    return Settings(replicates=replicates, level=level, seed=seed)


def _scores(group: Mapping[str, Any]) -> Scores:
    data = group["covid"]["per_image"]
    ranking = {name: _estimate(name, data[name]) for name in RANKING}
    at = {name: _at(one) for name, one in data["at"].items()}
    _see("at", data["at"], HALF in at)
    for name in ("cases", "positives", "negatives", "patients"):
        _see(name, data[name], _whole(data[name]))
    return Scores(**{**data, **ranking, "at": at})


def _at(data: Mapping[str, Any]) -> AtThreshold:
    cut = data["threshold"]
    _see("threshold", cut, cut is None or _number(cut))
    for name in ("true_positive", "false_positive", "true_negative", "false_negative"):
        _see(name, data[name], _whole(data[name]))
    return AtThreshold(
        **{**data, **{name: _estimate(name, data[name]) for name in THRESHOLD_METRICS}}
    )


def _estimate(name: str, data: Mapping[str, Any]) -> Estimate:
    found = Estimate(**data)
    for value in (found.value, found.low, found.high):
        _see(name, value, value is None or _number(value))
    _see(name, found.reason, found.reason is None or isinstance(found.reason, str))
    return found


def _text(data: Mapping[str, Any], name: str) -> str:
    _see(name, data[name], isinstance(data[name], str))
    return str(data[name])


def _see(name: str, value: object, right: bool) -> None:
    """Raise ValueError, which `read_run` turns into a sentence, where a value is not right."""
    if not right:
        raise ValueError(f"{name} is {value!r}")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read_json(folder: Path, name: str, otherwise: str) -> dict[str, Any]:
    path = folder / name
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: give one that ladnn evaluate wrote")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise DataError(f"{folder} has no readable {name} ({reason}): {otherwise}") from error
    except ValueError as error:  # bad UTF-8 and bad JSON
        raise DataError(f"{path} is not JSON or is cut off: {otherwise}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is not a JSON object: {otherwise}")
    return found


def _read_cases(path: Path) -> Cases:
    rows = read_named(path, COLUMNS, "evaluate again")
    if not rows:
        raise DataError(f"{path} holds no image: evaluate a part of a manifest that has some")
    chances = [[_chance(row[f"{x}_probability"], path, n) for x in LESIONS] for n, row in rows]
    known = [value is not None for row in chances for value in row]
    repeated = [name for name, n in Counter(row["path"] for _, row in rows).items() if n > 1]
    if repeated:
        raise DataError(f"{path} lists {repeated[0]} more than once: evaluate again")
    labels = [row["covid_label"] for _, row in rows]
    if not set(labels) <= {"0", "1"}:
        raise DataError(f"{path} has a covid_label that is neither 1 nor 0: evaluate again")
    probabilities = [_chance(row["covid_probability"], path, n) for n, row in rows]
    if None in probabilities:
        raise DataError(f"{path} has a row without a covid_probability: evaluate again")
    return Cases(
        paths=tuple(row["path"] for _, row in rows),
        sources=tuple(row["source"] for _, row in rows),
        patients=tuple(row["patient"] for _, row in rows),
        labels=np.array(labels) == "1",
        probabilities=np.array(probabilities, dtype=np.float64),
        lesions=np.array(chances, dtype=np.float64) if all(known) else None,
    )


def _chance(cell: str, path: Path, line: int) -> float | None:
    """A probability, or None for an empty cell."""
    if cell == "":
        return None
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not 0 <= value <= 1:
        raise DataError(f"{path} line {line} has {cell!r} for a probability: evaluate again")
    return value


def said(estimate: Estimate) -> str:
    """A value and its interval, as 0.912 (0.861-0.953) with an en dash, or what there is."""
    if estimate.value is None:
        return "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    if estimate.low == estimate.high:
        return f"{estimate.value:.3f} (no spread)"
    return f"{estimate.value:.3f} ({estimate.low:.3f}\N{EN DASH}{estimate.high:.3f})"

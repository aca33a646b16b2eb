"""The result folders of a grid, read back: the runs of one network side by side."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ladnn.benchmark.grid import Run
from ladnn.csvs import read_named
from ladnn.errors import ConfigError, DataError
from ladnn.evaluation import COLUMNS, CONFIG, METRICS, PREDICTIONS
from ladnn.findings import LESIONS, Decision
from ladnn.scoring import HALF, Case
from ladnn.training import CONFIG_FILE, held

Cases = tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network of a grid on one split: its finished runs, seed by seed.

    Attributes:
        dataset, backbone, mode, variant: of the runs.
        split: that was scored.
        asked: how many seeds the grid asks for.
        seeds: seed -> the images judged; the same images in the same order for every seed.
    """

    dataset: str
    backbone: str
    mode: str
    variant: str
    split: str
    asked: int
    seeds: dict[int, Cases]

    @property
    def name(self) -> str:
        """Of the network within its dataset and backbone, as `ladnn/plain`."""
        return f"{self.mode}/{self.variant}"

    def averaged(self, seeds: Iterable[int] | None = None) -> Cases:
        """The images with the mean of their probabilities over `seeds`, or over all."""
        chosen = [self.seeds[seed] for seed in (self.seeds if seeds is None else seeds)]
        return tuple(_mean(same) for same in zip(*chosen, strict=True))


def gather(runs: Sequence[Run], output: Path) -> list[Cell]:
    """The cells of a grid that have a finished run, in the grid's order, split by split.

    Raises:
        ConfigError: a run that was made with other settings, or judged on other sources.
        DataError: results that are damaged, or on other images than the others'.
    """
    cells = []
    for split in ("val", "test"):
        mine = sorted((run for run in runs if split in run.evaluate), key=_key)
        for _, group in groupby(mine, key=_key):
            same = list(group)
            done = {
                run.seed: _finished(run, output / run.name, split)
                for run in same
                if (output / run.name / split / METRICS).exists()
            }
            if done:
                cells.append(_cell(same[0], split, len(same), done))
    _refuse_other_images(cells)
    order = list(dict.fromkeys(_key(run) for run in runs))
    return sorted(cells, key=lambda cell: (cell.split != "val", order.index(_key(cell))))


def _finished(run: Run, folder: Path, split: str) -> Cases:
    """The results of a run, if it was made with the settings that the grid asks for."""
    asked = json.loads(json.dumps(asdict(run.config)))  # tuples become lists, as in the file
    if held(folder / CONFIG_FILE)["config"] != asked:
        raise ConfigError(
            f"{folder} holds a run with other settings than the grid's: give another folder"
        )
    if made_with(folder / split)["judged"] != list(run.judged):
        raise ConfigError(
            f"{folder / split} holds results on other sources than the grid's judged: give "
            "another folder"
        )
    return read_cases(folder / split)


def made_with(folder: Path) -> dict[str, Any]:
    """The sources and the hash of the images that a result folder is of: `judged`, `data_hash`.

    Raises:
        DataError: when the file is missing or damaged.
    """
    try:
        held = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return {name: held[name] for name in ("judged", "data_hash")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the results in {folder} are damaged ({type(error).__name__}): delete that folder "
            "to score the run again"
        ) from error


def read_cases(folder: Path) -> Cases:
    """The images judged in a result folder, as `evaluation.write_results` wrote them.

    Raises:
        DataError: when the file is missing or damaged.
    """
    path = folder / PREDICTIONS
    again = f"delete {folder} and give the command again to score the run again"
    try:
        found = tuple(_case(row) for _, row in read_named(path, COLUMNS, again))
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}): {again}") from error
    if not found:
        raise DataError(f"{path} is damaged (it holds no image): {again}")
    return found


def _case(row: dict[str, str]) -> Case:
    chances = [row[f"{lesion}_probability"] for lesion in LESIONS]
    labels = [row[f"{lesion}_label"] for lesion in LESIONS]
    known = {"": None, "0": False, "1": True}
    if not isfinite(float(row["covid_probability"])):
        raise ValueError("a probability is no number")
    return Case(
        path=row["path"],
        source=row["source"],
        patient=row["patient"],
        label={"0": False, "1": True}[row["covid_label"]],
        probability=float(row["covid_probability"]),
        decisions={HALF: Decision(row["decision"])},
        lesion_labels=tuple(known[label] for label in labels),
        lesion_probabilities=None if "" in chances else tuple(map(float, chances)),
    )


def _mean(same: Sequence[Case]) -> Case:
    chance = float(np.mean([case.probability for case in same]))
    lesions = [case.lesion_probabilities for case in same if case.lesion_probabilities]
    return replace(
        same[0],
        probability=chance,
        decisions={HALF: Decision.POSITIVE if chance >= 0.5 else Decision.NEGATIVE},
        lesion_probabilities=tuple(np.mean(lesions, axis=0).tolist()) if lesions else None,
    )


def _key(run: Run | Cell) -> tuple[str, str, str, str]:
    return run.dataset, run.backbone, run.variant, run.mode


def _cell(run: Run, split: str, asked: int, done: dict[int, Cases]) -> Cell:
    dataset, backbone, variant, mode = _key(run)
    return Cell(
        dataset=dataset,
        backbone=backbone,
        mode=mode,
        variant=variant,
        split=split,
        asked=asked,
        seeds=dict(sorted(done.items())),
    )


def _refuse_other_images(cells: Sequence[Cell]) -> None:
    """Differences are paired, so all networks have to have judged the same images."""
    first: dict[str, tuple[str, list[tuple[str, bool]]]] = {}
    for cell in cells:
        for seed, cases in cell.seeds.items():
            name = f"{cell.dataset}/{cell.backbone}/{cell.name}, seed {seed}"
            images = [(case.path, case.label) for case in cases]
            other, expected = first.setdefault(cell.split, (name, images))
            if images != expected:
                raise DataError(
                    f"{name} was scored on other images of {cell.split} than {other}: "
                    "delete the folder of the one that is out of date"
                )

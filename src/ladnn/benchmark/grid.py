"""A grid in TOML -> the runs that it asks for, each with its settings resolved."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from ladnn.benchmark.paper import DATASETS
from ladnn.config import build, merge, read_config, read_toml
from ladnn.errors import ConfigError
from ladnn.learner import TrainConfig
from ladnn.splitting import PARTS

PLAIN = "plain"
"""The variant of a grid that names none: the recipe as it is."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One set of changes to the recipe; an axis left empty is the grid's.

    Attributes:
        settings: of `TrainConfig`, over the grid's.
        backbones, modes, seeds, evaluate: instead of the grid's.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    backbones: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    evaluate: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every run of a benchmark.

    Attributes:
        recipe: TOML of `ladnn train`, beside the grid's own file.
        settings: of `TrainConfig`, over the recipe's.
        backbones, modes, seeds: each is crossed with each.
        datasets: name -> the sources of the manifest that are trained on.
        judged: sources whose images are scored; every network sees the same.
        evaluate: splits that are scored, of `val` and `test`.
        variants: name -> changes of the recipe; none is the recipe as it is.
        paper: name of a dataset -> the paper's dataset whose figures stand beside its own.
        note: what has to be said over the tables.
    """

    recipe: str
    backbones: tuple[str, ...]
    modes: tuple[str, ...]
    seeds: tuple[int, ...]
    datasets: Mapping[str, tuple[str, ...]]
    judged: tuple[str, ...]
    evaluate: tuple[str, ...] = ("val",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=lambda: {PLAIN: Variant()})
    paper: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        for name in (*self.datasets, *self.variants):
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{name!r} cannot be the name of a folder: use letters, digits and . _ + -"
                )
        for axis in ("backbones", "modes", "seeds", "datasets", "judged", "evaluate", "variants"):
            if not getattr(self, axis):
                raise ConfigError(f"the grid's {axis} are empty: give at least one")
        _refuse_repeats(self)
        _refuse_axes(self.settings, "the grid")
        for name, variant in self.variants.items():
            _refuse_axes(variant.settings, f"the variant {name}")
        for name, dataset in self.paper.items():
            if name not in self.datasets or dataset not in DATASETS:
                raise ConfigError(
                    f"paper cannot have {name} = {dataset!r}: name a dataset of the grid "
                    f"({', '.join(self.datasets)}) and one of the paper ({', '.join(DATASETS)})"
                )
        for split in (*self.evaluate, *(s for v in self.variants.values() for s in v.evaluate)):
            if split not in PARTS[1:]:
                raise ConfigError(f"{split!r} cannot be evaluated: choose of val, test")


def _refuse_axes(settings: Mapping[str, Any], where: str) -> None:
    """Refuse a setting that the grid itself decides, which would be passed over unseen."""
    axes = {
        "backbone": "backbones",
        "mode": "modes",
        "seed": "seeds",
        "sources": "datasets",
        "threads": None,
    }
    for name in settings.keys() & axes.keys():
        instead = f"give the grid's {axes[name]}" if axes[name] else "every run has one thread"
        raise ConfigError(f"the settings of {where} cannot have {name}: {instead}")


def _refuse_repeats(grid: Grid) -> None:
    """Refuse an axis that names something twice: the two runs would share a folder."""
    variants = [(variant, f"the variant {name}") for name, variant in grid.variants.items()]
    for holder, where in ((grid, "the grid"), *variants):
        for axis in ("backbones", "modes", "seeds", "evaluate"):
            values = getattr(holder, axis)
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ConfigError(f"{axis} of {where} has {twice!r} twice: give each once")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network to train and to score; small, so that it travels to any worker."""

    dataset: str
    backbone: str
    mode: str
    variant: str
    seed: int
    config: TrainConfig
    judged: tuple[str, ...]
    evaluate: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its folder below the grid's, as `d0/efficientnet_lite0/ladnn/plain/seed-0`."""
        return f"{self.dataset}/{self.backbone}/{self.mode}/{self.variant}/seed-{self.seed}"


def read_grid(path: Path) -> tuple[Grid, tuple[Run, ...]]:
    """The grid in a TOML file and its runs: those of the first variant, then the others'.

    Both go seed by seed, so that a part of a grid is already a result.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a setting that cannot be, or a variant
            that changes nothing.
    """
    grid = read_config(path, [], Grid)
    recipe = merge(read_toml(path.parent / grid.recipe), grid.settings)
    runs = [
        run for name, variant in grid.variants.items() for run in _runs(grid, name, variant, recipe)
    ]
    _check_distinct(runs)
    first = next(iter(grid.variants))
    return grid, tuple(sorted(runs, key=lambda run: (run.variant != first, run.seed)))


def _check_distinct(runs: Iterable[Run]) -> None:
    """Refuse a run under two names: a comparison with itself finds no difference."""
    variants: dict[str, str] = {}
    for run in runs:
        other = variants.setdefault(repr(run.config), run.variant)
        if other != run.variant:
            raise ConfigError(
                f"the variants {other} and {run.variant} have the same settings: "
                "give each a setting of its own"
            )


def _runs(grid: Grid, name: str, variant: Variant, recipe: Mapping[str, Any]) -> Iterator[Run]:
    axes = (
        variant.seeds or grid.seeds,
        grid.datasets.items(),
        variant.backbones or grid.backbones,
        variant.modes or grid.modes,
    )
    for seed, (dataset, sources), backbone, mode in product(*axes):
        own = {"backbone": backbone, "mode": mode, "seed": seed, "sources": list(sources)}
        # one thread each: results are then the same however many runs share the machine
        settings = merge(merge(recipe, variant.settings), {**own, "threads": 1})
        yield Run(
            dataset=dataset,
            backbone=backbone,
            mode=mode,
            variant=name,
            seed=seed,
            config=build(TrainConfig, settings, f" in the variant {name}"),
            judged=grid.judged,
            evaluate=variant.evaluate or grid.evaluate,
        )

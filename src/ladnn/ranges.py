"""What every number of a training run may be, in one table; a number outside is one sentence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType

from ladnn.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Range:
    """The finite numbers from `low` to `high`.

    Attributes:
        above: whether `low` itself is left out. below: whether `high` is.
        zero: whether 0 is allowed too, where it means that something is left out.
    """

    low: float = 0.0
    high: float = math.inf
    above: bool = False
    below: bool = False
    zero: bool = False

    def __contains__(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        low = self.low < value if self.above else self.low <= value
        high = value < self.high if self.below else value <= self.high
        return (low and high) or (self.zero and value == 0)

    def __str__(self) -> str:
        zero = "0, or " if self.zero else ""
        if self.high == math.inf:
            return f"{zero}{'more than' if self.above else 'at least'} {self.low:g}"
        low = f"more than {self.low:g} and" if self.above else f"{self.low:g} to"
        high = "less than" if self.below else "at most" if self.above else ""
        return " ".join(f"{zero}{low} {high} {self.high:.12g}".split())


_SHARE = Range(high=1)

TRAINING: Mapping[str, Range] = MappingProxyType(
    {
        "input_size": Range(low=32, high=4096, zero=True),
        "epochs": Range(low=1),
        "batch_size": Range(low=2),
        "seed": Range(high=2**32 - 1),
        "threads": Range(high=1024),
        "learning_rate": Range(high=1, above=True),
        "head_rate": Range(high=1000, above=True),
        "weight_decay": _SHARE,
        "frozen_stages": Range(high=7),
        "bn_momentum": Range(high=1, above=True),
        "mixup": Range(high=100),
        "style_mix": _SHARE,
        "averaging": Range(high=1, below=True),
        "primary_weight": Range(high=1000, above=True),
        "smoothing": Range(high=1, below=True),
        "patience": Range(),
        "sampler.images": Range(),
        "sampler.source_power": _SHARE,
        "augmentation.jitter": Range(high=0.5, below=True),  # at .5 the sides of the box can meet
        "augmentation.unframed": _SHARE,
        "augmentation.zoom": Range(high=1, below=True),
        "augmentation.rotation": Range(high=180),
        "augmentation.shear": _SHARE,
        "augmentation.flip": _SHARE,
        "augmentation.levels": Range(high=0.5, below=True),  # at .5 the two anchors can meet
        "augmentation.gamma": Range(high=4),
        "augmentation.saturate": _SHARE,
        "augmentation.resample": _SHARE,
        "augmentation.jpeg": _SHARE,
        "augmentation.kernel": _SHARE,
        "augmentation.noise": Range(high=255),
        "augmentation.marks": _SHARE,
        "augmentation.erase": _SHARE,
        "augmentation.paint": _SHARE,
        "augmentation.nodule": _SHARE,
    }
)
"""By the name of the setting in `learner.TrainConfig`, as `--set` takes it."""


def check_ranges(record: object, ranges: Mapping[str, Range]) -> None:
    """Raise ConfigError for the first number of `record` that is outside of its range."""
    for name, allowed in ranges.items():
        value = attrgetter(name)(record)
        if value not in allowed:
            raise ConfigError(f"{name} is {value}: give {allowed}")

"""May a challenger replace the champion? Both judged on the same locked test, paired by image."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import ConfigError, DataError
from ladnn.findings import Decision
from ladnn.intervals import Metric, check_settings, paired_bootstrap
from ladnn.runtime import DEFAULT_POINT
from ladnn.scoring import Case
from ladnn.statistics import at_threshold, roc_auc


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a challenger has to pass; margins are shares in [0, 1].

    Attributes:
        sensitivity_margin, auc_margin: how much worse the lower end of the interval of the
            difference may be.
        subgroup_margin: how much smaller the share of right calls in a subgroup may be.
        subgroup_minimum: images from which on a subgroup counts.
        operating_point: where images are called positive, each model at its own threshold.
        replicates, level, seed: of the bootstrap that draws patients.
    """

    sensitivity_margin: float = 0.10
    auc_margin: float = 0.05
    subgroup_margin: float = 0.10
    subgroup_minimum: int = 30
    operating_point: str = DEFAULT_POINT
    replicates: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("sensitivity_margin", "auc_margin", "subgroup_margin"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: give a share in [0, 1)")
        if self.subgroup_minimum < 1:
            raise ConfigError(f"subgroup_minimum is {self.subgroup_minimum}: give at least 1")
        try:
            check_settings(self.replicates, self.level)
        except DataError as error:
            raise ConfigError(str(error)) from error
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}: give 0 or more")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison: challenger minus champion, and whether it is good enough.

    Attributes:
        name: such as `AUC`, or the subgroup's.
        low, high: of the interval; None for a subgroup, which is judged by the difference alone.
    """

    name: str
    images: int
    champion: float | None
    challenger: float | None
    difference: float | None
    low: float | None = None
    high: float | None = None
    margin: float
    passed: bool

    @property
    def sentence(self) -> str:
        """The check in words, for the record of why."""
        if self.difference is None:
            return f"{self.name} is not defined on the locked test"
        span = "" if self.low is None else f", interval {self.low:+.3f} to {self.high:+.3f}"
        return (
            f"{self.name} {self.champion:.3f} to {self.challenger:.3f} "
            f"({self.difference:+.3f}{span}, margin {self.margin:g})"
        )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the challenger may replace the champion, and every check."""

    passed: bool
    reason: str
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one model says of the locked test.

    Attributes:
        cases: its images, in the manifest's order.
        threshold: of the model's own operating point.
    """

    cases: Sequence[Case]
    threshold: float

    @property
    def labels(self) -> NDArray[np.bool_]:
        """COVID-19 is True; bool[N]."""
        return np.array([case.label for case in self.cases], dtype=np.bool_)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of COVID-19, float[N] in [0, 1]."""
        return np.array([case.probability for case in self.cases], dtype=np.float64)

    @property
    def calls(self) -> NDArray[np.float64]:
        """1 where an image is assessable and called positive at the threshold, else 0."""
        return (self._assessable & (self.probabilities >= self.threshold)).astype(np.float64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image is assessable and called what it is."""
        return np.asarray(self._assessable & ((self.calls > 0) == self.labels))

    @property
    def _assessable(self) -> NDArray[np.bool_]:
        refused = [Decision.NOT_ASSESSABLE in case.decisions.values() for case in self.cases]
        return ~np.array(refused, dtype=np.bool_)


def compare(
    champion: Answers,
    challenger: Answers,
    subgroups: Mapping[str, Sequence[int]],
    gate: Gate,
) -> Verdict:
    """Judge a challenger against the champion on the same images.

    Not inferior means that the lower end of the paired interval of the difference stays above
    minus the margin, for sensitivity and for AUC. An image that a model does not assess is one
    that it does not call: refusing a positive costs sensitivity, and refusing any image costs a
    right call in its subgroups.

    Args:
        champion: its answers.
        challenger: its answers, on the same images in the same order.
        subgroups: positions of their images by name; those smaller than the minimum are left out.
        gate: the margins.

    Raises:
        DataError: for lists of different images.
    """
    if [case.path for case in champion.cases] != [case.path for case in challenger.cases]:
        raise DataError("champion and challenger were judged on different images: judge both anew")
    checks = (
        _not_inferior("sensitivity", champion, challenger, gate),
        _not_inferior("AUC", champion, challenger, gate),
        *(
            _subgroup(name, np.array(rows), champion, challenger, gate)
            for name, rows in subgroups.items()
            if len(rows) >= gate.subgroup_minimum
        ),
    )
    failed = [check.sentence for check in checks if not check.passed]
    passed = "not inferior: " + "; ".join(check.sentence for check in checks[:2])
    return Verdict(passed=not failed, reason="; ".join(failed) if failed else passed, checks=checks)


def joined(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict on a challenger that several versions, by label, were compared with."""
    failed = [label for label, verdict in verdicts.items() if not verdict.passed]
    reasons = [f"against {label}: {verdicts[label].reason}" for label in failed or verdicts]
    return Verdict(
        passed=not failed,
        reason="; ".join(reasons),
        checks=tuple(
            replace(check, name=f"{check.name} against {label}") if len(verdicts) > 1 else check
            for label, verdict in verdicts.items()
            for check in verdict.checks
        ),
    )


def _not_inferior(name: str, champion: Answers, challenger: Answers, gate: Gate) -> Check:
    if name == "AUC":
        metric: Metric = roc_auc
        old, new, margin = champion.probabilities, challenger.probabilities, gate.auc_margin
    else:
        metric = at_threshold(name, 0.5)
        old, new, margin = champion.calls, challenger.calls, gate.sensitivity_margin
    found = paired_bootstrap(
        metric,
        champion.labels,
        new,
        old,
        [case.patient for case in champion.cases],
        replicates=gate.replicates,
        level=gate.level,
        seed=gate.seed,
    )
    return Check(
        name=name,
        images=len(champion.cases),
        champion=_number(metric(champion.labels, old, None)),
        challenger=_number(metric(champion.labels, new, None)),
        difference=found.value,
        low=found.low,
        high=found.high,
        margin=margin,
        passed=found.low is not None and found.low >= -margin,
    )


def _subgroup(
    name: str, rows: NDArray[np.intp], champion: Answers, challenger: Answers, gate: Gate
) -> Check:
    old, new = (float(model.right[rows].mean()) for model in (champion, challenger))
    return Check(
        name=f"right calls in {name}",
        images=len(rows),
        champion=old,
        challenger=new,
        difference=new - old,
        margin=gate.subgroup_margin,
        # a hair of tolerance: 27 of 30 instead of 30 of 30 is a loss of exactly a tenth
        passed=new - old >= -gate.subgroup_margin - 1e-9,
    )


def _number(value: NDArray[np.float64]) -> float | None:
    return float(value) if np.isfinite(value) else None

"""The lesion branch: how well it finds lesions, and how well its outputs tell COVID-19.

The paper (section 4.2) holds that crazy paving, air bronchograms and septal thickening tell the
classes apart better than ground-glass opacities and consolidations do. Here that is tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ladnn.benchmark.comparison import labels, patients
from ladnn.benchmark.results import Cases, Cell
from ladnn.findings import LESIONS, Lesion
from ladnn.intervals import Difference, Estimate, bootstrap, paired_bootstrap
from ladnn.scoring import Scores, score
from ladnn.statistics import roc_auc

TELLING = (Lesion.CRPA, Lesion.AIRBR, Lesion.INSEPTHI)
COMMON = (Lesion.GGO, Lesion.CSLD)


@dataclass(frozen=True, kw_only=True)
class LesionReport:
    """The lesion branch of one cell, on seed-averaged scores.

    Attributes:
        cell: whose.
        found: by lesion, how well its output finds it where it is known.
        covid: by lesion, the AUC of its output for COVID-19.
        pairs: (a telling lesion, a common one) -> difference of their AUC for COVID-19.
        groups: mean AUC of the telling lesions minus that of the common ones.
        either_way: the same where an output may tell COVID-19 by being low too; resampling pushes
            such an AUC up where it is near one half, which shrinks the difference.
    """

    cell: Cell
    found: Mapping[str, Scores]
    covid: Mapping[str, Estimate]
    pairs: Mapping[tuple[str, str], Difference]
    groups: Difference
    either_way: Difference


def report(cell: Cell) -> LesionReport | None:
    """What the lesion branch of a cell can do; None for a baseline."""
    cases = cell.averaged()
    found = score(cases, {}).lesions
    if found is None:
        return None
    truth, who = labels(cases), patients(cases)
    outputs = {lesion: _outputs(cases, [lesion]) for lesion in LESIONS}
    covid = {
        str(name): bootstrap({"auc": mean_auc}, truth, values, who)["auc"]
        for name, values in outputs.items()
    }
    pairs = {
        (str(one), str(two)): paired_bootstrap(mean_auc, truth, outputs[one], outputs[two], who)
        for one in TELLING
        for two in COMMON
    }
    groups = (_outputs(cases, TELLING), _outputs(cases, COMMON))
    return LesionReport(
        cell=cell,
        found=found,
        covid=covid,
        pairs=pairs,
        groups=paired_bootstrap(mean_auc, truth, *groups, who),
        either_way=paired_bootstrap(mean_separation, truth, *groups, who),
    )


def mean_auc(
    truth: ArrayLike, outputs: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The mean over lesions of the AUC of their outputs [N, K] for COVID-19; a `Metric`."""
    each = [roc_auc(truth, column, weights) for column in np.asarray(outputs).T]
    mean: NDArray[np.float64] = np.mean(each, axis=0)
    return mean


def mean_separation(
    truth: ArrayLike, outputs: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """As `mean_auc`, each AUC below one half counted as one less it; a `Metric`."""
    each = [0.5 + np.abs(roc_auc(truth, column, weights) - 0.5) for column in np.asarray(outputs).T]
    mean: NDArray[np.float64] = np.mean(each, axis=0)
    return mean


def _outputs(cases: Cases, lesions: Sequence[Lesion]) -> NDArray[np.float64]:
    columns = [LESIONS.index(lesion) for lesion in lesions]
    return np.array([case.lesion_probabilities for case in cases], dtype=np.float64)[:, columns]

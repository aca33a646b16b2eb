"""Patient-wise splits into train, validation and test: 60, 15 and 25% of the patients.

The paper's proportions and its wish (section 3.1): all images of a patient on one side, and the
positives of each part covering the numbers of lesions that exist.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ladnn.errors import DataError

PARTS = ("train", "val", "test")
"""The parts of a split, in the order of every table."""

RATIOS = (0.60, 0.15, 0.25)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image to split: whose it is, its flag and the number of its lesions (None: unknown)."""

    patient: str
    covid: bool
    lesions: int | None = None


def split_cases(cases: Sequence[Case], *, seed: int) -> tuple[str, ...]:
    """The part of each case: `train`, `val` or `test`; equal for all cases of a patient.

    Patients are taken in strata of flag and number of lesions (of a patient's images, the number
    that is rarest overall). Every stratum of three patients or more reaches all parts; the rounding
    left over by one stratum is made up in the next, so that the whole comes out at 60, 15, 25%.
    Within a stratum patients of like numbers of images are spread over the parts, so that images
    come out near the same proportions. The same cases and seed give the same split.

    Raises DataError where there are fewer than three patients.
    """
    strata = _strata(cases)
    patients = sum(map(len, strata.values()))
    if patients < len(PARTS):
        raise DataError(
            "a split needs at least three patients, and where they are not known as many groups of "
            f"similar images; here there are {patients}: give images of more"
        )
    rng = np.random.default_rng(seed)
    parts: dict[str, str] = {}
    owed = dict.fromkeys((True, False), np.zeros(len(PARTS)))
    for (covid, _), mine in strata.items():
        counts, owed[covid] = _allot(len(mine), owed[covid])
        parts |= zip(_by_size(mine, rng), _interleaved(counts, rng), strict=True)
    return tuple(parts[case.patient] for case in cases)


def _strata(cases: Sequence[Case]) -> dict[tuple[bool, int], dict[str, int]]:
    """Patients with their number of images, by flag and number of lesions; the rarest first."""
    sizes = Counter(case.patient for case in cases)
    keys = defaultdict(set)
    for case in cases:
        keys[case.patient].add((case.covid, -1 if case.lesions is None else case.lesions))
    frequency = Counter(key for patient in keys for key in keys[patient])
    strata: dict[tuple[bool, int], dict[str, int]] = defaultdict(dict)
    for patient in sorted(keys):
        rarest = min(keys[patient], key=lambda key: (not key[0], frequency[key], key))
        strata[rarest][patient] = sizes[patient]
    return dict(sorted(strata.items(), key=lambda item: (len(item[1]), item[0])))


def _allot(
    patients: int, owed: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[list[int], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Patients per part, and what the rounding still owes to each part."""
    wanted = patients * np.asarray(RATIOS) + owed
    least = 1 if patients >= len(PARTS) else 0
    counts = np.full(len(PARTS), least)
    while counts.sum() < patients:
        counts[int(np.argmax(wanted - counts))] += 1
    return counts.tolist(), wanted - counts


def _by_size(patients: Mapping[str, int], rng: np.random.Generator) -> list[str]:
    names = sorted(patients)
    rng.shuffle(names)
    return sorted(names, key=lambda name: -patients[name])


def _interleaved(counts: Sequence[int], rng: np.random.Generator) -> list[str]:
    """Each part as often as `counts` says, evenly spread with a random place in each interval."""
    places = [
        ((i + rng.random()) / count, part)
        for count, part in zip(counts, PARTS, strict=True)
        for i in range(count)
    ]
    return [part for _, part in sorted(places)]


def linked(patients: Sequence[str], links: Sequence[tuple[int, int]]) -> list[str]:
    """One group for each patient of `patients`: the first patient of those that `links` join.

    `links` are pairs of positions in `patients`. What is linked stays together, whatever lies
    between.
    """
    leader = {patient: patient for patient in patients}

    def find(patient: str) -> str:
        while leader[patient] != patient:
            leader[patient] = leader[leader[patient]]
            patient = leader[patient]
        return patient

    for i, j in links:
        one, two = sorted((find(patients[i]), find(patients[j])))
        leader[two] = one
    return [find(patient) for patient in patients]

"""Labels that may be wrong, by confident learning (Northcutt et al. 2021, cleanlab)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ladnn.audit.answers import Answer, Table, count, number
from ladnn.audit.subjects import Subject
from ladnn.findings import NOT_ASKED

_LEAST = 5  # images of each class; confident learning estimates a threshold for each
SHOWN = 30


def answer(subjects: Sequence[Subject], *, held_out: bool) -> Answer:
    """Images whose label the model contradicts more than its own errors explain."""
    labels = np.array([subject.case.label for subject in subjects], dtype=int)
    method = (
        "cleanlab's confident learning on the model's own calibrated probabilities. "
        + _what_they_are(held_out=held_out)
        + " A suspicion is a reason to look at the image and its report, never to change a label: "
        "where the model is wrong in a systematic way, right labels are suspected."
    )
    blank = Answer(key="labels", title="Suspected label errors", method=method, findings=())
    if min(labels.sum(), (1 - labels).sum()) < _LEAST:
        why = f"fewer than {_LEAST} images of a class"
        return replace(blank, findings=(f"{NOT_ASKED}: {why}.",))
    order = suspected(labels, np.array([subject.case.probability for subject in subjects]))
    found = [subjects[place] for place in order]
    positives = sum(subject.case.label for subject in found)
    sources = ", ".join(
        f"{sum(s.case.source == name for s in found)} of {name}"
        for name in dict.fromkeys(subject.case.source for subject in subjects)
    )
    patients = len({subject.case.patient for subject in found})
    sentence = (
        f"{len(found)} of {count(len(subjects), 'label')} are suspected: {positives} positive and "
        f"{len(found) - positives} negative ones, of {count(patients, 'patient')} ({sources})."
    )
    return replace(blank, findings=(sentence,), tables=(_table(found),))


def _what_they_are(*, held_out: bool) -> str:
    if held_out:
        return (
            "They are out of sample, as far as the manifest's split is that of training: no "
            "network in the bundle was trained on these images."
        )
    return (
        "They are NOT all out of sample: the images include some that the bundle was, or may have "
        "been, trained on, whose wrong labels it may have learned; give --split test."
    )


def suspected(
    labels: NDArray[np.int64],
    chances: NDArray[np.float64],
) -> list[int]:
    """Positions of suspected labels, the least believed first.

    Args:
        labels: int [N], 0 or 1, with both classes.
        chances: float [N], probability of 1, out of sample.
    """
    from cleanlab.filter import find_label_issues

    both = np.stack([1 - chances, chances], axis=1)
    found = find_label_issues(labels, both, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(place) for place in found]


def _table(found: Sequence[Subject]) -> Table:
    rows = tuple(
        (
            subject.view.record.path.name,
            subject.case.source,
            "positive" if subject.case.label else "negative",
            number(subject.case.probability),
        )
        for subject in found[:SHOWN]
    )
    heads = ("image", "source", "label", "probability")
    return Table(title=f"The first {SHOWN} suspected", heads=heads, rows=rows, of_images=True)

"""What the card says of probabilities is fitted on validation, each source heard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladnn.bundle import StudyRule
from ladnn.errors import DataError
from ladnn.findings import LESIONS, Decision
from ladnn.fitting import BAND, Scored, balanced_rows, fit, operating_points


def drawn(count: int = 200, seed: int = 0, lesions: int = 6, slices: int = 1) -> Scored:
    """Logits that are twice too sure, for images half of which are positive."""
    rng = np.random.default_rng(seed)
    covid = np.arange(count) // slices % 2 == 0
    logits = np.where(covid, 2.0, -2.0)[:, None] + rng.normal(scale=2, size=(count, lesions))
    labels = np.full((count, 5), np.nan)
    labels[:, 0] = covid
    labels[:9, 1], labels[9:, 1] = 1, 0
    return Scored(
        logits=2 * logits,
        covid=covid,
        lesions=labels,
        sources=("one",) * count,
        patients=tuple(f"p{i // slices}" for i in range(count)),
    )


def test_a_network_that_is_too_sure_gets_a_temperature_above_one():
    assert fit(drawn()).temperature > 1


def test_a_lesion_with_enough_of_both_is_calibrated_and_one_with_nine_is_not():
    lesions = fit(drawn()).lesions
    assert lesions["GGO"].calibrated
    assert not lesions["Csld"].calibrated
    assert lesions["Csld"].validation_positives == 9


def test_a_lesion_that_nobody_labelled_has_no_temperature():
    assert fit(drawn()).lesions["InSepThi"].temperature is None


def test_every_lesion_has_its_entry_and_a_baseline_has_none():
    assert list(fit(drawn()).lesions) == [str(lesion) for lesion in LESIONS]
    assert fit(drawn(lesions=1)).lesions == {}


def test_screening_keeps_its_sensitivity_on_validation():
    scored = drawn()
    found = fit(scored)
    chances = 1 / (1 + np.exp(-scored.logits[:, 0] / found.temperature))
    caught = chances[scored.covid] >= found.operating_points["screening"].threshold
    assert caught.mean() >= 0.95


@given(st.integers(0, 1000))
def test_the_band_lies_around_the_threshold_and_holds_its_share(seed):
    rng = np.random.default_rng(seed)
    covid = np.arange(100) % 2 == 0
    chances = 1 / (1 + np.exp(-rng.normal(size=100) - covid))
    point = operating_points(covid, chances)["balanced"]
    assert point.low <= point.threshold <= point.high
    unsure = [point.decide(chance) is Decision.INDETERMINATE for chance in chances]
    assert abs(np.mean(unsure) - BAND) <= 0.02


def test_validation_of_one_class_is_refused():
    scored = drawn()
    rows = {"covid": np.ones(200, dtype=bool)}
    with pytest.raises(DataError, match="200 positive of 200"):
        fit(Scored(**(scored.__dict__ | rows)))


def test_a_small_source_is_repeated_until_it_counts_like_a_large_one():
    rows = balanced_rows(["large"] * 6 + ["small"] * 2)
    assert np.bincount(rows).tolist() == [1] * 6 + [3] * 2


def test_a_tiny_source_is_repeated_a_few_times_at_most():
    rows = balanced_rows(["large"] * 100 + ["tiny"])
    assert np.bincount(rows)[-1] == 4


def test_without_patients_of_several_slices_a_study_is_the_mean_of_its_slices():
    assert fit(drawn()).study_rule == StudyRule()


def test_with_enough_patients_of_several_slices_a_study_gets_points_of_its_own():
    rule = fit(drawn(slices=4)).study_rule
    assert set(rule.operating_points) == {"balanced", "screening"}


def test_patients_of_one_slice_are_screened_as_surely_as_those_of_several():
    several, alone = drawn(slices=4), drawn(seed=1)
    scored = Scored(
        logits=np.concatenate([several.logits, alone.logits - 1]),
        covid=np.concatenate([several.covid, alone.covid]),
        lesions=np.concatenate([several.lesions, alone.lesions]),
        sources=("one",) * 400,
        patients=(*several.patients, *(f"alone {i}" for i in range(200))),
    )
    found = fit(scored)
    chances = 1 / (1 + np.exp(-scored.logits[200:, 0] / found.temperature))
    caught = chances[alone.covid] >= found.study_rule.operating_points["screening"].threshold
    assert caught.mean() >= 0.93

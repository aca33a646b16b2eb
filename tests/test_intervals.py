"""Bootstrap by patient, DeLong, Student."""

import time
from functools import partial

import confidenceinterval as other
import numpy as np
import pytest
from confidenceinterval.delong import delong_roc_variance
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test
from numpy.testing import assert_allclose
from scipy.stats import norm, sem
from scipy.stats import t as student

from ladnn import intervals
from ladnn.calibration import brier
from ladnn.errors import DataError
from ladnn.intervals import (
    bands,
    bootstrap,
    check_settings,
    delong_test,
    paired_bootstrap,
    student_interval,
)
from ladnn.statistics import at_threshold, roc_auc, sensitivity_at


def sample(seed=0, size=200, patients=60):
    """Labels, two models' probabilities that share what is hard, and the patient of each row."""
    generator = np.random.default_rng(seed)
    patient = generator.integers(0, patients, size)
    labels = (generator.random(patients) < 0.4)[patient]
    shared = generator.normal(0, 1, patients)[patient] + 1.2 * labels
    first, second = shared + generator.normal(0, 1, (2, size))
    return labels, 1 / (1 + np.exp(-first)), 1 / (1 + np.exp(-second)), list(patient)


def auc_of(labels, scores, clusters, **options):
    return bootstrap({"auc": roc_auc}, labels, scores, clusters, **options)["auc"]


def over_chance(labels, scores):
    """DeLong's test against scores that rank nothing: the AUC less one half, and its interval."""
    return delong_test(labels, scores, np.zeros(len(scores)))


class TestBootstrap:
    def test_value_is_the_metric_of_the_rows_as_they_are(self):
        labels, scores, _, patients = sample()
        assert auc_of(labels, scores, patients).value == float(roc_auc(labels, scores))

    @given(st.integers(0, 10_000))
    @settings(deadline=None, max_examples=25)
    def test_contains_the_point_estimate(self, seed):
        labels, scores, _, patients = sample(seed)
        found = auc_of(labels, scores, patients, replicates=200)
        assert found.low <= found.value <= found.high

    def test_same_seed_gives_the_same_interval(self):
        labels, scores, _, patients = sample()
        once = auc_of(labels, scores, patients, seed=7)
        assert once == auc_of(labels, scores, patients, seed=7)

    def test_another_seed_gives_another_interval(self):
        labels, scores, _, patients = sample()
        assert auc_of(labels, scores, patients, seed=7) != auc_of(labels, scores, patients, seed=8)

    def test_agrees_with_delong_on_independent_rows(self):
        labels, scores, _, _ = sample(size=600, patients=600)
        drawn = auc_of(labels, scores, range(600))
        exact = over_chance(labels, scores)
        assert drawn.low == pytest.approx(exact.low + 0.5, abs=0.005)
        assert drawn.high == pytest.approx(exact.high + 0.5, abs=0.005)

    def test_agrees_with_the_other_package_on_independent_rows(self):
        labels, scores, _, _ = sample()
        called = (scores >= 0.5).astype(int)
        _, (low, high) = other.accuracy_score(
            list(labels.astype(int)), list(called), method="bootstrap_percentile", random_state=0
        )
        found = bootstrap({"a": at_threshold("accuracy", 0.5)}, labels, scores, range(200))["a"]
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.011)

    def test_copies_of_patients_do_not_make_it_narrower(self):
        """Ten images that say the same of each patient are no more evidence than one."""
        labels, scores, _, _ = sample(size=60)
        once = auc_of(labels, scores, range(60))
        often = auc_of(np.tile(labels, 10), np.tile(scores, 10), list(range(60)) * 10)
        assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-9)

    def test_is_wider_than_one_that_draws_images(self):
        labels, scores, _, patients = sample(size=400, patients=30)
        by_patient = auc_of(labels, scores, patients)
        by_image = auc_of(labels, scores, range(400))
        assert by_patient.high - by_patient.low > by_image.high - by_image.low

    def test_covers_the_truth_about_as_often_as_it_says(self):
        """Of 200 studies of two normal classes, 95 percent intervals hold the true AUC."""
        generator, truth, inside = np.random.default_rng(0), norm.cdf(1 / np.sqrt(2)), 0
        labels = np.arange(80) < 40
        for _ in range(200):
            scores = generator.normal(labels, 1)
            found = auc_of(labels, scores, range(80), replicates=300)
            inside += found.low <= truth <= found.high
        assert 0.89 <= inside / 200 <= 0.99

    def test_blocks_do_not_change_the_number_of_replicates(self, monkeypatch):
        monkeypatch.setattr(intervals, "_CELLS", 1000)
        blocks = list(intervals._blocks(np.arange(200), 17, 0))
        assert sum(len(block) for block in blocks) == 17

    def test_draws_as_many_patients_as_there_are(self):
        weights = next(intervals._blocks(np.arange(50), 20, 0))
        assert (weights.sum(axis=1) == 50).all()

    def test_gives_all_rows_of_a_patient_the_same_weight(self):
        weights = next(intervals._blocks(np.array([0, 1, 0, 2, 1]), 20, 0))
        assert (weights[:, 0] == weights[:, 2]).all()
        assert (weights[:, 1] == weights[:, 4]).all()

    def test_two_thousand_resamples_of_a_thousand_rows_take_under_two_seconds(self):
        labels, scores, _, patients = sample(size=1000, patients=600)
        metrics = {"auc": roc_auc, "brier": brier, "f1": at_threshold("f1", 0.5)}
        start = time.process_time()
        bootstrap(metrics, labels, scores, patients)
        assert time.process_time() - start < 2


def columns(labels, scores, weights):
    """Two heights of a curve: the AUC, and the sensitivity at one half."""
    return np.stack(
        [
            roc_auc(labels, scores, weights),
            at_threshold("sensitivity", 0.5)(labels, scores, weights),
        ],
        axis=-1,
    )


class TestBands:
    def test_at_each_place_are_the_interval_of_that_height(self):
        labels, scores, _, clusters = sample()
        low, high = bands(columns, labels, scores, clusters, replicates=300, seed=4)
        metrics = {"auc": roc_auc, "rate": at_threshold("sensitivity", 0.5)}
        found = bootstrap(metrics, labels, scores, clusters, replicates=300, seed=4)
        assert_allclose(low, [found["auc"].low, found["rate"].low])
        assert_allclose(high, [found["auc"].high, found["rate"].high])

    def test_of_one_patient_are_not_numbers(self):
        labels, scores, _, _ = sample()
        low, high = bands(columns, labels, scores, ["p"] * labels.size, replicates=40)
        assert np.isnan([low, high]).all()

    def test_without_rows_are_not_numbers(self):
        curve = partial(sensitivity_at, false_positive_rates=[0.1, 0.5, 0.9])
        for heights, places in ((columns, 2), (curve, 3)):
            low, high = bands(heights, [], [], [], replicates=40)
            assert low.shape == high.shape == (places,)
            assert np.isnan([low, high]).all()

    def test_are_not_numbers_where_the_curve_is_defined_too_rarely(self):
        def sometimes(labels, scores, weights):
            heights = columns(labels, scores, weights)
            heights[::5, 1] = np.nan
            return heights

        labels, scores, _, clusters = sample()
        low, _ = bands(sometimes, labels, scores, clusters, replicates=100)
        assert np.isfinite(low).tolist() == [True, False]


class TestUndefined:
    @pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
    def test_without_both_classes_there_is_a_reason_and_no_value(self, labels):
        found = auc_of(labels, np.linspace(0, 1, len(labels)), range(len(labels)))
        assert (found.value, found.low, found.high) == (None, None, None)
        assert found.reason

    def test_one_patient_has_a_value_and_no_interval(self):
        found = auc_of([0, 1, 1], [0.1, 0.2, 0.3], ["a"] * 3)
        assert (found.value, found.low) == (1.0, None)
        assert "one patient" in found.reason

    def test_a_metric_rarely_defined_in_resamples_has_no_interval(self):
        found = auc_of([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4], range(4))
        assert (found.value, found.low) == (1.0, None)
        assert "resamples" in found.reason

    def test_a_difference_rarely_defined_in_resamples_has_no_interval(self):
        scores = [0.1, 0.2, 0.3, 0.4]
        found = paired_bootstrap(roc_auc, [0, 0, 0, 1], scores, scores[::-1], range(4))
        assert (found.value, found.low, found.p_value) == (1.0, None, None)
        assert "resamples" in found.reason

    def test_an_interval_without_spread_says_so(self):
        found = auc_of([0, 0, 0, 1, 1, 1] * 5, [0.1, 0.2, 0.3, 0.7, 0.8, 0.9] * 5, range(30))
        assert (found.low, found.high) == (1.0, 1.0)
        assert "no spread" in found.reason

    def test_one_undefined_metric_leaves_the_others(self):
        found = bootstrap({"auc": roc_auc, "brier": brier}, [1, 1, 1], [0.5, 0.6, 0.7], range(3))
        assert found["auc"].value is None
        assert found["brier"].low is not None

    def test_a_difference_of_one_class_has_a_reason(self):
        found = paired_bootstrap(roc_auc, [1, 1], [0.1, 0.2], [0.3, 0.4], "ab")
        assert found.value is None
        assert found.reason

    def test_a_difference_within_one_patient_has_no_interval(self):
        found = paired_bootstrap(roc_auc, [0, 1], [0.1, 0.2], [0.4, 0.3], "aa")
        assert (found.value, found.p_value) == (1.0, None)

    def test_refuses_patients_that_do_not_fit(self):
        with pytest.raises(DataError, match="give one per row"):
            auc_of([0, 1], [0.1, 0.2], ["a"])

    @pytest.mark.parametrize("options", [{"replicates": 0}, {"level": 0}, {"level": 1.0}])
    def test_refuses_impossible_settings(self, options):
        with pytest.raises(DataError):
            auc_of([0, 1], [0.1, 0.2], "ab", **options)

    @pytest.mark.parametrize(("level", "fewest"), [(0.5, 4), (0.9, 20), (0.95, 40), (0.99, 200)])
    def test_asks_for_a_resample_in_either_tail(self, level, fewest):
        check_settings(fewest, level)
        with pytest.raises(DataError, match=f"give {fewest} or more"):
            check_settings(fewest - 1, level)


class TestPairedBootstrap:
    def test_value_is_first_minus_second(self):
        labels, first, second, patients = sample()
        found = paired_bootstrap(roc_auc, labels, first, second, patients)
        expected = float(roc_auc(labels, first) - roc_auc(labels, second))
        assert found.value == pytest.approx(expected)

    def test_swapping_the_models_mirrors_it(self):
        labels, first, second, patients = sample()
        there = paired_bootstrap(roc_auc, labels, first, second, patients)
        back = paired_bootstrap(roc_auc, labels, second, first, patients)
        mirrored = (-back.value, -back.high, -back.low, back.p_value)
        assert (there.value, there.low, there.high, there.p_value) == pytest.approx(mirrored)

    def test_equal_models_do_not_differ(self):
        labels, first, _, patients = sample()
        found = paired_bootstrap(roc_auc, labels, first, first, patients)
        assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)

    def test_finds_a_plain_difference(self):
        labels, first, _, patients = sample()
        noise = np.random.default_rng(0).random(labels.size)
        assert paired_bootstrap(roc_auc, labels, first, noise, patients).p_value < 0.01

    def test_p_value_is_never_zero(self):
        labels = np.arange(40) % 2
        found = paired_bootstrap(roc_auc, labels, labels, 1 - labels, range(40), replicates=100)
        assert found.p_value == pytest.approx(2 / 101)

    def test_is_narrower_than_unpaired_intervals_allow(self):
        labels, first, _, patients = sample()
        second = np.clip(first + np.random.default_rng(1).normal(0, 0.02, first.size), 0, 1)
        pair = paired_bootstrap(roc_auc, labels, first, second, patients)
        alone = auc_of(labels, first, patients)
        assert pair.high - pair.low < (alone.high - alone.low) / 2

    def test_agrees_with_delong_on_independent_rows(self):
        labels, first, second, _ = sample(size=600, patients=600)
        drawn = paired_bootstrap(roc_auc, labels, first, second, range(600))
        exact = delong_test(labels, first, second)
        assert (drawn.low, drawn.high) == pytest.approx((exact.low, exact.high), abs=0.006)


class TestDeLong:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("digits", [1, 12])
    def test_variance_agrees_with_the_other_package(self, seed, digits):
        labels, first, _, _ = sample(seed)
        scores = np.round(first, digits)
        expected = delong_roc_variance(labels.astype(bool), scores)
        found = over_chance(labels, scores)
        deviation = (found.high - found.low) / 2 / norm.ppf(0.975)
        assert_allclose((found.value + 0.5, deviation**2), expected, atol=1e-6)

    def test_interval_agrees_with_the_other_package(self):
        labels, scores, _, _ = sample()
        auc, (low, high) = other.roc_auc_score(labels, scores)
        found = over_chance(labels, scores)
        ours = np.array((found.value, found.low, found.high)) + 0.5
        assert_allclose(ours, (auc, low, high), atol=1e-6)

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("digits", [1, 12])
    def test_agrees_with_mlstatkit(self, seed, digits):
        labels, first, second, _ = sample(seed)
        first, second = np.round(first, digits), np.round(second, digits)
        z, p_value = Delong_test(labels, first, second, return_ci=False, return_auc=False)
        found = delong_test(labels, first, second)
        error = (found.high - found.low) / 2 / norm.ppf(0.975)
        assert -found.value / error == pytest.approx(z, abs=1e-6)
        assert found.p_value == pytest.approx(p_value, abs=1e-6)

    def test_models_that_rank_alike_have_no_test(self):
        labels, first, _, _ = sample()
        found = delong_test(labels, first, first**3)
        assert (found.value, found.p_value) == (0, None)
        assert "no variance" in found.reason

    @pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
    def test_one_class_has_a_reason(self, labels):
        found = delong_test(labels, [0.1, 0.2], [0.2, 0.1])
        assert (found.value, found.reason) == (None, "both classes are needed")

    def test_one_case_has_a_difference_and_no_interval(self):
        found = over_chance([0, 0, 1], [0.1, 0.2, 0.3])
        assert (found.value, found.low) == (0.5, None)

    def test_refuses_lengths_that_differ(self):
        with pytest.raises(DataError, match="do not fit"):
            delong_test([0, 1, 1], [0.1, 0.2, 0.3], [0.1, 0.2])

    def test_refuses_scores_that_are_not_numbers(self):
        with pytest.raises(DataError):
            delong_test([0, 1], [0.1, np.nan], [0.1, 0.2])

    def test_refuses_a_label_of_two(self):
        with pytest.raises(DataError):
            delong_test([0, 2], [0.1, 0.2], [0.2, 0.1])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (other.tpr_score, "sensitivity"),
        (other.tnr_score, "specificity"),
        (other.ppv_score, "precision"),
        (other.accuracy_score, "accuracy"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_rates_agree_with_the_other_package(theirs, ours):
    labels, scores, _, _ = sample()
    value, _ = theirs(list(labels.astype(int)), list((scores >= 0.5).astype(int)))
    assert float(at_threshold(ours, 0.5)(labels, scores, None)) == pytest.approx(value, abs=1e-6)


class TestStudent:
    def test_agrees_with_scipy(self):
        values = np.random.default_rng(0).uniform(0.4, 0.6, size=5)
        found = student_interval(values)
        expected = student.interval(0.95, 4, loc=values.mean(), scale=sem(values))
        assert_allclose((found.low, found.high), expected, atol=1e-9)
        assert found.value == pytest.approx(values.mean())

    def test_a_share_lies_between_none_and_all(self):
        found = student_interval([0.6, 0.9])
        assert (found.low, found.high) == (0, 1)

    def test_one_repetition_has_a_value_and_no_interval(self):
        found = student_interval([0.7])
        assert (found.value, found.low, found.reason) == (0.7, None, "no interval: one repetition")

    @pytest.mark.parametrize("values", [[], [0.5, float("nan")]])
    def test_what_is_not_defined_has_a_reason(self, values):
        assert student_interval(values).value is None
        assert student_interval(values).reason

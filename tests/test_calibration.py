"""Brier score, expected calibration error, reliability, temperature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from ladnn import calibration
from ladnn.errors import DataError

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=40)


def arrays(drawn):
    labels, scores = zip(*drawn, strict=True)
    return np.array(labels), np.array(scores) / 20


def sample(seed=0, size=400, sharpness=1.0):
    """Labels drawn from the logits' own probabilities, then the logits made sharper."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, size)
    labels = generator.random(size) < calibration.probability(logits)
    return labels, logits * sharpness


def log_loss(labels, logits, temperature):
    """Mean negative log-likelihood in nats, from logits, so that no probability rounds to 0."""
    return float(np.logaddexp(0, (1 - 2.0 * labels) * logits / temperature).mean())


class TestAgreesWithScikitLearn:
    def test_brier(self):
        labels, logits = sample()
        values = calibration.probability(logits)
        expected = sk.brier_score_loss(labels, values)
        assert_allclose(calibration.brier(labels, values), expected, atol=1e-6)

    def test_reliability(self):
        labels, logits = sample()
        found = calibration.reliability(labels, calibration.probability(logits))
        observed, predicted = calibration_curve(
            labels, calibration.probability(logits), n_bins=calibration.BINS
        )
        filled = found.counts > 0
        assert_allclose(found.observed[filled], observed, atol=1e-6)
        assert_allclose(found.predicted[filled], predicted, atol=1e-6)


class TestExpectedCalibrationError:
    def test_is_the_weighted_gap_of_the_bins(self):
        labels, logits = sample()
        values = calibration.probability(logits)
        bins = calibration.reliability(labels, values)
        filled = bins.counts > 0
        gaps = np.abs(bins.observed - bins.predicted)[filled] * bins.counts[filled]
        expected = gaps.sum() / labels.size
        assert_allclose(calibration.expected_calibration_error(labels, values), expected, atol=1e-9)

    def test_is_zero_when_rates_meet_probabilities(self):
        labels = [1, 0, 0, 0, 1, 1, 1, 0]
        values = [0.25] * 4 + [0.75] * 4
        assert calibration.expected_calibration_error(labels, values) == pytest.approx(0)

    def test_counts_a_bins_upper_edge_to_it(self):
        assert calibration.reliability([0], [0.1]).counts[0] == 1

    def test_counts_zero_and_one_to_the_outer_bins(self):
        assert list(calibration.reliability([0, 1], [0.0, 1.0]).counts[[0, -1]]) == [1, 1]

    @given(rows)
    @settings(deadline=None)
    def test_is_a_rate(self, drawn):
        found = calibration.expected_calibration_error(*arrays(drawn))
        assert 0 <= found <= 1

    @given(rows)
    @settings(deadline=None)
    def test_is_at_least_the_gap_of_the_means(self, drawn):
        labels, values = arrays(drawn)
        found = calibration.expected_calibration_error(labels, values)
        assert found >= abs(labels.mean() - values.mean()) - 1e-9

    @given(rows, st.integers(0, 1000))
    @settings(deadline=None)
    def test_weights_equal_repeated_rows(self, drawn, seed):
        labels, values = arrays(drawn)
        weights = np.random.default_rng(seed).integers(0, 3, (2, labels.size))
        for metric in (calibration.brier, calibration.expected_calibration_error):
            copies = [metric(np.repeat(labels, k), np.repeat(values, k)) for k in weights]
            assert_allclose(metric(labels, values, weights), copies, atol=1e-9)

    def test_is_nan_without_rows(self):
        assert np.isnan(calibration.expected_calibration_error([], []))


class TestObservedRates:
    def test_are_those_of_the_reliability_bins(self):
        labels, logits = sample()
        chances = calibration.probability(logits)
        found = calibration.observed_rates(labels, chances)
        assert_allclose(found, calibration.reliability(labels, chances).observed)

    def test_of_resamples_count_each_row_as_often_as_it_was_drawn(self):
        labels, chances = np.array([1, 0, 0]), np.array([0.32, 0.35, 0.9])
        found = calibration.observed_rates(labels, chances, [[3, 1, 0], [0, 2, 1]])
        assert_allclose(found[:, 3], [0.75, 0])
        assert_allclose(found[:, 8], [np.nan, 0])


class TestBrier:
    @given(rows)
    @settings(deadline=None)
    def test_is_a_rate(self, drawn):
        assert 0 <= calibration.brier(*arrays(drawn)) <= 1

    def test_is_nan_without_rows(self):
        assert np.isnan(calibration.brier([], []))

    def test_refuses_logits(self):
        with pytest.raises(DataError, match="not logits"):
            calibration.brier([0, 1], [-2.0, 3.0])

    def test_refuses_lengths_that_differ(self):
        with pytest.raises(DataError, match="do not fit"):
            calibration.brier([0, 1], [0.5])

    def test_refuses_a_label_of_two(self):
        with pytest.raises(DataError, match="neither 0 nor 1"):
            calibration.brier([0, 2], [0.5, 0.5])


class TestTemperature:
    @pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
    def test_is_the_minimum_that_a_general_solver_finds(self, sharpness):
        labels, logits = sample(sharpness=sharpness)
        found = calibration.fit_temperature(labels, logits)
        expected = minimize_scalar(
            lambda value: log_loss(labels, logits, value),
            bounds=(0.05, 20),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert found == pytest.approx(expected.x, abs=1e-5)

    def test_undoes_a_sharpening(self):
        labels, logits = sample(size=20_000, sharpness=3.0)
        assert calibration.fit_temperature(labels, logits) == pytest.approx(3, rel=0.05)

    @given(st.integers(0, 10_000))
    @settings(deadline=None)
    def test_never_makes_the_loss_larger(self, seed):
        labels, logits = sample(seed, size=12)
        found = calibration.fit_temperature(labels, logits)
        if found is not None:
            before, after = log_loss(labels, logits, 1), log_loss(labels, logits, found)
            assert after <= before + 1e-12

    def test_stops_at_its_range_for_classes_that_never_meet(self):
        found = calibration.fit_temperature([0, 0, 1, 1], [-2, -1, 1, 2])
        assert found == calibration.COLDEST

    def test_stops_at_its_range_for_logits_the_wrong_way_round(self):
        found = calibration.fit_temperature([1, 1, 0, 0], [-2, -1, 1, 2])
        assert found == calibration.HOTTEST

    @pytest.mark.parametrize("labels", [[], [1, 1], [0, 0]])
    def test_is_none_without_both_classes(self, labels):
        found = calibration.fit_temperature(labels, np.zeros(len(labels)))
        assert found is None

    def test_keeps_the_order_and_one_half(self):
        logits = np.array([-3.0, 0.0, 0.1, 5.0])
        values = calibration.probability(logits, 2.5)
        assert (np.diff(values) > 0).all()
        assert values[1] == 0.5

    def test_refuses_a_logit_that_is_not_finite(self):
        with pytest.raises(DataError, match="finite"):
            calibration.fit_temperature([0, 1], [0, np.inf])

    def test_refuses_a_label_of_two(self):
        with pytest.raises(DataError, match="neither 0 nor 1"):
            calibration.fit_temperature([0, 2], [0, 1])


class TestProbability:
    def test_is_the_logistic_function(self):
        logits = np.linspace(-30, 30, 13)
        assert_allclose(calibration.probability(logits), 1 / (1 + np.exp(-logits)), atol=1e-12)

    def test_does_not_overflow(self):
        with np.errstate(all="raise"):
            assert list(calibration.probability([-1e6, 1e6])) == [0, 1]

    @pytest.mark.parametrize("temperature", [0, -1, float("nan")])
    def test_refuses_an_impossible_temperature(self, temperature):
        with pytest.raises(DataError, match="temperature"):
            calibration.probability([0.0], temperature)

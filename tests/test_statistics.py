"""Discrimination: ROC, precision-recall, confusion counts, thresholds."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import metrics as sk

from ladnn import statistics
from ladnn.errors import DataError

# Few distinct scores make many ties; they are exact in floating point, so order is kept by sums.
rows = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=1, max_size=40)


def arrays(drawn):
    labels, scores = zip(*drawn, strict=True)
    return np.array(labels), np.array(scores) / 16


def sample(seed=0, size=300, ties=False):
    generator = np.random.default_rng(seed)
    labels = generator.random(size) < 0.4
    scores = np.clip(generator.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return labels, np.round(scores, 1) if ties else scores


SAMPLES = [sample(0), sample(1, ties=True), sample(2, size=17, ties=True)]


@pytest.mark.parametrize(("labels", "scores"), SAMPLES)
class TestAgreesWithScikitLearn:
    def test_roc_auc(self, labels, scores):
        assert_allclose(
            statistics.roc_auc(labels, scores), sk.roc_auc_score(labels, scores), atol=1e-6
        )

    def test_weighted_roc_auc(self, labels, scores):
        weights = np.random.default_rng(3).integers(0, 4, labels.size)
        expected = sk.roc_auc_score(labels, scores, sample_weight=weights)
        assert_allclose(statistics.roc_auc(labels, scores, weights), expected, atol=1e-6)

    def test_average_precision(self, labels, scores):
        expected = sk.average_precision_score(labels, scores)
        assert_allclose(statistics.average_precision(labels, scores), expected, atol=1e-6)

    def test_weighted_average_precision(self, labels, scores):
        weights = np.random.default_rng(3).integers(0, 4, labels.size)
        expected = sk.average_precision_score(labels, scores, sample_weight=weights)
        assert_allclose(statistics.average_precision(labels, scores, weights), expected, atol=1e-6)

    def test_roc_curve(self, labels, scores):
        found = statistics.curve(labels, scores)
        false_positive, true_positive, cuts = sk.roc_curve(labels, scores, drop_intermediate=False)
        assert_allclose(found.false_positive_rate, false_positive, atol=1e-6)
        assert_allclose(found.sensitivity, true_positive, atol=1e-6)
        assert_allclose(found.thresholds, cuts, atol=1e-6)

    def test_precision_recall_curve(self, labels, scores):
        found = statistics.curve(labels, scores)
        precision, recall, cuts = sk.precision_recall_curve(labels, scores)
        assert_allclose(found.precision[::-1], precision, atol=1e-6)
        assert_allclose(found.sensitivity[::-1], recall, atol=1e-6)
        assert_allclose(found.thresholds[:0:-1], cuts, atol=1e-6)

    @pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5])
    def test_metrics_at_a_threshold(self, labels, scores, threshold):
        called = scores >= threshold
        found = statistics.confusion(labels, scores, threshold)
        assert_allclose(found.sensitivity, sk.recall_score(labels, called), atol=1e-6)
        assert_allclose(found.specificity, sk.recall_score(labels, called, pos_label=0), atol=1e-6)
        assert_allclose(found.precision, sk.precision_score(labels, called), atol=1e-6)
        assert_allclose(found.f1, sk.f1_score(labels, called), atol=1e-6)
        assert_allclose(found.accuracy, sk.accuracy_score(labels, called), atol=1e-6)

    def test_confusion_counts(self, labels, scores):
        found = statistics.confusion(labels, scores, 0.5)
        expected = sk.confusion_matrix(labels, scores >= 0.5).ravel()
        cells = (
            found.true_negative,
            found.false_positive,
            found.false_negative,
            found.true_positive,
        )
        assert tuple(map(int, cells)) == tuple(expected)

    def test_youden_is_the_best_point_of_the_curve(self, labels, scores):
        false_positive, true_positive, _ = sk.roc_curve(labels, scores)
        chosen = statistics.confusion(labels, scores, statistics.youden_threshold(labels, scores))
        gain = float(chosen.sensitivity + chosen.specificity - 1)
        assert gain == pytest.approx(np.max(true_positive - false_positive), abs=1e-6)


class TestAuc:
    @given(rows)
    @settings(deadline=None)
    def test_counts_pairs(self, drawn):
        """The AUC is the share of pairs won, a tie counting half."""
        labels, scores = arrays(drawn)
        cases, controls = scores[labels], scores[~labels]
        found = statistics.roc_auc(labels, scores)
        if not cases.size or not controls.size:
            assert np.isnan(found)
        else:
            gaps = cases[:, None] - controls[None, :]
            assert_allclose(found, ((gaps > 0) + (gaps == 0) / 2).mean(), atol=1e-9)

    @given(rows)
    @settings(deadline=None)
    def test_ignores_a_rising_transformation(self, drawn):
        labels, scores = arrays(drawn)
        bent = np.exp(3 * scores) - 7
        assert_allclose(
            statistics.roc_auc(labels, scores), statistics.roc_auc(labels, bent), atol=1e-9
        )

    @given(rows)
    @settings(deadline=None)
    def test_mirrors_when_scores_are_negated(self, drawn):
        labels, scores = arrays(drawn)
        there, back = statistics.roc_auc(labels, scores), statistics.roc_auc(labels, -scores)
        assert_allclose(there, 1 - back, atol=1e-9)

    @given(rows)
    @settings(deadline=None)
    def test_mirrors_when_classes_are_swapped(self, drawn):
        labels, scores = arrays(drawn)
        there, back = statistics.roc_auc(labels, scores), statistics.roc_auc(~labels, scores)
        assert_allclose(there, 1 - back, atol=1e-9)

    @given(rows, st.randoms(use_true_random=False))
    @settings(deadline=None)
    def test_ignores_the_order_of_rows(self, drawn, random):
        shuffled = list(drawn)
        random.shuffle(shuffled)
        assert_allclose(
            statistics.roc_auc(*arrays(drawn)), statistics.roc_auc(*arrays(shuffled)), atol=1e-9
        )

    def test_is_one_for_perfect_scores(self):
        assert statistics.roc_auc([0, 0, 1], [0.1, 0.2, 0.3]) == 1

    def test_is_one_half_for_equal_scores(self):
        assert statistics.roc_auc([0, 1, 1], [0.2, 0.2, 0.2]) == 0.5

    @pytest.mark.parametrize("labels", [[], [1, 1], [0, 0]])
    def test_is_nan_without_both_classes(self, labels):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isnan(statistics.roc_auc(labels, np.linspace(0, 1, len(labels))))


class TestWeights:
    @given(rows, st.integers(0, 1000))
    @settings(deadline=None, max_examples=50)
    def test_equal_repeated_rows(self, drawn, seed):
        """A weight of k is the same as k copies of the row, for every metric."""
        labels, scores = arrays(drawn)
        weights = np.random.default_rng(seed).integers(0, 4, (3, labels.size))
        names = statistics.THRESHOLD_METRICS
        metrics = [statistics.at_threshold(name, 0.5) for name in names]
        for metric in [statistics.roc_auc, statistics.average_precision, *metrics]:
            copies = [
                metric(np.repeat(labels, count), np.repeat(scores, count), None)
                for count in weights
            ]
            assert_allclose(metric(labels, scores, weights), copies, atol=1e-9)


class TestBounds:
    @given(rows, st.integers(-1, 17))
    @settings(deadline=None)
    def test_every_metric_is_a_rate_or_undefined(self, drawn, cut):
        labels, scores = arrays(drawn)
        found = [statistics.roc_auc(labels, scores), statistics.average_precision(labels, scores)]
        metrics = [statistics.at_threshold(name, cut / 16) for name in statistics.THRESHOLD_METRICS]
        found.extend(metric(labels, scores, None) for metric in metrics)
        assert all(np.isnan(value) or 0 <= value <= 1 for value in found)

    @given(rows)
    @settings(deadline=None)
    def test_curves_rise_from_the_origin_to_one(self, drawn):
        found = statistics.curve(*arrays(drawn))
        for rate in (found.sensitivity, found.false_positive_rate):
            assert np.isnan(rate).all() or (rate[0], rate[-1]) == (0, 1)
            assert np.isnan(rate).all() or (np.diff(rate) >= 0).all()

    @given(rows)
    @settings(deadline=None)
    def test_the_area_under_the_curve_is_the_auc(self, drawn):
        labels, scores = arrays(drawn)
        found = statistics.curve(labels, scores)
        area = np.trapezoid(found.sensitivity, found.false_positive_rate)
        assert_allclose(area, statistics.roc_auc(labels, scores), atol=1e-9)

    @given(rows, st.integers(-1, 17))
    @settings(deadline=None)
    def test_confusion_counts_add_up_to_the_rows(self, drawn, cut):
        labels, scores = arrays(drawn)
        found = statistics.confusion(labels, scores, cut / 16)
        total = found.true_positive + found.false_positive
        assert total + found.true_negative + found.false_negative == labels.size


class TestUndefined:
    def test_precision_is_nan_when_nothing_is_called(self):
        assert np.isnan(statistics.confusion([0, 1], [0.1, 0.2], 0.5).precision)

    def test_f1_is_zero_when_every_case_is_missed(self):
        assert statistics.confusion([0, 1], [0.1, 0.2], 0.5).f1 == 0

    def test_sensitivity_is_nan_without_cases(self):
        assert np.isnan(statistics.confusion([0, 0], [0.1, 0.2], 0.5).sensitivity)

    def test_specificity_is_nan_without_controls(self):
        assert np.isnan(statistics.confusion([1, 1], [0.1, 0.2], 0.5).specificity)

    @pytest.mark.parametrize(
        ("name", "labels", "words"),
        [
            ("auc", [], "no cases"),
            ("auc", [0, 0], "no positive cases"),
            ("auc", [1], "no negative cases"),
            ("specificity", [1], "no negative cases"),
            ("precision", [0, 1], "no case was called positive"),
        ],
    )
    def test_has_words(self, name, labels, words):
        assert statistics.why_undefined(name, labels) == words

    def test_a_curve_without_rows_is_one_undefined_point(self):
        found = statistics.curve([], [])
        assert (found.thresholds.tolist(), found.precision.tolist()) == ([np.inf], [1.0])
        assert np.isnan([found.sensitivity, found.false_positive_rate]).all()

    @pytest.mark.parametrize("metric", [statistics.roc_auc, statistics.average_precision])
    def test_without_rows_each_resample_is_undefined(self, metric):
        found = metric([], [], np.ones((3, 0)))
        assert found.shape == (3,)
        assert np.isnan(found).all()


class TestHeightsOfCurves:
    def test_of_the_roc_curve_are_those_between_its_points(self):
        labels, scores = sample(1, ties=True)
        found = statistics.curve(labels, scores)
        places = np.linspace(0, 1, 57)
        heights = statistics.sensitivity_at(labels, scores, false_positive_rates=places)
        expected = np.interp(places, found.false_positive_rate, found.sensitivity)
        assert_allclose(heights, expected)

    def test_of_the_roc_curve_enclose_its_area(self):
        labels, scores = sample(1, ties=True)
        places = np.linspace(0, 1, 5001)
        heights = statistics.sensitivity_at(labels, scores, false_positive_rates=places)
        area = statistics.roc_auc(labels, scores)
        assert_allclose(np.trapezoid(heights, places), area, atol=1e-3)

    def test_of_precision_are_those_at_the_highest_threshold_that_reaches_a_sensitivity(self):
        labels, scores = sample(0)
        for target in (0.1, 0.5, 0.95, 1.0):
            cut = statistics.threshold_at_sensitivity(labels, scores, target)
            expected = statistics.confusion(labels, scores, cut).precision
            found = statistics.precision_at(labels, scores, sensitivities=[target])
            assert_allclose(found, expected)

    def test_of_resamples_are_those_of_the_rows_repeated(self):
        labels, scores = sample(2, size=17, ties=True)
        weights = np.random.default_rng(3).integers(0, 4, (5, 17))
        places = np.linspace(0.05, 1, 20)
        roc = statistics.sensitivity_at(labels, scores, weights, false_positive_rates=places)
        recall = statistics.precision_at(labels, scores, weights, sensitivities=places)
        for row, counts in enumerate(weights):
            again = np.repeat(labels, counts), np.repeat(scores, counts)
            assert_allclose(
                roc[row], statistics.sensitivity_at(*again, false_positive_rates=places)
            )
            assert_allclose(recall[row], statistics.precision_at(*again, sensitivities=places))

    @pytest.mark.parametrize("label", [True, False])
    def test_of_an_absent_class_are_not_numbers(self, label):
        labels, scores = np.full(4, label), np.arange(4) / 4
        assert np.isnan(statistics.sensitivity_at(labels, scores, false_positive_rates=[0.5])).all()

    @pytest.mark.parametrize("weights", [None, np.ones((3, 0))])
    def test_without_rows_are_not_numbers(self, weights):
        shape = (2,) if weights is None else (3, 2)
        places = [0.1, 1.0]
        roc = statistics.sensitivity_at([], [], weights, false_positive_rates=places)
        recall = statistics.precision_at([], [], weights, sensitivities=places)
        assert roc.shape == recall.shape == shape
        assert np.isnan([roc, recall]).all()

    def test_of_precision_without_positives_are_not_numbers(self):
        found = statistics.precision_at(np.zeros(3, bool), [0.1, 0.2, 0.3], sensitivities=[0.5])
        assert np.isnan(found).all()


class TestNetBenefit:
    def test_is_true_positives_less_false_ones_at_the_odds_of_the_threshold(self):
        labels, chances = [1, 1, 0, 0, 0], [0.9, 0.1, 0.8, 0.3, 0.1]
        found = statistics.net_benefit(labels, chances, thresholds=[0.2, 0.75])
        assert_allclose(found, [1 / 5 - 2 / 5 * 0.25, 1 / 5 - 1 / 5 * 3])

    def test_of_calling_everyone_is_nothing_where_the_threshold_is_the_prevalence(self):
        labels = np.arange(10) < 3
        assert_allclose(
            statistics.net_benefit(labels, np.ones(10), thresholds=[0.3]), 0, atol=1e-12
        )

    def test_of_a_perfect_model_is_the_prevalence_everywhere(self):
        labels, _ = sample(0)
        found = statistics.net_benefit(labels, labels.astype(float), thresholds=[0.01, 0.5, 0.99])
        assert_allclose(found, labels.mean())

    def test_follows_from_the_confusion_counts(self):
        labels, scores = sample(1, ties=True)
        counts = statistics.confusion(labels, scores, 0.4)
        expected = (counts.true_positive - counts.false_positive * 0.4 / 0.6) / labels.size
        assert_allclose(statistics.net_benefit(labels, scores, thresholds=[0.4]), expected)

    def test_of_resamples_is_that_of_the_rows_repeated(self):
        labels, scores = sample(2, size=17, ties=True)
        weights = np.random.default_rng(3).integers(0, 4, (5, 17))
        found = statistics.net_benefit(labels, scores, weights, thresholds=[0.2, 0.6])
        for row, counts in zip(found, weights, strict=True):
            again = np.repeat(labels, counts), np.repeat(scores, counts)
            assert_allclose(row, statistics.net_benefit(*again, thresholds=[0.2, 0.6]))

    @pytest.mark.parametrize("threshold", [0, 1, -0.1, float("nan")])
    def test_has_no_threshold_of_certainty(self, threshold):
        with pytest.raises(DataError, match="outside"):
            statistics.net_benefit([1, 0], [0.5, 0.5], thresholds=[threshold])


class TestThresholds:
    @given(rows, st.floats(0.01, 1))
    @settings(deadline=None)
    def test_sensitivity_reaches_its_target(self, drawn, target):
        labels, scores = arrays(drawn)
        cut = statistics.threshold_at_sensitivity(labels, scores, target)
        if labels.any():
            assert statistics.confusion(labels, scores, cut).sensitivity >= target - 1e-9
        else:
            assert np.isnan(cut)

    @given(rows, st.floats(0.01, 1))
    @settings(deadline=None)
    def test_the_next_higher_threshold_misses_the_target(self, drawn, target):
        labels, scores = arrays(drawn)
        cut = statistics.threshold_at_sensitivity(labels, scores, target)
        admitted = scores[scores >= cut]
        if labels.any():
            above = np.nextafter(admitted.min(), 2)
            assert statistics.confusion(labels, scores, above).sensitivity < target

    def test_nineteen_of_twenty_is_ninety_five_percent(self):
        scores = np.arange(20) / 20
        cut = statistics.threshold_at_sensitivity(np.ones(20), scores, 0.95)
        assert (scores >= cut).sum() == 19

    def test_lies_halfway_to_the_next_score(self):
        assert statistics.youden_threshold([0, 1], [0.2, 0.6]) == pytest.approx(0.4)

    def test_admits_no_row_more_between_neighbouring_floats(self):
        low, high = 0.5, np.nextafter(0.5, 1)
        assert statistics.youden_threshold([0, 1], [low, high]) == high

    def test_youden_takes_the_most_sensitive_of_equals(self):
        labels, scores = [1, 0, 1, 0], [0.8, 0.6, 0.4, 0.2]
        cut = statistics.youden_threshold(labels, scores)
        assert statistics.confusion(labels, scores, cut).sensitivity == 1

    @pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
    def test_youden_is_nan_without_both_classes(self, labels):
        assert np.isnan(statistics.youden_threshold(labels, np.zeros(len(labels))))

    @pytest.mark.parametrize("target", [0, -1, 1.1, float("nan")])
    def test_refuses_an_impossible_target(self, target):
        with pytest.raises(DataError, match="target sensitivity"):
            statistics.threshold_at_sensitivity([0, 1], [0, 1], target)


class TestRefuses:
    def test_lengths_that_differ(self):
        with pytest.raises(DataError, match="do not fit"):
            statistics.roc_auc([0, 1], [0.5])

    def test_a_label_of_two(self):
        with pytest.raises(DataError, match="neither 0 nor 1"):
            statistics.roc_auc([0, 2], [0.5, 0.6])

    def test_a_score_that_is_not_a_number(self):
        with pytest.raises(DataError, match="not a number"):
            statistics.roc_auc([0, 1], [0.5, np.nan])

    def test_a_negative_weight(self):
        with pytest.raises(DataError, match="weight is negative"):
            statistics.roc_auc([0, 1], [0.5, 0.6], [-1, 1])

    def test_an_unknown_metric(self):
        with pytest.raises(DataError, match="sensitivity, specificity"):
            statistics.at_threshold("hit_rate", 0.5)

    def test_weights_of_two_axes_for_a_curve(self):
        with pytest.raises(DataError, match="one axis"):
            statistics.curve([0, 1], [0.5, 0.6], np.ones((2, 2)))


class TestMean:
    def test_is_that_of_the_scores_whatever_the_labels(self):
        labels, scores = sample()
        weights = np.random.default_rng(0).integers(0, 3, (4, scores.size))
        expected = [np.average(scores, weights=row) for row in weights]
        assert_allclose(statistics.mean(labels, scores), scores.mean(), atol=1e-12)
        assert_allclose(statistics.mean(labels, scores, weights), expected, atol=1e-12)

    def test_of_nothing_is_not_defined(self):
        assert np.isnan(statistics.mean([], []))

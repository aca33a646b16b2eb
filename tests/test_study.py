"""The slices of a study make one result by the rule in the card."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles import tiny_card
from ladnn.bundle import OperatingPoint, StudyRule
from ladnn.errors import DataError
from ladnn.findings import Decision
from ladnn.scoring import Case
from ladnn.study import aggregate, mean_top, patients
from test_overlay import prediction

CARD = tiny_card(b"")


def slices(*probabilities, **changes):
    return [prediction(probability=p, **changes) for p in probabilities]


def test_the_largest_half_counts():
    assert mean_top([0.1, 0.9, 0.5, 0.7], StudyRule(fraction=0.5)) == pytest.approx(0.8)


def test_at_least_the_minimum_counts():
    assert mean_top([0.2, 0.4, 0.6], StudyRule(fraction=0.01, minimum=2)) == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0.01, 1), st.integers(1, 20))
def test_the_result_lies_between_the_mean_and_the_largest(values, fraction, minimum):
    result = mean_top(values, StudyRule(fraction=fraction, minimum=minimum))
    assert math.fsum(values) / len(values) - 1e-9 <= result <= max(values) + 1e-9


@given(st.permutations([0.1, 0.3, 0.3, 0.8, 0.9]))
def test_the_order_of_slices_does_not_matter(values):
    assert mean_top(values, CARD.study_rule) == mean_top(sorted(values), CARD.study_rule)


def test_slices_that_cannot_be_assessed_do_not_count():
    odd = slices(0.99, 0.98, assessable=False, decision=Decision.NOT_ASSESSABLE)
    assert aggregate("s", [*odd, *slices(0.1, 0.2)], CARD, "balanced").probability < 0.3


def test_a_study_without_an_assessable_slice_is_not_assessable():
    odd = slices(0.9, 0.9, assessable=False)
    said = aggregate("s", odd, CARD, "balanced")
    assert (said.decision, said.assessable, said.slices) == (Decision.NOT_ASSESSABLE, 0, 2)


def test_the_operating_point_decides_a_study():
    said = [aggregate("s", slices(0.3), CARD, point) for point in ("balanced", "screening")]
    assert [one.decision for one in said] == [Decision.NEGATIVE, Decision.POSITIVE]


def test_a_rule_with_its_own_point_decides_by_that():
    own = {"balanced": OperatingPoint(threshold=0.2, low=0.2, high=0.2)}
    card = tiny_card(b"", study_rule=StudyRule(operating_points=own))
    assert aggregate("s", slices(0.3), card, "balanced").decision == Decision.POSITIVE


def test_lesions_follow_the_same_rule():
    some = slices(0.5, lesions=(0.2,) * 5) + slices(0.5, lesions=(0.6,) * 5)
    assert aggregate("s", some, CARD, "balanced").lesions == pytest.approx((0.4,) * 5)


def test_a_baseline_has_no_lesions():
    assert aggregate("s", slices(0.5, lesions=None), CARD, "balanced").lesions is None


def test_a_study_without_slices_is_an_error():
    with pytest.raises(DataError, match="no slice that could be read"):
        aggregate("s", [], CARD, "balanced")


def test_a_study_says_that_it_is_for_research_only():
    assert aggregate("s", slices(0.5), CARD, "balanced").to_json()["research_use_only"] is True


def case(probability, *, label=True, patient="p", refused=False, lesion=None):
    decision = Decision.NOT_ASSESSABLE if refused else Decision.POSITIVE
    return Case(
        path="a.png",
        source="s",
        patient=patient,
        label=label,
        probability=probability,
        decisions={"balanced": decision, "screening": decision},
        lesion_labels=(lesion, None, None, None, None),
        lesion_probabilities=(probability,) * 5,
    )


def test_a_patient_is_positive_if_any_image_is():
    assert patients([case(0.2, label=False), case(0.4)], CARD).cases[0].label


def test_images_that_the_guard_refuses_do_not_count_for_a_patient():
    (found,) = patients([case(0.2), case(0.4), case(0.9, refused=True)], CARD).cases
    assert found.probability == pytest.approx(0.3)


def test_a_patient_of_refused_images_alone_is_not_assessable():
    (found,) = patients([case(0.9, refused=True)], CARD).cases
    assert set(found.decisions.values()) == {Decision.NOT_ASSESSABLE}


def test_a_patient_is_cut_where_the_study_rule_says():
    point = OperatingPoint(threshold=0.9, low=0.9, high=0.9)
    card = tiny_card(b"", study_rule=StudyRule(operating_points={"balanced": point}))
    (found,) = patients([case(0.6)], card).cases
    assert found.decisions == {"balanced": Decision.NEGATIVE, "screening": Decision.POSITIVE}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [((None, True), True), ((False, True), True), ((False, False), False), ((None, False), None)],
)
def test_a_lesion_of_a_patient_is_unknown_until_every_image_is_known(labels, expected):
    (found,) = patients([case(0.5, lesion=label) for label in labels], CARD).cases
    assert found.lesion_labels[0] is expected

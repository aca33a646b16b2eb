"""The gate: what a challenger may lose, on all images and in subgroups, and what it may not."""

from dataclasses import replace

import pytest

from ladnn.errors import ConfigError, DataError
from ladnn.findings import Decision
from ladnn.gate import Answers, Gate, compare, joined
from ladnn.scoring import Case

GATE = Gate(replicates=200)
CLEAR, DOUBTFUL = 0.9, 0.6


def answers(wrong: range = range(0), count: int = 200, threshold: float = 0.5) -> Answers:
    """Half positives; those at the positions in `wrong` are called the other thing."""
    cases = []
    for row in range(count):
        label = row % 2 == 0
        positive = label != (row in wrong)
        cases.append(
            Case(
                path=f"{row}.png",
                source="a",
                patient=str(row // 2),
                label=label,
                probability=CLEAR if positive else 1 - CLEAR,
                decisions={"balanced": Decision.POSITIVE if positive else Decision.NEGATIVE},
            )
        )
    return Answers(cases=cases, threshold=threshold)


def failed(verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_an_equal_challenger_passes():
    verdict = compare(answers(range(10)), answers(range(10)), {}, GATE)
    assert verdict.passed
    assert verdict.reason.startswith("not inferior: sensitivity 0.950 to 0.950")


def test_a_better_challenger_passes():
    assert compare(answers(range(40)), answers(), {}, GATE).passed


def test_a_challenger_that_misses_positives_is_refused_with_the_numbers():
    verdict = compare(answers(), answers(range(0, 40, 2)), {}, GATE)
    assert not verdict.passed
    assert "sensitivity" in failed(verdict)
    assert "sensitivity 1.000 to 0.800 (-0.200, interval" in verdict.reason


def test_a_challenger_that_ranks_worse_is_refused_although_it_finds_all():
    verdict = compare(answers(), answers(range(1, 80, 2)), {}, GATE)
    assert failed(verdict) == ["AUC"]


def test_what_counts_is_the_end_of_the_interval_and_not_the_difference():
    close = compare(answers(), answers(range(0, 18, 2)), {}, GATE)
    assert close.checks[0].difference == pytest.approx(-0.09)
    assert failed(close)[0] == "sensitivity"


def test_the_margins_are_those_of_the_configuration():
    wide = replace(GATE, sensitivity_margin=0.5, auc_margin=0.5)
    assert compare(answers(), answers(range(0, 40, 2)), {}, wide).passed


def test_each_model_calls_at_its_own_threshold():
    low = answers()
    raised = replace(low, cases=[replace(c, probability=c.probability / 2) for c in low.cases])
    assert not compare(low, replace(raised, threshold=0.5), {}, GATE).passed
    assert compare(low, replace(raised, threshold=0.25), {}, GATE).passed


def test_a_refused_positive_counts_as_missed():
    shy = answers()
    cases = [replace(c, decisions={"balanced": Decision.NOT_ASSESSABLE}) for c in shy.cases]
    assert failed(compare(shy, replace(shy, cases=cases), {}, GATE)) == ["sensitivity"]


def test_a_refused_negative_is_no_right_call():
    shy = answers()
    cases = [
        c if c.label else replace(c, decisions={"balanced": Decision.NOT_ASSESSABLE})
        for c in shy.cases
    ]
    verdict = compare(answers(), replace(shy, cases=cases), {"source a": range(200)}, GATE)
    assert failed(verdict) == ["right calls in source a"]
    assert "source a 1.000 to 0.500" in verdict.reason


def test_a_subgroup_beyond_its_margin_refuses_what_passes_over_all():
    groups = {"the small hospital": list(range(30))}
    loose = replace(GATE, sensitivity_margin=0.5, auc_margin=0.5)
    verdict = compare(answers(), answers(range(1, 9)), groups, loose)
    assert failed(verdict) == ["right calls in the small hospital"]


def test_a_subgroup_may_lose_exactly_its_margin():
    groups = {"the small hospital": list(range(30))}
    loose = replace(GATE, sensitivity_margin=0.5, auc_margin=0.5)
    assert compare(answers(), answers(range(3)), groups, loose).passed


def test_a_subgroup_of_fewer_than_thirty_is_not_judged():
    verdict = compare(answers(), answers(), {"few": list(range(29))}, GATE)
    assert [check.name for check in verdict.checks] == ["sensitivity", "AUC"]


def test_a_test_of_one_class_passes_nobody():
    one = answers()
    only = replace(one, cases=[case for case in one.cases if case.label])
    verdict = compare(only, only, {}, GATE)
    assert not verdict.passed
    assert "AUC is not defined on the locked test" in verdict.reason


def test_a_challenger_has_to_pass_against_every_version_it_is_compared_with():
    """Each step loses less than the margin, and both together more."""
    first, champion, challenger = answers(), answers(range(0, 24, 2)), answers(range(0, 40, 2))
    gate = replace(GATE, sensitivity_margin=0.2, auc_margin=0.15)
    steps = compare(first, champion, {}, gate), compare(champion, challenger, {}, gate)
    assert [step.passed for step in steps] == [True, True]
    whole = joined({"b": steps[1], "a": compare(first, challenger, {}, gate)})
    assert not whole.passed
    assert whole.reason.startswith("against a: sensitivity 1.000 to 0.800 (-0.200")
    assert failed(whole) == ["sensitivity against a"]
    assert len(whole.checks) == 4


def test_one_comparison_alone_keeps_the_names_of_its_checks():
    only = compare(answers(), answers(), {}, GATE)
    assert joined({"a": only}).checks == only.checks
    assert joined({"a": only}).reason.startswith("against a: not inferior: sensitivity")


def test_answers_to_different_images_are_not_compared():
    other = answers(count=100)
    with pytest.raises(DataError, match="different images"):
        compare(answers(), other, {}, GATE)


@pytest.mark.parametrize(
    "setting",
    [
        {"auc_margin": 1.0},
        {"subgroup_margin": -0.1},
        {"subgroup_minimum": 0},
        {"replicates": 39},
        {"level": 1.0},
        {"seed": -1},
    ],
)
def test_an_impossible_setting_is_refused_before_anything_is_trained(setting: dict[str, float]):
    name = next(iter(setting)).replace("replicates", "resamples")
    with pytest.raises(ConfigError, match=name):
        Gate(**setting)

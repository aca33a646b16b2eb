"""Patient-wise splits: sides apart, proportions kept, lesions covered."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladnn.errors import DataError
from ladnn.splitting import PARTS, RATIOS, Case, linked, split_cases


@st.composite
def cohorts(draw, smallest=3):
    """Patients with one flag and one to five images, each with its number of lesions."""
    cases = []
    for patient in range(draw(st.integers(smallest, 120))):
        covid = draw(st.booleans())
        counts = st.none() | st.integers(0, 5) if covid else st.none()
        images = draw(st.lists(counts, min_size=1, max_size=5))
        cases += [Case(patient=f"p{patient}", covid=covid, lesions=n) for n in images]
    return cases


def sides(cases, parts):
    found = defaultdict(set)
    for case, part in zip(cases, parts, strict=True):
        found[case.patient].add(part)
    return found


@settings(max_examples=30, deadline=None)
@given(cases=cohorts(), seed=st.integers(0, 9))
def test_no_patient_is_on_two_sides(cases, seed):
    assert all(len(parts) == 1 for parts in sides(cases, split_cases(cases, seed=seed)).values())


@settings(max_examples=30, deadline=None)
@given(cases=cohorts(smallest=60), seed=st.integers(0, 9))
def test_patients_come_out_near_60_15_25(cases, seed):
    parts = [
        part for found in sides(cases, split_cases(cases, seed=seed)).values() for part in found
    ]
    strata = 14  # each of two flags by unknown or 0 to 5 lesions may owe each part one patient
    for part, ratio in zip(PARTS, RATIOS, strict=True):
        assert abs(parts.count(part) - ratio * len(parts)) <= strata


@settings(max_examples=30, deadline=None)
@given(cases=cohorts(), seed=st.integers(0, 9))
def test_every_number_of_lesions_that_three_patients_share_as_their_rarest_is_everywhere(
    cases, seed
):
    only = [c for c in cases if c.covid and c.lesions is not None]
    parts = split_cases(only, seed=seed) if len({c.patient for c in only}) >= 3 else ()
    alone = defaultdict(set)
    for case in only:
        alone[case.patient].add(case.lesions)
    covered = defaultdict(set)
    for case, part in zip(only, parts, strict=False):
        covered[case.lesions].add(part)
    for lesions, where in covered.items():
        if sum(found == {lesions} for found in alone.values()) >= 3:
            assert where == set(PARTS)


def test_images_come_out_near_60_15_25_even_where_sizes_differ():
    cases = [
        Case(patient=f"p{i}", covid=i % 2 == 0) for i in range(200) for _ in range(1 + i // 10)
    ]
    parts = split_cases(cases, seed=0)
    for part, ratio in zip(PARTS, RATIOS, strict=True):
        assert parts.count(part) / len(parts) == pytest.approx(ratio, abs=0.03)


def test_the_same_seed_gives_the_same_split():
    cases = [Case(patient=f"p{i}", covid=i % 2 == 0) for i in range(50)]
    assert split_cases(cases, seed=3) == split_cases(cases, seed=3)


def test_another_seed_gives_another_split():
    cases = [Case(patient=f"p{i}", covid=i % 2 == 0) for i in range(50)]
    assert split_cases(cases, seed=3) != split_cases(cases, seed=4)


def test_fewer_than_three_patients_cannot_be_split():
    with pytest.raises(DataError, match="at least three patients"):
        split_cases([Case(patient=p, covid=True) for p in "ab"], seed=0)


@given(
    links=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15),
)
def test_linked_patients_share_a_group(links):
    patients = [f"p{i}" for i in range(10)]
    groups = linked(patients, links)
    assert all(groups[i] == groups[j] for i, j in links)


def test_patients_without_links_stay_alone():
    assert linked(["a", "b", "a"], [(0, 2)]) == ["a", "b", "a"]

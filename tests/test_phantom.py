"""Phantoms look enough like CT for the rest of the tests to mean something."""

import numpy as np
import pytest

from ladnn.errors import ConfigError
from ladnn.findings import LESIONS, Lesion
from ladnn.phantom import OUTSIDE_FIELD, hounsfield, thorax

SIZE = (96, 120)


def test_the_same_seed_draws_the_same_slice():
    assert np.array_equal(thorax(5, size=SIZE), thorax(5, size=SIZE))


def test_another_seed_draws_another_patient():
    assert not np.array_equal(thorax(5, size=SIZE), thorax(6, size=SIZE))


@pytest.mark.parametrize("seed", range(6))
def test_a_chest_holds_lung_tissue_and_bone(seed):
    values = hounsfield(seed, size=SIZE)
    assert np.mean((values > -950) & (values < -700)) > 0.12
    assert np.mean((values > -200) & (values < 150)) > 0.12
    assert 0.001 < np.mean(values > 250) < 0.1


@pytest.mark.parametrize("lesion", LESIONS)
def test_a_lesion_makes_lung_denser(lesion):
    healthy, ill = (hounsfield(7, size=SIZE, lesions=drawn) for drawn in ((), {lesion}))
    assert np.mean(ill > healthy + 150) > 0.004


def test_an_air_bronchogram_keeps_dark_branches_in_its_consolidation():
    ill = hounsfield(2, size=(256, 320), lesions={Lesion.AIRBR})
    healthy = hounsfield(2, size=(256, 320))
    dense = (ill > -50) & (healthy < -600)
    rows, columns = np.nonzero(dense)
    inside = ill[rows.min() : rows.max(), columns.min() : columns.max()]
    assert dense.sum() > 500
    assert (inside < -700).any()


def test_the_round_field_is_empty_outside():
    assert hounsfield(0, size=SIZE, round_field=True)[0, 0] == OUTSIDE_FIELD


def test_the_lung_window_shows_soft_tissue_white_and_lung_dark():
    values, grey = hounsfield(0, size=SIZE), thorax(0, size=SIZE)
    assert grey[(values > 0) & (values < 100)].min() > 220
    assert grey[(values > -900) & (values < -800)].max() < 100


def test_a_size_too_small_to_draw_is_refused():
    with pytest.raises(ConfigError, match="give at least 32 pixels a side"):
        thorax(0, size=(8, 100))

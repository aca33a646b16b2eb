"""Grad-CAM++ as a pure function, and its closed form for pooled features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladnn.explain import grad_cam_pp, pooled_grad_cam_pp, scaled


def literal(activations, gradient):
    """The paper's equations 19 and 5 word for word, one position at a time."""
    channels, height, width = activations.shape
    weights = np.zeros(channels)
    for k in range(channels):
        for i in range(height):
            for j in range(width):
                g = gradient[k, i, j]
                if g > 0:
                    alpha = g**2 / (2 * g**2 + activations[k].sum() * g**3)
                    weights[k] += alpha * g
    return np.maximum((weights[:, None, None] * activations).sum(axis=0), 0)


def test_it_is_the_papers_formula():
    rng = np.random.default_rng(0)
    activations, gradients = rng.random((5, 3, 4)), rng.normal(size=(2, 5, 3, 4))
    expected = np.stack([literal(activations, gradient) for gradient in gradients])
    assert grad_cam_pp(activations, gradients) == pytest.approx(expected)


@given(st.integers(0, 10_000))
def test_the_closed_form_is_the_general_one_up_to_a_factor(seed):
    rng = np.random.default_rng(seed)
    # slightly negative activations, as SiLU has
    activations, weights = rng.random((8, 3, 5)) - 0.2, rng.normal(size=(6, 8))
    gradients = np.broadcast_to((weights / 15)[..., None, None], (6, 8, 3, 5)).copy()
    general, closed = grad_cam_pp(activations, gradients), pooled_grad_cam_pp(activations, weights)
    assert scaled(closed) == pytest.approx(scaled(general), abs=1e-9)


def test_a_channel_whose_gradient_is_not_positive_weighs_nothing():
    activations = np.ones((2, 2, 2))
    gradients = np.stack([[np.full((2, 2), -3.0), np.zeros((2, 2))]])
    assert not grad_cam_pp(activations, gradients).any()
    assert not pooled_grad_cam_pp(activations, np.array([[-3.0, 0.0]])).any()


def test_maps_are_never_negative():
    activations, weights = -np.ones((3, 2, 2)), np.ones((1, 3))
    assert not pooled_grad_cam_pp(activations, weights).any()


def test_a_scaled_map_peaks_at_one_and_an_empty_one_stays_empty():
    maps = np.array([[[0.0, 4.0]], [[0.0, 0.0]]])
    assert scaled(maps).tolist() == [[[0.0, 1.0]], [[0.0, 0.0]]]

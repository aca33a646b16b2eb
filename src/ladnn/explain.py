"""Grad-CAM++ as pure functions of activations and gradients (Chattopadhay et al. 2018).

The paper takes the gradient of exp(S) for a logit S, which makes the higher derivatives powers of
the gradient g of S (its equations 10 to 19). Per channel k and position ij of the activations A:

    alpha = g^2 / (2 g^2 + g^3 sum(A))      weight_k = sum_ij alpha relu(g)
    map = relu(sum_k weight_k A)

No epsilon: where g is not positive the weight is 0, whatever alpha is. The bundle's graph has the
closed form in torch; the two functions here are what tests hold it to.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def grad_cam_pp(activations: Floats, gradients: Floats) -> Floats:
    """The map of each output from its own gradients.

    Args:
        activations: float [C, h, w], the last activations of one image.
        gradients: float [K, C, h, w], of K logits with respect to them.

    Returns:
        float [K, h, w], non-negative, unscaled.
    """
    sums = activations.sum(axis=(1, 2))[None, :, None, None]
    # alpha relu(g) = g / (2 + g sum(A)) for g > 0, which divides by nothing small
    terms = np.zeros_like(gradients)
    np.divide(gradients, 2 + gradients * sums, out=terms, where=gradients > 0)
    weights = terms.sum(axis=(2, 3))
    return np.asarray(np.maximum(np.einsum("kc,chw->khw", weights, activations), 0))


def pooled_grad_cam_pp(activations: Floats, weights: Floats) -> Floats:
    """The same for global average pooling and a linear head, in closed form up to a factor.

    There the gradient of every position is w_k / (h w), so with pooled activation a_k the map is
    relu(sum_k relu(w_k) / (2 + w_k a_k) A^k): no backward pass is needed.

    Args:
        activations: float [C, h, w], the input of the pool.
        weights: float [K, C], rows of the linear head.

    Returns:
        float [K, h, w], non-negative, unscaled.
    """
    pooled = activations.mean(axis=(1, 2))
    channel = np.zeros_like(weights)
    np.divide(weights, 2 + weights * pooled, out=channel, where=weights > 0)
    return np.asarray(np.maximum(np.einsum("kc,chw->khw", channel, activations), 0))


def scaled(maps: Floats) -> Floats:
    """Maps [..., h, w] divided by their own largest value, in [0, 1]; an empty map stays empty."""
    peaks = maps.max(axis=(-2, -1), keepdims=True)
    return np.asarray(np.divide(maps, peaks, out=np.zeros_like(maps), where=peaks > 0))

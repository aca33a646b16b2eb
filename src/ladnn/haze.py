"""Ground glass measured, not learned: how much of the posterior lung is smooth and half dense.

A network trained on one hospital finds what tells that hospital's classes apart, and that need
not be the lung. Grey levels are fixed by the canonical frame, so a density is a measurement: smooth
tissue between aerated lung and soft tissue is ground glass, in any hospital's images. Training does
not see the channel: a network that did would learn to talk it down where its own hospital's
negatives are ill too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ladnn.lungfield import LUNG_LEVEL

GREY = 255.0
BAND = (100.0, 165.0)
"""Grey values of the canonical frame, aerated lung at 48 and soft tissue at 208, that are haze."""
SMOOTH = 20.0
"""Local standard deviation in grey values above which tissue is vessels, edges or reticulation."""
WINDOW = 7 / 192
"""Side of the window of the local mean and deviation, as a share of the input's."""
POSTERIOR = 0.55
"""Height in the frame below which lung counts: the diseases' haze lies low, motion's anywhere."""
FILLED = 0.03
"""Share of a cell with haze at which the cell counts half, so that extent counts, not amount."""
TYPICAL = 0.03
"""Pooled share between the medians of both classes, taken off so that haze has no say there."""
WEIGHT = 20.0
"""Of the pooled channel in the logit of COVID-19: logistic regressions on single sources and on all
gave 5 to 25."""


class Haze(nn.Module):
    """One more channel of activations, in [-0.03, 0.97]; zero in training; without parameters."""

    def forward(self, grey: Tensor, grid: tuple[int, int]) -> Tensor:
        """Float [N, 1, R, S] in [0, 1], a canonical frame -> float [N, 1, h, w].

        Of a frame with several squares the last, which has the lungs at fixed grey levels.
        """
        if self.training:
            return grey.new_zeros(len(grey), 1, *grid)
        # about the grey of lung, so that the variance is no small difference of large numbers
        level = grey[:, :1, -grey.shape[-1] :] * GREY - LUNG_LEVEL
        window = 2 * round(level.shape[-1] * WINDOW / 2) + 1
        mean = _local_mean(level, window)
        spread = (_local_mean(level * level, window) - mean * mean).clamp_min(0).sqrt()
        low, high = (edge - LUNG_LEVEL for edge in BAND)
        inside = torch.sigmoid((mean - low) / 6) * torch.sigmoid((high - mean) / 6)
        smooth = torch.sigmoid((SMOOTH - spread) / 5)
        rows = torch.linspace(0, 1, level.shape[-2])[:, None]
        share = _cells(inside * smooth * torch.sigmoid((rows - POSTERIOR) / 0.05), grid)
        return share / (share + FILLED) - TYPICAL


def _local_mean(plane: Tensor, window: int) -> Tensor:
    """The mean of the square window about each pixel, of what lies inside the plane.

    Down and then across: one square pooling is the same and took a quarter of the whole graph.
    """
    for side, half in (((window, 1), (window // 2, 0)), ((1, window), (0, window // 2))):
        plane = functional.avg_pool2d(plane, side, stride=1, padding=half, count_include_pad=False)
    return plane


def _cells(plane: Tensor, grid: tuple[int, int]) -> Tensor:
    """The mean of every cell of a grid, by a pooling that every runtime has."""
    size = plane.shape[-2] // grid[0], plane.shape[-1] // grid[1]
    pooled = functional.avg_pool2d(plane, size, stride=size)
    return pooled[..., : grid[0], : grid[1]]

"""What is kept of a network in training: its weights averaged, anchored and settled.

The weights wander from step to step, so their moving average is validated. Two things make it hold
better on images of other hospitals. Part of the way back to the weights that training started from
(Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022) forgets less of what those
had seen. And training counts the statistics of its batch norms on images that are augmented, mixed
and restyled; counted anew on images as they are, they fit what the network will be shown.
"""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ladnn.model import LesionNet, to_input

_BATCH = 32


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move `average` towards `net`, keeping `decay` of it; whole numbers are taken over."""
    pairs = zip(average.state_dict().values(), net.state_dict().values(), strict=True)
    for mean, value in pairs:
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay) if decay else mean.copy_(value)
        else:
            mean.copy_(value)


def backbone_state(net: LesionNet) -> dict[str, Tensor]:
    """A copy of the backbone's weights and statistics."""
    return {key: value.clone() for key, value in net.backbone.state_dict().items()}


def anchored(net: LesionNet, origin: Mapping[str, Tensor], share: float) -> LesionNet:
    """A copy of `net` whose backbone is `share` in [0, 1] of the way back to `origin`."""
    new = copy.deepcopy(net)
    with torch.no_grad():
        for key, value in new.backbone.state_dict().items():
            if value.is_floating_point():
                value.lerp_(origin[key], share)
    return new


@torch.inference_mode()
def settle(net: LesionNet, images: NDArray[np.uint8]) -> None:
    """Count the statistics of every batch norm anew, the mean over batches of `images` [N, S, S].

    What is left of N after whole batches of 32 is not used. In inference mode afterwards.
    """
    net.eval()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
        norm.train()
    for start in range(0, len(images) - _BATCH + 1, _BATCH):
        net(to_input(images[start : start + _BATCH]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval()

"""Mixing the styles of images within a network, so that training cannot rest on them.

MixStyle (Zhou et al., "Domain generalization with MixStyle", ICLR 2021): the mean and the spread of
each early feature tell scanner, window, paper and compression; what they vary around tells the
anatomy. Exchanging the first between images keeps a label from being read off the second's source.
"""

import torch
from torch import Tensor, nn

ALPHA = 0.1
"""Of the Beta distribution of how much of its own style an image keeps: mostly all or nothing."""

_SMALLEST_VARIANCE = 1e-6


def mix_styles(features: Tensor) -> Tensor:
    """Features [N, C, h, w], each image's in the style of its own and another's of the batch."""
    count = len(features)
    mean = features.mean((2, 3), keepdim=True).detach()
    spread = (features.var((2, 3), keepdim=True) + _SMALLEST_VARIANCE).sqrt().detach()
    own = torch.distributions.Beta(ALPHA, ALPHA).sample((count, 1, 1, 1)).to(features)
    other = torch.randperm(count)
    bare = (features - mean) / spread
    return bare * torch.lerp(spread[other], spread, own) + torch.lerp(mean[other], mean, own)


def mix_while_training(net: nn.Module, stages: list[nn.Module], share: float) -> None:
    """Mix styles after the first half of `stages` in that share of batches, while `net` trains.

    Later stages tell what an image shows and no style any more. Whether and how styles are mixed is
    drawn from torch's global generator.
    """

    def hook(_stage: nn.Module, _given: object, features: Tensor) -> Tensor:
        mixes = net.training and float(torch.rand(())) < share
        return mix_styles(features) if mixes else features

    for stage in stages[: len(stages) // 2]:
        stage.register_forward_hook(hook)

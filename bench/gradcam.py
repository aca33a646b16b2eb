"""The rival of the maps: torch in eager mode with pytorch-grad-cam, six targets in one batch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ladnn.engines import Engine
from ladnn.findings import OUTPUTS
from ladnn.model import LesionNet
from ladnn.runtime import scale_maps

Frame = NDArray[np.uint8]
Maps = NDArray[np.float32]
CallableMaps = Callable[[Frame], Maps]


class Trunk(nn.Module):
    """The part before the pool as one module, the target layer."""

    def __init__(self, net: LesionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, S, S] in [0, 1] -> activations [N, C, h, w]."""
        return self.net.features(x)


class Classifier(nn.Module):
    """The network with its trunk as a layer that can be watched."""

    def __init__(self, net: LesionNet) -> None:
        super().__init__()
        self.trunk = Trunk(net)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, S, S] in [0, 1] -> logits [N, 6]."""
        net = self.trunk.net
        logits: Tensor = net.head(net.pool(self.trunk(x)))
        return logits


def eager_maps(net: LesionNet) -> CallableMaps:
    """What makes six maps of a frame, uint8 [S, S] -> [6, S, S] in [0, 1], with pytorch-grad-cam.

    Its own usage: the image six times in one batch, one target each.
    """
    from pytorch_grad_cam import GradCAMPlusPlus
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = Classifier(net)
    cam = GradCAMPlusPlus(model=model, target_layers=[model.trunk])
    targets = [ClassifierOutputTarget(index) for index in range(len(OUTPUTS))]

    def maps(frame: Frame) -> Maps:
        grey = torch.from_numpy(frame)[None, None].float() / 255
        found: Maps = cam(input_tensor=grey.repeat(len(targets), 1, 1, 1), targets=targets)
        return found

    return maps


def runtime_maps(run: Engine) -> CallableMaps:
    """What makes the same of the bundle's graph: probabilities, and six maps at the input's size.

    The maps are scaled to [0, 1] and enlarged, because the rival's are.
    """

    def maps(frame: Frame) -> Maps:
        _, heatmaps, _ = run.infer(frame[np.newaxis])
        scaled = scale_maps(heatmaps[0], (1.0,) * len(heatmaps[0]))
        large = [
            Image.fromarray(one).resize(frame.shape, Image.Resampling.BILINEAR) for one in scaled
        ]
        return np.stack([np.asarray(one) for one in large])

    return maps

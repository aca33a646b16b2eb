"""The torch module that becomes model.onnx: grey image in; logits, maps and embedding out.

What is constant is folded first: batch norm into the convolution before it, the standard deviation
of the normalisation into the first one. On demand large tensors are then rounded to float16 values,
or weights of convolutions to 8 bits, so that the file may store those and still say what this
module says.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ladnn.errors import WeightsError
from ladnn.model import LesionNet
from ladnn.stored import Stored

GREY = 255.0
TINY = 1e-12
"""Below this a map's peak counts as none, so that nothing is divided by zero."""
HALF_RANGE = 65504.0
SMALL = 4096
"""Tensors with fewer numbers stay float32; they weigh nothing."""
_LEVELS = 127  # steps of an 8-bit weight on either side of zero
_SCALE_BITS = 11
_NOTHING = 2.0**-100  # a kernel's largest weight below which all of them count as zero


class Outputs(nn.Module):
    """Base of the two kinds of member: activations -> logits, maps, embedding.

    Weights of maps are those of Grad-CAM++, written out (see `explain`).
    """

    head_weight: Tensor
    head_bias: Tensor

    def __init__(self, net: LesionNet) -> None:
        super().__init__()
        self.register_buffer("head_weight", net.head.weight.detach())
        self.register_buffer("head_bias", net.head.bias.detach())

    def linear(self, embedding: Tensor) -> Tensor:
        """Embedding [N, C] -> logits [N, K]."""
        return functional.linear(embedding, self.head_weight, self.head_bias)


class PooledOutputs(Outputs):
    """Global average pooling and linear branches, whose gradient is constant over space."""

    def forward(self, activations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, C, h, w] -> logits [N, K], maps [N, K, h, w], embedding [N, C]."""
        embedding = activations.mean((2, 3))
        weight = self.head_weight
        channel = functional.relu(weight) / (2 + functional.relu(weight) * embedding[:, None])
        maps = functional.relu(channel @ _flat(activations))
        return self.linear(embedding), _as_maps(maps, activations), embedding


class HiddenOutputs(Outputs):
    """VGG-16's two hidden layers: the gradient is two matrix products with the ReLU masks."""

    weight1: Tensor
    weight2: Tensor
    bias1: Tensor
    bias2: Tensor

    def __init__(self, net: LesionNet) -> None:
        super().__init__(net)
        hidden = net.backbone.get_submodule("pre_logits").state_dict()
        for number in (1, 2):
            # both are convolutions that cover their whole input
            self.register_buffer(f"weight{number}", hidden[f"fc{number}.weight"].flatten(1))
            self.register_buffer(f"bias{number}", hidden[f"fc{number}.bias"])

    def forward(self, activations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, C, h, w] -> logits [N, K], maps [N, K, h, w], embedding [N, 4096]."""
        flat = activations.reshape(-1, self.weight1.shape[1])
        first = functional.relu(functional.linear(flat, self.weight1, self.bias1))
        second = functional.relu(functional.linear(first, self.weight2, self.bias2))
        gradient = self.head_weight * (second > 0).to(second.dtype)[:, None]
        gradient = (gradient @ self.weight2) * (first > 0).to(first.dtype)[:, None]
        gradient = functional.relu(gradient @ self.weight1)
        channels, area = activations.shape[1], activations.shape[2] * activations.shape[3]
        gradient = gradient.reshape(-1, gradient.shape[1], channels, area)
        sums = activations.sum((2, 3))[:, None, :, None]
        channel = (gradient / (2 + gradient * sums)).sum(3)
        maps = functional.relu(channel @ _flat(activations))
        return self.linear(second), _as_maps(maps, activations), second


def _flat(activations: Tensor) -> Tensor:
    """[N, C, h, w] -> [N, C, h w]; the exporter writes -1 as it stands, but guesses other N."""
    channels, height, width = activations.shape[1:]
    return activations.reshape(-1, channels, height * width)


def _as_maps(flat: Tensor, activations: Tensor) -> Tensor:
    """[N, K, h w] -> [N, K, h, w]."""
    return flat.reshape(-1, flat.shape[1], *activations.shape[2:])


class MemberGraph(nn.Module):
    """One network of the graph, folded; the checkpoint's network stays as it was."""

    mean: Tensor
    reduction: Tensor | None

    def __init__(self, net: LesionNet, *, size: int, stored: Stored) -> None:
        """`size` is the side of the graph's squares, which the network sees at its own."""
        super().__init__()
        self.outputs = HiddenOutputs(net) if net.spec.hidden else PooledOutputs(net)
        trunk = _trunk(net)
        fold_batch_norm(trunk, torch.zeros(1, 3, net.input_size, net.input_size))
        # equal means need one channel only: a grey image is the same in all three
        equal = len({*net.mean}) == 1
        _fold_std(trunk, net.std, one_channel=equal)
        self.register_buffer("mean", torch.tensor(net.mean[: 1 if equal else 3])[:, None, None])
        self.trunk = trunk
        self.haze = net.haze
        round_weights(self, stored)
        own = net.input_size
        self.register_buffer("reduction", None if own == size else _reduction(size, own))

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Float [N, 1, R, S] in [0, 1], see `LesionNet.features` -> logits, maps, embedding."""
        if self.reduction is not None:
            grey = _squares_reduced(grey, self.reduction)
        seen = grey[..., : grey.shape[-1], :] - self.mean
        activations: Tensor = self.trunk.forward_features(seen)  # type: ignore[operator]
        if self.haze is not None:
            height, width = activations.shape[2:]
            activations = torch.cat([activations, self.haze(grey, (height, width))], dim=1)
        result: tuple[Tensor, Tensor, Tensor] = self.outputs(activations)
        return result


def _squares_reduced(grey: Tensor, reduction: Tensor) -> Tensor:
    """Each square of [N, 1, R, S] by two matrix products, which every runtime does alike."""
    squares = torch.split(grey, grey.shape[3], dim=2)
    return torch.cat([reduction @ each @ reduction.T for each in squares], dim=2).clamp(0, 1)


def _reduction(size: int, smaller: int) -> Tensor:
    """Float [smaller, size]: what Pillow's bicubic reduction does to a column of `size` pixels."""
    columns = torch.eye(size)[None, None]
    shape = (smaller, size)
    return functional.interpolate(columns, shape, mode="bicubic", antialias=True)[0, 0]


def _trunk(net: LesionNet) -> nn.Module:
    """A copy of the backbone without the hidden layers, whose half a gigabyte is not copied."""
    left_out: dict[int, nn.Module] = {}
    if net.spec.hidden:
        left_out[id(net.backbone.get_submodule("pre_logits"))] = nn.Identity()
    return copy.deepcopy(net.backbone, left_out).eval()


def combination(members: int, *, flip: bool) -> dict[str, str]:
    """How `BundleGraph` makes each output of its members', in words for the card."""
    views = " over the image and its mirror image" if flip else ""
    if members == 1 and not flip:
        return dict.fromkeys(("logits", "heatmaps", "embedding"), "the network's own")
    over = f" over {members} members" if members > 1 else ""
    joined = f", concatenated{over}" if members > 1 else ""
    return {
        "logits": f"mean{over}{' and' if over and views else ''}{views}",
        "heatmaps": f"mean of maps divided by their own largest value{over}{views}",
        "embedding": f"{'mean' + views if flip else 'each own'}{joined}",
    }


class BundleGraph(nn.Module):
    """All members and, if asked, their view of the mirrored image, as one network.

    It takes squares of the largest member's size, which the others see reduced. Logits are the
    mean over views and members. With more than one view each map is divided by its own largest
    value per image before the mean, those of a coarser grid after they were enlarged to the
    finest; a lone one stays unscaled. Embeddings are averaged over the two views and concatenated
    over members.
    """

    def __init__(
        self, nets: Sequence[LesionNet], *, flip: bool = False, stored: Stored = Stored.FLOAT32
    ) -> None:
        """`stored` rounds the weights to what a file holds; `flip` adds the mirrored view."""
        super().__init__()
        size = max(net.input_size for net in nets)
        self.members = nn.ModuleList(MemberGraph(net, size=size, stored=stored) for net in nets)
        self.flip, self.stored = flip, stored
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 [N, R, S] -> logits [N, K], heatmaps [N, K, h, w], embedding [N, C]."""
        grey = image.to(torch.float32)[:, None] / GREY
        outputs = [self._views(member, grey) for member in self.members]
        if len(outputs) == 1:
            return outputs[0]
        logits, maps, embeddings = zip(*outputs, strict=True)
        scaled = [_scaled(each) for each in _on_one_grid(maps)]
        return _mean(logits), _mean(scaled), torch.cat(embeddings, dim=1)

    def _views(self, member: nn.Module, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not self.flip:
            alone: tuple[Tensor, Tensor, Tensor] = member(grey)
            return alone
        both = member(torch.cat([grey, grey.flip(3)]))
        (logits, other), (maps, mirrored), (embedding, second) = (o.chunk(2) for o in both)
        maps = _mean([_scaled(maps), _scaled(mirrored.flip(3))])
        return _mean([logits, other]), maps, _mean([embedding, second])


def _mean(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / len(parts)


def _on_one_grid(maps: Sequence[Tensor]) -> list[Tensor]:
    """Maps [N, K, h, w] of members, each on the finest grid of them all.

    By two matrix products: of an operation that enlarges, the exporter writes the number of
    images into the file where they are looked at twice.
    """
    grid = max(tuple(each.shape[2:]) for each in maps)
    return [each if each.shape[2:] == grid else _enlarged(each, *grid) for each in maps]


def _enlarged(maps: Tensor, height: int, width: int) -> Tensor:
    down, across = _enlargement(maps.shape[2], height), _enlargement(maps.shape[3], width)
    return down @ maps @ across.T


def _enlargement(length: int, larger: int) -> Tensor:
    """Float [larger, length]: bilinear interpolation of a column of `length` cells."""
    places = ((torch.arange(larger) + 0.5) * (length / larger) - 0.5).clamp(0, length - 1)
    return (1 - (places[:, None] - torch.arange(length)).abs()).clamp_min(0)


def _scaled(maps: Tensor) -> Tensor:
    return maps / maps.amax((2, 3), keepdim=True).clamp_min(TINY)


def fold_batch_norm(network: nn.Module, example: Tensor) -> None:
    """Fold each batch norm into the convolution whose output it reads, in place.

    Which one that is, is observed on `example`, float [1, 3, S, S]. DenseNet's norms that read a
    concatenation have no such convolution; they become one multiplication and one addition.
    """
    names = {module: name for name, module in network.named_modules()}
    for norm, conv in _norms(network, example):
        if conv is not None:
            fused = fuse_conv_bn_eval(conv, norm)
            conv.weight, conv.bias = fused.weight, fused.bias
        affine = Affine(norm) if conv is None else None
        network.set_submodule(names[norm], _with_activation(affine, norm))


def _norms(network: nn.Module, example: Tensor) -> list[tuple[nn.BatchNorm2d, nn.Conv2d | None]]:
    """Every batch norm and the convolution whose output is its input, if there is one."""
    made: list[tuple[Tensor, nn.Conv2d]] = []
    found: list[tuple[nn.BatchNorm2d, nn.Conv2d | None]] = []

    def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made.append((output, module))  # holding the tensor keeps its identity its own
        elif isinstance(module, nn.BatchNorm2d):
            source = (conv for tensor, conv in made if tensor is inputs[0])
            found.append((module, next(source, None)))

    hooks = [module.register_forward_hook(observe) for module in network.modules()]
    with torch.no_grad():
        network.forward_features(example)  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    return found


class Affine(nn.Module):
    """A batch norm in evaluation: scale and shift per channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        running_mean, running_var = norm.running_mean, norm.running_var
        if running_mean is None or running_var is None:
            raise WeightsError("a batch norm without running statistics cannot be exported")
        scale = norm.weight.double() / (running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - running_mean.double() * scale
        self.register_buffer("scale", scale.detach().float()[:, None, None])
        self.register_buffer("shift", shift.detach().float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> the same."""
        return x * self.scale + self.shift


def _with_activation(affine: nn.Module | None, norm: nn.Module) -> nn.Module:
    # timm's batch norm carries its activation
    activation = getattr(norm, "act", None)
    parts = [part for part in (affine, activation) if part is not None]
    return nn.Sequential(*parts) if parts else nn.Identity()


def _fold_std(trunk: nn.Module, std: tuple[float, ...], *, one_channel: bool) -> None:
    """Folds 1 / std into the first convolution; with `one_channel` it then reads one channel."""
    first = next(module for module in trunk.modules() if isinstance(module, nn.Conv2d))
    weight = first.weight.detach() / torch.tensor(std)[:, None, None]
    if one_channel:
        weight = weight.sum(dim=1, keepdim=True)
        first.in_channels = 1
    first.weight = nn.Parameter(weight, requires_grad=False)


def round_weights(network: nn.Module, stored: Stored) -> None:
    """Round every large tensor to the nearest value that a file holds, in place; it stays float32.

    Args:
        network: without batch norms.
        stored: what the file holds. A head is never rounded to 8 bits: it holds weights of very
            different sizes side by side.

    Raises:
        WeightsError: a value beyond the range of float16, of a kernel too.
    """
    if stored == Stored.FLOAT32:
        return
    convolutions = {id(each.weight) for each in network.modules() if isinstance(each, nn.Conv2d)}
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.numel() < SMALL or not tensor.is_floating_point():
            continue
        if not bool(tensor.abs().max() <= HALF_RANGE):
            raise WeightsError(
                f"{name} holds a value that is not finite or beyond {HALF_RANGE:g}: "
                f"the training diverged, so export an earlier checkpoint"
            )
        if stored == Stored.INT8 and id(tensor) in convolutions:
            steps, scale = to_steps(tensor.data)
            tensor.data = steps * scale
        else:
            tensor.data = tensor.data.half().float()


def to_steps(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Float [O, ...] -> whole steps in [-127, 127] and the size of one, [O, 1, ...], of each row.

    The size has 11 bits, so its products with the steps are exact: every runtime has the same
    weights, and the steps of rounded weights are theirs.
    """
    largest = weight.abs().flatten(1).amax(1).reshape(-1, *[1] * (weight.ndim - 1))
    mantissa, exponent = torch.frexp(largest / _LEVELS)
    scale = torch.ldexp((mantissa * 2**_SCALE_BITS).ceil(), exponent - _SCALE_BITS)
    scale = torch.where(largest > _NOTHING, scale, 1.0)
    return (weight / scale).round(), scale

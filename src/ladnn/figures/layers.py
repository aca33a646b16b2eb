"""What a bundle's graph is made of: the stages of its networks, read from model.onnx itself."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ladnn.bundle import Bundle
from ladnn.engines import openvino_silent
from ladnn.errors import BundleError

_MEMBER = re.compile(r"members\.(\d+)\.trunk\.(.+)\.weight")
_KINDS = ("Convolution", "GroupConvolution")


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """One convolution of one member.

    Attributes:
        name: in the network, as `blocks.1.0.conv_dw`.
        inputs, outputs: channels.
        seen: height of its input. height, width: of its output.
    """

    name: str
    inputs: int
    outputs: int
    seen: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a network calls by one name, or what has one size where names are only numbers.

    Attributes:
        name: as the network has it.
        channels: that it hands on.
        height, width: of its last convolution's output.
        convolutions: their number.
    """

    name: str
    channels: int
    height: int
    width: int
    convolutions: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """The networks of a bundle that share one backbone, as the first of them is.

    Attributes:
        backbone: as the card names it.
        members: how many there are.
        side: of the square image that they see.
        stages: from the image on.
        hidden: lengths of the hidden layers after the last stage; none after a global pool.
        embedding: length of the vector that the branches of one member see.
        outputs: logits, 6 or 1. map_size: height and width of the bundle's maps.
    """

    backbone: str
    members: int
    side: int
    stages: tuple[Stage, ...]
    hidden: tuple[int, ...]
    embedding: int
    outputs: int
    map_size: tuple[int, int]


def read_networks(bundle: Bundle) -> tuple[Network, ...]:
    """Read the architectures from the graph, one for each backbone that the card names.

    Raises:
        BundleError: for a graph that `ladnn export` did not write, whose layers have other names.
    """
    model = openvino_silent().Core().read_model(bundle.model, b"")
    operations = model.get_ordered_ops()
    found = _by_member(operations)
    if not found:
        raise BundleError(
            f"the layers of {bundle.path} have no names that tell stages: draw a bundle that "
            "ladnn export wrote"
        )
    shapes = dict(_shapes(operations))
    height, width = _lengths(model.output("heatmaps").get_partial_shape())[2:]
    kinds = dict[str, Network]()
    for number, described in enumerate(bundle.card.members):
        name = described.backbone
        if name in kinds:  # whose frozen stages may be stored as those of the first of its kind
            kinds[name] = replace(kinds[name], members=kinds[name].members + 1)
            continue
        of = f"members.{number}.outputs."
        if number not in found or f"{of}head_weight" not in shapes:
            raise BundleError(
                f"the graph of {bundle.path} has no {name} as member {number + 1}, which its card "
                "names: export the bundle again"
            )
        outputs, embedding = shapes[f"{of}head_weight"]
        hidden = tuple(shapes[bias][0] for n in (1, 2) if (bias := f"{of}bias{n}") in shapes)
        kinds[name] = Network(
            backbone=name,
            members=1,
            side=found[number][0].seen,
            stages=stages(found[number], None if hidden else embedding),
            hidden=hidden,
            embedding=embedding,
            outputs=outputs,
            map_size=(height, width),
        )
    return tuple(kinds.values())


def stages(convolutions: Sequence[Convolution], embedding: int | None) -> tuple[Stage, ...]:
    """Group convolutions into stages.

    A stage hands on the channels that the next one takes in, which for a dense block is more than
    its last convolution puts out. The last hands on `embedding`, the channels that are pooled, or
    what its last convolution puts out where that is None.
    """
    # Those on a pooled vector, as in squeeze and excitation, are no part of the picture.
    spatial = [one for one in convolutions if one.height * one.width > 1]
    groups: dict[str, list[Convolution]] = {}
    for one in spatial:
        groups.setdefault(stage_name(one), []).append(one)
    following = [group[0].inputs for group in list(groups.values())[1:]]
    after = [*following, embedding or spatial[-1].outputs]
    return tuple(
        Stage(
            name=name,
            channels=channels,
            height=group[-1].height,
            width=group[-1].width,
            convolutions=len(group),
        )
        for (name, group), channels in zip(groups.items(), after, strict=True)
    )


def stage_name(one: Convolution) -> str:
    """The part of a layer's name that tells its stage: `blocks.1`, `layer3`, `denseblock2`.

    VGG only numbers its layers, so there the size of the output tells.
    """
    parts = one.name.removeprefix("features.").split(".")
    if parts[0].isdigit():
        return f"{one.height} x {one.width}"
    return ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]


def _by_member(operations: Sequence[object]) -> dict[int, list[Convolution]]:
    """The convolutions of each member, in the order of the graph.

    A kernel that members share is the first's, and a member that sees another size uses it again.
    """
    found = dict[int, dict[str, Convolution]]()
    for member, one in _convolutions(operations):
        found.setdefault(member, {}).setdefault(one.name, one)
    return {member: list(named.values()) for member, named in found.items()}


def _convolutions(operations: Sequence[object]) -> Iterator[tuple[int, Convolution]]:
    """The member of each convolution of a trunk and what it is, in the order of the graph."""
    for operation in operations:
        kind = operation.get_type_name()  # type: ignore[attr-defined]  # openvino's own node
        named = _weights(operation) if kind in _KINDS else None
        if named is None:
            continue
        member, name = named
        _, inputs, seen, _ = _lengths(operation.input(0).get_partial_shape())  # type: ignore[attr-defined]
        _, outputs, height, width = _lengths(operation.output(0).get_partial_shape())  # type: ignore[attr-defined]
        yield (
            member,
            Convolution(
                name=name,
                inputs=inputs,
                outputs=outputs,
                seen=seen,
                height=height,
                width=width,
            ),
        )


def _weights(operation: object) -> tuple[int, str] | None:
    """Member and name of a convolution by its weights, which lie behind casts and reshapes."""
    node = operation.input_value(1).get_node()  # type: ignore[attr-defined]
    while True:
        match = _MEMBER.match(node.get_friendly_name())
        if match:
            return int(match[1]), match[2]
        if not node.get_input_size():
            return None
        node = node.input_value(0).get_node()


def _shapes(operations: Sequence[object]) -> Iterator[tuple[str, list[int]]]:
    """Name and shape of the weights and biases that make the outputs, hidden layers included."""
    for operation in operations:
        name = operation.get_friendly_name()  # type: ignore[attr-defined]
        if ".outputs." in name and operation.get_type_name() in ("Constant", "Convert"):  # type: ignore[attr-defined]
            yield name, _lengths(operation.output(0).get_partial_shape())  # type: ignore[attr-defined]


def _lengths(shape: Iterable[Any]) -> list[int]:
    """Of openvino's shape; -1 where it is open."""
    return [axis.get_length() if axis.is_static else -1 for axis in shape]

"""Convolutions computed in 8 bits: a proven float32 graph becomes a faster one that says the same.

A convolution that reads what a ReLU made takes whole steps of its activations, 0 to 255, and of its
kernels, -127 to 127 (Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference"), written as ONNX's QuantizeLinear and DequantizeLinear. What it
gives, and so the sum along a residual network's blocks, stays float32. ReLU6 and swish are left
alone: rounded all over, an EfficientNet-Lite0 moved a probability by as much as .11.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ladnn import engines
from ladnn.conversion import Frames, open_engine, replace_parts, separate_biases
from ladnn.errors import BundleError
from ladnn.graph import to_steps
from ladnn.runtime import DEFAULT_ENGINE

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

Floats = NDArray[np.float32]
Advance = Callable[[], None]

LEVELS = 255
QUANTILE = 0.9999
"""Of the activations of an image; the largest one of the examples is step 255."""
SENSITIVE = 0.01
"""A convolution stays float32 if by its rounding alone the logit of COVID-19 moves by more."""
JUDGED = 32
"""Examples, evenly spaced, on which that is measured."""


@dataclass(frozen=True, kw_only=True)
class EightBits:
    """A graph some of whose convolutions are in 8 bits.

    Attributes:
        content: bytes of model.onnx.
        converted, kept: names of the kernels that could be in 8 bits: of those that are, and of
            those that were too sensitive.
    """

    content: bytes
    converted: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Convolution:
    """The names of what a convolution reads and gives, and its kernels [O, I, h, w]."""

    reads: str
    kernels: str
    gives: str
    weight: Floats


def to_eight_bits(
    content: bytes, examples: Frames, stage: Callable[[str, int], Advance]
) -> EightBits:
    """Find the convolutions that can be in 8 bits, and put those there that bear it.

    Args:
        content: model.onnx in float32, however it stores its weights.
        examples: training images as the graph takes them, uint8 [N, R, S].
        stage: for a progress bar, told a name and a number of steps.

    Raises:
        BundleError: no convolution that can be, or none that bears it.
    """
    from onnx import load_model_from_string

    model = load_model_from_string(content)
    separate_biases(model.graph)
    found = _convolutions(model.graph)
    if not found:
        raise BundleError(
            "no convolution of this model.onnx reads what a ReLU made in float32, so none can be "
            "in 8 bits: use the bundle as it is"
        )
    steps = _steps(content, [each.reads for each in found], examples, stage)
    kept = _sensitive(model, found, steps, examples[:: -(-len(examples) // JUDGED)], stage)
    converted = [each for each in found if each not in kept]
    if not converted:
        raise BundleError(
            "every convolution of this model.onnx that is in float32 is too sensitive to be in 8 "
            "bits: use the bundle as it is"
        )
    return EightBits(
        content=_written(model, converted, steps),
        converted=tuple(each.kernels for each in converted),
        kept=tuple(each.kernels for each in kept),
    )


def _convolutions(graph: "GraphProto") -> list[_Convolution]:
    """Those of all channels at once that read a ReLU's output, pooled or not."""
    constants = _constants(graph)
    made = {name: node for node in graph.node for name in node.output}

    def rectified(name: str) -> bool:
        node = made.get(name)
        if node is not None and node.op_type == "MaxPool":
            return rectified(node.input[0])
        return node is not None and node.op_type == "Relu"

    return [
        _Convolution(
            reads=node.input[0],
            kernels=node.input[1],
            gives=node.output[0],
            weight=constants[node.input[1]],
        )
        for node in graph.node
        if node.op_type == "Conv"
        and node.input[1] in constants
        and constants[node.input[1]].shape[1] > 1  # one channel each would gain little
        and rectified(node.input[0])
    ]


def _constants(graph: "GraphProto") -> dict[str, Floats]:
    """The values of initializers, and of what `conversion` stores in fewer bytes."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    values = {tensor.name: np.array(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Cast", "Mul") and all(name in values for name in node.input):
            given = {name: values[name] for name in node.input}
            made: Any = ReferenceEvaluator(node).run(None, given)
            values[node.output[0]] = made[0]
    return values


def _steps(
    content: bytes,
    names: Sequence[str],
    examples: Frames,
    stage: Callable[[str, int], Advance],
) -> dict[str, float]:
    """The size of one step of each tensor."""
    advance = stage("activations", len(examples))
    largest = dict.fromkeys(names, 0.0)
    for values in _activations(content, list(largest), examples):
        for name, value in values.items():
            largest[name] = max(largest[name], float(np.quantile(value, QUANTILE)))
        advance()
    return {name: value / LEVELS or 1.0 for name, value in largest.items()}  # 1 where all are zero


def _activations(
    content: bytes, names: Sequence[str], examples: Frames
) -> Iterator[dict[str, Floats]]:
    """Those tensors, for one example after the other."""
    core = engines.openvino_silent().Core()
    graph = core.read_model(content, b"")
    graph.reshape({0: [1, *examples.shape[1:]]})
    graph.add_outputs(list(names))
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = {name: compiled.output(name) for name in names}
    for frame in examples:
        given = compiled(frame[np.newaxis])
        yield {name: given[output] for name, output in outputs.items()}


def _sensitive(
    model: "ModelProto",
    found: Sequence[_Convolution],
    steps: Mapping[str, float],
    examples: Frames,
    stage: Callable[[str, int], Advance],
) -> list[_Convolution]:
    """Those that by themselves move the logit of COVID-19 by more than `SENSITIVE`."""
    advance = stage("convolutions", len(found))

    def logits(content: bytes) -> Floats:
        return engines.run(open_engine(DEFAULT_ENGINE, content), examples).logits[:, 0]

    exact, kept = logits(model.SerializeToString()), list[_Convolution]()
    for each in found:
        moved = logits(_written(model, [each], steps)) - exact
        if float(np.sqrt(np.mean(moved**2))) > SENSITIVE:
            kept.append(each)
        advance()
    return kept


# ------------------------------------------------------------------ the graph


def _written(
    model: "ModelProto", chosen: Sequence[_Convolution], steps: Mapping[str, float]
) -> bytes:
    """The graph with the chosen convolutions in 8 bits."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    by_output = {each.gives: each for each in chosen}
    rounded: set[str] = set()
    nodes: list[NodeProto] = []
    for node in graph.node:
        each = by_output.get(node.output[0])
        if each is not None:
            node.input[:2] = [f"{each.reads}.rounded", f"{each.kernels}.rounded"]
            # two convolutions may read the same activations
            if each.reads not in rounded:
                nodes += _whole_activations(graph, each.reads, steps[each.reads])
            if each.kernels not in rounded:
                nodes += _whole_kernels(graph, each)
            rounded |= {each.reads, each.kernels}
        nodes.append(node)
    _keep_used(graph, nodes)
    content: bytes = copy.SerializeToString()
    return content


def _whole_activations(graph: "GraphProto", name: str, step: float) -> list["NodeProto"]:
    """Nodes that make whole steps of activations, and numbers of those again."""
    from onnx import helper

    scale = [
        _added(graph, f"{name}.step", np.array(step, np.float32)),
        _added(graph, f"{name}.zero", np.array(0, np.uint8)),
    ]
    return [
        helper.make_node("QuantizeLinear", [name, *scale], [f"{name}.whole"]),
        helper.make_node("DequantizeLinear", [f"{name}.whole", *scale], [f"{name}.rounded"]),
    ]


def _whole_kernels(graph: "GraphProto", each: _Convolution) -> list["NodeProto"]:
    """Kernels stored as whole steps, with one size of a step for each channel that they make."""
    from onnx import helper

    whole, size = (part.numpy() for part in to_steps(torch.from_numpy(each.weight)))
    name = each.kernels
    parts = [
        _added(graph, f"{name}.whole", whole.astype(np.int8)),
        _added(graph, f"{name}.step", size.reshape(-1)),
        _added(graph, f"{name}.zero", np.zeros(len(size), np.int8)),
    ]
    return [helper.make_node("DequantizeLinear", parts, [f"{name}.rounded"], axis=0)]


def _added(graph: "GraphProto", name: str, values: NDArray[Any]) -> str:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _keep_used(graph: "GraphProto", nodes: Sequence["NodeProto"]) -> None:
    """Put the nodes that an output needs into the graph, and their tensors alone."""
    used = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(nodes):
        if not used.isdisjoint(node.output):
            used.update(node.input)
            kept.append(node)
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    replace_parts(graph, tensors, kept[::-1])

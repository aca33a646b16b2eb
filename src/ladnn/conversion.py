"""The torch graph as an ONNX file, and the proof that every runtime says what torch says."""

import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ladnn import engines
from ladnn.calibration import probability
from ladnn.engines import OUTPUT_NAMES, Engine, Outputs
from ladnn.errors import BundleError
from ladnn.explain import scaled
from ladnn.findings import LESIONS
from ladnn.graph import SMALL, BundleGraph, to_steps
from ladnn.lungfield import model_input
from ladnn.phantom import thorax
from ladnn.stored import Stored

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

Frames = NDArray[np.uint8]

OPSET = 18
PROBABILITY_TOLERANCE = 1e-4
MAP_TOLERANCE = 0.01
PHANTOMS = 3
_KERNEL = 4  # axes of a convolution's weights


def to_onnx(graph: BundleGraph, shape: tuple[int, int]) -> bytes:
    """The graph as an ONNX file: uint8 `image` [N, *shape] -> logits, heatmaps, embedding.

    Raises:
        BundleError: no file, or one whose weights are not those of the graph any more.
    """
    example = torch.zeros(2, *shape, dtype=torch.uint8)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's own future
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=["image"],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise BundleError("torch wrote no ONNX program: install the training side as locked")
    model: ModelProto = program.model_proto
    _strip(model)
    _merge_alike(model)
    separate_biases(model.graph)
    _store(model, graph.stored)
    content: bytes = model.SerializeToString()
    return content


def _strip(model: "ModelProto") -> None:
    """Leave out the exporter's notes, which hold paths of this machine; name the batch N."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    graph.name, model.producer_name, model.producer_version = "ladnn", "ladnn", ""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"


def _merge_alike(model: "ModelProto") -> None:
    """Keep and compute once what members share: the stages that training left as they were."""
    from onnx import numpy_helper

    graph = model.graph
    outputs = {value.name for value in graph.output}
    first: dict[object, Sequence[str]] = {}
    names: dict[str, str] = {}

    def is_first(key: object, made: Sequence[str]) -> bool:
        known = first.setdefault(key, made)
        names.update(zip(made, known, strict=True))
        return known is made

    def is_new_tensor(tensor: "TensorProto") -> bool:
        values = hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()
        return is_first((tensor.data_type, *tensor.dims, values), [tensor.name])

    def is_new_node(node: "NodeProto") -> bool:
        node.input[:] = [names.get(name, name) for name in node.input]
        made = list(node.output)
        if not all(made) or not outputs.isdisjoint(made):  # an output left out has no name
            return True
        key = (node.domain, node.op_type, *node.input, str(node.attribute), len(made))
        return is_first(key, made)

    tensors = [tensor for tensor in graph.initializer if is_new_tensor(tensor)]
    nodes = [node for node in graph.node if is_new_node(node)]
    replace_parts(graph, tensors, nodes)


def separate_biases(graph: "GraphProto") -> None:
    """Make each convolution's constant bias an addition after it, in place: the same numbers.

    OpenVINO reads a bias within a convolution as eight operations that find its shape, and spends a
    tenth of a second on those of two networks before it drops them.
    """
    from onnx import helper, numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Conv" or len(node.input) < 3 or node.input[2] not in tensors:
            continue
        name, gives = node.input.pop(), node.output[0]
        node.output[0] = f"{gives}.product"
        planes = f"{name}.planes"
        if planes not in tensors:
            values = numpy_helper.to_array(tensors[name]).reshape(-1, 1, 1)
            tensors[planes] = numpy_helper.from_array(values, planes)
        nodes.append(helper.make_node("Add", [node.output[0], planes], [gives]))
    replace_parts(graph, list(tensors.values()), nodes)


def _store(model: "ModelProto", stored: Stored) -> None:
    """Store rounded weights in few bytes, with nodes that runtimes fold at loading."""
    if stored == Stored.FLOAT32:
        return
    tensors: list[TensorProto] = []
    nodes: list[NodeProto] = []
    for tensor in model.graph.initializer:
        steps = _as_steps(tensor) if stored == Stored.INT8 else None
        parts, made = steps or _as_half(tensor) or ([tensor], [])
        if not made and len(tensor.dims) == _KERNEL and _large(tensor) is not None:
            raise BundleError(
                f"torch wrote other weights of {tensor.name} than {stored} holds: install the "
                "training side as locked, or export with --weights float32"
            )
        tensors += parts
        nodes += made
    replace_parts(model.graph, tensors, [*nodes, *model.graph.node])


def replace_parts(
    graph: "GraphProto", tensors: Sequence["TensorProto"], nodes: Sequence["NodeProto"]
) -> None:
    """Make these a graph's only tensors and nodes, in this order."""
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(tensors)
    graph.node.extend(nodes)


_Parts = tuple[list["TensorProto"], list["NodeProto"]]


def _as_half(tensor: "TensorProto") -> _Parts | None:
    """The tensor as float16 and a cast, where float16 holds it exactly."""
    from onnx import TensorProto, helper, numpy_helper

    wide = _large(tensor)
    if wide is None:
        return None
    narrowed = wide.astype(np.float16)
    if not np.array_equal(narrowed.astype(np.float32), wide):
        return None
    narrow = numpy_helper.from_array(narrowed, f"{tensor.name}.half")
    cast = helper.make_node("Cast", [narrow.name], [tensor.name], to=TensorProto.FLOAT)
    return [narrow], [cast]


def _as_steps(tensor: "TensorProto") -> _Parts | None:
    """A kernel as 8-bit steps and their sizes, where that is exactly what it is."""
    from onnx import TensorProto, helper, numpy_helper

    wide = _large(tensor)
    if wide is None or wide.ndim != _KERNEL:
        return None
    found, scale = (part.numpy() for part in to_steps(torch.from_numpy(wide)))
    steps = found.astype(np.int8)
    if not np.array_equal(steps * scale, wide):
        return None
    name = tensor.name
    parts = [(steps, f"{name}.steps"), (scale, f"{name}.scale")]
    nodes = [
        # by way of float16: OpenVINO keeps an 8-bit constant, a cast and a product as they are
        # where the kernel is a single pixel, and multiplies anew for each image
        helper.make_node("Cast", [f"{name}.steps"], [f"{name}.half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{name}.half"], [f"{name}.wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]),
    ]
    return [numpy_helper.from_array(*part) for part in parts], nodes


def _large(tensor: "TensorProto") -> NDArray[np.float32] | None:
    """The numbers of a tensor that is worth storing in fewer bytes."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) < SMALL:
        return None
    return np.array(numpy_helper.to_array(tensor))


# ------------------------------------------------------------------ proof


def phantom_frames(size: int, frame: str) -> Frames:
    """What the network sees of a few phantoms, uint8 [N, R, S]."""
    drawn = [thorax(seed, lesions=LESIONS[:seed]) for seed in range(PHANTOMS)]
    return np.stack([model_input(pixels, size, frame)[0] for pixels in drawn])


def prove(graph: BundleGraph, content: bytes, frames: Frames) -> dict[str, float]:
    """Hold torch and the installed runtimes together on uint8 [N, R, S].

    Returns:
        The largest differences in probability and in scaled maps.

    Raises:
        BundleError: when either is beyond its tolerance; nothing is written then.
    """
    expected = run_torch(graph, frames)
    worst = {"probability": 0.0, "heatmaps": 0.0}
    for name in installed_engines():
        # one thread: on a busy machine the runtimes' threads wait for each other much longer
        given = engines.run(open_engine(name, content, threads=1), frames)
        worst = larger(worst, differences(expected, given))
        if not (
            worst["probability"] <= PROBABILITY_TOLERANCE and worst["heatmaps"] <= MAP_TOLERANCE
        ):
            raise BundleError(
                f"torch and {name} disagree by {worst['probability']:.1e} in probability and "
                f"{worst['heatmaps']:.1e} in the maps: nothing was written; "
                f"install the versions that are locked and export again"
            )
    return worst


def larger(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The larger of two `differences`, for each key; what is no number stays none."""
    return {key: float(np.maximum(one[key], value)) for key, value in other.items()}  # not max


def rounding(exact: BundleGraph, graph: BundleGraph, frames: Frames) -> float:
    """How far the rounded weights of `graph` move a probability from what `exact` says."""
    return differences(run_torch(exact, frames), run_torch(graph, frames))["probability"]


def installed_engines() -> list[str]:
    """The engines that can be imported here, the default first."""
    return [name for name in engines.ENGINES if find_spec(name) is not None]


def open_engine(
    name: str, content: bytes, precision: str = "float32", *, threads: int = 0
) -> Engine:
    """An engine for one image at a time, on `threads` of the processor; 0 is all of them."""
    settings = engines.Settings(
        precision=precision,
        threads=threads or engines.processor_threads(),
        streams=1,
    )
    return engines.build(name, content, settings)


def run_torch(graph: BundleGraph, frames: Frames) -> Outputs:
    """What `engines.run` gives, from torch."""
    with torch.inference_mode():
        logits, heatmaps, embedding = graph(torch.from_numpy(frames))
    return Outputs(logits=logits.numpy(), heatmaps=heatmaps.numpy(), embedding=embedding.numpy())


def differences(one: Outputs, other: Outputs) -> dict[str, float]:
    """The largest absolute differences in probability and in maps scaled to [0, 1]."""
    chances = [probability(outputs.logits) for outputs in (one, other)]
    maps = [scaled(outputs.heatmaps.astype(np.float64)) for outputs in (one, other)]
    return {
        "probability": float(np.abs(chances[0] - chances[1]).max()),
        "heatmaps": float(np.abs(maps[0] - maps[1]).max()),
    }

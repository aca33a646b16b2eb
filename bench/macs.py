"""Multiply-adds of an ONNX graph, and how many the processor does in a second."""

import math
from collections.abc import Callable

import numpy as np
import onnx
import torch
from onnx import NodeProto, shape_inference

from bench.timing import clock

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


def count(model: bytes) -> int:
    """Multiply-adds of convolutions and matrix products for one image; nothing else counts.

    Raises:
        ValueError: a product whose shape does not follow from the graph.
    """
    graph = onnx.load_from_string(model)
    for value in (*graph.graph.input, *graph.graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        if dimension.dim_param:
            dimension.dim_value = 1  # one image
    known = shape_inference.infer_shapes(graph, data_prop=True)
    shapes = _shapes(known)
    return sum(
        _COUNTS[node.op_type](node, shapes) for node in known.graph.node if node.op_type in _COUNTS
    )


def _shapes(model: onnx.ModelProto) -> Shapes:
    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes = value.type.tensor_type.shape.dim
        if all(size.HasField("dim_value") for size in sizes):
            shapes.setdefault(value.name, tuple(size.dim_value for size in sizes))
    return shapes


def _shape(name: str, node: NodeProto, shapes: Shapes) -> Shape:
    if name not in shapes:
        raise ValueError(f"the shape of {name}, of the {node.op_type} {node.name}, is not known")
    return shapes[name]


def _convolution(node: NodeProto, shapes: Shapes) -> int:
    """Output positions and channels, times the weights of one channel."""
    kernel = _shape(node.input[1], node, shapes)
    return math.prod(_shape(node.output[0], node, shapes)) * math.prod(kernel[1:])


def _product(node: NodeProto, shapes: Shapes) -> int:
    """Outputs, times the length that is summed over: the columns of the first factor."""
    first = _shape(node.input[0], node, shapes)
    turned = any(part.name == "transA" and part.i for part in node.attribute)
    return math.prod(_shape(node.output[0], node, shapes)) * first[-2 if turned else -1]


_COUNTS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "Conv": _convolution,
    "Gemm": _product,
    "MatMul": _product,
}


def rate(side: int, rounds: int) -> float:
    """Multiply-adds a second of float32 matrix products, the better of NumPy's and torch's.

    Args:
        side: of the square matrices.
        rounds: of which the fastest counts, as the processor at its best is what is asked for.
    """
    rng = np.random.default_rng(0)
    one, two = rng.random((2, side, side), dtype=np.float32)
    left, right, out = torch.from_numpy(one), torch.from_numpy(two), np.empty_like(one)
    result = torch.empty_like(left)
    fastest = min(
        min(
            clock(lambda: np.matmul(one, two, out=out)),
            clock(lambda: torch.matmul(left, right, out=result)),
        )
        for _ in range(rounds + 1)
    )
    return side**3 / fastest

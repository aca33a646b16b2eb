"""Tiny bundles, written with onnx.helper: a network of a few numbers that runs in microseconds."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ladnn import guard
from ladnn.bundle import (
    MODEL_FILE,
    Card,
    LesionCalibration,
    Member,
    OperatingPoint,
    StudyRule,
    write_card,
)
from ladnn.findings import LESIONS, OUTPUTS, Lesion
from ladnn.lungfield import FRAMES, model_input

SIZE = 32
CHANNELS = 4
TOO_FEW = (Lesion.CRPA, Lesion.AIRBR, Lesion.INSEPTHI)


@cache
def open_guard(channels: int = CHANNELS, cut: float = -50.0) -> dict[str, object]:
    """A guard that lets everything through, because its classifier never says a thing."""
    pixels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    features = guard.features(pixels, pixels, model_input(pixels, SIZE)[1]).size
    size = features + channels
    return guard.Guard(
        mean=np.zeros(size, dtype=np.float32),
        scale=np.ones(size, dtype=np.float32),
        weights=np.zeros(size, dtype=np.float32),
        axes=np.zeros((1, features), dtype=np.float16),
        spread=np.ones(1, dtype=np.float32),
        rest=1.0,
        linear=(0.0, 1.0),
        distance=(0.0, 1e6),
        cut=cut,
    ).to_json()


def shut_guard(channels: int = CHANNELS) -> dict[str, object]:
    """A guard that lets nothing through."""
    return open_guard(channels, cut=50.0)


def _weights(mode: str, channels: int, bias: float) -> list[onnx.TensorProto]:
    rng = np.random.default_rng(7)
    outputs = len(OUTPUTS) if mode == "ladnn" else 1
    head = rng.normal(size=(outputs, channels)).astype(np.float32)
    tensors = {
        "kernel": rng.normal(size=(channels, 1, 8, 8)).astype(np.float32) / 8,
        "head": head.T.copy(),
        "bias": np.full(outputs, bias, dtype=np.float32),
        "positive": np.maximum(head, 0)[:, :, np.newaxis, np.newaxis],
        "scale": np.array(1 / 255, dtype=np.float32),
        "shape": np.array([-1, 1, SIZE, SIZE], dtype=np.int64),
        "flat": np.array([-1, channels], dtype=np.int64),
    }
    return [numpy_helper.from_array(value, name) for name, value in tensors.items()]


def tiny_model(mode: str = "ladnn", channels: int = CHANNELS, bias: float = 0.0) -> bytes:
    """A graph with the inputs and outputs of the design: one convolution, pool and heads."""
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["grey"]),
        helper.make_node("Reshape", ["grey", "shape"], ["plane"]),
        helper.make_node("Conv", ["plane", "kernel"], ["edges"], strides=[8, 8]),
        helper.make_node("Relu", ["edges"], ["activation"]),
        helper.make_node("GlobalAveragePool", ["activation"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "flat"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "head", "bias"], ["logits"]),
        helper.make_node("Conv", ["activation", "positive"], ["heatmaps"]),
    ]
    shapes = {"logits": ["N", None], "heatmaps": ["N", None, 4, 4], "embedding": ["N", channels]}
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, _weights(mode, channels, bias))
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def tiny_card(model: bytes, mode: str = "ladnn", members: int = 1, **changes: object) -> Card:
    """The card of `tiny_model`: two lesions calibrated, three with too few examples."""
    ladnn = mode == "ladnn"
    lesions = {
        str(lesion): LesionCalibration(
            temperature=None if lesion in TOO_FEW else 1.5,
            calibrated=lesion not in TOO_FEW,
            validation_positives=0 if lesion in TOO_FEW else 30,
        )
        for lesion in LESIONS
    }
    values: dict[str, object] = {
        "name": "tiny",
        "version": "1",
        "backbone": "tiny",
        "mode": mode,
        "input_size": SIZE,
        "preprocessing": FRAMES[0],
        "classes": OUTPUTS if ladnn else OUTPUTS[:1],
        "members": tuple(Member(backbone="tiny", seed=n, epoch=1) for n in range(members)),
        "combination": {"logits": "mean", "heatmaps": "mean", "embedding": "concatenate"},
        "temperature": 2.0,
        "lesions": lesions if ladnn else {},
        "operating_points": {
            "balanced": OperatingPoint(threshold=0.5, low=0.45, high=0.55, rule="Youden"),
            "screening": OperatingPoint(threshold=0.2, low=0.2, high=0.2, rule="sensitivity .95"),
        },
        "guard": open_guard(CHANNELS * members),
        "study_rule": StudyRule(rule="mean_top", fraction=0.5, minimum=2),
        "training": {"config": "none"},
        "data_hash": "0" * 64,
        "metrics": {},
        "sha256": hashlib.sha256(model).hexdigest(),
        "licence": "Apache-2.0",
        "intended_use": "tests",
    }
    return Card(**(values | changes))


def tiny_bundle(
    folder: Path, mode: str = "ladnn", members: int = 1, bias: float = 0.0, **changes: object
) -> Path:
    """Write a bundle into `folder / "bundle"`; `changes` replace values of its card."""
    target = folder / "bundle"
    target.mkdir(parents=True, exist_ok=True)
    model = tiny_model(mode, CHANNELS * members, bias)
    (target / MODEL_FILE).write_bytes(model)
    write_card(tiny_card(model, mode, members, **changes), target)
    return target

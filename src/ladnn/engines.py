"""Engines: model.onnx on the CPU, one image at a time, behind one small interface.

An image always runs alone (shape [1, R, S]), so its result never depends on its neighbours, memory
stays flat and each kernel is built for one shape. Throughput comes from `streams`: so many images
at once, each on its share of the threads.
"""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ladnn.errors import BundleError
from ladnn.turns import Turns

OUTPUT_NAMES = ("logits", "heatmaps", "embedding")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What the graph says of N images.

    Attributes:
        logits: float32 [N, 6], or [N, 1] of a baseline; uncalibrated.
        heatmaps: float32 [N, 6, h, w], non-negative, unscaled, in the frame of the input.
        embedding: float32 [N, C].
    """

    logits: NDArray[np.float32]
    heatmaps: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an engine runs.

    Attributes:
        precision: "float32", or "bfloat16" where the processor has it.
        threads: of the processor, shared by the streams; each has one at least.
        streams: images that run at the same time.
    """

    precision: str
    threads: int
    streams: int


class Engine(Protocol):
    """Runs one graph; safe to call from as many Python threads as there are streams, or more.

    Attributes:
        shape: rows and columns of the images that the graph takes.
    """

    shape: tuple[int, int]

    def infer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Run uint8 [1, R, S]; return logits, heatmaps and embedding that the caller owns."""
        ...


_UNWANTED = ("openvino_telemetry", "openvino.tools.ovc")


def openvino_silent() -> ModuleType:
    """Import OpenVINO without its converter and telemetry; every import of OpenVINO goes here.

    The converter, which nothing here needs, calls home from a forked process while it is imported
    and takes longer to import than the rest. OpenVINO itself goes on without both.
    """
    if "openvino" not in sys.modules:
        sys.modules.update(dict.fromkeys(_UNWANTED))  # type: ignore[arg-type]  # None forbids
    import openvino  # type: ignore[import-untyped]  # ships no types

    module: ModuleType = openvino
    return module


class OpenVino:
    """OpenVINO on the CPU; at most `streams` images at once, further callers wait."""

    def __init__(self, model: bytes, settings: Settings) -> None:
        core = openvino_silent().Core()
        graph = core.read_model(model, b"")
        (image,) = graph.get_parameters()
        _, rows, columns = image.partial_shape
        self.shape = rows.get_length(), columns.get_length()
        # not reshape(), which goes over the whole graph as compiling does right after
        image.set_partial_shape(openvino_silent().PartialShape([1, *self.shape]))
        graph.validate_nodes_and_infer_types()
        compiled = core.compile_model(graph, "CPU", _openvino_config(settings))
        self._outputs = [compiled.output(name) for name in OUTPUT_NAMES]
        self._requests = Turns[Any]()
        for _ in range(settings.streams):
            request = compiled.create_infer_request()
            # Its binding to NumPy is set up at first use; two threads that do so at once deadlock.
            # Nothing was computed yet, so the numbers may be any and are not to be reckoned with.
            np.array(request.get_tensor(self._outputs[0]).data)
            self._requests.put(request)

    def infer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """See `Engine.infer`."""
        with self._requests.held() as request:
            request.infer({0: image})
            # The tensors belong to the request, which the next caller will overwrite.
            return tuple(np.array(request.get_tensor(o).data) for o in self._outputs)


def _openvino_config(settings: Settings) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if settings.precision == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": max(settings.threads, settings.streams),
        "NUM_STREAMS": settings.streams,
        "PERFORMANCE_HINT": "LATENCY" if settings.streams == 1 else "THROUGHPUT",
        # Two processes that both pin themselves to the first cores would share one of them.
        "ENABLE_CPU_PINNING": False,
    }


class OnnxRuntime:
    """ONNX Runtime on the CPU, always in float32."""

    def __init__(self, model: bytes, settings: Settings) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # ships no types

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, settings.threads // settings.streams)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors alone
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        image = self._session.get_inputs()[0]
        self._input = image.name
        self.shape = int(image.shape[1]), int(image.shape[2])

    def infer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """See `Engine.infer`."""
        return tuple(self._session.run(list(OUTPUT_NAMES), {self._input: image}))


class Elastic:
    """An image that comes alone runs on all threads, several at once on a stream each.

    Several at once are answered at a higher rate with a thread each, one alone sooner with all. An
    image that starts in the gap between others is not alone: it takes a stream until one has run
    by itself from its start to its end. It holds the network in memory twice.
    """

    def __init__(self, alone: Engine, together: Engine) -> None:
        self.shape = together.shape
        self._alone, self._together = alone, together
        self._lock, self._running = threading.Lock(), 0
        self._joined = self._crowded = False  # since none ran last; and the time before that

    def infer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """See `Engine.infer`."""
        with self._lock:
            self._running += 1
            self._joined = self._running > 1 or self._joined
            engine = self._together if self._joined or self._crowded else self._alone
        try:
            return engine.infer(image)
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._crowded, self._joined = self._joined, False


ENGINES: dict[str, Callable[[bytes, Settings], Engine]] = {
    "openvino": OpenVino,
    "onnxruntime": OnnxRuntime,
}


def build(name: str, model: bytes, settings: Settings) -> Engine:
    """Build an engine by name.

    Raises BundleError for an unknown name, an engine that is not installed, and a graph that the
    engine refuses.
    """
    if name not in ENGINES:
        raise BundleError(f"unknown engine {name!r}: choose {' or '.join(ENGINES)}")
    try:
        return ENGINES[name](model, settings)
    except ImportError as error:
        raise BundleError(f"{name} is not installed: pip install {name}") from error
    except Exception as error:  # each engine has error classes of its own
        reason = str(error).strip().splitlines() or ["no reason given"]
        raise BundleError(
            f"{name} cannot run this model.onnx ({reason[-1][:200]}): export the bundle again"
        ) from error


def run(engine: Engine, frames: NDArray[np.uint8]) -> Outputs:
    """The graph's outputs for uint8 [N, R, S], N >= 1, one image after the other."""
    rows = [engine.infer(frame[np.newaxis]) for frame in frames]
    logits, heatmaps, embedding = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Outputs(logits=logits, heatmaps=heatmaps, embedding=embedding)


def processor_threads() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

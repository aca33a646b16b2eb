"""One image with six maps: the runtime beside torch, and beside its own multiply-adds."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch

from bench import macs
from bench.bundles import Studio, views
from bench.gradcam import Frame, eager_maps, runtime_maps
from bench.report import Figure
from bench.scale import Scale
from bench.timing import in_turns
from ladnn import engines
from ladnn.bundle import PRECISIONS, Bundle
from ladnn.engines import Settings
from ladnn.findings import LESIONS
from ladnn.lungfield import FRAMES, model_input
from ladnn.phantom import thorax
from ladnn.runtime import DEFAULT_ENGINE

CALLS = 15
"""Counted calls in a turn of the runtime, which takes milliseconds."""
FASTER, SLOWER = 20.0, 2.0


def measure_cam(scale: Scale, studio: Studio) -> list[Figure]:
    """The runtime beside pytorch-grad-cam on the same backbone, in turns in one process."""
    if find_spec("pytorch_grad_cam") is None:
        note = "pytorch-grad-cam is not installed: make bench installs it"
        missing = Figure(
            bench="cam", name="six maps", value=None, unit="x", at_least=FASTER, note=note
        )
        return [missing]
    torch.set_num_threads(engines.processor_threads())
    figures = []
    for name in scale.cam:
        figures += _against_torch(studio.random(name), "one member", name, scale, studio)
    bundle, note = studio.main()
    return figures + _against_torch(bundle, note, bundle.card.members[0].backbone, scale, studio)


def _against_torch(
    bundle: Bundle, note: str, name: str, scale: Scale, studio: Studio
) -> list[Figure]:
    """Figures of a bundle beside one network of the backbone `name`."""
    contestants = _ours(bundle) | {"torch": _eager(studio, name, bundle.card.input_size)}
    calls = dict.fromkeys(contestants, CALLS) | {"torch": 1}
    seconds = in_turns(contestants, scale.rounds, calls)
    title, passes = f"six maps, {bundle.card.name}", views(bundle.card)
    figures = [_milliseconds("cam", f"{title}: torch, pytorch-grad-cam", seconds["torch"], name)]
    for precision in [key for key in seconds if key != "torch"]:
        taken = seconds[precision]
        told = f"{note}; {1e3 * taken:.2f} ms"
        if passes > 1 and all(member.backbone == name for member in bundle.card.members):
            told += f"; {passes * seconds['torch'] / taken:.1f}x of {passes} networks in torch"
        chosen = precision == bundle.card.precision
        figures.append(
            Figure(
                bench="cam",
                name=f"{title}: {precision}, times faster",
                value=seconds["torch"] / taken,
                unit="x",
                at_least=FASTER if chosen else None,
                note=told if chosen else f"{told}; not its card's precision",
            )
        )
    return figures


def measure_rate(scale: Scale, studio: Studio) -> list[Figure]:
    """The runtime's time beside that of its multiply-adds at the rate of matrix products."""
    torch.set_num_threads(engines.processor_threads())
    bundles = [*(studio.random(name) for name in scale.cam), studio.main()[0]]
    before = macs.rate(scale.matrix, scale.rounds)
    times = [
        in_turns(_ours(one), scale.rounds, dict.fromkeys(PRECISIONS, CALLS)) for one in bundles
    ]
    rate = max(before, macs.rate(scale.matrix, scale.rounds))
    figures = [
        Figure(
            bench="rate",
            name="matrix products, float32",
            value=rate / 1e9,
            unit="GMAC/s",
            note=f"{scale.matrix} x {scale.matrix}, {torch.get_num_threads()} threads",
        )
    ]
    for bundle, seconds in zip(bundles, times, strict=True):
        needed = macs.count(bundle.model)
        figures += [_beside_rate(bundle, needed, rate, item) for item in seconds.items()]
    return figures


def _beside_rate(bundle: Bundle, needed: int, rate: float, item: tuple[str, float]) -> Figure:
    precision, seconds = item
    chosen = precision == bundle.card.precision
    return Figure(
        bench="rate",
        name=f"{bundle.card.name}: {precision}, time over its multiply-adds'",
        value=seconds * rate / needed,
        unit="x",
        at_most=SLOWER if chosen else None,
        note=f"{needed / 1e6:.0f} million in {1e3 * seconds:.2f} ms",
    )


def measure_engines(scale: Scale, studio: Studio) -> list[Figure]:
    """One image on each engine and in each arithmetic, in turns."""
    figures = []
    for name in scale.engines:
        bundle = studio.random(name)
        contestants = {f"OpenVINO {key}": call for key, call in _ours(bundle).items()}
        if find_spec("onnxruntime") is not None:
            contestants["ONNX Runtime float32"] = _call(bundle, "onnxruntime", "float32")
        seconds = in_turns(contestants, scale.rounds, dict.fromkeys(contestants, CALLS))
        figures += [_milliseconds("engines", f"{name}: {key}", seconds[key]) for key in seconds]
    return figures


def _ours(bundle: Bundle) -> dict[str, Callable[[], object]]:
    """The default engine in float32 and, where the processor has it, in bfloat16."""
    known = engines.openvino_silent().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    able = [key for key in PRECISIONS if key == "float32" or "BF16" in known]
    return {key: _call(bundle, DEFAULT_ENGINE, key) for key in able}


def _call(bundle: Bundle, engine: str, precision: str) -> Callable[[], object]:
    settings = Settings(
        precision=precision,
        threads=engines.processor_threads(),
        streams=1,
    )
    maps = runtime_maps(engines.build(engine, bundle.model, settings))
    return partial(maps, _frame(bundle.card.input_size, bundle.card.preprocessing))


def _eager(studio: Studio, name: str, size: int) -> Callable[[], object]:
    return partial(eager_maps(studio.net(name, size)), _frame(size))


def _frame(size: int, frame: str = FRAMES[0]) -> Frame:
    """What the network sees of a phantom."""
    return model_input(thorax(1, lesions=LESIONS[:2]), size, frame)[0]


def _milliseconds(bench: str, name: str, seconds: float, note: str = "") -> Figure:
    return Figure(bench=bench, name=name, value=1e3 * seconds, unit="ms", note=note)

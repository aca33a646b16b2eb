"""The benches run at tiny sizes, and what they count and judge is right."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from bench import __main__ as program
from bench import command, epoch, macs
from bench.bundles import Studio, views
from bench.gradcam import eager_maps, runtime_maps
from bench.report import Figure, machine, write
from bench.scale import QUICK
from bench.timing import clock, in_turns
from bench.timing import run as run_process
from bundles import tiny_bundle, tiny_card, tiny_model
from ladnn import engines
from ladnn.bundle import load_bundle
from ladnn.conversion import to_onnx
from ladnn.engines import Settings
from ladnn.graph import BundleGraph
from ladnn.lungfield import model_input
from ladnn.phantom import thorax

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return Studio(folder=tmp_path_factory.mktemp("bundles"), input_size=QUICK.input_size)


@pytest.fixture
def tiny(studio, tmp_path, monkeypatch):
    """A studio whose main bundle is the tests' tiny one."""
    bundle = load_bundle(tiny_bundle(tmp_path))
    monkeypatch.setattr(Studio, "main", lambda self: (bundle, "tiny"))
    return studio


def convolution(groups: int) -> bytes:
    """8 to 16 channels at [1, 8, 10, 12], 3 x 3, stride 2, padded: [1, 16, 5, 6]."""
    weight = np.zeros((16, 8 // groups, 3, 3), dtype=np.float32)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], group=groups
    )
    graph = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 10, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 16, 5, 6])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset]).SerializeToString()


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_convolution_has_outputs_times_weights_multiply_adds(groups):
    assert macs.count(convolution(groups)) == 16 * 5 * 6 * (8 // groups) * 3 * 3


def test_a_bundles_convolutions_and_products_are_counted():
    kernel, head, maps = 4 * 4 * 4 * 8 * 8, 4 * 6, 6 * 4 * 4 * 4
    assert macs.count(tiny_model()) == kernel + head + maps


def test_a_backbone_has_the_multiply_adds_that_torch_performs(studio):
    bundle = studio.random("resnet18")
    graph = BundleGraph([studio.net("resnet18", 64)])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        graph(torch.zeros(1, 64, 64).byte())
    assert macs.count(bundle.model) == counter.get_total_flops() // 2


def test_turns_are_taken_and_the_first_call_of_each_is_not_counted():
    calls = []
    contestants = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    in_turns(contestants, 2, {"a": 2, "b": 1})
    assert "".join(calls) == "aaabbaaabb"


def test_a_process_is_charged_its_own_memory_and_not_that_of_its_parent():
    held = np.ones(2**25)  # 256 MB
    code = "import sys; print(sys.argv[1])"
    done = run_process([sys.executable, "-I", "-S", "-c", code, "said"])
    assert held.size
    assert done.output == "said\n"
    assert 1 < done.memory < 60


def test_a_process_that_fails_is_an_error_with_its_reason():
    with pytest.raises(RuntimeError, match="no such luck"):
        run_process([sys.executable, "-c", "raise SystemExit('no such luck')"])


@pytest.mark.parametrize(
    ("value", "bars", "verdict"),
    [
        (1.0, {"at_most": 1.2}, "pass"),
        (1.3, {"at_most": 1.2}, "fail"),
        (19.9, {"at_least": 20}, "fail"),
        (20.0, {"at_least": 20}, "pass"),
        (None, {"at_least": 20}, "not measured"),
        (1.0, {}, ""),
    ],
)
def test_a_figure_is_judged_by_its_bar(value, bars, verdict):
    assert Figure(bench="b", name="n", value=value, unit="s", **bars).verdict == verdict


def test_the_figures_are_json_with_bars_and_verdicts(tmp_path):
    figure = Figure(bench="b", name="n", value=1.0, unit="s", at_most=2.0)
    write([figure], machine(), quick=True, path=tmp_path / "new" / "bench.json")
    (row,) = json.loads((tmp_path / "new" / "bench.json").read_text())["figures"]
    assert (row["value"], row["at_most"], row["verdict"]) == (1.0, 2.0, "pass")


def test_a_mirrored_ensemble_takes_two_passes_for_each_member():
    card = tiny_card(tiny_model(), members=3, training={"flip_averaging": True})
    assert views(card) == 6


def spread(maps: np.ndarray) -> np.ndarray:
    """Each map from 0 to 1, as pytorch-grad-cam scales its own."""
    lowest, highest = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return (maps - lowest) / (highest - lowest)


@pytest.mark.skipif(find_spec("pytorch_grad_cam") is None, reason="make bench installs grad-cam")
def test_the_rival_draws_the_maps_that_the_runtime_draws(studio):
    net = studio.net("resnet18", 128)
    with torch.no_grad():
        net.head.weight.mul_(1000)  # the rival adds a small number to its gradients' squares
    content = to_onnx(BundleGraph([net]), (128, 128))
    settings = Settings(precision="float32", threads=1, streams=1)
    frame = model_input(thorax(1), 128)[0]
    ours = runtime_maps(engines.build("openvino", content, settings))(frame)
    theirs = eager_maps(net)(frame)
    assert ours.shape == theirs.shape == (6, 128, 128)
    assert np.abs(spread(ours) - spread(theirs)).max() < 0.02


@pytest.mark.parametrize("measure", [command.measure_cold, command.measure_folder])
def test_the_command_is_measured(tiny, measure):
    figures = list(measure(QUICK, tiny))
    assert figures
    assert all(figure.value > 0 for figure in figures)


@pytest.mark.parametrize("name", ["rate", "engines"])
def test_the_runtime_is_measured(tiny, name):
    figures = list(program.BENCHES[name](QUICK, tiny))
    assert figures
    assert all(figure.value > 0 for figure in figures)


@pytest.mark.soak
@pytest.mark.parametrize("name", program.BENCHES)
def test_every_bench_runs_as_the_program_runs_it(tmp_path, name):
    output = tmp_path / "bench.json"
    call = [sys.executable, "-m", "bench", "--quick", "--only", name, "--output", str(output)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["figures"]


@pytest.mark.parametrize("kind", [epoch.AUTHORS, epoch.OURS, epoch.WHOLE])
def test_each_training_loop_trains(kind):
    train = epoch.build(epoch.Task(kind=kind, images=4, batch=2, size=64))[1]
    assert clock(train) > 0


def test_training_is_judged_by_the_ratio_of_our_loop_and_told_with_nothing_frozen(monkeypatch):
    seconds = {epoch.AUTHORS: 6.0, epoch.OURS: 2.0, epoch.WHOLE: 3.0}
    monkeypatch.setattr(epoch, "_in_turns", lambda tasks, rounds: (seconds, seconds))
    figures = epoch.measure_epoch(QUICK, Studio(folder=Path(), input_size=64))
    assert [(figure.value, figure.verdict) for figure in figures[3:]] == [(3.0, "pass"), (2.0, "")]

"""The exported graph says what torch says: probabilities, maps and embedding, on every backbone."""

import errno
import itertools
import json
import os
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from PIL import Image
from typer.testing import CliRunner

from ladnn import engines
from ladnn import export as exporting
from ladnn.backbones import BACKBONES
from ladnn.bundle import CARD_FILE, MODEL_FILE, load_bundle
from ladnn.calibration import HOTTEST
from ladnn.commands.export import app
from ladnn.conversion import (
    open_engine,
    phantom_frames,
    prove,
    run_torch,
    separate_biases,
    to_onnx,
)
from ladnn.dataset import Manifest, hash_records, write_manifest
from ladnn.errors import BundleError, ConfigError, DataError, RegistryError, WeightsError
from ladnn.explain import grad_cam_pp, scaled
from ladnn.export import Identity, Options, build_model, export, read_ensemble
from ladnn.findings import Lesion
from ladnn.graph import BundleGraph, _on_one_grid, to_steps
from ladnn.imaging import read_image
from ladnn.lungfield import model_input
from ladnn.model import LesionNet
from ladnn.runtime import Predictor
from ladnn.stored import Stored
from networks import drawn, network, phantoms, put_checkpoint
from synthetic import thorax

ENGINES = ("openvino", "onnxruntime")
SAMPLED = (
    ("efficientnet_lite0", "ladnn"),
    ("resnet18", "ladnn"),
    ("resnet18", "baseline"),
    ("resnet_ct", "ladnn"),
)
MODES = ("ladnn", "baseline")


def every_network() -> list[object]:
    """Both modes of every backbone; those that are not sampled run in the soak."""
    return [
        pytest.param(
            (name, mode),
            id=f"{name}-{mode}",
            marks=() if (name, mode) in SAMPLED else pytest.mark.soak,
        )
        for name in BACKBONES
        for mode in MODES
    ]


def torch_logits(net: LesionNet, frames: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return net(torch.from_numpy(frames)[:, None].float() / 255).numpy()


def probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def autograd_maps(net: LesionNet, frame: np.ndarray) -> np.ndarray:
    """Grad-CAM++ by backward passes in float64: the straightforward way, from uint8 [S, S]."""
    net.double()
    try:
        grey = torch.from_numpy(frame)[None, None].double() / 255
        with torch.no_grad():
            activations = net.features(grey)
        activations.requires_grad_()
        logits = net.head(net.pool(activations))[0]
        gradients = [
            torch.autograd.grad(logit, activations, retain_graph=True)[0][0] for logit in logits
        ]
    finally:
        net.float()
    return grad_cam_pp(activations[0].detach().numpy(), torch.stack(gradients).numpy())


def assert_maps_agree(given: np.ndarray, expected: np.ndarray) -> None:
    given, expected = scaled(given.astype(np.float64)), scaled(expected)
    assert np.abs(given - expected).max() <= 0.01
    for one, other in zip(given, expected, strict=True):
        assert other.std() > 0.01, "a constant map proves nothing"
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= 0.999


# ------------------------------------------------------------------ torch and the runtimes


@dataclass(frozen=True)
class Exported:
    """A network as a file, and what torch says of some frames."""

    content: bytes
    outputs: int
    frames: np.ndarray
    probability: np.ndarray
    maps: np.ndarray


@pytest.fixture(scope="class", params=every_network())
def made(request) -> Exported:
    """One network at a time, for all its tests: VGG-16 takes a gigabyte and half a minute."""
    name, mode = request.param
    net = network(name, mode, size=None if BACKBONES[name].hidden else 128)
    frames = phantoms(3, net.input_size)[1:]
    return Exported(
        content=to_onnx(BundleGraph([net]), (net.input_size, net.input_size)),
        outputs=6 if mode == "ladnn" else 1,
        frames=frames,
        probability=probability(torch_logits(net, frames)),
        maps=autograd_maps(net, frames[0]),
    )


class TestEveryNetwork:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_torch_and_the_runtime_agree_in_probability_and_in_maps(self, made, engine):
        given = engines.run(open_engine(engine, made.content), made.frames)
        assert np.abs(probability(given.logits) - made.probability).max() <= 1e-4
        assert given.logits.shape[1] == made.outputs
        assert_maps_agree(given.heatmaps[0], made.maps)

    def test_the_file_holds_no_batch_norm_and_nothing_of_this_machine(self, made):
        model = onnx.load_from_string(made.content)
        assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
        for part in (model, model.graph, *model.graph.node):
            assert not part.metadata_props
            assert not part.doc_string


@pytest.mark.real
def test_torch_and_the_runtimes_agree_on_real_images(data_root):
    net = network("efficientnet_lite0")
    folder = data_root / "covid-ct"
    files = (
        sorted((folder / "CT_COVID").iterdir())[:3] + sorted((folder / "CT_NonCOVID").iterdir())[:3]
    )
    frames = np.stack([model_input(read_image(f).pixels, net.input_size)[0] for f in files])
    content = to_onnx(BundleGraph([net]), (net.input_size, net.input_size))
    for engine in ENGINES:
        given = engines.run(open_engine(engine, content), frames)
        expected = probability(torch_logits(net, frames))
        assert np.abs(probability(given.logits) - expected).max() <= 1e-4
    for frame, maps in zip(frames, given.heatmaps, strict=True):
        assert_maps_agree(maps, autograd_maps(net, frame))


# ------------------------------------------------------------------ one small network

SIZE = 64


@pytest.fixture(scope="module")
def nets() -> list[LesionNet]:
    return [network("resnet18", seed=seed, size=SIZE) for seed in range(2)]


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return phantoms(4, SIZE)


@pytest.fixture(scope="module")
def single(nets) -> bytes:
    return to_onnx(BundleGraph(nets[:1]), (SIZE, SIZE))


def run_batch(content: bytes, frames: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits", "heatmaps", "embedding"], {"image": frames})


def test_the_graph_takes_any_number_of_images_and_keeps_them_apart(single, frames):
    together = run_batch(single, frames)
    alone = [run_batch(single, frames[i : i + 1]) for i in range(len(frames))]
    for output, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert output == pytest.approx(np.concatenate(parts), rel=1e-4, abs=1e-5)


def test_a_bias_becomes_an_addition_of_its_own_and_nothing_else_changes():
    rng = np.random.default_rng(0)
    kernels, bias, image = (
        rng.normal(size=shape).astype(np.float32) for shape in ((3, 2, 3, 3), 3, (1, 2, 8, 8))
    )
    tensors = [numpy_helper.from_array(kernels, "kernels"), numpy_helper.from_array(bias, "bias")]
    nodes = [  # the second shares the first one's bias, the third has none
        helper.make_node("Conv", ["image", "kernels", "bias"], ["one"]),
        helper.make_node("Conv", ["image", "kernels", "bias"], ["two"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["image", "kernels"], ["three"]),
    ]
    names = ["one", "two", "three"]
    given, *made = (helper.make_tensor_value_info(name, 1, None) for name in ("image", *names))
    model = helper.make_model(helper.make_graph(nodes, "g", [given], made, tensors))
    before = ReferenceEvaluator(model).run(names, {"image": image})
    separate_biases(model.graph)
    after = ReferenceEvaluator(model).run(names, {"image": image})
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(before, after, strict=True))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Conv", "Add", "Conv", "Add", "Conv"]
    assert {len(node.input) for node in model.graph.node} == {2}


def test_the_embedding_is_the_pooled_features(nets, single, frames):
    with torch.inference_mode():
        expected = nets[0].pool(nets[0].features(torch.from_numpy(frames)[:, None] / 255.0))
    assert run_batch(single, frames)[2] == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-4)


def test_an_ensemble_averages_logits_and_scaled_maps_and_joins_embeddings(nets, frames):
    parts = [run_torch(BundleGraph([net]), frames) for net in nets]
    logits, maps, embedding = run_batch(to_onnx(BundleGraph(nets), (SIZE, SIZE)), frames)
    assert logits == pytest.approx(np.mean([p.logits for p in parts], axis=0), abs=1e-4)
    expected = np.mean([scaled(p.heatmaps.astype(np.float64)) for p in parts], axis=0)
    assert maps == pytest.approx(expected, abs=1e-4)
    assert embedding.shape == (4, 2 * 512)
    assert embedding[:, 512:] == pytest.approx(parts[1].embedding, rel=1e-3, abs=1e-4)


def test_flip_averaging_is_the_mean_over_the_image_and_its_mirror_image(nets, frames):
    flipped = np.ascontiguousarray(frames[:, :, ::-1])
    logits, maps, _ = run_batch(to_onnx(BundleGraph(nets[:1], flip=True), (SIZE, SIZE)), frames)
    expected = [torch_logits(nets[0], each) for each in (frames, flipped)]
    assert logits == pytest.approx(np.mean(expected, axis=0), abs=1e-4)
    one, other = (run_torch(BundleGraph(nets[:1]), each).heatmaps for each in (frames, flipped))
    both = (scaled(one.astype(np.float64)) + scaled(other.astype(np.float64))[..., ::-1]) / 2
    assert maps == pytest.approx(both, abs=1e-4)


def test_an_empty_map_stays_empty_in_an_ensemble(frames):
    nets = [network("resnet18", seed=seed, size=SIZE) for seed in range(2)]
    for net in nets:
        torch.nn.init.constant_(net.head.weight, -1.0)
    maps = run_torch(BundleGraph(nets), frames).heatmaps
    assert not maps.any()


def test_exporting_leaves_the_network_as_it_was(nets, frames):
    before = torch_logits(nets[0], frames)
    BundleGraph(nets[:1], stored=Stored.FLOAT16)
    assert np.array_equal(torch_logits(nets[0], frames), before)


def test_a_graph_that_says_something_else_than_torch_is_not_proven(nets, single, frames):
    with pytest.raises(BundleError, match=r"disagree by .* nothing was written"):
        prove(BundleGraph(nets[1:]), single, frames)


# ------------------------------------------------------------------ rounded weights


@pytest.fixture(scope="module", params=[Stored.FLOAT16, Stored.INT8])
def rounded(nets, request) -> tuple[BundleGraph, bytes]:
    graph = BundleGraph(nets[:1], stored=request.param)
    return graph, to_onnx(graph, (SIZE, SIZE))


def test_rounded_weights_take_a_half_and_a_quarter_of_the_file(single, rounded):
    graph, content = rounded
    share = {Stored.FLOAT16: 0.51, Stored.INT8: 0.27}[graph.stored]
    assert len(content) < share * len(single)


def test_a_file_of_rounded_weights_says_what_torch_says_with_them(rounded, frames):
    assert prove(*rounded, frames)["probability"] <= 1e-4


def test_openvino_folds_the_nodes_of_rounded_weights_when_it_loads(single, rounded):
    import openvino

    def kinds(content):
        model = openvino.Core().read_model(content, b"")
        model.reshape({0: [1, SIZE, SIZE]})
        compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        ops = compiled.get_runtime_model().get_ops()
        return sorted(str(op.get_rt_info()["layerType"].astype(str)) for op in ops)

    found = kinds(rounded[1])
    assert "Convolution" in found
    assert found == kinds(single)


def test_onnx_runtime_folds_the_nodes_of_rounded_weights_when_it_loads(single, rounded, tmp_path):
    import onnxruntime

    def kinds(content):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return sorted(n.op_type for n in onnx.load(tmp_path / "optimised.onnx").graph.node)

    assert kinds(rounded[1]) == kinds(single)


@pytest.mark.parametrize("stored", [Stored.FLOAT16, Stored.INT8])
def test_weights_that_the_exporter_changed_are_not_stored_as_rounded(nets, stored):
    graph = BundleGraph(nets[:1])
    graph.stored = stored  # whose weights are not so
    with pytest.raises(BundleError, match=f"than {stored} holds: install the training side"):
        to_onnx(graph, (SIZE, SIZE))


def test_weights_that_float16_cannot_hold_are_refused(frames):
    net = network("resnet18", size=SIZE)
    torch.nn.init.constant_(net.backbone.layer1[0].conv1.weight, 1e9)
    with pytest.raises(WeightsError, match="beyond 65504"):
        BundleGraph([net], stored=Stored.FLOAT16)


def kernels() -> torch.Tensor:
    """Rows of every size, the last one empty."""
    sizes = torch.logspace(-29, 1, 64)[:, None, None, None]
    return torch.cat([torch.randn(64, 32, 3, 3) * sizes, torch.zeros(1, 32, 3, 3)])


def test_8_bits_are_off_by_half_a_step_of_the_largest_weight_at_most():
    weight = kernels()
    steps, scale = to_steps(weight)
    assert torch.equal(steps, steps.round())
    assert steps.abs().max() == 127
    assert bool(((weight - steps * scale).abs() <= 0.501 * scale).all())
    largest = weight.abs().amax((1, 2, 3), keepdim=True)
    assert bool((scale <= 1.001 * largest / 127)[:-1].all())


def test_rounding_to_8_bits_again_changes_nothing():
    steps, scale = to_steps(kernels())
    again = to_steps(steps * scale)
    assert torch.equal(again[0], steps)
    assert torch.equal(again[0] * again[1], steps * scale)


@pytest.mark.parametrize("size", [1e-32, 1e-40, 1e-43, 1e-45])
def test_kernels_too_small_for_a_step_become_nothing(size):
    steps, scale = to_steps(torch.full((2, 3, 1, 1), size))
    assert torch.equal(steps * scale, torch.zeros(2, 3, 1, 1))


@pytest.fixture(scope="module")
def twins() -> list[LesionNet]:
    """Two networks that differ in one kernel of their last stage, and in their heads."""
    net = network("resnet18", seed=1, size=SIZE)
    nets = [net, deepcopy(net)]
    with torch.no_grad():
        for index, net in enumerate(nets):
            net.backbone.layer4[1].conv1.weight.mul_(1.0 + index)
            net.head.weight.mul_(1.0 + index)
    return nets


IN_BRIEF = ((Stored.FLOAT32, False), (Stored.INT8, True))  # the others in the soak


@pytest.mark.parametrize(
    ("stored", "flip"),
    [
        pytest.param(*way, marks=() if way in IN_BRIEF else pytest.mark.soak)
        for way in itertools.product(Stored, (False, True))
    ],
)
def test_what_members_share_is_stored_and_computed_once(twins, frames, stored, flip):
    alone, both = (BundleGraph(nets, flip=flip, stored=stored) for nets in (twins[:1], twins))
    files = [to_onnx(graph, (SIZE, SIZE)) for graph in (alone, both)]
    prove(both, files[1], frames)
    convolutions = [
        sum(node.op_type == "Conv" for node in onnx.load_from_string(content).graph.node)
        for content in files
    ]
    assert convolutions == [20, 22]  # the other kernel, and the next, which reads what it says
    assert len(files[1]) < 1.3 * len(files[0])


def test_a_graph_whose_numbers_are_none_is_not_proven(nets, single, frames):
    graph = BundleGraph(nets[:1])
    graph.members[0].outputs.head_bias = torch.full((6,), torch.nan)
    with pytest.raises(BundleError, match=r"disagree by nan .* nothing was written"):
        prove(graph, single, frames)


# ------------------------------------------------------------------ checkpoints to a bundle


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    return drawn(tmp_path_factory.mktemp("images"), 36, splits=("train", "val", "val"))


@pytest.fixture(scope="module")
def bundle(nets, manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    checkpoints = [put_checkpoint(folder / str(i), net) for i, net in enumerate(nets)]
    target = folder / "made"
    options = Options(decoys=1, stored=Stored.FLOAT16, flip=True)
    export(checkpoints, manifest, target, Identity(name="drawn"), options=options)
    return load_bundle(target)


def test_a_bundle_predicts_in_the_runtime(bundle, tmp_path):
    Image.fromarray(thorax(99, lesions=(Lesion.GGO,))).save(tmp_path / "x.png")
    found = Predictor(bundle).predict([read_image(tmp_path / "x.png")])[0]
    assert 0 <= found.prediction.probability <= 1
    assert found.maps.shape == (6, 2, 2)


def test_the_card_tells_members_and_how_they_are_combined(bundle):
    card = bundle.card
    assert [(m.backbone, m.seed, m.epoch) for m in card.members] == [("resnet18", 3, 5)] * 2
    assert "2 members" in card.combination["logits"]
    assert "mirror" in card.combination["heatmaps"]
    assert "concatenated" in card.combination["embedding"]
    assert card.licence == "not stated"


def test_the_card_tells_the_agreement_that_was_proven(bundle):
    agreement = bundle.card.training["agreement"]
    assert agreement["probability"] <= 1e-4
    assert agreement["heatmaps"] <= 0.01
    assert "rounding_probability" in agreement


def test_the_card_holds_both_operating_points_and_metrics_of_validation(bundle):
    assert set(bundle.card.operating_points) == {"balanced", "screening"}
    assert bundle.card.metrics["split"] == "val"
    assert "auc" in json.dumps(bundle.card.metrics)


def test_the_card_names_no_sources_of_a_training_on_another_manifest(bundle):
    assert bundle.card.training["sources"] == []


@pytest.mark.parametrize("sources", [["phantoms"], []])
def test_the_command_says_when_nothing_shows_that_the_manifest_is_that_of_the_training(
    bundle, manifest, tmp_path, monkeypatch, sources
):
    card = replace(bundle.card, training={**bundle.card.training, "sources": sources})
    monkeypatch.setattr("ladnn.export.export", lambda *_args, **_kwargs: card)
    write_manifest(manifest, tmp_path / "m.csv")
    given = ["run", "--manifest", str(tmp_path / "m.csv"), "-o", "out", "--name", "drawn"]
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 0
    assert ("nothing shows" in said.stderr) == (not sources)


@pytest.mark.parametrize("temperature", [HOTTEST, HOTTEST - 1])
def test_the_command_says_when_no_higher_temperature_is_fitted(
    bundle, manifest, tmp_path, monkeypatch, temperature
):
    card = replace(bundle.card, temperature=temperature)
    monkeypatch.setattr("ladnn.export.export", lambda *_args, **_kwargs: card)
    write_manifest(manifest, tmp_path / "m.csv")
    given = ["run", "--manifest", str(tmp_path / "m.csv"), "-o", "out", "--name", "drawn"]
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 0
    assert ("tells next to nothing" in said.stderr) == (temperature == HOTTEST)


def test_lesions_with_few_validation_cases_are_not_calibrated(bundle):
    assert not any(bundle.card.calibrated)


def test_nothing_is_left_beside_the_bundle(bundle):
    assert {path.name for path in bundle.path.parent.iterdir()} == {"0", "1", "made"}
    assert {path.name for path in bundle.path.iterdir()} == {"model.onnx", "card.json"}


def test_an_older_bundle_is_replaced_only_on_demand(bundle, nets, manifest, tmp_path):
    folder = put_checkpoint(tmp_path / "c", nets[0])
    with pytest.raises(BundleError, match=r"holds a bundle: .*--force"):
        export([folder], manifest, bundle.path, Identity(name="other"))
    assert load_bundle(bundle.path).card.name == "drawn"


def test_a_folder_that_is_no_bundle_is_never_replaced(nets, manifest, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "work.txt").write_text("mine")
    folder = put_checkpoint(tmp_path / "c", nets[0])
    options = Options(force=True)
    with pytest.raises(BundleError, match="is there and is no bundle"):
        export([folder], manifest, tmp_path / "taken", Identity(name="x"), options=options)


@pytest.mark.parametrize("version", ["1 2", "1/2"])
def test_a_name_that_no_registry_takes_is_refused_before_anything_is_read(
    manifest, tmp_path, version
):
    with pytest.raises(RegistryError, match="cannot name a version: use letters"):
        export(
            [tmp_path / "gone"], manifest, tmp_path / "made", Identity(name="d", version=version)
        )


@pytest.fixture(scope="module")
def proven(nets, tmp_path_factory):
    folder = put_checkpoint(tmp_path_factory.mktemp("one") / "c", nets[0])
    return build_model(read_ensemble([folder]))


def test_a_failure_on_the_way_leaves_no_bundle(proven, bundle, tmp_path):
    def fail(folder):
        raise DataError("the disk of the metrics is full")

    with pytest.raises(DataError):
        exporting.write_bundle(tmp_path / "made", proven.content, bundle.card, measure=fail)
    assert list(tmp_path.iterdir()) == []


def test_what_an_export_left_that_was_killed_long_ago_is_deleted(proven, bundle, tmp_path):
    old, young = tmp_path / ".ladnn-export-old", tmp_path / ".ladnn-export-young"
    for folder in (old, young):
        (folder / "bundle").mkdir(parents=True)
    os.utime(old, (0, 0))
    exporting.write_bundle(tmp_path / "made", proven.content, bundle.card)
    assert (old.exists(), young.exists()) == (False, True)  # the young one may be at work


def test_what_was_killed_while_it_replaced_a_bundle_keeps_the_older_one(proven, bundle, tmp_path):
    (tmp_path / ".ladnn-export-killed" / "old").mkdir(parents=True)
    os.utime(tmp_path / ".ladnn-export-killed", (0, 0))
    exporting.write_bundle(tmp_path / "made", proven.content, bundle.card)
    assert (tmp_path / ".ladnn-export-killed" / "old").exists()


def test_an_older_bundle_that_cannot_be_replaced_stays_where_it_was(
    proven, bundle, tmp_path, monkeypatch
):
    target = tmp_path / "made"
    exporting.write_bundle(target, proven.content, bundle.card)
    (target / "notes.txt").write_text("mine")
    moved = Path.replace

    def busy(path, to):
        if path.name == "bundle":
            raise OSError(errno.EBUSY, "Device or resource busy")
        return moved(path, to)

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(BundleError, match="Device or resource busy"):
        exporting.write_bundle(target, proven.content, bundle.card, force=True)
    assert (target / MODEL_FILE).read_bytes() == proven.content
    assert (target / "notes.txt").read_text() == "mine"


def test_a_place_that_no_bundle_can_be_put_is_refused_before_anything_is_read(
    manifest, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file cannot be written to: give a folder"):
        export([tmp_path / "none"], manifest, tmp_path / "file" / "made", Identity(name="x"))
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    with pytest.raises(BundleError, match=r"a disk is mounted at .*disk: give a folder within it"):
        export([tmp_path / "none"], manifest, tmp_path / "disk", Identity(name="x"))


def test_force_replaces_an_older_bundle_whole(proven, bundle, tmp_path):
    target = tmp_path / "made"
    for force in (False, True):
        exporting.write_bundle(target, proven.content, bundle.card, force=force)
    assert (target / MODEL_FILE).read_bytes() == proven.content


def test_force_keeps_what_a_person_put_beside_the_older_bundle(proven, bundle, tmp_path):
    target = tmp_path / "made"
    exporting.write_bundle(target, proven.content, bundle.card)
    (target / CARD_FILE).write_text("of the older one")
    (target / "notes").mkdir()
    for name in ("notes.txt", "notes/card.json"):
        (target / name).write_text("mine")
    exporting.write_bundle(target, proven.content, bundle.card, force=True)
    assert (target / "notes.txt").read_text() == "mine"
    assert (target / "notes/card.json").read_text() == "mine"
    assert (target / CARD_FILE).read_text() != "of the older one"


def test_force_keeps_links_as_links_wherever_they_lead(proven, bundle, tmp_path):
    target = tmp_path / "made"
    exporting.write_bundle(target, proven.content, bundle.card)
    links = {"data": "../data", "nowhere": "/nowhere/at/all"}
    (tmp_path / "data").mkdir()
    for name, where in links.items():
        (target / name).symlink_to(where)
    exporting.write_bundle(target, proven.content, bundle.card, force=True)
    assert {name: str((target / name).readlink()) for name in links} == links
    assert (target / "data").is_dir()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_force_cannot_keep_is_named_and_the_older_bundle_stays(proven, bundle, tmp_path):
    target = tmp_path / "made"
    exporting.write_bundle(target, proven.content, bundle.card)
    os.mkfifo(target / "pipe")
    with pytest.raises(DataError, match=r"beside card\.json, model\.onnx .*named pipe.*move it"):
        exporting.write_bundle(target, proven.content, bundle.card, force=True)
    assert sorted(path.name for path in target.iterdir()) == [CARD_FILE, MODEL_FILE, "pipe"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frame": "whole-1"}, r"differ in frame \(lungs-2, whole-1\)"),
        ({"mode": "baseline"}, r"differ in mode \(ladnn, baseline\)"),
    ],
)
def test_checkpoints_that_cannot_share_a_graph_are_refused(nets, tmp_path, changes, words):
    other = network("resnet18", mode=changes.get("mode", "ladnn"), size=SIZE)
    folders = [
        put_checkpoint(tmp_path / "a", nets[0]),
        put_checkpoint(tmp_path / "b", other, **changes),
    ]
    with pytest.raises(ConfigError, match=words):
        read_ensemble(folders)


def test_networks_of_two_sizes_and_of_the_box_and_the_pair_share_a_graph(nets, tmp_path):
    small = network("resnet18", seed=4, size=48)
    folders = [
        put_checkpoint(tmp_path / "a", nets[0], frame="lungpair-1"),
        put_checkpoint(tmp_path / "b", small, frame="lungbox-1"),
    ]
    ensemble = read_ensemble(folders)
    assert (ensemble.size, ensemble.frame) == (SIZE, "lungpair-1")
    model = build_model(ensemble)
    assert model.agreement["probability"] < 1e-4
    pair = phantom_frames(SIZE, "lungpair-1")
    box = phantom_frames(SIZE, "lungbox-1")
    own = np.stack([np.asarray(Image.fromarray(each).resize((48, 48))) for each in box])
    logits, maps, embedding = run_batch(model.content, pair)
    expected = run_torch(BundleGraph(nets[:1]), box), run_torch(BundleGraph([small]), own)
    assert logits == pytest.approx(np.mean([e.logits for e in expected], axis=0), abs=0.02)
    assert maps.shape[2:] == expected[0].heatmaps.shape[2:]
    assert embedding[:, :512] == pytest.approx(expected[0].embedding, rel=1e-3, abs=1e-4)
    assert embedding[:, 512:] == pytest.approx(expected[1].embedding, abs=0.05)


def test_networks_of_two_sizes_see_the_mirror_image_too(nets, tmp_path):
    folders = [
        put_checkpoint(tmp_path / "a", nets[0]),
        put_checkpoint(tmp_path / "b", network("resnet18", seed=4, size=96)),
    ]
    model = build_model(read_ensemble(folders), flip=True, stored=Stored.INT8)
    assert model.agreement["heatmaps"] < 1e-4


def test_coarser_maps_are_enlarged_bilinearly():
    maps = [torch.rand(2, 6, 3, 4), torch.rand(2, 6, 5, 7)]
    enlarged, same = _on_one_grid(maps)
    expected = torch.nn.functional.interpolate(maps[0], (5, 7), mode="bilinear")
    assert torch.allclose(enlarged, expected, atol=1e-6)
    assert same is maps[1]


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="is no checkpoint"):
        read_ensemble([tmp_path])


def test_a_manifest_whose_validation_has_one_class_is_refused(nets, manifest, tmp_path):
    negatives = Manifest(records=tuple(r for r in manifest if not r.covid))
    folder = put_checkpoint(tmp_path / "c", nets[0])
    with pytest.raises(DataError, match="0 positive of"):
        export([folder], negatives, tmp_path / "made", Identity(name="x"))


def test_a_manifest_without_validation_of_what_was_trained_on_is_refused(nets, manifest, tmp_path):
    folder = put_checkpoint(tmp_path / "c", nets[0], config={"sources": ["elsewhere"]})
    with pytest.raises(DataError, match="holds no image of elsewhere, which the checkpoints were"):
        export([folder], manifest, tmp_path / "made", Identity(name="x"))


def test_a_bundle_is_fitted_on_what_its_checkpoints_were_trained_on(nets, manifest, tmp_path):
    """Images of another source are gone, so that whoever looked at one would fail."""
    gone = [replace(r, path=tmp_path / "gone.png", source="elsewhere") for r in manifest]
    both = Manifest(records=(*manifest.records, *gone), labels=manifest.labels)
    learned = hash_records(r for r in manifest if r.split in ("train", "val"))
    changes = {"config": {"sources": ["phantoms"]}, "data_hash": learned}
    folder = put_checkpoint(tmp_path / "c", nets[0], **changes)
    card = export([folder], both, tmp_path / "made", Identity(name="x"), options=Options(decoys=1))
    assert list(card.metrics["sources"]) == card.training["sources"] == ["phantoms"]


def strings(content: bytes) -> Sequence[bytes]:
    return re.findall(rb"[ -~]{12,}", content)


def test_no_path_of_this_machine_is_in_the_file(proven):
    assert not [text for text in strings(proven.content) if text.count(b"/") > 1]

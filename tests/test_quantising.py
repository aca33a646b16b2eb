"""Convolutions in 8 bits: which, how exactly, and what becomes of the bundle that holds them."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

from bundles import tiny_bundle
from ladnn import eight_bits, engines, quantising, updating
from ladnn.bundle import load_bundle
from ladnn.calibration import probability
from ladnn.cli import app
from ladnn.conversion import open_engine, to_onnx
from ladnn.dataset import Manifest, Record, hash_records, write_manifest
from ladnn.eight_bits import EightBits, to_eight_bits
from ladnn.errors import BundleError, RegistryError
from ladnn.export import Identity, Options, export
from ladnn.graph import BundleGraph
from ladnn.imaging import read_image
from ladnn.judging import Difference
from ladnn.model import LesionNet
from ladnn.quantising import quantise
from ladnn.runtime import Predictor
from ladnn.stored import EIGHT_BITS, Stored
from ladnn.updating import UpdateConfig
from networks import drawn, network, phantoms, put_checkpoint

SIDE = 64


def unwatched(name: str, total: int):
    return lambda: None


def as_onnx(net: LesionNet, stored: Stored = Stored.FLOAT32) -> bytes:
    return to_onnx(BundleGraph([net], stored=stored), (SIDE, SIDE))


@pytest.fixture(scope="module")
def net() -> LesionNet:
    return network("resnet18", size=SIDE, last_norms=0.02)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return phantoms(12, SIDE)


@pytest.fixture(scope="module")
def exact(net) -> bytes:
    return as_onnx(net)


@pytest.fixture(scope="module")
def made(exact, frames) -> EightBits:
    return to_eight_bits(exact, frames, unwatched)


def parts(content: bytes, kind: str) -> list[onnx.NodeProto]:
    return [
        node for node in onnx.load_model_from_string(content).graph.node if node.op_type == kind
    ]


def chances(content: bytes, frames: np.ndarray, name: str = "openvino") -> np.ndarray:
    return probability(engines.run(open_engine(name, content), frames).logits)


def test_every_convolution_of_a_resnet_but_the_first_can_be_in_8_bits(made, exact):
    assert len(made.converted) + len(made.kept) == len(parts(exact, "Conv")) - 1
    assert len(made.converted) > 10
    read = [node for node in parts(made.content, "Conv") if node.input[0].endswith(".rounded")]
    assert {node.input[1].removesuffix(".rounded") for node in read} == {*made.converted}


def test_they_say_nearly_what_float32_says(made, exact, frames):
    moved = np.abs(chances(made.content, frames) - chances(exact, frames)).max()
    assert 1e-4 < moved < 0.03  # what is rounded is heard at all, and little


def test_both_runtimes_say_the_same(made, frames):
    apart = chances(made.content, frames) - chances(made.content, frames, "onnxruntime")
    assert np.abs(apart).max() < 0.01


def test_the_graph_says_what_the_standard_says_of_its_operators(made, frames):
    model = onnx.load_model_from_string(made.content)
    model.opset_import[0].version = 21  # the evaluator has these operators from there, the same
    standard = ReferenceEvaluator(model)
    logits = standard.run(["logits"], {"image": frames[:1]})[0]
    assert probability(logits) == pytest.approx(chances(made.content, frames[:1]), abs=0.01)


def test_the_file_holds_whole_steps_and_none_of_the_kernels_they_stand_for(made, exact):
    tensors = onnx.load_model_from_string(made.content).graph.initializer
    whole = [tensor for tensor in tensors if tensor.name.endswith(".weight.whole")]
    assert {tensor.data_type for tensor in whole} == {onnx.TensorProto.INT8}
    assert len(whole) == len(made.converted)
    assert len(made.content) < 0.35 * len(exact)


def test_of_the_examples_only_the_largest_activations_are_clipped(made, exact, frames):
    model = onnx.load_model_from_string(made.content)
    steps = {
        t.name: float(onnx.numpy_helper.to_array(t))
        for t in model.graph.initializer
        if t.name.endswith(".step") and not t.dims
    }
    assert len(steps) > 10
    names = [name.removesuffix(".step") for name in steps]
    for values in eight_bits._activations(exact, names, frames[:3]):
        for name, value in values.items():
            share = np.mean(value > steps[f"{name}.step"] * eight_bits.LEVELS * 1.0001)
            assert share < 1e-3


@pytest.mark.parametrize(
    "stored", [pytest.param(Stored.FLOAT16, marks=pytest.mark.soak), Stored.INT8]
)
def test_weights_that_are_stored_in_few_bytes_are_found(net, frames, made, stored):
    found = to_eight_bits(as_onnx(net, stored), frames[:2], unwatched)
    assert len(found.converted) + len(found.kept) == len(made.converted) + len(made.kept)
    assert len(found.content) < len(made.content)


def test_those_that_move_an_answer_too_much_stay_float32(exact, frames, monkeypatch):
    monkeypatch.setattr(eight_bits, "SENSITIVE", 1e-9)
    with pytest.raises(BundleError, match=r"too sensitive.*as it is"):
        to_eight_bits(exact, frames[:2], unwatched)


def test_a_network_without_plain_relu_is_refused(exact, frames):
    model = onnx.load_model_from_string(exact)
    for node in model.graph.node:
        node.op_type = "Sigmoid" if node.op_type == "Relu" else node.op_type
    with pytest.raises(BundleError, match=r"ReLU.*as it is"):
        to_eight_bits(model.SerializeToString(), frames[:1], unwatched)


# ------------------------------------------------------------------ bundles


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    return drawn(tmp_path_factory.mktemp("images"), 18, splits=("train", "val", "test"))


@pytest.fixture(scope="module")
def bundle(net, manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    learned = [record for record in manifest if record.split != "test"]
    put_checkpoint(folder / "run", net, data_hash=hash_records(learned), config={})
    export(
        [folder / "run"],
        manifest,
        folder / "made",
        Identity(name="drawn", version="4"),
        options=Options(decoys=1, precision="float32"),
    )
    return load_bundle(folder / "made")


@pytest.fixture(scope="module")
def quick(bundle, manifest, tmp_path_factory):
    """Made where no image of the test split is there to be read."""
    folder = tmp_path_factory.mktemp("quick")
    left = tuple(replace(r, path=folder / "gone.png") if r.split == "test" else r for r in manifest)
    quantise(bundle, Manifest(records=left, labels="drawn"), folder / "made", version="5")
    return load_bundle(folder / "made")


def test_the_bundle_keeps_its_name_and_what_it_is_made_of(quick, bundle):
    same = ("name", "members", "combination", "data_hash", "licence", "intended_use", "guard")
    assert all(getattr(quick.card, key) == getattr(bundle.card, key) for key in same)
    assert (quick.card.version, quick.card.precision) == ("5", "float32")
    assert quick.card.training["sources"] == ["phantoms"]


def test_its_card_says_what_changed(quick):
    said = quick.card.training[EIGHT_BITS]
    assert said["convolutions"] > 10
    assert said["validation"]["images"] == 6
    assert 0 < said["validation"]["probability_largest"] <= quantising.MOST_MOVED
    assert {*said["validation"]["decisions_changed"]} == {*quick.card.operating_points}
    assert said["validation"]["refusals_changed"] == 0
    assert said["runtimes"]["probability"] <= quantising.MOST_APART


def test_its_metrics_are_of_its_own_answers_on_validation(quick):
    assert quick.card.metrics["split"] == "val"
    assert set(quick.card.metrics["sources"]) == {"phantoms"}


def test_it_predicts_in_both_runtimes(quick, manifest):
    image = read_image(manifest.records[0].path)
    one, other = (
        Predictor(quick, engine=name).predict([image])[0].prediction.probability
        for name in engines.ENGINES
    )
    assert one == pytest.approx(other, abs=0.01)


def test_a_manifest_that_is_not_of_the_training_is_refused(bundle, manifest, tmp_path):
    other = Manifest(records=manifest.records[1:], labels="drawn")
    with pytest.raises(BundleError, match="nothing shows that drawn 4 was trained on this"):
        quantise(bundle, other, tmp_path / "made", version="5")
    assert not (tmp_path / "made").exists()


def test_a_version_that_no_registry_takes_is_refused(bundle, manifest, tmp_path):
    with pytest.raises(RegistryError, match="use letters"):
        quantise(bundle, manifest, tmp_path / "made", version="five times")


def test_a_graph_that_says_something_else_is_not_written(
    made, bundle, manifest, tmp_path, monkeypatch
):
    monkeypatch.setattr(quantising, "to_eight_bits", lambda *_: made)
    monkeypatch.setattr(quantising, "MOST_APART", -1.0)
    with pytest.raises(BundleError, match="disagree"):
        quantise(bundle, manifest, tmp_path / "made", version="5")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("covid", [0.0, 0.051])
def test_lesions_are_held_to_the_bar_of_covid_19(made, monkeypatch, covid: float):
    moved = Difference(covid=np.full(6, covid), largest=0.051, decisions={})
    monkeypatch.setattr(quantising, "difference", lambda judged, fitted: moved)
    found = SimpleNamespace(judged=None, fitted=None)
    with pytest.raises(BundleError, match=r"is 0\.051 from what float32 says"):
        quantising._record(made, found, {})


def test_examples_are_spread_over_all_of_a_source():
    one = Record(path=Path("a.png"), source="s", patient="p", covid=True, split="train")
    many = Manifest(records=tuple(replace(one, patient=str(n)) for n in range(119)), labels="drawn")
    chosen = [int(record.patient) for record in quantising._spaced(many, "s")]
    assert len(chosen) == quantising.EXAMPLES
    assert (chosen[0], chosen[-1]) == (0, 118)
    assert {later - former for former, later in pairwise(chosen)} <= {1, 2}


def test_one_runtime_alone_agrees_with_nobody(made, frames, monkeypatch):
    monkeypatch.setattr(quantising, "installed_engines", lambda: ["openvino"])
    assert quantising._apart(made.content, frames) == {}


def test_a_bundle_that_is_in_8_bits_is_not_put_there_again(quick, manifest, tmp_path):
    with pytest.raises(BundleError, match="as it is"):
        quantise(quick, manifest, tmp_path / "made", version="6")


def test_the_command_says_what_changed(quick, bundle, manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(quantising, "quantise", lambda *given, **more: quick.card)
    write_manifest(manifest, tmp_path / "m.csv")
    given = (bundle.path, "--manifest", tmp_path / "m.csv", "-o", tmp_path / "x", "--version", "5")
    said, read = (
        CliRunner().invoke(app, ["quantise", *map(str, given), *more]) for more in ([], ["--json"])
    )
    assert said.exit_code == 0
    assert "convolutions in 8 bits" in said.stdout
    assert "of 6 validation images" in said.stdout
    assert json.loads(read.stdout)["version"] == "5"


def test_the_command_says_that_one_runtime_was_compared_with_none(
    quick, bundle, manifest, tmp_path, monkeypatch
):
    said = {**quick.card.training[EIGHT_BITS], "runtimes": {}}
    alone = replace(quick.card, training={**quick.card.training, EIGHT_BITS: said})
    monkeypatch.setattr(quantising, "quantise", lambda *given, **more: alone)
    write_manifest(manifest, tmp_path / "m.csv")
    given = (bundle.path, "--manifest", tmp_path / "m.csv", "-o", tmp_path / "x", "--version", "5")
    done = CliRunner().invoke(app, ["quantise", *map(str, given)])
    assert done.exit_code == 0
    assert "one runtime is installed" in done.stdout
    assert "agree" not in done.stdout


def challenger(folder: Path, manifest, old):
    return updating._challenger(
        [],
        manifest,
        folder / "update",
        Identity(name="tiny", version="1.1"),
        old=old,
        config=UpdateConfig(),
        stage=unwatched,
    )


def test_a_challenger_that_bears_no_8_bits_is_judged_in_float32(
    tmp_path: Path, manifest, monkeypatch
):
    def refused(*_: object, **__: object) -> None:
        raise BundleError("no convolution bears it")

    def export_(runs, whole, target, identity, **more):
        tiny_bundle(target.parent / "work").rename(target)

    monkeypatch.setattr(updating, "export", export_)
    monkeypatch.setattr(updating, "quantise", refused)
    old = load_bundle(tiny_bundle(tmp_path, training={EIGHT_BITS: {"convolutions": 1}})).card
    found, exact = challenger(tmp_path, manifest, old)
    assert found.path == tmp_path / "update" / "float32"
    assert exact == "in float32, as 8 bits were refused (no convolution bears it)"


@pytest.mark.parametrize("quick_champion", [True, False])
def test_a_challenger_is_in_8_bits_if_its_champion_is(
    tmp_path: Path, manifest, monkeypatch, quick_champion
):
    done = []

    def export_(runs, whole, target, identity, **more):
        done.append(("export", target.name))
        tiny_bundle(target.parent / "work").rename(target)

    def quantise_(bundle, whole, target, **more):
        done.append(("quantise", bundle.path.name))
        tiny_bundle(target.parent / "more", version=more["version"]).rename(target)

    monkeypatch.setattr(updating, "export", export_)
    monkeypatch.setattr(updating, "quantise", quantise_)
    training = {EIGHT_BITS: {"convolutions": 1}} if quick_champion else {}
    old = load_bundle(tiny_bundle(tmp_path, training=training)).card
    found, exact = challenger(tmp_path, manifest, old)
    assert (found.path, exact) == (tmp_path / "update" / "bundle", "")
    expected = [("export", "float32"), ("quantise", "float32")]
    assert done == (expected if quick_champion else [("export", "bundle")])

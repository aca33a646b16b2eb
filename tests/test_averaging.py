"""What is kept of a network in training: averaged, anchored to where it started, settled."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from numpy.testing import assert_allclose

from ladnn.averaging import anchored, backbone_state, follow, settle
from ladnn.model import LesionNet, predict_logits, to_input


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (70, 32, 32), dtype=np.uint8)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return LesionNet("efficientnet_lite0", "ladnn", weights="random", input_size=32).eval()


@pytest.fixture
def trained(net):
    """The same network after weights and statistics have moved."""
    new = copy.deepcopy(net)
    with torch.no_grad():
        for value in new.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value))
    return new


def test_the_average_follows_a_step_at_a_time(net, trained):
    average = copy.deepcopy(net)
    follow(average, trained, 0.75)
    key = "backbone.conv_stem.weight"
    before, after = net.state_dict()[key], trained.state_dict()[key]
    assert_allclose(average.state_dict()[key], 0.75 * before + 0.25 * after, atol=1e-6)
    follow(average, trained, 0.0)
    assert torch.equal(average.state_dict()[key], after)


def test_an_anchored_backbone_is_part_of_the_way_back_and_its_head_is_not(net, trained):
    new = anchored(trained, backbone_state(net), 0.25).state_dict()
    one, two = net.state_dict(), trained.state_dict()
    for key, value in new.items():
        back = 0.25 if key.startswith("backbone.") and value.is_floating_point() else 0.0
        assert_allclose(value, (1 - back) * two[key] + back * one[key], atol=1e-6)


def test_the_origin_does_not_move_with_the_network(net):
    origin = backbone_state(net)
    with torch.no_grad():
        net.backbone.conv_stem.weight.zero_()
    assert origin["conv_stem.weight"].abs().sum() > 0


def test_settled_statistics_are_those_of_the_images(net, images):
    seen = []
    net.backbone.bn1.register_forward_hook(lambda _norm, given, _out: seen.append(given[0]))
    with torch.inference_mode():
        net(to_input(images[:32])), net(to_input(images[32:64]))
    batches = [features.double().numpy() for features in seen]
    settle(net, images)  # 70 images: two whole batches and six that are left out
    assert_allclose(
        net.backbone.bn1.running_mean,
        np.mean([features.mean((0, 2, 3)) for features in batches], axis=0),
        atol=1e-5,
    )
    assert_allclose(
        net.backbone.bn1.running_var,
        np.mean([features.var((0, 2, 3), ddof=1) for features in batches], axis=0),
        rtol=1e-4,
    )


def test_settling_twice_is_settling_once_and_moves_nothing_else(net, images):
    weights = {key: value.clone() for key, value in net.named_parameters()}
    momentum = net.backbone.bn1.momentum
    settle(net, images)
    once = predict_logits(net, images)
    settle(net, images)
    assert_allclose(predict_logits(net, images), once, atol=1e-5)
    assert all(torch.equal(weights[key], value) for key, value in net.named_parameters())
    assert net.backbone.bn1.momentum == momentum
    assert not any(module.training for module in net.modules())

"""The two branches, what they start from, and the joint loss."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ladnn.errors import ConfigError, WeightsError
from ladnn.model import LESION_TARGETS, LesionNet, joint_loss, load_weights

SIZE = 32


@pytest.fixture(scope="module")
def net() -> LesionNet:
    torch.manual_seed(0)
    return LesionNet("resnet18", input_size=SIZE).eval()


@pytest.mark.parametrize(("mode", "outputs"), [("ladnn", 6), ("baseline", 1)])
def test_a_network_gives_the_logits_of_its_mode(mode, outputs):
    network = LesionNet("resnet18", mode, input_size=SIZE)
    assert network(torch.rand(2, 1, SIZE, SIZE)).shape == (2, outputs)


def test_a_grey_image_and_its_three_copies_give_the_same_logits(net):
    grey = torch.rand(2, 1, SIZE, SIZE)
    assert torch.allclose(net(grey), net(grey.repeat(1, 3, 1, 1)), atol=1e-5)


def test_the_normalisation_is_that_of_the_backbone(net):
    white = net.normalise(torch.ones(1, 1, 2, 2))[0, :, 0, 0]
    expected = [(1 - m) / s for m, s in zip(net.mean, net.std, strict=True)]
    assert white.tolist() == pytest.approx(expected)


def test_backbone_and_head_parameters_are_all_and_do_not_overlap(net):
    backbone, head = set(net.backbone_parameters()), set(net.head_parameters())
    assert backbone | head == set(net.parameters())
    assert not backbone & head


def test_the_momentum_of_every_batch_norm_can_be_set():
    network = LesionNet("resnet18", bn_momentum=0.03)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {module.momentum for module in norms} == {0.03}


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match="choose one of ladnn, baseline"):
        LesionNet("resnet18", "both")


def test_vgg16_refuses_another_input_size_than_its_hidden_layers_take():
    with pytest.raises(ConfigError, match="224 pixels wide and not 256"):
        LesionNet("vgg16", input_size=256)


def test_a_checkpoint_of_ours_gives_back_the_same_network(net, tmp_path):
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    other = LesionNet("resnet18", input_size=SIZE)
    load_weights(other, tmp_path)
    image = torch.rand(1, 1, SIZE, SIZE)
    assert torch.equal(other.eval()(image), net(image))


def test_a_checkpoint_of_the_other_mode_is_refused_by_the_shape_of_its_branches(net, tmp_path):
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"branches of shape \[6, 512\] and not \[1, 512\]"):
        load_weights(LesionNet("resnet18", "baseline"), tmp_path)


def test_a_checkpoint_as_start_of_the_other_mode_gives_the_branch_both_have(net, tmp_path):
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    other = LesionNet("resnet18", "baseline", weights=tmp_path)
    assert torch.equal(other.head.weight, net.head.weight[:1])
    assert torch.equal(other.backbone.conv1.weight, net.backbone.conv1.weight)


# ------------------------------------------------------------------ the joint loss

LOG2 = math.log(2)
UNSURE = torch.zeros(1, 6)
ONE = torch.ones(1)


def lesions(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def test_the_covid_term_weighs_five_of_six_where_there_is_no_lesion():
    loss = joint_loss(UNSURE, ONE, lesions(0, 0, 0, 0, 0))
    assert loss.item() == pytest.approx(5 * LOG2 / 6)


def test_all_lesion_terms_count_where_one_lesion_is_present():
    loss = joint_loss(UNSURE, ONE, lesions(1, 0, 0, 0, 0))
    assert loss.item() == pytest.approx((5 + 5) * LOG2 / 6)


def test_an_unknown_lesion_never_counts():
    loss = joint_loss(UNSURE, ONE, lesions(1, math.nan, 0, 0, math.nan))
    assert loss.item() == pytest.approx((5 + 3) * LOG2 / 6)


def test_an_unknown_lesion_leaves_finite_gradients():
    logits = torch.zeros(1, 6, requires_grad=True)
    joint_loss(logits, ONE, lesions(1, *[math.nan] * 4)).backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[0, 2:] == 0).all()


def test_a_baseline_has_the_covid_term_alone():
    loss = joint_loss(torch.zeros(1, 1), ONE, lesions(1, 0, 0, 0, 0), primary_weight=1)
    assert loss.item() == pytest.approx(LOG2)


def test_the_loss_is_the_mean_over_images():
    logits, covid = torch.randn(4, 6), torch.tensor([1.0, 0.0, 1.0, 0.0])
    labels = torch.tensor([[1.0, 0, 0, 1, 0], [0.0] * 5, [math.nan] * 5, [0.0] * 5])
    each = [joint_loss(logits[i : i + 1], covid[i : i + 1], labels[i : i + 1]) for i in range(4)]
    assert joint_loss(logits, covid, labels).item() == pytest.approx(sum(each).item() / 4)


def test_all_targets_count_an_unknown_lesion_as_absent_in_every_image():
    unknown = lesions(*[math.nan] * 5)
    loss = joint_loss(UNSURE, torch.zeros(1), unknown, targets="all")
    assert loss.item() == pytest.approx((5 + 5) * LOG2 / 6)
    sure = torch.tensor([[0.0, 9.0, 9.0, 9.0, 9.0, 9.0]])
    assert joint_loss(sure, torch.zeros(1), unknown, targets="all") > loss


def test_an_untrained_lesion_neither_counts_nor_makes_its_image_count():
    left_out = ("AirBr", "InSepThi")
    both = joint_loss(UNSURE, ONE, lesions(1, 0, 0, 1, 0), untrained=left_out)
    assert both.item() == pytest.approx((5 + 3) * LOG2 / 6)
    alone = joint_loss(UNSURE, ONE, lesions(0, 0, 0, 1, 0), untrained=left_out)
    assert alone.item() == pytest.approx(5 * LOG2 / 6)


def test_an_untrained_lesion_has_no_gradient_whatever_the_targets():
    for targets in LESION_TARGETS:
        logits = torch.zeros(1, 6, requires_grad=True)
        labels = lesions(1, 0, 0, 1, 0)
        joint_loss(logits, ONE, labels, targets=targets, untrained=("AirBr",)).backward()
        assert logits.grad[0, 4] == 0
        assert (logits.grad[0, [0, 1, 2, 3, 5]] != 0).all()

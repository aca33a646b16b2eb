"""The measured channel: what counts as ground glass, and that the graph measures it too."""

import pytest
import torch

from ladnn.errors import ConfigError
from ladnn.graph import BundleGraph
from ladnn.haze import GREY, TYPICAL, Haze, _local_mean
from ladnn.learner import TrainConfig
from ladnn.lungfield import LUNG_LEVEL, TISSUE_LEVEL
from ladnn.model import LesionNet

SIZE = 192


def measured(patch: torch.Tensor, rows: slice) -> float:
    """Share of a frame of aerated lung that counts as haze once a patch is laid into it."""
    frame = torch.full((1, 1, SIZE, SIZE), LUNG_LEVEL)
    frame[..., rows, 60:120] = patch
    return float(Haze().eval()(frame / GREY, (6, 6)).mean()) + TYPICAL


CLEAR = measured(torch.tensor(LUNG_LEVEL), slice(0, 1))
LOW, HIGH = slice(120, 180), slice(10, 70)


def test_smooth_tissue_between_lung_and_soft_tissue_counts():
    assert measured(torch.tensor(130.0), LOW) > CLEAR + 0.05


def test_aerated_lung_does_not_count():
    assert CLEAR < 0.01


@pytest.mark.parametrize("grey", [LUNG_LEVEL + 20, TISSUE_LEVEL])
def test_tissue_outside_the_band_does_not_count(grey: float):
    assert measured(torch.tensor(grey), LOW) < CLEAR + 0.02


def test_a_fine_pattern_of_vessels_does_not_count():
    stripes = torch.where(torch.arange(60) % 4 < 2, LUNG_LEVEL, TISSUE_LEVEL)
    assert measured(stripes, LOW) < CLEAR + 0.01


def test_haze_counts_where_it_lies_low():
    assert measured(torch.tensor(130.0), HIGH) < CLEAR + 0.01


def test_the_channel_has_the_grid_of_the_activations_and_is_a_share():
    channel = Haze().eval()(torch.rand(2, 1, 160, 160), (5, 5)) + TYPICAL
    assert channel.shape == (2, 1, 5, 5)
    assert 0 <= float(channel.min()) <= float(channel.max()) <= 1


def test_the_local_mean_is_that_of_the_square_about_a_pixel_as_far_as_it_lies_inside():
    plane = torch.rand(1, 1, 9, 12)
    means = _local_mean(plane, 5)
    assert means.shape == plane.shape
    for row, column in ((0, 0), (4, 6), (8, 11), (1, 10)):
        square = plane[..., max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
        assert float(means[0, 0, row, column]) == pytest.approx(float(square.mean()), abs=1e-6)


def test_training_does_not_see_the_channel():
    assert not Haze().train()(torch.rand(2, 1, 160, 160), (5, 5)).any()


def test_the_graph_says_what_a_network_with_the_channel_says():
    net = LesionNet("resnet18", input_size=64, haze=True).eval()
    image = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8)
    logits, maps, embedding = BundleGraph([net])(image)
    assert torch.allclose(logits, net(image[:, None] / GREY), atol=1e-4)
    assert (maps.shape[1], embedding.shape[1]) == (6, 513)


def test_of_a_pair_the_network_sees_the_first_square_and_haze_is_measured_in_the_last():
    net = LesionNet("resnet18", input_size=64, haze=True).eval()
    box, lungs = torch.rand(2, 2, 1, 64, 64)
    pair = torch.cat([box, lungs], dim=2)
    features = net.features(pair)
    assert torch.equal(features[:, :-1], net.features(box)[:, :-1])
    assert torch.equal(features[:, -1:], net.features(lungs)[:, -1:])
    logits, _, embedding = BundleGraph([net], flip=True)((pair[:, 0] * GREY).to(torch.uint8))
    assert (logits.shape, embedding.shape) == ((2, 6), (2, 513))


def test_haze_needs_fixed_grey_levels():
    with pytest.raises(ConfigError, match="which lungbox-1 has not: set frame to lungs-2 or"):
        TrainConfig(haze=True, frame="lungbox-1")


def test_a_network_with_hidden_layers_takes_no_channel():
    with pytest.raises(ConfigError, match="set haze to false"):
        LesionNet("vgg16", haze=True)

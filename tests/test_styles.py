"""An image's style is taken from another while a network trains, what varies around it is kept."""

import numpy as np
import torch

from ladnn.batches import Example
from ladnn.learner import Learner, TrainConfig
from ladnn.styles import mix_styles, mix_while_training


def features():
    torch.manual_seed(0)
    level = torch.tensor([1.0, 5.0, -3.0, 20.0])[:, None, None, None]
    return torch.randn(4, 6, 7, 7) * (1 + level.abs()) + level


def bare(x):
    return (x - x.mean((2, 3), keepdim=True)) / x.var((2, 3), keepdim=True).sqrt()


def test_what_varies_around_the_style_stays():
    given = features()
    torch.testing.assert_close(bare(mix_styles(given)), bare(given), rtol=1e-4, atol=1e-4)


def test_a_style_comes_from_between_two_of_the_batch():
    given, found = features(), []
    for _ in range(20):
        mixed = mix_styles(given).mean((2, 3))
        found.append(mixed)
        low, high = given.mean((2, 3)).amin(0), given.mean((2, 3)).amax(0)
        assert ((mixed >= low - 1e-3) & (mixed <= high + 1e-3)).all()
    changed = (torch.stack(found) - given.mean((2, 3))).abs().amax((1, 2)) > 1e-2
    assert changed.any()


def test_one_image_alone_keeps_its_style():
    given = features()[:1]
    torch.testing.assert_close(mix_styles(given), given, rtol=1e-4, atol=1e-4)


def test_styles_are_mixed_while_the_network_trains_and_never_when_it_answers():
    stage = torch.nn.Identity()
    net, given = torch.nn.Sequential(stage), features()
    mix_while_training(net, [stage, torch.nn.Identity()], share=1.0)
    torch.manual_seed(0)
    assert not torch.equal(net.train()(given), given)
    assert torch.equal(net.eval()(given), given)


def test_the_share_is_that_of_batches():
    stage = torch.nn.Identity()
    net, given = torch.nn.Sequential(stage), features()
    mix_while_training(net, [stage, torch.nn.Identity()], share=0.3)
    torch.manual_seed(0)
    mixed = sum(not torch.equal(net(given), given) for _ in range(400))
    assert 80 < mixed < 160


def test_the_average_that_is_kept_mixes_nothing():
    config = TrainConfig(weights="random", input_size=32, batch_size=2, style_mix=1.0, threads=1)
    blank = Example(planes=(), covid=1.0, lesions=np.zeros(5), source="drawn")
    learner, images = Learner(config, [blank, blank], []), torch.rand(2, 1, 32, 32)
    torch.manual_seed(0)
    assert torch.equal(learner.average.train()(images), learner.average(images))
    assert not torch.equal(learner.net.train()(images), learner.net(images))

"""Configurations: what is read, what is overridden, what is refused."""

import re
from dataclasses import asdict, fields, is_dataclass, replace
from operator import attrgetter
from pathlib import Path

import pytest

from ladnn.augmentation import Augmentation
from ladnn.benchmark.grid import read_grid
from ladnn.config import merge, read_config, read_toml
from ladnn.errors import ConfigError
from ladnn.learner import TrainConfig
from ladnn.ranges import TRAINING
from ladnn.updating import UpdateConfig

CONF = Path(__file__).parents[1] / "conf"


@pytest.mark.parametrize("path", sorted(CONF.glob("*.toml")), ids=lambda path: path.stem)
def test_every_configuration_that_ships_is_valid(path):
    if "recipe" in read_toml(path):
        assert read_grid(path)[1]
    else:
        kind = UpdateConfig if path.stem == "update" else TrainConfig
        assert isinstance(read_config(path, [], kind), kind)


def test_the_authors_recipe_is_theirs():
    found = read_config(CONF / "paper.toml", [], TrainConfig)
    how = found.augmentation
    assert (found.frame, found.input_size, found.epochs, found.batch_size) == (
        "whole-1",
        224,
        15,
        32,
    )
    assert (found.optimiser, found.learning_rate, found.weight_decay) == ("adam", 5e-5, 5e-4)
    assert (found.head_rate, found.schedule, found.frozen_stages) == (1.0, "constant", 0)
    assert (found.primary_weight, found.lesion_targets) == (5.0, "labelled")
    assert found.select == "loss"
    assert (how.shear, how.zoom, how.flip) == (0.2, 0.2, 0.5)  # a scale of .8 to 1.2
    others = replace(how, shear=0.0, zoom=0.0, flip=0.0)
    assert others == Augmentation(**dict.fromkeys(asdict(how), 0.0))


@pytest.mark.parametrize("grid", ["table2", "backbones"])
def test_the_grids_of_the_paper_augment_as_the_authors(grid):
    authors = read_config(CONF / "paper.toml", [], TrainConfig).augmentation
    assert {run.config.augmentation for run in read_grid(CONF / f"{grid}.toml")[1]} == {authors}


def test_changes_are_merged_section_by_section():
    old = {"epochs": 3, "augmentation": {"flip": 0.5, "jpeg": 0.1}}
    new = merge(old, {"augmentation": {"flip": 0.0}})
    assert new == {"epochs": 3, "augmentation": {"flip": 0.0, "jpeg": 0.1}}
    assert old["augmentation"]["flip"] == 0.5


def test_an_override_wins_over_the_file(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("epochs = 3\n[augmentation]\nflip = 0.1\n")
    config = read_config(path, ["epochs=7", "augmentation.flip=0.2"], TrainConfig)
    assert (config.epochs, config.augmentation.flip) == (7, 0.2)


def test_a_bare_word_is_text():
    assert read_config(None, ["backbone=resnet18"], TrainConfig).backbone == "resnet18"


def test_a_whole_number_serves_as_a_number():
    assert read_config(None, ["learning_rate=1"], TrainConfig).learning_rate == 1.0


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("epoch=3", "no setting 'epoch'"),
        ("augmentation.flips=1", "no setting 'flips'"),
        ("epochs=many", "expected a whole number"),
        ("epochs=true", "expected a whole number"),
        ("epochs", "key=value"),
        ("epochs=0", "at least 1"),
        ("backbone=resnet19", "choose one of"),
        ("augmentation=3", "section"),
        ("epochs.x=3", "section"),
        ("sources=covid-ct", "expected a list"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(tmp_path, setting, part):
    path = tmp_path / "a.toml"
    path.write_text("epochs = 3\n")
    with pytest.raises(ConfigError, match=part) as caught:
        read_config(path, [setting], TrainConfig)
    assert "\n" not in str(caught.value)


def test_a_setting_of_the_command_line_is_not_laid_to_the_file_alone(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("epochs = 3\n")
    with pytest.raises(ConfigError, match=rf"'epoch' in {re.escape(str(path))} or --set:"):
        read_config(path, ["epoch=3"], TrainConfig)


def numbers(kind, prefix=""):
    """The name of every number that can be set, those of the sections too."""
    for item in fields(kind):
        if is_dataclass(item.default_factory):
            yield from numbers(item.default_factory, f"{item.name}.")
        elif item.type in (int, float):
            yield prefix + item.name


def test_every_number_has_a_range():
    assert set(TRAINING) == set(numbers(TrainConfig))


def outside():
    """Each number with values that it must not have."""
    for name in TRAINING:
        whole = isinstance(attrgetter(name)(TrainConfig()), int)
        yield from ((name, value) for value in (["-1"] if whole else ["-1", "nan", "inf"]))


@pytest.mark.parametrize(("name", "value"), [*outside()])
def test_a_number_outside_of_its_range_is_named_with_it(name, value):
    with pytest.raises(ConfigError, match=rf"^{re.escape(name)} is .*: give {TRAINING[name]}$"):
        read_config(None, [f"{name}={value}"], TrainConfig)


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("learning_rate=0", "more than 0 and at most 1"),
        ("input_size=16", "0, or 32 to 4096"),
        ("smoothing=1.0", "0 to less than 1"),
        ("augmentation.flip=1.5", "0 to 1"),
        ("batch_size=1", "at least 2"),
        ("seed=4294967296", "0 to 4294967295"),
    ],
)
def test_what_a_number_may_be_is_said_in_words(setting, allowed):
    name, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=f"^{name} is {value}.*: give {allowed}$"):
        read_config(None, [setting], TrainConfig)


def test_an_epoch_without_a_batch_is_refused():
    with pytest.raises(ConfigError, match="an epoch has no batch"):
        read_config(None, ["sampler.images=8"], TrainConfig)


@pytest.mark.parametrize("content", [b"epochs = ", b"\xff\xfe\x00", b"= 3"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_config(path, [], TrainConfig)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        read_config(tmp_path / "nowhere.toml", [], TrainConfig)

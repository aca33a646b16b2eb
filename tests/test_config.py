"""Configurations: what is read, what is overridden, what is refused."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ladnn.augmentation import Augmentation
from ladnn.benchmark.grid import read_grid
from ladnn.config import merge, read_config, read_toml
from ladnn.errors import ConfigError
from ladnn.learner import TrainConfig
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


@pytest.mark.parametrize("content", [b"epochs = ", b"\xff\xfe\x00", b"= 3"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_config(path, [], TrainConfig)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        read_config(tmp_path / "nowhere.toml", [], TrainConfig)

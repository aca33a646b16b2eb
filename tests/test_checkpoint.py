"""A checkpoint comes back as it was written, and says in words what it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ladnn.checkpoint import (
    Checkpoint,
    learned_part,
    read_checkpoint,
    read_description,
    weights_sha256,
    write_checkpoint,
)
from ladnn.dataset import Manifest, Record
from ladnn.errors import DataError, WeightsError
from ladnn.model import LesionNet

SIZE = 32
ABOUT = Checkpoint(
    backbone="resnet18",
    mode="ladnn",
    input_size=SIZE,
    epoch=4,
    seed=7,
    data_hash="ab",
    config={"epochs": 9},
    validation={"auc": 0.9},
)


def described(*sources):
    return replace(ABOUT, config={"sources": list(sources)})


@pytest.mark.parametrize(
    ("descriptions", "names"),
    [
        ([described("a")], ["a"]),
        ([described("a"), described("b")], ["a", "b"]),
        ([described("a"), described()], ["a", "b", "c"]),
        ([ABOUT], ["a", "b", "c"]),
    ],
)
def test_what_checkpoints_learned_from_are_the_sources_of_all_of_them(descriptions, names):
    records = [
        Record(
            path=Path(f"{source}-{split}.png"),
            source=source,
            patient=source,
            covid=True,
            split=split,
        )
        for source in ("a", "b", "c")
        for split in ("train", "val", "test")
    ]
    part = learned_part(Manifest(records=tuple(records)), descriptions)
    assert [(r.source, r.split) for r in part] == [(n, s) for n in names for s in ("train", "val")]


@pytest.fixture(scope="module")
def net() -> LesionNet:
    torch.manual_seed(0)
    return LesionNet("resnet18", input_size=SIZE).eval()


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    write_checkpoint(folder, net, ABOUT)
    return folder


def test_what_was_written_comes_back(net, folder):
    description, other = read_checkpoint(folder)
    image = torch.rand(1, 1, SIZE, SIZE)
    assert description == ABOUT
    assert not other.training
    assert torch.equal(other(image), net(image))


def test_a_person_can_read_what_it_is(folder):
    assert json.loads((folder / "checkpoint.json").read_text())["validation"] == {"auc": 0.9}


def test_no_partial_file_is_left(folder):
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "checkpoint.json"}


def test_the_hash_is_that_of_the_weights_file(folder):
    assert len(weights_sha256(folder)) == 64


def test_a_folder_without_a_description_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"is no checkpoint .*: No such file .*ladnn train"):
        read_description(tmp_path)


def test_a_damaged_description_is_refused_in_plain_words(tmp_path):
    (tmp_path / "checkpoint.json").write_text("{")
    with pytest.raises(WeightsError, match=r"cannot be read: it is not what training writes\)"):
        read_description(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backbone", ["resnet18"]),
        ("mode", {}),
        ("frame", None),
        ("haze", "no"),
        ("input_size", "32"),
        ("input_size", 0),
        ("epoch", True),
        ("config", None),
        ("validation", []),
    ],
)
def test_a_description_with_a_value_of_a_wrong_kind_is_refused(name, value, folder, tmp_path):
    described = json.loads((folder / "checkpoint.json").read_text()) | {name: value}
    (tmp_path / "checkpoint.json").write_text(json.dumps(described))
    with pytest.raises(WeightsError, match="it is not what training writes"):
        read_description(tmp_path)


def test_a_frame_that_is_not_known_is_refused_before_anything_is_made_of_it(folder, tmp_path):
    described = json.loads((folder / "checkpoint.json").read_text()) | {"frame": "lungs-9"}
    (tmp_path / "checkpoint.json").write_text(json.dumps(described))
    with pytest.raises(WeightsError, match=r"frame 'lungs-9' .* expected one of lungs-2"):
        read_description(tmp_path)


def test_new_weights_never_lie_beside_the_description_of_older_ones(net, tmp_path, monkeypatch):
    write_checkpoint(tmp_path, net, ABOUT)
    moved, replaced = [], Path.replace

    def killed_after_one(path, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        return replaced(path, target)

    monkeypatch.setattr(Path, "replace", killed_after_one)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path, net, replace(ABOUT, epoch=5))
    with pytest.raises(WeightsError, match="is no checkpoint"):
        read_description(tmp_path)


def test_a_description_of_another_network_than_the_weights_is_refused(net, tmp_path):
    described = {"backbone": "resnet50", "mode": "ladnn", "input_size": SIZE}
    write_checkpoint(tmp_path, net, Checkpoint(**described))
    with pytest.raises(WeightsError, match="not those of resnet50"):
        read_checkpoint(tmp_path)


def test_a_place_that_cannot_be_written_to_is_said(net, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        write_checkpoint(tmp_path / "file", net, ABOUT)

"""A bundle is what its card says, or it is refused with a sentence."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from bundles import tiny_bundle, tiny_card, tiny_model
from ladnn.bundle import (
    CARD_FILE,
    MODEL_FILE,
    Card,
    LesionCalibration,
    Member,
    OperatingPoint,
    StudyRule,
    find_bundle,
    load_bundle,
    shipped,
    write_card,
)
from ladnn.errors import BundleError
from ladnn.findings import Decision


def edit(folder, **changes):
    path = folder / CARD_FILE
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(card | changes), encoding="utf-8")


@pytest.mark.parametrize("mode", ["ladnn", "baseline"])
def test_a_card_survives_a_round_trip_through_json(mode):
    written = json.loads(json.dumps(tiny_card(b"", mode).to_json()))
    assert json.loads(json.dumps(Card.from_json(written).to_json())) == written


def test_a_study_rule_with_its_own_points_survives_a_round_trip():
    own = {"balanced": OperatingPoint(threshold=0.6, low=0.5, high=0.7)}
    card = tiny_card(b"", study_rule=StudyRule(fraction=0.2, minimum=3, operating_points=own))
    assert Card.from_json(json.loads(json.dumps(card.to_json()))).study_rule == card.study_rule


def test_a_written_card_is_readable_for_people(tmp_path):
    path = write_card(tiny_card(b""), tmp_path)
    assert path.read_text(encoding="utf-8").startswith(
        '{\n  "schema_version": 1,\n  "name": "tiny"'
    )


def test_a_bundle_loads_with_its_card_and_model(tmp_path):
    bundle = load_bundle(tiny_bundle(tmp_path))
    assert (bundle.card.name, bundle.model) == ("tiny", tiny_model())


def test_a_model_that_was_altered_is_refused(tmp_path):
    folder = tiny_bundle(tmp_path)
    model = bytearray((folder / MODEL_FILE).read_bytes())
    model[-1] ^= 1
    (folder / MODEL_FILE).write_bytes(model)
    with pytest.raises(BundleError, match="sha256 differs"):
        load_bundle(folder)


def test_a_card_without_its_model_is_refused(tmp_path):
    folder = tiny_bundle(tmp_path)
    (folder / MODEL_FILE).unlink()
    with pytest.raises(BundleError, match=r"no readable model\.onnx"):
        load_bundle(folder)


def test_a_folder_without_a_card_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(BundleError, match="give a folder made by `ladnn export`"):
        load_bundle(tmp_path)


def test_another_schema_version_is_refused_by_number(tmp_path):
    folder = tiny_bundle(tmp_path)
    edit(folder, schema_version=2)
    with pytest.raises(BundleError, match="has schema version 2 and this ladnn reads 1"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", "\xff", '{"schema_version": 1}', "[" * 10**5]
)
def test_a_card_that_is_no_card_is_refused(tmp_path, text):
    folder = tiny_bundle(tmp_path)
    (folder / CARD_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "other"},
        {"precision": "int4"},
        {"input_size": "224"},
        {"temperature": 0},
        {"temperature": True},
        {"classes": ["covid", "Csld", "GGO", "CrPa", "AirBr", "InSepThi"]},
        {"classes": 6},
        {"lesions": {}},
        {"lesions": []},
        {"members": [{"backbone": "x"}]},
        {"members": [{"backbone": [], "seed": 0, "epoch": 1, "checkpoint_sha256": ""}]},
        {"training": {"members": None}},
        {"training": {"members": ["a"]}},
        {"training": {"members": [{"config": 3}]}},
        {"operating_points": {}},
        {"operating_points": {"balanced": {"threshold": 2, "low": 0, "high": 1, "rule": ""}}},
        {"study_rule": {"rule": "median"}},
        {"surprise": 1},
        {"name": 3},
        {"guard": None},
        {"research_use_only": False},
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_refused(tmp_path, changes):
    folder = tiny_bundle(tmp_path)
    edit(folder, **changes)
    with pytest.raises(BundleError, match=CARD_FILE.replace(".", r"\.")):
        load_bundle(folder)


def test_an_unknown_key_is_named(tmp_path):
    folder = tiny_bundle(tmp_path)
    edit(folder, surprise=1)
    with pytest.raises(BundleError, match="unknown surprise"):
        load_bundle(folder)


def test_a_calibrated_lesion_needs_a_temperature():
    with pytest.raises(BundleError, match="no temperature"):
        LesionCalibration(temperature=None, calibrated=True, validation_positives=40)


def test_a_threshold_lies_inside_its_band():
    with pytest.raises(BundleError, match=r"expected a number from 0\.5 to 0\.6"):
        OperatingPoint(threshold=0.4, low=0.5, high=0.6)


@pytest.mark.parametrize(
    ("probability", "decision"),
    [
        (0.39, Decision.NEGATIVE),
        (0.4, Decision.INDETERMINATE),
        (0.59, Decision.INDETERMINATE),
        (0.6, Decision.POSITIVE),
    ],
)
def test_a_probability_is_decided_by_the_band(probability, decision):
    assert OperatingPoint(threshold=0.5, low=0.4, high=0.6).decide(probability) == decision


def test_a_point_without_a_band_decides_every_probability():
    point = OperatingPoint(threshold=0.5, low=0.5, high=0.5)
    assert [point.decide(p) for p in (0.4999, 0.5)] == [Decision.NEGATIVE, Decision.POSITIVE]


def test_an_unknown_operating_point_is_refused_with_the_known_ones():
    with pytest.raises(BundleError, match="tiny has balanced, screening"):
        tiny_card(b"").operating_point("best")


def test_the_networks_of_a_card_are_counted_by_their_backbone():
    card = tiny_card(b"")
    lite, resnet = (Member(backbone=name, seed=0, epoch=1) for name in ("lite", "resnet"))
    assert replace(card, members=(lite,)).networks == "1 x lite"
    assert replace(card, members=(lite, resnet, lite)).networks == "2 x lite + 1 x resnet"


def test_a_lesion_without_a_temperature_keeps_its_logit():
    assert tiny_card(b"").temperatures == (2.0, 1.5, 1.5, 1.0, 1.0, 1.0)


def test_a_baseline_has_one_temperature_and_no_lesions():
    card = tiny_card(b"", "baseline")
    assert (card.temperatures, card.calibrated) == ((2.0,), ())


def test_a_shipped_name_is_found_inside_the_package():
    for name in shipped():
        assert find_bundle(name).parent.name == "bundles"


def test_a_folder_of_that_name_is_meant_by_its_path_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    assert find_bundle("default").parent.name == "bundles"
    assert find_bundle("./default").resolve() == tmp_path / "default"


def test_a_card_is_frozen():
    with pytest.raises(AttributeError):
        tiny_card(b"").name = "other"


def test_a_card_can_be_renamed():
    assert replace(tiny_card(b""), version="2").version == "2"


@pytest.mark.parametrize("key", [item.name for item in fields(Card)])
def test_every_key_of_the_card_is_in_the_reference(key):
    page = Path(__file__).parents[1] / "docs" / "reference" / "prediction.md"
    assert f"`{key}`" in page.read_text(encoding="utf-8")

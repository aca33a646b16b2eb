"""`ladnn model update` from contributed images to a promotion and a refusal, on phantoms."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from albums import plain  # noqa: E402
from bundles import tiny_bundle  # noqa: E402
from ladnn import chest_ct, updating  # noqa: E402
from ladnn import locked_test as lock  # noqa: E402
from ladnn.bundle import load_bundle  # noqa: E402
from ladnn.commands.model import app  # noqa: E402
from ladnn.dataset import Manifest, Record, write_manifest  # noqa: E402
from ladnn.errors import ConfigError, DataError, RegistryError, WeightsError  # noqa: E402
from ladnn.gate import Gate  # noqa: E402
from ladnn.imaging import read_image  # noqa: E402
from ladnn.locked_test import EVALUATION, locked_test, read_trial, subgroups  # noqa: E402
from ladnn.phantom import thorax  # noqa: E402
from ladnn.registry import Registry  # noqa: E402
from ladnn.similarity import pixel_hash  # noqa: E402
from ladnn.storage import Store  # noqa: E402
from ladnn.updating import UpdateConfig, next_version, recipe, update  # noqa: E402

RECIPE = {
    "backbone": "resnet18",
    "weights": "random",
    "input_size": 64,
    "epochs": 2,
    "batch_size": 8,
    "threads": 1,
    "mixup": 0.0,
    "averaging": 0.0,
    "frozen_stages": 0,
    "head_rate": 1.0,
    "learning_rate": 1e-3,
}
LEARNS_NOTHING = {"learning_rate": 1e-9, "epochs": 1}
# The margins decide, so that nothing hangs on what a few epochs learn on this or that processor.
LENIENT = Gate(replicates=100, sensitivity_margin=0.99, auc_margin=0.99, subgroup_margin=0.99)
STRICT = Gate(replicates=100, sensitivity_margin=0, auc_margin=0, subgroup_margin=0)
QUICK = UpdateConfig(decoys=1, gate=LENIENT)
PARTS = {"train": 40, "val": 12, "test": 32}


@pytest.fixture(autouse=True, scope="module")
def _restore_determinism():
    yield
    torch.use_deterministic_algorithms(mode=False)


def draw(path: Path, seed: int, *, covid: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lesions = {"GGO", "Csld"} if covid else set()
    Image.fromarray(thorax(seed=seed, size=(96, 112), lesions=lesions)).save(path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return base_manifest(tmp_path_factory.mktemp("base"))


def base_manifest(folder: Path) -> Manifest:
    """Drawn images with and without lesions in all three parts, as `PARTS` says."""
    records, seed = [], 0
    for part, count in PARTS.items():
        for row in range(count):
            seed += 1
            covid = row % 2 == 0
            path = draw(folder / f"{seed}.png", seed, covid=covid)
            image = read_image(path)
            records.append(
                Record(
                    path=path,
                    sha256=image.sha256,
                    pixel_hash=pixel_hash(image.pixels),
                    source="home",
                    patient=f"home/{seed}",
                    covid=covid,
                    split=part,
                )
            )
    return Manifest(records=tuple(records), labels="paper")


@pytest.fixture(scope="module")
def contributed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of two slices each; no phantoms, for those all resemble each other."""
    return plain(tmp_path_factory.mktemp("given") / "clinic", patients=3)


@pytest.fixture(scope="module")
def registry(base: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry whose champion was never trained, and says how it should have been."""
    folder = tmp_path_factory.mktemp("champion")
    bundle = tiny_bundle(folder, name="phantom", training={"members": [{"config": RECIPE}]})
    manifest = folder / "base.csv"
    write_manifest(base, manifest)
    place = str(folder / "registry")
    for words in (
        ["add", str(bundle), "--manifest", str(manifest), "--why", "the first"],
        ["promote", "phantom-1", "--why", "the first"],
    ):
        done = CliRunner().invoke(app, [*words, "--registry", place])
        assert done.exit_code == 0, done.output
    return Registry(Store(place))


def test_an_update_is_promoted_within_the_margins_goes_on_after_a_kill_and_a_worse_one_is_refused(
    base: Manifest, contributed: Path, registry: Registry, tmp_path: Path, monkeypatch
):
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "promote", die)
        with pytest.raises(KeyboardInterrupt):
            update(contributed, base, registry, tmp_path / "1", QUICK, by="ada")
    assert registry.versions()["phantom-1.1"].status == "candidate"
    first = update(contributed, base, registry, tmp_path / "1", QUICK, by="ada")  # goes on
    assert first.judgement.verdict.passed, first.judgement.verdict.reason
    assert registry.champion() == first.label == "phantom-1.1"
    assert first.contributed == 12
    assert (first.judgement.champion, first.judgement.gate) == ("phantom-1", LENIENT)
    again = lock.compare_versions(registry, "phantom-1", first.label)
    assert again.checks == first.judgement.verdict.checks  # by the gate of the update

    events = len(registry.ledger.events())
    assert update(contributed, base, registry, tmp_path / "1", QUICK, by="ada") == first
    assert len(registry.ledger.events()) == events
    with pytest.raises(ConfigError, match="came of this update by another gate"):
        update(contributed, base, registry, tmp_path / "1", replace(QUICK, gate=STRICT), by="ada")

    worse = replace(QUICK, gate=STRICT, training=LEARNS_NOTHING)
    second = update(contributed, base, registry, tmp_path / "2", worse, by="ada")
    assert not second.judgement.verdict.passed
    assert registry.champion() == "phantom-1.1"
    refused = registry.versions()[second.label]
    assert refused.status == "candidate"
    assert refused.added.why.startswith("refused against phantom-1.1: ")
    verdict = json.loads(registry.read(second.label, updating.VERDICT))
    assert verdict["verdict"]["passed"] is False
    judged = {check["name"] for check in verdict["verdict"]["checks"]}
    assert {"AUC against phantom-1.1", "AUC against phantom-1"} <= judged

    registry.rollback(by="ada", why="a test")
    with pytest.raises(RegistryError, match="came of this update and retired since"):
        update(contributed, base, registry, tmp_path / "1", QUICK, by="ada")
    with pytest.raises(RegistryError, match=r"compared with phantom-1\.1, which answers no more"):
        update(contributed, base, registry, tmp_path / "2", worse, by="ada")


def _with_a_champion_of_its_own(registry: Registry, folder: Path) -> Registry:
    """Another registry, with the first version of this one and its evidence."""
    own = Registry(Store(str(folder / "own")))
    trial = {EVALUATION: registry.read("phantom-1", EVALUATION)}
    training = {"members": [{"config": RECIPE}]}
    first = own.add(
        tiny_bundle(folder / "b", name="phantom", training=training), trial, by="me", why="first"
    )
    own.promote(first, by="me", why="first")
    return own


def test_who_promotes_by_hand_is_told_what_the_gate_says(registry: Registry, tmp_path: Path):
    own = _with_a_champion_of_its_own(registry, tmp_path)
    words = ["add", str(tiny_bundle(tmp_path / "c", name="other")), "--why", "x"]
    place = ["--registry", own._store.url]
    done = CliRunner().invoke(app, [*words, *place])
    assert done.output == "other-1 is a candidate that was never judged\n"
    done = CliRunner().invoke(app, ["promote", "other-1", "--why", "two readers looked", *place])
    assert done.exit_code == 0, done.output
    assert own.champion() == "other-1"
    assert "nothing shows how it does beside phantom-1 (other-1 was never judged" in done.stderr


def test_a_version_without_a_trial_is_judged_later_on_the_locked_test_alone(
    base: Manifest, registry: Registry, tmp_path: Path
):
    own = _with_a_champion_of_its_own(registry, tmp_path)
    own.add(tiny_bundle(tmp_path / "c", name="other"), {}, by="ada", why="x")
    place = ["--why", "to be compared", "--registry", own._store.url]
    write_manifest(base, tmp_path / "base.csv")
    write_manifest(Manifest(records=base.records[:-1], labels="paper"), tmp_path / "fewer.csv")
    words = ["judge", "other-1", "--manifest"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "fewer.csv"), *place])
    assert isinstance(done.exception, DataError)
    assert "not the one that phantom-1 was judged on" in str(done.exception)
    done = CliRunner().invoke(app, [*words, str(tmp_path / "base.csv"), *place])
    assert done.exit_code == 0, done.output
    assert done.stdout == "other-1 was judged: `ladnn model list` shows how it did\n"
    trial = read_trial(own, "other-1")
    assert trial is not None
    assert trial.test == read_trial(own, "phantom-1").test
    assert lock.compare_versions(own, "phantom-1", "other-1").checks
    done = CliRunner().invoke(app, [*words, str(tmp_path / "base.csv"), *place])
    assert "other-1 has its evaluation.json already" in str(done.exception)


def test_two_first_versions_that_are_judged_at_once_do_not_lock_two_tests(
    base: Manifest, registry: Registry, tmp_path: Path, monkeypatch
):
    own = Registry(Store(str(tmp_path / "own")))
    write_manifest(Manifest(records=base.records[:-1], labels="paper"), tmp_path / "fewer.csv")
    evidence = lock.evidence

    def overtaken(*given: Any) -> bytes:
        trial = {EVALUATION: registry.read("phantom-1", EVALUATION)}
        own.add(tiny_bundle(tmp_path / "b", name="faster"), trial, by="me", why="first")
        return evidence(*given)

    monkeypatch.setattr(lock, "evidence", overtaken)
    words = ["add", str(tiny_bundle(tmp_path / "c", name="slower")), "--why", "first"]
    place = ["--manifest", str(tmp_path / "fewer.csv"), "--registry", own._store.url]
    done = CliRunner().invoke(app, [*words, *place])
    assert "not the one that faster-1 was judged on" in str(done.exception)
    assert list(own.versions()) == ["faster-1"]


def test_every_version_was_judged_on_the_same_locked_test(base: Manifest, registry: Registry):
    trials = [read_trial(registry, label) for label in registry.versions()]
    assert {trial.test["sha256"] for trial in trials} == {locked_test(base)}
    assert {len(trial.answers.cases) for trial in trials} == {PARTS["test"]}


def test_what_is_kept_of_a_test_names_neither_files_nor_patients(
    base: Manifest, registry: Registry
):
    kept = registry.read("phantom-1", EVALUATION).decode()
    record = base.part("test").records[0]
    assert record.path.name not in kept
    assert record.patient not in kept


def test_versions_are_compared_from_what_was_kept(registry: Registry):
    words = ["compare", "phantom-1", "phantom-1", "--registry", registry._store.url]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "sensitivity" in done.output
    assert "AUC" in done.output


def test_the_list_shows_states_and_results(registry: Registry):
    done = CliRunner().invoke(app, ["list", "--json", "--registry", registry._store.url])
    first = json.loads(done.output)[0]
    assert first["version"] == "phantom-1"
    assert 0 <= first["auc"]["value"] <= 1


def test_the_list_cuts_nothing_off_in_a_narrow_window(registry: Registry):
    done = CliRunner().invoke(
        app, ["list", "--registry", registry._store.url], env={"COLUMNS": "60"}
    )
    assert done.exit_code == 0, done.output
    assert "\N{HORIZONTAL ELLIPSIS}" not in done.output


def test_a_version_is_not_taken_in_with_another_test_split(
    base: Manifest, registry: Registry, tmp_path: Path
):
    write_manifest(Manifest(records=base.records[:-1], labels=base.labels), tmp_path / "fewer.csv")
    bundle = tiny_bundle(tmp_path, name="other")
    words = ["add", str(bundle), "--manifest", str(tmp_path / "fewer.csv"), "--why", "x"]
    done = CliRunner().invoke(app, [*words, "--registry", registry._store.url])
    assert isinstance(done.exception, DataError)
    assert "is locked" in str(done.exception)
    assert "other-1" not in registry.versions()


def test_the_list_says_where_there_is_no_version(tmp_path: Path):
    done = CliRunner().invoke(app, ["list", "--registry", str(tmp_path / "none")])
    where = str(tmp_path / "none")
    assert done.output == f"There is no version yet in {where}: `ladnn model add` takes one in\n"


def test_an_update_against_another_test_split_is_refused(
    base: Manifest, contributed: Path, registry: Registry, tmp_path: Path
):
    fewer = Manifest(records=base.records[:-1], labels=base.labels)
    with pytest.raises(DataError, match="is locked"):
        update(contributed, fewer, registry, tmp_path, QUICK, by="ada")


def test_weights_that_are_missing_are_told_before_any_member_trains(
    base: Manifest, contributed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(chest_ct, "PACKAGES", ("no-such-package",))
    second = RECIPE | {"backbone": "resnet_ct", "weights": "chest-ct"}
    training = {"members": [{"config": RECIPE}, {"config": second}]}
    place = Registry(Store(str(tmp_path / "registry")))
    label = place.add(tiny_bundle(tmp_path / "two", training=training), {}, by="me", why="first")
    place.promote(label, by="me", why="first")
    with pytest.raises(WeightsError, match="chest CT weights are not installed"):
        update(contributed, base, place, tmp_path / "work", QUICK, by="me")
    assert not list((tmp_path / "work").glob("member-*"))


@pytest.mark.parametrize("name", ["bundle", "float32"])
def test_a_bundle_that_no_update_made_is_not_replaced(
    base: Manifest, contributed: Path, registry: Registry, tmp_path: Path, name: str
):
    tiny_bundle(tmp_path / name)
    with pytest.raises(ConfigError, match="a bundle that no update made"):
        update(contributed, base, registry, tmp_path, QUICK, by="ada")


def test_a_version_that_was_never_judged_does_not_open_the_lock(base: Manifest, monkeypatch):
    trials = {"m-1": SimpleNamespace(test={"sha256": "that of another test"}), "m-2": None}
    monkeypatch.setattr(lock, "read_trial", lambda _, label: trials[label])
    registry = SimpleNamespace(versions=lambda: trials)
    with pytest.raises(DataError, match="that m-1 was judged on"):
        lock.check_test(registry, base)


def test_a_test_split_that_can_judge_nothing_is_not_locked(base: Manifest, tmp_path: Path):
    few = [r for r in base if r.split != "test" or r.covid] + list(base.part("test"))[1:4]
    empty = Registry(Store(str(tmp_path / "none")))
    with pytest.raises(DataError, match="has 16 patients with COVID-19 and 2 without"):
        lock.check_test(empty, Manifest(records=tuple(dict.fromkeys(few)), labels="paper"))


def test_a_validation_split_of_one_class_is_told_before_any_member_trains(
    base: Manifest, contributed: Path, registry: Registry, tmp_path: Path
):
    ill = tuple(record for record in base if record.split != "val" or record.covid)
    with pytest.raises(DataError, match="holds 6 positive of 6 images"):
        update(contributed, replace(base, records=ill), registry, tmp_path, QUICK, by="ada")
    assert not list(tmp_path.glob("member-*"))


def test_an_update_without_drawings_for_the_guard_is_refused():
    with pytest.raises(ConfigError, match="decoys is 0"):
        UpdateConfig(decoys=0)


def test_an_update_without_a_champion_is_refused(base: Manifest, contributed: Path, tmp_path: Path):
    empty = Registry(Store(str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="no champion to start from"):
        update(contributed, base, empty, tmp_path, QUICK, by="ada")


# ------------------------------------------------------------------ recipe and subgroups


def card(tmp_path: Path, *configs: dict[str, object]):
    members = [{"config": config} for config in configs]
    return load_bundle(tiny_bundle(tmp_path, training={"members": members})).card


def test_the_recipe_is_the_champions_with_the_changes(tmp_path: Path):
    told = card(tmp_path, {"seed": 3, "augmentation": {"paint": 0.1, "erase": 0.2}}, {"seed": 4})
    found = recipe(told, ["clinic"], {"epochs": 2, "augmentation": {"paint": 0.0}})
    assert [one.seed for one in found] == [3, 4]
    assert {one.epochs for one in found} == {2}
    assert (found[0].augmentation.paint, found[0].augmentation.erase) == (0.0, 0.2)


def test_changes_that_make_two_members_the_same_network_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="two of the 2 members the same network"):
        recipe(card(tmp_path, {"seed": 3}, {"seed": 4}), [], {"seed": 5})


def test_a_recipe_of_some_sources_learns_from_the_contributed_one_too(tmp_path: Path):
    found = recipe(card(tmp_path, {"sources": ["home"]}), ["clinic"], {})
    assert found[0].sources == ("home", "clinic")


def test_weights_that_are_not_here_are_replaced_by_imagenets(tmp_path: Path):
    assert recipe(card(tmp_path, {"weights": "runs/p0"}), [], {})[0].weights == "imagenet"


@pytest.mark.parametrize("weights", ["chest-ct", "runs/p0"])
def test_a_network_that_started_from_chest_ct_starts_there_again(tmp_path: Path, weights: str):
    settings = {"backbone": "resnet_ct", "weights": weights}
    assert recipe(card(tmp_path, settings), [], {})[0].weights == "chest-ct"


@pytest.mark.parametrize("training", [{}, {"members": []}, {"members": [{"validation": {}}]}])
def test_a_card_without_a_recipe_is_refused(tmp_path: Path, training: dict[str, object]):
    told = load_bundle(tiny_bundle(tmp_path, training=training)).card
    with pytest.raises(ConfigError, match="does not say how it was trained"):
        recipe(told, [], {})


def test_a_change_that_is_no_setting_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="'epoch' of the recipe"):
        recipe(card(tmp_path, {}), [], {"epoch": 2})


@pytest.mark.parametrize(
    ("version", "there", "expected"),
    [("1", [], "1.1"), ("1", ["tiny-1.1"], "1.2"), ("1.2", ["tiny-1.1", "tiny-1.2"], "1.3")],
)
def test_an_update_takes_the_next_free_version(tmp_path: Path, version, there, expected):
    told = load_bundle(tiny_bundle(tmp_path, version=version)).card
    assert next_version(told, there) == expected


def test_subgroups_are_sources_flags_diagnoses_and_lesions():
    from ladnn.findings import LesionLabels

    records = [
        Record(path=Path("a"), source="s", patient="1", covid=True, diagnosis="COVID-19",
               lesions=LesionLabels.from_present({"GGO"})),
        Record(path=Path("b"), source="s", patient="2", covid=False),
    ]  # fmt: skip
    assert subgroups(records) == {
        "s": [0, 1],
        "positives": [0],
        "s, positives": [0],
        "COVID-19": [0],
        "images with GGO": [0],
        "negatives": [1],
        "s, negatives": [1],
    }


def test_an_image_counts_once_in_a_subgroup_whose_name_its_source_and_diagnosis_share():
    told = {"source": "COVID-19", "covid": True, "diagnosis": "COVID-19"}
    records = [Record(path=Path(name), patient=name, **told) for name in "ab"]
    assert subgroups(records)["COVID-19"] == [0, 1]


def test_versions_that_were_never_judged_are_not_compared(tmp_path: Path):
    place = Registry(Store(str(tmp_path / "registry")))
    place.add(tiny_bundle(tmp_path), {}, by="ada", why="a test")
    assert read_trial(place, "tiny-1") is None
    from ladnn.locked_test import compare_versions

    with pytest.raises(RegistryError, match="never judged"):
        compare_versions(place, "tiny-1", "tiny-1")


def test_versions_are_compared_in_every_subgroup_that_either_was_judged_in(tmp_path: Path):
    from ladnn.locked_test import compare_versions

    def judged(wrong: range, **more: object) -> bytes:
        rows = [
            {
                "image": str(row),
                "source": "home",
                "patient": row,
                "label": row % 2,
                "probability": 0.9 if row % 2 != (row in wrong) else 0.1,
                "decision": "positive" if row % 2 != (row in wrong) else "negative",
            }
            for row in range(400)
        ]
        test = {"sha256": "a" * 64}
        data = {"locked_test": test, "metrics": {"operating_point": "balanced"}, "cases": rows}
        return json.dumps({**data, **more, "data_version": "", "threshold": 0.5}).encode()

    place = Registry(Store(str(tmp_path / "registry")))
    groups = {"home": list(range(400)), "pneumonia": list(range(40))}
    for version, told in (
        ("1", judged(range(0))),  # of a program that did not write subgroups yet
        ("2", judged(range(0, 20, 2), subgroups=groups)),
    ):
        bundle = tiny_bundle(tmp_path / version, bias=float(version), version=version)
        place.add(bundle, {"evaluation.json": told}, by="ada", why="a test")
    verdict = compare_versions(place, "tiny-1", "tiny-2")
    assert [(one.name, one.passed) for one in verdict.checks[2:]] == [
        ("right calls in home", True),
        ("right calls in pneumonia", False),
    ]
    alone = compare_versions(place, "tiny-1", "tiny-1")
    assert [one.name for one in alone.checks[2:]] == ["right calls in home"]


@pytest.mark.parametrize(
    ("training", "stored", "flip"),
    [
        ({"stored_weights": "int8", "flip_averaging": True}, "int8", True),
        ({"stored_weights": "float16"}, "float16", False),
        ({"stored_weights": "int4"}, "float32", False),
        ({}, "float32", False),
    ],
)
def test_a_challenger_is_stored_as_the_champion(
    tmp_path: Path, training: dict[str, object], stored: str, flip: bool
):
    told = load_bundle(tiny_bundle(tmp_path, training=training)).card
    options = updating._options(told, UpdateConfig())
    assert (options.stored.value, options.flip) == (stored, flip)

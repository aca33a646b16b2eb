"""The grid: which runs it makes, and that a run is done once, whole, and never over another."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("torch")

from ladnn.benchmark import engines, perform
from ladnn.benchmark.engines import attempt, local, on_ray
from ladnn.benchmark.grid import read_grid
from ladnn.benchmark.results import read_cases
from ladnn.cli import app
from ladnn.dataset import Manifest, Record, write_manifest
from ladnn.errors import ConfigError, DataError
from ladnn.findings import LesionLabels
from ladnn.phantom import thorax

RECIPE = """
weights = "random"
input_size = 32
epochs = 1
batch_size = 4
frozen_stages = 0
"""
GRID = """
recipe = "recipe.toml"
backbones = ["efficientnet_lite0"]
modes = ["baseline", "ladnn"]
seeds = [0, 1]
judged = ["one"]
evaluate = ["val", "test"]
[datasets]
d0 = ["one"]
"""


def write_grid(folder, text=GRID, recipe=RECIPE):
    (folder / "recipe.toml").write_text(recipe)
    (folder / "grid.toml").write_text(text)
    return folder / "grid.toml"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    records = []
    for index in range(20):
        covid, path = index % 2 == 0, folder / f"{index}.png"
        lesions = {"GGO"} if covid else set()
        Image.fromarray(thorax(seed=index, size=(48, 64), lesions=lesions)).save(path)
        labels = LesionLabels.from_present(lesions) if covid else LesionLabels()
        split = ("train", "train", "val", "test")[index // 2 % 4]
        source = "one" if index < 16 else "two"
        records.append(
            Record(path=path, source=source, patient=str(index), covid=covid, lesions=labels,
                   split=split, pixel_hash=f"{index:064x}")
        )  # fmt: skip
    return Manifest(records=tuple(records), labels="paper")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return read_grid(write_grid(tmp_path_factory.mktemp("grid")))[1]


@pytest.fixture(scope="module")
def done(runs, manifest, tmp_path_factory):
    output = tmp_path_factory.mktemp("done")
    perform.perform(runs[1], manifest, output)
    return output


# ------------------------------------------------------------------ what a grid asks for


def test_a_grid_is_every_combination_seed_by_seed(runs):
    assert [run.name for run in runs] == [
        f"d0/efficientnet_lite0/{mode}/plain/seed-{seed}"
        for seed in (0, 1)
        for mode in ("baseline", "ladnn")
    ]
    assert all(run.config.sources == ("one",) and run.config.threads == 1 for run in runs)


def test_a_variant_changes_the_recipe_and_narrows_the_axes(tmp_path):
    variants = """
[variants.plain]
[variants.heavy]
settings.primary_weight = 10.0
settings.augmentation.flip = 0.0
modes = ["ladnn"]
seeds = [1]
evaluate = ["val"]
"""
    _, runs = read_grid(write_grid(tmp_path, GRID + variants))
    (heavy,) = [run for run in runs if run.variant == "heavy"]
    assert len(runs) == 5
    assert (heavy.mode, heavy.seed, heavy.evaluate) == ("ladnn", 1, ("val",))
    assert (heavy.config.primary_weight, heavy.config.augmentation.flip) == (10.0, 0.0)
    assert heavy.config.augmentation.jpeg == runs[0].config.augmentation.jpeg


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("seeds = [0, 1]", "seeds = []", "seeds are empty"),
        ("seeds = [0, 1]", 'seeds = "0"', "expected a list"),
        ('["val", "test"]', '["train"]', "choose of val, test"),
        ('["baseline", "ladnn"]', '["both"]', "choose one of ladnn, baseline"),
        ("efficientnet_lite0", "alexnet", "choose one of"),
        ("d0 = ", '"../d0" = ', "name of a folder"),
        ("recipe.toml", "nowhere.toml", r"nowhere\.toml cannot be read"),
        ("judged", "judge", "no setting 'judge'"),
        ('recipe = "recipe.toml"', "", "the setting 'recipe' is missing"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "seeds of the grid has 0 twice"),
        ('["baseline", "ladnn"]', '["ladnn", "ladnn"]', "modes of the grid has 'ladnn' twice"),
        (
            "[datasets]",
            "settings.seed = 5\n[datasets]",
            "grid cannot have seed: give the grid's seeds",
        ),
        (
            "[datasets]",
            "[variants.x.settings]\nthreads = 2\n[datasets]",
            "the variant x cannot have threads: every run has one",
        ),
        ("[datasets]", 'paper = { d0 = "d9" }\n[datasets]', "one of the paper .d0, d0d1."),
        ("[datasets]", 'paper = { other = "d0" }\n[datasets]', "a dataset of the grid .d0."),
    ],
)
def test_a_wrong_grid_is_refused_in_one_sentence(tmp_path, old, new, part):
    with pytest.raises(ConfigError, match=part) as caught:
        read_grid(write_grid(tmp_path, GRID.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_a_variant_that_changes_nothing_is_refused(tmp_path):
    variants = "\n[variants.plain]\n[variants.same]\nsettings.primary_weight = 5.0\n"
    with pytest.raises(ConfigError, match="plain and same have the same settings"):
        read_grid(write_grid(tmp_path, GRID + variants))


@pytest.mark.parametrize("name", ["backbones", "lesions", "table2"])
def test_a_grid_of_the_project_asks_for_runs(name):
    assert read_grid(Path(__file__).parents[1] / "conf" / f"{name}.toml")[1]


# ------------------------------------------------------------------ one run


def test_a_run_leaves_its_scores_in_the_files_of_an_evaluation(runs, manifest, done):
    folder = done / runs[1].name
    for split in ("val", "test"):
        lines = (folder / split / "predictions.csv").read_text().splitlines()
        assert lines[0].startswith("path,source,patient,covid_label,covid_probability,decision,GGO")
        assert len(lines) == 1 + len(perform.judged(runs[1], manifest, split))
        assert json.loads((folder / split / "metrics.json").read_text())["split"] == split
    assert not (folder / "resume.pt").exists()


def test_a_run_that_is_done_is_not_done_again(runs, manifest, done, monkeypatch):
    monkeypatch.setattr(perform, "fit", lambda *_, **__: pytest.fail("it trained"))
    monkeypatch.setattr(perform, "_judge", lambda *_: pytest.fail("it scored"))
    perform.perform(runs[1], manifest, done)
    assert runs[1] not in perform.plan(runs, manifest, done)


@pytest.mark.parametrize("lost", [["test"], ["val", "test"]])
def test_a_trained_run_without_its_scores_only_scores(runs, manifest, done, tmp_path, lost):
    folder, name = tmp_path / runs[1].name, "model.safetensors"
    shutil.copytree(done / runs[1].name, folder)
    for split in lost:
        shutil.rmtree(folder / split)
    trained = (folder / name).stat().st_mtime_ns
    perform.perform(runs[1], manifest, tmp_path)
    assert (folder / name).stat().st_mtime_ns == trained
    again, before = (path / runs[1].name / "test/predictions.csv" for path in (tmp_path, done))
    assert again.read_bytes() == before.read_bytes()


def test_images_that_moved_are_scored_again_where_they_are(
    runs, manifest, done, tmp_path, monkeypatch
):
    shutil.copytree(done, tmp_path / "out")
    moved = [
        replace(r, path=shutil.copy(r.path, tmp_path / f"moved-{r.path.name}")) for r in manifest
    ]
    there = Manifest(records=tuple(moved), labels="paper")
    assert perform.waiting(runs[1], there, tmp_path / "out") == ("val", "test")
    monkeypatch.setattr(perform, "fit", lambda *_, **__: pytest.fail("it trained"))
    perform.perform(runs[1], there, tmp_path / "out")
    cases = read_cases(tmp_path / "out" / runs[1].name / "val")
    assert {Path(case.path).parent for case in cases} == {tmp_path}
    assert perform.waiting(runs[1], there, tmp_path / "out") == ()


def test_a_run_killed_before_its_first_epoch_was_kept_is_trained(runs, manifest, done, tmp_path):
    folder = tmp_path / runs[1].name
    shutil.copytree(done / runs[1].name, folder)
    shutil.rmtree(folder / "val")
    shutil.rmtree(folder / "test")
    (folder / "log.csv").write_text("epoch,loss,val_loss,val_auc,best\n")
    (folder / "model.safetensors").write_bytes(b"of an epoch that will be done again")
    perform.perform(runs[1], manifest, tmp_path)
    again, before = (path / runs[1].name / "test/predictions.csv" for path in (tmp_path, done))
    assert again.read_bytes() == before.read_bytes()


def test_a_run_of_too_few_epochs_that_has_lost_its_way_back_is_trained_again(
    manifest, done, tmp_path
):
    longer = write_grid(tmp_path, recipe=RECIPE.replace("epochs = 1", "epochs = 2"))
    run = read_grid(longer)[1][1]
    folder = tmp_path / "out" / run.name
    perform.perform(run, manifest, tmp_path / "out")
    log = (folder / "log.csv").read_text()
    (folder / "log.csv").write_text("".join(log.splitlines(keepends=True)[:2]))  # one epoch
    scores = (folder / "test/predictions.csv").read_bytes()
    shutil.rmtree(folder / "test")
    perform.perform(run, manifest, tmp_path / "out")
    assert (folder / "log.csv").read_text() == log
    assert (folder / "test/predictions.csv").read_bytes() == scores


def test_a_score_that_is_no_number_is_told_with_its_file(runs, done, tmp_path):
    shutil.copytree(done / runs[1].name / "test", tmp_path / "test")
    path = tmp_path / "test" / "predictions.csv"
    head, first, *others = path.read_text().splitlines()
    cells = first.split(",")
    cells[head.split(",").index("covid_probability")] = "nan"
    path.write_text("\n".join([head, ",".join(cells), *others]) + "\n")
    with pytest.raises(DataError, match=r"predictions\.csv is damaged .*: delete"):
        read_cases(tmp_path / "test")


def test_a_folder_of_other_settings_is_refused(manifest, done, tmp_path):
    _, others = read_grid(write_grid(tmp_path, recipe=RECIPE.replace("epochs = 1", "epochs = 2")))
    with pytest.raises(ConfigError, match="other settings"):
        perform.plan(others, manifest, done)


def test_a_damaged_result_is_named_and_kept(runs, manifest, done, tmp_path):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    config = tmp_path / runs[1].name / "val" / "config.json"
    config.write_text(config.read_text()[:20])
    with pytest.raises(DataError, match=r"damaged.*delete that folder"):
        perform.plan(runs, manifest, tmp_path)
    assert (config.parent / "predictions.csv").exists()


def test_images_that_are_gone_are_counted_before_anything_trains(runs, manifest, tmp_path):
    records = [replace(r, path=tmp_path / f"{i}.png") for i, r in enumerate(manifest)]
    with pytest.raises(DataError, match=r"16 of 16 images of the manifest are gone.*0\.png"):
        perform.plan(runs, Manifest(records=tuple(records)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_one_sentence_and_the_others_go_on(runs, manifest, done, tmp_path):
    reason = attempt(replace(runs[1], judged=("nowhere",)), manifest, tmp_path)
    assert reason.startswith("the manifest has no image of nowhere in val: change the grid's")
    misspelt = replace(runs[1], judged=(*runs[1].judged, "nowhere"))
    assert attempt(misspelt, manifest, tmp_path) == reason
    assert list(tmp_path.iterdir()) == []  # which the corrected grid would be refused for
    assert attempt(runs[1], manifest, done) is None


# ------------------------------------------------------------------ engines


def test_two_processes_do_what_one_does(runs, manifest, done, tmp_path):
    outcomes = list(local(runs[:2], manifest, tmp_path, jobs=2))
    assert sorted(run.name for run, _ in outcomes) == sorted(run.name for run in runs[:2])
    assert [error for _, error in outcomes] == [None, None]
    one, two = (path / runs[1].name / "val/predictions.csv" for path in (done, tmp_path))
    assert one.read_bytes() == two.read_bytes()


def node_of(folder):
    """Id of the process that started the worker which wrote the run: the daemon of its node."""
    (events,) = folder.glob("events.out.tfevents.*")
    worker = events.name.split(".")[-2]
    return Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[1]


@pytest.mark.soak  # a busy machine starts Ray too slowly for Ray's own patience
def test_ray_does_on_two_workers_what_a_process_does(runs, manifest, done, tmp_path):
    pytest.importorskip("ray")
    outcomes = list(on_ray(runs[:2], manifest, tmp_path, jobs=2, address=None))
    assert sorted((run.mode, error) for run, error in outcomes) == [
        ("baseline", None),
        ("ladnn", None),
    ]
    one, two = (path / runs[1].name / "val/predictions.csv" for path in (done, tmp_path))
    assert one.read_bytes() == two.read_bytes()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.soak
def test_ray_spreads_the_runs_over_the_nodes_of_a_cluster(runs, manifest, tmp_path):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    try:
        nodes = set()
        for run, error in on_ray(runs, manifest, tmp_path, jobs=1, address=cluster.address):
            assert error is None
            nodes.add(node_of(tmp_path / run.name))
    finally:
        cluster.shutdown()
    assert len(nodes) == 2
    assert perform.plan(runs, manifest, tmp_path) == []


def test_a_cluster_that_does_not_answer_is_one_sentence(runs, manifest, tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        list(on_ray(runs, manifest, tmp_path, jobs=1, address="127.0.0.1:1"))


def test_a_grid_whose_runs_all_fail_says_why_and_writes_no_table(manifest, tmp_path, monkeypatch):
    write_manifest(manifest, tmp_path / "m.csv")
    fail = lambda todo, *_, **__: iter([(run, "it did not train") for run in todo])  # noqa: E731
    monkeypatch.setattr(engines, "local", fail)
    told = [
        "benchmark",
        write_grid(tmp_path),
        "--manifest",
        tmp_path / "m.csv",
        "-o",
        tmp_path / "o",
    ]
    found = CliRunner().invoke(app, [str(word) for word in told])
    assert found.exit_code == 1
    assert found.output.count("it did not train") == 4
    assert not list((tmp_path / "o").rglob("*.csv"))


def test_why_runs_failed_is_told_though_no_table_can_be_made(
    runs, manifest, done, tmp_path, monkeypatch
):
    write_manifest(manifest, tmp_path / "m.csv")
    shutil.copytree(done, tmp_path / "o")
    predictions = tmp_path / "o" / runs[1].name / "val" / "predictions.csv"

    def fail(todo, *_, **__):
        predictions.write_text("")
        yield from ((run, "it did not train") for run in todo)

    monkeypatch.setattr(engines, "local", fail)
    folders = ["--manifest", tmp_path / "m.csv", "--output", tmp_path / "o"]
    found = CliRunner().invoke(app, list(map(str, ["benchmark", write_grid(tmp_path), *folders])))
    assert isinstance(found.exception, DataError)
    assert found.output.count("it did not train") == 3


def test_without_ray_the_extra_is_named(runs, manifest, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'ladnn\[cluster\]'"):
        list(on_ray(runs, manifest, tmp_path, jobs=1, address=None))


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_benchmark_that_is_ended_leaves_no_process_behind(manifest, tmp_path, how):
    grid = write_grid(tmp_path, recipe=RECIPE.replace("epochs = 1", "epochs = 100000"))
    write_manifest(manifest, tmp_path / "manifest.csv")
    arguments = [grid, "--manifest", tmp_path / "manifest.csv", "-o", tmp_path / "out"]
    program = [sys.executable, "-c", "from ladnn.cli import main; main()", "benchmark"]
    started = subprocess.Popen([*program, *map(str, arguments)], start_new_session=True)
    folder = tmp_path / "out/d0/efficientnet_lite0/baseline/plain/seed-0"
    wait_for((folder / "resume.pt").exists, seconds=120)
    worker = Path(f"/proc/{next(folder.glob('events.out.tfevents.*')).name.split('.')[-2]}")
    assert worker.exists()
    started.send_signal(how)  # to the program alone, as a scheduler would
    assert started.wait(timeout=60) != 0
    wait_for(lambda: not worker.exists(), seconds=30)


def wait_for(condition, *, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)

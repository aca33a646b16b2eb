"""Training: the same run twice, a run killed and resumed, what is chosen and what is refused."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import torch
from typer.testing import CliRunner

from ladnn import training
from ladnn.checkpoint import read_checkpoint, read_description
from ladnn.commands.train import app
from ladnn.dataset import Manifest, Record, write_manifest
from ladnn.errors import ConfigError, DataError, ImageError
from ladnn.findings import LesionLabels
from ladnn.learner import Learner, TrainConfig
from ladnn.paths import LOCK_FILE, alone
from ladnn.phantom import thorax

SETTINGS = {
    "weights": "random",
    "input_size": 32,
    "epochs": 3,
    "batch_size": 4,
    "frozen_stages": 0,
    "threads": 1,
}


@pytest.fixture(autouse=True, scope="module")
def _restore_determinism():
    yield
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    records = []
    for index in range(16):
        covid, path = index % 2 == 0, folder / f"{index}.png"
        lesions = {"GGO"} if covid else set()
        Image.fromarray(thorax(seed=index, size=(64, 80), lesions=lesions)).save(path)
        labels = LesionLabels.from_present(lesions) if covid else LesionLabels()
        split = "val" if index >= 10 else "train"
        records.append(
            Record(path=path, source=f"s{index // 4 % 2}", patient=str(index), covid=covid,
                   lesions=labels, split=split)
        )  # fmt: skip
    return Manifest(records=tuple(records), labels="paper")


def run(manifest, folder, **changes):
    return training.fit(TrainConfig(**{**SETTINGS, **changes}), manifest, folder)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def finished(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run(manifest, folder, select="last")
    return folder


def test_the_same_run_ends_with_the_same_weights(manifest, finished, tmp_path):
    run(manifest, tmp_path, select="last")
    assert weights(tmp_path) == weights(finished)


def test_a_run_whose_stderr_is_no_terminal_draws_no_bar(manifest, tmp_path, capsys):
    run(manifest, tmp_path, epochs=1)
    assert "training" not in capsys.readouterr().err


def test_another_seed_ends_with_other_weights(manifest, finished, tmp_path):
    run(manifest, tmp_path, select="last", seed=1)
    assert weights(tmp_path) != weights(finished)


@pytest.mark.parametrize("moment", ["in an epoch", "before the log", "after the log"])
def test_a_killed_run_resumes_to_the_same_weights(
    manifest, finished, tmp_path, monkeypatch, moment
):
    class Killed(BaseException):
        pass

    def die(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "in an epoch":
            whole = Learner.run_epoch

            def one_epoch_and_a_half(self, advance):
                return whole(self, die if self.epoch else advance)

            patch.setattr(Learner, "run_epoch", one_epoch_and_a_half)
        elif moment == "before the log":
            patch.setattr(training, "_log", die_later(Killed))
        else:
            patch.setattr(training, "_report", die_later(Killed))
        with pytest.raises(Killed):
            run(manifest, tmp_path, select="last")
    run(manifest, tmp_path, select="last")
    assert weights(tmp_path) == weights(finished)
    assert (tmp_path / "log.csv").read_text() == (finished / "log.csv").read_text()
    assert curve(tmp_path) == curve(finished)


def curve(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("loss")]


def test_what_a_run_tells_is_on_disk_when_its_process_dies(manifest, tmp_path):
    class Killed(BaseException):
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_report", die_later(Killed))
        patch.setattr("torch.utils.tensorboard.SummaryWriter.close", lambda _writer: None)
        with pytest.raises(Killed):
            run(manifest, tmp_path, select="last")
        assert [step for step, _ in curve(tmp_path)] == [0]


def test_two_processes_do_not_train_in_one_folder(manifest, tmp_path):
    with alone(tmp_path), pytest.raises(DataError, match="another process is at work"):
        run(manifest, tmp_path)
    assert not (tmp_path / "log.csv").exists()
    assert run(manifest, tmp_path, epochs=1).epoch == 0


def test_a_full_disk_is_named_and_what_was_saved_goes_on(manifest, finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_after_one(torch.save))
        with pytest.raises(DataError, match="make room there"):
            run(manifest, tmp_path, select="last")
    assert not list(tmp_path.glob("*.partial"))
    run(manifest, tmp_path, select="last")
    assert weights(tmp_path) == weights(finished)


def full_after_one(save):
    calls = []

    def fail(state, path):
        calls.append(path)
        if len(calls) > 1:
            path.write_bytes(b"half")
            raise RuntimeError("[enforce fail at inline_container.cc] unexpected pos")
        save(state, path)

    return fail


def test_a_run_whose_loss_is_no_number_ends_before_it_is_a_checkpoint(manifest, finished, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(finished / "model.safetensors")
    tensors["head.bias"] = torch.full_like(tensors["head.bias"], torch.nan)
    save_file(tensors, tmp_path / "nan.safetensors")
    only = Manifest(
        records=tuple(r for r in manifest.records if r.split == "train"), labels="paper"
    )
    with pytest.raises(ConfigError, match="no number any more in epoch 1: give a smaller"):
        run(only, tmp_path / "run", select="last", weights=str(tmp_path / "nan.safetensors"))
    assert not (tmp_path / "run" / "checkpoint.json").exists()


def die_later(error):
    calls = []

    def report(*args):
        calls.append(args)
        if len(calls) == 2:
            raise error
        return lambda _loss: None

    return report


def test_a_finished_run_is_not_run_again(manifest, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "run_epoch", lambda *_: pytest.fail("it ran"))
    assert run(manifest, finished, select="last").epoch == 2


def test_the_run_tells_what_it_did(finished):
    config = json.loads((finished / "config.json").read_text())["config"]
    assert config["augmentation"]["flip"] == 0.5
    with (finished / "log.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]
    assert list(finished.glob("events.out.tfevents.*"))
    assert read_description(finished).validation["source_auc"].keys() == {"s0", "s1"}


def test_the_checkpoint_is_the_network(finished):
    description, net = read_checkpoint(finished)
    assert description.epoch == 2
    with torch.inference_mode():
        assert net(torch.zeros(1, 1, 32, 32)).shape == (1, 6)


def test_the_test_split_is_never_read(manifest, tmp_path):
    records = [*manifest.records]
    records.append(
        Record(path=tmp_path / "gone.png", source="s0", patient="t", covid=True, split="test")
    )
    run(Manifest(records=tuple(records), labels="paper"), tmp_path / "run", epochs=1)


def test_patience_ends_a_run(manifest, tmp_path):
    best = run(manifest, tmp_path, epochs=50, patience=1, learning_rate=1e-9, select="loss")
    with (tmp_path / "log.csv").open() as file:
        rows = len(list(csv.DictReader(file)))
    assert rows < 50
    assert rows == best.epoch + 2


def test_the_same_run_with_mixed_styles_ends_with_the_same_weights_and_others_than_without(
    manifest, finished, tmp_path
):
    for name in ("one", "two"):
        run(manifest, tmp_path / name, select="last", style_mix=0.5)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert weights(tmp_path / "one") != weights(finished)


def test_a_baseline_trains(manifest, tmp_path):
    run(manifest, tmp_path, mode="baseline", epochs=1)
    _, net = read_checkpoint(tmp_path)
    assert net.head.weight.shape[0] == 1


def test_frozen_stages_keep_their_weights_and_statistics(manifest):
    config = TrainConfig(**{**SETTINGS, "frozen_stages": 2, "epochs": 1})
    from ladnn.batches import load
    from ladnn.imaging import read_image

    learner = Learner(
        config, load([r for r in manifest.records if r.split == "train"], read_image), []
    )
    before = {k: v.clone() for k, v in learner.net.backbone.state_dict().items()}
    learner.run_epoch()
    after = learner.net.backbone.state_dict()
    frozen = [k for k in before if k.startswith(("conv_stem", "bn1", "blocks.0.", "blocks.1."))]
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    assert any(not torch.equal(before[k], after[k]) for k in before if k not in frozen)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"sources": ("elsewhere",)}, "no source 'elsewhere'"),
        ({"batch_size": 64}, "smaller batch"),
        ({"untrained_lesions": ("GG0",)}, "'GG0': choose one of GGO"),
        ({"lesion_targets": "none"}, "choose one of labelled, all"),
        ({"backbone": "densenet121", "frozen_stages": 1}, "no stages as frozen_stages means them"),
        ({"backbone": "densenet121", "style_mix": 0.5}, "no stages as style_mix means them"),
    ],
)
def test_what_cannot_be_trained_is_refused(manifest, tmp_path, changes, part):
    with pytest.raises((ConfigError, DataError), match=part):
        run(manifest, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_run_that_never_finished_an_epoch_does_not_block_another(manifest, tmp_path):
    training.claim(tmp_path, TrainConfig(**{**SETTINGS, "batch_size": 32}), "other data")
    assert run(manifest, tmp_path, epochs=1).epoch == 0
    assert json.loads((tmp_path / "config.json").read_text())["config"]["batch_size"] == 4


@pytest.mark.parametrize("gone", ["resume.pt", "checkpoint.json"])
def test_a_run_that_finished_an_epoch_blocks_another_whatever_is_left_of_it(
    manifest, finished, tmp_path, gone
):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / gone).unlink()
    with pytest.raises(ConfigError, match="other settings"):
        run(manifest, tmp_path, select="last", seed=3)


def test_an_image_that_cannot_be_read_leaves_no_run_behind(manifest, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    first, *rest = manifest.records
    broken = Manifest(records=(replace(first, path=tmp_path / "bad.png"), *rest), labels="paper")
    with pytest.raises(ImageError):
        run(broken, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_needs_a_folder_and_not_a_file(manifest, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match="run is a file: give the run a folder"):
        run(manifest, tmp_path / "run")


def test_a_folder_of_another_run_is_refused(manifest, finished):
    with pytest.raises(ConfigError, match="other settings"):
        run(manifest, finished, select="last", seed=3)


def test_the_configuration_of_other_results_is_not_replaced(manifest, tmp_path):
    (tmp_path / "config.json").write_text('{"bundle": "default"}')
    with pytest.raises(ConfigError, match="of other results than a run's"):
        run(manifest, tmp_path)
    assert "default" in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("name", ["checkpoint.json", "resume.pt"])
def test_a_checkpoint_without_the_configuration_of_its_run_is_not_replaced(
    manifest, tmp_path, name
):
    (tmp_path / name).write_text("copied here")
    with pytest.raises(ConfigError, match=r"checkpoint without the config\.json of its run"):
        run(manifest, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {name, LOCK_FILE}


def test_an_image_that_was_replaced_since_the_import_is_not_learned_from(manifest, tmp_path):
    first, *others = manifest.records
    first = replace(first, sha256="of another file")
    changed = Manifest(records=(first, *others), labels="paper")
    with pytest.raises(DataError, match=r"is not the file .*: import the data again"):
        run(changed, tmp_path)


def test_a_log_that_no_run_wrote_is_not_replaced(manifest, tmp_path):
    (tmp_path / "log.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"log\.csv is of no run's: give another folder"):
        run(manifest, tmp_path)
    assert (tmp_path / "log.csv").read_text() == "mine"


def test_a_run_of_a_version_that_knew_fewer_settings_goes_on(manifest, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    held = json.loads((finished / "config.json").read_text())
    del held["config"]["lesion_targets"]
    del held["config"]["untrained_lesions"]
    del held["config"]["augmentation"]["zoom"]
    (tmp_path / "config.json").write_text(json.dumps(held))
    assert run(manifest, tmp_path, select="last").epoch == 2
    with pytest.raises(ConfigError, match="other settings"):
        run(manifest, tmp_path, select="last", lesion_targets="all")


def test_a_damaged_configuration_is_named(manifest, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json is damaged"):
        run(manifest, tmp_path, select="last")


def _with_another_optimiser(whole):
    state = torch.load(io.BytesIO(whole), weights_only=True)
    state["optimiser"] = {"state": {}, "param_groups": []}
    written = io.BytesIO()
    torch.save(state, written)
    return written.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: b"nothing", id="text"),
        pytest.param(lambda whole: b"", id="empty"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="half"),
        pytest.param(lambda whole: whole.replace(b"optimiser", b"\xff" * 9), id="altered"),
        pytest.param(_with_another_optimiser, id="optimiser"),
    ],
)
def test_a_damaged_resume_file_is_named(damage, manifest, finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    whole = (folder / "resume.pt").read_bytes()
    (folder / "resume.pt").write_bytes(damage(whole))
    with pytest.raises(ConfigError, match="damaged"):
        run(manifest, folder, select="last")


def test_no_validation_needs_the_last_epoch(manifest, tmp_path):
    only = Manifest(
        records=tuple(r for r in manifest.records if r.split == "train"), labels="paper"
    )
    with pytest.raises(DataError, match="no validation"):
        run(only, tmp_path)
    assert run(only, tmp_path / "last", select="last", epochs=1).epoch == 0


def test_the_command_trains(manifest, tmp_path):
    path = tmp_path / "manifest.csv"
    write_manifest(manifest, path)
    sets = [f"--set={key}={value}" for key, value in {**SETTINGS, "epochs": 1}.items()]
    result = CliRunner().invoke(app, ["--manifest", str(path), "-o", str(tmp_path / "run"), *sets])
    assert result.exit_code == 0, result.output
    assert "validation AUC" in result.output


def test_losses_are_finite(finished):
    with (finished / "log.csv").open() as file:
        assert all(np.isfinite(float(row["loss"])) for row in csv.DictReader(file))


def test_the_lesion_settings_reach_the_loss(manifest, finished, tmp_path):
    for name, change in (
        ("all", {"lesion_targets": "all"}),
        ("fewer", {"untrained_lesions": ("GGO",)}),
    ):
        run(manifest, tmp_path / name, select="last", **change)
        assert weights(tmp_path / name) != weights(finished)

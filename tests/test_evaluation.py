"""A manifest judged: the cases, the files, the counts, and the command."""

import csv
import hashlib
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score, roc_auc_score
from typer.testing import CliRunner

from bundles import tiny_bundle, tiny_card
from ladnn import evaluation
from ladnn.bundle import StudyRule
from ladnn.commands import evaluate as command
from ladnn.dataset import Manifest, Record, write_manifest
from ladnn.errors import BundleError, DataError, LadnnError
from ladnn.evaluation import COLUMNS, evaluate, prepare_folder, write_results
from ladnn.figures.runs import read_run
from ladnn.findings import LESIONS, Decision, LesionLabels, Prediction
from ladnn.paths import alone
from ladnn.runtime import Assessment
from ladnn.scoring import Settings

QUICK = Settings(replicates=60)


class GreyPredictor:
    """Says what the image's mean grey says: 0 is a probability of 0 and 255 one of 1.

    Images of the grey `refused` are not assessable. The lesions have the same probability.
    """

    def __init__(self, mode="ladnn", refused=None):
        self.card = tiny_card(b"", mode)
        self.refused = refused

    def each(self, sources, read, finish, operating_point="balanced"):
        for source in sources:
            try:
                image = read(source)
                yield source, finish(source, image, self._assess(image, operating_point))
            except LadnnError as error:
                yield source, error

    def _assess(self, image, operating_point):
        grey = float(image.pixels.mean())
        chance, fits = grey / 255, grey != self.refused
        decision = self.card.operating_point(operating_point).decide(chance)
        prediction = Prediction(
            sha256=image.sha256,
            probability=chance,
            decision=decision if fits else Decision.NOT_ASSESSABLE,
            operating_point=operating_point,
            lesions=(chance,) * len(LESIONS) if self.card.mode == "ladnn" else None,
            score=0.9 if fits else 0.1,
            assessable=fits,
            model_name=self.card.name,
            model_version=self.card.version,
        )
        return Assessment(prediction, np.zeros((6, 1, 1), np.float32), None)


def upper_half(probabilities):
    ranked = sorted(probabilities, reverse=True)
    return np.mean(ranked[: max(2, -(-len(ranked) // 2))])


def draw(folder, name, grey):
    path = folder / name
    Image.fromarray(np.full((64, 64), grey, np.uint8)).save(path)
    return path


def make_manifest(folder, size=40, sources=("here", "there"), seed=0):
    """Images of two sources, two to a patient, brighter with COVID-19 than without."""
    generator = np.random.default_rng(seed)
    records = []
    for index in range(size):
        source, covid = sources[index % len(sources)], index // len(sources) % 4 < 2
        grey = int(np.clip(generator.normal(150 if covid else 100, 40), 0, 254))
        path = draw(folder, f"{index:03}.png", grey)
        known = covid and index % 3
        lesions = LesionLabels(values=(grey > 140, covid, None, None, False))
        records.append(
            Record(
                path=path,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                source=source,
                patient=f"{source}-{index // 4}",
                covid=covid,
                lesions=lesions if known else LesionLabels(),
                split="train" if index == size - 1 else "test",
            )
        )
    return Manifest(records=tuple(records), labels="paper")


@pytest.fixture
def manifest(tmp_path):
    return make_manifest(tmp_path)


@pytest.fixture
def found(manifest):
    return evaluate(GreyPredictor(), manifest, "test", settings=QUICK)


def written(found, folder):
    prepare_folder(folder)
    write_results(found, folder, {"seed": 0})
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


class TestCases:
    def test_are_those_of_the_split_in_the_order_of_the_manifest(self, manifest, found):
        listed = [str(record.path) for record in manifest if record.split == "test"]
        assert [case.path for case in found.cases] == listed

    def test_of_all_are_every_image(self, manifest):
        judged = evaluate(GreyPredictor(), manifest, "all", settings=QUICK)
        assert len(judged.cases) == len(manifest)

    def test_hold_a_decision_for_each_operating_point(self, found):
        assert set(found.cases[0].decisions) == {"balanced", "screening"}

    def test_of_an_unknown_split_are_refused(self, manifest):
        with pytest.raises(DataError, match="train, val, test or all"):
            evaluate(GreyPredictor(), manifest, "holdout")

    def test_of_an_empty_split_are_refused_with_those_there_are(self, manifest):
        with pytest.raises(DataError, match="no image in 'val' but train, test"):
            evaluate(GreyPredictor(), manifest, "val")

    def test_at_an_unknown_operating_point_are_refused(self, manifest):
        with pytest.raises(BundleError, match="balanced, screening"):
            evaluate(GreyPredictor(), manifest, "test", operating_point="strict")


class TestFailures:
    def test_of_all_images_are_refused_with_the_first(self, manifest):
        for record in manifest:
            record.path.unlink()
        with pytest.raises(DataError, match=r"none of the 39 images could be judged.* not exist"):
            evaluate(GreyPredictor(), manifest, "test", settings=QUICK)

    @pytest.fixture
    def broken(self, manifest):
        manifest.records[0].path.write_bytes(b"not an image")
        manifest.records[1].path.unlink()
        draw(manifest.records[2].path.parent, manifest.records[2].path.name, 255)
        return evaluate(GreyPredictor(), manifest, "test", settings=QUICK)

    def test_leave_the_others_judged(self, broken):
        assert len(broken.cases) == 36

    def test_are_named(self, manifest, broken):
        expected = [str(record.path) for record in manifest.records[:3]]
        assert [failure.path for failure in broken.failures] == expected

    def test_say_that_a_file_has_changed(self, broken):
        assert "sha256 differs" in broken.failures[2].error

    def test_are_counted_in_the_metrics(self, broken):
        assert broken.to_json()["images"] == {"listed": 39, "evaluated": 36, "failed": 3}

    def test_without_a_recorded_hash_a_file_may_be_any(self, manifest):
        record = manifest.records[0]
        bare = Record(path=record.path, source="here", patient="a", covid=True, split="test")
        judged = evaluate(GreyPredictor(), Manifest(records=(bare,)), "test", settings=QUICK)
        assert judged.failures == ()


class TestMetrics:
    def test_auc_is_that_of_the_listed_predictions(self, found, tmp_path):
        rows, metrics = written(found, tmp_path / "out")
        labels = [int(row["covid_label"]) for row in rows]
        expected = roc_auc_score(labels, [float(row["covid_probability"]) for row in rows])
        value = metrics["all"]["covid"]["per_image"]["auc"]["value"]
        assert value == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize(
        ("point", "cut"), [("0.5", 0.5), ("balanced", 0.5), ("screening", 0.2)]
    )
    def test_are_given_at_one_half_and_each_operating_point(self, found, tmp_path, point, cut):
        rows, metrics = written(found, tmp_path / "out")
        labels = [int(row["covid_label"]) for row in rows]
        calls = [float(row["covid_probability"]) >= cut for row in rows]
        at = metrics["all"]["covid"]["per_image"]["at"][point]
        assert at["f1"]["value"] == pytest.approx(f1_score(labels, calls), abs=1e-9)

    def test_intervals_hold_their_value(self, found):
        auc = found.overall.covid["per_image"].auc
        assert auc.low <= auc.value <= auc.high

    def test_are_given_for_each_source_alone(self, found):
        images = {name: group.images for name, group in found.sources.items()}
        assert images == {"here": 20, "there": 19}

    def test_of_one_source_are_those_of_all(self, tmp_path):
        judged = evaluate(
            GreyPredictor(), make_manifest(tmp_path, 8, ("here",)), "test", settings=QUICK
        )
        assert judged.sources["here"] == judged.overall

    def test_per_patient_follow_the_study_rule_of_the_card(self, found):
        """The tiny card's rule is the mean of the larger half."""
        groups = {}
        for case in found.cases:
            groups.setdefault(case.patient, []).append(case)
        labels = [any(case.label for case in cases) for cases in groups.values()]
        scores = [upper_half(case.probability for case in cases) for cases in groups.values()]
        per_patient = found.overall.covid["per_patient"]
        assert per_patient.cases == len(groups)
        assert per_patient.auc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)

    def test_per_patient_say_which_rule_they_follow(self, found):
        rule = found.to_json()["patient_rule"]
        assert (rule["fraction"], rule["minimum"], rule["chosen_on"]) == (0.5, 2, "validation")
        assert rule["meaning"].startswith("the mean probability of the largest 50%")

    def test_per_patient_say_that_nothing_was_chosen_where_validation_had_too_few_patients(
        self, manifest
    ):
        predictor = GreyPredictor()
        predictor.card = replace(predictor.card, study_rule=StudyRule())
        found = evaluate(predictor, manifest, "test", settings=QUICK)
        assert found.to_json()["patient_rule"]["chosen_on"] is None

    def test_per_patient_have_decisions_and_lesions_too(self, found):
        counts = found.overall.patient_decisions["balanced"].counts
        assert sum(counts.values()) == found.overall.patients
        assert 0 < found.overall.patient_lesions["GGO"].cases < found.overall.lesions["GGO"].cases

    def test_of_few_cases_carry_a_caution(self, found):
        assert "too few to conclude from" in found.overall.covid["per_image"].caution

    def test_patients_with_both_labels_are_counted(self, tmp_path):
        path = draw(tmp_path, "a.png", 10)
        other = draw(tmp_path, "b.png", 90)
        records = tuple(
            Record(path=p, source="x", patient="one", covid=covid)
            for p, covid in ((path, True), (other, False))
        )
        judged = evaluate(GreyPredictor(), Manifest(records=records), "all", settings=QUICK)
        assert judged.overall.mixed_patients == 1


class TestRefusals:
    @pytest.fixture
    def refusing(self, tmp_path):
        greys = [10, 60, 120, 130, 200, 240, 254, 255]
        records = tuple(
            Record(path=draw(tmp_path, f"{grey}.png", grey), source="x", patient=str(grey), covid=k)
            for grey, k in zip(greys, [False, True] * 4, strict=True)
        )
        return evaluate(
            GreyPredictor(refused=255), Manifest(records=records), "all", settings=QUICK
        )

    def test_are_counted_beside_the_indeterminate(self, refusing):
        counts = refusing.overall.decisions["balanced"].counts
        expected = {"positive": 3, "negative": 2, "indeterminate": 2, "not_assessable": 1}
        assert counts == expected

    def test_have_a_rate_with_an_interval(self, refusing):
        rate = refusing.overall.decisions["balanced"].refusal_rate
        assert rate.value == 1 / 8
        assert rate.low <= 1 / 8 <= rate.high

    def test_are_left_out_of_the_rates_of_what_was_decided(self, refusing):
        decided = refusing.overall.decisions["balanced"].decided
        counts = (decided.true_positive, decided.false_positive)
        assert counts == (1, 2)
        assert (decided.true_negative, decided.false_negative) == (1, 1)

    def test_stay_in_the_metrics_of_the_probability(self, refusing):
        assert refusing.overall.covid["per_image"].cases == 8


class TestLesions:
    def test_count_the_images_whose_lesion_is_known_alone(self, manifest, found):
        known = [r for r in manifest if r.split == "test" and r.lesions.values[0] is not None]
        assert found.overall.lesions["GGO"].cases == len(known)

    def test_that_are_nowhere_known_say_so(self, found):
        lesion = found.overall.lesions["CrPa"]
        assert (lesion.cases, lesion.auc.value) == (0, None)
        assert lesion.auc.reason.startswith("too few examples: 0 positive")

    def test_that_are_always_absent_have_a_specificity_alone(self, found):
        lesion = found.overall.lesions["InSepThi"].at["0.5"]
        assert lesion.specificity.value is not None
        assert lesion.sensitivity.reason.startswith("too few examples")

    def test_that_are_rare_keep_their_counts(self, found):
        lesion = found.overall.lesions["GGO"]
        at = lesion.at["0.5"]
        assert at.true_positive + at.false_negative == lesion.positives

    def test_of_a_baseline_are_null(self, manifest, tmp_path):
        judged = evaluate(GreyPredictor("baseline"), manifest, "test", settings=QUICK)
        rows, metrics = written(judged, tmp_path / "out")
        assert metrics["all"]["lesions"] is None
        assert rows[0]["GGO_probability"] == ""

    def test_say_whether_they_are_calibrated(self, found):
        said = found.to_json()["lesion_calibration"]
        assert (said["GGO"], said["CrPa"]) == ("calibrated", "too few examples")


class TestFiles:
    def test_predictions_have_the_columns_of_the_contract(self, found, tmp_path):
        written(found, tmp_path / "out")
        head = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8").splitlines()[0]
        assert head == (
            "path,source,patient,covid_label,covid_probability,decision,"
            "GGO_probability,GGO_label,Csld_probability,Csld_label,CrPa_probability,CrPa_label,"
            "AirBr_probability,AirBr_label,InSepThi_probability,InSepThi_label,in_distribution"
        )
        assert tuple(head.split(",")) == COLUMNS

    def test_an_unknown_lesion_is_an_empty_cell(self, found, tmp_path):
        rows, _ = written(found, tmp_path / "out")
        assert (rows[0]["GGO_label"], rows[0]["CrPa_label"]) == ("", "")
        assert rows[1]["InSepThi_label"] == "0"

    def test_probabilities_are_written_in_full(self, found, tmp_path):
        rows, _ = written(found, tmp_path / "out")
        listed = [float(row["covid_probability"]) for row in rows]
        assert listed == [case.probability for case in found.cases]

    def test_names_with_commas_and_quotes_survive(self, tmp_path):
        path = draw(tmp_path, 'a%b, "c".png.jpg', 30)
        record = Record(path=path, source="x, y", patient='p "1"', covid=True)
        judged = evaluate(GreyPredictor(), Manifest(records=(record,)), "all", settings=QUICK)
        rows, _ = written(judged, tmp_path / "out")
        assert (rows[0]["path"], rows[0]["source"]) == (str(path), "x, y")

    def test_hold_no_number_that_json_does_not_know(self, found, tmp_path):
        written(found, tmp_path / "out")

        def refuse(constant):
            raise AssertionError(constant)

        text = (tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")
        json.loads(text, parse_constant=refuse)

    def test_leave_nothing_else_in_the_folder(self, found, tmp_path):
        written(found, tmp_path / "out")
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names == ["config.json", "metrics.json", "predictions.csv"]

    def test_a_folder_that_holds_something_is_refused(self, tmp_path):
        (tmp_path / "note.txt").write_text("keep")
        with pytest.raises(DataError, match="not empty"):
            prepare_folder(tmp_path)

    def test_force_takes_a_folder_that_holds_something(self, tmp_path):
        (tmp_path / "note.txt").write_text("keep")
        prepare_folder(tmp_path, force=True)
        assert (tmp_path / "note.txt").read_text() == "keep"

    def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(DataError, match="cannot be written to: give a folder that you may"):
            prepare_folder(tmp_path)

    def test_a_file_in_place_of_the_folder_is_refused(self, tmp_path):
        (tmp_path / "out").write_text("")
        with pytest.raises(DataError, match="cannot be used"):
            prepare_folder(tmp_path / "out")

    def test_a_write_that_fails_leaves_the_old_file(self, found, tmp_path, monkeypatch):
        folder = tmp_path / "out"
        written(found, folder)
        before = (folder / "metrics.json").read_bytes()

        def refuse(self, content):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(evaluation.Path, "write_bytes", refuse)
        with pytest.raises(DataError, match="No space left"):
            write_results(found, folder, {})
        assert (folder / "metrics.json").read_bytes() == before
        assert len(list(folder.iterdir())) == 3

    @pytest.mark.parametrize("name", ["predictions.csv", "config.json", "metrics.json"])
    def test_of_a_run_killed_while_they_are_replaced_are_not_taken_for_a_result(
        self, found, tmp_path, monkeypatch, name
    ):
        folder = tmp_path / "out"
        written(found, folder)
        replace_file = evaluation.Path.replace

        def killed(self, target):
            if target.name == name:
                raise KeyboardInterrupt
            return replace_file(self, target)

        monkeypatch.setattr(evaluation.Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_results(found, folder, {})
        with pytest.raises(DataError, match="not complete, so run ladnn evaluate again"):
            read_run(folder)


class TestCommand:
    """Runs the real predictor on a bundle of a few numbers."""

    @pytest.fixture
    def arguments(self, tmp_path):
        images = tmp_path / "images"
        images.mkdir()
        write_manifest(make_manifest(images, 12), tmp_path / "manifest.csv")
        return [
            *("--bundle", str(tiny_bundle(tmp_path))),
            *("--manifest", str(tmp_path / "manifest.csv")),
            *("-o", str(tmp_path / "out")),
            *("--replicates", "50", "--threads", "1"),
        ]

    def run(self, arguments):
        return CliRunner().invoke(command.app, arguments)

    def test_writes_the_three_files(self, arguments, tmp_path):
        result = self.run(arguments)
        assert result.exit_code == 0, result.output
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names == ["config.json", "metrics.json", "predictions.csv"]

    def test_two_at_once_do_not_write_over_each_other(self, arguments, tmp_path):
        with alone(tmp_path / "out"):
            result = self.run(arguments)
        assert isinstance(result.exception, DataError)
        assert "another process is at work" in str(result.exception)
        assert self.run(arguments).exit_code == 0

    def test_writes_nothing_where_all_images_are_gone(self, arguments, tmp_path):
        for path in (tmp_path / "images").iterdir():
            path.unlink()
        result = self.run(arguments)
        assert isinstance(result.exception, DataError)
        assert not (tmp_path / "out").exists()

    def test_prints_a_table_with_each_source(self, arguments):
        text = self.run(arguments).stdout
        for words in (
            "AUC",
            "image, screening",
            "per patient",
            "here",
            "there",
            "GGO",
            "Results:",
        ):
            assert words in text

    def test_marks_lesions_that_are_not_calibrated(self, arguments):
        text = self.run(arguments).stdout
        assert "CrPa*" in text
        assert "* too few examples" in text

    def test_json_prints_what_it_writes(self, arguments, tmp_path):
        result = self.run([*arguments, "--json"])
        text = (tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")
        assert json.loads(result.stdout) == json.loads(text)

    def test_writes_the_resolved_configuration(self, arguments, tmp_path):
        self.run([*arguments, "--operating-point", "screening"])
        config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
        manifest = (tmp_path / "manifest.csv").read_bytes()
        assert config["operating_point"] == "screening"
        assert config["manifest"]["sha256"] == hashlib.sha256(manifest).hexdigest()
        assert (config["split"], config["replicates"], config["engine"]) == ("test", 50, "openvino")

    def test_takes_decisions_at_the_operating_point(self, arguments, tmp_path):
        self.run([*arguments, "--operating-point", "screening"])
        with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["decision"] for row in rows} <= {"positive", "negative", "not_assessable"}

    def test_a_broken_image_is_named_and_the_exit_code_is_one(self, arguments, tmp_path):
        (tmp_path / "images" / "000.png").write_bytes(b"nothing")
        result = self.run(arguments)
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
        assert result.exit_code == 1
        assert "000.png" in result.stderr
        assert metrics["images"] == {"listed": 11, "evaluated": 10, "failed": 1}

    def test_a_folder_in_use_is_refused_before_any_work(self, arguments, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "metrics.json").write_text("old")
        result = self.run(arguments)
        assert isinstance(result.exception, DataError)
        assert (tmp_path / "out" / "metrics.json").read_text() == "old"

    def test_a_split_without_images_is_named_as_the_user_wrote_it(self, arguments):
        result = self.run([*arguments, "--split", "val"])
        assert "no image in 'val'" in str(result.exception)

    def test_force_replaces_the_results(self, arguments, tmp_path):
        self.run(arguments)
        (tmp_path / "out" / "metrics.json").write_text("old")
        assert self.run([*arguments, "--force"]).exit_code == 0
        assert (tmp_path / "out" / "metrics.json").read_text() != "old"

    @pytest.mark.parametrize(
        "wrong",
        [
            ["--split", "holdout"],
            ["--operating-point", "strict"],
            ["--engine", "abacus"],
            ["--level", "95"],
            ["--replicates", "0"],
            ["--replicates", "39"],
        ],
    )
    def test_a_wrong_call_ends_with_two(self, arguments, wrong):
        assert self.run([*arguments, *wrong]).exit_code == 2

    def test_an_unknown_part_is_told_with_the_ones_that_there_are(self, arguments):
        told = self.run([*arguments, "--split", "holdout"]).output
        assert "give one of train, val, test, all" in re.sub(r"[\s│]+", " ", told)
        assert "Value error" not in told

    def test_same_seed_gives_the_same_metrics(self, arguments, tmp_path):
        self.run(arguments)
        once = (tmp_path / "out" / "metrics.json").read_bytes()
        self.run([*arguments, "--force"])
        assert (tmp_path / "out" / "metrics.json").read_bytes() == once

    def test_help_has_an_example(self):
        assert "Example: ladnn evaluate" in " ".join(self.run(["--help"]).stdout.split())

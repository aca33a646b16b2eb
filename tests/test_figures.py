"""Figures: what they show is what the result files say, and what is no result is refused."""

import json
import warnings
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from matplotlib import font_manager
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from ladnn.cli import app
from ladnn.dataset import Manifest, Record
from ladnn.errors import ConfigError, DataError
from ladnn.figures import (
    calibration,
    composition,
    confusion,
    curves,
    decision,
    pairs,
    paper,
    progress,
    runs,
    sources,
)
from ladnn.findings import RESEARCH_NOTICE, Lesion, LesionLabels
from ladnn.intervals import Estimate
from ladnn.statistics import roc_auc
from ladnn.summary import summarise
from results import write_result

LOG = """epoch,loss,val_loss,val_auc,best
0,0.9,0.8,0.6,True
1,0.7,0.6,0.8,True
2,0.6,0.7,0.7,False
"""


@pytest.fixture(autouse=True)
def style():
    with paper.publication():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models on the same images, the second better, and a baseline."""
    root = tmp_path_factory.mktemp("results")
    return {
        "worse": write_result(root / "worse", name="worse", trained_on=["here"]),
        "better": write_result(root / "better", name="better", better=0.2),
        "baseline": write_result(root / "baseline", name="baseline", mode="baseline"),
    }


@pytest.fixture
def both(folders):
    return runs.read_runs([folders["worse"], folders["better"]])


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def words(figure):
    """Everything written in a figure."""
    from matplotlib.text import Text

    return "\n".join(found.get_text() for found in figure.findobj(Text))


def drawn_lines(axes, label):
    return [line for line in axes.get_lines() if line.get_label().startswith(label)]


class TestCurves:
    def test_are_one_of_each_kind_for_each_run_with_a_band(self, both):
        figure = curves.draw(both)
        roc, recall = figure.axes[:2]
        for axes in (roc, recall):
            assert [len(drawn_lines(axes, name)) for name in ("worse", "better")] == [1, 1]
            assert len(axes.collections) == 2

    def test_enclose_the_area_that_the_legend_gives(self, both):
        roc = curves.draw(both).axes[0]
        for run in both:
            (line,) = drawn_lines(roc, run.label)
            area = np.trapezoid(line.get_ydata(), line.get_xdata())
            assert_allclose(area, run.scores.auc.value, atol=1e-9)
            assert f"AUC {area:.3f} ({run.scores.auc.low:.3f}" in line.get_label()

    def test_carry_a_mark_for_each_operating_point_where_its_rates_lie(self, both):
        roc = curves.draw(both[:1]).axes[0]
        marks = [
            line for line in roc.get_lines() if line.get_marker() in "o^" and line.get_xdata().size
        ]
        found = [(float(m.get_xdata()[0]), float(m.get_ydata()[0])) for m in marks]
        at = both[0].scores.at
        expected = [
            (1 - at[n].specificity.value, at[n].sensitivity.value)
            for n in ("balanced", "screening")
        ]
        assert_allclose(found, expected)

    def test_say_what_was_judged_how_sure_it_is_and_what_it_is_for(self, both):
        said = words(curves.draw(both))
        assert "n = 80 images of 40 patients (40 COVID-19 positive, 40 negative)" in said
        assert "95% percentile intervals of 40 resamples of patients" in said
        assert RESEARCH_NOTICE in said

    def test_show_their_operating_points_whole(self, both):
        for axes in curves.draw(both).axes[:2]:
            marks = [line for line in axes.get_lines() if len(line.get_xdata()) == 1]
            assert len(marks) == 4
            assert not any(mark.get_clip_on() for mark in marks)

    def test_of_one_patient_claim_no_interval(self, tmp_path):
        (run,) = runs.read_runs([write_result(tmp_path / "r", size=8)])
        rows = np.array([0, 1])
        one = replace(run, cases=run.cases.of(rows), scores=replace(run.scores, patients=1))
        for draw in (confusion.draw, lambda run: calibration.draw([run])):
            said = words(draw(one)).replace("\n  ", " ")
            assert "of 1 patient (" in said
            assert "No intervals: all images are of one patient" in said
            assert "resamples" not in said

    def test_of_one_source_are_of_its_images_alone(self, folders):
        (run,) = runs.read_runs([folders["worse"]], "here")
        assert len(run.cases) == 40
        assert_allclose(run.scores.auc.value, roc_auc(run.cases.labels, run.cases.probabilities))

    def test_of_different_images_are_refused(self, folders, tmp_path):
        other = write_result(tmp_path / "other", size=72)
        with pytest.raises(DataError, match="not of the same images"):
            curves.draw(runs.read_runs([folders["worse"], other]))

    def test_of_more_runs_than_can_be_told_apart_are_refused(self, folders):
        with pytest.raises(ConfigError, match="at most 7"):
            curves.draw(runs.read_runs([folders["worse"]] * 8))


class TestPairs:
    def test_are_ten_scatters_of_two_classes_and_five_distributions(self, both):
        grid = np.reshape(pairs.draw(both[0]).axes, (5, 5))
        scatters = [len(grid[row, column].collections) for row in range(5) for column in range(row)]
        assert scatters == [2] * 10
        assert all(grid[index, index].patches for index in range(5))

    def test_place_a_point_for_each_image_by_two_outputs(self, both):
        grid = np.reshape(pairs.draw(both[0]).axes, (5, 5))
        negatives = grid[2, 1].collections[0].get_offsets()
        cases = both[0].cases
        assert_allclose(negatives, cases.lesions[~cases.labels][:, [1, 2]])

    def test_have_no_bar_where_no_output_can_be(self, both):
        outputs = both[0].cases.lesions
        axes = pairs.draw(both[0]).axes
        for row in range(5):
            edges = axes[6 * row].dataLim
            assert edges.x0 == pytest.approx(outputs[:, row].min())
            assert edges.x1 == pytest.approx(outputs[:, row].max())

    def test_give_the_auc_of_each_output_alone(self, both):
        cases = both[0].cases
        auc = float(roc_auc(cases.labels, cases.lesions[:, 3]))
        assert f"AirBr: AUC\n{auc:.3f} (" in words(pairs.draw(both[0]))

    def test_mark_outputs_that_too_few_examples_left_uncalibrated(self, both):
        marked = words(pairs.draw(replace(both[0], uncalibrated=("CrPa",))))
        assert marked.count("CrPa*") == 3  # above its distribution, at the left and at the bottom
        assert "* too few examples" in marked
        assert "*" not in words(pairs.draw(both[0]))

    def test_of_a_baseline_are_refused(self, folders):
        with pytest.raises(DataError, match="without lesion outputs"):
            pairs.draw(runs.read_run(folders["baseline"]))


class TestCalibration:
    def test_shows_the_observed_rate_of_each_bin_that_holds_images(self, both):
        axes = calibration.draw(both).axes[0]
        cases = both[0].cases
        line = next(line for line in axes.get_lines() if line.get_marker() == "o")
        inside = (cases.probabilities > 0.4) & (cases.probabilities <= 0.5)
        places = np.asarray(line.get_xdata())
        height = np.asarray(line.get_ydata())[(places > 0.4) & (places <= 0.5)]
        assert_allclose(height, cases.labels[inside].mean())

    def test_says_why_a_bin_has_no_bar(self, both):
        said = words(calibration.draw(both)).replace("\n  ", " ")
        assert "too rarely drawn or of one class alone, which is wider in truth" in said

    def test_counts_the_images_of_every_bin(self, both):
        figure = calibration.draw(both[:1])
        assert sum(bar.get_height() for bar in figure.axes[1].patches) == 80

    def test_shows_whole_points_at_the_edges_and_whole_numbers_of_images(self, tmp_path):
        folder = write_result(tmp_path / "r", size=8)
        figure = calibration.draw(runs.read_runs([folder]))
        points = next(line for line in figure.axes[0].get_lines() if line.get_marker() == "o")
        assert not points.get_clip_on()
        assert all(float(tick).is_integer() for tick in figure.axes[1].get_yticks())

    def test_of_four_runs_is_refused(self, both):
        with pytest.raises(ConfigError, match="at most 3"):
            calibration.draw(both * 2)


class TestDecisionCurve:
    def test_begins_near_the_prevalence_for_every_model(self, both):
        axes = decision.draw(both).axes[0]
        for run in both:
            (line,) = drawn_lines(axes, run.label)
            assert_allclose(line.get_ydata()[0], 0.5, atol=0.02)

    def test_holds_the_two_ways_that_need_no_model(self, both):
        said = legend(decision.draw(both).axes[1])
        assert said[2:4] == ["call all positive", "call none positive"]

    def test_names_the_mark_of_each_operating_point(self, both):
        said = legend(decision.draw(both).axes[1])
        assert said[4:] == [f"operating point: {name}" for name in both[0].points]

    def test_marks_a_point_alike_in_models_that_have_different_ones(self, both):
        kept = dict(list(both[1].scores.at.items())[::2])  # one half, and the second point
        other = replace(both[1], scores=replace(both[1].scores, at=kept))
        for draw in (decision.draw, curves.draw):
            axes = draw([both[0], other]).axes[0]
            marks = [x.get_marker() for x in axes.get_lines() if len(x.get_xdata()) == 1]
            assert marks == ["o", "^", "^"]


class TestConfusion:
    def test_has_a_matrix_for_each_threshold_with_its_counts(self, both):
        figure = confusion.draw(both[0])
        for axes, at in zip(figure.axes, both[0].scores.at.values(), strict=False):
            counts = [int(text.get_text().split("\n")[0]) for text in axes.texts]
            assert counts == [
                at.true_positive, at.false_negative, at.false_positive, at.true_negative
            ]  # fmt: skip


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(value=1.0, low=1.0, high=1.0), "1.000 (no spread)"),
        (Estimate(value=0.9, low=0.8, high=1.0), "0.900 (0.800\N{EN DASH}1.000)"),
        (Estimate(value=0.9), "0.900"),
        (Estimate(value=None), "not defined"),
    ],
)
def test_an_interval_without_spread_is_told_as_such(estimate, words):
    assert runs.said(estimate) == words


class TestSources:
    def test_have_a_bar_of_the_auc_for_each_run_and_source(self, both):
        axes = sources.draw(both).axes[0]
        expected = [run.sources[name].auc.value for run in both for name in run.sources]
        assert_allclose([bar.get_height() for bar in axes.patches], expected)

    def test_are_hatched_where_the_model_learned_from_others(self, both):
        hatches = [bar.get_hatch() for bar in sources.draw(both).axes[0].patches]
        assert hatches == [None, "////", None, None]

    def test_keep_their_axes_wide_beside_a_run_that_learned_from_many_sources(self, both):
        many = replace(both[0], trained_on=tuple(f"a hospital far away {n}" for n in range(9)))
        with warnings.catch_warnings(), paper.publication():
            warnings.simplefilter("error")  # of axes that a label left no room
            figure = sources.draw([many, both[1]])
            figure.draw_without_rendering()
        box = figure.axes[0].get_position()
        assert box.width > 0.8


class TestTraining:
    @pytest.fixture
    def run(self, tmp_path):
        (tmp_path / "log.csv").write_text(LOG)
        return tmp_path

    def test_marks_the_epoch_that_was_kept(self, run):
        (log,) = progress.read_logs([run])
        assert (log.epochs[log.best], log.aucs[log.best]) == (2, 0.8)
        assert f"{run.name}: 0.800 at epoch 2" in words(progress.draw([log]))

    def test_of_a_run_without_an_epoch_is_refused(self, run):
        (run / "log.csv").write_text(LOG.splitlines()[0] + "\n")
        with pytest.raises(DataError, match="no epoch yet"):
            progress.read_logs([run])

    def test_of_a_log_that_holds_words_is_refused(self, run):
        (run / "log.csv").write_text(LOG.replace("0.7", "low"))
        with pytest.raises(DataError, match="no number"):
            progress.read_logs([run])

    def test_reads_the_columns_that_training_writes(self):
        from ladnn.training import CONFIG_FILE, LOG_COLUMNS, LOG_FILE

        assert progress.COLUMNS == LOG_COLUMNS
        assert (progress.LOG_FILE, progress.CONFIG_FILE) == (LOG_FILE, CONFIG_FILE)


def listing():
    """Three positives, one of them unknown, and fifteen negatives of fourteen diagnoses."""
    shown = [
        LesionLabels.from_present({Lesion.GGO}),
        LesionLabels.from_present({Lesion.GGO, Lesion.CRPA}),
        LesionLabels(),
    ]
    positives = [
        Record(path=f"{n}.png", source="a", patient=f"p{n}", covid=True, lesions=lesions)
        for n, lesions in enumerate(shown)
    ]
    negatives = [
        Record(path=f"n{n}.png", source="a", patient=f"n{n}", covid=False,
               diagnosis=f"disease {max(n, 1):02}")
        for n in range(15)
    ]  # fmt: skip
    return summarise(Manifest(records=(*positives, *negatives), labels="paper"))


class TestComposition:
    @pytest.fixture
    def axes(self):
        return composition.draw(composition.choose(listing(), None), "paper").axes

    def test_counts_the_lesions_of_each_positive_image(self, axes):
        assert [bar.get_height() for bar in axes[0].patches] == [0, 1, 1, 0, 0, 0]

    def test_says_of_how_many_images_it_knows_nothing(self, axes):
        assert any("n = 2\nlesions of 1\nmore unknown" in t.get_text() for t in axes[0].texts)

    def test_writes_the_lower_triangle_of_the_concordance(self, axes):
        cells = {t.get_position(): t.get_text() for t in axes[1].texts}
        assert (cells[0, 0], cells[0, 2], cells[2, 2]) == ("2", "1", "1")
        assert (2, 0) not in cells

    @pytest.mark.parametrize("name", ["肺" * 60, "x" * 60, "interstitial " * 6])
    def test_shortens_a_long_diagnosis_and_keeps_its_beginning(self, name):
        summary = replace(composition.choose(listing(), None), negatives={name: 3})
        label = composition.draw(summary, "paper").axes[2].get_yticklabels()[0].get_text()
        assert label.startswith(name[:11])
        assert label.endswith("…")

    def test_joins_the_rarest_diagnoses_into_one_bar(self, axes):
        assert len(axes[2].patches) == composition.MOST
        assert sum(bar.get_width() for bar in axes[2].patches) == 15

    def test_of_an_unknown_source_is_refused_with_those_there_are(self):
        with pytest.raises(DataError, match="choose of a"):
            composition.choose(listing(), "b")


def test_more_operating_points_than_there_are_marks_are_refused():
    assert len(paper.marks(["abc", "abcdef"])) == 6
    with pytest.raises(ConfigError, match="7 operating points are more than can be told apart"):
        paper.marks(["abc", "defg"])


def per_image(metrics):
    return metrics["all"]["covid"]["per_image"]


class TestReading:
    @pytest.fixture
    def result(self, tmp_path):
        return write_result(tmp_path / "result", size=16)

    def refused(self, folder, sentence):
        with pytest.raises(DataError, match=sentence):
            runs.read_run(folder)

    def test_refuses_a_folder_that_is_not_there(self, tmp_path):
        self.refused(tmp_path / "none", "there is no folder")

    def test_refuses_an_empty_folder(self, tmp_path):
        self.refused(tmp_path, r"no readable metrics.json \(no such file")

    def test_refuses_a_file_cut_in_its_middle(self, result):
        text = (result / "metrics.json").read_text()
        (result / "metrics.json").write_text(text[: len(text) // 2])
        self.refused(result, "cut off")

    def test_refuses_fewer_rows_than_were_counted(self, result):
        lines = (result / "predictions.csv").read_text().splitlines()
        (result / "predictions.csv").write_text("\n".join(lines[:-3]) + "\n")
        self.refused(result, "13 images where metrics.json counts 16")

    def test_refuses_a_row_cut_in_its_middle(self, result):
        text = (result / "predictions.csv").read_text()
        (result / "predictions.csv").write_text(text[:-40])
        self.refused(result, "cells where the head has")

    def test_refuses_results_of_no_image(self, result):
        head = (result / "predictions.csv").read_text().splitlines()[0]
        (result / "predictions.csv").write_text(head + "\n")
        self.refused(result, "holds no image")

    def test_refuses_a_probability_beyond_one(self, result):
        lines = (result / "predictions.csv").read_text().splitlines()
        cells = lines[2].split(",")
        cells[4] = "1.5"
        lines[2] = ",".join(cells)
        (result / "predictions.csv").write_text("\n".join(lines) + "\n")
        self.refused(result, "line 3 has '1.5' for a probability")

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda d: d.update(schema_version=9), "schema version 9"),
            (lambda d: d.pop("intervals"), "KeyError: 'intervals'"),
            (lambda d: d["all"]["covid"]["per_image"].update(auc=0.9), "does not hold"),
            (lambda d: d.update(images=[]), "does not hold"),
            (lambda d: per_image(d)["auc"].update(value="x"), "auc is 'x'"),
            (lambda d: per_image(d)["auc"].update(low=[]), r"auc is \[\]"),
            (lambda d: d["intervals"].update(replicates="many"), "replicates is 'many'"),
            (lambda d: d["intervals"].update(replicates=0), "replicates is 0"),
            (lambda d: d["intervals"].update(level="x"), "level is 'x'"),
            (lambda d: d["intervals"].update(seed="a"), "seed is 'a'"),
            (lambda d: d["intervals"].update(seed=-1), "seed is -1"),
            (lambda d: per_image(d).update(at={}), r"at is \{\}"),
            (lambda d: per_image(d)["at"]["0.5"].update(threshold="x"), "threshold is 'x'"),
            (lambda d: per_image(d)["at"]["0.5"].update(true_positive=0.5), "true_positive is 0.5"),
            (lambda d: per_image(d).update(positives="8"), "positives is '8'"),
            (lambda d: d.update(sources={}), r"sources is \{\}"),
            (lambda d: d.update(split=3), "split is 3"),
            (lambda d: d["sources"].pop("there"), "images of there, of which"),
            (lambda d: per_image(d)["auc"].update(value=None), "metrics.json says none"),
        ],
    )
    def test_refuses_what_another_program_wrote(self, result, change, sentence):
        path = result / "metrics.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))
        self.refused(result, sentence)

    def test_refuses_probabilities_that_make_another_auc_than_the_metrics_say(self, result):
        head, *rows = (result / "predictions.csv").read_text().splitlines()
        turned = [row.split(",") for row in rows]
        for cells in turned:
            cells[4] = str(1 - float(cells[4]))
        lines = [head, *(",".join(cells) for cells in turned)]
        (result / "predictions.csv").write_text("\n".join(lines) + "\n")
        self.refused(result, r"predictions.csv gives an AUC of 0\.\d+ for all images")

    def test_refuses_probabilities_that_were_changed_in_one_source_alone(self, result):
        path = result / "metrics.json"
        data = json.loads(path.read_text())
        data["sources"]["there"]["covid"]["per_image"]["auc"]["value"] = 0.123456
        path.write_text(json.dumps(data))
        self.refused(result, r"for there where metrics.json says 0\.123456")

    def test_refuses_an_image_that_is_listed_twice(self, result):
        lines = (result / "predictions.csv").read_text().splitlines()
        lines[2] = lines[1]
        (result / "predictions.csv").write_text("\n".join(lines) + "\n")
        self.refused(result, "images/000.png more than once")

    def test_names_two_results_of_one_model_by_their_folders(self, folders, tmp_path):
        again = write_result(tmp_path / "again", name="worse")
        named = [run.label for run in runs.read_runs([folders["worse"], again])]
        assert named == ["worse 1, worse", "worse 1, again"]

    def test_of_unlike_intervals_are_not_drawn_together(self, folders, tmp_path):
        again = write_result(tmp_path / "again", name="worse")
        path = again / "metrics.json"
        data = json.loads(path.read_text())
        data["intervals"]["level"] = 0.975
        path.write_text(json.dumps(data))
        with pytest.raises(DataError, match=r"have 95% percentile.* or 97\.5% percentile"):
            runs.read_runs([folders["worse"], again])

    def test_of_an_unknown_source_is_refused_with_those_there_are(self, folders):
        with pytest.raises(DataError, match="give one of here, there"):
            runs.read_runs([folders["worse"]], "elsewhere")


class TestFiles:
    @pytest.fixture(autouse=True)
    def _coarse(self, monkeypatch):
        monkeypatch.setattr(paper, "DPI", 40)

    def test_are_the_same_bytes_from_the_same_results(self, both, tmp_path):
        first = paper.save(confusion.draw(both[0]), tmp_path, "first")
        second = paper.save(confusion.draw(both[0]), tmp_path, "second")
        assert [path.suffix for path in first] == [".png", ".pdf"]
        assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]

    def test_embed_their_fonts_as_truetype(self, both, tmp_path):
        _, pdf = paper.save(confusion.draw(both[0]), tmp_path, "figure")
        data = pdf.read_bytes()
        assert b"/FontFile2" in data
        assert b"/Type3" not in data

    def test_take_names_with_dollars_as_they_stand(self, tmp_path):
        folder = write_result(tmp_path / "r", name="a$_{b$", size=16)
        figure = calibration.draw(runs.read_runs([folder]))
        paper.save(figure, tmp_path, "figure")


def ladnn(*arguments):
    return CliRunner().invoke(app, ["figures", *map(str, arguments)])


class TestCommand:
    def test_writes_a_png_and_a_pdf(self, folders, tmp_path):
        done = ladnn("sources", folders["worse"], "-o", tmp_path / "new")
        assert done.exit_code == 0, done.output
        assert {path.name for path in (tmp_path / "new").iterdir()} == {
            "sources.png",
            "sources.pdf",
        }

    def test_replaces_a_figure_only_when_asked(self, folders, tmp_path):
        (tmp_path / "sources.pdf").write_bytes(b"mine")
        done = ladnn("sources", folders["worse"], "-o", tmp_path)
        assert isinstance(done.exception, DataError)
        assert (tmp_path / "sources.pdf").read_bytes() == b"mine"
        assert ladnn("sources", folders["worse"], "-o", tmp_path, "--overwrite").exit_code == 0
        assert (tmp_path / "sources.pdf").read_bytes() != b"mine"

    def test_tells_which_characters_no_font_has(self, tmp_path, monkeypatch):
        monkeypatch.setattr(paper, "_CHINESE", ())
        folder = write_result(tmp_path / "r", sources=("\u533b\u9662", "there"), size=16)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            done = ladnn("sources", folder, "-o", tmp_path / "new")
        assert done.exit_code == 0, done.output
        assert "no installed font has \u533b\u9662: boxes stand there" in done.stderr

    def test_draws_chinese_where_a_font_for_it_is_installed(self, tmp_path, monkeypatch):
        fonts = files("ladnn.service").joinpath("fonts", "wqy-microhei-subset.ttf")
        manager = font_manager.fontManager
        monkeypatch.setattr(manager, "ttflist", [*manager.ttflist])
        manager.addfont(str(fonts))
        folder = write_result(tmp_path / "r", sources=("\u533b\u5386", "there"), size=16)
        done = ladnn("sources", folder, "-o", tmp_path / "new")
        assert done.exit_code == 0, done.output
        assert done.stderr == ""
        named = write_result(tmp_path / "s", name="\u533b", size=16)
        title = calibration.draw(runs.read_runs([named]))
        monkeypatch.setattr(paper, "DPI", 40)
        with paper.publication():
            paper.save(title, tmp_path, "title")
            assert paper.undrawn(title) == ""

    def test_says_which_extra_is_missing(self, folders, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
        done = ladnn("sources", folders["worse"], "-o", tmp_path)
        assert isinstance(done.exception, ConfigError)
        assert "pip install 'ladnn[figures]'" in str(done.exception)


def figure_commands():
    from typer.main import get_command

    return sorted(get_command(app).commands["figures"].commands)


@pytest.mark.parametrize("name", figure_commands())
def test_every_figure_is_explained_with_its_command(name):
    page = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "figures.md"
    assert f"$ ladnn figures {name} " in page.read_text(encoding="utf-8")

"""From result folders to tables: what is averaged, what is tested, what is printed."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from scipy.stats import t as student
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score
from typer.testing import CliRunner

from ladnn.benchmark import comparison, lesions, results, tables
from ladnn.benchmark.grid import read_grid
from ladnn.benchmark.paper import table2
from ladnn.cli import app
from ladnn.errors import ConfigError, DataError
from ladnn.evaluation import Evaluation, prepare_folder, write_results
from ladnn.findings import Decision
from ladnn.intervals import Estimate
from ladnn.paths import alone
from ladnn.scoring import HALF, Case, Settings, score
from ladnn.training import claim
from test_benchmark import GRID, write_grid

VARIANTS = """
[variants.plain]
[variants.heavy]
settings.primary_weight = 10.0
modes = ["ladnn"]
seeds = [1]
evaluate = ["val"]
"""
PAPER = '\n[paper]\nd0 = "d0"\n'


def cases(seed, *, lift, lesions=True, size=80):
    """Images of 40 patients; `lift` is how far positives score above negatives."""
    generator, truth = np.random.default_rng(seed), np.arange(size) % 2 == 0
    noise = np.random.default_rng(99).normal(size=size)  # what is hard is hard for every network
    logits = lift * truth + noise + generator.normal(size=size) / 2
    found = []
    for index, chance in enumerate(1 / (1 + np.exp(-logits + lift / 2))):
        other = generator.random(5)
        other[2:] = (other[2:] + 3 * truth[index]) / 4  # CrPa, AirBr and InSepThi tell the classes
        label = (bool(index % 3),) * 5 if truth[index] else (None,) * 5
        found.append(
            Case(
                path=f"/images/{index}.png",
                source="one",
                patient=str(index // 2),
                label=bool(truth[index]),
                probability=float(chance),
                decisions={HALF: Decision.POSITIVE if chance >= 0.5 else Decision.NEGATIVE},
                lesion_labels=label,
                lesion_probabilities=tuple(other.tolist()) if lesions else None,
            )
        )
    return tuple(found)


def write_run(output, run, found, split):
    folder = output / run.name
    claim(folder, run.config, "")
    overall = score(found, {}, Settings(replicates=40))
    evaluation = Evaluation(
        model={}, split=split, labels="paper", operating_point=HALF, settings=Settings(),
        cases=found, failures=(), overall=overall, sources={"one": overall}, calibrated={},
    )  # fmt: skip
    prepare_folder(folder / split, force=True)
    write_results(evaluation, folder / split, {"data_hash": "", "judged": list(run.judged)})


@pytest.fixture(scope="module")
def grid_file(tmp_path_factory):
    return write_grid(tmp_path_factory.mktemp("grid"), GRID + VARIANTS + PAPER)


@pytest.fixture(scope="module")
def grid(grid_file):
    return read_grid(grid_file)


@pytest.fixture(scope="module")
def output(grid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("output")
    for run in grid[1]:
        for split in run.evaluate:
            lift = {"baseline": 0.5, "ladnn": 2.0}[run.mode] + 0.5 * (run.variant == "heavy")
            found = cases(run.seed, lift=lift, lesions=run.mode == "ladnn")
            write_run(folder, run, found, split)
    return folder


@pytest.fixture(scope="module")
def collected(grid, output):
    return tables.collect(*grid, output)


def cell(mode, seeds=(0, 1), **options):
    lift = {"baseline": 0.5, "ladnn": 2.0}[mode]
    found = {s: cases(s, lift=lift, lesions=mode == "ladnn", **options) for s in seeds}
    return results.Cell(
        dataset="d0", backbone="vgg16", mode=mode, variant="plain", split="val",
        asked=3, seeds=found,
    )  # fmt: skip


# ------------------------------------------------------------------ read back


def test_what_was_written_is_read_back(grid, tmp_path):
    run = grid[1][0]
    for found in (cases(0, lift=1.0), cases(0, lift=1.0, lesions=False)):
        write_run(tmp_path, run, found, "val")
        assert results.read_cases(tmp_path / run.name / "val") == found


def test_results_of_other_settings_are_no_part_of_the_tables(grid, tmp_path):
    run = grid[1][0]
    write_run(tmp_path, run, cases(0, lift=1.0), "val")
    other = replace(run, config=replace(run.config, epochs=7))
    with pytest.raises(ConfigError, match="other settings than the grid's"):
        results.gather([other], tmp_path)


def test_results_of_other_sources_are_no_part_of_the_tables(grid, tmp_path):
    run = grid[1][0]
    write_run(tmp_path, run, cases(0, lift=1.0), "val")
    with pytest.raises(ConfigError, match="other sources than the grid's judged"):
        results.gather([replace(run, judged=("another",))], tmp_path)


def test_cells_come_split_by_split_in_the_order_of_the_grid(grid, output):
    cells = results.gather(grid[1], output)
    names = [(cell.split, cell.name, tuple(cell.seeds)) for cell in cells]
    assert names == [
        ("val", "baseline/plain", (0, 1)),
        ("val", "ladnn/plain", (0, 1)),
        ("val", "ladnn/heavy", (1,)),
        ("test", "baseline/plain", (0, 1)),
        ("test", "ladnn/plain", (0, 1)),
    ]


def test_a_run_without_its_metrics_is_not_finished(grid, tmp_path):
    run = grid[1][0]
    write_run(tmp_path, run, cases(0, lift=1.0), "val")
    (tmp_path / run.name / "val" / "metrics.json").unlink()
    assert results.gather(grid[1], tmp_path) == []


@pytest.mark.parametrize("damage", ["", "path,source\n1,2\n", "no head at all"])
def test_damaged_predictions_are_named_in_one_sentence(grid, tmp_path, damage):
    run = grid[1][0]
    write_run(tmp_path, run, cases(0, lift=1.0), "val")
    path = tmp_path / run.name / "val" / "predictions.csv"
    path.write_text(damage)
    with pytest.raises(DataError, match=r"predictions\.csv has no column .*: delete"):
        results.gather(grid[1], tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"predictions\.csv cannot be read .*: delete"):
        results.gather(grid[1], tmp_path)


def test_networks_scored_on_other_images_are_not_compared(grid, tmp_path):
    one, two, *_ = grid[1]
    write_run(tmp_path, one, cases(0, lift=1.0), "val")
    write_run(tmp_path, two, cases(0, lift=1.0)[:-1], "val")
    with pytest.raises(DataError, match="scored on other images of val than"):
        results.gather(grid[1], tmp_path)


def test_seeds_are_averaged_image_by_image():
    both = cell("ladnn")
    mean = both.averaged()
    chances = [[case.probability for case in one] for one in both.seeds.values()]
    assert [case.probability for case in mean] == pytest.approx(np.mean(chances, axis=0))
    assert both.averaged([1])[3].probability == both.seeds[1][3].probability
    outputs = [[case.lesion_probabilities for case in one] for one in both.seeds.values()]
    expected = np.mean(outputs, axis=0)
    assert np.allclose([case.lesion_probabilities for case in mean], expected)


# ------------------------------------------------------------------ measured and tested


def test_the_mean_over_seeds_and_its_interval_agree_with_other_packages():
    found = comparison.summarise(cell("ladnn", seeds=(0, 1, 2)))
    each = {name: [] for name in found}
    for seed in (0, 1, 2):
        one = cases(seed, lift=2.0)
        truth = [case.label for case in one]
        chances = np.array([case.probability for case in one])
        each["auc"].append(roc_auc_score(truth, chances))
        each["sensitivity"].append(recall_score(truth, chances >= 0.5))
        each["f1"].append(f1_score(truth, chances >= 0.5))
        each["accuracy"].append(accuracy_score(truth, chances >= 0.5))
    for name, values in each.items():
        estimate = found[name].over_seeds
        error = np.std(values, ddof=1) / np.sqrt(3)
        low, high = student.interval(0.95, df=2, loc=np.mean(values), scale=error)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
            (np.mean(values), low, high), abs=1e-6
        )


def test_a_difference_is_of_the_seeds_that_both_have():
    test = comparison.compare(cell("ladnn", seeds=(0, 1, 2)), cell("baseline", seeds=(1, 2, 5)))
    assert test.seeds == (1, 2)
    one, two = (cell(mode, seeds=(1, 2)).averaged() for mode in ("ladnn", "baseline"))
    truth = [case.label for case in one]
    auc = [roc_auc_score(truth, [case.probability for case in item]) for item in (one, two)]
    assert test.differences["auc"].value == pytest.approx(auc[0] - auc[1], abs=1e-9)
    assert test.delong.value == pytest.approx(auc[0] - auc[1], abs=1e-9)


def test_a_real_difference_is_found_and_none_is_not():
    better = comparison.compare(cell("ladnn"), cell("baseline"))
    assert better.differences["auc"].low > 0
    assert better.differences["auc"].p_value < 0.05
    assert better.delong.p_value < 0.05
    same = comparison.compare(cell("ladnn"), cell("ladnn"))
    assert same.differences["auc"].value == 0
    assert same.differences["auc"].p_value == 1


def test_cells_without_a_common_seed_are_not_compared():
    assert comparison.compare(cell("ladnn", seeds=(0,)), cell("baseline", seeds=(1,))) is None


def test_every_variant_meets_its_baseline_and_the_first_variant(collected):
    pairs = [(test.first.split, test.first.name, test.second.name) for test in collected.tests]
    assert pairs == [
        ("val", "ladnn/plain", "baseline/plain"),
        ("val", "ladnn/heavy", "baseline/plain"),
        ("val", "ladnn/heavy", "ladnn/plain"),
        ("test", "ladnn/plain", "baseline/plain"),
    ]


# ------------------------------------------------------------------ lesions


def test_a_lesion_that_tells_the_classes_is_told_from_one_that_does_not():
    found = lesions.report(cell("ladnn"))
    assert found.covid["CrPa"].low > 0.9 > found.covid["GGO"].value
    assert found.groups.low > 0
    assert found.either_way.low > 0
    assert found.pairs["AirBr", "Csld"].p_value < 0.01
    one = cell("ladnn").averaged()
    expected = roc_auc_score([c.label for c in one], [c.lesion_probabilities[0] for c in one])
    assert found.covid["GGO"].value == pytest.approx(expected, abs=1e-9)


def test_an_output_that_tells_by_being_low_counts_either_way():
    truth = np.arange(40) % 2 == 0
    low = -truth[:, None].astype(float)
    assert lesions.mean_auc(truth, low) == 0
    assert lesions.mean_separation(truth, low) == 1


def test_the_mean_auc_of_lesions_is_that_of_each():
    generator = np.random.default_rng(0)
    truth, outputs = generator.random(50) < 0.5, generator.random((50, 3))
    each = [roc_auc_score(truth, column) for column in outputs.T]
    assert lesions.mean_auc(truth, outputs) == pytest.approx(np.mean(each), abs=1e-9)
    weights = generator.integers(0, 3, (4, 50))
    weighted = [
        np.mean([roc_auc_score(truth, column, sample_weight=row) for column in outputs.T])
        for row in weights
    ]
    assert lesions.mean_auc(truth, outputs, weights) == pytest.approx(weighted, abs=1e-9)


def test_a_baseline_has_no_lesion_report():
    assert lesions.report(cell("baseline")) is None


# ------------------------------------------------------------------ tables


def test_the_paper_s_figures_are_those_of_its_table():
    figures = table2()
    assert len(figures) == 4 * 7 * 4
    assert figures["auc", "DenseNet-169", "d0", "ladnn"] == pytest.approx(0.912)
    assert figures["f1", "VGG-16", "d0d1", "ladnn"] == pytest.approx(0.879)


def test_the_tables_put_the_paper_s_figure_beside_each_cell(collected):
    cells = [(replace(one, backbone="vgg16"), found) for one, found in collected.cells]
    tests = [
        replace(t, first=replace(t.first, backbone="vgg16"),
                second=replace(t.second, backbone="vgg16"))
        for t in collected.tests
    ]  # fmt: skip
    page = tables.markdown(replace(collected, cells=tuple(cells), tests=tuple(tests)))
    (row,) = [r for r in page.splitlines() if r.startswith("| AUC | VGG-16")][:1]
    heads = ("AUC", "VGG-16")
    metric, name, baseline, paper, ladnn, paper_ladnn, change, p, delong, seeds = (
        part.strip() for part in row.strip("|").split("|")
    )
    assert (metric, name) == heads
    assert (paper, paper_ladnn) == ("81.3", "89.8")
    assert tables.DASH in baseline
    assert tables.DASH in ladnn
    assert change.startswith("+")
    assert p.startswith(("<", "."))
    assert delong.startswith(("<", "."))
    assert seeds == "2/2 of 2"


def test_the_files_are_written_and_agree(collected, tmp_path):
    paths = tables.write_tables(collected, tmp_path)
    assert [path.name for path in paths] == [
        "table2.csv", "differences.csv", "lesions.csv", "table2.md", "table2.tex",
    ]  # fmt: skip
    with (tmp_path / "differences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * len(collected.tests)
    assert [row["delong_p"] != "" for row in rows[:4]] == [False, True, False, False]
    page, tex = (tmp_path / "table2.md").read_text(), (tmp_path / "table2.tex").read_text()
    assert "research use only" in page
    assert (
        page.count("\n## ") == tex.count(r"\begin{table}") == 7
    )  # three cells by variant, the variants, three of lesions
    assert "_" not in tex.replace(r"\_", "")
    assert tex.count("{") == tex.count("}")  # each table is whole, in its box


def test_the_note_of_a_grid_stands_over_its_tables(collected):
    noted = replace(collected, grid=replace(collected.grid, note="These are no results."))
    assert tables.markdown(noted).splitlines()[2] == "These are no results."
    assert "% These are no results." in tables.latex(noted)


# ------------------------------------------------------------------ the command


def test_the_command_writes_tables_of_what_is_done(grid_file, output, tmp_path):
    shutil.copytree(output, tmp_path, dirs_exist_ok=True)
    command = ["benchmark", str(grid_file), "--manifest", "none.csv", "-o", str(tmp_path)]
    found = CliRunner().invoke(app, [*command, "--tables"])
    assert found.exit_code == 0, found.output
    assert "research use only" in found.output
    assert (tmp_path / "table2.tex").exists()


def test_tables_of_nothing_are_not_written(grid_file, tmp_path):
    command = ["benchmark", str(grid_file), "--manifest", "none.csv", "-o", str(tmp_path / "typo")]
    found = CliRunner().invoke(app, [*command, "--tables"])
    assert isinstance(found.exception, DataError)
    assert "no run of the grid is done" in str(found.exception)
    assert not (tmp_path / "typo").exists()


def test_a_benchmark_is_refused_where_another_is_at_work(grid_file, tmp_path):
    image = tmp_path / "manifest.csv"
    image.write_text("path,source,patient,covid,split\nimage.png,one,1,1,train\n")
    command = ["benchmark", str(grid_file), "--manifest", str(image), "-o", str(tmp_path / "out")]
    with alone(tmp_path / "out"):
        found = CliRunner().invoke(app, command)
    assert "another process is at work" in str(found.exception)


def test_an_end_below_nothing_has_the_sign_of_the_other_numbers():
    found = tables._percent(Estimate(value=0.1, low=-0.05, high=0.25))
    assert found == "10.0 (\N{MINUS SIGN}5.0\N{EN DASH}25.0)"


def test_an_address_without_ray_is_a_wrong_call(grid_file, tmp_path):
    command = ["benchmark", str(grid_file), "--manifest", "none.csv", "-o", str(tmp_path)]
    found = CliRunner().invoke(app, [*command, "--address", "auto"])
    assert found.exit_code == 2
    assert "--engine ray" in found.output

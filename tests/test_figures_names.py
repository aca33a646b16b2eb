"""Names in legends: short, different where folders differ, and whole within the figure."""

import warnings
from pathlib import Path

import pytest

from ladnn.figures import calibration, curves, decision, names, paper, progress, runs
from results import write_result

GRID = [f"d0/efficientnet_lite0/{one}/seed-0" for one in ("baseline/plain", "ladnn/weight-10")]


@pytest.fixture(autouse=True)
def style():
    with paper.publication():
        yield


class TestShort:
    def test_keep_the_parts_in_which_runs_of_a_grid_differ(self):
        assert names.short(GRID) == ["baseline/plain", "ladnn/weight-10"]

    def test_drop_what_paths_of_unlike_length_begin_with(self):
        assert names.short(["d0/net/one", "d0/net/two/seed-0"]) == ["one", "two/seed-0"]
        assert names.short(["d0/net", "d0/net/two"]) == ["net", "net/two"]

    @pytest.mark.parametrize("alike", [["default 9"], ["default 9", "paper-d0 3"], [GRID[0]] * 2])
    def test_stay_where_there_is_nothing_to_drop(self, alike):
        assert names.short(alike) == alike


class TestToldApart:
    def test_carry_the_part_of_the_path_that_differs(self):
        folders = [Path("a/plain/seed-0"), Path("a/weight-10/seed-0"), Path("a/plain/seed-1")]
        assert names.told_apart(["one", "one", "two"], folders) == [
            "one, plain", "one, weight-10", "two"
        ]  # fmt: skip

    def test_carry_as_many_parts_as_several_folders_need(self):
        folders = [Path("x/a/s"), Path("x/b/s"), Path("y/b/s")]
        assert names.told_apart(["n"] * 3, folders) == ["n, x/a", "n, x/b", "n, y/b"]

    def test_are_one_for_a_folder_that_is_given_twice(self):
        assert len(set(names.told_apart(["n"] * 2, [Path("a"), Path("./a")]))) == 1

    def test_hold_for_results_and_for_training_runs(self, tmp_path):
        folders = [tmp_path / name / "test" for name in ("a", "b")]
        for folder in folders:
            write_result(folder, size=16)
            (folder / "log.csv").write_text("epoch,loss,val_loss,val_auc,best\n0,1,1,0.5,True\n")
            (folder / "config.json").write_text(
                '{"config": {"backbone": "net", "mode": "ladnn", "seed": 0}, "bundle": {}}'
            )
        assert [run.label for run in runs.read_runs(folders)] == ["drawn 1, a", "drawn 1, b"]
        assert [log.label for log in progress.read_logs(folders)] == [
            "net, ladnn, seed 0, a",
            "net, ladnn, seed 0, b",
        ]


def cut_off(figure):
    """Texts that reach beyond the figure; a layout that found no room raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    keys = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    titles = [axes._left_title for axes in figure.axes]
    shown = titles + [text for key in keys for text in key.get_texts()]
    page = figure.bbox
    return [
        text.get_text()
        for text in shown
        if (box := text.get_window_extent()).x1 > page.x1 + 1 or box.x0 < -1 or box.y0 < -1
    ]


def overlap(figure):
    """Whether two legends cover one another."""
    boxes = [axes.get_legend().get_window_extent() for axes in figure.axes if axes.get_legend()]
    return any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize("draw", [curves.draw, decision.draw, calibration.draw])
def test_long_names_are_whole_and_leave_the_axes_their_room(draw, tmp_path):
    long = ["d0/a_backbone_of_a_long_name/ladnn/plain/seed-0", "another hospital's " * 5, "short"]
    folders = [write_result(tmp_path / str(n), name=name) for n, name in enumerate(long)]
    figure = draw(runs.read_runs(folders))
    assert cut_off(figure) == []
    assert not overlap(figure)
    assert figure.axes[0].get_window_extent().width > figure.bbox.width / 5

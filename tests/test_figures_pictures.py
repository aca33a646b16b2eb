"""Figures that show images, reports and networks: what is drawn is what the files hold."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from bundles import tiny_bundle
from ladnn.bundle import load_bundle
from ladnn.dataset import Manifest, Record
from ladnn.errors import BundleError, ConfigError, DataError, ImageError
from ladnn.evaluation import evaluate, prepare_folder, write_results
from ladnn.figures import architecture, attention, captions, layers, paper, runs
from ladnn.heatmaps import MAPS, Heatmaps, read_heatmaps
from ladnn.phantom import thorax
from ladnn.reports import label_report
from ladnn.runtime import Predictor
from ladnn.scoring import Settings
from ladnn.stored import Stored
from results import write_result

SIZE = (80, 100)  # height and width of the drawn images


@pytest.fixture(autouse=True)
def style():
    with paper.publication():
        yield


def words(figure):
    from matplotlib.text import Text

    return [found.get_text() for found in figure.findobj(Text) if found.get_text()]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two results of the same drawn images, with maps that peak at their probability."""
    root = tmp_path_factory.mktemp("looking")
    (root / "images").mkdir()
    for index in range(48):
        picture = np.full(SIZE, index, dtype=np.uint8)
        Image.fromarray(picture).save(root / "images" / f"{index:03}.png")
    for name, seed in (("first", 1), ("second", 2)):
        folder = write_result(root / name, name=name, size=48, seed=seed, root=root)
        cases = runs.read_run(folder).cases
        values = np.zeros((48, 6, 4, 4), dtype=np.float16)
        values[:, 0, 1, 2] = cases.probabilities
        boxes = np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (48, 1))
        maps = Heatmaps(paths=cases.paths, values=values, boxes=boxes)
        (folder / MAPS).write_bytes(maps.to_bytes())
    return attention.read_looking(runs.read_runs([root / "first", root / "second"]))


def _of_one_image(one, path):
    """The same result and maps, but of the one image at `path`."""
    rows = np.array([0], dtype=np.intp)
    cases = dataclasses.replace(one.run.cases.of(rows), paths=(path,))
    maps = Heatmaps(paths=(path,), values=one.maps.values[:1], boxes=one.maps.boxes[:1])
    return attention.Looking(run=dataclasses.replace(one.run, cases=cases), maps=maps)


class TestMaps:
    def test_are_rows_of_image_map_overlay_map_overlay(self, pair):
        figure = attention.draw(*pair, [0, 5, 9], {})
        panels = [axes for axes in figure.axes if axes.images]
        assert len(panels) == 15

    def test_stand_in_line_in_every_row(self, pair):
        figure = attention.draw(*pair, [0, 5, 9], {})
        figure.draw_without_rendering()
        panels = [axes.get_position() for axes in figure.axes if axes.images]
        for row in range(3):
            line = panels[5 * row : 5 * row + 5]
            assert_allclose([box.y0 for box in line], line[0].y0, atol=1e-6)
            assert_allclose([box.y1 for box in line], line[0].y1, atol=1e-6)

    def test_carry_the_probability_of_each_model(self, pair):
        said = words(attention.draw(*pair, [4], {}))
        for one in pair:
            assert f"{one.run.cases.probabilities[4]:.2f}" in said

    @pytest.mark.parametrize(
        ("boxes", "picked", "sentence"),
        [
            ({}, False, "COVID-19 positive images, one a patient, at even steps"),
            ({"any.png": []}, False, "Images with boxes"),
            ({f"{n}.png": [] for n in range(12)}, False, "The first 10 of 12 images with boxes"),
            ({}, True, "Images named by hand"),
        ],
    )
    def test_say_how_their_images_were_chosen(self, pair, boxes, picked, sentence):
        said = " ".join(words(attention.draw(*pair, [4], boxes, picked=picked)))
        assert sentence in said.replace("\n  ", " ")

    def test_are_brightest_where_the_model_looked(self, pair):
        figure = attention.draw(*pair, [4], {})
        shown = np.asarray(figure.axes[1].images[0].get_array()).astype(int)
        red = shown[..., 0]
        row, column = np.unravel_index(red.argmax(), red.shape)
        assert (row * 4 // SIZE[0], column * 4 // SIZE[1]) == (1, 2)

    def test_are_of_the_same_image_where_a_result_lists_the_images_in_another_order(
        self, pair, tmp_path
    ):
        folder = tmp_path / "turned"
        shutil.copytree(pair[1].run.folder, folder)
        head, *rows = (folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
        turned = "\n".join([head, *reversed(rows)])
        (folder / "predictions.csv").write_text(turned, encoding="utf-8")
        maps = read_heatmaps(folder, pair[1].run.cases.paths)
        back = slice(None, None, -1)
        maps = Heatmaps(paths=maps.paths[back], values=maps.values[back], boxes=maps.boxes[back])
        (folder / MAPS).write_bytes(maps.to_bytes())
        _, second = attention.read_looking(runs.read_runs([pair[0].run.folder, folder]))
        assert second.run.cases.paths == second.maps.paths == pair[0].run.cases.paths
        assert_allclose(second.run.cases.probabilities, pair[1].run.cases.probabilities)
        assert_allclose(second.maps.values, pair[1].maps.values)

    def test_show_the_boxes_that_were_given_at_their_place(self, pair):
        path = pair[0].run.cases.paths[3]
        figure = attention.draw(*pair, [3], {path: [(10.0, 20.0, 40.0, 60.0)]})
        (box,) = figure.axes[0].patches
        assert (*box.get_xy(), box.get_width(), box.get_height()) == (10, 20, 30, 40)

    @pytest.mark.parametrize(
        "box", [(0.0, 0.0, 700.0, 400.0), (700.0, 400.0, 1400.0, 800.0), (1100.0, 0.0, 1400.0, 1.0)]
    )
    def test_take_boxes_in_pixels_of_an_image_that_is_reduced_when_read(self, pair, tmp_path, box):
        path = str(tmp_path / "large.png")
        Image.new("L", (1400, 800)).save(path)
        first, second = (_of_one_image(one, path) for one in pair)
        figure = attention.draw(first, second, [0], {path: [box]})
        (drawn,) = figure.axes[0].patches
        height, width, _ = figure.axes[0].images[0].get_array().shape
        x, y = drawn.get_xy()
        corners = [(x, y), (x + drawn.get_width(), y + drawn.get_height())]
        wanted = np.reshape(box, (2, 2)) / (1400, 800)
        assert_allclose(np.array(corners) / (width, height), wanted, atol=1e-9)

    def test_refuse_a_box_beyond_its_image(self, pair):
        path = pair[0].run.cases.paths[3]
        with pytest.raises(DataError, match="beyond its 100 x 80 pixels"):
            attention.draw(*pair, [3], {path: [(10.0, 20.0, 101.0, 60.0)]})

    def test_refuse_an_image_that_is_gone(self, pair):
        first, second = pair
        gone = tuple(f"{path}.gone" for path in first.run.cases.paths)
        cases = dataclasses.replace(first.run.cases, paths=gone)
        run = dataclasses.replace(first.run, cases=cases)
        with pytest.raises(ImageError):
            attention.draw(dataclasses.replace(first, run=run), second, [0], {})


class TestChoiceOfRows:
    def test_takes_ten_positives_of_ten_patients_from_the_most_to_the_least_certain(self, pair):
        cases = pair[1].run.cases
        rows = attention.choose(pair[1].run, (), {})
        chances = cases.probabilities[rows]
        assert len(rows) == 10
        assert cases.labels[rows].all()
        assert len({cases.patients[row] for row in rows}) == 10
        assert_allclose(chances, sorted(chances, reverse=True))
        assert chances[0] == cases.probabilities[cases.labels].max()

    def test_takes_the_images_that_have_boxes(self, pair):
        run = pair[1].run
        boxes = {run.cases.paths[7]: [(0, 0, 1, 1)], run.cases.paths[2]: [(0, 0, 1, 1)]}
        assert attention.choose(run, (), boxes) == [7, 2]

    def test_takes_those_that_are_named_before_all(self, pair):
        assert attention.choose(pair[1].run, ["images/011.png"], {}) == [11]

    @pytest.mark.parametrize("name", ["11.png", "", "none.png"])
    def test_refuses_a_name_of_no_image(self, pair, name):
        with pytest.raises(DataError, match="names no image"):
            attention.choose(pair[1].run, [name], {})

    def test_refuses_more_than_fit(self, pair):
        with pytest.raises(ConfigError, match="at most 10"):
            attention.choose(pair[1].run, ["000.png"] * 11, {})


class TestBoxes:
    def read(self, folder, pair, *lines):
        file = folder / "boxes.csv"
        file.write_text("\n".join(["path,x0,y0,x1,y1", *lines]) + "\n")
        return attention.read_boxes(file, pair[0].run)

    def test_are_kept_by_image(self, pair, tmp_path):
        found = self.read(tmp_path, pair, "001.png,1,2,3,4", "001.png,5,6,7,8")
        assert found == {pair[0].run.cases.paths[1]: [(1, 2, 3, 4), (5, 6, 7, 8)]}

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("001.png,1,2,x,4", "line 2 has a corner that is no number"),
            ("001.png,3,2,1,4", "line 2 is no box"),
            ("001.png,nan,2,1,4", "line 2 is no box"),
            ("999.png,1,2,3,4", "names no image"),
            ("001.png,1,2,3", "4 cells where the head has 5"),
        ],
    )
    def test_that_are_none_are_refused(self, pair, tmp_path, line, sentence):
        with pytest.raises(DataError, match=sentence):
            self.read(tmp_path, pair, line)


class TestHeatmapFile:
    def test_gives_the_maps_back(self, pair):
        run, kept = pair[0].run, pair[0].maps
        again = read_heatmaps(run.folder, run.cases.paths)
        assert_allclose(again.values[:, 0].max(axis=(1, 2)), run.cases.probabilities, atol=1e-3)
        assert kept.to_bytes() == again.to_bytes()

    def test_that_is_missing_says_how_to_make_it(self, pair, tmp_path):
        with pytest.raises(DataError, match="evaluate --maps --force"):
            read_heatmaps(tmp_path, pair[0].run.cases.paths)

    def test_that_is_cut_off_is_refused(self, pair, tmp_path):
        data = pair[0].maps.to_bytes()
        (tmp_path / MAPS).write_bytes(data[: len(data) // 2])
        with pytest.raises(DataError, match="cut off"):
            read_heatmaps(tmp_path, pair[0].run.cases.paths)

    def test_with_a_byte_that_changed_is_read_or_refused(self, pair, tmp_path):
        data, paths = pair[0].maps.to_bytes(), pair[0].run.cases.paths
        refused = 0
        for place in range(0, len(data), 97):
            (tmp_path / MAPS).write_bytes(
                data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]
            )
            try:
                read_heatmaps(tmp_path, paths)
            except DataError:
                refused += 1
        assert refused > len(data) / 97 / 2

    def test_of_other_images_is_refused(self, pair):
        with pytest.raises(DataError, match="not of the images"):
            read_heatmaps(pair[0].run.folder, ("another.png",))


def test_evaluation_keeps_the_maps_of_every_image_and_removes_those_of_an_earlier_one(tmp_path):
    records = []
    for seed in range(3):
        Image.fromarray(thorax(seed)).save(tmp_path / f"{seed}.png")
        path = tmp_path / f"{seed}.png"
        records.append(
            Record(path=path, source="a", patient=f"p{seed}", covid=seed == 1, split="val")
        )
    predictor = Predictor(load_bundle(tiny_bundle(tmp_path)), engine="onnxruntime", threads=1)
    manifest, results = Manifest(records=tuple(records)), tmp_path / "results"
    prepare_folder(results)
    found = evaluate(predictor, manifest, "val", settings=Settings(replicates=40), maps=True)
    write_results(found, results, {})
    cases = runs.read_run(results).cases
    maps = read_heatmaps(results, cases.paths)
    expected = np.where(maps.values[:, 0].any(axis=(1, 2)), cases.probabilities, 0)
    assert_allclose(maps.values[:, 0].max(axis=(1, 2)), expected, atol=1e-3)
    again = evaluate(predictor, manifest, "val", settings=Settings(replicates=40))
    write_results(again, results, {})
    assert not (results / MAPS).exists()


CAPTION = "CT of COVID-19 shows ground-glass opacities (GGO) and no consolidation."


def record(name, caption, patient="p"):
    return Record(path=name, source="a", patient=patient, covid=True, caption=caption)


class TestReports:
    def test_mark_what_is_asserted_and_leave_what_is_denied(self):
        found = captions.pieces(label_report(CAPTION))
        assert [(p.text, p.kind) for p in found if p.kind] == [
            ("COVID-19", "COVID-19"),
            ("ground-glass opacities", "GGO"),
            ("GGO", "GGO"),
        ]

    def test_leave_what_states_nothing_of_covid(self):
        said = (
            "Possible COVID-19. No evidence of tuberculosis or lung cancer. Possible consolidation."
        )
        found = captions.pieces(label_report(said))
        assert [(p.text, p.kind) for p in found if p.kind] == [("consolidation", "Csld")]

    def test_lose_no_word_of_the_text(self):
        found = captions.pieces(label_report(CAPTION))
        assert "".join(p.text for p in found).replace(" ", "") == CAPTION.replace(" ", "")

    def test_are_cut_where_they_would_not_fit(self):
        found = captions.pieces(label_report(CAPTION * 40))
        assert found[-1].text == "..."
        assert sum(len(piece.text) for piece in found) <= captions._LONGEST + 3

    def test_stay_within_their_column(self):
        placed = captions.flow(captions.pieces(label_report(CAPTION * 5)))
        assert all(x + captions._breadth(captions._set(p)) <= captions._WIDTH for x, _, p in placed)
        assert placed[-1][1] > 3

    def test_are_shared_by_the_images_of_one_caption(self):
        manifest = Manifest(records=(record("a.png", CAPTION), record("b.png", CAPTION)))
        (case,) = captions.cases(manifest)
        assert len(case.records) == 2

    def test_chosen_show_as_many_lesions_as_they_can(self):
        texts = ["GGO.", "GGO with crazy paving.", "Consolidation.", "Normal lungs.", "GGO."]
        manifest = Manifest(
            records=tuple(record(f"{n}.png", t, f"p{n}") for n, t in enumerate(texts))
        )
        chosen = captions.choose(captions.cases(manifest), ())
        assert [case.report.text for case in chosen] == [texts[1], texts[2], texts[0]]

    def test_of_an_image_that_is_named_show_it_first(self):
        manifest = Manifest(records=tuple(record(Path(f"{n}.png"), CAPTION) for n in (12, 2, 3)))
        (case,) = captions.choose(captions.cases(manifest), ["2.png"])
        assert [one.path.name for one in case.records] == ["2.png", "12.png", "3.png"]

    @pytest.mark.parametrize(("name", "which"), [("", "no image"), ("1.png", "several images")])
    def test_of_no_single_image_are_refused(self, name, which):
        paths = (Path("a/1.png"), Path("b/1.png"))
        found = captions.cases(Manifest(records=tuple(record(p, CAPTION) for p in paths)))
        with pytest.raises(DataError, match=f"names {which} with a report"):
            captions.choose(found, [name])

    def test_of_no_caption_are_refused(self):
        with pytest.raises(DataError, match="no image of the manifest has a caption"):
            captions.cases(Manifest(records=(record("a.png", " "),)))

    def test_stand_beside_their_image(self, tmp_path):
        Image.fromarray(thorax(1)).save(tmp_path / "a.png")
        cases = captions.cases(Manifest(records=(record(tmp_path / "a.png", CAPTION),)))
        figure = captions.draw(captions.choose(cases, ["a.png"]))
        assert len([axes for axes in figure.axes if axes.images]) == 1
        assert " ground-glass opacities [GGO] " in words(figure)


def convolution(name, inputs, outputs, side):
    return layers.Convolution(
        name=name, inputs=inputs, outputs=outputs, seen=side, height=side, width=side
    )


class TestStages:
    def test_hand_on_what_the_next_one_takes_in(self):
        found = layers.stages(
            [
                convolution("features.conv0", 1, 64, 112),
                convolution("features.denseblock1.denselayer1.conv1", 64, 128, 56),
                convolution("features.denseblock1.denselayer1.conv2", 128, 32, 56),
                convolution("features.transition1.conv", 96, 48, 56),
            ],
            48,
        )
        assert [(s.name, s.channels, s.height, s.convolutions) for s in found] == [
            ("conv0", 64, 112, 1), ("denseblock1", 96, 56, 2), ("transition1", 48, 56, 1)
        ]  # fmt: skip

    def test_of_numbered_layers_are_told_by_their_size(self):
        found = layers.stages(
            [
                convolution(f"features.{n}", 8, 8, side)
                for n, side in ((0, 224), (2, 224), (5, 112))
            ],
            None,
        )
        assert [(s.name, s.convolutions) for s in found] == [("224 x 224", 2), ("112 x 112", 1)]

    def test_leave_out_convolutions_of_a_pooled_vector(self):
        found = layers.stages(
            [convolution("blocks.0.0.conv", 1, 8, 9), convolution("blocks.0.0.se.fc", 8, 2, 1)], 8
        )
        assert found[0].convolutions == 1


@pytest.fixture(scope="module")
def network():
    return layers.read_networks(load_bundle("paper-d0"))[0]


class TestArchitecture:
    def test_of_the_shipped_bundle_is_that_of_its_backbone(self, network):
        from ladnn.backbones import BACKBONES

        stages = BACKBONES["efficientnet_lite0"].build().feature_info
        side = load_bundle("paper-d0").card.input_size
        by_name = {stage.name: stage for stage in network.stages}
        assert network.members == 3
        for stage in stages:
            drawn = by_name[stage["module"]]
            assert (drawn.channels, side // drawn.height) == (stage["num_chs"], stage["reduction"])

    def test_draws_a_block_for_image_stages_and_pool(self, network):
        figure = architecture.draw(load_bundle("paper-d0"), [network])
        rectangles = [p for p in figure.axes[0].patches if p.get_width() > 0]
        assert len(rectangles) == 1 + len(network.stages) + 1
        assert any("Interlobular septal thickening" in text for text in words(figure))

    def test_of_default_has_a_network_from_imagenet_and_one_from_chest_ct(self):
        found = layers.read_networks(load_bundle("default"))
        assert [(one.backbone, one.side) for one in found] == [
            ("efficientnet_lite0", 256), ("resnet_ct", 160)
        ]  # fmt: skip

    def test_of_a_graph_without_names_is_refused(self, tmp_path):
        with pytest.raises(BundleError, match="no names that tell stages"):
            layers.read_networks(load_bundle(tiny_bundle(tmp_path)))


EXPECTED = {
    "resnet18": [("conv1", 64), ("layer1", 64), ("layer2", 128), ("layer3", 256), ("layer4", 512)],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_stages_of_an_exported_network_are_read_from_its_graph(name, tmp_path):
    import torch

    from ladnn.conversion import to_onnx
    from ladnn.graph import BundleGraph
    from ladnn.model import LesionNet

    torch.manual_seed(0)
    net = LesionNet(name, "baseline", weights="random", input_size=64).eval()
    card = SimpleNamespace(members=[SimpleNamespace(backbone=name)])
    bundle = SimpleNamespace(model=to_onnx(BundleGraph([net]), (64, 64)), path=tmp_path, card=card)
    (found,) = layers.read_networks(bundle)
    card.members.append(SimpleNamespace(backbone="another"))
    with pytest.raises(BundleError, match="has no another as member 2, which its card names"):
        layers.read_networks(bundle)
    assert [(stage.name, stage.channels) for stage in found.stages] == EXPECTED[name]
    assert (found.outputs, found.hidden, found.map_size) == (1, (), (2, 2))
    assert (found.backbone, found.members, found.side) == (name, 1, 64)


def test_networks_that_differ_are_drawn_one_below_the_other(tmp_path):
    import torch

    from ladnn.conversion import to_onnx
    from ladnn.graph import BundleGraph
    from ladnn.model import LesionNet

    torch.manual_seed(0)
    names = ("resnet18", "resnet_ct", "resnet18")
    sides = (64, 96, 48)
    nets = [
        LesionNet(name, weights="random", input_size=side).eval()
        for name, side in zip(names, sides, strict=True)
    ]
    nets[2].load_state_dict(nets[0].state_dict())  # one file holds the kernels of both once
    card = SimpleNamespace(
        name="mixed",
        version="1",
        backbone="resnet18+resnet_ct",
        members=[SimpleNamespace(backbone=name) for name in names],
        combination={"logits": "mean over 3 members"},
    )
    model = to_onnx(BundleGraph(nets, stored=Stored.INT8), (96, 96))
    found = layers.read_networks(SimpleNamespace(model=model, path=tmp_path, card=card))
    assert [(n.backbone, n.members, n.side, n.embedding) for n in found] == [
        ("resnet18", 2, 64, 512), ("resnet_ct", 1, 96, 1024)
    ]  # fmt: skip
    assert [(s.name, s.height, s.convolutions) for s in found[0].stages[:2]] == [
        ("conv1", 32, 1), ("layer1", 16, 4)
    ]  # fmt: skip
    figure = architecture.draw(SimpleNamespace(card=card), found)
    assert len(figure.axes) == 2
    assert {"resnet18", "resnet_ct"} <= set(words(figure))
    assert any("2 networks of resnet18; logits: mean over 3 members" in w for w in words(figure))

"""The parts of an audit, one by one, on pictures and numbers whose answer is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from albums import write_csv
from bundles import tiny_bundle, tiny_card
from ladnn.audit import (
    alterations,
    leaks,
    lungs,
    outside,
    people,
    sensitivity,
    shortcuts,
    subgroups,
    subjects,
)
from ladnn.audit.answers import Table, few, number, words
from ladnn.audit.attention import energy_inside
from ladnn.audit.labels import suspected
from ladnn.bundle import Learned, find_bundle, read_card
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.errors import DataError
from ladnn.evaluation import SCHEMA_VERSION
from ladnn.imaging import read_image
from ladnn.inspection import Problem
from ladnn.intervals import Difference, Estimate
from ladnn.lungfield import TISSUE_LEVEL, model_input
from ladnn.phantom import thorax
from ladnn.scoring import Case, Settings

QUICK = Settings(replicates=40)
RNG = np.random.default_rng(0)


def listed(*names, source="here", split="train", covid=True):
    return [
        Record(path=Path(name), source=source, patient=name, covid=covid, split=split)
        for name in names
    ]


def cases(positives, negatives):
    """One image of each of so many patients."""
    return [
        Case(
            path=f"{n}.png",
            source="here",
            patient=str(n),
            label=n < positives,
            probability=0.5,
            decisions={},
        )
        for n in range(positives + negatives)
    ]


@pytest.fixture(scope="module")
def square():
    return model_input(thorax(3, size=(256, 320)), 224)[0]


class TestLungs:
    def test_of_a_phantom_are_dark_and_most_of_what_is_dark_inside_the_body(self, square):
        mask = lungs.lung_mask(square)
        assert 0.15 < mask.mean() < 0.7
        assert square[mask].mean() < 0.6 * square[~mask].mean()

    def test_are_filled_over_a_small_opacity(self, square):
        rows, columns = np.nonzero(lungs.lung_mask(square))
        middle = rows == int(np.median(rows))
        row, column = int(np.median(rows)), int(np.median(columns[middle][: middle.sum() // 2]))
        spotted = square.copy()
        spotted[row - 4 : row + 4, column - 4 : column + 4] = 200
        assert lungs.lung_mask(spotted)[row, column]

    def test_are_gone_when_blanked_and_the_chest_wall_is_not(self, square):
        mask = lungs.lung_mask(square)
        blank = lungs.without_lungs(square, mask)
        assert np.ptp(blank[mask]) == 0
        assert abs(int(blank[mask][0]) - int(TISSUE_LEVEL)) < 15
        assert 0.05 < (blank == square).mean() < 1 - mask.mean()

    def test_are_gone_from_the_border_too_when_that_alone_is_kept(self, square):
        mask = lungs.lung_mask(square)
        kept, blank = lungs.border_alone(square, mask), lungs.without_lungs(square, mask)
        assert (kept[mask] == blank[mask]).all()
        assert np.ptp(kept[22:-22, 22:-22]) == 0
        assert (kept[:22] == blank[:22]).all()

    @pytest.mark.parametrize("share", [0.5, 0.8])
    def test_are_filled_with_the_grey_that_tissue_has_in_the_image(self, square, share):
        pale = (square * share).astype(np.uint8)
        mask = lungs.lung_mask(pale)
        filled = int(lungs.without_lungs(pale, mask)[mask][0])
        assert abs(filled - share * TISSUE_LEVEL) < 15

    def test_of_a_flat_picture_are_none(self):
        assert lungs.lung_mask(np.full((64, 64), 7, np.uint8)) is None

    def test_are_not_air_outside_the_body(self):
        """A body in the middle of air, with two holes: the holes are lungs, the air is not."""
        square = np.full((100, 100), 20, np.uint8)
        square[10:90, 10:90] = 200
        square[25:75, 18:45] = square[25:75, 55:82] = 40
        mask = lungs.lung_mask(square)
        assert mask[50, 30]
        assert mask[50, 70]
        assert not mask[50, 3]
        assert not mask[50, 50]


class TestAlterations:
    @pytest.mark.parametrize("name", alterations.ALTERATIONS)
    def test_change_the_picture_and_keep_its_kind(self, name):
        pixels = thorax(1, size=(90, 120))
        before = pixels.copy()
        changed = alterations.ALTERATIONS[name].change(pixels, np.random.default_rng(0))
        assert changed.dtype == np.uint8
        assert changed.ndim == 2
        assert changed.shape != pixels.shape or (changed != pixels).any()
        assert (pixels == before).all()

    def test_of_aspect_and_crop_have_the_shape_that_they_name(self):
        pixels = np.zeros((100, 200), np.uint8)
        assert alterations.stretch(0.8)(pixels, RNG).shape == (100, 160)
        assert alterations.crop(0.05)(pixels, RNG).shape == (90, 180)

    def test_cover_every_kind_that_reviewers_ask_for(self):
        kinds = {one.kind for one in alterations.ALTERATIONS.values()}
        assert kinds == {
            "arrows", "text", "JPEG quality", "window", "contrast", "aspect ratio", "crop"
        }  # fmt: skip

    def test_survive_a_picture_of_few_pixels(self):
        pixels = np.zeros((8, 9), np.uint8)
        for alteration in alterations.ALTERATIONS.values():
            assert min(alteration.change(pixels, np.random.default_rng(0)).shape) > 0


class TestSensitivity:
    def test_names_the_worst_of_a_kind(self):
        def row(name, shift):
            found = Estimate(value=shift, low=shift - 0.01, high=shift + 0.01)
            return (name, 9, found, found, found, found, found, Difference(value=None, reason="x"))

        sentence = sensitivity._sentence(
            "crop", [row("5% cut off each side", 0.1), row("10% cut off each side", 0.2)]
        )
        assert sentence.startswith("Crop: the probability moves by .200 (.190 to .210)")
        assert "10% cut" in sentence


class TestAttention:
    def test_of_a_map_inside_the_lungs_is_whole(self):
        mask = np.zeros((64, 64), bool)
        mask[:, :32] = True
        heatmap = np.zeros((4, 4), np.float32)
        heatmap[:, 0] = 1
        assert energy_inside(heatmap, mask) > 0.97

    def test_of_an_even_map_is_the_area_of_the_lungs(self):
        mask = np.zeros((64, 64), bool)
        mask[:16] = True
        assert energy_inside(np.ones((4, 4), np.float32), mask) == pytest.approx(0.25)

    def test_of_an_empty_map_is_not_defined(self):
        assert energy_inside(np.zeros((4, 4), np.float32), np.ones((8, 8), bool)) is None


class TestLabels:
    def test_that_were_swapped_are_suspected_and_no_others(self):
        rng = np.random.default_rng(0)
        truth = np.arange(200) % 2
        chances = np.clip(truth * 0.8 + 0.1 + rng.normal(0, 0.05, 200), 0, 1)
        wrong = set(range(0, 200, 13))
        labels = truth.copy()
        labels[list(wrong)] = 1 - labels[list(wrong)]
        found = suspected(labels, chances)
        assert len(found) > len(wrong) / 2
        assert set(found) <= wrong


class TestProbe:
    def test_finds_what_the_features_hold_and_nothing_in_noise(self):
        rng = np.random.default_rng(0)
        truth = np.arange(200) % 2
        telling = rng.normal(size=(200, 8)) + truth[:, np.newaxis]
        noise = rng.normal(size=(200, 8))
        for features, right in ((telling, True), (noise, False)):
            probe = shortcuts._probe(features[:100], truth[:100])
            share = (probe.predict(features[100:]) == truth[100:]).mean()
            assert (share > 0.85) == right


class TestSample:
    def test_holds_the_cap_of_each_source_in_the_order_of_the_manifest(self):
        records = listed(*"abcdef") + listed(*"xyz", source="there")
        found = subjects.capped(records, 4, 0)
        assert [r.source for r in found] == ["here"] * 4 + ["there"] * 3
        assert list(found) == [r for r in records if r in found]

    def test_by_source_and_label_holds_as_many_of_either_label(self):
        records = listed(*"abcdefgh", covid=False) + listed(*"xyz")
        found = subjects.capped(records, 2, 0, subjects.by_source_and_label)
        assert [r.covid for r in found] == [False, False, True, True]

    def test_of_one_source_does_not_depend_on_another(self):
        alone = subjects.capped(listed(*"abcdef"), 3, 5)
        beside = subjects.capped(listed(*"xyzuvw", source="there") + listed(*"abcdef"), 3, 5)
        assert [r for r in beside if r.source == "here"] == list(alone)


class TestPeople:
    def test_are_found_by_file_name_with_or_without_its_extension(self, tmp_path):
        rows = [("File name", "Age", "Gender"), ("a.png", "41", "M "), ("b", "40+", "F")]
        table = write_csv(tmp_path / "p.csv", rows)
        found = people.read_people(table, listed("x/a.png", "x/b.png", "x/c.png"))
        assert found == {
            Path("x/a.png"): people.Person(age=41, sex="male"),
            Path("x/b.png"): people.Person(age=40, sex="female"),
        }

    def test_of_a_file_name_that_two_sources_share_are_given_to_neither(self, tmp_path):
        rows = [("image", "age", "sex"), ("1.png", "70", "m"), ("1", "71", "m"), ("2", "41", "f")]
        table = write_csv(tmp_path / "p.csv", rows)
        records = listed("a/1.png", "a/2.png") + listed("b/1.png", "c/1.jpg", source="there")
        found = people.read_people(table, records)
        assert found == {Path("a/2.png"): people.Person(age=41, sex="female")}

    def test_of_unknown_age_are_no_number(self, tmp_path):
        rows = [("image", "age", "sex"), ("a.png", "Young Child", "")]
        found = people.read_people(write_csv(tmp_path / "p.csv", rows), listed("a.png"))
        assert found[Path("a.png")] == people.Person()

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
    def test_are_read_in_the_encodings_of_the_authors(self, tmp_path, encoding):
        rows = [("image", "age", "sex"), ("患者.png", "7", "f")]
        table = write_csv(tmp_path / "p.csv", rows, encoding)
        assert people.read_people(table, listed("患者.png"))[Path("患者.png")].age == 7

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            ([], "is empty"),
            ([("image", "age")], "no column gender or sex"),
            ([("image", "age", "sex"), ("a.png", "1")], "line 2 has 2 cells"),
            ([("image", "age", "sex"), ("z.png", "1", "m")], "lists none of the manifest's images"),
        ],
    )
    def test_of_a_wrong_table_are_one_sentence(self, tmp_path, rows, words):
        with pytest.raises(DataError, match=words):
            people.read_people(write_csv(tmp_path / "p.csv", rows), listed("a.png"))


class TestOutside:
    MANIFEST = Manifest(
        records=tuple(listed("a") + listed("b", source="there") + listed("c", split="test"))
    )

    def test_takes_the_sources_of_the_card(self):
        card = tiny_card(b"", training={"members": [{"config": {"sources": ["there"]}}]})
        assert outside.learned_from(card, self.MANIFEST) == Learned(
            sources=("there",), complete=True
        )

    def card_that_names_none(self, **changes):
        return tiny_card(b"", training={"members": [{"config": {"sources": []}}]}, **changes)

    def test_takes_all_with_training_images_where_the_manifest_is_that_of_training(self):
        hashed = hash_records(r for r in self.MANIFEST if r.split == "train")
        card = self.card_that_names_none(data_hash=hashed)
        found = outside.learned_from(card, self.MANIFEST)
        assert found == Learned(sources=("here", "there"), complete=True)

    def test_takes_what_export_recorded_where_the_members_name_none(self):
        card = tiny_card(b"", training={"members": [{"config": {}}], "sources": ["there"]})
        found = outside.learned_from(card, self.MANIFEST)
        assert (found.saw("there"), found.saw("here")) == (True, False)

    def test_knows_of_another_manifest_only_the_sources_of_validation(self):
        card = self.card_that_names_none(metrics={"sources": {"there": {}}})
        found = outside.learned_from(card, self.MANIFEST)
        assert (found.saw("there"), found.saw("here")) == (True, None)

    @pytest.mark.parametrize(
        ("source", "saw"), [("covid-ct", True), ("sarscov2-ct", True), ("my-hospital", False)]
    )
    def test_knows_all_that_the_shipped_model_saw_from_its_card(self, source, saw):
        """Its members name no source, and the manifest has test images alone."""
        card = read_card(find_bundle("default"))
        manifest = Manifest(records=tuple(listed("a", source=source, split="test")))
        assert outside.learned_from(card, manifest).saw(source) is saw

    def test_concludes_nothing_where_the_card_does_not_say(self, tmp_path):
        training = {"members": [{"config": {"sources": []}}]}
        folder = self.results(tmp_path, tiny_bundle(tmp_path, training=training))
        found = outside.answer(tiny_card(b""), self.MANIFEST, [], QUICK, results=[folder])
        assert found.findings[0].startswith("Not answered: no image examined is known to be")
        assert "is not known of left-out on there: nothing is concluded" in found.findings[1]
        assert found.tables[0].rows[0][1] == "unknown: its card does not say"

    AUC = {"value": 0.7, "low": 0.6, "high": 0.8, "reason": None}  # noqa: RUF012  (never changed)

    def results(self, folder, bundle, version=SCHEMA_VERSION, sha256=None, level=0.95):
        if sha256 is None:
            sha256 = read_card(bundle).sha256 if bundle.exists() else ""
        covid = {"per_image": {"auc": self.AUC, "caution": None}}
        group = {"images": 50, "patients": 9, "covid": covid}
        metrics = {"model": {"name": "left-out"}, "sources": {"there": group}}
        metrics |= {"schema_version": version, "intervals": {"level": level}}
        (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        config = {"bundle": {"path": str(bundle), "sha256": sha256}}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder

    def test_reads_results_of_a_bundle_trained_without_a_source(self, tmp_path):
        training = {"members": [{"config": {"sources": ["here"]}}]}
        folder = self.results(tmp_path, tiny_bundle(tmp_path, training=training))
        (row,) = outside.read_results(folder, self.MANIFEST, 0.95)
        assert row.cells[:5] == ("left-out", "here", "there", 50, 9)
        assert row.cells[5] == Estimate(**self.AUC)
        assert row.seen is False

    def test_says_nothing_of_what_a_bundle_that_is_gone_saw(self, tmp_path):
        folder = self.results(tmp_path, tmp_path / "gone")
        found = outside.answer(tiny_card(b""), self.MANIFEST, [], QUICK, results=[folder])
        assert found.findings[0].startswith("Not answered")
        assert found.tables[0].rows[0][1] == "unknown: its bundle is gone"

    def test_says_nothing_of_what_another_bundle_in_its_place_saw(self, tmp_path):
        folder = self.results(tmp_path, tiny_bundle(tmp_path), sha256="0" * 64)
        (row,) = outside.read_results(folder, self.MANIFEST, 0.95)
        assert (row.cells[1], row.seen) == ("unknown: its bundle is gone", None)

    def test_refuses_intervals_of_another_level(self, tmp_path):
        folder = self.results(tmp_path, tmp_path / "bundle", level=0.5)
        with pytest.raises(DataError, match="has 50% intervals and this audit 95%"):
            outside.read_results(folder, self.MANIFEST, 0.95)

    def test_refuses_results_of_another_version(self, tmp_path):
        folder = self.results(tmp_path, tmp_path / "bundle", version=1)
        with pytest.raises(DataError, match="has schema version 1 and this ladnn reads 2"):
            outside.read_results(folder, self.MANIFEST, 0.95)

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "{",
            '{"schema_version": 2, "model": {}, "sources": {"a": {}}}',
            '{"schema_version": 2, "bundle": {"path": "b"}, "model": {"name": "m"}, "sources": []}',
        ],
    )
    def test_refuses_results_that_are_not_whole(self, tmp_path, text):
        for name in ("metrics.json", "config.json"):
            (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match="run"):
            outside.read_results(tmp_path, self.MANIFEST, 0.95)


class TestLeaks:
    def test_tell_pairs_that_are_known_from_near_duplicates(self):
        found = [
            Problem(kind=kind, error=error, paths=(), sentence="")
            for kind, error in (("leak", True), ("known", False), ("known", False))
        ]
        (told,) = leaks._sentences(found)
        assert told == (
            "0 patients and 1 pair of near-duplicates lie on two sides of the split, as do 2 pairs "
            "less alike and known to belong together; 2 of these 3 leaks are acknowledged with a "
            "reason."
        )


class TestSubgroups:
    def test_rank_no_group_whose_number_is_not_defined(self):
        none = Estimate(value=None, reason="no negative cases")
        some = [Estimate(value=value, low=value, high=value) for value in (0.8, 0.9)]
        rows = [("a", 40, 40, 80, some[0], *some, ""), ("b", 40, 40, 80, some[1], *some, "")]
        alone = ("positives only", 40, 0, 40, none, some[0], none, "")
        (told,) = subgroups._sentences(Table(title="By size", heads=(), rows=(*rows, alone)))
        assert told.startswith("By size: AUC is lowest for a with .800")


class TestWords:
    @pytest.mark.parametrize(
        ("cell", "text"),
        [
            (0.5, ".500"),
            (-0.05, "-.050"),
            (1.0, "1.000"),
            (12, "12"),
            (None, ""),
            (Estimate(value=0.9, low=0.8, high=0.95), ".900 (.800 to .950)"),
            (Estimate(value=1.0, low=1.0, high=1.0), "1.000 (no spread)"),
            (Estimate(value=None, reason="no negative cases"), "undefined (no negative cases)"),
        ],
    )
    def test_give_a_number_with_its_interval(self, cell, text):
        assert words(cell) == text

    def test_round_to_three_decimals(self):
        assert number(0.99951) == "1.000"

    def test_call_few_what_has_under_thirty_patients_of_a_class(self):
        assert few(cases(29, 99))
        assert not few(cases(30, 30))
        assert few(cases(29, 30) * 2), "many images of the same patients are no more of them"


def test_the_overlay_of_a_jpeg_is_decoded_again(tmp_path):
    """`jpeg` returns pixels, not an image that still reads from its buffer."""
    changed = alterations.jpeg(10)(np.asarray(Image.new("L", (16, 16), 128)), RNG)
    assert changed.shape == (16, 16)


@pytest.mark.real
class TestRealImages:
    def test_have_their_lungs_found_in_nine_of_ten(self, data_root):
        paths = sorted((data_root / "covid-ct" / "CT_NonCOVID").iterdir())[::16]
        masks = [lungs.lung_mask(model_input(read_image(path).pixels, 224)[0]) for path in paths]
        assert np.mean([mask is not None for mask in masks]) >= 0.9

    def test_have_ages_and_sexes_in_the_table_of_the_collection(self, data_root):
        folder = data_root / "covid-ct"
        records = listed(*map(str, (folder / "CT_COVID").iterdir()))
        found = people.read_people(folder / "meta" / "COVID-CT-MetaInfo.csv", records)
        assert sum(one.age is not None for one in found.values()) > 150
        assert {one.sex for one in found.values()} == {"male", "female", None}

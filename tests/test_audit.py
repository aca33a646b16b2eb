"""An audit as a whole: drawn images of two sources, one small bundle, one report."""

import hashlib
import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from bundles import TOO_FEW, tiny_bundle
from ladnn.audit import mistakes
from ladnn.audit.examination import Plan, examine
from ladnn.audit.report import markdown, published, read_report
from ladnn.audit.writing import write
from ladnn.cli import app
from ladnn.commands import audit as command
from ladnn.dataset import Manifest, Record, hash_records, write_manifest
from ladnn.errors import ConfigError, DataError
from ladnn.findings import RESEARCH_NOTICE, LesionLabels
from ladnn.phantom import thorax
from ladnn.runtime import Predictor, load_bundle
from ladnn.scoring import Settings

ROOT = Path(__file__).resolve().parents[1]
QUICK = Settings(replicates=40)
QUESTIONS = (
    "performance",
    "leaks",
    "sources",
    "lungs",
    "outside",
    "sensitivity",
    "attention",
    "subgroups",
    "mistakes",
    "labels",
    "calibration",
    "refusals",
)


def record(folder, number, source, split):
    """One phantom; two images to a patient; the file and its names hold what escapes must bear."""
    path = folder / f"{source} <{number:02}>|a.png"
    covid = number // 2 % 2 == 0
    Image.fromarray(thorax(number + 100 * (source == "there"), size=(96, 120))).save(path)
    return Record(
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        source=source,
        patient=f"{source}-{number // 2}",
        covid=covid,
        lesions=LesionLabels(values=(True, False, False, False, False) if covid else (None,) * 5),
        split=split,
    )


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    records = [
        record(folder, number, source, "train" if number < 22 else "test")
        for source in ("here", "there")
        for number in range(36)
    ]
    return Manifest(records=tuple(records), labels="paper")


def card_changes(manifest):
    learned = [r for r in manifest if r.source == "here" and r.split == "train"]
    config = {"config": {"sources": ["here"]}}
    return {"training": {"members": [config]}, "data_hash": hash_records(learned)}


@pytest.fixture(scope="module")
def bundle(manifest, tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), **card_changes(manifest))


@pytest.fixture(scope="module")
def predictor(bundle):
    return Predictor(load_bundle(bundle), threads=1)


PLAN = Plan(settings=QUICK, cap=12, sample=4)


@pytest.fixture(scope="module")
def audit(predictor, manifest):
    return examine(predictor, manifest, PLAN)


@pytest.fixture(scope="module")
def folder(audit, tmp_path_factory):
    target = tmp_path_factory.mktemp("audit")
    write(audit, target)
    return target


@pytest.fixture
def report(folder):
    return read_report(folder / "audit.json")


def answer(report, key):
    return next(one for one in report["answers"] if one["key"] == key)


class TestExamination:
    def test_answers_every_question(self, report):
        assert tuple(one["key"] for one in report["answers"]) == QUESTIONS

    def test_tells_each_finding_in_a_sentence(self, report):
        sentences = [finding for one in report["answers"] for finding in one["findings"]]
        assert [s for s in sentences if not s.endswith(".") or "None" in s or "nan" in s] == []

    def test_has_a_finding_for_each_question(self, report):
        assert all(one["findings"] for one in report["answers"])

    def test_says_which_lesion_maps_had_too_few_examples(self, report):
        names = [row[0] for row in answer(report, "attention")["tables"][0]["rows"]]
        assert [n.split()[0] for n in names if "too few examples" in n] == list(TOO_FEW)

    def test_takes_at_most_the_cap_of_each_source(self, audit):
        sources = [subject.case.source for subject in audit.subjects]
        assert (sources.count("here"), sources.count("there")) == (12, 12)

    def test_draws_the_same_sample_for_the_same_seed(self, audit, predictor, manifest):
        again = examine(predictor, manifest, PLAN)
        assert again.to_json() == audit.to_json()

    def test_says_that_the_manifest_is_that_of_training(self, report):
        assert "exactly those that the bundle learned from" in report["remarks"][0]

    def test_names_the_source_that_the_bundle_never_saw(self, report):
        (finding,) = answer(report, "outside")["findings"]
        assert finding.startswith("tiny, which learned from here, has AUC ")
        assert "on there, which it never saw (12 images" in finding

    def test_concludes_nothing_from_few_images(self, report):
        rows = answer(report, "subgroups")["tables"][0]["rows"]
        assert all(row[-1].startswith("under 30") for row in rows)
        assert "no group is large enough" in answer(report, "subgroups")["findings"][0]
        assert "too few to conclude from" in answer(report, "sensitivity")["findings"][-1]
        assert "too small to conclude from" in answer(report, "sources")["findings"][-1]
        lungs = [one for one in answer(report, "lungs")["findings"] if "AUC" in one]
        assert all(one.endswith("too few patients to conclude from.") for one in lungs)

    def test_says_that_the_probabilities_of_test_images_are_out_of_sample(self, report):
        assert "They are out of sample" in answer(report, "labels")["method"]

    def test_says_so_when_images_were_learned_from(self, predictor, manifest):
        found = examine(predictor, manifest, replace(PLAN, split="train"))
        labels = next(one for one in found.answers if one.key == "labels")
        assert "NOT all out of sample" in labels.method
        assert any("numbers on those are too good" in remark for remark in found.remarks)

    def test_takes_images_without_a_split_for_learned_from(self, predictor, manifest):
        records = tuple(replace(record, split="") for record in manifest if record.split == "train")
        found = examine(predictor, Manifest(records=records), replace(PLAN, split="all"))
        labels = next(one for one in found.answers if one.key == "labels")
        assert "NOT all out of sample" in labels.method
        assert any("not of the test split" in remark for remark in found.remarks)

    def test_leaves_out_images_that_are_gone_and_names_them(self, predictor, manifest, tmp_path):
        gone = replace(manifest.records[-1], path=tmp_path / "gone.png")
        found = examine(
            predictor, Manifest(records=(*manifest.records[:-1], gone)), replace(PLAN, cap=20)
        )
        assert [record.path.name for record, _ in found.failures] == ["gone.png"]

    def test_without_any_readable_image_is_one_sentence(self, predictor, manifest, tmp_path):
        gone = Manifest(records=tuple(replace(r, path=tmp_path / r.path.name) for r in manifest))
        with pytest.raises(DataError, match="none of the 24 images could be read"):
            examine(predictor, gone, PLAN)


class TestReport:
    def test_files_are_all_there(self, folder):
        names = {path.name for path in folder.iterdir()}
        assert names == {"audit.json", "audit.md", "audit.html", "mistakes"}

    def test_page_needs_no_other_file(self, folder, report):
        page = (folder / "audit.html").read_text(encoding="utf-8")
        assert page.count("data:image/jpeg;base64,") == len(answer(report, "mistakes")["sheets"])
        assert 'src="mistakes' not in page
        assert "http" not in page

    def test_page_says_which_image_an_overlay_is_of_and_its_tables_scroll_by_keys(self, folder):
        page = (folder / "audit.html").read_text(encoding="utf-8")
        assert 'alt="Image 1 of the table above' in page
        assert "<figcaption>Image 1</figcaption>" in page
        assert page.count('class="wide"') == page.count('tabindex="0"')

    def test_page_takes_a_file_name_for_text(self, folder):
        page = (folder / "audit.html").read_text(encoding="utf-8")
        assert "there <" not in page
        assert "there &lt;" in page

    def test_says_that_it_is_for_research(self, folder):
        for name in ("audit.html", "audit.md", "audit.json"):
            assert RESEARCH_NOTICE in (folder / name).read_text(encoding="utf-8")

    def test_links_in_markdown_lead_to_the_overlays(self, folder, report):
        text = (folder / "audit.md").read_text(encoding="utf-8")
        sheets = answer(report, "mistakes")["sheets"]
        assert sheets
        assert all(f"({sheet})" in text and (folder / sheet).exists() for sheet in sheets)

    def test_tables_in_markdown_have_rows_of_one_width(self, report):
        lines = markdown(report).replace("\\|", "/").splitlines()
        blocks = "\n".join(line if line.startswith("|") else "" for line in lines).split("\n\n")
        widths = [{line.count("|") for line in block.split("\n") if line} for block in blocks]
        assert all(len(block) <= 1 for block in widths)

    def test_published_part_names_no_image(self, report):
        text = published([report])
        assert ".png" not in text
        assert "mistakes/" not in text
        assert "## `tiny`, version 1" in text

    def test_page_of_the_documentation_is_made_from_it(self, folder):
        script = runpy.run_path(str(ROOT / "docs" / "audit.py"))
        text = script["page"]([folder / "audit.json"])
        assert text.startswith("# Audit\n")
        assert ".png" not in text

    def test_of_another_version_is_refused(self, tmp_path):
        (tmp_path / "audit.json").write_text('{"schema_version": 99}', encoding="utf-8")
        with pytest.raises(DataError, match="run it again"):
            read_report(tmp_path / "audit.json")


class TestWriting:
    def test_replaces_an_audit_and_nothing_else(self, audit, tmp_path):
        (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
        (tmp_path / "mistakes").mkdir()
        (tmp_path / "mistakes" / "mine.jpg").write_bytes(b"mine")
        (tmp_path / "mistakes" / "01-old.jpg").write_bytes(b"old")
        listing = json.dumps({"answers": [{"sheets": ["mistakes/01-old.jpg"]}, {"sheets": []}]})
        (tmp_path / "audit.json").write_text(listing, encoding="utf-8")
        write(audit, tmp_path)
        assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
        assert (tmp_path / "mistakes" / "mine.jpg").read_bytes() == b"mine"
        assert not (tmp_path / "mistakes" / "01-old.jpg").exists()

    def test_needs_no_place_but_the_folder(self, audit, tmp_path, writable_within):
        writable_within(tmp_path)
        write(audit, tmp_path)
        names = {"audit.json", "audit.md", "audit.html", "mistakes"}
        assert {path.name for path in tmp_path.iterdir()} == names

    def test_leaves_nothing_behind_when_an_overlay_cannot_be_drawn(
        self, audit, tmp_path, monkeypatch
    ):
        def broken(path):
            raise DataError(f"{path} is gone")

        monkeypatch.setattr(mistakes, "read_image", broken)
        target = tmp_path / "out"
        target.mkdir()
        with pytest.raises(DataError, match="is gone"):
            write(audit, target)
        assert list(target.iterdir()) == []
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


class TestCommand:
    @pytest.fixture
    def arguments(self, manifest, bundle, tmp_path):
        listed = tmp_path / "m.csv"
        write_manifest(manifest, listed)
        options = ["--manifest", str(listed), "--cap", "6", "--sample", "2", "--replicates", "40"]
        return ["audit", str(bundle), *options, "-o", str(tmp_path / "out")]

    def test_prints_the_findings_and_where_the_report_is(self, arguments, tmp_path):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert "audit.html" in done.output
        assert RESEARCH_NOTICE in done.output
        assert json.loads((tmp_path / "out" / "audit.json").read_text())["plan"]["cap"] == 6

    def test_refuses_a_folder_that_is_not_empty(self, arguments, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("x", encoding="utf-8")
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, DataError)
        assert "--force" in str(done.exception)

    def test_says_what_to_install_where_the_extra_is_not(self, arguments, monkeypatch):
        def absent(name):
            raise ModuleNotFoundError(name=name)

        monkeypatch.setattr(command, "import_module", absent)
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, ConfigError)
        assert "pip install 'ladnn[audit]'" in str(done.exception)

    def test_refuses_an_unknown_split_as_a_wrong_call(self, arguments):
        assert CliRunner().invoke(app, [*arguments, "--split", "holdout"]).exit_code == 2

    def test_tells_a_wrong_result_folder_before_any_image_is_read(self, arguments, tmp_path):
        (tmp_path / "half").mkdir()
        (tmp_path / "half" / "metrics.json").write_text("{}", encoding="utf-8")
        done = CliRunner().invoke(app, [*arguments, "--results", str(tmp_path / "half")])
        assert "holds no complete results (config.json" in str(done.exception)

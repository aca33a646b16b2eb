"""`ladnn reports` and the corrections of `ladnn data import`: what people type and get."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import albums
from ladnn import cli, dataset
from ladnn.errors import DataError
from ladnn.findings import LESIONS, Lesion
from ladnn.labelling import COLUMNS, label_images, label_table
from ladnn.sources import tables
from ladnn.sources.entry import Entry
from ladnn.sources.reviewed import NEEDED, apply_decisions, read_decisions

HEADS = ("image", "caption")
ROWS = (
    ("b%1.png", "Ground\u2013glass opacity and possible consolidation in COVID-19."),
    ("a%0.png", "No consolidation. 73 \u00d7 50 mm."),
    ("c.png", ""),
)


def run(*args, code=0):
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def written(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def label(tmp_path, rows, *options, heads=HEADS, encoding="utf-8"):
    table = albums.write_csv(tmp_path / "in.csv", [heads, *rows], encoding)
    result = run("reports", "label", table, "-o", tmp_path / "out.csv", *options)
    return written(tmp_path / "out.csv"), result


def test_each_row_gets_its_labels_in_order(tmp_path):
    rows, _ = label(tmp_path, ROWS)
    assert [row["image"] for row in rows] == ["b%1.png", "a%0.png", "c.png"]
    assert [row["covid"] for row in rows] == ["positive", "unstated", "unstated"]
    assert [row["GGO"] for row in rows] == ["1", "0", "0"]
    assert [row["Csld"] for row in rows] == ["1", "0", "0"]
    assert [row["Csld_course"] for row in rows] == ["uncertain", "negated", ""]
    assert tuple(rows[0]) == COLUMNS


def test_spans_point_into_the_cell_as_it_was_given(tmp_path):
    rows, _ = label(tmp_path, ROWS)
    start, end = map(int, rows[0]["GGO_spans"].split("-"))
    assert ROWS[0][1][start:end] == "Ground\u2013glass opacity" == rows[0]["GGO_words"]
    assert rows[0]["Csld_cues"] == "possible"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "cp1252"]
)
def test_a_table_is_read_whatever_its_encoding(tmp_path, encoding):
    rows, _ = label(tmp_path, ROWS, encoding=encoding)
    assert rows[0]["GGO_words"] == "Ground\u2013glass opacity"


def test_a_text_without_english_is_counted_and_noted(tmp_path):
    rows, result = label(tmp_path, [*ROWS, ("d.png", "\u53cc\u80ba\u78e8\u73bb\u7483\u5f71")])
    assert [row["note"] for row in rows] == ["", "", "no text", "no English words"]
    assert "1 of 4 texts: no English words" in result.stderr


def test_columns_are_named_by_head_or_number(tmp_path):
    heads = ("", "Text Of Report")
    by_number, _ = label(tmp_path, ROWS, "--text-column", "2", "--image-column", "1", heads=heads)
    by_head, _ = label(
        tmp_path,
        ROWS,
        *("--text-column", "text of report", "--image-column", "1", "--overwrite"),
        heads=heads,
    )
    assert by_number == by_head


def test_images_that_share_a_caption_are_its_panels():
    caption = "CT with ground-glass opacity (a), consolidation (b) and crazy paving (c)."
    pairs = [(f"f%{number}.png", caption) for number in (10, 9, 8)]
    shown = [
        [str(lesion) for lesion in LESIONS if one.report.labels[lesion]]
        for one in label_images(pairs)
    ]
    assert shown == [["CrPa"], ["Csld"], ["GGO"]]


def test_a_numbered_part_of_a_figure_is_told_by_its_number():
    caption = "Ground-glass opacity (a), consolidation (b) and crazy paving (c)."
    (one,) = label_images([("f%1.png", caption)])
    assert (one.panel, one.report.labels.count, one.report.labels[Lesion.CSLD]) == ("B", 1, True)


@pytest.mark.parametrize("names", [("f_1%0.png", "f_1%1.png"), ("f%2.png", "f%3.png"), ("f1.png",)])
def test_numbers_that_name_no_panel_tell_nothing(names):
    caption = "Ground-glass opacity (a), consolidation (b) and crazy paving (c)."
    labelled = label_images([(name, caption) for name in names])
    assert {(one.panel, one.report.labels.count) for one in labelled} == {("", 3)}


def test_a_caption_of_more_panels_than_images_counts_whole():
    caption = "Ground-glass opacity (a), consolidation (b) and crazy paving (c)."
    pairs = [("f0.png", caption), ("f1.png", caption)]
    assert {one.report.labels.count for one in label_images(pairs)} == {3}


def test_the_images_of_a_figure_may_be_told_apart_by_order():
    caption = "The first image shows consolidation. The second image shows normal lungs."
    first, second = label_images([("f%0.png", caption), ("f%1.png", caption)])
    assert (first.report[Lesion.CSLD].present, second.report[Lesion.CSLD].present) == (True, False)


def test_the_lone_carriage_returns_of_a_finding_leave_its_row_whole(tmp_path):
    text = "Bilateral ground-glass\ropacities\rand consolidation"
    (tmp_path / "in.csv").write_bytes(f'image,caption\r\na.png,"{text}"\r\nb.png,GGO\r\n'.encode())
    run("reports", "label", tmp_path / "in.csv", "-o", tmp_path / "out.csv")
    first, second = written(tmp_path / "out.csv")
    assert (first["image"], first["Csld"], second["image"]) == ("a.png", "1", "b.png")
    assert "ground-glass\ropacities" in first["GGO_words"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"image,caption\n", "has no rows under its heads"),
        (
            b"image,caption\na.png,GGO, and consolidation\n",
            "line 2 has 3 cells where the head has 2",
        ),
        (b"image;caption\na.png;GGO; and consolidation\n", "quote the cells that hold semicolons"),
        (b"image,text\na.png,GGO\n", "has no column 'caption': its columns are 'image', 'text'"),
        (b"image,caption,caption\na,GGO,b\n", "has 2 columns 'caption'"),
        (
            "image,caption\na.png,\u78e8\u73bb\u7483\n".encode(),
            "is in English: give the column of the reports",
        ),
        (b"\x81\x8d\xff\x00\x9d" * 9, "is no text in UTF-8, UTF-16, GB18030 or Windows-1252"),
        (
            b'image,caption\na.png,"GGO\nb.png,x\n',
            "line 2 is not CSV: a quote that opens in this row is never closed",
        ),
        (
            b'image,caption\na.png,x\nb.png,"GGO\nc.png,"x"\n',
            "line 3 is not CSV: a cell of this row goes on after its closing quote",
        ),
        (
            b'image,caption\na.png,"GGO' + b"x" * (1 << 20) + b'"\n',
            "line 2 is not CSV: a cell of this row is longer than 1,048,576 characters",
        ),
    ],
)
def test_a_table_that_does_not_hold_is_told_in_one_sentence(
    tmp_path, monkeypatch, capsys, content, sentence
):
    table, output = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_bytes(content)
    command = ["ladnn", "reports", "label", str(table), "-o", str(output)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1
    assert sentence in said
    assert said.count("\n") == 1
    assert not output.exists()


def test_a_long_cell_is_read_where_its_quote_is_closed(tmp_path):
    text = "no effusion, lungs clear. " * 6_000 + "Consolidation."
    rows, _ = label(tmp_path, [*ROWS, ("long.png", text)])
    assert rows[-1]["Csld_spans"] == f"{len(text) - 14}-{len(text) - 1}"


@pytest.mark.parametrize(
    "words", ["ground\u2011glass", "ground\u00a0glass opaci\ufb01cation", "Ground-\nglass  opacity"]
)
def test_the_words_are_the_characters_of_the_cell(tmp_path, words):
    text = f"Subtle {words}, can\u2019t\u00a0be excluded."
    (row,), _ = label(tmp_path, [("a.png", text)])
    start, end = map(int, row["GGO_spans"].split("-"))
    assert row["GGO_words"] == text[start:end] == words
    assert row["GGO_cues"] in text


def test_a_huge_table_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LARGEST", 10)
    table = albums.write_csv(tmp_path / "in.csv", [HEADS, *ROWS])
    with pytest.raises(DataError, match="split it into smaller files"):
        label_table(table, text_column="caption", image_column="image")


def test_a_long_text_without_full_stops_is_read_to_its_end():
    text = "no effusion and lungs " * 20_000 + "consolidation"
    assert label_images([("a.png", text)])[0].report[Lesion.CSLD].mentions


def test_nothing_is_overwritten_unasked(tmp_path):
    table = albums.write_csv(tmp_path / "in.csv", [HEADS, *ROWS])
    output = tmp_path / "out.csv"
    output.write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="already there"):
        run("reports", "label", table, "-o", output)
    with pytest.raises(DataError, match="is the file to be read"):
        run("reports", "label", table, "-o", table, "--overwrite")
    assert output.read_text(encoding="utf-8") == "mine"
    assert table.read_text(encoding="utf-8").startswith("image,caption")


def test_json_sums_up_what_was_found(tmp_path):
    _, result = label(tmp_path, ROWS, "--json")
    told = json.loads(result.stdout)
    assert told["rows"] == len(ROWS)
    assert told["lesions"] == {"GGO": 1, "Csld": 1, "CrPa": 0, "AirBr": 0, "InSepThi": 0}
    assert told["research_use_only"] is True


# ------------------------------------------------------------------ review and corrections


@pytest.fixture
def album(tmp_path):
    """COVID-CT in small, whose first training positive is labelled GGO."""
    return albums.covid_ct(tmp_path / "covid-ct")


def imported(album, *options, name="manifest.csv"):
    manifest = album.parent / name
    run("data", "import", album, "--labels", "published", "-o", manifest, *options)
    return dataset.read_manifest(manifest)


def review_of(album, *captions):
    """A review of a manifest whose positives carry `captions`."""
    manifest = imported(album)
    told = iter(captions)
    records = [
        replace(record, caption=next(told, "")) if record.covid else record for record in manifest
    ]
    path = album.parent / "told.csv"
    dataset.write_manifest(dataset.Manifest(records=tuple(records), labels="published"), path)
    run("reports", "review", path, "-o", album.parent / "review.csv")
    return written(album.parent / "review.csv")


def decide(album, rows, reason="seen", **decisions):
    """Fill in the review: label -> decision; all else stays empty."""
    filled = [row | {"decision": decisions.get(row["label"], ""), "reason": reason} for row in rows]
    path = album.parent / "review.csv"
    albums.write_csv(path, [list(filled[0]), *(list(row.values()) for row in filled)])
    return path


def test_a_review_lists_what_differs_and_nothing_else(album):
    rows = review_of(album, "Consolidation with air bronchograms in COVID-19.")
    given = dataset.read_manifest(album.parent / "manifest.csv").records[0]
    assert {row["file"] for row in rows} == {given.path.name}
    differing = [
        lesion for lesion in LESIONS if bool(given.lesions[lesion]) != (lesion in ("Csld", "AirBr"))
    ]
    assert [row["label"] for row in rows] == [str(lesion) for lesion in differing]
    assert all(row["decision"] == row["reason"] == "" for row in rows)


def test_a_filled_in_review_corrects_the_import(album):
    rows = review_of(album, "Consolidation with air bronchograms.")
    review = decide(album, rows, AirBr="1")
    before = imported(album, "--overwrite").records[0]
    after = imported(album, "--corrections", review, name="corrected.csv").records[0]
    assert after.lesions[Lesion.AIRBR] is True
    assert after.lesions[Lesion.GGO] == bool(before.lesions[Lesion.GGO])
    assert after.correction.startswith("AirBr ")
    assert after.correction_reason == "seen"


def test_a_decision_without_a_reason_says_that_a_review_made_it(album):
    rows = review_of(album, "Consolidation with air bronchograms.")
    review = decide(album, rows, reason="", AirBr="1")
    after = imported(album, "--corrections", review, name="corrected.csv").records[0]
    guide = (Path(__file__).parents[1] / "docs/how-to/reports.md").read_text(encoding="utf-8")
    assert f"`{after.correction_reason}`" in guide


def test_the_example_of_the_documentation_says_what_is_shown_beside_it(capsys):
    guide = (Path(__file__).parents[1] / "docs/how-to/reports.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    exec(example, {})
    shown = [line[2:] for line in example.splitlines() if line.startswith("# ")]
    assert capsys.readouterr().out.splitlines() == shown


def test_the_bench_of_reports_tells_in_a_sentence_that_a_folder_is_none(tmp_path):
    call = [sys.executable, "-m", "bench.reports", str(tmp_path / "nope")]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("no folder CT_COVID in ")


def test_decisions_left_empty_change_nothing(album):
    rows = review_of(album, "Consolidation with air bronchograms.")
    with pytest.raises(DataError, match="holds no decision"):
        imported(album, "--corrections", decide(album, rows), name="corrected.csv")


def test_a_decision_on_other_files_than_were_reviewed_is_refused(album):
    rows = review_of(album, "Consolidation with air bronchograms.")
    rows = [row | {"given": "1"} for row in rows if row["label"] == "AirBr"]
    with pytest.raises(DataError, match="review it again"):
        imported(album, "--corrections", decide(album, rows, AirBr="0"), name="corrected.csv")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": "Consolidation"}, "unknown label 'Consolidation'"),
        ({"file": "nobody.png"}, "which is not imported"),
        ({"given": "yes"}, "write 1 or 0"),
    ],
)
def test_a_wrong_row_of_a_review_is_named(album, change, sentence):
    rows = review_of(album, "Consolidation with air bronchograms.")
    rows = [row | change for row in rows if row["label"] == "AirBr"]
    label = change.get("label", "AirBr")
    with pytest.raises(DataError, match=sentence):
        imported(album, "--corrections", decide(album, rows, **{label: "1"}), name="corrected.csv")


@pytest.mark.parametrize(
    "name", ["\u75c5\u4eba\uff081\uff09.png", "scan  2.png", "re\u0301sume\u0301.png"]
)
def test_an_image_is_reviewed_whatever_the_form_of_its_name(tmp_path, name):
    row = ("hosp", name, "covid", "1", "0", "seen")
    table = albums.write_csv(tmp_path / "review.csv", [NEEDED, row])
    entry = Entry(path=tmp_path / name, source="hosp", patient="p", covid=True)
    (corrected,) = apply_decisions([entry], read_decisions(table))
    assert (corrected.path.name, corrected.covid) == (name, False)


@pytest.mark.parametrize(
    ("covid", "diagnosis", "after"),
    [(True, "COVID-19", ""), (False, "bacterial pneumonia", "COVID-19")],
)
def test_a_corrected_flag_takes_its_diagnosis_along(tmp_path, covid, diagnosis, after):
    row = ("hosp", "a.png", "covid", str(int(covid)), str(int(not covid)), "seen")
    table = albums.write_csv(tmp_path / "review.csv", [NEEDED, row])
    entry = Entry(
        path=tmp_path / "a.png", source="hosp", patient="p", covid=covid, diagnosis=diagnosis
    )
    (corrected,) = apply_decisions([entry], read_decisions(table))
    assert (corrected.covid, corrected.diagnosis) == (not covid, after)


def test_a_label_that_is_decided_twice_is_refused(tmp_path):
    row = ("hosp", "a.png", "covid", "1", "0", "seen")
    table = albums.write_csv(tmp_path / "review.csv", [NEEDED, row, row])
    with pytest.raises(DataError, match=r"line 3 decides covid of a\.png again"):
        read_decisions(table)


def test_a_decision_on_one_of_several_images_of_a_name_is_refused(tmp_path):
    row = ("hosp", "a.png", "covid", "1", "0", "seen")
    table = albums.write_csv(tmp_path / "review.csv", [NEEDED, row])
    entry = Entry(path=tmp_path / "a.png", source="hosp", patient="p", covid=True)
    with pytest.raises(DataError, match=r"line 2 names a\.png, of which hosp has several"):
        apply_decisions([entry, entry], read_decisions(table))


def test_a_manifest_without_captions_has_nothing_to_review(tmp_path):
    manifest = tmp_path / "m.csv"
    run("data", "import", albums.plain(tmp_path / "h"), "-o", manifest)
    with pytest.raises(DataError, match="no image of the manifest has a caption"):
        run("reports", "review", manifest, "-o", tmp_path / "review.csv")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path, mark):
    """Its own separator, and commas inside cells."""
    rows = ("image{0}caption", "a.png{0}GGO, no consolidation", "b.png{0}Consolidation")
    (tmp_path / "in.csv").write_text("\n".join(rows).format(mark))
    labelled = label_table(tmp_path / "in.csv", text_column="caption", image_column="image")
    assert [one.report[Lesion.GGO].present for one in labelled] == [True, False]
    assert [one.report[Lesion.CSLD].present for one in labelled] == [False, True]

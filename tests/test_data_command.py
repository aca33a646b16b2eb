"""`ladnn data`: what people type, what they get, and what they are told."""

import functools
import gzip
import http.server
import json
import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import requests
from PIL import Image
from typer.testing import CliRunner

import albums
from forbidden import forbid
from ladnn import fetching, inspection, intake
from ladnn.commands.data import app
from ladnn.dataset import Manifest, Record, leaks, read_manifest
from ladnn.errors import DataError
from ladnn.imaging import read_image
from ladnn.similarity import pixel_hash
from ladnn.summary import summarise
from synthetic import dicom_bytes


def run(*args, code=0):
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def imported(tmp_path, *folders, labels="published"):
    manifest = tmp_path / "manifest.csv"
    run("import", *folders, "--labels", labels, "-o", manifest, "--overwrite")
    return manifest


def test_several_sources_come_into_one_manifest(tmp_path):
    folders = (
        albums.covid_ct(tmp_path / "a"),
        albums.covid_ct_new(tmp_path / "b"),
        albums.plain(tmp_path / "hospital"),
    )
    manifest = read_manifest(imported(tmp_path, *folders))
    assert manifest.sources == ("covid-ct", "covid-ct-new", "hospital")
    assert manifest.labels == "published"


def test_archives_are_unpacked_beside_the_manifest(tmp_path):
    imported(tmp_path, albums.covid_ct_new(tmp_path / "b"))
    assert (tmp_path / "covid-ct-new" / "1_covidct" / "10.1148ryct.1-p23-1.png").is_file()


def test_missing_images_are_counted_and_named(tmp_path):
    folder = albums.covid_ct_new(tmp_path / "b")
    names = tmp_path / "missing.txt"
    names.write_text("mine")
    with pytest.raises(DataError, match=r"missing\.txt is already there: give --overwrite"):
        run("import", folder, "-o", tmp_path / "m.csv", "--missing", names)
    names.unlink()
    result = run("import", folder, "-o", tmp_path / "m.csv", "--missing", names)
    assert "lists 1 images that are not there: 10.1148ryct.1-p23-2.png" in result.stderr
    assert names.read_text() == "10.1148ryct.1-p23-2.png\n"


def test_an_unreadable_image_is_named_and_the_others_are_imported(tmp_path):
    folder = albums.plain(tmp_path / "h")
    (folder / "COVID" / "scan (1).png").write_bytes(b"no image")
    result = run("import", folder, "-o", tmp_path / "m.csv", code=1)
    assert f"not imported: {folder}/COVID/scan (1).png " in result.stderr
    assert result.stderr.count("scan (1).png") == 1
    assert len(read_manifest(tmp_path / "m.csv")) == 23


def test_too_few_images_to_split_are_told_with_the_files_that_could_not_be_read(tmp_path):
    folder = tmp_path / "h"
    for number, flag in enumerate(("COVID", "COVID", "NonCOVID")):
        albums.save(folder / flag / f"{number}.png", 7)
    (folder / "NonCOVID" / "bad.png").write_text("no image")
    with pytest.raises(DataError, match="at least three patients") as told:
        run("import", folder, "-o", tmp_path / "m.csv")
    said = str(told.value)
    assert said.startswith("h with 3 images: ")
    assert "here there are 1: give images of more" in said
    assert f"; 1 could not be read: {folder}/NonCOVID/bad.png is text" in said


def test_an_image_that_may_not_be_read_is_named_and_the_others_are_imported(tmp_path, monkeypatch):
    folder = albums.plain(tmp_path / "h")
    forbid(monkeypatch, folder / "COVID" / "scan (1).png")
    result = run("import", folder, "-o", tmp_path / "m.csv", code=1)
    assert "scan (1).png may not be read" in result.stderr
    assert len(read_manifest(tmp_path / "m.csv")) == 23


def test_a_collection_that_may_not_be_read_whole_is_an_error_with_its_name(tmp_path, monkeypatch):
    folder = albums.plain(tmp_path / "h")
    forbid(monkeypatch, folder / "COVID")
    with pytest.raises(DataError, match="COVID may not be opened: ask for permission"):
        run("import", folder, "-o", tmp_path / "m.csv")


def test_every_file_that_is_not_taken_is_named_with_its_reason(tmp_path):
    folder = albums.plain(tmp_path / "h")
    albums.save(folder / "COVID" / "patient 7" / "1.png", 7)
    Image.fromarray(albums.picture(3)).save(folder / "COVID" / "anim.gif")
    (folder / "NonCOVID" / "notes.txt").write_text("no picture")
    (folder / "NonCOVID" / ".DS_Store").write_text("hidden")
    result = run("import", folder, "-o", tmp_path / "m.csv", "--json", code=1)
    said = {Path(one["path"]).name: one["error"] for one in json.loads(result.stdout)["failures"]}
    assert set(said) == {"patient 7", "anim.gif", "notes.txt"}
    assert "is a folder" in said["patient 7"]
    assert "is a GIF" in said["anim.gif"]
    assert "is text" in said["notes.txt"]
    assert len(read_manifest(tmp_path / "m.csv")) == 24


def test_an_image_is_known_by_its_content_whatever_its_name(tmp_path):
    folder = albums.plain(tmp_path / "h")
    (folder / "COVID" / "scan (1).png").rename(folder / "COVID" / "IM0001")
    run("import", folder, "-o", tmp_path / "m.csv")
    assert len(read_manifest(tmp_path / "m.csv")) == 24


@pytest.mark.parametrize("command", ["check", "summary", "split"])
def test_a_manifest_of_a_head_alone_is_an_error(tmp_path, command):
    (tmp_path / "m.csv").write_text("path,source,patient,covid\n")
    output = ("-o", tmp_path / "split.csv") if command == "split" else ()
    with pytest.raises(DataError, match=r"m\.csv lists no image: make one by"):
        run(command, tmp_path / "m.csv", *output)


@pytest.mark.parametrize("command", ["import", "check", "summary", "split"])
def test_an_empty_path_is_a_wrong_call(tmp_path, command):
    output = () if command in ("check", "summary") else ("-o", tmp_path / "m.csv")
    assert "empty path" in run(command, "", *output, code=2).output


def test_an_existing_manifest_is_not_replaced_unasked(tmp_path):
    manifest = imported(tmp_path, albums.plain(tmp_path / "h"))
    with pytest.raises(DataError, match="--overwrite"):
        run("import", tmp_path / "h", "-o", manifest)


def test_a_pipe_is_not_replaced_even_where_a_file_may_be(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a device or a pipe"):
        run("import", albums.plain(tmp_path / "h"), "-o", tmp_path / "pipe", "--overwrite")


def test_an_unknown_label_set_is_a_wrong_call(tmp_path):
    run("import", tmp_path, "--labels", "best", "-o", tmp_path / "m.csv", code=2)


def test_the_same_folder_twice_is_an_error(tmp_path):
    folder = albums.plain(tmp_path / "h")
    with pytest.raises(DataError, match="comes twice"):
        run("import", folder, folder, "-o", tmp_path / "m.csv")


@pytest.mark.parametrize("other", [albums.plain, albums.covid_ct])
def test_two_folders_of_one_name_do_not_become_one_source(tmp_path, other):
    one, two = albums.plain(tmp_path / "a" / "covid-ct"), other(tmp_path / "b" / "covid-ct")
    for folders in ((one, two), (two, one)):
        with pytest.raises(DataError) as told:
            run("import", *folders, "-o", tmp_path / "m.csv")
        plain = one if other is albums.covid_ct else folders[1]
        assert str(told.value) == (
            f"{folders[0]} and {folders[1]} would become one source, 'covid-ct', for a folder of "
            f"COVID and NonCOVID gives its name to its images: rename {plain}"
        )
    assert not (tmp_path / "m.csv").exists()


def test_import_reports_to_programs(tmp_path):
    folder = albums.plain(tmp_path / "h")
    said = json.loads(run("import", folder, "-o", tmp_path / "m.csv", "--json").stdout)
    assert (said["images"], said["failures"], said["labels"]) == (24, [], "paper")


def test_the_folder_of_what_is_missing_is_made(tmp_path):
    folder, names = albums.plain(tmp_path / "h"), tmp_path / "lists" / "missing.txt"
    assert run("import", folder, "-o", tmp_path / "m.csv", "--missing", names).exit_code == 0
    assert names.read_text() == ""


def test_one_file_is_not_taken_for_two_outputs(tmp_path):
    folder, out = albums.plain(tmp_path / "h"), tmp_path / "m.csv"
    with pytest.raises(DataError, match="is given twice"):
        run("import", folder, "--missing", out, "-o", out)
    assert not out.exists()
    review = tmp_path / "review.csv"
    review.write_text("mine")
    with pytest.raises(DataError, match="is given twice"):
        run(
            "import", folder, "-o", out, "--missing", review, "--corrections", review, "--overwrite"
        )
    assert (review.read_text(), out.exists()) == ("mine", False)


def test_an_image_whose_name_is_no_text_is_named_and_the_others_are_imported(tmp_path):
    folder = albums.plain(tmp_path / "h")
    (folder / "COVID" / "scan (1).png").rename(folder / "COVID" / os.fsdecode(b"scan \xff.png"))
    out = tmp_path / "m.csv"
    said = json.loads(run("import", folder, "-o", out, "--json", code=1).stdout)
    assert (len(read_manifest(out)), "no UTF-8 text" in str(said["failures"])) == (23, True)


def test_unknown_patients_become_clusters_that_the_split_keeps_together(tmp_path):
    manifest = read_manifest(imported(tmp_path, albums.plain(tmp_path / "h")))
    sides = {record.patient: set() for record in manifest}
    for record in manifest:
        sides[record.patient].add(record.split)
    assert len(sides) == 12
    assert all(len(found) == 1 for found in sides.values())


def test_slices_of_one_dicom_study_are_of_one_patient_however_little_alike(tmp_path):
    for number in range(18):
        folder = tmp_path / "h" / ("COVID", "NonCOVID")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        study = f"1.2.3.{number % 6}"  # three slices each, of chests that have nothing in common
        values = albums.picture(number).astype("int16") * 4 - 1000
        (folder / f"{chr(97 + number)}.dcm").write_bytes(
            dicom_bytes(values, StudyInstanceUID=study)
        )
    of_study = {}
    for record in read_manifest(imported(tmp_path, tmp_path / "h")):
        of_study.setdefault(read_image(record.path).study, set()).add(
            (record.patient, record.split)
        )
    assert len(of_study) == 6
    assert {len(found) for found in of_study.values()} == {1}
    assert len({patient for found in of_study.values() for patient, _ in found}) == 6


def test_an_output_that_cannot_be_written_is_told_before_any_image_is_read(tmp_path, monkeypatch):
    manifest = imported(tmp_path, albums.plain(tmp_path / "h"))
    for module in (intake, inspection):
        monkeypatch.setattr(module, "read_image", lambda _: pytest.fail("an image was read"))
    (tmp_path / "file").write_text("")
    for words in (("import", tmp_path / "h"), ("split", manifest)):
        with pytest.raises(DataError):
            run(*words, "-o", tmp_path / "file" / "new.csv")


def test_an_image_that_was_replaced_is_not_split(tmp_path):
    manifest = imported(tmp_path, albums.plain(tmp_path / "h"))
    albums.save(tmp_path / "h" / "COVID" / "scan (5).png", 999)
    with pytest.raises(DataError, match=r"scan \(5\)\.png is not the file"):
        run("split", manifest, "-o", tmp_path / "new.csv")


def test_a_sound_manifest_passes_the_check(tmp_path):
    result = run("check", imported(tmp_path, albums.plain(tmp_path / "h")))
    assert "0 errors" in result.stdout


def problems(manifest, code):
    said = json.loads(run("check", manifest, "--json", code=code).stdout)
    return {(problem["kind"], problem["error"]) for problem in said["problems"]}


def test_missing_and_undecodable_and_changed_images_are_errors(tmp_path):
    folder = albums.plain(tmp_path / "h")
    manifest = imported(tmp_path, folder)
    (folder / "COVID" / "scan (1).png").unlink()
    (folder / "COVID" / "scan (3).png").write_bytes(b"no image")
    albums.save(folder / "COVID" / "scan (5).png", 999)
    found = problems(manifest, 1)
    assert {("missing", True), ("undecodable", True), ("changed", True)} <= found


def test_a_changed_file_is_said_to_show_the_same_picture_only_where_that_is_known(tmp_path):
    folder = albums.plain(tmp_path / "h")
    manifest = imported(tmp_path, folder)
    image = folder / "COVID" / "scan (1).png"
    image.write_bytes(image.read_bytes() + b"\n")  # another file, the same picture
    said = "scan (1).png is another file than was imported"
    assert f"{said}, with the same picture: import again" in run("check", manifest).stdout
    lines = manifest.read_text().splitlines()
    place = lines[0].split(",").index("pixel_hash")
    cells = [line.split(",") for line in lines]
    bare = [",".join([*row[:place], "", *row[place + 1 :]]) for row in cells[1:]]
    manifest.write_text("\n".join([lines[0], *bare]) + "\n")
    assert f"{said}: import again" in run("check", manifest, code=1).stdout


def test_an_image_that_may_not_be_read_is_undecodable_and_not_missing(tmp_path, monkeypatch):
    folder = albums.plain(tmp_path / "h")
    manifest = imported(tmp_path, folder)
    forbid(monkeypatch, folder / "COVID")
    assert {kind for kind, error in problems(manifest, 1) if error} == {"undecodable"}


def test_a_near_duplicate_on_two_sides_is_an_error(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    albums.save(folder / "CT_NonCOVID" / "3.png", 0, variant=1)
    assert ("leak", True) in problems(imported(tmp_path, folder), 1)


def test_the_same_blank_picture_on_two_sides_is_an_error(tmp_path):
    rows = ["path,source,patient,covid,split"]
    for name, split in (("a.png", "train"), ("b.png", "test"), ("c.png", "")):
        Image.new("L", (64, 64), 90).save(tmp_path / name)
        rows.append(f"{name},h,{name},{int(split == 'train')},{split}")
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    assert problems(tmp_path / "m.csv", 1) == {("leak", True), ("flags", False)}


def test_an_import_says_that_two_sources_share_pictures_across_the_split_and_a_split_parts_them(
    tmp_path,
):
    folders = albums.plain(tmp_path / "a"), albums.plain(tmp_path / "b", patients=9)
    done = run("import", *folders, "-o", tmp_path / "ab.csv")
    assert "pictures lie in two parts of the split" in done.stderr
    one, other = leaks(read_manifest(tmp_path / "ab.csv"))[0]
    assert one.split != other.split
    assert read_image(one.path).pixels.tobytes() == read_image(other.path).pixels.tobytes()
    split = ("split", tmp_path / "ab.csv", "-o", tmp_path / "c.csv")
    run(*split)
    assert leaks(read_manifest(tmp_path / "c.csv")) == []
    assert run("import", folders[0], "-o", tmp_path / "a.csv").stderr == ""


def test_an_acknowledged_leak_is_a_note(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    albums.save(folder / "CT_NonCOVID" / "3.png", 0, variant=1)
    known = albums.write_csv(
        tmp_path / "known.csv",
        [
            ("kind", "source", "item", "other_source", "other_item", "reason"),
            ("near", "covid-ct", "3.png", "covid-ct", "a b%1.png", "drawn like this"),
        ],
    )
    result = run("check", imported(tmp_path, folder), "--acknowledged", known)
    assert "which is acknowledged: drawn like this" in result.stdout


@pytest.mark.parametrize("name", ["\uff081\uff09.png", "scan  2.png"])
def test_a_leak_is_acknowledged_whatever_the_form_of_its_name(tmp_path, name):
    folder = albums.covid_ct(tmp_path / "d")
    albums.save(folder / "CT_NonCOVID" / "3.png", 0, variant=1)
    manifest = imported(tmp_path, folder)
    path = folder / "CT_NonCOVID" / name
    (folder / "CT_NonCOVID" / "3.png").rename(path)
    manifest.write_text(manifest.read_text("utf-8").replace("3.png", name), "utf-8")
    known = albums.write_csv(
        tmp_path / "known.csv",
        [
            ("kind", "source", "item", "other_source", "other_item", "reason"),
            ("near", "covid-ct", name, "covid-ct", "a b%1.png", "drawn like this"),
        ],
    )
    result = run("check", manifest, "--acknowledged", known)
    assert "which is acknowledged: drawn like this" in result.stdout


def test_a_leak_between_two_sources_is_an_error(tmp_path):
    first, second = albums.covid_ct(tmp_path / "d"), albums.plain(tmp_path / "h")
    manifest = imported(tmp_path, first, second)
    there = {r.split: r for r in read_manifest(manifest) if r.source == "h"}
    there["test"].path.write_bytes(albums.png(albums.picture(0)))
    assert ("leak", True) in problems(manifest, 1)


def test_a_patient_on_two_sides_is_an_error(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    table = folder / "meta" / "NonCOVID-CT-MetaInfo.csv"
    table.write_text(table.read_text().replace("crawled_2", "crawled_1"))
    assert ("patient", True) in problems(imported(tmp_path, folder), 1)


@pytest.fixture
def names_alike(tmp_path):
    """A manifest in which the patient P 1 of train is p 1 with a space behind it in test."""
    rows = ["path,source,patient,covid,split"]
    for seed, (source, patient, split) in enumerate(
        [("a", "P 1", "train"), ("a", "p  1 ", "test"), ("A", "P 2", "val"), ("a", "P 3", "val")]
    ):
        albums.save(tmp_path / f"{seed}.png", seed)
        rows.append(f"{seed}.png,{source},{patient},1,{split}")
    (tmp_path / "alike.csv").write_text("\n".join(rows))
    return tmp_path / "alike.csv"


def test_names_that_differ_by_spaces_or_letter_case_alone_are_named(names_alike):
    said = run("check", names_alike, code=1).stdout
    assert "the patients 'P 1' and 'p  1 ' differ by spaces or letter case alone and are in" in said
    assert "the sources 'a' and 'A' differ by spaces or letter case alone: if they are" in said
    assert sorted(problems(names_alike, 1)) == [("name", False), ("name", True)]


def test_names_alike_of_two_patients_can_be_acknowledged(names_alike, tmp_path):
    known = tmp_path / "known.csv"
    known.write_text(
        "kind,source,item,other_source,other_item,reason\npatient,a,P 1,a,p  1 ,two people\n"
    )
    said = run("check", names_alike, "--acknowledged", known).stdout
    assert "which is acknowledged: two people" in said


def test_equal_images_with_opposite_flags_are_named(tmp_path):
    folder = albums.plain(tmp_path / "h")
    albums.save(folder / "NonCOVID" / "scan (1).png", 100)
    assert ("flags", False) in problems(imported(tmp_path, folder), 0)


def test_the_summary_is_table_1_and_figure_3(tmp_path):
    manifest = imported(tmp_path, albums.covid_ct(tmp_path / "d"))
    (summary,) = json.loads(run("summary", manifest, "--json").stdout)["summaries"]
    assert summary["table"]["positive"]["train"] == {"images": 1, "patients": 1}
    assert summary["lesions_per_image"] == {"1": 3}
    assert summary["concordance"][0][0] == 3
    assert summary["negatives"] == {"unknown": 3}


def test_images_without_a_split_have_a_column_in_every_row():
    one = Record(path=Path("a.png"), sha256="", source="s", patient="p", covid=True, split="train")
    loose = replace(one, covid=False, split="", patient="q")
    (found,) = summarise(Manifest(records=(one, loose), labels="paper"))
    assert {*found.table["positive"]} == {*found.table["negative"]}
    assert found.table["positive"]["none"].images == 0
    assert found.table["negative"]["none"].images == 1


def test_the_summary_is_a_table_for_people(tmp_path):
    result = run("summary", imported(tmp_path, albums.covid_ct(tmp_path / "d")))
    assert "covid-ct: Table 1" in result.stdout


def test_no_table_of_lesions_is_printed_where_none_is_known(tmp_path):
    known = run("summary", imported(tmp_path, albums.covid_ct(tmp_path / "d"))).stdout
    unknown = run("summary", imported(tmp_path, albums.plain(tmp_path / "h"))).stdout
    assert ["Figure 3b" in said for said in (known, unknown)] == [True, False]
    assert "Figure 3a): unknown: " in unknown


def test_the_summary_of_a_source_with_brackets_is_a_table_too(tmp_path):
    albums.save(tmp_path / "1.png", 1)
    (tmp_path / "m.csv").write_text("path,source,patient,covid\n1.png,a [/b] c,1,1\n")
    assert "a [/b] c: Table 1" in run("summary", tmp_path / "m.csv").stdout


def test_a_new_split_keeps_near_duplicates_of_two_patients_together(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    albums.save(folder / "CT_NonCOVID" / "3.png", 0, variant=1)
    out = tmp_path / "new.csv"
    run("split", imported(tmp_path, folder), "-o", out, "--seed", "4")
    side = {record.path.name: record.split for record in read_manifest(out)}
    assert side["3.png"] == side["a b%1.png"]


# Two unlike images of the packaged list, known to show one patient under two numbers.
KNOWN = ("2020.03.22.20040782-p24-1533-6.png", "2020.03.22.20040782-p25-1543.png")


@pytest.fixture
def known_pair(tmp_path):
    """A manifest in which the images of KNOWN lie in train and test, two of eight patients."""
    rows = ["path,source,patient,covid,split"]
    for seed, name in enumerate((*KNOWN, *(f"{i}.png" for i in range(6)))):
        albums.save(tmp_path / name, seed)
        rows.append(f"{name},covid-ct,{seed},1,{'test' if name == KNOWN[1] else 'train'}")
    manifest = tmp_path / "m.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def test_a_pair_that_is_known_and_on_two_sides_is_a_note_however_little_alike(known_pair):
    said = run("check", known_pair).stdout
    assert f"note: known: {KNOWN[0]} and {KNOWN[1]} are known to belong together (sim" in said
    assert "and lie in train and test, which is acknowledged: Published split: the same" in said
    assert problems(known_pair, 0) == {("known", False)}


@pytest.mark.parametrize("seed", range(4))
def test_a_new_split_keeps_pairs_together_that_are_known(known_pair, tmp_path, seed):
    out = tmp_path / "new.csv"
    run("split", known_pair, "-o", out, "--seed", seed)
    side = {record.path.name: record.split for record in read_manifest(out)}
    assert side[KNOWN[0]] == side[KNOWN[1]]
    assert problems(out, 0) == set()


def test_what_is_split_anew_follows_its_near_duplicate_and_not_what_is_known_of_that(
    known_pair, tmp_path
):
    albums.save(tmp_path / "h.png", 0, variant=1)
    with known_pair.open("a") as file:
        file.write("h.png,h,h,1,val\n")
    out = tmp_path / "new.csv"
    run("split", known_pair, "-o", out, "--source", "h")
    assert {r.split for r in read_manifest(out) if r.path.name in ("h.png", KNOWN[0])} == {"train"}


@pytest.mark.parametrize(
    ("following", "alone", "said"),
    [
        (
            6,
            [20, 21],
            "6 of the 8 patients of 'h' resemble patients of sources that have their split "
            "already, and the 2 left cannot be split: a split needs at least three patients, ",
        ),
        (
            1,
            [20, 20, 21],
            "1 of the 4 patients of 'h' resembles patients of sources that have their split "
            "already, and the 3 left, 2 groups of similar images, cannot be split: ",
        ),
        (0, [20, 21], "the 2 patients of 'h' cannot be split: "),
    ],
)
def test_too_few_patients_for_a_new_split_are_told_with_those_who_follow_others(
    known_pair, tmp_path, following, alone, said
):
    with known_pair.open("a") as file:
        for i, seed in enumerate([*range(2, 2 + following), *alone]):
            albums.save(tmp_path / f"h{i}.png", seed, variant=i + 1)
            file.write(f"h{i}.png,h,h{i},1,val\n")
    with pytest.raises(DataError) as told:
        run("split", known_pair, "-o", tmp_path / "new.csv", "--source", "h")
    assert str(told.value).startswith(said)
    assert not (tmp_path / "new.csv").exists()


def test_a_split_of_one_source_leaves_the_others_alone(tmp_path):
    manifest = imported(tmp_path, albums.covid_ct(tmp_path / "d"), albums.plain(tmp_path / "h"))
    out = tmp_path / "new.csv"
    run("split", manifest, "-o", out, "--source", "h", "--seed", "4")
    before, after = read_manifest(manifest), read_manifest(out)
    kept = [a.split == b.split for a, b in zip(before, after, strict=True) if a.source != "h"]
    assert all(kept)
    assert before != after


def test_a_split_of_an_unknown_source_names_those_there_are(tmp_path):
    manifest = imported(tmp_path, albums.plain(tmp_path / "h"))
    with pytest.raises(DataError, match="give one of h"):
        run("split", manifest, "-o", tmp_path / "n.csv", "--source", "x")


def test_a_split_does_not_take_the_place_of_what_it_reads(tmp_path):
    manifest = imported(tmp_path, albums.plain(tmp_path / "h"))
    before = manifest.read_bytes()
    with pytest.raises(DataError, match="is the file to be read"):
        run("split", manifest, "-o", manifest, "--overwrite")
    assert manifest.read_bytes() == before


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves ranges, counts requests, and may break off in the middle of a file."""

    def do_GET(self):
        path = self.translate_path(self.path)
        self.server.asked.append((self.path, self.headers.get("Range")))
        try:
            with Path(path).open("rb") as file:
                data = file.read()
        except OSError:
            self.send_error(404)
            return
        packed = "gzip" in self.headers.get("Accept-Encoding", "")  # as GitHub does
        data = gzip.compress(data) if packed else data
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data) // 2 if self.server.breaks and self.path.endswith(".zip") else len(data)
        self.wfile.write(data[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """The two repositories in miniature, with `COVID-CT` drawn, on a local port."""
    source = albums.covid_ct(tmp_path / "published")
    root = tmp_path / "www"
    for name, remote in fetching.ARCHIVES.items():
        images = {f"{name}/{path.name}": path.read_bytes() for path in (source / name).iterdir()}
        albums.pack(root / remote, images)
    for place, remote in (fetching.IMAGE_TABLES | fetching.LABEL_TABLES).items():
        (root / remote).parent.mkdir(parents=True, exist_ok=True)
        (root / remote).write_bytes((source / place).read_bytes())
    handler = functools.partial(Handler, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.asked, running.breaks, running.root = [], False, root
        running.url = f"http://127.0.0.1:{running.server_port}/"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """The packaged list of pixel hashes, for the drawn collection."""
    hashes = {
        name: {
            path.name: pixel_hash(read_image(path).pixels)
            for path in (tmp_path / "published" / name).iterdir()
        }
        for name in fetching.ARCHIVES
    }
    monkeypatch.setattr(fetching, "published_hashes", lambda: hashes)


def fetch(server, folder, code=0):
    return run(
        "fetch", "-o", folder, "--base-url", server.url, "--labels-url", server.url, code=code
    )


@pytest.mark.usefixtures("published")
def test_what_is_fetched_can_be_imported(server, tmp_path):
    fetch(server, tmp_path / "d")
    assert len(read_manifest(imported(tmp_path, tmp_path / "d"))) == 6


@pytest.mark.usefixtures("published")
def test_a_second_fetch_asks_for_nothing(server, tmp_path):
    fetch(server, tmp_path / "d")
    server.asked.clear()
    assert "6 images were there, 0 came" in fetch(server, tmp_path / "d").stdout
    assert server.asked == []


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("page", ["<html>sign in</html>", "<p>one, two\nthree, four, five"])
def test_the_page_of_a_proxy_is_no_table_and_is_not_kept(server, tmp_path, page):
    (remote,) = fetching.IMAGE_TABLES.values()
    whole = (server.root / remote).read_bytes()
    (server.root / remote).write_text(page)
    with pytest.raises(DataError):
        fetch(server, tmp_path / "d")
    (server.root / remote).write_bytes(whole)
    fetch(server, tmp_path / "d")
    assert len(read_manifest(imported(tmp_path, tmp_path / "d"))) == 6


@pytest.mark.usefixtures("published")
def test_a_damaged_image_is_fetched_again(server, tmp_path):
    fetch(server, tmp_path / "d")
    albums.save(tmp_path / "d" / "CT_COVID" / "c.png.png", 77)
    assert "5 images were there, 1 came" in fetch(server, tmp_path / "d").stdout


@pytest.mark.usefixtures("published")
def test_a_download_that_broke_off_goes_on_at_its_byte(server, tmp_path):
    server.breaks = True
    with pytest.raises(DataError, match="try again to go on"):
        fetch(server, tmp_path / "d")
    server.breaks = False
    server.asked.clear()
    fetch(server, tmp_path / "d")
    assert server.asked[0][1] not in (None, "bytes=0-")


@pytest.mark.usefixtures("published")
def test_another_picture_than_was_published_is_refused(server, tmp_path):
    name = "CT_COVID/c.png.png"
    albums.pack(
        server.root / fetching.ARCHIVES["CT_COVID"],
        {
            f"CT_COVID/{path.name}": path.read_bytes()
            for path in (tmp_path / "published" / "CT_COVID").iterdir()
            if path.name != "c.png.png"
        }
        | {name: albums.png(albums.picture(99))},
    )
    with pytest.raises(DataError, match=r"c\.png\.png shows another picture"):
        fetch(server, tmp_path / "d")
    assert not (tmp_path / "d" / name).exists()


@pytest.mark.usefixtures("published")
def test_an_archive_without_an_image_is_refused(server, tmp_path):
    albums.pack(server.root / fetching.ARCHIVES["CT_COVID"], {"CT_COVID/x.png": b""})
    with pytest.raises(DataError, match="and 2 more"):
        fetch(server, tmp_path / "d")


@pytest.mark.usefixtures("published")
def test_a_file_that_the_server_does_not_have_is_named(server, tmp_path):
    (server.root / "NonCOVID-CT-MetaInfo.csv").unlink()
    with pytest.raises(DataError, match=r"NonCOVID-CT-MetaInfo\.csv cannot be fetched .HTTP 404"):
        fetch(server, tmp_path / "d")


def test_a_server_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"cannot be fetched \(no connection to the server\)"):
        run("fetch", "-o", tmp_path / "d", "--base-url", "http://127.0.0.1:9/")


@pytest.mark.parametrize("address", ["mirror.example", "ftp://mirror.example", "http://"])
def test_what_is_no_web_address_is_told_from_a_server_that_is_away(tmp_path, address):
    with pytest.raises(DataError, match="is no address: give one that begins with https"):
        run("fetch", "-o", tmp_path / "d", "--base-url", address)


@dataclass
class Answer:
    """What `requests.get` returns, as far as a download reads it."""

    chunks: list[bytes] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    status_code: int = 200

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def raise_for_status(self):
        if self.status_code >= 400:
            raise requests.HTTPError(response=self)

    def iter_content(self, _):
        return iter(self.chunks)


def download(folder, monkeypatch, answer):
    def get(*_args, **_options):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setattr(fetching, "MAX_BYTES", 10)
    return fetching.download("https://example.org/a.csv", folder, notify=lambda *_: None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer([b"12345"], {"Content-Length": "20"}), "it has 20 bytes, over 10"),
        (Answer([b"123456", b"12345"]), "it has over 10 bytes"),
        (Answer([b"12345"], {"Content-Length": "8"}), "no connection to the server"),
        (requests.ReadTimeout(), "no answer in time"),
        (requests.ConnectTimeout(), "no answer in time"),
    ],
)
def test_a_download_that_may_not_or_does_not_come_whole_is_an_error(
    tmp_path, monkeypatch, answer, said
):
    with pytest.raises(DataError, match=rf"cannot be fetched \({said}"):
        download(tmp_path, monkeypatch, answer)


def test_a_file_is_asked_for_as_it_is(server, tmp_path):
    """A server that packs a table tells the length of the packed bytes."""
    (server.root / "a.csv").write_bytes(b"a,b\n" * 99)
    path = fetching.download(f"{server.url}a.csv", tmp_path / "d", notify=lambda *_: None)
    assert path.read_bytes() == b"a,b\n" * 99


def test_a_part_that_the_server_cannot_go_on_with_is_dropped(tmp_path, monkeypatch):
    (tmp_path / "a.csv.part").write_bytes(b"12345")
    with pytest.raises(DataError, match="no connection to the server"):
        download(tmp_path, monkeypatch, Answer(status_code=416))
    assert not (tmp_path / "a.csv.part").exists()


def test_a_download_into_what_is_no_folder_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        download(tmp_path / "file", monkeypatch, Answer([b"12345"]))


def test_every_published_image_has_a_packaged_hash():
    hashes = fetching.published_hashes()
    assert [len(hashes[name]) for name in ("CT_COVID", "CT_NonCOVID")] == [349, 397]

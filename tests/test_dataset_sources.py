"""Readers of the three layouts: what they read, and what they refuse."""

import hashlib
import zipfile
from io import BytesIO

import pytest

import albums
from ladnn.errors import DataError
from ladnn.findings import Lesion
from ladnn.intake import take_in
from ladnn.sources import contributed, read_collection
from ladnn.sources.archives import members
from ladnn.sources.covid_ct_new import diagnosis_of, patient_of


def read(folder, tmp_path, labels="published"):
    return read_collection(folder, labels=labels, extract_to=tmp_path / "unpacked")


def by_name(collection):
    return {entry.path.name: entry for entry in collection.entries}


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_names_with_percent_blanks_and_two_extensions_are_found(tmp_path):
    found = by_name(read(albums.covid_ct(tmp_path / "d"), tmp_path))
    assert {"a b%1.png", "c.png.png", "d%0.png"} <= found.keys()


def test_rows_without_an_extension_lead_to_their_image(tmp_path):
    found = by_name(read(albums.covid_ct(tmp_path / "d"), tmp_path))
    assert found["a b%1.png"].patient == "covid-ct/Patient 0"


def test_captions_come_with_plain_blanks(tmp_path):
    found = by_name(read(albums.covid_ct(tmp_path / "d"), tmp_path))
    assert found["a b%1.png"].caption == "Figure 0 of patient 0."


def test_a_table_in_the_authors_encoding_is_read(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    table = folder / "meta" / "COVID-CT-MetaInfo_new.csv"
    table.write_bytes(table.read_text().replace("Figure", "图").encode("gb18030"))
    assert by_name(read(folder, tmp_path))["d%0.png"].caption == "图 2 of patient 2."


def test_a_row_that_names_a_lesion_denies_the_others(tmp_path):
    lesions = by_name(read(albums.covid_ct(tmp_path / "d"), tmp_path))["d%0.png"].lesions
    assert lesions[Lesion.GGO] is True
    assert lesions[Lesion.CSLD] is False


def test_a_row_without_lesions_leaves_them_unknown(tmp_path):
    assert not by_name(read(albums.covid_ct(tmp_path / "d"), tmp_path))["2.png"].lesions.known


def test_a_listed_image_that_is_not_there_is_named_and_the_rest_read(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    (folder / "CT_NonCOVID" / "2.png").unlink()
    collection = read(folder, tmp_path)
    assert collection.missing == ("2.png",)
    assert len(collection.entries) == 5


def test_an_image_that_no_table_lists_is_named(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    albums.save(folder / "CT_COVID" / "extra.png", 50)
    assert read(folder, tmp_path).unlisted == ("extra.png",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Csld", "Cslt", "unknown column 'cslt'"),
        (",GGO,,", ",GG0,,", "unknown label 'GG0'"),
        (",InSepThi", ",GGO", "one column for each label"),
        ("a b%1.png,", "a b%1.png,,", "line 2 has 8 cells"),
        ("a b%1.png,CVD19,GGO", "a b%1.png,CVD19,", "contradict those in meta"),
        ("1%0.png,,", "1%0.png,CVD19,", "contradicts its folder"),
        ("1%0.png", "a b%1.png", "listed twice"),
    ],
)
def test_a_table_that_does_not_hold_is_refused_in_a_sentence(tmp_path, old, new, said):
    folder = albums.covid_ct(tmp_path / "d")
    edit(folder / "split" / "train_meta.csv", old, new)
    with pytest.raises(DataError, match=said):
        read(folder, tmp_path)


@pytest.mark.parametrize("again", ["GGO", "consolidation(Csld)"])
def test_a_lesion_that_two_columns_name_is_refused(tmp_path, again):
    folder = albums.covid_ct_new(tmp_path / "n")
    table = next(folder.rglob("*meta*.csv"))
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{head},{again}", *(f"{row}," for row in rows), ""]))
    with pytest.raises(DataError, match="one column for each label"):
        read(folder, tmp_path)


def test_an_image_without_a_patient_is_refused(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    edit(folder / "meta" / "NonCOVID-CT-MetaInfo.csv", "2.png", "9.png")
    with pytest.raises(DataError, match=r"no patient is known for 2\.png"):
        read(folder, tmp_path)


def test_the_later_tables_spellings_are_known(tmp_path):
    found = by_name(read(albums.covid_ct_new(tmp_path / "n"), tmp_path))
    lesions = found["10.1148ryct.1-p23-1.png"].lesions
    assert lesions[Lesion.AIRBR] is True
    assert lesions[Lesion.INSEPTHI] is True


def test_the_images_that_nobody_has_are_listed(tmp_path):
    assert read(albums.covid_ct_new(tmp_path / "n"), tmp_path).missing == (
        "10.1148ryct.1-p23-2.png",
    )


def test_an_unlisted_image_of_an_archive_takes_its_flag_from_the_archive(tmp_path):
    found = by_name(read(albums.covid_ct_new(tmp_path / "n"), tmp_path))
    entry = found["Non-smallcelllungcancer_RIDER-Lung-CT_01188.png"]
    assert (entry.covid, entry.diagnosis) == (False, "non-small cell lung cancer")
    assert not entry.lesions.known


def test_a_table_against_its_archive_is_refused(tmp_path):
    folder = albums.covid_ct_new(tmp_path / "n")
    (folder / "1_nocovidct.zip").rename(folder / "2_covidct.zip")
    with pytest.raises(DataError, match="contradicts its archive"):
        read(folder, tmp_path)


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a\\x.png", "a/../../x.png"])
def test_a_member_that_leaves_its_folder_is_refused(tmp_path, name):
    folder = albums.covid_ct_new(tmp_path / "n")
    albums.pack(folder / "2_covidct.zip", {name: b"x"})
    with pytest.raises(DataError, match="leaves its folder"):
        read(folder, tmp_path)


def encrypted(path):
    """Mark the only member of an archive as encrypted, in its own head and in the directory."""
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    path.write_bytes(data)
    return path


def test_an_encrypted_member_is_refused(tmp_path):
    folder = albums.covid_ct_new(tmp_path / "n")
    encrypted(folder / "1_covidct.zip")
    with pytest.raises(DataError, match=r"1_covidct\.zip is encrypted at .* unpack it yourself"):
        read(folder, tmp_path)


def test_an_encrypted_member_of_an_archive_that_is_sent_has_a_problem(tmp_path):
    path = encrypted(albums.pack(tmp_path / "a.zip", {"x.png": b"x"}))
    (member,) = members(BytesIO(path.read_bytes()))
    assert (member.data, member.problem) == (b"", "is encrypted: pack it without a password")


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/x.png", "..", ""])
def test_a_contributed_table_that_names_a_file_elsewhere_is_refused(tmp_path, name):
    row = dict.fromkeys(contributed.COLUMNS, "") | {"file": name, "covid": "1"}
    (tmp_path / contributed.IMAGES).mkdir()
    (tmp_path / contributed.TABLE).write_text(contributed.table_text([row]))
    with pytest.raises(DataError, match="outside its folder"):
        read(tmp_path, tmp_path)


def test_two_exports_in_folders_of_one_name_are_taken_in_with_all_that_is_missing(tmp_path):
    folders = [tmp_path / site / "ladnn-contributed-1" for site in ("a", "b")]
    for seed, folder in enumerate(folders):
        image = albums.save(folder / contributed.IMAGES / "1.png", seed)
        known = {
            "file": "1.png",
            "sha256": hashlib.sha256(image.read_bytes()).hexdigest(),
            "source": "Ward 3",
            "patient": f"P{seed}",
            "covid": "1",
        }
        rows = [known, {"file": f"gone {seed}.png"}]
        empty = dict.fromkeys(contributed.COLUMNS, "")
        table = contributed.table_text([empty | row for row in rows])
        (folder / contributed.TABLE).write_text(table)
    intake = take_in(folders, labels="paper", extract_to=tmp_path / "x", split=False)
    assert [record.source for record in intake.manifest] == ["contributed Ward 3"] * 2
    assert intake.missing == {"ladnn-contributed-1": ("gone 0.png", "gone 1.png")}


def in_both_folders(folder):
    albums.covid_ct(folder)
    albums.save(folder / "CT_NonCOVID" / "c.png.png", 50)


def in_two_archives(folder):
    albums.covid_ct_new(folder)
    (folder / "2_covidct.zip").write_bytes((folder / "1_covidct.zip").read_bytes())


def in_two_tables(folder):
    table = albums.covid_ct_new(folder) / "New_COVIDCT_meta.csv"
    (folder / "Other_COVIDCT_meta.csv").write_text(table.read_text())


def with_two_folders_of_one_flag(folder):
    albums.plain(folder)
    albums.save(folder / "CT_COVID" / "x.png", 50)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (in_both_folders, r"c\.png\.png lies in both image folders of .*: keep one"),
        (in_two_archives, r"10\.1148ryct\.1-p23-1\.png lies in two archives of .*: keep one"),
        (in_two_tables, r"listed twice, also in Other_COVIDCT_meta\.csv line 2: keep one row"),
        (with_two_folders_of_one_flag, "COVID and CT_COVID in .* mean the same: keep one"),
    ],
)
def test_what_is_there_twice_is_refused(tmp_path, draw, said):
    draw(tmp_path / "d")
    with pytest.raises(DataError, match=said):
        read(tmp_path / "d", tmp_path)


def test_an_oversized_member_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ladnn.sources.archives.MAX_MEMBER_BYTES", 10)
    with pytest.raises(DataError, match="over 10 bytes"):
        read(albums.covid_ct_new(tmp_path / "n"), tmp_path)


def test_an_archive_of_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ladnn.sources.archives.MAX_TOTAL_BYTES", 10)
    with pytest.raises(DataError, match="at most 10 are read"):
        read(albums.covid_ct_new(tmp_path / "n"), tmp_path)


def test_a_truncated_archive_is_refused(tmp_path):
    folder = albums.covid_ct_new(tmp_path / "n")
    path = folder / "1_covidct.zip"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="no readable zip archive"):
        read(folder, tmp_path)


def test_files_that_are_no_images_stay_packed(tmp_path):
    folder = albums.covid_ct_new(tmp_path / "n")
    with zipfile.ZipFile(folder / "1_covidct.zip", "a") as archive:
        archive.writestr("__MACOSX/._x.png", b"x")
        archive.writestr("readme.txt", b"x")
    read(folder, tmp_path)
    assert len(list((tmp_path / "unpacked" / "1_covidct").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "covid", "patient"),
    [
        ("lungadenocarcinomas_LungCT-Diagnosis_004_30.png", False, "LungCT-Diagnosis_004"),
        ("Lungsquamouscellcarcinoma_CPTAC-LSCC_00497_24.png", False, "CPTAC-LSCC_00497"),
        ("Non-smallcelllungcancer_RIDER-Lung-CT_01188.png", False, "RIDER-Lung-CT_01188"),
        ("lung_nodules_luna16_34217.png", False, "luna16_34217"),
        ("10.1148ryct.2020200196-p23-1.png", True, "10.1148ryct.2020200196"),
        ("10.1148.radiol.2020200642-35.png", True, "10.1148.radiol.2020200642"),
        ("Bacterial_GTnegTestneg1.jpg", False, "Bacterial_GTnegTestneg1"),
    ],
)
def test_the_patient_comes_from_the_file_name(name, covid, patient):
    assert patient_of(name, covid=covid) == patient


def test_a_name_that_carries_no_diagnosis_gives_none():
    assert diagnosis_of("ImagFiles_GTnegTestneg1.png") == ""


def test_plain_folders_bring_a_flag_and_nothing_else(tmp_path):
    collection = read(albums.plain(tmp_path / "hospital"), tmp_path)
    assert collection.source == "hospital"
    assert {(e.patient, e.split) for e in collection.entries} == {("", "")}
    assert sum(e.covid for e in collection.entries) == 12


def test_an_empty_class_folder_is_an_error(tmp_path):
    folder = albums.plain(tmp_path / "h")
    for path in (folder / "COVID").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="holds no image"):
        read(folder, tmp_path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no folder at"):
        read(tmp_path / "none", tmp_path)


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "e").mkdir()
    with pytest.raises(DataError, match="is empty"):
        read(tmp_path / "e", tmp_path)


def test_a_folder_of_collections_names_those_inside(tmp_path):
    albums.plain(tmp_path / "all" / "h")
    with pytest.raises(DataError, match="holds the collections h: give those"):
        read(tmp_path / "all", tmp_path)


def test_an_unknown_label_set_is_an_error(tmp_path):
    with pytest.raises(DataError, match="published, paper, audited"):
        read(albums.plain(tmp_path / "h"), tmp_path, labels="best")


def test_a_label_set_moves_the_flag_and_says_why(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    control = "2020.02.25.20021568-p24-111%9.png"
    (folder / "CT_COVID" / "a b%1.png").rename(folder / "CT_COVID" / control)
    for table in ("split/train_meta.csv", "meta/COVID-CT-MetaInfo_new.csv"):
        edit(folder / table, "a b%1", control.removesuffix(".png"))
    entry = by_name(read(folder, tmp_path, labels="paper"))[control]
    assert (entry.covid, entry.correction, entry.diagnosis) == (False, "covid 1 to 0", "normal")
    assert entry.lesions.count == 0
    assert "controls" in entry.correction_reason


def test_a_flag_that_was_moved_before_is_not_moved_again(tmp_path):
    folder = albums.covid_ct(tmp_path / "d")
    control = "2020.02.25.20021568-p24-111%9.png"
    (folder / "CT_NonCOVID" / "2.png").rename(folder / "CT_NonCOVID" / control)
    for table in ("split/val_meta.csv", "meta/NonCOVID-CT-MetaInfo.csv"):
        edit(folder / table, "2.png", control)
    with pytest.raises(DataError, match="already has the flag that its correction sets"):
        read(folder, tmp_path, labels="paper")


def test_published_moves_nothing(tmp_path):
    entries = read(albums.covid_ct(tmp_path / "d"), tmp_path).entries
    assert not any(entry.correction for entry in entries)

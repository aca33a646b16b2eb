"""The manifest: its records, its file, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladnn.csvs import LONGEST_CELL
from ladnn.dataset import (
    COLUMNS,
    Manifest,
    Record,
    hash_records,
    read_manifest,
    write_manifest,
)
from ladnn.errors import DataError
from ladnn.findings import LESIONS, LesionLabels
from ladnn.splitting import PARTS

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)
NAME = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1
)
LABELS = st.builds(
    LesionLabels,
    values=st.tuples(*[st.sampled_from([True, False, None]) for _ in LESIONS]),
)


def record(name: str, **given) -> Record:
    return Record(
        **({"path": Path("/d") / name, "source": "s", "patient": "p", "covid": True} | given)
    )


@st.composite
def manifests(draw):
    names = draw(st.lists(NAME.filter(lambda n: n.strip(".")), unique=True, min_size=1, max_size=5))
    records = tuple(
        Record(
            path=Path("/data") / name,
            sha256=draw(TEXT),
            source=(source := draw(NAME)),
            patient=f"{source}/{draw(NAME)}",
            covid=draw(st.booleans()),
            lesions=draw(LABELS),
            split=draw(st.sampled_from(("", *PARTS))),
            caption=draw(TEXT),
            diagnosis=draw(TEXT),
            correction_reason=draw(TEXT),
        )
        for name in names
    )
    return Manifest(records=records, labels="paper")


@settings(max_examples=50, deadline=None)
@given(manifest=manifests())
def test_a_manifest_survives_its_file(manifest, tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "manifest.csv"
    write_manifest(manifest, path)
    assert read_manifest(path) == manifest


def test_a_caption_as_long_as_the_cell_of_a_table_may_be_survives_the_file(tmp_path):
    manifest = Manifest(records=(record("1.png", caption="x" * LONGEST_CELL),))
    write_manifest(manifest, tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv") == manifest


def test_a_caption_that_is_longer_is_called_long(tmp_path):
    manifest = Manifest(records=(record("1.png", caption="x" * (LONGEST_CELL + 1)),))
    write_manifest(manifest, tmp_path / "m.csv")
    with pytest.raises(DataError, match="longer than 1,048,576 characters"):
        read_manifest(tmp_path / "m.csv")


def test_images_below_the_manifest_move_with_it(tmp_path):
    inside = Manifest(records=(record("x", path=tmp_path / "a" / "1.png"),))
    write_manifest(inside, tmp_path / "a" / "m.csv")
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_manifest(tmp_path / "b" / "m.csv").records[0].path == tmp_path / "b" / "1.png"


def test_a_link_is_replaced_by_a_manifest_of_the_folder_it_lies_in(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "m.csv").symlink_to(tmp_path / "store" / "m.csv")
    image = tmp_path / "store" / "1.png"
    write_manifest(Manifest(records=(record("x", path=image),)), tmp_path / "work" / "m.csv")
    assert read_manifest(tmp_path / "work" / "m.csv").records[0].path == image


def test_an_image_outside_is_absolute_however_it_was_named(tmp_path):
    (tmp_path / "work").mkdir()
    outside = Manifest(records=(record("x", path=tmp_path / "work" / ".." / "1.png"),))
    write_manifest(outside, tmp_path / "work" / "m.csv")
    (tmp_path / "work").rename(tmp_path / "moved")
    assert read_manifest(tmp_path / "moved" / "m.csv").records[0].path == tmp_path / "1.png"


def test_no_source_is_called_as_all_of_them_are(tmp_path):
    (tmp_path / "m.csv").write_text("path,source,patient,covid\na.png,all,1,1\n")
    with pytest.raises(DataError, match="a source cannot be called all"):
        read_manifest(tmp_path / "m.csv")


def test_patients_of_one_name_in_two_sources_are_two(tmp_path):
    rows = "a.png,north,1,1\nb.png,south,1,0\nc.png,south,2,0\n"
    (tmp_path / "m.csv").write_text("path,source,patient,covid\n" + rows)
    found = read_manifest(tmp_path / "m.csv")
    assert [record.patient for record in found] == ["north/1", "south/1", "2"]


def test_what_a_run_learned_from_is_known_beside_a_source_with_patients_of_the_same_names(tmp_path):
    head, north = "path,source,patient,covid,split\n", "a.png,north,1,1,test\n"
    (tmp_path / "one.csv").write_text(head + north)
    (tmp_path / "two.csv").write_text(head + north + "b.png,south,1,0,test\n")
    alone, beside = (read_manifest(tmp_path / name) for name in ("one.csv", "two.csv"))
    assert hash_records(alone) == hash_records(beside.part("test", source="north"))
    assert hash_records(alone) != hash_records(beside)


def test_a_manifest_without_optional_columns_is_read(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("path,source,patient,covid\n1.png,s,p,1\n")
    assert read_manifest(path).records[0].lesions == LesionLabels()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("path,source,patient\n", "no column 'covid'"),
        ("path,source,patient,covid,Ggo\n", "unknown column 'Ggo'"),
        ("path,source,patient,covid\n1.png,s,p\n", "line 2 has 3 cells"),
        ("path,source,patient,covid\n1.png,s,p,yes\n", "line 2: covid is 'yes': write 1 or 0"),
        ("path,source,patient,covid\n,s,p,1\n", "line 2: it has no path"),
        ("path,source,patient,covid\n1.png\0,s,p,1\n", "holds zero bytes"),
        (
            'path,source,patient,covid\n1.png,s,"p,1\n2.png,s,p,1\n',
            "line 2 is not CSV.*never closed: close it",
        ),
        ("path;source;patient;covid\n1;2.png;s;p;1\n", "cells that hold semicolons"),
        ("path,source,patient,covid,\n1.png,s,p,1,x\n", "unknown column ''"),
        (
            "path,source,patient,covid,split,caption\n1.png,s,p,1,val,GGO, x,\n",
            "line 2 has 8 cells",
        ),
        ("path,name\n1.png,s\n", "unknown column 'name'|no column 'source'"),
        ("path,source,patient,covid,GGO\n1.png,s,p,1,x\n", "line 2: 'x' is no label"),
        ("path,source,patient,covid,split\n1.png,s,p,1,dev\n", "split 'dev' is unknown"),
        ("path,source,patient,covid\n1.png,s,p,1\n1.png,s,p,1\n", "twice"),
        ("path,source,patient,covid\n1.png,s,,1\n", "no patient"),
        ("path,source,patient,covid,labels\n1,s,p,1,paper\n2,s,p,1,audited\n", "mixes"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused_in_a_sentence(tmp_path, text, said):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_manifest(tmp_path / "m.csv")


def test_every_row_with_an_unknown_label_is_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("path,source,patient,covid\n1,s,p,yes\n2,s,p,1\n3,s,p,no\n")
    with pytest.raises(DataError, match=r"line 2.*line 4"):
        read_manifest(path)


def test_of_many_rows_that_do_not_hold_five_are_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("path,source,patient,covid\n" + "1,s,p,yes\n" * 300)
    with pytest.raises(DataError, match=r"line 6: covid is 'yes': write 1 or 0; and 295 more$"):
        read_manifest(path)


@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_a_manifest_saved_by_a_spreadsheet_is_read(tmp_path, mark):
    """With a byte order mark, its own separator, empty columns behind and empty rows between."""
    lines = ["path,source,patient,covid,caption,,", '1.png,s,p,1,"{0} a",,', ",,,,,,", ",,,,,,"]
    text = "\r\n".join(lines).replace(",", mark).format(mark) + "\r\n"
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (read,) = read_manifest(tmp_path / "m.csv")
    assert (read.path.name, read.covid, read.caption) == ("1.png", True, f"{mark} a")


def test_a_missing_manifest_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError, match="ladnn data import"):
        read_manifest(tmp_path / "none.csv")


def test_a_manifest_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(DataError, match="not UTF-8"):
        read_manifest(tmp_path / "m.csv")


def test_a_manifest_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_manifest(Manifest(records=()), tmp_path / "file" / "m.csv")


def test_a_part_holds_the_records_of_its_split_and_source():
    records = (record("1", split="val"), record("2", split="val", source="t"), record("3"))
    part = Manifest(records=records).part("val", source="t")
    assert [r.path.name for r in part] == ["2"]


def test_an_unknown_part_is_an_error():
    with pytest.raises(DataError, match="train, val or test"):
        Manifest(records=()).part("dev")


def test_the_lesion_columns_stand_in_the_order_of_the_vocabulary():
    start = COLUMNS.index("GGO")
    assert COLUMNS[start : start + len(LESIONS)] == tuple(map(str, LESIONS))

"""The real collections: Table 1, the patients, the packaged hashes, and the leaks."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from ladnn.fetching import published_hashes
from ladnn.findings import LESIONS
from ladnn.inspection import acknowledged_leaks, inspect, view
from ladnn.intake import resplit, take_in

pytestmark = pytest.mark.real

COLLECTIONS = ("covid-ct", "covid-ct-new", "sarscov2-ct")


@pytest.fixture(scope="module")
def intake(data_root, tmp_path_factory):
    folders = [data_root / name for name in COLLECTIONS]
    extract_to = tmp_path_factory.mktemp("unpacked")
    return take_in(folders, labels="paper", extract_to=extract_to)


@pytest.fixture(scope="module")
def viewed(intake):
    return view(intake.manifest)


@pytest.fixture(scope="module")
def problems(viewed):
    return inspect(viewed, acknowledged_leaks())


def counts(manifest, source="covid-ct"):
    return Counter((r.split, r.covid) for r in manifest if r.source == source)


def test_the_images_of_table_1_come_out(intake):
    found = counts(intake.manifest)
    assert [found[split, True] for split in ("train", "val", "test")] == [187, 60, 98]
    assert [found[split, False] for split in ("train", "val", "test")] == [238, 58, 105]


def test_the_patients_come_out(intake):
    patients = defaultdict(set)
    for record in intake.manifest:
        if record.source == "covid-ct":
            patients[record.split, record.covid].add(record.patient)
    found = {key: len(value) for key, value in patients.items()}
    assert [found[split, True] for split in ("train", "val", "test")] == [125, 31, 53]
    assert [found[split, False] for split in ("train", "val", "test")] == [109, 24, 42]


def test_the_lesions_come_out_by_part(intake):
    found = {
        str(lesion): [
            sum(r.lesions[lesion] is True for r in intake.manifest.part(part, source="covid-ct"))
            for part in ("train", "val", "test")
        ]
        for lesion in LESIONS
    }
    assert found == {
        "GGO": [108, 37, 66],
        "Csld": [51, 10, 18],
        "CrPa": [11, 0, 4],
        "AirBr": [8, 0, 3],
        "InSepThi": [12, 0, 0],
    }


@pytest.mark.parametrize(
    ("labels", "train", "test"),
    [("published", (191, 234), (98, 105)), ("audited", (186, 239), (94, 109))],
)
def test_the_other_label_sets_come_out(data_root, tmp_path, labels, train, test):
    manifest = take_in([data_root / "covid-ct"], labels=labels, extract_to=tmp_path).manifest
    found = counts(manifest)
    assert (found["train", True], found["train", False]) == train
    assert (found["test", True], found["test", False]) == test


def test_the_moved_controls_name_their_reason(intake):
    moved = [r for r in intake.manifest if r.correction]
    assert len(moved) == 4
    assert all("controls" in record.correction_reason for record in moved)


def test_the_moved_controls_are_called_controls_by_their_caption(intake):
    captions = [record.caption for record in intake.manifest if record.correction]
    assert all("CT images of the control" in caption for caption in captions)


def test_the_images_of_d1_that_cannot_be_had_are_counted(intake):
    assert {source: len(names) for source, names in intake.missing.items()} == {"covid-ct-new": 306}


def test_no_image_fails(intake):
    assert intake.failures == ()


def test_the_packaged_hashes_are_those_of_the_images(intake):
    found = defaultdict(dict)
    for record in intake.manifest:
        if record.source == "covid-ct":
            found[record.path.parent.name][record.path.name] = record.pixel_hash
    assert found == published_hashes()


def test_clusters_are_neither_one_giant_nor_all_alone(intake):
    sizes = Counter(r.patient for r in intake.manifest if r.source == "sarscov2-ct")
    assert 200 <= len(sizes) <= 320
    assert max(sizes.values()) <= 100


def test_no_cluster_mixes_the_flags(intake):
    flags = defaultdict(set)
    for record in intake.manifest:
        if record.source == "sarscov2-ct":
            flags[record.patient].add(record.covid)
    assert all(len(found) == 1 for found in flags.values())


def test_there_is_no_leak_that_is_not_acknowledged(problems):
    assert [p.sentence for p in problems if p.error] == []


def test_the_published_split_has_the_leaks_that_are_acknowledged(problems):
    names = {frozenset(path.name for path in p.paths) for p in problems if p.kind == "leak"}
    assert names == {
        frozenset({"71%0.jpg", "kjr-21-e24-p5-29.png"}),
        frozenset({"71%1.jpg", "kjr-21-e24-p5-31.png"}),
        frozenset({"1920.png", "1919.png"}),
        frozenset({"1921.png", "1919.png"}),
    }


def test_the_published_split_has_the_pairs_that_are_known_though_little_alike(problems):
    assert sum(problem.kind == "known" for problem in problems) == 17


@pytest.mark.parametrize("seed", range(3))
def test_a_new_split_has_no_leak_that_is_known(intake, viewed, seed):
    known = acknowledged_leaks()
    pairs = known.pairs(intake.manifest.records)
    assert len(pairs) == len(known.reasons)
    sources = ["covid-ct"]
    anew = resplit(intake.manifest, viewed.prints, pairs, sources=sources, seed=seed)
    found = inspect(replace(viewed, records=anew.records), known)
    assert {problem.kind for problem in found} & {"leak", "known", "patient"} == set()

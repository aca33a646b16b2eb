"""Contributed images beside a base: what is left out, what may validate, what the test stays."""

from dataclasses import replace
from pathlib import Path

import pytest

from albums import save
from ladnn.combining import _refuse_contamination, combine
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.errors import DataError
from ladnn.imaging import read_image
from ladnn.similarity import pixel_hash


def incoming(path: Path, split: str = "", patient: str = "") -> Record:
    return Record(path=path, source="clinic", patient=patient or str(path), covid=True, split=split)


def manifest(*records: Record) -> Manifest:
    return Manifest(records=records, labels="paper")


@pytest.fixture
def album(tmp_path: Path) -> dict[str, Record]:
    """One image in each part of a base."""
    return {
        part: Record(
            path=save(tmp_path / f"{part}.png", seed),
            source="home",
            patient=part,
            covid=True,
            split=part,
            pixel_hash=pixel_hash(read_image(tmp_path / f"{part}.png").pixels),
        )
        for seed, part in enumerate(("train", "val", "test"))
    }


@pytest.mark.parametrize("split", ["train", "val", "test", ""])
def test_no_contributed_image_enters_the_locked_test(album, tmp_path: Path, split: str):
    new = incoming(save(tmp_path / "new.png", 50), split)
    whole, _ = combine(manifest(*album.values()), manifest(new))
    assert whole.records[-1].split == ("val" if split == "val" else "train")
    assert hash_records(whole.part("test")) == hash_records([album["test"]])


@pytest.mark.parametrize("written", ["test", "home/test"])
def test_a_patient_of_the_test_is_known_by_the_source_that_a_site_exports(
    album, tmp_path: Path, written: str
):
    base = manifest(*(replace(record, patient=written) for record in (album["test"],)))
    paths = save(tmp_path / "same.png", 50), save(tmp_path / "other.png", 60)
    new = [
        replace(incoming(path), source="contributed home", patient=f"contributed home/{name}")
        for path, name in zip(paths, ("test", "p2"), strict=True)
    ]
    whole, left_out = combine(base, manifest(*new))
    why = "its patient is in the validation or the test split"
    assert (left_out, whole.records[-1].path) == (((paths[0], why),), paths[1])


def test_contamination_is_refused_whatever_came_before(album, tmp_path: Path):
    base = manifest(*album.values())
    spoiled = manifest(*base.records, incoming(save(tmp_path / "new.png", 50), "test"))
    with pytest.raises(DataError, match="locked test"):
        _refuse_contamination(base, spoiled)


@pytest.mark.parametrize(
    ("seed", "variant", "reason"),
    [
        (0, 0, "has this picture"),
        (2, 0, "has this picture"),
        (1, 1, "resembles an image of the validation"),
        (2, 1, "resembles an image of the validation or the test split"),
    ],
)
def test_a_picture_of_the_base_and_a_twin_of_a_held_one_are_left_out(
    album, tmp_path: Path, seed: int, variant: int, reason: str
):
    twin = incoming(save(tmp_path / "twin.png", seed, variant=variant))
    fresh = incoming(save(tmp_path / "fresh.png", 60))
    whole, left_out = combine(manifest(*album.values()), manifest(twin, fresh))
    assert [path for path, _ in left_out] == [twin.path]
    assert reason in left_out[0][1]
    assert len(whole) == 4


def test_another_image_of_a_test_patient_is_left_out(album, tmp_path: Path):
    same = replace(incoming(save(tmp_path / "s.png", 70), patient="test"), source="home")
    fresh = incoming(save(tmp_path / "fresh.png", 60))
    _, left_out = combine(manifest(*album.values()), manifest(same, fresh))
    assert "its patient is in" in left_out[0][1]


def test_other_slices_of_somebody_who_resembles_a_held_image_are_left_out(album, tmp_path: Path):
    twin = incoming(save(tmp_path / "twin.png", 2, variant=1), patient="x")
    slices = [incoming(save(tmp_path / f"{n}.png", n), patient="x") for n in (61, 62)]
    fresh = incoming(save(tmp_path / "fresh.png", 60), patient="y")
    whole, left_out = combine(manifest(*album.values()), manifest(*slices, twin, fresh))
    assert {path for path, _ in left_out} == {twin.path, *(one.path for one in slices)}
    assert "another image of its patient resembles one of" in dict(left_out)[slices[0].path]
    assert len(whole) == len(album) + 1


def test_what_resembles_the_bases_training_or_is_of_its_patients_validates_nothing(
    album, tmp_path: Path
):
    twin = incoming(save(tmp_path / "twin.png", 0, variant=1), "val", patient="x")
    slice_ = incoming(save(tmp_path / "slice.png", 61), "val", patient="x")
    same = replace(incoming(save(tmp_path / "s.png", 70), "val", patient="train"), source="home")
    taught = incoming(save(tmp_path / "t.png", 62), "train", patient="y")
    beside = incoming(save(tmp_path / "b.png", 63), "val", patient="y")
    fresh = incoming(save(tmp_path / "fresh.png", 60), "val", patient="z")
    new = (twin, slice_, same, taught, beside, fresh)
    whole, left_out = combine(manifest(*album.values()), manifest(*new))
    assert left_out == ()
    assert [one.path for one in whole.part("val")] == [album["val"].path, fresh.path]


def test_a_dataset_with_nothing_new_is_refused(album):
    base = manifest(*album.values())
    again = manifest(*(replace(record, source="clinic") for record in base))
    with pytest.raises(DataError, match="none of the contributed images is new"):
        combine(base, again)


def test_an_unreadable_image_of_the_locked_test_ends_the_update(album, tmp_path: Path):
    album["test"].path.write_bytes(b"no image")
    with pytest.raises(DataError, match="must all be there"):
        combine(manifest(*album.values()), manifest(incoming(save(tmp_path / "n.png", 50))))


@pytest.mark.parametrize("source", ["home", "clinic"])
def test_clusters_of_two_imports_have_nobody_in_common(tmp_path: Path, source: str):
    held = Record(
        path=save(tmp_path / "held.png", 2),
        source="home",
        patient="home/cluster-0001",
        covid=True,
        split="test",
    )
    new = incoming(save(tmp_path / "new.png", 50), patient=f"{source}/cluster-0001")
    whole, left_out = combine(manifest(held), manifest(replace(new, source=source)))
    assert left_out == ()
    assert whole.records[-1].patient != held.patient

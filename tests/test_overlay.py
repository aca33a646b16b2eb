"""An overlay shows the image unchanged where nothing was seen, and its name stays in the folder."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from ladnn import overlay
from ladnn.errors import ImageError
from ladnn.findings import Decision, Prediction
from synthetic import thorax

BOX = (0.1, 0.2, 0.9, 0.8)


def prediction(**changes):
    values = {
        "sha256": "ab" * 32,
        "probability": 0.93,
        "decision": Decision.POSITIVE,
        "operating_point": "balanced",
        "lesions": (0.9, 0.4, 0.1, 0.05, 0.6),
        "score": 0.8,
        "assessable": True,
        "model_name": "tiny",
        "model_version": "1",
    }
    return Prediction(**(values | changes))


def maps(count=6, value=1.0):
    return np.full((count, 7, 7), value, dtype=np.float32)


def differs(one, other):
    return ImageChops.difference(one, other).getbbox()


@pytest.mark.parametrize("size", [(64, 64), (400, 100), (100, 400), (33, 1200)])
def test_a_sheet_has_one_width_for_every_shape_of_image(size):
    pixels = np.zeros(size, dtype=np.uint8)
    assert overlay.draw(pixels, maps(), prediction(), box=BOX).width == 1260


def test_a_picture_keeps_its_aspect_ratio():
    assert overlay._fit(Image.new("L", (200, 100)), (430, 400)).size == (430, 215)


def test_a_map_of_zeros_leaves_the_picture_as_it_is():
    picture = Image.fromarray(thorax(1)).convert("RGB")
    assert differs(overlay.blend(picture, maps(value=0.0)[0], BOX), picture) is None


def test_a_map_is_laid_over_its_box_and_nowhere_else():
    picture = Image.new("RGB", (200, 100), (90, 90, 90))
    changed = differs(overlay.blend(picture, maps()[0], BOX), picture)
    assert changed == (20, 20, 180, 80)


def test_a_hot_corner_of_the_map_is_the_same_corner_of_the_box():
    heatmap = np.zeros((8, 8), dtype=np.float32)
    heatmap[0, 7] = 1
    picture = Image.new("RGB", (200, 100), (90, 90, 90))
    change = np.asarray(overlay.blend(picture, heatmap, BOX), dtype=int) - 90
    y, x = np.unravel_index(np.abs(change).sum(axis=2).argmax(), change.shape[:2])
    assert (y < 30, x > 160) == (True, True)


def test_a_larger_value_hides_more_and_never_all():
    _, alpha = overlay.colour(np.arange(256, dtype=np.uint8)[np.newaxis])
    values = np.asarray(alpha)[0]
    assert (values[0], bool((np.diff(values.astype(int)) >= 0).all()), values[-1] < 200) == (
        0,
        True,
        True,
    )


def test_an_uncalibrated_lesion_changes_what_is_written():
    known = overlay.draw(thorax(1), maps(), prediction(), box=BOX, calibrated=(True,) * 5)
    unknown = overlay.draw(
        thorax(1), maps(), prediction(), box=BOX, calibrated=(True, True, True, True, False)
    )
    left, top, *_ = differs(known, unknown)
    assert (left > 900, top > 350) == (True, True)


def written(monkeypatch, **changes):
    """Every text of a sheet."""
    texts = []
    mask = overlay._mask

    def record(text, size):
        texts.append(text)
        return mask(text, size)

    monkeypatch.setattr(overlay, "_mask", record)
    monkeypatch.setattr(overlay, "_written", record)
    overlay.draw(thorax(1), maps(), prediction(), box=BOX, **changes)
    return texts


def test_a_sheet_says_from_where_on_it_is_positive_and_what_its_score_is_of(monkeypatch):
    texts = written(monkeypatch, cuts=(0.45, 0.55))
    assert "Positive from 0.550, negative below 0.450" in texts
    assert "Likeness to an axial chest CT: 0.800 of 1" in texts
    assert "Positive from 0.500, else negative" in written(monkeypatch, cuts=(0.5, 0.5))


def test_a_probability_below_a_cut_is_not_written_like_it(monkeypatch):
    texts = written(monkeypatch, cuts=(0.7, prediction().probability + 4e-5))
    assert "0.93000" in texts
    assert "Positive from 0.93004, negative below 0.70000" in texts


def test_the_sheet_of_a_slice_says_that_it_is_one_and_that_the_cuts_are_the_studys(monkeypatch):
    texts = written(monkeypatch, cuts=(0.45, 0.55), study="slice 2 alone", name="x")
    assert "Study positive from 0.550, negative below 0.450" in texts
    assert "slice 2 alone   x" in texts


def test_a_baseline_has_no_lesion_panels():
    with_lesions = overlay.draw(thorax(1), maps(), prediction(), box=BOX)
    without = overlay.draw(thorax(1), maps(1), prediction(lesions=None), box=BOX)
    assert without.height < with_lesions.height - 150


@pytest.mark.parametrize("decision", list(Decision))
def test_every_decision_can_be_drawn(decision):
    said = prediction(decision=decision, assessable=decision != Decision.NOT_ASSESSABLE)
    assert overlay.draw(thorax(2), maps(), said, box=BOX, name="x").height > 400


@given(st.text(max_size=300), st.integers(min_value=100, max_value=900))
def test_a_shortened_name_fits_and_is_plain(text, width):
    shown = overlay.shorten(text, width, 16)
    fits = overlay._font(16).getlength(shown) <= width
    assert (fits or len(shown) <= 11, shown.isascii()) == (True, True)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_hostile_name_stays_in_the_folder(name):
    made = overlay.file_name(Path("in") / name.strip("/"))
    plain = made.isprintable() and " " not in made
    assert (Path(made).name, made[0] != ".", plain, len(made.encode()) < 180) == (
        made,
        True,
        True,
        True,
    )


@pytest.mark.parametrize("name", ["肺炎.png", "صورة.png", "снимок.png"])
def test_a_name_of_any_writing_is_read_in_that_of_its_overlay(name):
    assert overlay.file_name(name).startswith(f"{name}-")


def test_equal_names_in_two_folders_have_two_overlays():
    assert overlay.file_name("a/scan.png") != overlay.file_name("b/scan.png")


def test_names_that_differ_in_odd_characters_alone_have_two_overlays():
    assert overlay.file_name("a b.png") != overlay.file_name("a_b.png")


def test_two_frames_of_a_file_have_two_overlays():
    assert overlay.file_name("a.dcm", 1) != overlay.file_name("a.dcm", 2)


def test_a_path_has_the_same_overlay_every_time():
    assert overlay.file_name("a/scan.png") == overlay.file_name(Path("a/scan.png"))


def test_a_name_that_is_not_unicode_has_an_overlay():
    assert overlay.file_name(Path("\udcff.png")).endswith(".jpg")


def test_a_saved_sheet_opens_as_drawn(tmp_path):
    sheet = overlay.draw(thorax(3), maps(), prediction(), box=BOX)
    overlay.save(sheet, tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.size) == ("JPEG", sheet.size)


def test_saving_leaves_no_other_file(tmp_path):
    overlay.save(Image.new("RGB", (8, 8)), tmp_path / "a.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_saving_replaces_a_link_and_not_what_it_points_to(tmp_path):
    (tmp_path / "precious").write_text("keep", encoding="utf-8")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "precious")
    overlay.save(Image.new("RGB", (8, 8)), tmp_path / "a.jpg")
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "keep"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"old")

    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ImageError, match="No space left"):
        overlay.save(Image.new("RGB", (8, 8)), tmp_path / "a.jpg")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.jpg", b"old")]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ImageError, match="cannot be written"):
        overlay.save(Image.new("RGB", (8, 8)), tmp_path / "missing" / "a.jpg")


def test_sheets_drawn_in_threads_are_the_sheets_drawn_alone():
    images = [thorax(seed) for seed in range(6)]

    def draw(pixels):
        return overlay.draw(pixels, maps(), prediction(), box=BOX, name="x").tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, images)) == [draw(pixels) for pixels in images]

"""The exact hash, the fingerprint, near pairs and clusters."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from albums import picture
from ladnn.similarity import NEAR, clusters, fingerprint, near_pairs, pixel_hash, place_of
from synthetic import thorax


def prints(*pixels):
    return np.stack([fingerprint(one) for one in pixels])


def test_the_hash_is_of_the_size_and_the_rows_of_grey_values():
    pixels = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    data = bytes([2, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6])
    assert pixel_hash(pixels) == hashlib.sha256(data).hexdigest()


def test_pictures_of_equal_bytes_and_other_shape_have_other_hashes():
    assert pixel_hash(np.zeros((2, 3), np.uint8)) != pixel_hash(np.zeros((3, 2), np.uint8))


def test_a_hash_does_not_depend_on_the_memory_layout():
    pixels = picture(0)
    assert pixel_hash(np.asfortranarray(pixels)) == pixel_hash(pixels)


@given(seed=st.integers(0, 20), height=st.integers(1, 60), width=st.integers(1, 60))
def test_a_fingerprint_has_length_one_or_less_where_a_part_is_flat(seed, height, width):
    length = np.linalg.norm(fingerprint(picture(seed)[:height, :width]))
    assert min(abs(length - one) for one in (0, np.sqrt(0.5), 1)) < 1e-3


def test_a_flat_image_is_like_nothing():
    flat = np.full((50, 50), 7, np.uint8)
    assert fingerprint(flat) @ fingerprint(flat) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda x: np.asarray(Image.fromarray(x).resize((200, 170))),
        lambda x: (x * 0.7 + 20).astype(np.uint8),
        lambda x: np.pad(x, 15),
    ],
    ids=["resized", "of lower contrast", "with a border"],
)
def test_an_image_stays_near_itself(change):
    pixels = thorax(3, size=(150, 190))
    assert fingerprint(pixels) @ fingerprint(change(pixels)) >= NEAR


def test_unlike_pictures_are_not_near():
    assert fingerprint(picture(1)) @ fingerprint(picture(2)) < NEAR


def test_the_round_field_of_view_does_not_make_patients_alike():
    wide = (-300.0, 3000.0)
    views = [thorax(i, window=wide, round_field=True, size=(160, 160)) for i in (1, 2)]
    plain = [thorax(i, window=wide, size=(160, 160)) for i in (1, 2)]
    alike = prints(*views)[0] @ prints(*views)[1]
    assert alike <= prints(*plain)[0] @ prints(*plain)[1] + 0.1


def test_near_pairs_are_found_once_each():
    found = near_pairs(prints(picture(1), picture(2), picture(1, variant=1)))
    assert [(i, j) for i, j, _ in found] == [(0, 2)]


def test_near_pairs_do_not_depend_on_the_block_size(monkeypatch):
    many = prints(*(picture(i % 7, variant=i) for i in range(20)))
    whole = near_pairs(many)
    monkeypatch.setattr("ladnn.similarity._BLOCK", 3)
    assert [(i, j) for i, j, _ in near_pairs(many)] == [(i, j) for i, j, _ in whole]


def test_near_images_share_a_cluster_and_others_do_not():
    many = prints(picture(1), picture(2), picture(1, variant=1))
    assert clusters(many, [None] * 3).tolist() == [0, 1, 0]


def test_neighbours_in_number_need_less_likeness():
    mixed = (0.6 * picture(1).astype(float) + 0.4 * picture(2)).astype(np.uint8)
    many = prints(picture(1), mixed)
    likeness = float(many[0] @ many[1])
    assert likeness >= 0.55
    apart = [("s", 1), ("s", 50)]
    beside = [("s", 1), ("s", 2)]
    assert clusters(many, beside).tolist() == [0, 0]
    assert clusters(many, apart).tolist() == [0, int(likeness < NEAR)]


def test_an_image_numbered_between_two_of_a_cluster_joins_it():
    many = prints(picture(1), picture(2), picture(1, variant=1))
    assert clusters(many, [("s", 1), ("s", 2), ("s", 3)]).tolist() == [0, 0, 0]


def test_unlike_neighbours_stay_apart():
    many = prints(*(picture(i) for i in range(6)))
    assert len(set(clusters(many, [("s", i) for i in range(6)]).tolist())) == 6


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("d/Covid (12).jpg", ("d/Covid (", 12)),
        ("d/slice_003.png", ("d/slice_", 3)),
        ("d/scan.png", None),
    ],
)
def test_the_place_is_the_number_that_a_name_ends_in(name, place):
    assert place_of(Path(name)) == place

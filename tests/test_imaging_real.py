"""Real files: the three collections, and the samples that come with pydicom."""

import contextlib
import random
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ladnn.errors import ImageError
from ladnn.imaging import CtImage, decode, read_image

SAMPLES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*"))
SUFFIXES = {".png", ".jpg", ".jpeg"}
SAMPLE = 150


def real_images(root: Path) -> list[tuple[str, bytes | Path]]:
    """Every image of the collections: loose files by path, archived ones by content."""
    found: list[tuple[str, bytes | Path]] = [
        (str(path), path) for path in sorted(root.rglob("*")) if path.suffix.lower() in SUFFIXES
    ]
    for archive in sorted(root.rglob("*.zip")):
        with zipfile.ZipFile(archive) as file:
            names = [n for n in file.namelist() if Path(n).suffix.lower() in SUFFIXES]
            found += [(name, file.read(name)) for name in sorted(names) if "__MACOSX" not in name]
    return found


def check(image: CtImage) -> None:
    assert image.pixels.dtype == np.uint8
    assert min(image.pixels.shape) > 30
    assert image.pixels.std() > 5


def read(source: bytes | Path) -> CtImage:
    return decode(source) if isinstance(source, bytes) else read_image(source)


@pytest.mark.real
def test_a_sample_of_the_real_images_decodes(data_root):
    for _, source in random.Random(0).sample(real_images(data_root), SAMPLE):
        check(read(source))


@pytest.mark.real
@pytest.mark.soak
def test_every_real_image_decodes(data_root):
    images = real_images(data_root)
    assert len(images) == 3302 + 1
    for _, source in images:
        check(read(source))


@pytest.mark.parametrize("path", [p for p in SAMPLES if p.is_file()], ids=lambda p: p.name)
def test_pydicoms_samples_are_decoded_or_refused(path):
    with contextlib.suppress(ImageError):
        assert read_image(path).pixels.dtype == np.uint8


@pytest.mark.parametrize("name", ["CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"])
def test_pydicoms_ct_samples_have_contrast(name):
    assert read_image(next(p for p in SAMPLES if p.name == name)).pixels.std() > 20

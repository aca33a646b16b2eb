"""The bundles that ship refuse the pictures that come with two packages: none is a chest CT."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from ladnn.errors import ImageError
from ladnn.findings import Decision
from ladnn.imaging import CtImage, read_image
from ladnn.runtime import Predictor, load_bundle

PASSES = {"default": set[str](), "paper-d0": {"chelsea.png"}}
"""Pictures that a guard is known to let through; docs/results.md says so."""


@cache
def pictures() -> dict[str, CtImage]:
    """Photographs, micrographs, patterns, and CT and MR of other parts, by their names."""
    found = {}
    for package in ("skimage", "pydicom"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        for path in sorted((Path(spec.origin).parent / "data").rglob("*")):
            try:
                found[path.name] = read_image(path)
            except ImageError:  # a table, a volume of something else, or a file broken on purpose
                continue
    return found


@pytest.mark.parametrize("bundle", PASSES)
def test_sample_pictures_are_not_assessable(bundle):
    assert len(pictures()) >= 30
    said = Predictor(load_bundle(bundle), threads=1).predict(list(pictures().values()))
    passed = {
        name
        for name, one in zip(pictures(), said, strict=True)
        if one.prediction.decision is not Decision.NOT_ASSESSABLE
    }
    assert passed <= PASSES[bundle]

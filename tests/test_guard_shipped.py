"""The bundles that ship refuse what is no chest CT, and hardly an image that is one."""

import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from ladnn.decoys import KINDS, draw
from ladnn.errors import ImageError
from ladnn.findings import Decision
from ladnn.imaging import CtImage, read_image
from ladnn.intake import take_in
from ladnn.runtime import Predictor, load_bundle

BUNDLES = ("default", "paper-d0")

UNSEEN_SEEDS = (900_000_001, 900_000_002)
"""Of drawings; fitting and the guard's own tests count up from 0 and never come so far."""

NEAR = ("ct_", "mr_")
"""How kinds begin that are CT or MR of other parts, of which a guard may let a few through."""
MOST_DRAWN = 0.02
"""Share of all drawings that a guard may let through; docs/concepts/guard.md has what they do."""

HELD_OUT = ("covid-ct", "sarscov2-ct")
MOST_REFUSED = 0.03
"""Share of a collection's held-out images; nothing else is asked of them here."""


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


def drawing(kind: str, seed: int) -> CtImage:
    """A drawing of a kind as if it had been read from a file."""
    pixels = draw(kind, seed)
    return CtImage(pixels=pixels, sha256="", format="PNG", size=pixels.shape)


def refused(bundle: str, images: list[CtImage]) -> list[bool]:
    """Which of the images a bundle does not assess."""
    predictor = Predictor(load_bundle(bundle), threads=1)
    decisions = [predictor.predict([image])[0].prediction.decision for image in images]
    return [decision is Decision.NOT_ASSESSABLE for decision in decisions]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_sample_pictures_are_not_assessable(bundle):
    assert len(pictures()) >= 30
    answers = zip(pictures(), refused(bundle, list(pictures().values())), strict=True)
    assert [name for name, is_refused in answers if not is_refused] == []


@pytest.mark.parametrize("bundle", BUNDLES)
def test_drawings_are_not_assessable_but_for_a_few_scans_of_other_parts(bundle):
    drawn = {(kind, seed): drawing(kind, seed) for kind in KINDS for seed in UNSEEN_SEEDS}
    answers = zip(drawn, refused(bundle, list(drawn.values())), strict=True)
    passed = [kind for (kind, _), is_refused in answers if not is_refused]
    assert [kind for kind in passed if not kind.startswith(NEAR)] == []
    assert len(passed) <= MOST_DRAWN * len(drawn)


@pytest.fixture(scope="module")
def held_out(data_root, tmp_path_factory):
    """The images of the test split, by collection."""
    folders = [data_root / name for name in HELD_OUT]
    manifest = take_in(folders, labels="paper", extract_to=tmp_path_factory.mktemp("in")).manifest
    return {name: [r.path for r in manifest.part("test", source=name)] for name in HELD_OUT}


@pytest.mark.real
@pytest.mark.parametrize("collection", HELD_OUT)
@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize(
    "most", [pytest.param(40, id="sample"), pytest.param(None, id="all", marks=pytest.mark.soak)]
)
def test_held_out_images_are_assessed(bundle, collection, most, held_out):
    paths = held_out[collection]
    chosen = paths if most is None else random.Random(0).sample(paths, most)
    answers = refused(bundle, [read_image(path) for path in chosen])
    assert sum(answers) <= MOST_REFUSED * len(answers)

"""Drawn CT images on disk, kept in the temporary folder for the next run."""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from ladnn import __version__
from ladnn.dataset import Manifest, Record
from ladnn.engines import processor_threads
from ladnn.findings import LESIONS, Lesion, LesionLabels
from ladnn.phantom import thorax

SIZE = (300, 400)
"""Height and width, as most of D0's images have."""


def folder(count: int) -> Path:
    """A folder with that many phantoms, every fourth a JPEG and the others PNG, as D0 has both."""
    place = Path(tempfile.gettempdir()) / f"ladnn-bench-{__version__}" / f"phantoms-{count}"
    place.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in range(count) if not (place / name(seed)).exists()]
    if missing:
        with ProcessPoolExecutor(processor_threads()) as pool:
            list(pool.map(partial(draw, place), missing, chunksize=8))
    return place


def name(seed: int) -> str:
    """The file of a phantom."""
    return f"phantom-{seed:04d}.{'jpg' if seed % 4 == 3 else 'png'}"


def draw(place: Path, seed: int) -> None:
    """Write one phantom: one lesion after the other, then none."""
    pixels = thorax(seed, size=SIZE, lesions=lesions(seed))
    partial_file = place / f".{name(seed)}"
    Image.fromarray(pixels).save(partial_file)
    partial_file.replace(place / name(seed))


def lesions(seed: int) -> tuple[Lesion, ...]:
    """Every other phantom shows one lesion, in turn."""
    return (LESIONS[seed // 2 % len(LESIONS)],) if seed % 2 else ()


def manifest(count: int) -> Manifest:
    """The phantoms of a folder as training images of one source."""
    place = folder(count)
    records = (
        Record(
            path=place / name(seed),
            source="phantoms",
            patient=f"phantom-{seed}",
            covid=bool(lesions(seed)),
            lesions=LesionLabels(values=tuple(x in lesions(seed) for x in LESIONS)),
            split="train",
        )
        for seed in range(count)
    )
    return Manifest(records=tuple(records), labels="drawn")

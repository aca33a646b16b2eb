"""What a collection's own files say of one image, before it is decoded."""

from dataclasses import dataclass, field
from pathlib import Path

from ladnn.findings import LesionLabels

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom"}
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image of a collection and its labels.

    Attributes:
        path: of the image's file.
        source: the collection's name.
        patient: unique over all sources; empty where nobody knows, then clusters stand in.
        covid: the flag, after the corrections of the label set.
        lesions: unknown (None) is not absent.
        split: `train`, `val`, `test`, or empty where the collection brings none.
        caption, diagnosis: empty where unknown.
        correction, correction_reason: what was moved and why; empty for an image left as it was.
    """

    path: Path
    source: str
    patient: str
    covid: bool
    lesions: LesionLabels = field(default_factory=LesionLabels)
    split: str = ""
    caption: str = ""
    diagnosis: str = ""
    correction: str = ""
    correction_reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The images of one folder.

    Attributes:
        source: the collection's name.
        missing: images that a table lists and that lie nowhere.
        unlisted: images that lie there and that no table lists.
        named_by_folder: whether the folder's name is all that tells the source of its images.
    """

    source: str
    entries: tuple[Entry, ...]
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    named_by_folder: bool = False


def images_in(folder: Path) -> list[Path]:
    """The image files directly in `folder`, by name; hidden files are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
    )


def all_in(folder: Path) -> list[Path]:
    """Everything directly in `folder`, by name: what is no image is told by who reads it.

    Hidden files are left out.
    """
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))

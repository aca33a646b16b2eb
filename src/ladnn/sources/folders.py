"""Any folder with the two subfolders COVID and NonCOVID: a flag, and nothing else is known."""

from pathlib import Path

from ladnn.errors import DataError
from ladnn.sources.entry import Collection, Entry, all_in

FLAGS = {"covid": True, "ctcovid": True, "noncovid": False, "ctnoncovid": False}


def matches(folder: Path) -> bool:
    """Whether `folder` holds one subfolder for each flag, in any spelling of COVID and NonCOVID."""
    return set(_subfolders(folder)) == {True, False}


def read(folder: Path, *, labels: str, extract_to: Path) -> Collection:
    """List what lies in both subfolders; patients and lesions are unknown, the split not made.

    Whatever its name, a file is an image if it can be read as one: nothing is left out unsaid.
    `labels` and `extract_to` are unused: nobody corrected this layout and nothing is packed.
    Raises DataError where a subfolder holds nothing.
    """
    del labels, extract_to
    source = folder.resolve().name
    entries = []
    for covid, subfolder in sorted(_subfolders(folder).items()):
        images = all_in(subfolder)
        if not images:
            raise DataError(f"the folder {subfolder} holds no image: give one with images")
        entries += [
            Entry(
                path=path,
                source=source,
                patient="",
                covid=covid,
                diagnosis="COVID-19" if covid else "",
            )
            for path in images
        ]
    return Collection(source=source, entries=tuple(entries), named_by_folder=True)


def _subfolders(folder: Path) -> dict[bool, Path]:
    found: dict[bool, Path] = {}
    for path in sorted(folder.iterdir()):
        flag = FLAGS.get("".join(c for c in path.name.lower() if c.isalnum()))
        if flag is None or not path.is_dir():
            continue
        if flag in found:
            raise DataError(
                f"{found[flag].name} and {path.name} in {folder} mean the same: keep one"
            )
        found[flag] = path
    return found

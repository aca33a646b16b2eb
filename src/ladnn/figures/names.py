"""What a legend calls several results: short, and no two alike where their folders differ."""

from collections.abc import Sequence
from itertools import compress
from pathlib import Path


def short(names: Sequence[str]) -> list[str]:
    """Names that are paths, as those of a benchmark's runs, without the parts that all share.

    Where all have as many parts, those that differ stay; where not, the shared beginning goes. One
    name, and names that are all the same, stay as they are.
    """
    paths = [name.split("/") for name in names]
    if len(set(names)) < 2:
        return list(names)
    told = [len(set(column)) > 1 for column in zip(*paths, strict=False)]
    if len({len(path) for path in paths}) == 1:
        return ["/".join(compress(path, told)) for path in paths]
    shared = [*told, True].index(True)
    shared = min(shared, min(map(len, paths)) - 1)  # the shortest keeps its last part
    return ["/".join(path[shared:]) for path in paths]


def told_apart(names: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Each name that repeats with the parts by which its folder's path differs from the others'.

    A folder that is given twice keeps one name.
    """
    return [
        name if names.count(name) == 1 else f"{name}, {_told(folder, _of(name, names, folders))}"
        for name, folder in zip(names, folders, strict=True)
    ]


def _of(name: str, names: Sequence[str], folders: Sequence[Path]) -> list[Path]:
    return [folder for other, folder in zip(names, folders, strict=True) if other == name]


def _told(folder: Path, among: Sequence[Path]) -> str:
    """Of the shortest ending that is another in each of these folders, the parts that differ."""
    paths = list(dict.fromkeys(_parts(one) for one in among))
    longest = max(map(len, paths))
    enough = next(n for n in range(1, longest + 1) if len({p[-n:] for p in paths}) == len(paths))
    endings = ["/".join(path[-enough:]) for path in paths]
    return short(endings)[paths.index(_parts(folder))]


def _parts(folder: Path) -> tuple[str, ...]:
    return folder.resolve().parts  # "." has no name of its own

"""COVID-CT (D0): two folders of images, the authors' split with labels, the patients' tables."""

from dataclasses import dataclass
from pathlib import Path

from ladnn.errors import DataError
from ladnn.findings import LesionLabels
from ladnn.sources.corrections import corrected, corrections_for
from ladnn.sources.entry import Collection, Entry, images_in
from ladnn.sources.tables import LabelColumns, Row, read_table, stem_lookup, unique
from ladnn.splitting import PARTS

SOURCE = "covid-ct"
FOLDERS = {True: "CT_COVID", False: "CT_NonCOVID"}
POSITIVES = Path("meta", "COVID-CT-MetaInfo_new.csv")
NEGATIVES = Path("meta", "NonCOVID-CT-MetaInfo.csv")


def matches(folder: Path) -> bool:
    """Whether `folder` has this layout: a table of the split tells it from plain folders."""
    return all((folder / "split" / f"{split}_meta.csv").is_file() for split in PARTS)


def read(folder: Path, *, labels: str, extract_to: Path) -> Collection:
    """List D0; `extract_to` is unused, for nothing is packed.

    Raises DataError where the tables contradict each other, the folders, or name unknown labels.
    """
    del extract_to
    files = _files(folder)
    lookup = stem_lookup(list(files))
    patients = _patients(folder, lookup)
    corrections = corrections_for(labels)
    entries, missing = [], []
    for split in PARTS:
        for name, row, columns in _split_rows(folder, split):
            path = files.get(lookup.get(name, ""))
            if path is None:
                missing.append(name)
                continue
            entry = _entry(path, row, columns, patients.get(path.name), split)
            entries.append(corrected(entry, corrections))
    listed = [entry.path.name for entry in entries]
    _refuse_repeats(listed)
    return Collection(
        source=SOURCE,
        entries=tuple(entries),
        missing=tuple(missing),
        unlisted=tuple(sorted(files.keys() - set(listed))),
    )


@dataclass(frozen=True, kw_only=True)
class _Patient:
    name: str
    caption: str = ""
    covid: bool
    lesions: LesionLabels | None = None


def _files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in FOLDERS.values():
        if not (folder / name).is_dir():
            raise DataError(f"no folder {name} in {folder}: COVID-CT has it beside split/")
        for path in images_in(folder / name):
            if path.name in found:
                raise DataError(f"{path.name} lies in both image folders of {folder}: keep one")
            found[path.name] = path
    return found


def _split_rows(folder: Path, split: str) -> list[tuple[str, Row, LabelColumns]]:
    table = read_table(folder / "split" / f"{split}_meta.csv")
    columns = LabelColumns.of(table, other={"imgname"})
    rows = unique(table.rows, table.column("imgname"))
    return [(name, row, columns) for name, row in rows.items()]


def _refuse_repeats(names: list[str]) -> None:
    if len(names) != len(set(names)):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{repeated!r} is listed twice in the tables of the split: keep one row")


def _entry(
    path: Path, row: Row, columns: LabelColumns, patient: _Patient | None, split: str
) -> Entry:
    covid, lesions = columns.covid(row), columns.lesions_of(row)
    if path.parent.name != FOLDERS[covid]:
        raise DataError(f"{row.where}: the flag of {path.name} contradicts its folder")
    if patient is None:
        raise DataError(f"no patient is known for {path.name}: the tables in meta/ do not list it")
    if patient.covid != covid or patient.lesions not in (None, lesions):
        raise DataError(f"{row.where}: the labels of {path.name} contradict those in meta/")
    return Entry(
        path=path,
        source=SOURCE,
        patient=f"{SOURCE}/{patient.name}",
        covid=covid,
        lesions=lesions,
        split=split,
        caption=patient.caption,
        diagnosis="COVID-19" if covid else "",
    )


def _patients(folder: Path, lookup: dict[str, str]) -> dict[str, _Patient]:
    return _positives(folder / POSITIVES, lookup) | _negatives(folder / NEGATIVES, lookup)


def _positives(path: Path, lookup: dict[str, str]) -> dict[str, _Patient]:
    """File, patient, labels and caption; the columns of all but the labels have no heads."""
    table = read_table(path)
    columns = LabelColumns.of(table, other=())
    return {
        lookup.get(name, name): _Patient(
            name=row.cells[1],
            caption=_caption(row.cells[-1]),
            covid=columns.covid(row),
            lesions=columns.lesions_of(row),
        )
        for name, row in unique(table.rows, 0).items()
    }


def _negatives(path: Path, lookup: dict[str, str]) -> dict[str, _Patient]:
    table = read_table(path)
    patient = table.column("patient id")
    rows = unique(table.rows, table.column("image name"))
    return {
        lookup.get(name, name): _Patient(name=row.cells[patient], covid=False)
        for name, row in rows.items()
    }


def _caption(cell: str) -> str:
    """The caption's text; the table holds it as a Python list of one string."""
    return cell.removeprefix("[").removesuffix("]").strip().strip("'\"").strip()

"""The authors' later collection (a part of D1): two tables, and the archives that can be had."""

import re
from pathlib import Path

from ladnn.errors import DataError
from ladnn.findings import LesionLabels
from ladnn.sources.archives import unpacked
from ladnn.sources.entry import Collection, Entry, images_in
from ladnn.sources.tables import LabelColumns, Row, clean, read_table, unique

SOURCE = "covid-ct-new"
PACK = re.compile(r"(?P<no>no|non)?_?covid_?ct(?:\.zip)?$", re.IGNORECASE)
OTHER_HEADS = ("imgname", "collection date", "sources")

DIAGNOSES = {
    "lungadenocarcinomas": "lung adenocarcinoma",
    "lungsquamouscellcarcinoma": "lung squamous cell carcinoma",
    "non-smallcelllungcancer": "non-small cell lung cancer",
    "lung": "lung nodules",
    "pulmonaryviralpneumonia": "pulmonary viral pneumonia",
    "aspiration": "aspiration pneumonia",
    "bacterial": "bacterial pneumonia",
    "h1n1": "H1N1 pneumonia",
    "hiv": "pneumonia in HIV infection",
    "interstitial": "interstitial pneumonia",
    "lobar": "lobar pneumonia",
    "pneumonia": "pneumonia",
    "segmental": "segmental pneumonia",
}
"""Diagnosis of a negative by the first part of its file name."""


def matches(folder: Path) -> bool:
    """Whether `folder` holds tables named `*covidct_meta*.csv` or archives `*covidct.zip`."""
    return bool(_tables(folder) or any(path.suffix == ".zip" for path in _packs(folder)))


def read(folder: Path, *, labels: str, extract_to: Path) -> Collection:
    """List the images of the archives (and of folders named like them), and those that are missing.

    Archives are unpacked into `extract_to`. The flag comes from the archive's name; where a table
    lists the image, the table must agree and gives the lesions. All go to the training split, for
    the authors published none. `labels` is unused: nothing here was corrected. Raises DataError.
    """
    del labels
    listed = _listed(folder)
    entries: dict[str, Entry] = {}
    for pack in _packs(folder):
        covid = _flag(pack)
        inside = extract_to / pack.stem
        images = images_in(pack) if pack.is_dir() else unpacked(pack, inside)
        for path in images:
            if path.name in entries:
                raise DataError(f"{path.name} lies in two archives of {folder}: keep one")
            entries[path.name] = _entry(path, covid, listed.get(clean(path.name)))
    present = {clean(name) for name in entries}
    return Collection(
        source=SOURCE,
        entries=tuple(entries.values()),
        missing=tuple(name for name in listed if name not in present),
        unlisted=tuple(name for name in entries if clean(name) not in listed),
    )


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.csv") if "covidct_meta" in path.name.lower())


def _packs(folder: Path) -> list[Path]:
    """Archives, then folders of the same naming that have no archive beside them."""
    found = [path for path in sorted(folder.iterdir()) if PACK.search(path.name)]
    archives = [path for path in found if path.is_file() and path.suffix.lower() == ".zip"]
    packed = {path.stem for path in archives}
    return archives + [p for p in found if p.is_dir() and p.name not in packed]


def _flag(pack: Path) -> bool:
    match = PACK.search(pack.name)
    return match is not None and match["no"] is None


def _listed(folder: Path) -> dict[str, tuple[Row, LabelColumns]]:
    listed: dict[str, tuple[Row, LabelColumns]] = {}
    for path in _tables(folder):
        table = read_table(path)
        columns = LabelColumns.of(table, other=OTHER_HEADS)
        for name, row in unique(table.rows, table.column("imgname")).items():
            if name in listed:
                raise DataError(f"{name!r} is listed twice, also in {row.where}: keep one row")
            listed[name] = (row, columns)
    return listed


def _entry(path: Path, covid: bool, listing: tuple[Row, LabelColumns] | None) -> Entry:
    lesions = LesionLabels()
    if listing is not None:
        row, columns = listing
        if columns.covid(row) != covid:
            raise DataError(f"{row.where}: the flag of {path.name} contradicts its archive's name")
        lesions = columns.lesions_of(row)
    return Entry(
        path=path,
        source=SOURCE,
        patient=f"{SOURCE}/{patient_of(path.name, covid=covid)}",
        covid=covid,
        lesions=lesions,
        split="train",
        diagnosis="COVID-19" if covid else diagnosis_of(path.name),
    )


def patient_of(name: str, *, covid: bool) -> str:
    """The patient that a file name of the collection carries, or the narrowest group known.

    Cancers: collection and case number, the slice cut off. Images of an article (positives and
    viral pneumonias): the article, for its figures mix patients and their follow-ups and nobody
    says which; so all of one article stay on one side. Others: the image by itself.
    """
    stem = Path(name).stem
    cancer = re.fullmatch(r"[^_]+_((?:LungCT-Diagnosis|CPTAC-LSCC)_\d+)_\d+", stem)
    if cancer:
        return cancer[1]
    alone = re.fullmatch(r"[^_]+_(RIDER-Lung-CT_\d+)|lung_nodules_(luna16_\d+)", stem)
    if alone:
        return alone[1] or alone[2]
    article = re.fullmatch(r"(.*\d{4}.*?)(?:-p\d+)?[-_](?:\d+|[a-z])", stem)
    return article[1] if article and (covid or "10." in stem) else stem


def diagnosis_of(name: str) -> str:
    """The diagnosis that a negative's file name carries, in words; empty where it carries none."""
    return DIAGNOSES.get(name.partition("_")[0].lower(), "")

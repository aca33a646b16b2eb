"""Is a manifest what it says, and are its sides apart: files, hashes, patients, near-duplicates."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations, product
from pathlib import Path

import numpy as np

from ladnn.dataset import Manifest, Record
from ladnn.errors import DataError, ImageError
from ladnn.imaging import read_image
from ladnn.paths import is_missing
from ladnn.similarity import NEAR, Floats, fingerprint, near_pairs, pixel_hash
from ladnn.sources.tables import clean, read_table

Item = tuple[str, str]
"""A source and what is meant in it: a file name, or a patient."""

KINDS = ("near", "patient")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing found wrong.

    Attributes:
        kind: `missing`, `undecodable`, `changed`, `duplicate`, `near-duplicate`, `flags`, `leak`,
            `known`, `patient` or `name`.
        error: whether the manifest must not be used like this; otherwise it is worth a look.
        paths: of the images meant.
        sentence: what it is, for people.
    """

    kind: str
    error: bool
    paths: tuple[Path, ...]
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """Leaks that are known and kept, with the reason of each."""

    reasons: dict[tuple[str, frozenset[Item]], str]

    def reason(self, kind: str, *items: Item) -> str | None:
        """Why the leak between `items` is kept; None where nobody acknowledged it."""
        # A table's cells are clean, and names on the disk need not be.
        cleaned = frozenset((clean(source), clean(item)) for source, item in items)
        return self.reasons.get((kind, cleaned))

    def pairs(self, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Places (i < j) in `records` of two images that belong together, however alike they are.

        They are those of the kind `near`, in the order of the list.
        """
        places: dict[Item, list[int]] = defaultdict(list)
        for place, record in enumerate(records):
            places[clean(record.source), clean(record.path.name)].append(place)
        named = (sorted(items) for kind, items in self.reasons if kind == "near")
        both = (product(places.get(x[0], ()), places.get(x[-1], ())) for x in named)
        found = ((min(i, j), max(i, j)) for pairs in both for i, j in pairs if i != j)
        return list(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True)
class Viewed:
    """The images of a manifest that could be decoded.

    Attributes:
        records: in the manifest's order.
        prints: float32[N, D], their fingerprints.
        hashes: their pixel hashes, as decoded now.
        sha256: of their files, as read now.
        failures: record and sentence of each image that could not be decoded.
    """

    records: tuple[Record, ...]
    prints: Floats
    hashes: tuple[str, ...]
    sha256: tuple[str, ...]
    failures: tuple[tuple[Record, str], ...]


Progress = Callable[[Sequence[Record]], Iterable[Record]]


def view(manifest: Manifest, *, progress: Progress = iter) -> Viewed:
    """Decode every image of `manifest` once and keep what comparing them takes."""
    records, prints, hashes, sha256, failures = [], [], [], [], []
    for record in progress(manifest.records):
        try:
            image = read_image(record.path)
        except ImageError as error:
            failures.append((record, str(error)))
            continue
        records.append(record)
        prints.append(fingerprint(image.pixels))
        hashes.append(pixel_hash(image.pixels))
        sha256.append(image.sha256)
    return Viewed(
        records=tuple(records),
        prints=np.stack(prints) if prints else np.empty((0, 1), np.float32),
        hashes=tuple(hashes),
        sha256=tuple(sha256),
        failures=tuple(failures),
    )


def inspect(viewed: Viewed, acknowledged: Acknowledged) -> tuple[Problem, ...]:
    """Everything that is wrong with the images of a manifest; errors first.

    A leak is a pair of equal or near-duplicate images, or the images of a patient, on two sides of
    the split; it is an error unless `acknowledged` lists it. A pair that is listed and on two sides
    is reported however little alike it is. Patients whose names differ by spaces or letter case
    alone may be one and count as such here. Near pairs of one patient on one side are what a CT
    series is made of and are not reported.
    """
    found = [
        *_unreadable(viewed),
        *_changed(viewed),
        *_patients(viewed.records, acknowledged),
        *_names(viewed.records, acknowledged),
        *_pairs(viewed, acknowledged),
    ]
    return tuple(sorted(found, key=lambda problem: not problem.error))


def acknowledged_leaks(*extra: Path) -> Acknowledged:
    """The packaged list of the published splits' own leaks, and the files in `extra`.

    Columns: kind (`near` with the file names of two images that are alike or known to belong
    together, or `patient` with the patient twice or with two patients whose names are alike),
    source, item, other_source, other_item, reason. Raises DataError for a table of another form, an
    unknown kind and a row without a reason.
    """
    reasons: dict[tuple[str, frozenset[Item]], str] = {}
    packaged = Path(str(files("ladnn").joinpath("data", "acknowledged_leaks.csv")))
    for path in (packaged, *extra):
        table = read_table(path)
        names = ("kind", "source", "item", "other_source", "other_item", "reason")
        columns = [table.column(name) for name in names]
        for row in table.rows:
            kind, source, item, other_source, other_item, reason = (row.cells[i] for i in columns)
            if kind not in KINDS or not reason:
                raise DataError(f"{row.where}: give a kind ({' or '.join(KINDS)}) and a reason")
            reasons[kind, frozenset({(source, item), (other_source, other_item)})] = reason
    return Acknowledged(reasons=reasons)


def _unreadable(viewed: Viewed) -> Iterator[Problem]:
    for record, sentence in viewed.failures:
        kind = "missing" if is_missing(record.path) else "undecodable"
        yield Problem(kind=kind, error=True, paths=(record.path,), sentence=sentence)


def _changed(viewed: Viewed) -> Iterator[Problem]:
    for record, pixels, sha256 in zip(viewed.records, viewed.hashes, viewed.sha256, strict=True):
        same = record.pixel_hash == pixels
        if record.pixel_hash and not same:
            what = "shows another picture than when it was imported"
        elif record.sha256 and record.sha256 != sha256:
            what = f"is another file than was imported{', with the same picture' if same else ''}"
        else:
            continue
        yield Problem(
            kind="changed",
            error=not same,
            paths=(record.path,),
            sentence=f"{record.path.name} {what}: import again",
        )


def _patients(records: Sequence[Record], acknowledged: Acknowledged) -> Iterator[Problem]:
    sides: dict[Item, dict[str, Record]] = defaultdict(dict)
    for record in records:
        if record.split:
            sides[record.source, record.patient].setdefault(record.split, record)
    for item, by_split in sides.items():
        if len(by_split) > 1:
            reason = acknowledged.reason("patient", item)
            yield Problem(
                kind="patient",
                error=reason is None,
                paths=tuple(record.path for record in by_split.values()),
                sentence=f"the patient {item[1]} is in {' and '.join(by_split)}{_known(reason)}",
            )


def _names(records: Sequence[Record], acknowledged: Acknowledged) -> Iterator[Problem]:
    """Sources and patients that differ by spaces or letter case alone: perhaps one."""
    alike: dict[Item, dict[Item, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for item in ((record.source, ""), (record.source, record.patient)):
            alike[clean(item[0]).casefold(), clean(item[1]).casefold()][item].append(record)
    for found in alike.values():
        for one, two in combinations(found, 2):
            yield _alike(one, two, (found[one], found[two]), acknowledged)


def _alike(
    one: Item, two: Item, records: tuple[list[Record], list[Record]], acknowledged: Acknowledged
) -> Problem:
    what = "patients" if one[1] else "sources"
    names = [repr(one[1] or one[0]), repr(two[1] or two[0])]
    if one[1] and one[0] != two[0]:
        names = [f"{patient!r} of {source!r}" for source, patient in (one, two)]
    parts = [{record.split for record in mine} - {""} for mine in records]
    crossing = bool(one[1]) and len(parts[0] | parts[1]) > 1 and all(parts)
    reason = acknowledged.reason("patient", one, two) if crossing else None
    rest = f" and are in {' and '.join(sorted(parts[0] | parts[1]))}" if crossing else ""
    return Problem(
        kind="name",
        error=crossing and reason is None,
        paths=tuple(mine[0].path for mine in records),
        sentence=f"the {what} {' and '.join(names)} differ by spaces or letter case "
        f"alone{rest}{_known(reason) or ': if they are one, give them one name'}",
    )


def _pairs(viewed: Viewed, acknowledged: Acknowledged) -> Iterator[Problem]:
    alike = [*near_pairs(viewed.prints, NEAR), *_flat_pairs(viewed)]
    for i, j, similarity in alike:
        one, two = viewed.records[i], viewed.records[j]
        equal = viewed.hashes[i] == viewed.hashes[j]
        problem = _pair(one, two, equal, similarity, acknowledged)
        if problem is not None:
            yield problem
    told = {(i, j) for i, j, _ in alike}
    for i, j in acknowledged.pairs(viewed.records):
        one, two = viewed.records[i], viewed.records[j]
        if (i, j) not in told and _crossing(one, two):
            yield _known_pair(one, two, float(viewed.prints[i] @ viewed.prints[j]), acknowledged)


def _flat_pairs(viewed: Viewed) -> Iterator[tuple[int, int, float]]:
    """Each flat image with the first one like it: their fingerprints are 0 and resemble nothing."""
    first: dict[str, int] = {}
    for row in np.flatnonzero(~viewed.prints.any(axis=1)):
        same = first.setdefault(viewed.hashes[row], int(row))
        if same != row:
            yield same, int(row), 1.0


def _pair(
    one: Record, two: Record, equal: bool, similarity: float, acknowledged: Acknowledged
) -> Problem | None:
    alike = "the same picture" if equal else f"near-duplicates (similarity {similarity:.2f})"
    flags = " with opposite flags" if one.covid != two.covid else ""
    kind, error, rest = "duplicate" if equal else "near-duplicate", False, flags
    if _crossing(one, two):
        reason = _reason(one, two, acknowledged)
        kind, error = "leak", reason is None
        rest = f"{flags} in {one.split} and {two.split}{_known(reason)}"
    elif flags:
        kind = "flags"
    elif one.patient != two.patient:
        rest = f" under the patients {one.patient} and {two.patient}"
    elif not equal:
        return None
    return Problem(
        kind=kind,
        error=error,
        paths=(one.path, two.path),
        sentence=f"{one.path.name} and {two.path.name} are {alike}{rest}",
    )


def _known_pair(one: Record, two: Record, similarity: float, acknowledged: Acknowledged) -> Problem:
    """Two images on two sides that are less alike than near-duplicates, and listed all the same."""
    return Problem(
        kind="known",
        error=False,
        paths=(one.path, two.path),
        sentence=f"{one.path.name} and {two.path.name} are known to belong together (similarity "
        f"{similarity:.2f}) and lie in {one.split} and {two.split}"
        f"{_known(_reason(one, two, acknowledged))}",
    )


def _crossing(one: Record, two: Record) -> bool:
    """Whether two images lie on two sides of the split."""
    return bool(one.split and two.split) and one.split != two.split


def _reason(one: Record, two: Record, acknowledged: Acknowledged) -> str | None:
    items = ((one.source, one.path.name), (two.source, two.path.name))
    return acknowledged.reason("near", *items)


def _known(reason: str | None) -> str:
    return "" if reason is None else f", which is acknowledged: {reason}"

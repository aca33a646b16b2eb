"""Folders of images -> manifest: decode, hash, group the images of unknown patients, split."""

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ladnn.dataset import Manifest, Record
from ladnn.errors import DataError, ImageError
from ladnn.imaging import read_image
from ladnn.similarity import Floats, clusters, fingerprint, near_pairs, pixel_hash, place_of
from ladnn.sources import Collection, Entry, read_collection
from ladnn.sources.reviewed import Decisions, apply_decisions
from ladnn.splitting import Case, linked, split_cases

CLUSTER = re.compile(r"cluster-\d{4,}")
"""What stands for a patient, behind the source, where images alone tell who belongs together."""

Progress = Callable[[Sequence[Entry]], Iterable[Entry]]
"""Passes the entries on, one by one, and may draw a bar while it does."""


_NAMED = 5  # files in one sentence


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What came of an import.

    Attributes:
        manifest: of the images that could be read.
        failures: file and one sentence that begins with it, for each that could not.
        missing: by source, the images that its tables list and that lie nowhere.
        unlisted: by source, the images that lie there and that no table lists.
    """

    manifest: Manifest
    failures: tuple[tuple[Path, str], ...]
    missing: dict[str, tuple[str, ...]]
    unlisted: dict[str, tuple[str, ...]]


def take_in(
    folders: Sequence[Path],
    *,
    labels: str,
    extract_to: Path,
    seed: int = 0,
    decisions: Decisions = MappingProxyType({}),
    split: bool = True,
    progress: Progress = iter,
) -> Intake:
    """Import the collections in `folders`, several sources into one manifest.

    Images that cannot be decoded are named in `failures` and the others still imported. Sources
    without patients are grouped into clusters and split 60, 15, 25% cluster-wise with `seed`; with
    `split` False they stay without a split. `decisions` of a reviewer come after the label set.
    Raises DataError for a folder that is none, two that would become one source by their names,
    labels that nobody knows, and where nothing is left.
    """
    collections = [
        read_collection(folder, labels=labels, extract_to=extract_to) for folder in folders
    ]
    entries = [entry for collection in collections for entry in collection.entries]
    entries = apply_decisions(entries, decisions)
    _refuse_repeats(entries)
    _refuse_namesakes(folders, collections)
    decoded, failures = _decode(progress(entries))
    if not decoded:
        raise DataError(f"none of the {len(entries)} files could be read: {_named(failures)}")
    decoded = _grouped(decoded)
    try:
        decoded = _split(decoded, seed) if split else decoded
    except DataError as error:
        unread = f"; {len(failures)} could not be read: {_named(failures)}" if failures else ""
        raise DataError(f"{error}{unread}") from error
    return Intake(
        manifest=Manifest(records=tuple(_record(image) for image in decoded), labels=labels),
        failures=tuple(failures),
        missing=_by_source((c.source, c.missing) for c in collections),
        unlisted=_by_source((c.source, c.unlisted) for c in collections),
    )


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    entry: Entry
    sha256: str
    pixel_hash: str
    study: str | None
    print: Floats | None


def _refuse_repeats(entries: Sequence[Entry]) -> None:
    seen: set[Path] = set()
    for entry in entries:
        if entry.path.resolve() in seen:
            raise DataError(f"{entry.path} comes twice: give each folder once")
        seen.add(entry.path.resolve())


def _refuse_namesakes(folders: Sequence[Path], collections: Sequence[Collection]) -> None:
    """Raise DataError where a folder that is known by its name alone has that of another source."""
    first: dict[str, tuple[Path, Collection]] = {}
    for folder, collection in zip(folders, collections, strict=True):
        for source in {entry.source for entry in collection.entries}:
            other, owner = first.setdefault(source, (folder, collection))
            if owner is collection or not (owner.named_by_folder or collection.named_by_folder):
                continue
            plain = folder if collection.named_by_folder else other
            raise DataError(
                f"{other} and {folder} would become one source, {source!r}, for a folder of COVID "
                f"and NonCOVID gives its name to its images: rename {plain}"
            )


def _by_source(named: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """The names of each source that has any; several exports may lie in folders of one name."""
    found: dict[str, tuple[str, ...]] = {}
    for source, names in named:
        if names:
            found[source] = found.get(source, ()) + names
    return found


def _require_text(entry: Entry) -> None:
    """Raise ImageError for an image whose name no manifest can hold."""
    try:
        f"{entry.path}{entry.source}".encode()
    except UnicodeEncodeError as error:
        raise ImageError(f"{entry.path} has a name that is no UTF-8 text: rename it") from error


def _decode(
    entries: Iterable[Entry],
) -> tuple[list[_Decoded], list[tuple[Path, str]]]:
    decoded, failures = [], []
    for entry in entries:
        try:
            _require_text(entry)
            image = read_image(entry.path)
        except ImageError as error:
            failures.append((entry.path, str(error)))
            continue
        decoded.append(
            _Decoded(
                entry=entry,
                sha256=image.sha256,
                pixel_hash=pixel_hash(image.pixels),
                study=image.study or image.series,
                print=None if entry.patient else fingerprint(image.pixels),
            )
        )
    return decoded, failures


def _named(failures: Sequence[tuple[Path, str]]) -> str:
    """Some of the files that could not be read, each with its reason."""
    more = len(failures) - _NAMED
    shown = [error for _, error in failures[:_NAMED]] + ([f"and {more} more"] if more > 0 else [])
    return "; ".join(shown)


def _grouped(decoded: Sequence[_Decoded]) -> list[_Decoded]:
    """The same with a cluster for each image of unknown patient, numbered within its source."""
    groups: dict[Path, str] = {}
    for source in {image.entry.source for image in decoded}:
        mine = [x for x in decoded if x.entry.source == source]
        unknown = [x for x in mine if x.print is not None]
        if unknown:
            prints = np.stack([x.print for x in unknown if x.print is not None])
            alike = clusters(prints, [place_of(x.entry.path) for x in unknown])
            joined = _studies_whole(alike, [x.study for x in unknown])
            for image, cluster in zip(unknown, joined, strict=True):
                groups[image.entry.path] = f"{source}/cluster-{cluster:04d}"
    return [
        replace(x, entry=replace(x.entry, patient=groups.get(x.entry.path, x.entry.patient)))
        for x in decoded
    ]


def _studies_whole(alike: NDArray[np.intp], studies: Sequence[str | None]) -> NDArray[np.intp]:
    """The clusters of N images, int[N], those joined that hold slices of one DICOM study.

    The top and the bottom of a lung are not alike, and of one patient nevertheless.
    """
    places: dict[str, list[int]] = {}
    for place, study in enumerate(studies):
        if study is not None:
            places.setdefault(study, []).append(place)
    joined = alike.copy()
    for slices in places.values():
        joined[np.isin(joined, joined[slices])] = joined[slices].min()
    return joined


def _split(decoded: Sequence[_Decoded], seed: int) -> list[_Decoded]:
    """The same with a split for each source that brings none, patient- or cluster-wise."""
    parts: dict[Path, str] = {}
    for source in dict.fromkeys(image.entry.source for image in decoded):
        entries = [x.entry for x in decoded if x.entry.source == source]
        if not any(entry.split for entry in entries):
            cases = [Case(patient=entry.patient, covid=entry.covid) for entry in entries]
            try:
                split = split_cases(cases, seed=seed)
            except DataError as error:
                raise DataError(f"{source} with {len(cases)} images: {error}") from error
            parts |= {entry.path: part for entry, part in zip(entries, split, strict=True)}
    return [
        replace(x, entry=replace(x.entry, split=parts.get(x.entry.path, x.entry.split)))
        for x in decoded
    ]


def _record(image: _Decoded) -> Record:
    entry = image.entry
    return Record(
        path=entry.path,
        sha256=image.sha256,
        pixel_hash=image.pixel_hash,
        source=entry.source,
        patient=entry.patient,
        covid=entry.covid,
        lesions=entry.lesions,
        split=entry.split,
        diagnosis=entry.diagnosis,
        caption=entry.caption,
        correction=entry.correction,
        correction_reason=entry.correction_reason,
    )


def resplit(
    manifest: Manifest,
    prints: Floats,
    known: Iterable[tuple[int, int]] = (),
    *,
    sources: Sequence[str],
    seed: int,
) -> Manifest:
    """`manifest` with the named sources split anew, 60, 15, 25% of the patients of each.

    Patients who share a near-duplicate (by `prints`, float32[N, D], one row for each record), or a
    pair of images that is `known` to belong together (places in the manifest), are kept on one
    side, over the sources too; where one of them belongs to a source that keeps its split, the
    others follow it. Raises DataError for a source that is not there, and for one of which fewer
    than three patients are left who follow nobody.
    """
    unknown = [source for source in sources if source not in manifest.sources]
    if unknown:
        there = ", ".join(manifest.sources)
        raise DataError(f"source {unknown[0]!r} is not in the manifest: give one of {there}")
    links = [(i, j) for i, j, _ in near_pairs(prints)]
    # What keeps its split stays apart anyhow: a link there would only pull others to either side.
    links += [
        pair for pair in known if any(manifest.records[place].source in sources for place in pair)
    ]
    groups = linked([record.patient for record in manifest], links)
    parts = {
        group: record.split
        for group, record in zip(groups, manifest, strict=True)
        if record.source not in sources and record.split
    }
    for source in sources:
        parts |= _parts_of(source, manifest, groups, taken=parts, seed=seed)
    records = (
        replace(record, split=parts[group]) if record.source in sources else record
        for group, record in zip(groups, manifest, strict=True)
    )
    return Manifest(records=tuple(records), labels=manifest.labels)


def _parts_of(
    source: str, manifest: Manifest, groups: Sequence[str], *, taken: Container[str], seed: int
) -> dict[str, str]:
    """The part of each group of a source that is not `taken`; DataError where too few are left."""
    mine = [
        Case(
            patient=group,
            covid=record.covid,
            lesions=record.lesions.count if record.lesions.known else None,
        )
        for group, record in zip(groups, manifest, strict=True)
        if record.source == source and group not in taken
    ]
    if not mine:
        return {}
    names = [case.patient for case in mine]
    try:
        return dict(zip(names, split_cases(mine, seed=seed), strict=True))
    except DataError as error:
        why = _too_few(manifest, groups, source, set(names))
        raise DataError(f"{why}: {error}") from error


def _too_few(manifest: Manifest, groups: Sequence[str], source: str, at_hand: set[str]) -> str:
    """Why no more than the groups `at_hand` of a source are there to be split."""
    group_of = {
        record.patient: group
        for group, record in zip(groups, manifest, strict=True)
        if record.source == source
    }
    left = sum(group in at_hand for group in group_of.values())
    following = len(group_of) - left
    alike = f", {len(at_hand)} groups of similar images," if len(at_hand) < left else ""
    if not following:
        return f"the {left} patients of {source!r}{alike} cannot be split"
    return (
        f"{following} of the {len(group_of)} patients of {source!r} "
        f"resemble{'s' if following == 1 else ''} patients of sources that have their split "
        f"already, and the {left} left{alike} cannot be split"
    )

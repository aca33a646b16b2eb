"""Contributed images added to a base manifest, of which nothing reaches the locked test."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ladnn.dataset import Manifest, Record
from ladnn.errors import DataError
from ladnn.inspection import Viewed, view
from ladnn.intake import CLUSTER
from ladnn.similarity import NEAR, near_pairs
from ladnn.sources.contributed import CONTRIBUTED
from ladnn.splitting import linked


def combine(
    base: Manifest, contributed: Manifest, look: Callable[[Manifest], Viewed] = view
) -> tuple[Manifest, tuple[tuple[Path, str], ...]]:
    """Add contributed images to training and validation, and say which were left out and why.

    An image is left out when its patient or its picture, or a near-duplicate of it or of another
    image of its patient, is in the base manifest's validation or test split, or when the very
    picture is in the base at all. What the contributed dataset itself calls test goes to training,
    and so does what it calls validation where a patient or a picture of the base's training, or a
    resembling one, is among it: it would be judged by what was learnt.

    Raises:
        DataError: when nothing is left, or an image of the base cannot be read any more.
    """
    contributed = _with_own_clusters(contributed)
    held = Manifest(records=tuple(r for r in base if r.split in ("val", "test")))
    known, new = _all_of(held, look), look(contributed)
    reasons = _reasons(base, known, new)
    sides = ["train"] * len(new.records)
    if any(record.split == "val" for record in new.records):
        taught = Manifest(records=tuple(r for r in base if r.split not in ("val", "test")))
        sides = _sides(_all_of(taught, look), new)
    kept = tuple(
        replace(record, split=side)
        for record, side in zip(new.records, sides, strict=True)
        if record.path not in reasons
    )
    if not kept:
        raise DataError("none of the contributed images is new: there is nothing to train on")
    left_out = (*((r.path, why) for r, why in new.failures), *reasons.items())
    whole = Manifest(records=(*base.records, *kept), labels=base.labels)
    _refuse_contamination(base, whole)
    return whole, left_out


def _with_own_clusters(contributed: Manifest) -> Manifest:
    """The same with clusters that are none of the base's: every import counts them from nought."""
    records = (
        replace(record, patient=f"{CONTRIBUTED}{record.patient}")
        if CLUSTER.fullmatch(record.patient.removeprefix(f"{record.source}/"))
        else record
        for record in contributed
    )
    return Manifest(records=tuple(records), labels=contributed.labels)


def _all_of(part: Manifest, look: Callable[[Manifest], Viewed]) -> Viewed:
    found = look(part)
    if found.failures:
        raise DataError(f"{found.failures[0][1]}: the base manifest's images must all be there")
    return found


def _reasons(base: Manifest, known: Viewed, new: Viewed) -> dict[Path, str]:
    pictures = {record.pixel_hash for record in base if record.pixel_hash} | set(known.hashes)
    found: dict[Path, str] = {}
    for row, (record, why) in enumerate(zip(new.records, _held_out(known, new), strict=True)):
        if new.hashes[row] in pictures:
            found[record.path] = "the base manifest has this picture"
        elif why:
            found[record.path] = why
    return found


def _held_out(known: Viewed, new: Viewed) -> list[str]:
    """For each new image why it may be of somebody in the validation or test split; "" if not.

    What is said of one image holds for all of its patient, and of patients whose images resemble
    each other: other slices of somebody in the test split would teach what the test asks.
    """
    reasons = []
    for same, alike in zip(_of_same_patient(known, new), _alike(known, new), strict=True):
        if same:
            reasons.append("its patient is in the validation or the test split")
        elif alike:
            reasons.append("it resembles an image of the validation or the test split")
        else:
            reasons.append("")
    groups = _groups(new)
    tainted = {group for group, why in zip(groups, reasons, strict=True) if why}
    other = "another image of its patient resembles one of the validation or the test split"
    pairs = zip(groups, reasons, strict=True)
    return [why or (other if group in tainted else "") for group, why in pairs]


def _sides(taught: Viewed, new: Viewed) -> list[str]:
    """The split of each new image: validation where its dataset says so and all of its group may.

    Not where one of them is to be trained on, or is like what the base trains on.
    """
    same, alike, groups = _of_same_patient(taught, new), _alike(taught, new), _groups(new)
    rows = range(len(new.records))
    teaching = {
        groups[row] for row in rows if new.records[row].split != "val" or same[row] or alike[row]
    }
    return ["train" if groups[row] in teaching else "val" for row in rows]


def _of_same_patient(known: Viewed, new: Viewed) -> list[bool]:
    people = {_person(record) for record in known.records}
    return [_person(record) in people for record in new.records]


def _person(record: Record) -> tuple[str, str]:
    """Source and patient, the same in a collection and in what a site exports of it."""
    source = record.source.removeprefix(CONTRIBUTED)
    return source, record.patient.removeprefix(f"{record.source}/").removeprefix(f"{source}/")


def _alike(known: Viewed, new: Viewed) -> list[bool]:
    """Whether each new image is a picture of `known`, or resembles one."""
    near = np.zeros(len(new.records), dtype=np.bool_)
    if known.records and new.records:
        near |= (new.prints @ known.prints.T >= NEAR).any(axis=1)
    pictures = set(known.hashes)
    return [bool(one) or own in pictures for one, own in zip(near, new.hashes, strict=True)]


def _groups(new: Viewed) -> list[str]:
    """The same name for images of one patient, and of patients whose images resemble each other."""
    names = ["\n".join(_person(record)) for record in new.records]
    return linked(names, [(i, j) for i, j, _ in near_pairs(new.prints)])


def _refuse_contamination(base: Manifest, whole: Manifest) -> None:
    """The locked test is the base's and nothing else; a last look that no code above can evade."""
    if whole.part("test").records != base.part("test").records:
        raise DataError("contributed images would enter the locked test: this must not be")

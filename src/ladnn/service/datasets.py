"""Versions of the collection: what was accepted, frozen under a hash, written as a folder.

The folder is one that `ladnn data import` reads (`ladnn.sources.contributed`), with the licence of
every image. Reports are not in it: they may say more than a pseudonym should.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, selectinload

from ladnn.errors import DataError
from ladnn.findings import LESIONS
from ladnn.service import audit_log
from ladnn.service.accounts.principals import Principal
from ladnn.service.blobs import Blobs
from ladnn.service.context import Services
from ladnn.service.contributions import ACCEPTED
from ladnn.service.errors import BadRequest, ImageLost, NotFound
from ladnn.service.tables_contributions import Contribution, DatasetItem, DatasetVersion
from ladnn.sources.archives import write_atomically
from ladnn.sources.contributed import COLUMNS, DESCRIPTION, IMAGES, TABLE, table_text

_SUFFIX = {"DICOM": ".dcm", "PNG": ".png"}


def freeze(site: Services, principal: Principal) -> tuple[DatasetVersion, bool]:
    """Make a version of all that is accepted now, and whether there was none of it before.

    The same content is the version there is. Raises BadRequest when nothing is accepted.
    """
    present = site.clock()

    def write(session: Session) -> tuple[DatasetVersion, bool]:
        site.database.lock(session, "datasets")
        query = select(Contribution).where(Contribution.state == ACCEPTED)
        # locked, or an image taken back meanwhile leaves a name without bytes
        query = query.with_for_update()
        rows = sorted((_item(one) for one in session.scalars(query)), key=lambda one: one.file)
        if not rows:
            raise BadRequest("datasets.error_empty")
        digest = hashlib.sha256(table_text([one.row for one in rows]).encode()).hexdigest()
        known = session.scalar(_whole().where(DatasetVersion.hash == digest))
        if known is not None:
            return known, known.created_at == present  # the commit before this attempt
        last = session.scalar(select(DatasetVersion.number).order_by(DatasetVersion.number.desc()))
        made = DatasetVersion(
            number=(last or 0) + 1, hash=digest, created_by=principal.owner, items=rows
        )
        made.created_at = present
        session.add(made)
        detail = {"hash": digest, "images": len(rows)}
        audit_log.record(session, principal, "dataset.freeze", str(made.number), detail)
        return made, True

    return site.database.write(write)


def _item(one: Contribution) -> DatasetItem:
    file = f"{one.public_id}{_SUFFIX[one.format]}"
    lesions = zip(LESIONS, one.lesions, strict=True)
    values: dict[str, Any] = {
        "file": file,
        "sha256": one.blob,
        "pixel_hash": one.pixel_hash,
        "source": one.source,
        "patient": one.patient,
        "covid": str(int(one.covid)),
        **{str(lesion): "" if value is None else str(int(value)) for lesion, value in lesions},
        "licence": one.licence,
    }
    row = {column: values[column] for column in COLUMNS}  # which the reader shares
    return DatasetItem(file=file, blob=one.blob, row=row)


def _whole() -> Select[DatasetVersion]:
    return select(DatasetVersion).options(selectinload(DatasetVersion.items))


def versions(session: Session, count: int, before: int = 0) -> list[dict[str, Any]]:
    """A page of what the versions say of themselves, newest first.

    Their images are counted by the database: each version has all that was accepted by then.
    """
    query = select(DatasetVersion).order_by(DatasetVersion.number.desc())
    made = list(session.scalars(query.limit(count).offset(before)))
    numbers = [version.number for version in made]
    kinds, patients = _kinds(session, numbers), _patients(session, numbers)
    return [_said(one, kinds.get(one.number, {}), patients.get(one.number, 0)) for one in made]


def _kinds(session: Session, numbers: list[int]) -> dict[int, dict[tuple[str, str], int]]:
    """How many images of each licence and each label a version has."""
    version = DatasetItem.version
    columns = [DatasetItem.row[name].as_string() for name in ("licence", "covid")]
    query = select(version, *columns, func.count()).where(version.in_(numbers))
    found: dict[int, dict[tuple[str, str], int]] = {}
    for number, licence, covid, images in session.execute(query.group_by(version, *columns)):
        found.setdefault(number, {})[licence, covid] = images
    return found


def _patients(session: Session, numbers: list[int]) -> dict[int, int]:
    """How many patients a version has: pseudonyms are unique within a source."""
    version = DatasetItem.version
    columns = [DatasetItem.row[name].as_string().label(name) for name in ("source", "patient")]
    each = select(version, *columns).where(version.in_(numbers)).distinct().subquery()
    counted = select(each.c.version, func.count()).group_by(each.c.version)
    return dict(session.execute(counted).all())


def count_versions(session: Session) -> int:
    """How many versions there are."""
    return int(session.scalar(select(func.count()).select_from(DatasetVersion)) or 0)


def read_version(session: Session, number: int | None) -> DatasetVersion:
    """The version of that number, the newest when None; NotFound where there is none."""
    query = _whole().order_by(DatasetVersion.number.desc())
    found = session.scalar(
        query if number is None else query.where(DatasetVersion.number == number)
    )
    if found is None:
        raise NotFound
    return found


def files(kept: Blobs, version: DatasetVersion) -> Iterator[tuple[str, bytes]]:
    """The files of a version: their paths in its folder, and what is in them.

    Raises ImageLost where the bytes of an image are gone.
    """
    rows = [item.row for item in version.items]
    yield DESCRIPTION, json.dumps(describe(version), indent=2).encode() + b"\n"
    yield TABLE, table_text(rows).encode()
    for item in version.items:
        try:
            data = kept.get(item.blob)
        except NotFound as error:
            raise ImageLost from error
        yield f"{IMAGES}/{item.file}", data


def describe(version: DatasetVersion) -> dict[str, Any]:
    """What a version says of itself: its number, its hash, its images and their licences."""
    rows = [item.row for item in version.items]
    kinds = Counter((row["licence"], row["covid"]) for row in rows)
    return _said(version, kinds, len({(row["source"], row["patient"]) for row in rows}))


def _said(
    version: DatasetVersion, kinds: Mapping[tuple[str, str], int], patients: int
) -> dict[str, Any]:
    licences = Counter[str]()
    for (licence, _), images in kinds.items():
        licences[licence] += images
    return {
        "format": "ladnn-contributed-1",
        "version": version.number,
        "hash": version.hash,
        "created": version.created_at.isoformat(timespec="seconds"),
        "images": sum(licences.values()),
        "positive": sum(images for (_, covid), images in kinds.items() if covid == "1"),
        "patients": patients,
        "licences": dict(sorted(licences.items())),
        "note": "Contributed and reviewed. For research use only. Never part of a locked test.",
    }


def write_folder(kept: Blobs, version: DatasetVersion, folder: Path) -> None:
    """Write a version as a folder, whole or not at all; DataError where it is there already."""
    if folder.exists():
        raise DataError(f"{folder} is there already: give a folder that is not")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".contributed-") as scratch:
            staged = Path(scratch) / folder.name
            for name, data in files(kept, version):
                write_atomically(staged / name, data)
            staged.replace(folder)
    except ImageLost:
        raise DataError(
            f"an image of version {version.number} is not in the storage: restore it from a backup"
        ) from None
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}): give another") from error


def write_zip(kept: Blobs, version: DatasetVersion, target: io.BufferedIOBase) -> None:
    """Write a version as a zip archive; the same version gives the same bytes.

    Raises ImageLost as `files` does.
    """
    folder = f"ladnn-contributed-{version.number}"
    with zipfile.ZipFile(target, "w") as pack:
        for name, data in files(kept, version):
            info = zipfile.ZipInfo(f"{folder}/{name}", (2020, 1, 1, 0, 0, 0))
            pack.writestr(info, data)

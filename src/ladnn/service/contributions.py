"""Contributions: an image with labels, consent and a pseudonym, kept until somebody reviews it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from ladnn.findings import LesionLabels
from ladnn.service import audit_log, blobs
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal
from ladnn.service.burned_in import has_letters
from ladnn.service.context import Decoded, Services
from ladnn.service.errors import BadRequest, NotFound
from ladnn.service.predictions import Upload
from ladnn.service.tables import new_id
from ladnn.service.tables_contributions import Contribution, DatasetItem, DatasetVersion, Print
from ladnn.service.wording import is_formula
from ladnn.similarity import NEAR, Floats, fingerprint, pixel_hash

LICENCES = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0")
WAITING, DISPUTED, ACCEPTED, REJECTED = "waiting", "disputed", "accepted", "rejected"
REASONS = ("identity", "consent", "rights", "unusable")
"""Why a curator may remove one; no free text, for the log that keeps it cannot be changed."""
MAX_REPORT = 20_000
ALIKE_SHOWN = 12

SKETCH = 256
"""Numbers of a sketch: random projections keep a similarity to within about 0.06."""

_SCALE = 400.0  # a projection of a unit vector is rarely beyond 0.3, and int8 ends at 127
_LEEWAY = 0.25


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What a contributor says of an image.

    Attributes:
        covid: the flag.
        lesions: unknown (None) is not absent.
        patient: a pseudonym within `source`; never a name or a hospital's number.
        source: the collection, in the contributor's words. Both stand in published tables, so they
            begin with no sign of a formula.
        licence: one of `LICENCES`.
        consent: that the patient, or an ethics committee, allows it.
        report: what the radiologist wrote; may be empty.
    """

    covid: bool
    lesions: LesionLabels
    patient: str
    source: str
    licence: str
    consent: bool
    report: str = ""

    def check(self) -> None:
        """Raise BadRequest, with the key of one sentence, where something is missing or wrong."""
        if not self.consent:
            raise BadRequest("contribute.error_consent")
        if self.licence not in LICENCES:
            raise BadRequest("contribute.error_licence")
        for name, text, most in (("patient", self.patient, 64), ("source", self.source, 100)):
            if not 0 < len(text) <= most or not text.isprintable() or is_formula(text):
                raise BadRequest(f"contribute.error_{name}")
        if len(self.report) > MAX_REPORT or "\0" in self.report:
            raise BadRequest("contribute.error_report")


class Near(NamedTuple):
    """Another contribution that looks nearly the same."""

    public_id: str
    similarity: float


def contribute(
    site: Services, principal: Principal, upload: Upload, proposal: Proposal
) -> Contribution:
    """Keep an image and what is said of it, for review.

    Raises:
        ImageError: a file that cannot be read.
        BadRequest: a field that does not do, or an image that is there already.
        StorageFull: no room; then nothing is kept.
    """
    proposal.check()
    decoded = site.decoder.decode(upload.data, name=upload.name, whose=principal.counts_as)
    pixels = decoded.image.pixels
    full = fingerprint(pixels)
    data = kept_bytes(decoded)
    contribution = Contribution(
        public_id=new_id(),
        owner=principal.owner,
        source_sha256=upload.sha256,
        pixel_hash=pixel_hash(pixels),
        format="DICOM" if decoded.image.format == "DICOM" else "PNG",
        covid=proposal.covid,
        lesions=list(proposal.lesions.values),
        given_covid=proposal.covid,
        given_lesions=list(proposal.lesions.values),
        patient=proposal.patient,
        source=proposal.source,
        licence=proposal.licence,
        report=proposal.report,
        burned_in=decoded.burned_in or has_letters(pixels),
        created_at=site.clock(),
        reviews=[],
        print=Print(sketch=sketch(full), full=full.astype(np.float16).tobytes()),
    )
    return _store(site, principal, contribution, full, data)


def kept_bytes(decoded: Decoded) -> bytes:
    """What is kept of a contribution: DICOM without identity, or a picture's grey pixels alone."""
    if decoded.image.format == "DICOM":
        return decoded.stored
    target = io.BytesIO()
    Image.fromarray(decoded.image.pixels).save(target, "PNG")
    return target.getvalue()


def _store(
    site: Services, principal: Principal, new: Contribution, full: Floats, data: bytes
) -> Contribution:
    digest = site.blobs.put(data)

    def write(session: Session) -> Contribution:
        site.database.lock(session, "contributions")
        mine = select(Contribution).where(Contribution.public_id == new.public_id)
        arrived = session.scalar(mine.options(selectinload(Contribution.reviews)))
        if arrived is not None:  # the commit before this attempt
            return arrived
        if exact(session, new.pixel_hash) is not None:
            raise BadRequest("contribute.error_exact")
        new.near = [one.public_id for one in near(session, full)]
        new.blob = blobs.keep(session, site.database, site.blobs, data)
        session.add(new)
        session.flush()
        audit_log.record(session, principal, "contribution.create", new.public_id, {})
        return new

    try:
        return site.database.write(write)
    except Exception:
        blobs.take_back(site.database, site.blobs, [digest])
        raise


def exact(session: Session, of: str) -> Contribution | None:
    """The contribution whose pixels have that hash."""
    return session.scalar(select(Contribution).where(Contribution.pixel_hash == of).limit(1))


def near(session: Session, full: Floats) -> list[Near]:
    """The contributions that look nearly the same as a fingerprint, the most alike first.

    All sketches are compared (256 bytes each), and the fingerprints of those that come close.
    """
    rows = session.execute(select(Print.contribution_id, Print.sketch)).all()
    if not rows:
        return []
    table = np.frombuffer(b"".join(row.sketch for row in rows), np.int8).reshape(-1, SKETCH)
    mine = np.frombuffer(sketch(full), np.int8).astype(np.float32)
    lengths = np.linalg.norm(table.astype(np.float32), axis=1) * np.linalg.norm(mine)
    alike = table @ mine / np.maximum(lengths, 1)
    close = [rows[int(i)].contribution_id for i in np.flatnonzero(alike >= NEAR - _LEEWAY)]
    return sorted(_verified(session, full, close), key=lambda one: -one.similarity)


def _verified(session: Session, full: Floats, ids: Sequence[int]) -> list[Near]:
    found = []
    for start in range(0, len(ids), 500):
        query = select(Contribution.public_id, Print.full).join(Print)
        part = query.where(Contribution.id.in_(ids[start : start + 500]))
        for public_id, stored in session.execute(part):
            similarity = float(np.frombuffer(stored, np.float16).astype(np.float32) @ full)
            if similarity >= NEAR:
                found.append(Near(public_id, similarity))
    return found


def sketch(full: Floats) -> bytes:
    """int8 [256]: random projections of a fingerprint, the same ones for ever."""
    projected = full @ _projection(len(full)) * _SCALE
    return bytes(np.clip(np.rint(projected), -127, 127).astype(np.int8))


@lru_cache(maxsize=1)
def _projection(length: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(20200306).standard_normal((length, SKETCH), np.float32)
    return np.asarray(drawn / np.float32(SKETCH**0.5))


def find(session: Session, principal: Principal, public_id: str) -> Contribution:
    """The contribution of that id for its owner and for reviewers; NotFound for anyone else."""
    query = select(Contribution).where(Contribution.public_id == public_id)
    found = session.scalar(query.options(selectinload(Contribution.reviews)))
    if found is None or not (found.owner == principal.owner or principal.may(Permission.REVIEW)):
        raise NotFound
    return found


def look(
    site: Services, principal: Principal, public_id: str, *, picture: bool = False
) -> Contribution:
    """`find`, the look at it noted; a picture is part of the view of its page, if there was one."""
    note = audit_log.look_again if picture else audit_log.look

    def look_up(session: Session) -> Contribution:
        return find(session, principal, public_id)

    return note(site.database, look_up, principal, "contribution.view")


def alike(session: Session, principal: Principal, one: Contribution) -> list[Contribution]:
    """Those that `near` found when it came and that are still there; for reviewers alone."""
    if not principal.may(Permission.REVIEW):
        return []
    query = select(Contribution).where(Contribution.public_id.in_(one.near[:ALIKE_SHOWN]))
    found = {other.public_id: other for other in session.scalars(query)}
    return [found[public_id] for public_id in one.near if public_id in found]


def own(session: Session, principal: Principal, count: int, before: int = 0) -> list[Contribution]:
    """The principal's contributions, newest first, `before` of them passed over."""
    query = select(Contribution).where(Contribution.owner == principal.owner)
    newest = query.order_by(Contribution.id.desc()).offset(before).limit(count)
    return list(session.scalars(newest.options(selectinload(Contribution.reviews))))


def count_own(session: Session, principal: Principal) -> int:
    """How many contributions the principal has in all."""
    query = select(func.count()).where(Contribution.owner == principal.owner)
    return int(session.scalar(query) or 0)


def withdraw(site: Services, principal: Principal, public_id: str) -> None:
    """Take a contribution back: it is in no later version, and its image goes unless one has it."""

    def write(session: Session) -> str:
        found = find(session, principal, public_id)
        if found.owner != principal.owner:
            raise NotFound
        digest = found.blob
        session.delete(found)
        audit_log.record(session, principal, "contribution.withdraw", public_id, {})
        return digest

    blobs.release(site.database, site.blobs, [site.database.write(write, deletes=True)])


def remove(site: Services, principal: Principal, public_id: str, reason: str) -> None:
    """Delete anybody's contribution for good, as `withdraw` does; the audit log keeps the reason.

    Raises:
        BadRequest: a reason that is none of `REASONS`.
        NotFound: no such contribution.
    """
    if reason not in REASONS:
        raise BadRequest("review.error_remove")

    def write(session: Session) -> str:
        found = find(session, principal, public_id)
        detail = {"reason": reason, "state": found.state, "kept_in": versions(session, found)}
        session.delete(found)
        audit_log.record(session, principal, "contribution.remove", public_id, detail)
        return found.blob

    blobs.release(site.database, site.blobs, [site.database.write(write, deletes=True)])


def published(session: Session, one: Contribution) -> int | None:
    """The number of the first version of the dataset that has it; None where none does.

    A version made before it was given may have the same image from a case that was taken back.
    """
    if one.state != ACCEPTED:
        return None
    numbers = select(func.min(DatasetItem.version)).join(
        DatasetVersion, DatasetVersion.number == DatasetItem.version
    )
    mine = DatasetItem.blob == one.blob, DatasetVersion.created_at >= one.created_at
    return session.scalar(numbers.where(*mine))


def versions(session: Session, one: Contribution) -> list[int]:
    """The numbers of the dataset's versions that have its image, which they keep."""
    query = select(DatasetItem.version).where(DatasetItem.blob == one.blob)
    return sorted(set(session.scalars(query)))

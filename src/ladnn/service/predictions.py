"""Cases: images in, one stored result out; who may see it, and take it back."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session, selectinload
from starlette.datastructures import UploadFile

from ladnn.bundle import Card
from ladnn.imaging import LIMITS
from ladnn.runtime import Assessment, Predictor, in_order
from ladnn.service import audit_log, blobs
from ladnn.service.accounts import people
from ladnn.service.accounts.principals import BEARER, Principal
from ladnn.service.context import Seen, Services
from ladnn.service.database import insert_row
from ladnn.service.errors import BadRequest, NotFound
from ladnn.service.limits import Room
from ladnn.service.tables import Case, CaseImage, new_id
from ladnn.service.tables_batches import Batch, BatchItem
from ladnn.study import aggregate

SERIES_BYTES = 512 << 20
"""The most that the slices of one study may hold together, as they are kept."""

ACTIVE, RETRACTED = "active", "retracted"
Also = Callable[[Session, int], None]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file as it came; its name is shown to whoever sent it and never kept.

    Attributes:
        came_as: sha256 of the bytes that came in, where `data` is what was kept of them.
    """

    name: str
    data: bytes
    came_as: str = ""

    @cached_property
    def sha256(self) -> str:
        """Of the bytes that came in, in hexadecimal."""
        return self.came_as or hashlib.sha256(self.data).hexdigest()


def read_upload(file: UploadFile) -> Upload:
    """One file of a form; of one that is too large no more is read than shows that it is."""
    return Upload(name=file.filename or "", data=file.file.read(LIMITS.bytes + 1))


class Tested(NamedTuple):
    """A case, and whether it is new: the same files of the same owner are not tested twice."""

    case: Case
    new: bool


class _Read(NamedTuple):
    upload: Upload
    seen: Seen
    assessment: Assessment


def assess(
    site: Services,
    principal: Principal,
    uploads: Sequence[Upload],
    *,
    frame: int | None = None,
    also: Also | None = None,
) -> Tested:
    """Assess one image, or the slices of one DICOM series, and keep what came out.

    Args:
        site: the services.
        principal: whose the case will be.
        uploads: one file, or several of one series.
        frame: of a file of several frames, counted from 0.
        also: done with the key of the case in the transaction that stores it, or, where the files
            were tested before, in the one that notes that; what it raises undoes the rest.

    Raises:
        ImageError: a file that cannot be read.
        BadRequest: no file, too many, or several that are not of one series.
        StorageFull: no room; then nothing is kept.
    """
    uploads = _checked(site, uploads)
    predictor = site.predictor()
    owner = principal.owner or BEARER
    fingerprint = None  # two programs that nobody can tell apart never get the same case
    if owner != BEARER:
        fingerprint = _fingerprint(uploads, predictor, site.settings.operating_point, frame)
    known = fingerprint and site.database.read(lambda s: _same(s, owner, fingerprint))
    if known and _show(site, principal, known, also):
        return Tested(known, new=False)
    results = _read_all(site, predictor, uploads, frame, principal)
    case = _make_case(predictor.card, results, site.settings.operating_point)
    case.owner, case.fingerprint, case.created_at = owner, fingerprint, site.clock()
    case.alone = also is None
    tested = _store(site, principal, case, [one.seen.stored for one in results], also)
    if tested.new:
        labels = case.model_name, case.model_version
        for image in case.images:
            site.metrics.predictions.labels(*labels, image.decision).inc()
    return tested


def _checked(site: Services, uploads: Sequence[Upload]) -> list[Upload]:
    """The files, each once: a slice that was sent twice does not count twice in its study."""
    if not uploads:
        raise BadRequest("error.no_file")
    if len(uploads) > site.settings.slices:
        raise BadRequest("error.too_many_slices", limit=site.settings.slices)
    return list({upload.sha256: upload for upload in uploads}.values())


def _fingerprint(
    uploads: Sequence[Upload], predictor: Predictor, point: str, frame: int | None
) -> str:
    """What the result depends on: the files in any order, the version, the operating point."""
    files = sorted(upload.sha256 for upload in uploads)
    parts = [*files, predictor.card_sha256, point, str(frame or 0)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _same(session: Session, owner: str, fingerprint: str | None) -> Case | None:
    if fingerprint is None:
        return None
    query = select(Case).where(Case.owner == owner, Case.fingerprint == fingerprint)
    return _whole(session, query)


def _read_all(
    site: Services,
    predictor: Predictor,
    uploads: Sequence[Upload],
    frame: int | None,
    principal: Principal,
) -> list[_Read]:
    """Decode and assess, a few files at the same time; slices come back in their series' order."""
    sent, key = sum(len(upload.data) for upload in uploads), "batch.large_series"
    room = Room(site.limits, principal.address, sent=sent, most=SERIES_BYTES, key=key)
    point, card = site.settings.operating_point, predictor.card
    whose = principal.counts_as

    def read(upload: Upload) -> _Read:
        seen = site.decoder.look(upload.data, card, name=upload.name, frame=frame, whose=whose)
        room.take(len(seen.stored))
        return _Read(upload, seen, predictor.assess(seen.image.sha256, seen.look, point))

    if len(uploads) == 1:  # no thread is worth starting for one
        return [read(uploads[0])]
    results = list(in_order(read, uploads, predictor.streams))
    series = {one.seen.image.series for one in results}
    if len(series) > 1 or None in series:
        raise BadRequest("error.not_one_series")
    return sorted(results, key=lambda one: one.seen.image.instance or 0)


def _make_case(card: Card, results: Sequence[_Read], point: str) -> Case:
    said = [one.assessment.prediction for one in results]
    whole = aggregate("", said, card, point) if len(said) > 1 else None
    summary = whole or said[0]
    return Case(
        public_id=new_id(),
        share_token=new_id(),
        state=ACTIVE,
        model_name=card.name,
        model_version=card.version,
        card=terms(card, point, study=whole is not None),
        operating_point=point,
        probability=summary.probability,
        decision=str(summary.decision),
        study=None if whole is None else whole.to_json(),
        images=[_make_image(position, one) for position, one in enumerate(results)],
    )


def terms(card: Card, point: str, *, study: bool) -> dict[str, object]:
    """What a page has to know of the card to explain a result, kept with it.

    Returns:
        sha256 of the model, the cuts of the operating point (`threshold`, `low`, `high`, `rule`),
        for each lesion whether its probability is calibrated, and for a study which of its slices
        count (`fraction`, `minimum`), which results of older sites do not say.
    """
    cuts = card.operating_point(point)
    known: dict[str, object] = {
        "sha256": card.sha256,
        "calibrated": {name: lesion.calibrated for name, lesion in card.lesions.items()},
    }
    if study:
        rule = card.study_rule
        cuts = rule.operating_points.get(point) or cuts
        known["study"] = {"fraction": rule.fraction, "minimum": rule.minimum}
    return known | {"point": asdict(cuts)}


def _make_image(position: int, one: _Read) -> CaseImage:
    image, said = one.seen.image, one.assessment
    prediction, maps = said.prediction, said.maps
    return CaseImage(
        position=position,
        source_sha256=one.upload.sha256,
        format=image.format,
        height=image.size[0],
        width=image.size[1],
        frame=image.frame,
        instance=image.instance,
        window=None if image.window is None else [image.window.level, image.window.width],
        prediction=prediction.to_json() | {"sha256": one.upload.sha256},
        probability=prediction.probability,
        decision=str(prediction.decision),
        score=prediction.score,
        box=list(said.field.box),
        maps=maps.astype(np.float16).tobytes(),
        maps_shape=list(maps.shape),
    )


def read_maps(image: CaseImage) -> NDArray[np.float32]:
    """The maps of an image, float32 [K, h, w] in [0, 1]."""
    stored = np.frombuffer(image.maps, dtype=np.float16)
    return stored.reshape(image.maps_shape).astype(np.float32)


def _show(site: Services, principal: Principal, known: Case, also: Also | None) -> bool:
    """Note the look at a case from before and do something with it; False where it is gone."""

    def write(session: Session) -> bool:
        if session.get(Case, known.id) is None:
            return False
        _looked_at(session, site, principal, known, also)
        return True

    return site.database.write(write)


def _looked_at(
    session: Session, site: Services, principal: Principal, known: Case, also: Also | None
) -> None:
    """Note that a case which was there is tested once more, with others or by itself."""
    values = {"renewed_at": site.clock()} | ({"alone": True} if also is None else {})
    session.execute(update(Case).where(Case.id == known.id).values(values))
    if also is not None:
        also(session, known.id)
    audit_log.record(session, principal, "prediction.view", audit_log.name_of(known), {})


def _store(
    site: Services,
    principal: Principal,
    case: Case,
    files: Sequence[bytes],
    also: Also | None,
) -> Tested:
    """Keep the files and the case, both or neither."""
    kept: list[str] = []
    try:
        kept.extend(site.blobs.put(data) for data in files)
        for image, digest in zip(case.images, kept, strict=True):
            image.blob = digest

        def write(session: Session) -> Tested:
            if case.id is not None and _arrived(session, case):  # the commit before this attempt
                return Tested(case, new=True)
            people.require(session, case.owner)
            known = _same(session, case.owner, case.fingerprint)
            if known is not None:  # asked twice at the same moment
                _looked_at(session, site, principal, known, also)
                return Tested(known, new=False)
            for _, data in sorted(zip(kept, files, strict=True)):  # one order of locks for all
                blobs.keep(session, site.database, site.blobs, data)
            case.id = insert_row(session, case)
            for image in case.images:
                image.case_id = case.id
                image.id = insert_row(session, image)
            detail = {"images": len(files), "model": f"{case.model_name} {case.model_version}"}
            audit_log.record(
                session, principal, "prediction.create", audit_log.name_of(case), detail
            )
            if also is not None:
                also(session, case.id)
            return Tested(case, new=True)

        return site.database.write(write)
    except Exception:
        blobs.take_back(site.database, site.blobs, kept)
        raise


def _arrived(session: Session, case: Case) -> bool:
    """Whether the case is stored, though the answer to its commit was lost."""
    query = select(Case.id).where(Case.public_id == case.public_id)
    return session.scalar(query) is not None


def _whole(session: Session, query: Select[Case]) -> Case | None:
    """The case with its images and what was said of it; None of one that is deleted just now."""
    case = session.scalar(query.options(selectinload(Case.images), selectinload(Case.feedback)))
    return case if case is not None and is_whole(case) else None


def is_whole(case: Case) -> bool:
    """Whether its images are there: on PostgreSQL a deletion may come between the two queries."""
    return bool(case.images)


def find_own(session: Session, principal: Principal, public_id: str) -> Case:
    """The case of that id if it is the principal's own, or a bearer's; NotFound otherwise."""
    case = _whole(session, select(Case).where(Case.public_id == public_id))
    if case is None or not (is_own(case, principal) or case.owner == BEARER):
        raise NotFound
    return case


def find_shared(session: Session, principal: Principal, token: str) -> Case:
    """The case of that link; once it is retracted, NotFound for all but its owner."""
    case = _whole(session, select(Case).where(Case.share_token == token))
    if case is None or (case.state != ACTIVE and not is_own(case, principal)):
        raise NotFound
    return case


def shown_in(session: Session, case: Case) -> list[str]:
    """The batches whose worklists show the case, as the audit log names them."""
    query = select(Batch).join(BatchItem, BatchItem.batch_id == Batch.id)
    return list(map(audit_log.name_of, session.scalars(query.where(BatchItem.case_id == case.id))))


def is_own(case: Case, principal: Principal) -> bool:
    """Whether the principal tested it, and so may take it back under its link too."""
    return case.owner == principal.owner


def recent(session: Session, principal: Principal, count: int, offset: int = 0) -> list[Case]:
    """A page of the principal's latest cases, newest first, with their images."""
    if not principal.owner:
        return []
    query = select(Case).where(Case.owner == principal.owner)
    newest = query.order_by(Case.created_at.desc(), Case.id.desc()).limit(count).offset(offset)
    return list(session.scalars(newest.options(selectinload(Case.images))))


def owned(session: Session, principal: Principal, count: int, offset: int) -> list[Case]:
    """A page of the principal's cases, newest first, without their images."""
    query = select(Case).where(Case.owner == principal.owner)
    newest = query.order_by(Case.created_at.desc(), Case.id.desc())
    return list(session.scalars(newest.limit(count).offset(offset)))


def count_owned(session: Session, principal: Principal) -> int:
    """How many cases the principal has."""
    return session.scalar(select(func.count(Case.id)).where(Case.owner == principal.owner)) or 0


def retract(site: Services, principal: Principal, case_of: str, *, by_token: bool) -> None:
    """Take the case back: its link shows it to nobody else, and it no longer counts."""

    def write(session: Session) -> None:
        case = _find_to_change(session, principal, case_of, by_token=by_token)
        if case.state == RETRACTED:  # or anyone could fill the chain
            return
        case.state, case.fingerprint = RETRACTED, None
        audit_log.record(session, principal, "prediction.retract", audit_log.name_of(case), {})

    site.database.write(write)


def delete(site: Services, principal: Principal, case_of: str, *, by_token: bool) -> None:
    """Delete the case and its images for good; the audit log alone remembers that it was."""

    def write(session: Session) -> list[str]:
        case = _find_to_change(session, principal, case_of, by_token=by_token)
        digests = [image.blob for image in case.images]
        session.delete(case)
        audit_log.record(session, principal, "prediction.delete", audit_log.name_of(case), {})
        return digests

    blobs.release(site.database, site.blobs, site.database.write(write, deletes=True))


def _find_to_change(
    session: Session, principal: Principal, case_of: str, *, by_token: bool
) -> Case:
    """The case by its id, or by its link, which alone lets nobody change it."""
    if not by_token:
        return find_own(session, principal, case_of)
    case = find_shared(session, principal, case_of)
    if not is_own(case, principal):
        raise NotFound
    return case

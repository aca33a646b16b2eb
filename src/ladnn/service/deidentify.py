"""A CT in DICOM -> the same pixels in a new file that names nobody.

Nothing of the file that came in is copied. The kept file is written anew from the decoded pixels
and from the few attributes of `KEPT`, each read as a number, a date or a UID; so private elements,
nested sequences, overlays, preamble, file meta, comments inside compressed pixel data and trailing
bytes have no way in. The basic profile of PS3.15 (annex E, by the tables of dicom-anonymizer)
decides beside the list: what it removes is never kept, what it replaces is replaced.
"""

import hashlib
import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.datadict import tag_for_keyword
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSdecimal, format_number_as_ds

from ladnn.dicom_pixels import RawFrame, read_frame
from ladnn.greyscale import LIMITS, LUNG_WINDOW, Grey
from ladnn.hounsfield import Display, display, to_grey

TABLES = "dicomfields_2026c"
"""The edition of the profile's tables."""

METHOD = "PS3.15 basic profile; rewritten from an allow-list (LA-DNN)"
_MAX_SHIFT_DAYS = 3650
_UNNAMED = ("PatientBirthDate", "PatientSex", "ReferringPhysicianName", "StudyID", "StudyTime")
"""Type 2 attributes of a CT: there, and empty."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """What makes the same patient, study and series the same again, and nobody else's.

    Attributes:
        secret: of the site; without it no replacement can be computed, so none can be undone
            by trying all patient numbers.
    """

    secret: bytes

    def digest(self, kind: str, text: str) -> bytes:
        """32 bytes for a text; other kinds give other bytes."""
        return hmac.new(self.secret, f"{kind}\0{text}".encode(), hashlib.sha256).digest()

    def uid(self, text: str) -> str:
        """The UID that stands for another: `2.25.` and 128 bits (PS3.5, B.2)."""
        return f"2.25.{int.from_bytes(self.digest('uid', text)[:16], 'big')}"

    def pseudonym(self, patient: str) -> str:
        """The name that stands for a patient number: 16 hexadecimal digits."""
        return self.digest("patient", patient).hex()[:16]

    def shift(self, patient: str) -> timedelta:
        """How far back this patient's dates are moved: 1 to 3650 days."""
        drawn = int.from_bytes(self.digest("dates", patient)[:8], "big")
        return timedelta(days=1 + drawn % _MAX_SHIFT_DAYS)


@dataclass(frozen=True, kw_only=True)
class Deidentified:
    """A file without identity.

    Attributes:
        data: the file, uncompressed, one frame.
        frame, frames: which frame of how many it was.
        said: whether the file itself said that words are burnt into its pixels.
    """

    data: bytes
    frame: int
    frames: int
    said: bool


@dataclass(frozen=True, kw_only=True)
class _Patient:
    """Whose a file is: what his dates and his pseudonym are computed from."""

    number: str
    key: Key


def deidentify(data: bytes, key: Key, *, frame: int | None = None) -> Deidentified:
    """Write one frame of a CT anew, without identity.

    HU stay 16-bit values with their rescale. What is no HU (secondary captures, palettes, colour)
    is kept as the 8-bit grey that is shown.

    Raises ImageError as `ladnn.dicom_pixels.read_frame` does.
    """
    raw = read_frame(data, frame=frame, limits=LIMITS, more=(*KEPT, "PatientID", _BURNED))
    shown = display(raw.dataset, raw.frame, raw.values, stored=raw.stored, window=LUNG_WINDOW)
    grey = to_grey(raw.values, shown)
    kept = _attributes(raw, key)
    written = _written(kept, _pixels(raw, shown)) if shown.hounsfield else b""
    if not written or not np.array_equal(_grey(written), grey):
        written = _written(kept, _captured(grey))
    said = str(raw.dataset.get(_BURNED, "")).strip().upper() == "YES"
    return Deidentified(data=written, frame=raw.frame, frames=raw.frames, said=said)


def blank_slice() -> bytes:
    """A small file with nothing in it, to try the decoder on."""
    kept = Dataset()
    kept.SOPClassUID, kept.Modality, kept.SOPInstanceUID = CTImageStorage, "CT", "2.25.1"
    return _written(kept, _captured(np.zeros((32, 32), np.uint8)))


@lru_cache(maxsize=1)
def profile() -> dict[int, str]:
    """What the basic profile does with an attribute, by tag: "X", "Z", "D", "U" or several.

    Repeating groups (curves, overlays) are left out: none of them is on the allow-list.
    """
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    tables = dicom_anonymization_database_selector(TABLES)
    return {
        (tag[0] << 16) + tag[1]: name.removesuffix("_TAGS")
        for name, tags in tables.items()
        if name != "ALL_TAGS"
        for tag in tags
        if len(tag) == 2
    }


def _numbers(count: int, low: float, high: float) -> Callable[[Any, _Patient], Any]:
    """Keep `count` finite numbers within bounds, to four decimals; anything else is dropped."""

    def rule(value: Any, patient: _Patient) -> list[DSdecimal] | None:  # noqa: ANN401 - hostile
        del patient
        values = [float(str(item)) for item in (value if count > 1 else [value])]
        if len(values) != count or not all(low <= item <= high for item in values):
            return None
        return [DSdecimal(format_number_as_ds(round(item, 4))) for item in values]

    return rule


def _whole(value: Any, patient: _Patient) -> int | None:  # noqa: ANN401 - hostile
    del patient
    number = int(str(value))
    return number if 0 <= number <= 99_999 else None


def _uid(value: Any, patient: _Patient) -> str | None:  # noqa: ANN401 - hostile
    text = str(value).strip()
    return patient.key.uid(text) if text else None


def _date(value: Any, patient: _Patient) -> str | None:  # noqa: ANN401 - hostile
    text = str(value).strip()
    day = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    if not 1970 <= day.year <= 2200:
        return None
    return (day - patient.key.shift(patient.number)).strftime("%Y%m%d")


KEPT: dict[str, Callable[[Any, _Patient], Any]] = {
    "SOPInstanceUID": _uid,
    "StudyInstanceUID": _uid,
    "SeriesInstanceUID": _uid,
    "FrameOfReferenceUID": _uid,
    "StudyDate": _date,
    "AcquisitionDate": _date,
    "InstanceNumber": _whole,
    "SliceThickness": _numbers(1, 0, 100),
    "PixelSpacing": _numbers(2, 0, 100),
    "ImagePositionPatient": _numbers(3, -10_000, 10_000),
    "ImageOrientationPatient": _numbers(6, -1, 1),
}
"""The allow-list: attributes that stay, beside the pixel module's own numbers, and how."""

_BURNED = "BurnedInAnnotation"
_REPLACING: dict[object, tuple[str, ...]] = {
    _uid: ("U",),
    _date: ("Z", "D", "Z_D", "X_Z", "X_D", "X_Z_D"),
}
"""The actions of the profile that a rule fulfils; a rule not named here keeps what it reads."""


def _allowed(keyword: str) -> bool:
    """Whether the profile lets an attribute of the list through in the way its rule treats it."""
    action = profile().get(tag_for_keyword(keyword) or 0)
    return action is None or action in _REPLACING.get(KEPT[keyword], ())


def _attributes(raw: RawFrame, key: Key) -> Dataset:
    """A new dataset with what is kept of the old one."""
    source = raw.dataset
    study = _text(source, "StudyInstanceUID")
    patient = _Patient(number=_text(source, "PatientID") or f"study {study}", key=key)
    kept = Dataset()
    for keyword, rule in KEPT.items():
        value = _ruled(source, keyword, rule, patient) if _allowed(keyword) else None
        if value is not None:
            setattr(kept, keyword, value)
    if raw.frames > 1 or "SOPInstanceUID" not in kept:
        content = hashlib.sha256(np.ascontiguousarray(raw.values).tobytes()).hexdigest()
        known = _text(source, "SOPInstanceUID")
        kept.SOPInstanceUID = key.uid(f"{known} {raw.frame} {content}")
    kept.PatientID = kept.PatientName = key.pseudonym(patient.number)
    for keyword in _UNNAMED:
        setattr(kept, keyword, "")
    kept.AccessionNumber = ""
    kept.SOPClassUID, kept.Modality = CTImageStorage, "CT"
    kept.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    _mark(kept)
    return kept


def _mark(kept: Dataset) -> None:
    """Say in the file what was done to it (PS3.15, E.1.1; codes of CID 7050)."""
    kept.PatientIdentityRemoved, kept.DeidentificationMethod = "YES", METHOD
    kept.LongitudinalTemporalInformationModified = "MODIFIED"
    codes = (
        ("113100", "Basic Application Confidentiality Profile"),
        ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    )
    kept.DeidentificationMethodCodeSequence = []
    for code, meaning in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
        kept.DeidentificationMethodCodeSequence.append(item)


def _ruled(
    source: Dataset, keyword: str, rule: Callable[[Any, _Patient], Any], patient: _Patient
) -> Any:  # noqa: ANN401 - whatever type the element takes
    """Apply a rule; a value that is not what it should be is dropped."""
    try:
        value = source.get(keyword)
        return None if value is None else rule(value, patient)
    except Exception:  # a hostile element raises anything when it is read
        return None


def _text(source: Dataset, keyword: str) -> str:
    """An element's text, to compute with, never to keep."""
    try:
        return str(source.get(keyword, "")).strip()
    except Exception:  # a hostile element raises anything when it is read
        return ""


def _pixels(raw: RawFrame, shown: Display) -> Dataset:
    """The pixel module of HU: the stored bits alone, because old overlays live above them."""
    values = shown.stored(raw.values.copy())
    module = _module(values, stored=raw.stored)
    module.PhotometricInterpretation = "MONOCHROME1" if shown.inverted else "MONOCHROME2"
    module.RescaleSlope = _decimal(shown.slope)
    module.RescaleIntercept = _decimal(shown.intercept)
    module.RescaleType = "HU"
    module.WindowCenter, module.WindowWidth = int(LUNG_WINDOW.level), int(LUNG_WINDOW.width)
    if shown.padding:
        vr = "SS" if values.dtype.kind == "i" else "US"
        low, high = (int(value) for value in shown.padding)
        module.add_new("PixelPaddingValue", vr, low)
        module.add_new("PixelPaddingRangeLimit", vr, high)
    return module


def _captured(grey: Grey) -> Dataset:
    """The pixel module of a picture in 8-bit grey, as it is shown."""
    module = _module(grey, stored=8)
    module.PhotometricInterpretation = "MONOCHROME2"
    return module


def _module(values: NDArray[Any], *, stored: int) -> Dataset:
    """What both pixel modules share, for values [H, W] of 8 or 16 bits."""
    module = Dataset()
    module.SamplesPerPixel = 1
    module.Rows, module.Columns = values.shape
    module.BitsAllocated = values.dtype.itemsize * 8
    module.BitsStored, module.HighBit = stored, stored - 1
    module.PixelRepresentation = int(values.dtype.kind == "i")
    data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    module.add_new("PixelData", "OW", data + bytes(len(data) % 2))
    return module


def _decimal(value: float) -> DSdecimal:
    if not math.isfinite(value):
        raise ValueError(value)
    return DSdecimal(format_number_as_ds(float(value)))


def _written(kept: Dataset, module: Dataset) -> bytes:
    """The bytes of a file: preamble of zeros, file meta of our own, both datasets as one."""
    whole = Dataset()
    whole.update(kept)
    whole.update(module)
    whole.file_meta = FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.file_meta.MediaStorageSOPClassUID = CTImageStorage
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    target = DicomBytesIO()
    dcmwrite(target, whole, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return target.getvalue()


def _grey(written: bytes) -> Grey:
    """What the decoder makes of a file that was just written."""
    raw = read_frame(written, frame=None, limits=LIMITS)
    shown = display(raw.dataset, 0, raw.values, stored=raw.stored, window=LUNG_WINDOW)
    return to_grey(raw.values, shown)

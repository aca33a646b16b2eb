"""Test images drawn by seeded code: phantoms, DICOM files, and broken files."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

import jpeg_streams
from ladnn.phantom import hounsfield, thorax

__all__ = [
    "LOSSLESS",
    "clear_chest",
    "dicom_bytes",
    "dicom_dataset",
    "encode",
    "hounsfield",
    "thorax",
]

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-baseline": JPEGBaseline8Bit,
    "jpeg-extended": JPEGExtended12Bit,
    "jpeg-lossless": JPEGLossless,
    "jpeg-lossless-sv1": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
}
LOSSLESS = tuple(name for name in SYNTAXES if name not in ("jpeg-baseline", "jpeg-extended"))
SERIES, STUDY = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
PATIENT = "Doe^Jane"


def encode(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    """Encode pixels (or a PIL image) as a picture file of `kind`, such as "PNG"."""
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def clear_chest(side: int = 256) -> np.ndarray:
    """Two lungs without a vessel in a body, uint8 [side, side]: as clear as lungs can be."""
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    pixels = np.zeros((side, side), dtype=np.uint8)
    pixels[(rows / 0.85) ** 2 + (columns / 0.95) ** 2 < 1] = 200
    for centre in (-0.42, 0.42):
        pixels[(rows / 0.65) ** 2 + ((columns - centre) / 0.34) ** 2 < 1] = 50
    return pixels


def dicom_dataset(
    values: np.ndarray | None = None,
    *,
    stored: int = 16,
    intercept: float | None = -1024,
    **tags: Any,
) -> Dataset:
    """A CT slice of `values` (HU, int16 [H, W] or [F, H, W]) as a dataset, explicit little endian.

    Stored values are HU minus `intercept`, so -1024 makes them unsigned; None leaves out the
    rescale elements and stores `values` as they are. `tags` overrides; a tag of None is removed.
    """
    values = hounsfield(0, size=(96, 120)) if values is None else values
    if intercept is not None:
        values = np.maximum(values.astype(np.int32) - int(intercept), 0 if intercept else -(2**15))
        values = values.astype(np.uint16 if intercept else np.int16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID(SERIES + ".7")
    dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", PATIENT, "MRN-0815"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.InstanceNumber = STUDY, SERIES, 7
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape[-2:]
    if values.ndim == 3:
        dataset.NumberOfFrames = len(values)
    dataset.BitsAllocated = values.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = min(stored, dataset.BitsAllocated), 0
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    if intercept is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, intercept, "HU"
    data = values.tobytes()
    dataset.PixelData = data + bytes(len(data) % 2)
    dataset["PixelData"].VR = "OW"
    for name, value in tags.items():
        if value is None:
            del dataset[name]
        else:
            setattr(dataset, name, value)
    return dataset


def dicom_bytes(
    values: np.ndarray | None = None, *, syntax: str = "explicit", **options: Any
) -> bytes:
    """A DICOM file in one of `SYNTAXES`; `options` are those of `dicom_dataset`."""
    dataset = dicom_dataset(values, **options)
    uid = SYNTAXES[syntax]
    if uid == JPEGBaseline8Bit:
        frame = dataset.pixel_array
        _encapsulate(dataset, encode(frame, "JPEG", quality=95), uid)
    elif uid in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(uid, generate_instance_uid=False)
    elif uid in (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1):
        codes = dataset.pixel_array.view(np.uint16) & np.uint16(2**dataset.BitsStored - 1)
        if uid == JPEGExtended12Bit:
            stream = jpeg_streams.extended(codes)
        else:
            predictor = 1 if uid == JPEGLosslessSV1 else 6
            stream = jpeg_streams.lossless(codes, bits=dataset.BitsStored, predictor=predictor)
        _encapsulate(dataset, stream, uid)
    elif uid == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, np.uint16).byteswap().tobytes()
        dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = uid
    return written(dataset)


def _encapsulate(dataset: Dataset, stream: bytes, uid: UID) -> None:
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid


def written(dataset: Dataset) -> bytes:
    """The bytes of a dataset as a file."""
    target = DicomBytesIO()
    uid = dataset.file_meta.TransferSyntaxUID
    dcmwrite(
        target,
        dataset,
        implicit_vr=uid == ImplicitVRLittleEndian,
        little_endian=uid != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return target.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width: int, height: int) -> bytes:
    """A small PNG that declares any size and unpacks to black."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(min((width + 1) * height, 1 << 20)), 9)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def nested_sequences(depth: int) -> bytes:
    """A DICOM file whose first element holds sequences in sequences of undefined length."""
    whole = dicom_bytes()
    start = whole.index(b"\x08\0\x16\0UI")
    opened = b"\x08\0\x05\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    return whole[:start] + opened * depth + whole[start:]


def many_items(count: int) -> bytes:
    """A DICOM file with a sequence of `count` empty items."""
    whole = dicom_bytes()
    start = whole.index(b"\x08\0\x16\0UI")
    opened = b"\x08\0\x05\0SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\0\0\0\0" * count
    return whole[:start] + opened + b"\xfe\xff\xdd\xe0\0\0\0\0" + whole[start:]

"""DICOM bytes -> one frame in 8-bit grey, through the lung window where the values are HU.

pydicom reads the header; its decoders unpack the one frame that is asked for, after the sizes in
the header and in the codestream were checked against each other and against the limits.
pydicom takes a quarter of a second to import, so `imaging` imports this file on first use.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ladnn.codestream import StreamSize, jpeg2000_size, jpeg_size
from ladnn.errors import ImageError
from ladnn.greyscale import BoundedStream, Deadline, Grey, Limits, Window, check_frame
from ladnn.hounsfield import display, to_grey
from ladnn.jpeg_deep import decode_jpeg
from ladnn.rle import decode_rle

_MAX_READS = 100_000  # an enhanced CT of 500 frames needs some 50,000; each costs about 1 KB
_MAX_META = 200
_META_START = 144  # bytes up to the end of the element that tells the length of the meta group
_JPEG2000_SPEED = 1_500_000  # pixels a second on a slow machine; its decoder cannot be interrupted
_CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
)
_MODALITIES = (
    *("CR", "DX", "IO", "KO", "MG", "MR", "NM", "OP", "OT", "PR", "PT", "PX", "REG", "RF"),
    *("RTDOSE", "RTIMAGE", "RTPLAN", "RTSTRUCT", "SC", "SEG", "SM", "SR", "US", "XA", "XC"),
)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0"
_JPEG = "1.2.840.10008.1.2.4."
_JPEG_EXTENDED = _JPEG + "51"
_RLE = "1.2.840.10008.1.2.5"
_LOSSLESS = (_JPEG + "57", _JPEG + "70")
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")

_PLUGINS = {
    _JPEG + "50": "pillow",  # JPEG Baseline
    _JPEG_EXTENDED: "pillow",  # 8 bits only; 12 bits are decoded by `jpeg_deep`
    _JPEG + "80": "pyjpegls",
    _JPEG + "81": "pyjpegls",
    _JPEG + "90": "pylibjpeg",  # JPEG 2000
    _JPEG + "91": "pylibjpeg",
    _JPEG + "201": "pylibjpeg",  # High-Throughput JPEG 2000
    _JPEG + "202": "pylibjpeg",
    _JPEG + "203": "pylibjpeg",
}
"""pydicom's one decoder for each; no other is tried on what it refuses."""

_TAGS = [
    "SOPClassUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "PixelData",
]  # fmt: skip
"""All that is kept of a file: nothing that names a patient ever reaches this process's objects."""


@dataclass(frozen=True, kw_only=True)
class DicomFrame:
    """One decoded frame; `window` is in HU, or None where the values were not HU."""

    pixels: Grey
    study: str | None
    series: str | None
    instance: int | None
    frame: int
    frames: int
    window: Window | None


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The pixel module's numbers, checked."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    frames: int
    photometric: str
    syntax: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * (self.allocated // 8)

    def stated(self) -> dict[str, int | str]:
        """The elements that a decoder asks for, with what is meant where a file has none."""
        return {
            "SamplesPerPixel": self.samples,
            "BitsStored": self.stored,
            "HighBit": self.stored - 1,
            "PixelRepresentation": 0,
            "PhotometricInterpretation": self.photometric,
        }


@dataclass(frozen=True, kw_only=True)
class RawFrame:
    """One frame as it was stored: values [H, W] or RGB [H, W, 3], and the elements read with it."""

    dataset: Dataset
    values: NDArray[Any]
    stored: int
    frame: int
    frames: int


def read_frame(
    data: bytes, *, frame: int | None, limits: Limits, more: tuple[str, ...] = ()
) -> RawFrame:
    """Decode one frame of a CT in DICOM to its stored values.

    Args:
        data: the file.
        frame: counted from 0; needed when the file has more than one.
        limits: kept as `ladnn.imaging.decode` says.
        more: keywords of elements to read beside those that the pixels need.

    Raises:
        ImageError: its text goes on after the file's name.
    """
    deadline = Deadline(limits.seconds)
    dataset = _read(_inflate(data, limits), limits, more)
    _check_modality(dataset)
    layout = _layout(dataset, limits, len(data))
    index = check_frame(frame, layout.frames)
    values = _values(dataset, layout, index, deadline)
    return RawFrame(
        dataset=dataset, values=values, stored=layout.stored, frame=index, frames=layout.frames
    )


def decode_dicom(
    data: bytes, *, window: Window | None, frame: int | None, limits: Limits
) -> DicomFrame:
    """Decode one frame of a CT in DICOM to grey; `window` is in HU, None takes the file's own.

    Raises ImageError: its text goes on after the file's name.
    """
    raw = read_frame(data, frame=frame, limits=limits)
    shown = display(
        raw.dataset, raw.frame, raw.values, stored=raw.stored, window=window, limits=limits
    )
    return DicomFrame(
        pixels=to_grey(raw.values, shown),
        study=_text(raw.dataset, "StudyInstanceUID"),
        series=_text(raw.dataset, "SeriesInstanceUID"),
        instance=_instance(raw.dataset),
        frame=raw.frame,
        frames=raw.frames,
        window=shown.window if shown.hounsfield and not shown.voi else None,
    )


def _inflate(data: bytes, limits: Limits) -> bytes:
    """Unpack a deflated file to at most the byte limit; other files are returned as they are."""
    syntax, start = _meta(data)
    if syntax != _DEFLATED:
        return data
    worker = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = worker.decompress(data[start:], limits.bytes)
    if worker.unconsumed_tail:
        raise ImageError(f"unpacks to more than {limits.bytes / (1 << 20):g} MiB: export it again")
    uid = struct.pack("<HH2sH", 2, 0x10, b"UI", len(_EXPLICIT)) + _EXPLICIT
    return b"".join((bytes(128), b"DICM", uid, plain))


def _meta(data: bytes) -> tuple[str, int]:
    """Find the transfer syntax in the file meta group, and where the group ends (PS3.10, 7.1)."""
    place, syntax = 132, ""
    if data[128:132] != b"DICM":
        return syntax, 0
    for _ in range(_MAX_META):
        if data[place : place + 2] != b"\x02\0" or len(data) < place + 12:
            break
        element, kind, length = struct.unpack_from("<H2sH", data, place + 2)
        body = place + 8
        if kind in (b"OB", b"UN", b"OW", b"UT"):
            length, body = int.from_bytes(data[place + 8 : place + 12], "little"), place + 12
        if element == 0x10:
            syntax = data[body : body + length].rstrip(b"\0 ").decode("ascii", "replace")
        place = body + length
    return syntax, place


def _read(data: bytes, limits: Limits, more: tuple[str, ...]) -> Dataset:
    """Read the few elements that are needed, within the budgets of a `BoundedStream`."""
    stream = BoundedStream(data, limits, calls=_MAX_READS)
    try:
        dataset = dcmread(stream, force=True, specific_tags=[Tag(name) for name in (*_TAGS, *more)])
    except ImageError:
        raise
    except Exception as error:
        raise stream.failure or ImageError("is a damaged DICOM file: export it again") from error
    if stream.failure:
        raise stream.failure
    meta = getattr(dataset, "file_meta", Dataset())
    nothing = len(data) <= _META_START + _number(meta, "FileMetaInformationGroupLength")
    if nothing or (stream.overran and not ("PixelData" in dataset and _is_named(dataset))):
        raise ImageError("is truncated: it ends before its pixel data do, so copy it again")
    return dataset


def _is_named(dataset: Dataset) -> bool:
    """Whether the file says what it is; pydicom drops all it read where an element never ends."""
    return bool(_text(dataset, "Modality") or _text(dataset, "SOPClassUID"))


def _check_modality(dataset: Dataset) -> None:
    """Refuse what is not CT; a file that names no modality may still be of a CT class."""
    modality = _text(dataset, "Modality")
    if modality == "CT" or (not modality and _text(dataset, "SOPClassUID") in _CT_CLASSES):
        return
    if modality in _MODALITIES:  # whatever else stands there may name a patient
        raise ImageError(f"is a DICOM object of modality {modality}, not CT: give a CT slice")
    raise ImageError("is a DICOM object without a modality, not CT: give a CT slice")


def _layout(dataset: Dataset, limits: Limits, file_bytes: int) -> _Layout:
    """Read and check the pixel module's numbers before anything is decoded."""
    if "PixelData" not in dataset:
        raise ImageError("is a DICOM object without pixel data: give the CT slice itself")
    layout = _Layout(
        rows=_number(dataset, "Rows"),
        columns=_number(dataset, "Columns"),
        samples=_number(dataset, "SamplesPerPixel", 1),
        allocated=_number(dataset, "BitsAllocated"),
        stored=_number(dataset, "BitsStored", _number(dataset, "BitsAllocated")),
        frames=max(1, _number(dataset, "NumberOfFrames", 1)),
        photometric=_text(dataset, "PhotometricInterpretation") or "MONOCHROME2",
        syntax=_syntax(dataset),
    )
    limits.check_pixels(layout.columns, layout.rows)
    if layout.allocated not in (8, 16) or not 1 <= layout.stored <= layout.allocated:
        raise ImageError(
            f"has {layout.allocated} bits per sample, but 8 to 16 can be read: export it as CT"
        )
    high = _number(dataset, "HighBit", layout.stored - 1)
    if high != layout.stored - 1:
        raise ImageError(
            f"has {layout.stored} bits of which the highest is bit {high}, and not "
            f"{layout.stored - 1}: export it again"
        )
    if layout.samples not in (1, 3):
        raise ImageError(f"has {layout.samples} samples per pixel, not 1 or 3: export it as CT")
    # The file, its pixel data and the decoded frame are held at once; JPEG 2000 works in int32,
    # JPEG Lossless sums in int64.
    wide = 12 if _PLUGINS.get(layout.syntax) == "pylibjpeg" else 2
    wide = 24 if layout.syntax in _LOSSLESS else wide
    pixels = layout.rows * layout.columns * layout.samples
    limits.check_memory(3 * file_bytes + pixels * (layout.allocated // 4 + wide))
    if (
        layout.syntax.startswith((_JPEG + "9", _JPEG + "2"))
        and pixels > _JPEG2000_SPEED * limits.seconds
    ):
        raise ImageError(f"would take more than {limits.seconds:g} s to decode: reduce it first")
    return layout


def _syntax(dataset: Dataset) -> str:
    """Name the transfer syntax; a file without one is what its elements were encoded in."""
    named = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if named is None:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        named = ImplicitVRLittleEndian if implicit else explicit
    if named not in (*_NATIVE, *_LOSSLESS, _RLE, *_PLUGINS):
        raise ImageError("is compressed in a way that is not for CT slices: export it as plain CT")
    return str(named)


def _values(dataset: Dataset, layout: _Layout, index: int, deadline: Deadline) -> NDArray[Any]:
    """Decode one frame: stored values [H, W], or RGB [H, W, 3]."""
    data = dataset.PixelData
    if layout.syntax in _NATIVE:
        start = index * layout.frame_bytes
        single = data[start : start + layout.frame_bytes]
        if len(single) < layout.frame_bytes:
            raise ImageError("is truncated: its pixel data end too early, so copy it again")
        dataset.PixelData = single + bytes(len(single) % 2)
    else:
        tables = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
        extended = tables if all(tables) else None
        single = get_frame(
            io.BytesIO(data), index, number_of_frames=layout.frames, extended_offsets=extended
        )
        if layout.syntax == _RLE:
            shape = (layout.rows, layout.columns, layout.samples)
            codes = decode_rle(single, shape, layout.allocated // 8, deadline)
            return _unpacked(codes, dataset, layout)
        size = _check_stream(single, layout)
        if layout.syntax in _LOSSLESS or (layout.syntax == _JPEG_EXTENDED and size.bits > 8):
            codes = decode_jpeg(single, deadline)
            if layout.syntax == _JPEG_EXTENDED:  # lossy, so that white may lie above what is stored
                codes = np.minimum(codes, np.uint16((1 << layout.stored) - 1))
            return _unpacked(codes, dataset, layout)
        dataset.PixelData = encapsulate([single])
    dataset.NumberOfFrames = 1
    for name, value in layout.stated().items():  # some archives leave out what is plain to see
        if dataset.get(name) is None:
            setattr(dataset, name, value)
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        dataset.pop(name, None)
    dataset.file_meta.TransferSyntaxUID = UID(layout.syntax)
    return pixel_array(dataset, index=0, decoding_plugin=_PLUGINS.get(layout.syntax, ""))


def _unpacked(values: NDArray[Any], dataset: Dataset, layout: _Layout) -> NDArray[Any]:
    """Give decoded codes [H, W, samples] the type that the header says, and colours as RGB."""
    if dataset.get("PixelRepresentation"):
        values = values.view(f"i{values.dtype.itemsize}")
    if layout.photometric.startswith("YBR"):  # the first is the grey, which is all that is used
        return np.broadcast_to(values[..., :1], values.shape)
    return values[..., 0] if layout.samples == 1 else values


def _check_stream(frame: bytes, layout: _Layout) -> StreamSize:
    """Refuse a codestream whose own header disagrees with the DICOM header."""
    kind = layout.syntax.removeprefix(_JPEG)
    expected = (layout.columns, layout.rows, layout.samples)
    size = StreamSize(
        width=layout.columns, height=layout.rows, samples=layout.samples, bits=layout.stored
    )
    if kind.startswith(("5", "7", "8")):
        size = jpeg_size(frame)
    elif kind.startswith(("9", "2")):
        size = jpeg2000_size(frame)
    if (size.width, size.height, size.samples) != expected or size.bits > layout.allocated:
        raise ImageError("has pixel data of another size than its header says: export it again")
    return size


def _text(dataset: Dataset, name: str) -> str | None:
    """Return a short text element, or None when it is missing or empty."""
    value = dataset.get(name)
    return str(value).strip()[:64] or None if value is not None else None


def _number(dataset: Dataset, name: str, default: int = 0) -> int:
    """Return an integer element, or `default` when it is missing or empty."""
    value = dataset.get(name)
    return default if value is None or value == "" else int(value)


def _instance(dataset: Dataset) -> int | None:
    """Return the instance number, by which slices are ordered; None where it is no number."""
    try:
        return int(dataset.InstanceNumber)
    except (AttributeError, TypeError, ValueError):
        return None

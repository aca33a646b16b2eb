"""What kind of image a file is, by its first bytes and never by its name."""

from ladnn.errors import ImageError
from ladnn.greyscale import Limits

FORMATS = "PNG, JPEG, TIFF, BMP, WebP or DICOM"

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"RIFF": "WEBP",
}
_OTHERS = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"8BPS": "a Photoshop file",
    b"<?xml": "an XML file",
    b"<svg": "an SVG drawing",
}


def kind_of(data: bytes, limits: Limits) -> str:
    """Name the format by the first bytes; raises ImageError for everything not on the list."""
    if not data:
        raise ImageError(f"is empty: give a {FORMATS} file")
    limits.check_bytes(len(data))
    if _looks_like_dicom(data):
        return "DICOM"
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature) and (kind != "WEBP" or data[8:12] == b"WEBP"):
            return kind
    for signature, other in _OTHERS.items():
        if data.startswith(signature):
            raise ImageError(f"is {other}, not a {FORMATS} file: export the slice as one")
    head = data[:512]
    text = all(byte in b"\t\n\r\f\x1b" or byte >= 32 for byte in head)
    what = "is text, not an image" if text else "is of an unknown format"
    raise ImageError(f"{what}: give a {FORMATS} file")


def _looks_like_dicom(data: bytes) -> bool:
    """Tell a DICOM file by its prefix, or by a first element of group 2 or 8 when it has none."""
    if data[128:132] == b"DICM":
        return True
    group, element = data[:2], data[2:4]
    little = group in (b"\x02\0", b"\x08\0") and element[1:] == b"\0"
    return len(data) > 16 and (little or (group == b"\0\x08" and element[:1] == b"\0"))

"""The encoding of a text file that does not say which it has."""

import codecs
import re

from ladnn.errors import DataError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HIGH = re.compile(rb"[\x80-\xff]+")
# The dashes of GB18030, whose second byte is an ASCII letter.
_GB_DASH = re.compile(rb"\xa8[CDE]")
_SAMPLE = 4096


def decode(data: bytes, name: str) -> str:
    """The text of `data` in UTF-8, UTF-16 (with or without marks), GB18030 or Windows-1252.

    `name` stands in the DataError that is raised for anything else.
    """
    for encoding in _candidates(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise DataError(
        f"the table {name} is no text in UTF-8, UTF-16, GB18030 or Windows-1252: save it as UTF-8"
    )


def _candidates(data: bytes) -> list[str]:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return [encoding]
    if b"\0" in data[:_SAMPLE]:
        # ASCII letters in UTF-16 have their zero second (little-endian) or first.
        even, odd = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
        return ["utf-16-be" if even > odd else "utf-16-le"]
    return ["utf-8", *(("gb18030", "cp1252") if _paired(data) else ("cp1252", "gb18030"))]


def _paired(data: bytes) -> bool:
    """Whether high bytes come in pairs, as in Chinese text, rather than one by one in English."""
    runs = [match[0] for match in _HIGH.finditer(_GB_DASH.sub(b"", data))]
    odd = sum(len(run) % 2 for run in runs)
    return len(runs) >= 2 * odd

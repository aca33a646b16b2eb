"""The files of one request to a batch, as they came: images, archives, or both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ladnn.imaging import LIMITS
from ladnn.service.tables_batches import NAME_LENGTH
from ladnn.sources.archives import Member, members

ARCHIVE_BYTES = 1 << 30
"""The most that one archive may unpack to."""

NO_FILES = "holds no files: pack the images into it and send it again"

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One file of a request; `name` as it was called, perhaps with folders."""

    name: str
    file: BinaryIO

    def is_archive(self) -> bool:
        """Whether it begins like a zip archive; reads from its beginning."""
        self.file.seek(0)
        start = self.file.read(4)
        self.file.seek(0)
        return start in _ZIP

    def size(self) -> int:
        """Bytes of the file."""
        return self.file.seek(0, 2)

    def member(self) -> Member:
        """Its bytes, as a file of an archive has them."""
        self.file.seek(0)
        return Member(name=self.name, data=self.file.read(LIMITS.bytes + 1))


def members_of(files: Sequence[Incoming]) -> Iterator[Member]:
    """Every file, those of archives one by one; DataError for an archive that is none.

    An archive in which there is nothing to read is one that cannot be read.
    """
    for file in files:
        if not file.is_archive():
            yield file.member()
            continue
        found = members(file.file, each=LIMITS.bytes, total=ARCHIVE_BYTES)
        yield next(found, Member(name=file.name, problem=NO_FILES))
        yield from found


def short_name(name: str) -> str:
    """The name without its folders, printable, its beginning cut: the end tells files apart.

    Folders of an export are often called after the patient, so they are not kept.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(c if c.isprintable() else "?" for c in last) or "?"
    return shown if len(shown) <= NAME_LENGTH else "…" + shown[1 - NAME_LENGTH :]

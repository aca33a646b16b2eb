"""Zip archives from outside: bounded, without paths that leave the folder, written atomically."""

import errno
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ladnn.errors import DataError
from ladnn.paths import put
from ladnn.sources.entry import IMAGE_SUFFIXES

MAX_MEMBERS = 10_000
MAX_MEMBER_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 2 * 2**30

MAX_RATIO = 100
"""How many times its own size an archive may unpack to; slices of CT deflate by a few."""

_UNSUSPECTED = 128 * 2**20  # bytes that any archive may unpack to, however small it is
_PIECE = 1 << 20
_DIRECTORY_BYTES = 8 << 20  # ten thousand members with long names; each costs memory when read
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError),
    *(ValueError, IndexError, OverflowError),  # of forged numbers: an offset beyond any file
)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive.

    Attributes:
        name: without its folders, to be shown; never a path to write to.
        data: its bytes; empty where there is a reason why not.
        problem: one sentence why it was not read; empty where it was.
        mark: what tells it from others of its name in the archive, the same each time; nothing of
            its folders, which are often called after the patient.
    """

    name: str
    data: bytes = b""
    problem: str = ""
    mark: str = ""


def members(
    archive: BinaryIO,
    *,
    each: int = MAX_MEMBER_BYTES,
    total: int = MAX_TOTAL_BYTES,
) -> Iterator[Member]:
    """Read the files of a zip archive one after the other, at most one of them in memory.

    Folders and hidden files are passed over. What cannot be read (encrypted, damaged, over `each`
    bytes, an archive in the archive) comes with its problem, and the others go on. Nothing is
    written and no name is used as a path.

    Raises DataError, with a sentence for whoever sent it: no zip archive, more than `MAX_MEMBERS`
    files, more than `total` bytes so far, or more than any archive of images would, whatever it
    declares.
    """
    try:
        size = archive.seek(0, os.SEEK_END)
        with zipfile.ZipFile(_Careful(archive)) as pack:
            wanted = [member for member in pack.infolist() if not _passed_over(member)]
            if len(wanted) > MAX_MEMBERS:
                raise DataError(
                    f"the archive holds {len(wanted)} files: give at most {MAX_MEMBERS}"
                )
            unpacked_bytes = 0
            for info in wanted:
                member, read = _member(pack, info, each)
                unpacked_bytes += read
                _check_total(unpacked_bytes, total, size)
                yield member
    except (*_UNREADABLE, OSError) as error:
        raise DataError("this is no readable zip archive: pack it again") from error


def _check_total(unpacked_bytes: int, total: int, size: int) -> None:
    """Raise DataError once an archive of `size` bytes has unpacked to more than it may."""
    if unpacked_bytes > total:
        raise DataError(f"the archive unpacks to more than {total} bytes: split it")
    if unpacked_bytes > max(_UNSUSPECTED, MAX_RATIO * size):
        raise DataError(
            f"the archive unpacks to more than {MAX_RATIO} times its size, as images hardly do: "
            "send them outside an archive"
        )


class _Careful(io.RawIOBase):
    """An archive of which nothing large is read at one go, such as a forged directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return self._file.seek(offset, whence)
        except (
            OSError
        ) as error:  # a forged offset, which the file system knows to be beyond any file
            if whence == os.SEEK_SET and error.errno == errno.EINVAL:
                raise zipfile.BadZipFile("an offset beyond any file") from error
            raise

    def read(self, size: int | None = -1, /) -> bytes:
        most = _DIRECTORY_BYTES + 1
        data = self._file.read(most if size is None or size < 0 else min(size, most))
        if len(data) > _DIRECTORY_BYTES:
            raise zipfile.BadZipFile("a directory of more bytes than any archive needs")
        return data


def _passed_over(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    return _is_folder(member) or path.name.startswith(".") or "__MACOSX" in path.parts


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith("/")  # is_dir fails at an empty name in Python 3.11


def _member(pack: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> tuple[Member, int]:
    """Read one member, or say why not; and how many bytes that unpacked."""
    name = PurePosixPath(info.filename.replace("\\", "/")).name or "a file without a name"
    data = bytearray()
    problem = ""
    if info.flag_bits & 1:
        problem = "is encrypted: pack it without a password"
    elif info.compress_type not in _PLAIN:
        problem = "is packed in an unusual way: pack it with plain zip"
    else:
        try:
            with pack.open(info) as file:
                while len(data) <= most and (piece := file.read(_PIECE)):
                    data += piece
        except _UNREADABLE:
            problem = "is damaged in the archive: pack it again"
    if len(data) > most:
        problem = f"is larger than the limit of {most / (1 << 20):g} MiB: reduce it first"
    elif data.startswith(b"PK\x03\x04"):
        problem = "is an archive in the archive: send it alone"
    read = Member(
        name=name,
        data=b"" if problem else bytes(data),
        problem=problem,
        mark=f"{info.header_offset} {info.CRC}",
    )
    return read, len(data)


def unpacked(archive: Path, folder: Path) -> list[Path]:
    """Write the images of `archive` flat into `folder` and return their paths, by name.

    A file that is already there with the same bytes stays as it is. Raises DataError for a file
    that is no zip archive, for an encrypted, oversized or repeated member, for a member whose path
    leaves the folder, and where the folder cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as pack:
            members = _images(archive, pack.infolist())
            folder.mkdir(parents=True, exist_ok=True)
            for name, member in sorted(members.items()):
                write_atomically(folder / name, _content(archive, pack, member))
    except _UNREADABLE as error:
        raise DataError(f"{archive} is no readable zip archive: fetch it again") from error
    except OSError as error:
        raise DataError(
            f"{archive} cannot be unpacked into {folder} ({error.strerror}): give another folder"
        ) from error
    return [folder / name for name in sorted(members)]


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` by way of a file beside it; an equal file is left alone."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, content)


def _images(archive: Path, members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if len(members) > MAX_MEMBERS:
        raise DataError(f"{archive} holds {len(members)} members: at most {MAX_MEMBERS} are read")
    images: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise DataError(
                f"{archive} has a member {member.filename!r} that leaves its folder: "
                "fetch it from where it was published"
            )
        hidden = path.name.startswith(".") or "__MACOSX" in path.parts
        if _is_folder(member) or hidden or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if path.name in images:
            raise DataError(f"{archive} holds {path.name!r} twice: keep one of them")
        images[path.name] = member
    total = sum(member.file_size for member in images.values())
    if total > MAX_TOTAL_BYTES:
        raise DataError(f"{archive} unpacks to {total} bytes: at most {MAX_TOTAL_BYTES} are read")
    return images


def _content(archive: Path, pack: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & 1:
        raise DataError(f"{archive} is encrypted at {member.filename!r}: unpack it yourself first")
    with pack.open(member) as file:
        content = file.read(MAX_MEMBER_BYTES + 1)
    if len(content) > MAX_MEMBER_BYTES:
        raise DataError(
            f"{member.filename!r} in {archive} is over {MAX_MEMBER_BYTES} bytes: reduce it first"
        )
    return content

"""Zip archives from outside: bounded, without paths that leave the folder, written atomically."""

import os
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ladnn.errors import DataError
from ladnn.sources.entry import IMAGE_SUFFIXES

MAX_MEMBERS = 10_000
MAX_MEMBER_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 2 * 2**30


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
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise DataError(f"{archive} is no readable zip archive: fetch it again") from error
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked into {folder} ({error.strerror})") from error
    return [folder / name for name in sorted(members)]


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` by way of a file beside it; an equal file is left alone."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _images(archive: Path, members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if len(members) > MAX_MEMBERS:
        raise DataError(f"{archive} holds {len(members)} members: at most {MAX_MEMBERS} are read")
    images: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise DataError(f"{archive} has a member {member.filename!r} that leaves its folder")
        hidden = path.name.startswith(".") or "__MACOSX" in path.parts
        if member.is_dir() or hidden or path.suffix.lower() not in IMAGE_SUFFIXES:
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
        raise DataError(f"{member.filename!r} in {archive} is over {MAX_MEMBER_BYTES} bytes")
    return content

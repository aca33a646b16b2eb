"""What lies at a path, files that are written whole, and a folder for one process at a time."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ladnn.errors import DataError

LOCK_FILE = ".lock"


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; one that nobody may look at is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises PermissionError


def is_missing(path: Path) -> bool:
    """Whether nothing lies at `path`; what nobody may look at is not missing."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def require_writable(folder: Path) -> None:
    """Raise DataError where files surely cannot be put into `folder`, made or yet to be made.

    For what takes minutes, before it begins.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if not is_missing(path))
    if not is_folder(place) or not os.access(place, os.W_OK | os.X_OK):
        raise DataError(f"{folder} cannot be written to: give a folder that you may write to")


def put(path: Path, content: bytes) -> None:
    """Write beside `path` and move into place, so that a reader never finds a half.

    An older file is replaced, a link too, never what it points to. Raises OSError when that fails;
    nothing is left over then.
    """
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def staged(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside `path`, for its owner alone, which is then moved or linked there.

    Content and name last then, also after the power fails. Raises OSError; whatever happens, the
    file beside is gone afterwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield part
        _keep_names(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _keep_names(folder: Path) -> None:
    """Bring the names of the files in a folder onto the disk."""
    if os.name != "posix":  # where a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: str | bytes, *, what: str = "") -> None:
    """Write a file as `put` does, text as UTF-8; raise DataError when it cannot be written.

    `what` names the file in that sentence.
    """
    try:
        put(path, content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        named = f"{what} {path}".strip()
        raise DataError(
            f"{named} cannot be written ({error.strerror}): give another place"
        ) from error


def put_together(files: Mapping[Path, str | bytes | None], seal: Path) -> None:
    """Write files that belong together, text as UTF-8; one whose content is None is removed.

    `seal` is one of them. It goes before any other changes and comes back last, so whoever finds it
    finds the files that belong to it. Raises OSError when that fails; where it fails before all
    content is on the disk, the older files stay as they were.
    """
    parts = {path: path.with_name(f".{secrets.token_hex(8)}.part") for path in files}
    order = sorted(files, key=lambda path: path == seal)
    try:
        for path, content in files.items():
            if content is not None:
                whole = content.encode("utf-8") if isinstance(content, str) else content
                parts[path].write_bytes(whole)
        seal.unlink(missing_ok=True)
        for path in order:
            if files[path] is None:
                path.unlink(missing_ok=True)
            else:
                parts[path].replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def put_folder(staged: Path, folder: Path, old: Path, *, names: Collection[str]) -> None:
    """Move a finished folder into place; what a person put beside an older one's `names` stays.

    Args:
        staged: the finished one.
        folder: where it belongs.
        old: where the older folder goes, if there is one.
        names: of the files that belong to the folder itself.

    Raises DataError for something beside them that cannot be copied, OSError where a folder cannot
    be moved; the older one is in its place then. Links stay what they are, wherever they lead.
    """
    if folder.exists():
        try:
            shutil.copytree(
                folder,
                staged,
                symlinks=True,
                dirs_exist_ok=True,
                ignore=lambda place, _: set(names) if Path(place) == folder else set(),
            )
        except shutil.Error as error:
            _, _, reason = error.args[0][0]
            raise DataError(
                f"what lies in {folder} beside {', '.join(sorted(names))} cannot be kept "
                f"({reason}): move it elsewhere, or give another folder"
            ) from error
        folder.replace(old)  # never by copying, as shutil does: half way the older one is in pieces
    try:
        staged.replace(folder)
    except OSError:
        if not is_missing(old):
            old.replace(folder)
        raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder`, which is made where it is missing, and goes if unused.

    A killed process leaves the folder free. Where the file system has no locks nobody is kept out.

    Raises:
        DataError: when another process works in it, or it cannot be written to.
    """
    path, made = folder / LOCK_FILE, not folder.exists()
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"{folder} cannot be written to ({error.strerror}): give another folder"
            ) from error
        with file:
            if not _lock(file):
                raise DataError(
                    f"another process is at work in {folder}: wait for it, or give another folder"
                )
            if not _is_at(file, path):  # whoever held it took it away between opening and locking
                continue
            try:
                yield
            finally:
                with suppress(OSError):  # some systems keep what is open, and all what is not empty
                    path.unlink()
                    if made:
                        folder.rmdir()
            return


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _lock(file: IO[str]) -> bool:
    """Lock `file` for as long as it is open; False where another process has locked it."""
    try:
        import fcntl  # which not every system has, and predicting does without

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # a system or a file system without locks
        return True
    return True

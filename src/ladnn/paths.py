"""What lies at a path, which may be in a locked folder; and a folder for one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder`, which is made where it is missing.

    A killed process leaves the folder free. Where the file system has no locks nobody is kept out.

    Raises:
        DataError: when another process works in it, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("w", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written to ({error.strerror}): give another folder"
        ) from error
    with file:
        if not _lock(file):
            raise DataError(
                f"another process is at work in {folder}: wait for it, or give another folder"
            )
        yield


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

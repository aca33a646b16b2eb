"""What lies at a path, without an error where a folder above it may not be entered."""

import os
from pathlib import Path


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

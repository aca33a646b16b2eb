"""Room held back beside a database that is a file, given up to delete on a full disk."""

import os
from pathlib import Path

_BYTES = 16 << 20
"""More than the log of an SQLite transaction needs that deletes some hundred cases."""


class Reserve:
    """A file of `_BYTES` bytes, there or not; any process may make it or give it up."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Make the file if it is not there and there is room for it."""
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except OSError:  # there already, or no room even for its name
            return
        try:
            os.posix_fallocate(handle, 0, _BYTES)
        except OSError:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(handle)

    def give_up(self) -> bool:
        """Delete the file; whether it was there."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

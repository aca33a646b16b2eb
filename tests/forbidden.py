"""Paths that may not be read, for a test that root runs too: root is refused nothing by itself."""

import errno
import os
from pathlib import Path

import pytest


def forbid(monkeypatch: pytest.MonkeyPatch, *forbidden: Path) -> None:
    """Let looking at, opening and listing `forbidden`, and all below them, raise PermissionError.

    A folder given is itself there to be looked at, as one of mode 000 is.
    """

    def guarded(name: str, *, inside_alone: bool = False) -> None:
        real = getattr(os, name)

        def call(path, *args, **kwargs):
            if isinstance(path, str | os.PathLike):
                given = Path(path).absolute()
                for one in forbidden:
                    if given.is_relative_to(one) and not (inside_alone and given == one):
                        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *args, **kwargs)

        monkeypatch.setattr(os, name, call)

    guarded("stat", inside_alone=True)
    for name in ("open", "scandir", "listdir"):
        guarded(name)

"""Fixtures that more than one test file uses."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure, so examples have no deadline of their own.
settings.register_profile("ladnn", deadline=None)
settings.load_profile("ladnn")

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real images: skipped where absent, but required in CI."""
    root = Path(os.environ.get("LADNN_DATA", DEFAULT_DATA))
    if (root / "covid-ct").is_dir():
        return root
    reason = f"no real images in {root}: set LADNN_DATA to the folder that holds covid-ct"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def writable_within(monkeypatch):
    """Let work be put aside within a folder alone, as where a disk is mounted there."""

    def allow(folder: Path) -> None:
        aside = tempfile.TemporaryDirectory

        def within(**options: str | Path) -> tempfile.TemporaryDirectory:
            if not Path(options["dir"]).is_relative_to(folder):
                raise PermissionError(13, "Permission denied")
            return aside(**options)

        monkeypatch.setattr(tempfile, "TemporaryDirectory", within)

    return allow

"""Fixtures that more than one test file uses."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure, so examples have no deadline of their own.
settings.register_profile("ladnn", deadline=None)
settings.load_profile("ladnn")

LONG = (
    "test_update_cycle",
    "test_updating",
    "test_guard_shipped",
    "test_batch_crash",
    "test_export",
    "test_quantising",
    "test_site_server",
    "test_dataset_real",
    "test_benchmark",
    "test_site_memory",
)
"""Files of long tests, which are the first to begin so that none is left for the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files; `--no-loadscope-reorder` keeps it so on several processes."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


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

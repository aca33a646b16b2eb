"""Writes what the using side and the site consist of as CycloneDX: every locked package.

`python deploy/sbom.py FILE`, from the project's folder; `make sbom` calls it. cyclonedx-py reads
versions and hashes from the lock; licences stand in the packages' own metadata, where installed.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import Any

LOCK = "requirements/base.txt"
VERSION = "1.6"
_LONGEST = 100  # characters; some packages put the whole text of their licence into the field


def main(target: Path) -> None:
    """Write the bill of materials to `target`."""
    bill = json.loads(_listed())
    for component in bill["components"]:
        component["licenses"] = licences(component["name"], component["version"])
        component["description"] = f"{LOCK} asks for it"  # theirs repeats every hash
        if not component["licenses"]:
            del component["licenses"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    known = sum("licenses" in component for component in bill["components"])
    print(f"{target}: {len(bill['components'])} packages, {known} of them with a licence")


def licences(name: str, version: str) -> list[dict[str, Any]]:
    """CycloneDX's list of licences of a package; empty where that very version is not installed."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return []
    return stated(metadata) if metadata["Version"] == version else []


def stated(metadata: PackageMetadata) -> list[dict[str, Any]]:
    """What a package's metadata say: an SPDX expression, else classifiers, else a short name."""
    if expression := metadata.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = metadata.get_all("Classifier") or []
    names = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")]
    field = metadata.get("License") or ""
    if not names and 0 < len(field) <= _LONGEST and "\n" not in field:
        names = [field]
    return [{"license": {"name": name}} for name in names if name != "OSI Approved"]


def _listed() -> str:
    """The bill without licences, as cyclonedx-py makes it."""
    command = [
        *(str(Path(sys.executable).parent / "cyclonedx-py"), "requirements", LOCK),
        *("--pyproject", "pyproject.toml", "--output-reproducible", "--spec-version", VERSION),
    ]
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}  # it misses a graph that no lock has
    done = subprocess.run(  # noqa: S603 - our own words
        command, stdout=subprocess.PIPE, check=True, text=True, env=quiet
    )
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))

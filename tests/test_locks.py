"""The locks hold what pyproject.toml asks for, and torch is left to its own file."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "requirements"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
USING = SETTINGS["project"]["dependencies"] + SETTINGS["build-system"]["requires"]
EXTRAS = SETTINGS["project"]["optional-dependencies"]
TORCH = {"torch", "torchvision"}


def pinned(*names: str) -> dict[str, Version]:
    text = "\n".join((LOCKS / name).read_text(encoding="utf-8") for name in names)
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def unmet(asked: list[str], *locks: str) -> list[str]:
    versions = pinned(*locks)
    wanted = [Requirement(line) for line in asked]
    return [
        str(one)
        for one in wanted
        if (at := versions.get(canonicalize_name(one.name))) is None or at not in one.specifier
    ]


def test_the_base_lock_holds_what_using_and_building_ask_for():
    assert unmet(USING, "base.txt") == []


def test_the_other_locks_hold_what_the_extras_ask_for():
    asked = [line for extra in EXTRAS.values() for line in extra]
    assert unmet(asked, "base.txt", "torch.txt", "train.txt", "dev.txt") == []


def test_every_file_of_the_base_lock_has_a_hash():
    entries = re.split(r"\n(?=\w)", (LOCKS / "base.txt").read_text(encoding="utf-8"))
    assert [entry for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []


def test_using_asks_for_nothing_of_torch():
    assert not [name for name in pinned("base.txt") if re.match(r"torch|timm|nvidia|triton", name)]


@pytest.mark.parametrize("name", ["train.txt", "dev.txt", "bench.txt"])
def test_no_lock_but_its_own_brings_torch_or_its_libraries_for_graphics_cards(name: str):
    found = pinned(name)
    assert not [one for one in found if one in TORCH or re.match(r"nvidia|cuda|triton", one)]


@pytest.mark.parametrize("name", ["train.txt", "dev.txt", "bench.txt"])
def test_the_locks_agree_on_every_version(name: str):
    using, other = pinned("base.txt"), pinned(name)
    assert {one for one in using.keys() & other.keys() if using[one] != other[one]} == set()


def test_no_lock_names_an_index_or_a_path_of_a_machine():
    text = "\n".join(path.read_text(encoding="utf-8") for path in LOCKS.iterdir())
    assert not re.search(r"://|--index|--find-links|^/", text, re.MULTILINE)

"""`ladnn phantoms` writes pictures that the program's own decoder reads."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ladnn.commands.phantom import app
from ladnn.errors import ConfigError
from ladnn.imaging import read_image


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_seven_phantoms_are_drawn_and_can_be_read(tmp_path: Path):
    result = run("-o", str(tmp_path), "--json")
    files = [Path(name) for name in json.loads(result.stdout)]
    assert len({read_image(file).sha256 for file in files}) == 7


def test_a_seed_gives_the_same_files_again(tmp_path: Path):
    for name in ("a", "b"):
        run("-o", str(tmp_path / name), "--seed", "3")
    name = "phantom-all.png"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_picture_of_that_name_is_not_replaced(tmp_path: Path):
    (tmp_path / "phantom-GGO.png").write_bytes(b"mine")
    result = run("-o", str(tmp_path))
    assert isinstance(result.exception, ConfigError)
    assert "phantom-GGO.png is there and is another picture" in str(result.exception)
    assert (tmp_path / "phantom-GGO.png").read_bytes() == b"mine"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    result = run("-o", str(tmp_path / "file" / "below"))
    assert isinstance(result.exception, ConfigError)
    assert "give another folder" in str(result.exception)


@pytest.mark.parametrize("seed", ["-1", "x"])
def test_a_seed_that_is_no_number_from_zero_is_a_wrong_call(tmp_path: Path, seed: str):
    assert run("-o", str(tmp_path), "--seed", seed).exit_code == 2

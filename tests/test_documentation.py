"""The documentation is tested: commands and options are described, and snippets run."""

import importlib.util
import inspect
import itertools
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from ladnn.bundle import load_bundle
from ladnn.cli import app
from ladnn.commands.inputs import given

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = reference()
COMMANDS = dict(REFERENCE.leaves("ladnn", REFERENCE.tree(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_gives_an_example_of_itself(name: str):
    assert f"Example: {name} " in " ".join((COMMANDS[name].help or "").split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_paragraph_in_full_lines(name: str):
    shown = CliRunner().invoke(app, [*name.split()[1:], "--help"], terminal_width=80).output
    paragraphs = [" ".join(part.split()) for part in (COMMANDS[name].help or "").split("\n\n")]
    lines = [line.strip() for line in shown.partition("╭")[0].splitlines()]
    found = [" ".join(part.split()) for part in "\n".join(lines).split("\n\n")]
    assert found[-len(paragraphs) :] == [part.replace("`", "") for part in paragraphs]
    assert all(
        len(line) + len(after.split()[0]) >= 76
        for line, after in itertools.pairwise(lines)
        if line and after
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_of_a_command_is_described(name: str):
    silent = [one.name for one in REFERENCE.parameters(COMMANDS[name]) if not one.help]
    assert silent == []


OF_SCIENCE = ("data", "reports", "train", "export", "predict", "evaluate", "audit", "benchmark",
              "figures", "model", "phantoms")  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.split()[1] in OF_SCIENCE])
def test_a_path_that_may_not_be_read_is_left_to_whoever_reads_it(name: str):
    """Else the parser of the command line answers it, with its box in place of a sentence."""
    hints = get_type_hints(inspect.unwrap(COMMANDS[name].callback), include_extras=True)
    paths = {key: hint for key, hint in hints.items() if "Path" in str(get_args(hint)[:1])}
    assert [key for key, hint in paths.items() if get_args(hint)[1].parser is not given] == []


def test_the_reference_of_the_commands_is_what_the_program_says():
    written = REFERENCE.PAGE.read_text(encoding="utf-8")
    assert written == REFERENCE.page(app), "run `make reference` and commit what it wrote"


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A console or Python block of a page, and why it cannot run here, where it cannot."""

    language: str
    body: str
    excuse: str | None

    @property
    def commands(self) -> list[str]:
        """The lines of a console block that are typed."""
        if self.language != "console":
            return []
        joined = self.body.replace("\\\n", " ")
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]

    @property
    def calls(self) -> list[str | list[str]]:
        """What runs it: lines for the shell, or Python."""
        python = [sys.executable, "-c", self.body]
        return [*self.commands] if self.language == "console" else [python]


def snippets(page: Path) -> list[Snippet]:
    """Blocks fenced as `console` or `python`; `<!-- not run: reason -->` before one excuses it."""
    pattern = (
        r"(?:<!-- not run: (?P<excuse>[^>]+) -->\n+)?"
        r"```(?P<language>console|python)\n(?P<body>.*?)```"
    )
    found = re.finditer(pattern, page.read_text(encoding="utf-8"), re.DOTALL)
    return [Snippet(**match.groupdict()) for match in found]


def everything_said(page: Path) -> list[list[str]]:
    return [shlex.split(line) for one in snippets(page) for line in one.commands]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_console_block_holds_commands(page: Path):
    assert all(one.commands for one in snippets(page) if one.language == "console")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_make_target_that_is_named_exists(page: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    inline = re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8"))
    named = {words[1] for words in everything_said(page) if words[0] == "make"} | set(inline)
    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_that_is_shown_exists_with_its_options_and_all_it_requires(page: Path):
    unknown = [
        " ".join(words)
        for words in everything_said(page)
        if words[0] == "ladnn" and words[1:] != ["--help"] and not known(words)
    ]
    assert unknown == []


def known(words: list[str]) -> bool:
    depth = 3 if len(words) > 2 and " ".join(words[:3]) in COMMANDS else 2
    command = COMMANDS.get(" ".join(words[:depth]))
    if command is None:
        return False
    options = {name for one in command.params for name in [*one.opts, *one.secondary_opts]}
    given = {word.split("=")[0] for word in words[depth:] if re.match(r"--?[a-z]", word)}
    wanted = [one for one in command.params if one.required and one.param_type_name == "option"]
    return given <= options | {"--help"} and all(given & set(one.opts) for one in wanted)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_snippets_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path):
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"]}
    for one in snippets(page):
        if one.excuse is not None:
            continue
        for call in one.calls:
            done = subprocess.run(
                call,
                shell=isinstance(call, str),
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, f"{call}\n{done.stderr}"


def test_commands_of_the_pages_name_the_version_of_default_that_ships():
    lines = "\n".join(page.read_text(encoding="utf-8") for page in PAGES).splitlines()
    commands = "\n".join(line for line in lines if line.startswith("$ "))
    named = set(re.findall(r"\bdefault-(\d+)", commands))
    assert named == {load_bundle("default").card.version}


@pytest.mark.parametrize("name", ["concepts/guard.md", "how-to/predict.md"])
def test_users_are_told_to_give_one_slice_as_panels_and_tiny_pictures_pass_the_guard(name: str):
    text = " ".join((DOCS / name).read_text(encoding="utf-8").lower().split())
    for words in ("panels", "32 by 32 pixels", "one slice"):
        assert words in text

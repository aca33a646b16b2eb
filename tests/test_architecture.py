"""ARCHITECTURE.md is true: it lists the files of the package, each with one line, and no others."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "ladnn"
FOLDERS_OF_DATA = (  # one line each, whatever they hold
    "bundles",
    "data",
    "service/locales",
    "service/migrations",
    "service/fonts",
    "service/static",
    "service/templates",
)
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
USUAL_FUNCTION = 25  # nine of ten are no longer


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def existing() -> set[str]:
    files = {path.relative_to(PACKAGE).as_posix() for path in sources()}
    folders = {f"{name}/" for name in FOLDERS_OF_DATA if (PACKAGE / name).is_dir()}
    inside = {file for file in files for folder in folders if file.startswith(folder)}
    return files - inside | folders


def listed() -> dict[str, str]:
    """Read the layout: indented names under `src/ladnn/`, each followed by its one line."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"^src/ladnn/\n((?:  .*\n|\n)+)", text, re.MULTILINE)
    assert block, "ARCHITECTURE.md has no layout that begins with src/ladnn/"
    found: dict[str, str] = {}
    folders: list[str] = []
    for line in block[1].splitlines():
        entry = re.fullmatch(r"((?:  )+)(\S+) +(\S.*)", line)
        if entry is None:
            continue
        indent, name, says = entry.groups()
        del folders[len(indent) // 2 - 1 :]
        found["".join([*folders, name])] = says
        if name.endswith("/"):
            folders.append(name)
    return found


def test_every_file_of_the_package_is_in_the_layout():
    assert existing() - listed().keys() == set()


def test_the_layout_names_no_file_that_is_not_there():
    inits = PACKAGE.rglob("*/__init__.py")
    folders = {f"{path.parent.relative_to(PACKAGE).as_posix()}/" for path in inits}
    assert listed().keys() - existing() - folders == set()


def layers() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rows = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return {name for row in rows for name in re.findall(r"\w+", row)}


def test_every_file_has_a_row_among_the_import_layers():
    tops = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    tops |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert tops - layers() == set()


def test_every_file_says_in_its_first_line_what_it_is_for():
    silent = [path for path in sources() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_file_is_longer_than_400_lines(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def functions() -> dict[str, int]:
    """Name every function of the package with its length in lines, docstring left out."""
    lengths = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                start = body[0].lineno if body else node.lineno
                name = f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}"
                lengths[name] = (node.end_lineno or start) - start + 1
    return lengths


def test_no_function_is_longer_than_60_lines():
    assert [name for name, length in functions().items() if length > LONGEST_FUNCTION] == []


def test_nine_functions_of_ten_are_at_most_25_lines():
    lengths = sorted(functions().values())
    assert lengths[int(len(lengths) * 0.9)] <= USUAL_FUNCTION


def links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target and ":" not in target]


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_between_files_leads_somewhere(page: Path):
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def test_decision_records_are_numbered_without_a_gap_or_a_double():
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    "page",
    sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")),
    ids=lambda page: page.stem,
)
def test_a_decision_record_has_context_decision_and_consequence(page: Path):
    heads = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert heads == ["Context", "Decision", "Consequence"]

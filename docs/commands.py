"""Write the reference of the commands from the commands themselves: `make reference`."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

PAGE = Path(__file__).parent / "reference" / "commands.md"
_SHELL = ("--install-completion", "--show-completion", "--help")

_HEAD = """# Commands

Written by `make reference` from the program's own help. Every command also takes `--help`. Exit
code 0 is success; 1 a failure, told in one plain sentence on stderr; 2 a wrong call.
"""


def page(app: typer.Typer) -> str:
    """The reference as Markdown: one section for each command, one line for each parameter."""
    sections = [_section(name, command) for name, command in leaves("ladnn", tree(app))]
    return "\n".join([_HEAD, *sections])


def tree(app: typer.Typer) -> Any:  # noqa: ANN401  (typer keeps the class of its commands private)
    """The root of the commands, each with `params`, a group also with `commands`."""
    return typer.main.get_command(app)


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  (as above)
    """Each command that does something, by its full name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word in sorted(below):
        yield from leaves(f"{name} {word}", below[word])


def parameters(command: Any) -> list[Any]:  # noqa: ANN401  (as above)
    """The parameters that are the command's own."""
    return [one for one in command.params if not set(one.opts) & set(_SHELL)]


def _section(name: str, command: Any) -> str:  # noqa: ANN401  (as above)
    said, _, example = inspect.cleandoc(command.help or "").partition("Example:")
    lines = [f"## `{name}`", "", said.strip(), ""]
    if example:
        lines += ["```", " ".join(example.split()), "```", ""]
    rows = [f"| {_names(one)} | {_meaning(one)} |" for one in parameters(command)]
    return "\n".join([*lines, "| parameter | meaning |", "|---|---|", *rows, ""])


def _names(one: Any) -> str:  # noqa: ANN401  (as above)
    if one.param_type_name == "argument":
        return f"`{(one.metavar or one.name).upper()}`"
    return ", ".join(f"`{name}`" for name in [*one.opts, *one.secondary_opts])


def _meaning(one: Any) -> str:  # noqa: ANN401  (as above)
    text = (one.help or "").replace("|", "\\|")
    shown = getattr(one.default, "value", one.default)
    if one.required:
        return f"{text} Required."
    if shown in (None, False, "") or callable(shown):
        return text
    return f"{text} Default: `{shown}`."


if __name__ == "__main__":
    from ladnn.cli import app

    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(app), encoding="utf-8")

"""Documents: questions from small tables, answered from facts where those can; and as Markdown."""

import string
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ladnn.csvs import packaged
from ladnn.errors import DataError
from ladnn.findings import RESEARCH_NOTICE

OPEN = "Open: neither the card nor the result files say."


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One question; `answer` is None where it stays open."""

    number: str
    section: str
    asks: str
    answer: str | None


@dataclass(frozen=True, kw_only=True)
class Document:
    """Questions and answers on one bundle.

    Attributes:
        name: of its file, without an ending.
        source: where the questions come from.
    """

    name: str
    title: str
    source: str
    entries: tuple[Entry, ...]

    @property
    def answered(self) -> int:
        """How many questions are answered."""
        return sum(entry.answer is not None for entry in self.entries)


_KINDS: dict[str, tuple[str, str]] = {
    "model_card": ("Model card", "After Mitchell et al. 2019, Model Cards for Model Reporting."),
    "datasheet": ("Datasheet", "After Gebru et al. 2021, Datasheets for Datasets, in our words."),
    "claim": (
        "CLAIM checklist",
        "The items of CLAIM, 2024 update (Tejani et al.), in our words. Read the original before "
        "you rely on an item.",
    ),
    "tripod_ai": (
        "TRIPOD+AI checklist",
        "The items of TRIPOD+AI (Collins et al. 2024), in our words. Read the original before you "
        "rely on an item.",
    ),
}


def documents(facts: Mapping[str, str]) -> tuple[Document, ...]:
    """Model card, datasheet, CLAIM and TRIPOD+AI, each question answered from `facts` or open."""
    return tuple(
        Document(name=name, title=title, source=source, entries=_entries(name, facts))
        for name, (title, source) in _KINDS.items()
    )


def _entries(name: str, facts: Mapping[str, str]) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            number=row["number"],
            section=row["section"],
            asks=row["asks"],
            answer=_answer(row["answer"], facts),
        )
        for row in packaged(name)
    )


def _answer(template: str, facts: Mapping[str, str]) -> str | None:
    """The template with its facts; None where there is none, or where one of them is missing."""
    names = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    if not names or any(name not in facts for name in names):
        return None
    return template.format(**facts)


def markdown(document: Document, bundle: str) -> str:
    """The document of a bundle, whose name and version `bundle` is; open items can be seen."""
    total = len(document.entries)
    lines = [f"# {document.title}: {bundle}", "", f"**{RESEARCH_NOTICE}**", ""]
    lines += [document.source, "", f"{document.answered} of {total} items are answered.", ""]
    for section, entries in groupby(document.entries, key=lambda entry: entry.section):
        lines += [f"## {section}", ""]
        for entry in entries:
            mark = "x" if entry.answer else " "
            lines += [f"- [{mark}] **{entry.number}. {entry.asks}**", ""]
            lines += [f"  {_plain(entry.answer) if entry.answer else f'**{OPEN}**'}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    """Text in one line in which nothing means anything to HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def write_documents(facts: Mapping[str, str], bundle: str, folder: Path) -> tuple[Document, ...]:
    """Write one Markdown file for each document into an existing folder; all of them or none.

    Raises:
        DataError: when a file cannot be written.
    """
    made = documents(facts)
    try:
        with tempfile.TemporaryDirectory(prefix=".ladnn-", dir=folder) as name:
            for document in made:
                part = Path(name) / f"{document.name}.md"
                part.write_text(markdown(document, bundle), encoding="utf-8")
            for document in made:
                (Path(name) / f"{document.name}.md").replace(folder / f"{document.name}.md")
    except OSError as error:
        raise DataError(
            f"the model card cannot be written to {folder} ({error.strerror}): give another folder"
        ) from error
    return made

"""The words of the pages, in English and Chinese: a folder of TOML files for each language."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.requests import Request

LANGUAGES = {"en": "English", "zh": "中文"}
COOKIE = "ladnn_language"


@dataclass(frozen=True, kw_only=True)
class Catalogues:
    """For each language, sentences by their keys, such as `result.download`."""

    words: Mapping[str, Mapping[str, str]]

    def say(self, language: str, key: str, **values: object) -> str:
        """The sentence in that language with its placeholders filled.

        Raises KeyError for a key that is not there: a test finds every one that is used.
        """
        sentence = self.words[language][key]
        return sentence.format(**values) if values else sentence


@cache
def read_catalogues() -> Catalogues:
    """The files of every language, read once in a process."""
    return Catalogues(words={language: dict(_read(language)) for language in LANGUAGES})


def _read(language: str) -> Iterator[tuple[str, str]]:
    folder = Path(str(resources.files("ladnn.service"))) / "locales" / language
    for path in sorted(folder.glob("*.toml")):
        yield from _flat("", tomllib.loads(path.read_text(encoding="utf-8")))


def _flat(prefix: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def language_of(request: Request, default: str) -> str:
    """The language that was chosen, else the first that the browser asks for, else `default`."""
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    for wish in request.headers.get("accept-language", "").split(","):
        language = wish.strip()[:2].lower()
        if language in LANGUAGES:
            return language
    return default

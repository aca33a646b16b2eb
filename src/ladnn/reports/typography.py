"""A report made plain (dashes, quotes, blanks, spelling), each character with its origin."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

LEXICON = (
    "consolidation",
    "consolidations",
    "consolidative",
    "consolidated",
    "consolidate",
    "bronchogram",
    "bronchograms",
    "interlobular",
    "intralobular",
    "thickening",
    "thickened",
    "pneumonia",
    "coronavirus",
    "opacities",
    "opacification",
)
"""Long words of the vocabulary whose misspellings are read as meant."""

_SHORT = ("crazy", "frosted", "glass", "ground", "patchy", "paving", "septa", "septal", "septum")
"""Words too short to be told through a slip; one that a line end cut has a dash."""

_LONG = 12  # letters, from which two slips are still the same word

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_QUOTES = "\u2018\u2019\u201a\u201b\u2032`\u00b4\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"
_NOTHING = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_STOP = "\ue000"  # stands for a line end that ends a statement
_SHORT_LINE = 30  # characters; a longer one is rather wrapped than ended
_SWAPS = {
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_QUOTES, "'"),
    **dict.fromkeys(_NOTHING, ""),
    '"': "'",
    "\ufffd": "-",
    _STOP: ". ",
    # The full stops and commas of Chinese typesetting
    "\u3002": ".",
    "\u3001": ",",
}

# A dash or a quote that went through a wrong encoding: what lies between two letters and is
# neither ASCII nor Latin (UTF-8 read as GB18030), or begins with an a-circumflex (as Windows-1252).
_DAMAGED = re.compile(
    r"(?<=\w)(?:\u00e2[\u0080-\u00ff\u0152-\u2122]{0,2}|[\u2e80-\u9fff]{1,2}\??)(?=\w)"
)
_LINE_END = re.compile(r"\n\s*")
# Before a line end that ends a statement: no mark, and no word that asks for another.
_FINISHED = re.compile(
    r"(?<![\s.,:;!?-])(?<!\b(?:an|no|of|in|on|at|to|by|or|is|as))(?<!\b(?:and|the|was|nor|for|any))"
    r"(?<!\b(?:both|with|from|were))(?<!\b[aA])$"
)
_ITEM = re.compile(r"(?:[-*\u2022\u00b7\u2013]|\(?\d{1,2}[.)])\s")
# UTF-8 read as GB18030: a dash or a quote took the letter after it along.
_TAKEN = re.compile("\u9225.")
_ASKED = re.compile(r"(?<=[A-Za-z])\?(?=[a-z])")
# A word that a line end has cut: `consoli- dation`, `consoli-dation`, `consoli dation`.
_CUT = "|".join(
    f"{word[:at]}(?:- ?| ){word[at:]}" for word in LEXICON for at in range(2, len(word) - 1)
)
_CUT += "|" + "|".join(
    f"{word[:at]}- ?{word[at:]}" for word in _SHORT for at in range(2, len(word) - 1)
)
# `didn't`, also with its quote lost; `can't` and `won't` are short for more than a verb and `not`.
_VERB = "did|does|do|is|are|was|were|has|have|had|could|would|should|might|must|need"
_CONTRACTED = re.compile(rf"(?P<verb>{_VERB}|ca|wo)(?:n' ?t|nt)")
_WHOLE = {"ca": "cannot", "wo": "will not"}
# A blank lost before or after a word of the vocabulary: `andconsolidation`, `GGOand`.
_GLUED = (
    r"\b(?:and|with|without|of|no|showing|multiple|bilateral)(?=(?:ground|consolid|crazy|interlob|septal)\w|ggos?\b)"
    r"|\b(?:ggos?|glass|opacit(?:y|ies)|consolidations?|thickening|paving|bronchograms?)"
    r"(?=(?:and|with|in|was|were)(?:\b|ground|consolid|crazy|interlob))"
)
_WORD = re.compile(
    rf"(?P<glued>{_GLUED})|\bw/o\b|\b(?:{_CUT})\b|\b(?:(?:{_VERB}|ca|wo)n' ?t|(?:{_VERB}|ca)nt)\b"
    r"|[a-z]{7,}"
)


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Plain text and where it comes from.

    Attributes:
        text: in ASCII letters where there were accents, runs of blanks as one space.
        lower: the same in lower case, same length.
        starts, ends: for each character of `text`, the span of the original that it stands for.
    """

    text: str
    lower: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that `text[start:end]` (not empty) stands for."""
        return self.starts[start], self.ends[end - 1]


def plain(original: str) -> Plain:
    """Make `original` plain; see `Plain`."""
    repaired = _ASKED.sub("-", _DAMAGED.sub(_dashes, _TAKEN.sub(_given_back, original)))
    repaired = _LINE_END.sub(_full_stop, repaired)
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for index, raw in enumerate(repaired):
        for character in _plain_character(raw):
            if character == " " and characters[-1:] == [" "]:
                ends[-1] = index + 1
                continue
            characters.append(character)
            starts.append(index)
            ends.append(index + 1)
    return _respelt("".join(characters), starts, ends)


def _given_back(match: re.Match[str]) -> str:
    """The mark and the letter that two Chinese characters were, where they were that."""
    try:
        pair = match[0].encode("gb18030").decode("utf-8")
    except UnicodeError:
        return match[0]
    return pair if len(pair) == len(match[0]) else match[0]


def _dashes(match: re.Match[str]) -> str:
    """As many characters as were there, so that every offset stays true."""
    return "-" * len(match[0])


def _full_stop(match: re.Match[str]) -> str:
    """A full stop where a line end ends a statement, as many characters as were there.

    So it does before a blank line, the mark of a list, or, behind a small letter, a word with a
    capital (one of capitals behind a short line); elsewhere it is only a blank.
    """
    text, (start, end) = match.string, match.span()
    before = text[max(0, start - 10) : start].rstrip(" \t\r")
    short = start < _SHORT_LINE or "\n" in text[start - _SHORT_LINE : start]
    ends = match[0].count("\n") > 1 or bool(_ITEM.match(text, end))
    after = text[end : end + 2]
    ends = ends or (before[-1:].islower() and (after.istitle() or (short and after.isupper())))
    return _STOP.ljust(end - start) if ends and _FINISHED.search(before) else match[0]


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    if character in _SWAPS:
        return _SWAPS[character]
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    parts = unicodedata.normalize("NFKD", character)
    if unicodedata.decomposition(character).startswith("<circle>"):
        parts = f"({parts})"  # the number of a panel in a ring
    return "".join(
        _SWAPS.get(part, " " if part.isspace() else part)
        for part in parts
        if not unicodedata.combining(part)
    )


def _respelt(text: str, starts: list[int], ends: list[int]) -> Plain:
    """Replace misspelt words of the lexicon; their characters stand for the whole word."""
    pieces: list[str] = []
    new_starts: list[int] = []
    new_ends: list[int] = []
    done = 0
    for match in _WORD.finditer(_lower(text)):
        word = f"{match[0]} " if match["glued"] else meant(match[0])
        if word == match[0]:
            continue
        begin, end = match.span()
        pieces += [text[done:begin], word]
        new_starts += starts[done:begin] + [starts[begin]] * len(word)
        new_ends += ends[done:begin] + [ends[end - 1]] * len(word)
        done = end
    pieces.append(text[done:])
    new_starts += starts[done:]
    new_ends += ends[done:]
    joined = "".join(pieces)
    return Plain(text=joined, lower=_lower(joined), starts=tuple(new_starts), ends=tuple(new_ends))


def _lower(text: str) -> str:
    """Lower case letter by letter, for some capitals have a small form of two characters."""
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


@lru_cache(maxsize=4096)
def meant(word: str) -> str:
    """The word of the lexicon that `word` (lower case) misspells by one slip, or `word` itself.

    A contraction and `w/o` are spelt out, a word cut in two is joined. A slip is a letter too many,
    too few, wrong or exchanged with its neighbour; words of 12 letters and more bear two.
    """
    if contracted := _CONTRACTED.fullmatch(word):
        verb = contracted["verb"]
        return _WHOLE.get(verb, f"{verb} not")
    if word == "w/o":
        return "without"
    joined = word.replace("-", "").replace(" ", "")
    if joined in LEXICON or joined in _SHORT:
        return joined
    if joined != word:
        return word
    for candidate in LEXICON:
        slips = 2 if len(candidate) >= _LONG and "lobular" not in candidate else 1
        near = abs(len(candidate) - len(word)) <= slips and candidate[0] == word[0]
        if near and _distance(word, candidate) <= slips:
            return candidate
    return word


def _distance(first: str, second: str) -> int:
    """Optimal string alignment distance."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(second, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]

"""Where a caption names the panels of its figure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LABEL = r"(?:\d{0,2}[A-Za-z]|[Ii]{2,3}|[Ii][Vv]|[Vv][Ii]{1,3}|[A-Za-z]\d{1,2}|\d{1,2})"
_ONE = rf"(?:{_LABEL})(?:\s*(?:-|to)\s*(?:{_LABEL}))?"
_LIST = rf"{_ONE}(?:\s*(?:,\s*and|,|;|and|&)\s*{_ONE}){{0,11}}"
_SHOWS = (
    r"(?:show|depict|reveal|demonstrat|illustrat|display|indicat|present|represent|is\b|are\b|"
    r"was\b|were\b|obtained\b|taken\b|manifest)"
)

_SIDE = r"[Ll]eft|[Rr]ight|[Uu]pper|[Mm]iddle|[Ll]ower|[Tt]op|[Bb]ottom"
_PART = r"\s+(?:panel|image|picture|column|row)s?\b"

# (A), (a and b), (D-F), (1A, red arrow), (red arrow, 1A), [B], (upper row)
_MARK = (
    r"[^()\[\]]{0,30}\b(?:arrow(?:head)?|box|circle|line|asterisk|star)(?:e?s)?\s*(?:[,;]|in)\s*"
)
_BRACKETED = re.compile(
    rf"[(\[]\s*(?:{_MARK})?(?:(?:panel|image|fig(?:ure|\.)?)s?\s+)?(?P<labels>{_LIST}|(?:{_SIDE})(?={_PART}))"
    rf"(?:{_PART})?(?:\s*[,;]\s*[^()\[\]]{{0,60}})?\s*[)\]]"
)
# a Axial image; b, c Coronal images
# B) text; A. text / A, text / 1. text, at the start of a sentence; A showed, Panels B and C depict
_JOIN = r"\s*(?:-|,|and|&)\s*"
_LETTERS = rf"[A-Ka-k](?:(?:{_JOIN}|\.\s+)[A-Ka-k](?=[\s.,:)-])){{0,11}}"
_CAPITALS = rf"[A-K](?:{_JOIN}[A-K]){{0,11}}"
_LEADING = re.compile(
    rf"(?:(?:^|[.:;]\s+)(?P<small>a(?=\s+[A-Z])|[b-k](?=\s+\w)|[a-j](?:{_JOIN}[b-k])+(?=\s+\w))"
    rf"|(?:^|[.:;]\s*|\s(?=[A-K]:\s))(?P<letters>{_LETTERS})"
    r"(?:[.:)]|,(?=\s*\w))(?=\s*\S)"
    r"|(?:^|[.:;]\s+)(?P<numbers>\d{1,2})[.)](?=\s+[A-Z])"
    rf"|(?:^|[.;,]\s*)(?:and\s+)?(?P<subject>{_CAPITALS})(?=\s+{_SHOWS})"
    rf"|\b(?:[Pp]anels?|[Ii]mages?)\s+(?P<panel>{_LETTERS})(?=[\s,:.])"
    r"|(?:^|[\s,;])(?P<half>[A-Ka-k])\)(?=\s)"
    # Figure 2A: / Fig. 1a shows; A1-A3, text
    rf"|\b[Ff]ig(?:ure)?s?\.?\s*(?P<figure>\d{{1,2}}[A-Ka-k](?:{_JOIN}\d{{0,2}}[A-Ka-k]\b)*)"
    rf"(?=\s*[:.,]|\s+{_SHOWS})"
    rf"|(?:^|[.:;]\s*)(?P<numbered>[A-K]\d(?:{_JOIN}[A-K]\d)*)(?=[.:,]\s)"
    # Left panel: / in the upper image
    rf"|\b(?P<side>{_SIDE})(?={_PART})"
    rf"|(?:^|[.;]\s*)(?P<edge>{_SIDE})(?=\s*:))"
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_ORDINAL = re.compile(
    r"(?:\b[Tt]he\s+|(?:^|[.;,]\s*)(?=\w+\s+(?:image|panel|picture|row|column)))"
    rf"(?P<ordinal>(?i:{'|'.join(_ORDINALS)}))\s+(?:image|panel|picture|scan|row|column)s?\b"
)
_SENTENCE_START = re.compile(r"(?:^|[.:;])\s*$")
_VERB_BEFORE = re.compile(rf"\b(?:{_SHOWS})\w*(?:\s+that)?\s*:?\s*$")


@dataclass(frozen=True, kw_only=True)
class Designator:
    """The place where a caption names panels: `leading` before what they show, or after it.

    Attributes:
        labels: capital letters, numbers, or both (`1A`), in order.
        start, end: in the plain text.
        leading: a capital, a verb or the start of a sentence says that it comes first.
        bracketed: in brackets, before or after what it shows.
    """

    labels: tuple[str, ...]
    start: int
    end: int
    leading: bool
    bracketed: bool


def designators(text: str) -> tuple[Designator, ...]:
    """Every place in plain `text` (its case kept) that names panels, in order."""
    named = [*_bracketed_ones(text), *_leading_ones(text)]
    return tuple(sorted((one for one in named if one.labels), key=lambda one: one.start))


def _bracketed_ones(text: str) -> list[Designator]:
    """Those in brackets; where any of them has a letter, bare numbers are something else."""
    found = [_bracketed(match, text) for match in _BRACKETED.finditer(text)]
    lettered = [one for one in found if not all(label.isdigit() for label in one.labels)]
    return lettered or found


def _leading_ones(text: str) -> Iterator[Designator]:
    """Those that begin a statement without brackets, such as `A, ...` or `the second image`."""
    led = list(_LEADING.finditer(text))
    from_a = any((match["small"] or "").startswith("a") for match in led)
    for match in (*led, *_ORDINAL.finditer(text)):
        name = str(match.lastgroup)
        if name == "small" and not from_a:
            continue
        start = match.start(name)
        if _inside_brackets(text, start):
            continue
        labels = (
            (str(_ORDINALS.index(match[name].lower()) + 1),)
            if name == "ordinal"
            else _labels(match[name])
        )
        yield Designator(labels=labels, start=start, end=match.end(), leading=True, bracketed=False)


def _inside_brackets(text: str, start: int) -> bool:
    before = text[max(0, start - 80) : start]
    return before.rfind("(") > before.rfind(")")


def _bracketed(match: re.Match[str], text: str) -> Designator:
    """Leading where a sentence begins with it, or where a capital or a verb says so."""
    start, end = match.span()
    before, after = text[max(0, start - 40) : start], text[end : end + 3].lstrip()
    begins = bool(_SENTENCE_START.search(before) or _VERB_BEFORE.search(before))
    leading = bool(after[:1].isalnum()) and (begins or after[:1].isupper())
    return Designator(
        labels=_labels(match["labels"]), start=start, end=end, leading=leading, bracketed=True
    )


def _labels(words: str) -> tuple[str, ...]:
    """`A-C` as A, B, C; `a and b` as A, B; none where a list is of no plausible panels."""
    labels: list[str] = []
    for part in re.split(r"\s*(?:,\s*and\b|[,;.&]|\band\b)\s*", words.strip()):
        first, _, last = (x.strip().upper() for x in re.sub(r"\bto\b", "-", part).partition("-"))
        labels += _range(first, last) if last else [first]
    return tuple(dict.fromkeys(label for label in labels if label))


def _range(first: str, last: str) -> list[str]:
    if len(first) == len(last) == 1 and first.isalpha() and last.isalpha() and first < last:
        return [chr(code) for code in range(ord(first), ord(last) + 1)]
    if len(first) == len(last) == 2 and first[0] == last[0] and (first + last)[1::2].isdigit():
        return [first[0] + number for number in _range(first[1], last[1])]
    if first.isdigit() and last.isdigit() and int(first) < int(last) <= int(first) + 30:
        return [str(number) for number in range(int(first), int(last) + 1)]
    return [first, last]

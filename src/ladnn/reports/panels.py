"""Which panels of a figure a part of its caption speaks of."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ladnn.reports.sentences import within

_LABEL = r"(?:\d{0,2}[A-Za-z]|\d{1,2})"
_ONE = rf"(?:{_LABEL})(?:\s*(?:-|to)\s*(?:{_LABEL}))?"
_LIST = rf"{_ONE}(?:\s*(?:,\s*and|,|;|and|&)\s*{_ONE}){{0,11}}"
_SHOWS = (
    r"(?:show|depict|reveal|demonstrat|illustrat|display|indicat|present|represent|is\b|are\b|"
    r"was\b|were\b|obtained\b|taken\b)"
)

# (A), (a and b), (D-F), (1A, red arrow), [B]
_BRACKETED = re.compile(
    rf"[(\[]\s*(?:(?:panel|image|fig(?:ure|\.)?)s?\s+)?(?P<labels>{_LIST})"
    r"(?:\s*[,;]\s*[^()\[\]]{0,60})?\s*[)\]]"
)
# A. text / A, text / 1. text, at the start of a sentence; A showed, Panels B and C depict
_JOIN = r"\s*(?:-|,|and|&)\s*"
_LETTERS = rf"[A-Ka-k](?:(?:{_JOIN}|\.\s+)[A-Ka-k](?=[\s.,:)-])){{0,11}}"
_CAPITALS = rf"[A-K](?:{_JOIN}[A-K]){{0,11}}"
_LEADING = re.compile(
    rf"(?:(?:^|[.:;]\s*|\s(?=[A-K]:\s))(?P<letters>{_LETTERS})"
    r"(?:[.:)]|,(?=\s*[A-Z]))(?=\s*\S)"
    r"|(?:^|[.:;]\s+)(?P<numbers>\d{1,2})[.)](?=\s+[A-Z])"
    rf"|(?:^|[.;,]\s*)(?:and\s+)?(?P<subject>{_CAPITALS})(?=\s+{_SHOWS})"
    rf"|\b(?:[Pp]anels?|[Ii]mages?)\s+(?P<panel>{_LETTERS})(?=[\s,:.]))"
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_ORDINAL = re.compile(
    rf"\b[Tt]he\s+(?P<ordinal>{'|'.join(_ORDINALS)})\s+(?:image|panel|picture|scan)s?\b"
)
_SENTENCE_START = re.compile(r"(?:^|[.:;])\s*$")
_VERB_BEFORE = re.compile(rf"\b(?:{_SHOWS})\w*(?:\s+that)?\s*:?\s*$")


@dataclass(frozen=True, kw_only=True)
class Designator:
    """The place where a caption names panels: `leading` before what they show, or after it.

    Attributes:
        labels: capital letters, numbers, or both (`1A`), in order.
        start, end: in the plain text.
    """

    labels: tuple[str, ...]
    start: int
    end: int
    leading: bool


def designators(text: str) -> tuple[Designator, ...]:
    """Every place in plain `text` (its case kept) that names panels, in order."""
    found = [_bracketed(match, text) for match in _BRACKETED.finditer(text)]
    for match in (*_LEADING.finditer(text), *_ORDINAL.finditer(text)):
        name = str(match.lastgroup)
        labels = (
            (str(_ORDINALS.index(match[name]) + 1),) if name == "ordinal" else _labels(match[name])
        )
        start = match.start() if name == "ordinal" else match.start(name)
        found.append(Designator(labels=labels, start=start, end=match.end(), leading=True))
    kept = [one for one in found if one.labels]
    return tuple(sorted(kept, key=lambda one: one.start))


def _bracketed(match: re.Match[str], text: str) -> Designator:
    """Leading where a sentence begins with it, or where a capital or a verb says so."""
    start, end = match.span()
    before, after = text[max(0, start - 40) : start], text[end : end + 3].lstrip()
    begins = bool(_SENTENCE_START.search(before) or _VERB_BEFORE.search(before))
    leading = bool(after[:1].isalnum()) and (begins or after[:1].isupper())
    return Designator(labels=_labels(match["labels"]), start=start, end=end, leading=leading)


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
    if first.isdigit() and last.isdigit() and int(first) < int(last) <= int(first) + 30:
        return [str(number) for number in range(int(first), int(last) + 1)]
    return [first, last]


def panels_of(
    spans: Sequence[tuple[int, int]],
    places: Sequence[Designator],
    sentences: Sequence[tuple[int, int]],
) -> list[tuple[str, ...]]:
    """The panels for each of `spans` (sorted, in the plain text); empty where none is named.

    Words belong to the bracketed panels that follow them in their sentence, together with the words
    before them, up to the panels of earlier words; failing that, to the panels that led last.
    """
    found: list[tuple[str, ...]] = [()] * len(spans)
    starts = [start for start, _ in spans]
    trailing = [place for place in places if not place.leading]
    leading = [place for place in places if place.leading]
    trails, ends = [place.start for place in trailing], [place.end for place in leading]
    for sentence in sentences:
        inside = range(len(spans))[within(starts, sentence)]
        for index, labels in _following(inside, spans, trailing[within(trails, sentence)]).items():
            found[index] = labels
    for index, start in enumerate(starts):
        led = bisect_right(ends, start)
        if led and not found[index]:
            found[index] = leading[led - 1].labels
    return found


def _following(
    inside: Sequence[int], spans: Sequence[tuple[int, int]], trailing: Sequence[Designator]
) -> dict[int, tuple[str, ...]]:
    """Runs of words without panels between them share the run of panels after them."""
    items = sorted(
        [(spans[index][0], index, None) for index in inside]
        + [(place.start, -1, place) for place in trailing],
        key=lambda item: item[0],
    )
    found: dict[int, tuple[str, ...]] = {}
    waiting: list[int] = []
    for (_, index, place), (_, _, after) in pairwise([*items, (0, -1, None)]):
        if place is None:
            waiting.append(index)
            continue
        for one in waiting:
            found[one] = found.get(one, ()) + place.labels
        if after is None:
            waiting = []
    return found

"""Sentences of a report: full stops that end one, not those of abbreviations, numbers or panels."""

import re
from bisect import bisect_left
from collections.abc import Sequence

LONGEST = 1000
"""Characters; a longer run without a full stop is cut at a blank, so that work stays linear."""

_END = re.compile(r"[.;!?\u2022](?=\s|$|[A-Z(])|\s(?=\(?[A-K]\)\s+[A-Z][a-z])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:figs?|figures?|dr|prof|no|nos|vs|e\.g|i\.e|cf|approx|resp|al|ca|st|mr|mrs|ms|pt|pts|"
    r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|[a-z]))$",
    re.IGNORECASE,
)


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of plain `text`, in order, together the whole of it."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if text[match.start()] == "." and _abbreviates(text, start, match.start()):
            continue
        spans += _pieces(text, start, end)
        start = end
    return spans + _pieces(text, start, len(text))


def within(starts: Sequence[int], sentence: tuple[int, int]) -> slice:
    """Which of `starts`, in order, lie in `sentence`."""
    return slice(bisect_left(starts, sentence[0]), bisect_left(starts, sentence[1]))


def _abbreviates(text: str, start: int, stop: int) -> bool:
    return bool(_ABBREVIATION.search(text[max(start, stop - 8) : stop]))


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    pieces = []
    while end - start > LONGEST:
        cut = text.rfind(" ", start + 1, start + LONGEST)
        cut = start + LONGEST if cut < 0 else cut
        pieces.append((start, cut))
        start = cut
    if text[start:end].strip():
        pieces.append((start, end))
    return pieces

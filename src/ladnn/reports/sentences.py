"""Sentences of a report: full stops that end one, not those of abbreviations, numbers or panels."""

import re
from bisect import bisect_left
from collections.abc import Sequence

LONGEST = 1000
"""Characters; a longer run without a full stop is cut at a blank, so that work stays linear."""

# A question that the next word answers is one statement with it: `Consolidation? No.`; and so are
# brackets that end in a panel: `early stage (GGO; A)`.
_END = re.compile(
    # A blank is lost between two words: `no effusion.consolidation`; but not in a name of a file.
    r"(?<=[a-z]{3})\.(?=[a-z]{3})(?!(?:png|jpe?g|tiff?|dcm|nii|gif|pdf|csv|txt|com|org|net|gov|html?)\b)|"
    r"(?!\?\s+(?i:yes|no|none|nil)\s*[.;,]|;\s*[A-Ka-k](?:\s*[-,&]\s*[A-Ka-k])?\))[.;!?\u2022](?=\s|$|[A-Z(])|\s(?=\(?[A-K]\)\s+[A-Z][a-z])"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:figs?|figures?|dr|prof|no|nos|vs|e\.g|i\.e|cf|approx|resp|al|ca|st|mr|mrs|ms|pt|pts|"
    r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|[a-z]))$",
    re.IGNORECASE,
)

# A panel that ends its sentence is no abbreviation: `GGO is seen in panel B. Consolidation ...`
_PANEL = re.compile(
    r"\b(?:[Ii]n|[Pp]anels?|[Ii]mages?|[Pp]ictures?)\s+(?:[A-Ka-k](?:,|\s+and)\s+)?[A-Ka-k]$"
)
_BEGINS = re.compile(r"\s+[A-Z]")


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
    if not _ABBREVIATION.search(text[max(start, stop - 8) : stop]):
        return False
    before = text[max(start, stop - 20) : stop]
    return not (_PANEL.search(before) and _BEGINS.match(text, stop + 1))


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

"""Where a caption names the panels of its figure."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ladnn.reports.vocabulary import lesion_terms

_LABEL = r"(?:\d{0,2}[A-Za-z]|[Ii]{2,3}|[Ii][Vv]|[Vv][Ii]{1,3}|[A-Za-z]\d{1,2}|\d{1,2})"
_TO = r"(?:-|\bto\b|\bthrough\b)"
_SLASH = r"(?<=[A-Ka-k])[/+](?=[A-Ka-k])"  # no count such as 3/20
_ONE = rf"(?:{_LABEL})(?:\s*{_TO}\s*(?:{_LABEL}))?"
_LIST = rf"{_ONE}(?:(?:\s*(?:,\s*and|,|;|and|&)\s*|{_SLASH}){_ONE}){{0,11}}"
_SHOWS = (
    r"(?:show|depict|reveal|demonstrat|illustrat|display|indicat|present|represent|is\b|are\b|"
    r"was\b|were\b|obtained\b|taken\b|manifest)"
)

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_SIDE = r"[Ll]eft|[Rr]ight|[Uu]pper|[Mm]iddle|[Ll]ower|[Tt]op|[Bb]ottom"
_CORNER = r"(?:[Uu]pper|[Mm]iddle|[Ll]ower|[Tt]op|[Bb]ottom)[\s-]+(?:[Ll]eft|[Rr]ight|[Mm]iddle)"
_PART = r"\s+(?:panel|image|picture|column|row)s?\b"
_PLACE = rf"(?:{_SIDE}|{'|'.join(_ORDINALS)})(?={_PART})"

# (A), (a and b), (D-F), (1A, red arrow), (red arrow, 1A), [B], (upper row)
_MARK = (
    r"[^()\[\]]{0,30}\b(?:arrow(?:head)?|box|circle|line|asterisk|star)(?:e?s)?\s*(?:[,;]|in)\s*"
)
_BRACKETED = re.compile(
    rf"[(\[]\s*(?:{_MARK})?(?:(?i:panel|image|fig(?:ure|\.)?)s?\s+)?(?P<labels>{_LIST}|{_PLACE})"
    rf"(?:{_PART})?(?:\s*[,;]\s*[^()\[\]]{{0,60}})?\s*[)\]]"
)
# CT on day 3 (left) and day 7 (right), axial (top) and coronal (bottom) images
_BESIDE = re.compile(
    r"\b(?:(?i:images?|scans?|ct|views?|sections?|planes?|axial|coronal|sagittal|windows?|row|"
    r"admission|follow-?up|baseline|onset|presentation|discharge|later)|days?\s+\d+|\d+\s+days?|"
    rf"[A-Z][a-z]{{2,8}}\.?\s+\d+)\s*(?P<bracket>\((?P<labels>{_SIDE})\))"
)
# At the end of the brackets that hold what they show: early (GGO; A), peak (consolidation; B)
_INSIDE = re.compile(
    rf"\([^()]{{2,60}}[;,]\s*(?P<labels>[A-Ka-k](?:\s*(?:{_TO}|,|and|&)\s*[A-Ka-k])*)\s*\)"
)
# What is no aside though in brackets: (a: GGO; b: consolidation)
_LISTED = re.compile(r"\(\s*[Aa]:\s[^();]{1,120};\s*[Bb]:\s[^()]{1,400}\)(?=\s*(?:[.;]|$))")
# By themselves where a row or a column is whole: GGO (left), mass (middle), normal (right)
_BARE_SIDE = re.compile(rf"\((?P<labels>{_SIDE})\)")
_ROWS = ({"LEFT", "MIDDLE", "RIGHT"}, {"TOP", "BOTTOM"})
_PAIRS = (*_ROWS[1:], {"LEFT", "RIGHT"}, {"UPPER", "LOWER"})
# a Axial image; b, c Coronal images
# B) text; A. text / A, text / 1. text, at the start of a sentence; A showed, Panels B and C depict
_JOIN = rf"(?:\s*(?:{_TO}|,\s*and\b|,|and|&)\s*|{_SLASH})"
_BOUND = rf"(?=\s*(?:[.,:;()]|$)|\s+(?:and|but|with|while|whereas|there|{_SHOWS}))"
_FIGURE = r"\b[Ff]ig(?:ure)?\.?\s*\d{1,2}\s+"
_LETTERS = rf"[A-Ka-k](?:(?:{_JOIN}|\.\s+)[A-Ka-k](?=[\s.,:;)-]|$)){{0,11}}"
_CAPITALS = rf"[A-K](?:{_JOIN}[A-K]){{0,11}}"
_LEADING = re.compile(
    # A-B Axial images; C, D Coronal images
    rf"(?:(?:^|[.:;]\s+)(?P<joined>[A-J](?:{_JOIN}[B-K])+)(?=\s+[A-Za-z]{{2}})(?!\s+(?:and|{_SHOWS}))"
    rf"|(?:^|[.:;]\s+|{_FIGURE})(?P<small>a(?=\s+[A-Z])|[b-k](?=\s+\w)|[a-j](?:{_JOIN}[b-k])+(?=\s+\w))"
    rf"|(?:^|[.:;]\s*|{_FIGURE}|[\s,(](?=[A-Ka-k]:\s|[A-K]\.[A-Z]\w\w))(?P<letters>{_LETTERS})"
    r"(?:[.:)]|,(?=\s*\w))(?=\s*\S)"
    # A (day 3): text; A = text, B - text
    rf"|(?:^|[.:;]\s*)(?P<told>{_CAPITALS})\s+\([^()]{{1,60}}\)(?=\s*[:,]|\s+{_SHOWS})"
    rf"|(?:^|[.:;,]\s*)(?P<equal>{_CAPITALS})(?=\s*=|\s*-\s*[A-Za-z]{{2}})"
    r"|(?:^|[.:;]\s+)(?P<numbers>\d{1,2})[.)](?=\s+[A-Z])"
    rf"|(?:^|[.;,]\s*|{_FIGURE})(?:and\s+)?(?P<subject>{_CAPITALS})(?=\s+{_SHOWS})"
    # A Axial image. B Coronal image
    rf"|(?:^|[.:;]\s+|\b[Ff]ig(?:ure)?\.?\s*\d{{1,2}}\.?\s+)(?P<capital>A(?=\s+(?!and\b|to\b)\w)|[B-K](?=\s+[A-Z0-9])|(?<=;\s)[B-K](?=\s+[a-z]{{2}}))"
    rf"|\b(?:[Pp]anels?|[Ii]mages?)\s+(?!a\s+(?!and\b|{_SHOWS}))(?P<panel>{_LETTERS})(?=[\s,:.;]|$)"
    rf"|\b(?:[Pp]anel|[Ii]mage|[Pp]icture)s?\s+(?P<number>\d{{1,2}}(?:{_JOIN}\d{{1,2}}\b)*)(?=\s*[:.,;]|\s+{_SHOWS}|$)"
    # Case 1, male: text; patient B: text
    r"|\b(?:[Cc]ase|[Pp]atient)\s+(?:(?P<of>\d{1,2})(?=\s*[:,(])|(?P<case>[A-K])(?=\s*[:.,]))"
    rf"|\b(?:[Cc]ases?|[Pp]atients?)\s+(?P<cases>{_CAPITALS})(?=\s+(?:had|has|have|{_SHOWS}))"
    rf"|\b[Ii]n\s+(?P<within>{_CAPITALS}){_BOUND}"
    # GGO is seen in a and b. Consolidation is shown in c.
    rf"|\b[Ii]n\s+(?P<inside>[a-k](?:{_JOIN}[a-k]\b)*){_BOUND}"
    r"|(?:^|[\s,;])(?P<half>[A-Ka-k]|[Ii]{1,3}|[Ii][Vv]|[Vv][Ii]{0,3})\)(?=\s)"
    # Figure 2A: / Fig. 1a shows; A1-A3, text
    rf"|\b[Ff]ig(?:ure)?s?\.?\s*(?P<figure>\d{{1,2}}[A-Ka-k](?:{_JOIN}\d{{0,2}}[A-Ka-k]\b)*)"
    rf"(?=\s*[:.,]|\s+{_SHOWS})"
    rf"|(?:^|[.:;]\s*)(?P<numbered>(?:[A-K]\d|\d[A-K])(?:{_JOIN}(?:[A-K]\d|\d[A-K]))*)"
    r"(?=[.:,]\s)"
    rf"|(?:^|[.;]\s*)[Ff]ig(?:ure)?s?\.?\s*(?P<begun>\d{{1,2}}[A-Ka-k])(?=\s+(?!and\b|to\b)\w)"
    # Left panel: / in the upper image
    rf"|\b(?P<side>{_SIDE})(?={_PART})"
    rf"|\b(?:[Pp]anel|[Ii]mage|[Pp]icture|[Cc]olumn)s?\s+(?:on|at)\s+the\s+(?P<at>{_SIDE})\b"
    rf"|(?:^|[.;]\s*)(?P<edge>{_CORNER}|{_SIDE})(?=\s*:)"
    # Left, a man of 30: text
    rf"|(?:^|[.;]\s*)(?P<aside>{_SIDE})(?=,\s))"
)
# The next of a row behind a comma or a blank, with the mark of the first: a. GGO b. consolidation
_NEXT = re.compile(
    rf"(?<![\w(.-])(?P<next>[A-K](?:{_JOIN}[A-K]\b)*|[a-k](?:{_JOIN}[a-k]\b)*)[.:,)](?!\w\.)(?=\s*\w)"
)
_STATEMENT = re.compile(rf"(?:^|[.:;]\s*|{_FIGURE})$")
# What takes a letter and is no panel: influenza A, hepatitis B
_KIND = re.compile(r"\b(?:influenza|hepatitis|vitamin|type|group)\s+$", re.IGNORECASE)
# Brackets that hold what their panel shows: (A: normal), (B: GGO); or begin it: (A: day 1) GGO
_OPENED = re.compile(r"\((?P<opened>[A-Ka-k]):\s(?P<held>[^()]{1,200})\)")
# Days that the caption has given to panels: `day 3 (A), day 9 (B)`, then `On day 3, ...`
_WHEN = (
    r"(?:[Dd]ay\s+\d{1,3}|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?\s+\d{1,2})\b"
)
_GIVEN = re.compile(rf"(?P<when>{_WHEN})(?:,?\s+20\d\d)?\s*$")
_ON_THAT = re.compile(
    rf"(?:^|[.;])\s+(?:(?:[Oo]n|[Aa]t)\s+)?(?P<when>{_WHEN})(?:,?\s+20\d\d)?(?=\s*[,:]|\s+{_SHOWS})"
)
# Where nothing else names panels: Day 1: text. Day 5: text / Case 1 showed text. Case 2 showed text
_HEAD = re.compile(
    rf"(?:^|[.;]\s+)(?:[Oo]n\s+)?(?P<head>{_WHEN}(?:,?\s+20\d\d)?|(?P<who>[Cc]ase|[Pp]atient)\s+\d{{1,2}}\b)"
    rf"(?=\s*:|\s+(?:had|has|{_SHOWS}))"
)
_ORDINAL = re.compile(
    r"(?:\b[Tt]he\s+|(?:^|[.;,]\s*)(?=\w+\s+(?:image|panel|picture|row|column)))"
    rf"(?P<ordinal>(?i:{'|'.join(_ORDINALS)}))\s+(?:image|panel|picture|scan|row|column)s?\b"
)
# What a name that English writes alike, as an article or a measure, needs to be a panel.
_NEEDED = {"small": "A", "capital": "AB", "equal": "AB"}
# `in panel A`, `on the left image`; but `larger than in A` only compares
_IN = re.compile(
    r"\b(?:[Ii]n|[Oo]n|[Aa]t)\s+(?:the\s+)?(?:(?i:panel|image|picture|fig(?:ure)?)s?\.?\s+)?$"
)
_COMPARED = re.compile(
    r"\b(?:(?:than|that|those|(?<!,\s)as|ones?)(?:\s+(?:seen|shown|noted|visible))?|as|same\s+[\w-]+|patients?)\s+"
    r"(?:in|on)\s+(?:the\s+)?(?:(?i:panel|image|picture|fig(?:ure)?)s?\.?\s+)?$"
)
_CLAUSE_START = re.compile(r"(?:^|[.;:,]|\b(?:and|while|whereas|but))\s*$")
_STATES_NEXT = re.compile(rf"\s+(?:there\b|{_SHOWS})")
_BETWEEN = re.compile(r"\s*(?:,\s*and\b|[,;.&/+]|\band\b)\s*")
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
    bracketed = _bracketed_ones(text)
    named = [*bracketed, *_leading_ones(text, bracketed), *_days(text, bracketed)]
    named = named or _heads(text)
    return tuple(sorted((one for one in named if one.labels), key=lambda one: one.start))


def _bracketed_ones(text: str) -> list[Designator]:
    """Those in brackets; where any of them has a letter, bare numbers are something else."""
    found = [_bracketed(text, *m.span(), m["labels"]) for m in _BRACKETED.finditer(text)]
    beside = [
        _bracketed(text, m.start("bracket"), m.end(), m["labels"]) for m in _BESIDE.finditer(text)
    ]
    bare = [_bracketed(text, *m.span(), m["labels"]) for m in _BARE_SIDE.finditer(text)]
    named = {label for one in bare for label in one.labels}
    if any(row <= named for row in _ROWS):
        beside = bare
    found += beside if len(beside) > 1 else []
    found += _inside_ones(text, found)
    lettered = [one for one in found if not all(label.isdigit() for label in one.labels)]
    return lettered or found


def _days(text: str, bracketed: Sequence[Designator]) -> Iterator[Designator]:
    """Days at the start of a statement that stand for the panels that they were given before."""
    given: dict[str, tuple[str, ...]] = {}
    for one in bracketed:
        if day := _GIVEN.search(text, max(0, one.start - 30), one.start):
            known = given.get(_day(day), ())
            given[_day(day)] = tuple(dict.fromkeys((*known, *one.labels)))
    for match in _ON_THAT.finditer(text) if given else ():
        if labels := given.get(_day(match)):
            yield Designator(
                labels=labels,
                start=match.start("when"),
                end=match.end(),
                leading=True,
                bracketed=False,
            )


def _heads(text: str) -> list[Designator]:
    """Days or patients at the start of statements, in their order; one kind alone, or none."""
    found = list(_HEAD.finditer(text))
    order = list(dict.fromkeys(match["head"].lower() for match in found))
    if len(order) < 2 or len({match["who"] is None for match in found}) > 1:
        return []
    return [
        Designator(
            labels=(str(1 + order.index(match["head"].lower())),),
            start=match.start("head"),
            end=match.end(),
            leading=True,
            bracketed=False,
        )
        for match in found
    ]


def _day(match: re.Match[str]) -> str:
    """`January 30` and `Jan. 30` alike."""
    name, number = match["when"].lower().split()
    return f"{name[:3]} {int(number)}"


def _inside_ones(text: str, found: Sequence[Designator]) -> list[Designator]:
    """Those at the end of brackets around what they show; one alone may be the type of a virus."""
    taken = {one.end for one in found}
    inside = [match for match in _INSIDE.finditer(text) if match.end() not in taken]
    named = {label for match in inside for label in _labels(match["labels"])}
    if len(inside) < 2 or "A" not in named:
        return []
    return [
        Designator(
            labels=_labels(match["labels"]),
            start=match.start("labels"),
            end=match.end(),
            leading=False,
            bracketed=True,
        )
        for match in inside
    ]


def _leading_ones(text: str, bracketed: Sequence[Designator]) -> Iterator[Designator]:
    """Those without brackets, such as `A, ...` or `the second image`.

    They begin a statement, but for those in a phrase of place (`GGO in panel A`), which follow
    what they show as those in brackets do.
    """
    led = list(_LEADING.finditer(text))
    begun = {(str(match.lastgroup), label) for match in led for label in _letters(match)}
    begun |= {("small", label) for name, label in begun if name not in _NEEDED}
    begun |= {("capital", label) for name, label in begun if name == "joined"}
    led = [match for match in led if _needed(str(match.lastgroup)) <= begun]
    lettered = any(label.isalpha() for one in bracketed for label in one.labels)
    lettered |= any(map(_letters, led))
    listed = sorted([*(match.span() for match in _LISTED.finditer(text)), *_opened(text)])
    asides = {label for match in led if match["aside"] for label in _labels(match["aside"])}
    if not any(row <= asides for row in _PAIRS):
        led = [match for match in led if not match["aside"]]
    led += _row(text, led, listed)
    for match in (*led, *_ORDINAL.finditer(text)):
        name = str(match.lastgroup)
        start = match.start() if name == "at" else match.start(name)
        if _KIND.search(text, max(0, start - 20), start):
            continue
        compared = _COMPARED.search(text, max(0, start - 60), start)
        if (
            compared
            or (name in ("number", "of") and lettered)
            or _inside_brackets(text, start, listed)
        ):
            continue
        follows = _follows(text, start, match.end(name))
        yield Designator(
            labels=_labels(match[name]),
            start=start,
            end=match.end(),
            leading=not follows,
            bracketed=follows,
        )


def _row(
    text: str, led: Sequence[re.Match[str]], listed: Sequence[tuple[int, int]]
) -> list[re.Match[str]]:
    """The letters with one mark that go on from an A: `a. GGO b. mass`; not those in `led`.

    An A behind a comma or with one may be no panel: it begins a statement.
    """
    row: list[re.Match[str]] = []
    for match in _NEXT.finditer(text):
        start, labels = match.start("next"), _labels(match["next"])
        before = text[max(0, start - 20) : start]
        if _KIND.search(before) or _inside_brackets(text, start, listed):
            continue
        if row and _goes_on(row[-1], match):
            row.append(match)
        elif (
            len(row) < 2 and labels[0] == "A" and (match[0][-1] != "," or _STATEMENT.search(before))
        ):
            row = [match]
    known = {at for one in led for at in range(*one.span())}
    return [one for one in row if one.start("next") not in known] if len(row) > 1 else []


def _goes_on(before: re.Match[str], match: re.Match[str]) -> bool:
    """Whether the letter of `match` comes next, written as that `before` with the same mark."""
    last, first = _labels(before["next"])[-1], _labels(match["next"])[0]
    alike = before[0][-1] == match[0][-1] and before[0][0].islower() == match[0][0].islower()
    return alike and ord(first) == ord(last) + 1


def _opened(text: str) -> list[tuple[int, int]]:
    """Brackets that panels open, A and B at least, where they hold a lesion or begin a statement.

    Elsewhere they may only date what stands before them: `GGO (A: day 1), mass (B: day 5)`.
    """
    found = list(_OPENED.finditer(text))
    if not {"A", "B"} <= {match["opened"].upper() for match in found}:
        return []
    begins = _STATEMENT.search(text, max(0, found[0].start() - 20), found[0].start())
    held = any(any(lesion_terms(match["held"].lower())) for match in found)
    return [match.span() for match in found] if begins or held else []


def _needed(name: str) -> set[tuple[str, str]]:
    """What must begin a statement somewhere if `name` is to be one of panels."""
    return {(name, label) for label in _NEEDED.get(name, "")}


def _letters(match: re.Match[str]) -> tuple[str, ...]:
    """The letters that lead in `match`; none for numbers and sides."""
    labels = _labels(match[str(match.lastgroup)])
    return tuple(label for label in labels if len(label) == 1 and label.isalpha())


def _follows(text: str, start: int, end: int) -> bool:
    """Whether panels stand in a phrase of place behind what they show."""
    place = _IN.search(text, max(0, start - 60), start)
    if not place or _STATES_NEXT.match(text, end):
        return False
    return not _CLAUSE_START.search(text, max(0, place.start() - 20), place.start())


def _inside_brackets(text: str, start: int, listed: Sequence[tuple[int, int]]) -> bool:
    """Whether brackets hold what begins at `start`, but for `listed` that hold panels alone."""
    before = text[max(0, start - 80) : start]
    if before.rfind("(") <= before.rfind(")"):
        return False
    number = bisect_right(listed, (start, len(text))) - 1
    return number < 0 or start >= listed[number][1]


def _bracketed(text: str, start: int, end: int, words: str) -> Designator:
    """Leading where a sentence begins with it, or where a capital or a verb says so."""
    before, after = text[max(0, start - 40) : start], text[end : end + 3].lstrip()
    begins = bool(_SENTENCE_START.search(before) or _VERB_BEFORE.search(before))
    leading = bool(after[:1].isalnum()) and (begins or after[:2].istitle())
    return Designator(labels=_labels(words), start=start, end=end, leading=leading, bracketed=True)


def _labels(words: str) -> tuple[str, ...]:
    """`A-C` as A, B, C; `a and b` as A, B; none where a list is of no plausible panels."""
    if words.lower() in _ORDINALS:
        return (str(_ORDINALS.index(words.lower()) + 1),)
    if re.fullmatch(_CORNER, words):
        return (" ".join(re.split(r"[\s-]+", words.upper())),)
    labels: list[str] = []
    figure = ""
    for part in _BETWEEN.split(words.strip()):
        ends = [_whole(end.strip().upper(), figure) for end in re.split(_TO, part, maxsplit=1)]
        labels += _range(ends[0], _whole(ends[1], _figure(ends[0]))) if ends[1:] else ends
        figure = _figure(ends[0])
    return tuple(dict.fromkeys(label for label in labels if label))


def _figure(label: str) -> str:
    """The number of the figure that `2A` begins with; empty where there is none."""
    return label[:-1] if label[-1:].isalpha() and label[:-1].isdigit() else ""


def _whole(label: str, figure: str) -> str:
    """The B of `2A, B` is 2B."""
    return figure + label if len(label) == 1 and label.isalpha() else label


def _range(first: str, last: str) -> list[str]:
    if len(first) == len(last) == 1 and first.isalpha() and last.isalpha() and first < last:
        return [chr(code) for code in range(ord(first), ord(last) + 1)]
    if _figure(first) and _figure(first) == _figure(last):
        return [_figure(first) + letter for letter in _range(first[-1], last[-1])]
    if len(first) == len(last) == 2 and first[0] == last[0] and (first + last)[1::2].isdigit():
        return [first[0] + number for number in _range(first[1], last[1])]
    if first.isdigit() and last.isdigit() and int(first) < int(last) <= int(first) + 30:
        return [str(number) for number in range(int(first), int(last) + 1)]
    return [first, last]

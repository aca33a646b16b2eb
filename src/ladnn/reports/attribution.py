"""Which panels of a figure a finding is given to: those named after it, or those that led to it."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

from ladnn.reports.panels import Designator
from ladnn.reports.sentences import within

Span = tuple[int, int]
Item = tuple[int, int, Designator | None]
"""Where it starts, the index of a finding that counts (else -1), and the panels if it names any."""

# What else a caption finds, or finds wanting; it takes a panel as a lesion does.
_OTHER_FINDING = re.compile(
    r"\b(?:normal|unremarkable|healthy\s+(?:lungs?|controls?|volunteers?|subjects?)|clear\s+lungs?|no\s+(?:\w+\s+)?(?:lesions?|abnormalit\w+)|nodul\w+|"
    r"effusions?|fibros\w+|fibrotic|emphysema\w*|mass(?:es)?|bronchiectasis|cavit\w+|halo\s+signs?|"
    r"lesions?|abnormalit\w+|reticul\w+|stripe?s?|bands?|cords?|honeycomb\w*|scar\w*|thickening|"
    r"(?:complete\w*|full\w*|final\w*|entire\w*|nearly|almost|basically)\s+(?:absor[bp]\w+|resol\w+|"
    r"disappear\w*|cleared|clearance))\b"
    # What only went, before its panel or as one of those that are dealt out: `and resolution (D)`.
    r"|(?:(?<=,\s)|(?<=\band\s)|(?<=\bthen\s)|(?<=\bto\s))(?:(?:gradual|partial|further|slow|obvious|marked|significant)\s+)?"
    r"(?:resolution|absorption|dissipation)(?=(?:\s+(?:on|at|after)\s+[\w\s]{1,20})?\s*[(\[]|,?\s+respectively\b)"
)
# Between two panels that end what they show, a finding of its own whatever its name:
# `GGO (A), vascular enlargement (B)`. None is a phrase of place, or of these words alone.
_OWN = re.compile(
    r"\s*(?:,\s*(?:and\s+)?|and\s+)(?P<phrase>[a-z](?:(?!\b(?:and|but)\b)[^.,;:()\[\]])*)$"
)
_NO_PHRASE_OF_ITS_OWN = re.compile(
    r"(?:in|on|at|of|to|by|from|with|within|after|before|during|until|for|under|through|near|along|"
    r"while|whereas|although|then|which|that|who|where|when|whose|but|showing|involving|also|only|predominantly|mainly|some|"
    r"another|others?|both|it|they|this|these)\b"
)
_MERELY = re.compile(
    # Times
    r"(?:\d[\d/.-]*(?:st|nd|rd|th)?|days?|weeks?|months?|hours?|years?|later|on|at|after|before|follow|up|"
    r"follow-?ups?|baseline|admission|discharge|readmission|onset|initial|early|late|first|second|"
    r"third|fourth|fifth|sixth|last|final|next|one|two|three|four|five|six|seven|ten|"
    r"(?:jan|feb|mar|apr|may|june?|july?|aug|sep|oct|nov|dec)[a-z]*|"
    r"pre-?treatment|post-?treatment|treatment|therapy|stages?|phases?|progressive|peak|recovery|"
    # Places and levels
    r"left|right|upper|middle|lower|both|bilateral\w*|lungs?|lobes?|lobar|lingul\w*|bas(?:e|es|al|is)|ap(?:ex|ices|ical)|"
    r"hil(?:um|a|ar)|carin\w*|aort\w*|arch|trachea\w*|bifurcation|vein|artery|ventric\w*|atri\w*|heart|diaphragm\w*|"
    r"subpleural|peripher\w*|central|anterior|posterior|dorsal|ventral|lateral|medial|superior|inferior|"
    r"segments?|segmental|zones?|fields?|regions?|parts?|areas?|sides?|levels?|sections?|slices?|"
    r"pulmonary|chest|thora\w*|[rl][uml]l|"
    # Images
    r"axial|coronal|sagittal|transverse|oblique|planes?|views?|windows?|scans?|images?|imaging|cts?|hrct|"
    r"tomograph\w*|computed|x-?rays?|radiographs?|thin|thick|thin-section|high|resolution|mpr|mip|"
    r"reconstruct\w*|reformat\w*|rendering|volume|3d|three-dimensional|mediastin\w*|soft|tissue|bone|contrast\w*|enhanced|"
    r"unenhanced|arterial|venous|cross-sectional|magnif\w+|zoom\w*|close-up|detail|corresponding|"
    # Whose they are
    r"patients?|cases?|m[ae]n|wom[ae]n|males?|females?|boys?|girls?|child|children|infant|adult|father|mother|"
    r"son|daughter|wife|husband|brother|sister|family|members?|mild|moderate|severe|critical|common|ordinary|"
    r"pregnant|elderly|young|newborn|symptomatic|asymptomatic|confirmed|suspected|(?:non-)?surviv\w+|groups?|"
    r"covid-?\d*|sars|mers|influenza|h1n1|bacterial|viral|fungal|mycoplasma|\w*pneumonia|infection|disease|"
    r"\w*-?(?:year|day|week|month|yr)s?-?old|old|"
    # What became of the finding before them
    r"unchanged|stable|persist\w*|remain\w*|bec[ao]me|"
    r"(?:increas|progress|enlarg|expand|extend|worsen|decreas|reduc|improv|shrink|absorb|resolv)(?:ed|ing|es?|s)?|"
    r"(?:more|less|larger|smaller|worse|better|denser|obvious\w*|slight\w*|further|partial\w*|gradual\w*|"
    r"significant\w*|marked\w*|extensive|same|lesions?|abnormalit\w+|"
    r"arrow(?:head)?s?|an?|the|his|her|its|of|in|to|as|for|from|with|was|were|is|are|had|has|been|seen|shown|who))"
)
# `(A) shows`, `(B) obtained on day 3 demonstrates`, `(C):`
_SHOWS_NEXT = re.compile(
    r"\s*:|\s+(?:[\w-]+\s+){0,8}?(?:show|depict|reveal|demonstrat|illustrat|display|manifest)"
)
_WITH_NEXT = re.compile(r"\s+(?:with|was|were|is|are|had|has)\b")
# `On day 3 (A), ...`
_TIME_BEFORE = re.compile(
    r"\s*(?:(?:and|then)\s+)?(?:on|at|after|before|during|by|initial\w*|baseline|follow\w*|day)\b"
)
_BREAK = re.compile(r"[,;:]|\b(?:and|while|whereas|but|then)\b")
_CLAUSE = re.compile(r"[,;:]\s*(?:and\b)?|\b(?:while|whereas|but|then|which|that)\b")
_CONTRAST = re.compile(r"\b(?:while|whereas|but)\b")
_AND = re.compile(r"\band\b")
_ENDS_NEXT = re.compile(r"\s*(?:[,.;)]|$|(?:and|but|while|whereas)\b)")
# `(D-F) consolidation (arrow in E)`: what it points at is in all of them.
_POINTS = re.compile(r"\b(?:arrow(?:head)?|box|circle|line|asterisk|star)(?:e?s)?\s+in\b")
# Between panels that are told of together: `axial (A) and coronal (B) images`.
_TOGETHER = re.compile(r"\s*(?:,\s*)?(?:and\s+)?(?:[\w-]+\s*){0,3}$")
_VERB = r"(?:(?:show|reveal|demonstrat|depict)\w*|was|were|is|are|had|has|have|with|no|not)"
# And where they end their phrases, of whatever length, as long as none has a verb.
_ALIKE = re.compile(rf"(?:(?!\b{_VERB}\b)[^.;:])*$")
# `(A) Patient 1 (father, aged 65) and (B) patient 2 had GGO`: no verb or finding between.
_COORDINATED = re.compile(rf"(?:(?!\b{_VERB}\b)[^.;:])*\band\s*$")
# What parts the shares of a list: `and` too, or else commas alone.
_APART = (re.compile(r"[,;]|\band\b"), re.compile(r"[,;]"))


def panels_of(
    lower: str, spans: Sequence[Span], places: Sequence[Designator], sentences: Sequence[Span]
) -> list[tuple[str, ...]]:
    """The panels for each of `spans` (sorted, in the plain text `lower`); empty where none is.

    Where bracketed panels follow what they show, words belong to those that follow them in their
    sentence, together with the words before them, up to the panels of earlier words. Failing
    that, and where the panels come first, words belong to the panels that led last.
    """
    found: list[tuple[str, ...]] = [()] * len(spans)
    marks = {place.end: place.labels for place in places if place.leading}
    starts, heads = [start for start, _ in spans], [place.start for place in places]
    for sentence in sentences:
        named = places[within(heads, sentence)]
        inside = [place for place in named if place.bracketed]
        numbers = range(len(spans))[within(starts, sentence)]
        here = {spans[number]: number for number in numbers}
        items = _items(lower, sentence, here, inside)
        if shares := _respectively(lower, sentence, _items(lower, sentence, here, inside or named)):
            for index, labels in shares.items():
                found[index] = labels
            continue
        for clause in _contrasted(lower, sentence, items):
            told, leading = _shares(lower, clause, [x for x in items if _in(clause, x)])
            marks |= leading
            for index, labels in told.items():
                found[index] = labels
    ends = sorted(marks)
    for sentence in sentences:
        before = bisect_right(ends, sentence[0])
        numbers = range(len(spans))[within(starts, sentence)]
        whole = bool(numbers) and _of_all(lower, starts, ends[:before], marks, sentence[0])
        for index in numbers:
            led = bisect_right(ends, starts[index])
            if led and not found[index] and not (whole and led == before):
                found[index] = marks[ends[led - 1]]
    return found


def _in(clause: Span, item: Item) -> bool:
    return clause[0] <= item[0] < clause[1]


def _contrasted(lower: str, sentence: Span, items: Sequence[Item]) -> list[Span]:
    """The clauses of a sentence, cut at words of contrast, where each has panels and findings.

    In `consolidation on day 9 (b), whereas day 2 (a) had GGO` the panels stand on either side.
    """
    cuts = [one.start() for one in _CONTRAST.finditer(lower, *sentence)]
    clauses = list(pairwise([sentence[0], *cuts, sentence[1]]))
    for clause in clauses:
        if len({place is None for _, _, place in filter(partial(_in, clause), items)}) < 2:
            return [sentence]
    return clauses


def _shares(
    lower: str, clause: Span, items: Sequence[Item]
) -> tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]]:
    """The panels of the findings of a clause, and those that lead what comes after it."""
    if _lead(lower, clause, items):
        return _trailing(lower, items), _leading(lower, clause, items)
    return _following(items), {}


def _of_all(
    lower: str,
    starts: Sequence[int],
    ends: Sequence[int],
    marks: Mapping[int, tuple[str, ...]],
    begin: int,
) -> bool:
    """Whether a sentence from `begin` on is of all the panels before it.

    So it is where several have led one by one, up to `ends`, and none of them has shown anything:
    `A, axial. B, coronal. Ground-glass opacities are seen.`
    """
    if len(ends) < 2 or set(marks[ends[0]]) <= set(marks[ends[-1]]):
        return False
    if bisect_left(starts, ends[0]) < bisect_left(starts, begin):
        return False
    return not _OTHER_FINDING.search(lower, ends[0], begin)


def _items(
    lower: str, sentence: Span, numbers: dict[Span, int], places: Sequence[Designator]
) -> list[Item]:
    """Findings and bracketed panels of one sentence, in order."""
    taken = [*numbers, *((place.start, place.end) for place in places)]
    others = (match.span() for match in _OTHER_FINDING.finditer(lower, *sentence) if places)
    items: list[Item] = [(span[0], number, None) for span, number in numbers.items()]
    items += [(place.start, -1, place) for place in places]
    items += [
        (start, -1, None)
        for start, end in others
        if not any(begin < end and start < stop for begin, stop in taken)
    ]
    items.sort(key=lambda item: item[0])
    return sorted([*items, *_own(lower, items)], key=lambda item: item[0])


def _own(lower: str, items: Sequence[Item]) -> Iterator[Item]:
    """Findings without a known name, each between two panels, where the first item is a finding."""
    if not items or items[0][2]:
        return
    for (_, _, before), (_, _, place) in pairwise(items):
        if before and place and not (before.leading or place.leading):
            phrase = _OWN.match(lower[before.end : place.start])
            if phrase and not _is_merely(phrase["phrase"]):
                yield before.end + phrase.start("phrase"), -1, None


def _is_merely(phrase: str) -> bool:
    """Whether a phrase tells only when, where, in whom or on what image something is found."""
    if _NO_PHRASE_OF_ITS_OWN.match(phrase):
        return True
    return all(_MERELY.fullmatch(word) for word in phrase.split())


def _respectively(lower: str, sentence: Span, items: Sequence[Item]) -> dict[int, tuple[str, ...]]:
    """The panels that a sentence deals out in order: `A, B: GGO and mass, respectively`.

    Empty where it does not, or where panels and findings are not as many.
    """
    if "respectively" not in lower[sentence[0] : sentence[1]]:
        return {}
    groups = [place.labels for _, _, place in items if place]
    if len(groups) == 1:
        groups = [(label,) for label in groups[0]]
    sides = [place is None for _, _, place in items]
    findings = _dealt(lower, [item for item in items if not item[2]], len(groups))
    if not findings or sides not in (sorted(sides), sorted(sides, reverse=True)):
        return {}
    return {
        index: share
        for together, share in zip(findings, groups, strict=True)
        for index in together
        if index >= 0
    }


def _dealt(lower: str, findings: Sequence[Item], count: int) -> list[list[int]]:
    """The indices of `findings` in `count` shares; `GGO, GGO with consolidation` are two.

    Empty where they cannot be dealt out so.
    """
    if len(findings) == count:
        return [[index] for _, index, _ in findings]
    for apart in _APART:
        shares: list[list[int]] = []
        before = 0
        for start, index, _ in findings:
            if not shares or apart.search(lower, before, start):
                shares.append([])
            shares[-1].append(index)
            before = start
        if len(shares) == count:
            return shares
    return []


def _lead(lower: str, sentence: Span, items: Sequence[Item]) -> bool:
    """Whether the bracketed panels of a sentence come before what they show."""
    places = [place for _, _, place in items if place]
    if not places:
        return False
    if len(places) == len(items):  # `(A) and (B), a woman of 45; ...`
        return not lower[sentence[0] : places[0].start].strip()
    first, last = items[0][2], items[-1][2]
    if first and (first.leading or not last):
        return True
    if first:
        return _first_leads(lower, sentence, items, first)
    return not last and any(_SHOWS_NEXT.match(lower, place.end) for place in places)


def _first_leads(lower: str, sentence: Span, items: Sequence[Item], first: Designator) -> bool:
    """Of a sentence that has panels at both ends: whether the first begin it."""
    if _SHOWS_NEXT.match(lower, first.end) or _WITH_NEXT.match(lower, first.end):
        return True
    if _TIME_BEFORE.match(lower, sentence[0]) and lower[first.end : first.end + 1] == ",":
        return True
    finding = next(start for start, _, place in items if not place)
    before = max(place.end for start, _, place in items if place and start < finding)
    after = min(start for start, _, place in items if place and start > finding)
    return not _BREAK.search(lower, before, finding) and bool(_BREAK.search(lower, finding, after))


def _leading(lower: str, clause: Span, items: Sequence[Item]) -> dict[int, tuple[str, ...]]:
    """Panels by where their designators end; those told of together count together."""
    marks: dict[int, tuple[str, ...]] = {}
    before: Designator | None = None
    first = items[0][2]
    begins = (first and first.leading) or not lower[clause[0] : items[0][0]].strip()
    alike = _TOGETHER if begins else _ALIKE
    for _, _, place in items:
        if place:
            between = lower[before.end : place.start] if before else ""
            joined = before and (alike.match(between) or _COORDINATED.match(between))
            marks[place.end] = (marks[before.end] if before and joined else ()) + place.labels
        before = place
    return marks


def _trailing(lower: str, items: Sequence[Item]) -> dict[int, tuple[str, ...]]:
    """Findings of panels that end a statement, though the first of their sentence lead.

    So `(A) shows GGO, which became consolidation (B)` ends, and not `(A) shows GGO, day 7 (B)
    consolidation`.
    """
    found: dict[int, tuple[str, ...]] = {}
    places = [place for _, _, place in items if place]
    for before, place in pairwise(places):
        if place.leading or not _ENDS_NEXT.match(lower, place.end):
            continue
        if set(place.labels) < set(before.labels) and _POINTS.search(lower, place.start, place.end):
            continue
        breaks = [one.end() for one in _CLAUSE.finditer(lower, before.end, place.start)]
        breaks = breaks or [one.end() for one in _AND.finditer(lower, before.end, place.start)]
        if breaks:
            inside = (item for item in items if breaks[-1] <= item[0] < place.start)
            found |= dict.fromkeys((index for _, index, _ in inside if index >= 0), place.labels)
    return found


def _following(items: Sequence[Item]) -> dict[int, tuple[str, ...]]:
    """Runs of words without panels between them share the run of panels after them."""
    found: dict[int, tuple[str, ...]] = {}
    waiting: list[int] = []
    for (_, index, place), after in _with_next(items):
        if place is None:
            waiting.append(index)
            continue
        for one in waiting:
            found[one] = found.get(one, ()) + place.labels
        if after is None:
            waiting = []
    found.pop(-1, None)
    return found


def _with_next(items: Sequence[Item]) -> Iterator[tuple[Item, Designator | None]]:
    """Each item with the panels right after it; panels that lead by themselves are left out."""
    kept = [item for item in items if not (item[2] and item[2].leading)]
    return ((item, after) for item, (_, _, after) in pairwise([*kept, (0, -1, None)]))

"""The words by which reports name the five lesions, as patterns on plain lower text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ladnn.findings import Lesion

_S = r"[\s\-/']{0,4}"  # between the parts of a compound: a blank, a dash, a lost quote
_WORDS = r"(?:[\w-]+\s+)"

# Chinese has one word for what English calls a shadow, an opacity or a density.
_SHADOW = r"(?:shadow(?:s|ing|ings)?|opacit(?:y|ies)|opacification)"
_DENSE = r"(?!(?:[\w-]*(?:dens|solid)|nodul|mass|linear|strip|fib|reticul|cord|band|tumou?r|cavit))"
_HAZY = (
    r"(?:patch(?:y|es)|fuzzy|blurr(?:y|ed)|ha[sz]y|cloud(?:y|s)?(?:-like)?|floccul\w+|fluff\w*|"
    r"thin|faint|veil\w*)"
)
_VAGUE = rf"(?!thin\b){_HAZY}"  # thin and linear is only linear
_AND_ALSO = r"(?:,\s*[\w-]+){0,2}?,?\s+(?:and|or)\s+"
_NO_LESION = r"(?!(?:with|without|and|or|in|on|at|no|not|gg\w)\b|[\w-]*(?:dens|solid|glass))"

_GLASS = rf"gr?ou?n?[dg]s?{_S}(?:[gc][lr]as+|gals+)(?:es|y)?"
_SEPT = r"sept(?:al|a|ae|um|ums|as)"
# Thickening inside a lobule is another sign, unless it is named with that between lobules.
_LOBULAR = rf"inter{_S}(?:(?:lobul\w{{1,8}}\s+)?(?:and|or)\s+intra{_S})?lobul\w{{1,8}}"
_LOBULARS = (
    r"(?:(?:inter|intra)[\s-]{0,3}(?:lobul\w{1,8})?(?:\s*(?:,|/|and|or|and/or)\s*|\s+)?){0,3}"
)
_THICK = r"thick(?:en(?:ing|ings|ed|s)?|er)?"
# Of the heart, the nose and the alveoli: what is said of these is no sign between lobules.
_OTHER = r"(?:ventricular|alveolar|nasal|atrial|cardiac|uterine)"

LESION_PATTERNS: dict[Lesion, tuple[str, ...]] = {
    Lesion.GGO: (
        rf"\b{_GLASS}(?:{_S}(?:like\s+)?(?:nodular\s+)?(?:{_SHADOW}|attenuations?|densit(?:y|ies)|"
        r"nodules?|lesions?|changes?|infiltrat\w+|appearances?|patterns?))?",
        rf"\bgg{_S}(?:opacit(?:y|ies)|densit(?:y|ies)|lesions?|nodules?|attenuations?)\b",
        rf"\b(?:frosted|grinding|grounded|ground|matt?e?d?|milled|hairy?){_S}glass\w*",
        # pGGO is a pure one, mGGO a mixed one.
        r"\b[pm]?g[.\s-]?g[.\s-]?[o0](?:\.?'?s)?\b",
        rf"\bglass{_S}(?:like\s+)?{_SHADOW}\b",
        r"\bggns?\b",
        rf"\b{_HAZY},?\s+(?:(?:and|or)\s+)?(?:{_DENSE}(?!no\b|not\b|without\b)[\w-]+,?\s+){{0,2}}?{_SHADOW}\b",
        # Behind `and` each adjective takes the noun: `patchy and strip shadows`.
        rf"\b{_VAGUE}{_AND_ALSO}(?:{_NO_LESION}{_WORDS}){{1,3}}?{_SHADOW}\b",
        rf"\b{_VAGUE}(?={_AND_ALSO}consolidative\s+{_SHADOW}\b)",
    ),
    Lesion.CSLD: (
        r"\bconsolidat(?:ion|ions|ive|ed|ing)\b(?!\s+(?:chemo|immuno|radio)?therap)",
        r"\b(?:beg[aiu]ns?|start(?:s|ed)?|tend(?:s|ed)?)\s+to\s+consolidate\b",
        r"\b(?:lung|pulmonary|parenchymal)\s+(?:hepati[sz]ation|solidification)\b",
    ),
    Lesion.CRPA: (
        rf"\bcra[zs]+(?:ing|[yi]?e?){_S}(?:pav\w+|stones?)",
        rf"\b(?:pav(?:ing|ed|ement|er)s?){_S}(?:stones?|sign|pattern|appearance|like)",
    ),
    Lesion.AIRBR: (
        rf"\b(?:air|gas){_S}(?:filled{_S}|containing{_S})?bronch\w*-?gra(?:m|ms|ph|phs|phy|phies)\b",
        r"\bbronchograms?\b",
        rf"\bair{_S}bronch(?:us|i|ial)?\s+(?:signs?|phase|inflation)\b",
        rf"\b(?:air|gas){_S}(?:filled|containing){_S}bronch(?:us|i|ioles?)\b",
        r"\bbronch(?:us|i|ioles?)\s+(?:filled\s+with|containing)\s+(?:air|gas)\b",
        r"\b(?:air\s+)?bronch(?:us|i|ial|iol\w+|ogenic)\s+(?:air\s+)?(?:inflation|inflating|aeration)\b",
        r"\b(?:inflated|aerated)\s+bronch(?:us|i|ial|iol\w+)\s+signs?\b",
        r"\bbronch(?:us|i|ial|iol\w+)\s+air\s+(?:phase|signs?)\b",
    ),
    Lesion.INSEPTHI: (
        rf"\b{_LOBULARS}{_SEPT}\b(?!\s+defect)(?:\s+(?!no\b|not\b|never\b|without\b)[\w-]+|-lines?){{0,7}}?[\s-]{_THICK}\b",
        rf"\b{_THICK}\s+(?:(?![\w-]*{_OTHER}\s+sept){_WORDS}){{0,6}}?{_LOBULARS}{_SEPT}\b",
        rf"\b{_LOBULAR}\s+(?:interstiti\w+\s+)?{_THICK}\b",
        rf"\b{_THICK}\s+(?:of\s+)?(?:the\s+)?{_LOBULAR}\s+(?:interstiti\w+|lines)\b",
        rf"\b{_LOBULARS}{_SEPT}\s+thickness\b",
        rf"\bthickness\s+of\s+(?:the\s+)?{_LOBULAR}\s+{_SEPT}\b",
        rf"\bwiden(?:ing|ed)\s+(?:of\s+)?(?:the\s+)?{_LOBULAR}\s+{_SEPT}\b",
        rf"\b{_LOBULAR}\s+{_SEPT}\s+(?:(?:is|are|was|were)\s+)?widen(?:ing|ed)\b",
        r"\b(?:septal|kerley(?:'s)?(?:\s*-?\s*[abc])?)\s+lines\b",
    ),
}
"""Alternatives for each lesion; together they are one expression of a named group per lesion."""

_OTHER_SEPTA = re.compile(rf"{_OTHER}\s+$")


def _alternatives(lesions: Iterable[Lesion]) -> re.Pattern[str]:
    return re.compile(
        "|".join(f"(?P<{name}>{'|'.join(LESION_PATTERNS[name])})" for name in lesions)
    )


_LESIONS = _alternatives(LESION_PATTERNS)
_ALL_BUT_SEPTA = _alternatives(name for name in LESION_PATTERNS if name is not Lesion.INSEPTHI)


@dataclass(frozen=True, kw_only=True)
class Term:
    """Words that name something, as a span of the plain text; `lesion` is None for COVID-19."""

    lesion: Lesion | None
    start: int
    end: int


def lesion_terms(lower: str) -> Iterator[Term]:
    """The lesions named in `lower`, in order."""
    for match in _LESIONS.finditer(lower):
        lesion = Lesion(str(match.lastgroup))
        start, end = match.span()
        if lesion is Lesion.INSEPTHI and _OTHER_SEPTA.search(lower[max(0, start - 20) : start]):
            continue
        yield Term(lesion=lesion, start=start, end=end)
        if lesion is Lesion.INSEPTHI:  # `the septa within the ground glass are thickened`
            yield from _between(lower, start, end)


def _between(lower: str, start: int, end: int) -> Iterator[Term]:
    """The other lesions named in `lower[start:end]`, between septa and their thickening."""
    for match in _ALL_BUT_SEPTA.finditer(lower, start, end):
        yield Term(lesion=Lesion(str(match.lastgroup)), start=match.start(), end=match.end())

"""Sections of a report that find nothing: its question, indication, history and technique."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Section(StrEnum):
    """Why a section holds no finding."""

    ASKED = "asked"
    HISTORY = "history"
    OTHERS = "others"
    """Of relatives and contacts."""
    TECHNIQUE = "technique"


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A section that finds nothing, as a span of the plain text."""

    kind: Section
    start: int
    end: int


_HEADS: dict[Section, str] = {
    Section.ASKED: (
        r"(?:(?:clinical|diagnostic)\s+)?(?:questions?|quer(?:y|ies)|indications?|requests?)"
        r"|(?:reason|indication|rationale)s?\s+for\s+(?:the\s+)?(?:exam\w*|study|scan|ct|imaging|"
        r"request|referral|test)|question\s+to\s+(?:be\s+)?answer\w*"
    ),
    Section.OTHERS: (
        r"(?:family|social|contact|exposure|travel|occupational)\s+(?:history|anamnesis)|contacts?"
    ),
    Section.HISTORY: (
        r"(?:(?:past|previous|relevant|brief|clinical|medical|surgical|patient)\s+){0,3}"
        r"(?:history|anamnesis)|clinical\s+(?:information|details|data|background|context)"
        r"|(?:presenting\s+)?complaints?|comparisons?|(?:prior|previous)\s+(?:stud(?:y|ies)|"
        r"imaging|exam\w*|ct|scans?)"
    ),
    Section.TECHNIQUE: (
        r"(?:ct\s+|imaging\s+|scan(?:ning)?\s+)?(?:techniques?|protocols?|parameters|acquisition)"
    ),
}
_ASIDE = "|".join(f"(?P<{kind}>{words})" for kind, words in _HEADS.items())
_FINDS = (
    r"(?:findings?|results?|reports?|descriptions?|observations?|impressions?|conclusions?|opinion|"
    r"interpretation|summary|assessment|(?:[\w-]+\s+){0,2}?(?:ct|hrct|chest|thorax|imaging|x-ray|"
    r"radiographs?|scan|lungs?|parenchyma|pleura|airways)(?:\s+(?:findings?|scan|images?|report))?)"
)
# A head begins a sentence, or has a capital where a line end became a blank.
_HEAD = re.compile(
    rf"(?:(?:^|[.;:?!]\s+)|\s(?=[A-Z]))\s*(?P<head>(?i:{_ASIDE}|(?P<finds>{_FINDS})))\s*(?::|\s-\s)"
)
CONTRAST = r"(?:unlike|in\s+contrast\s+(?:to|with)|as\s+opposed\s+to|contrary\s+to)"
"""Words that set what an image shows apart from what they name."""
# Of a disease that is only compared, by the words before it.
_OF_ANOTHER = re.compile(
    rf"\b{CONTRAST}\s+(?:[\w-]+\s+){{0,3}}?"
    r"(?:sars(?!\s*-?\s*cov)|mers|h1n1|influenza|tubercul\w+|(?:bacterial|mycoplasma|fungal|lobar|"
    r"pneumocystis|community\s*-?\s*acquired|other)\s+(?:viral\s+)?pneumonias?|o?edema|heart\s+failure)\b"
    r"(?:,?\s+(?:(?:in|of|for|with)\s+)?(?:which|whom|whose|where)\b)?[^.;,]{0,60}$"
)
# What this image is unlike, and what the disease usually shows, behind a word of contrast.
_DISEASE = (
    r"(?:covid|sars|mers|ncp\b|(?:2019-)?ncov|h1n1|influenza|tubercul|(?:[\w-]+\s+)?pneumonias?\b|"
    r"o?edema\b|(?:other|most|many|adult)\s+(?:patients?|cases?|adults?)\b|adults\b)"
)
_UNLIKE = re.compile(rf"\b{CONTRAST}\s+(?:[\w-]+\s+){{0,4}}$")
_OF_THAT = re.compile(
    r"\s+(?:pattern\s+)?(?:(?:seen|found|typical|characteristic|observed)\s+)?"
    rf"(?:of|in|with)\s+(?:(?:the|patients?|cases?|with|of)\s+){{0,3}}{_DISEASE}"
)
_USUALLY = (
    r"(?:usually|typically|commonly|mostly|generally|often|frequently|mainly|characteristically)"
)
_DISEASE_SHOWS = re.compile(
    r"\b(?:(?:in|by)\s+contrast,|whereas|while|although|but|unlike)\s+"
    rf"(?:(?:in|the|patients?|with)\s+){{0,3}}{_DISEASE}[\w-]*\s+"
    rf"(?:(?:pneumonia|patients?|cases?|infection)\s+)?{_USUALLY}\s+(?!had\b|\w+ed\b)"
    r"(?:[\w-]+\s+){1,5}$"
)
_CONCEDED = re.compile(r"\b(?:although|though|whereas|while)\s+(?:[\w-]+\s+){0,4}$")
_FOUND_IN = (
    r"(?:seen|found|observed|reported|described|noted|common|frequent|present|typical)\s+"
    r"(?:in|among|of|with)\s+"
)
# What was found in a disease tells of this figure, but for what was found usually or in others.
_OF_MOST = re.compile(
    rf"\s+(?:is|are|was|were|(?:has|have)\s+been)\s+(?:(?:{_USUALLY}|most)\s+)?{_FOUND_IN}"
    r"(?:the\s+)?(?:(?:most|many|other|adult|majority\s+of)\s+(?:[\w-]+\s+){0,2}?(?:patients|cases|adults)|"
    r"adults)\b"
    rf"|\s+(?:(?:is|are|(?:has|have)\s+been)(?:\s+(?:{_USUALLY}|most))?|(?:was|were)\s+{_USUALLY})\s+"
    rf"{_FOUND_IN}{_DISEASE}"
)
# But a panel shows it: `whereas COVID-19 usually shows GGO (B)`.
_OF_A_PANEL = re.compile(r"[^.;(]{0,60}\((?:\d?[a-k]|left|right|arrow)")
# What was.
_HISTORY_OF = re.compile(
    r"(?<!no\s)(?<!without\s)\bhistory\s+of\s+"
    r"(?:(?!(?:with|in|on|who|whose|and|but|or|had|has|was|ct|show\w*|reveal\w*|demonstrat\w*)\b)"
    r"[\w-]+\s+){0,3}$"
)


def asides(text: str, sentences: Sequence[tuple[int, int]]) -> list[Aside]:
    """The sections of plain `text` (its case kept) that find nothing, in order.

    One reaches to the next head. Where none follows, or only a conclusion, nobody tells where the
    findings begin, and it ends with its first sentence.
    """
    heads = list(_HEAD.finditer(text))
    stops = [end for _, end in sentences]
    found = []
    for number, head in enumerate(heads):
        if head["finds"]:
            continue
        following = heads[number + 1] if number + 1 < len(heads) else None
        end = stops[min(bisect_right(stops, head.end()), len(stops) - 1)]
        if following and not _concludes(following):
            end = following.start("head")
        elif following:
            end = min(end, following.start("head"))
        kind = next(kind for kind in Section if head[kind])
        found.append(Aside(kind=kind, start=head.start("head"), end=end))
    return found


def _concludes(head: re.Match[str]) -> bool:
    return bool(re.match(r"impression|conclusion|opinion|summary|assessment", head["head"].lower()))


def section_at(found: Sequence[Aside], start: int) -> Section | None:
    """The section of `found` in which `start` lies; None where something may be found."""
    number = bisect_right(found, start, key=lambda one: one.start) - 1
    return found[number].kind if number >= 0 and start < found[number].end else None


def is_history(lower: str, start: int) -> bool:
    """Whether the words before `start` make what follows a thing of the past."""
    return bool(_HISTORY_OF.search(lower[max(0, start - 80) : start]))


def is_of_others(lower: str, start: int, end: int) -> bool:
    """Whether a finding is of a disease or of patients that are only compared.

    So in `unlike SARS, in which ...`, `unlike the GGO in COVID-19`, `in contrast, COVID-19 usually
    shows ...` and `although GGO is seen in most patients`, but for what a panel shows.
    """
    before = lower[max(0, start - 120) : start]
    if _OF_ANOTHER.search(before):
        return True
    compared = (
        _DISEASE_SHOWS.search(before)
        or (_UNLIKE.search(before) and _OF_THAT.match(lower, end))
        or (_CONCEDED.search(before) and _OF_MOST.match(lower, end))
    )
    return bool(compared) and not _OF_A_PANEL.match(lower, end)

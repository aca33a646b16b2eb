"""The words that deny a finding, doubt it, or say that it goes away.

A phrase is a pattern in which a blank stands for any run of blanks and `...` for up to two words.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Course(StrEnum):
    """What the words say of a finding, from the strongest assertion to none."""

    PRESENT = "present"
    RESOLVING = "resolving"
    RESOLVED = "resolved"
    UNCERTAIN = "uncertain"
    NEGATED = "negated"


class Side(StrEnum):
    """Where a cue stands: before the finding, after it, or on either side."""

    BEFORE = "before"
    AFTER = "after"
    EITHER = "either"


@dataclass(frozen=True, kw_only=True)
class Cue:
    """Words that say something of the findings near them, as a span of the plain text."""

    course: Course
    side: Side
    start: int
    end: int


BE = r"(?:is|are|was|were|has|have|had|could|can|did|does|do|be|being)"
SEEN = (
    r"(?:seen|observed|found|detected|identified|noted|visible|visuali[sz]ed|present|shown|evident|"
    r"apparent|demonstrated|appreciated|appreciable|discernible|revealed|displayed|recogni[sz]ed|reported|confirmed)"
)
_GONE = (
    r"(?:resolv(?:ed|ing|es?)|resolution|absor[bp]\w*|disappear\w*|clear(?:ed|ance|ing)|"
    r"dissipat\w+|vanish\w*|regress\w*)"
)
_LESS = (
    r"(?:reduc(?:ed|ing|tion|es?)|decreas\w+|improv(?:ed|ing|ement|es?)|shr[aiu]nk\w*|"
    r"fad(?:ed|ing|es?)|diminish\w*|lessen\w*|subsid\w+|abat\w+|lighter|smaller|attenuated|"
    r"alleviat\w+|remission|recover\w+)"
)
_CHANGE = (
    r"(?:changes?|difference|progress\w*|improvement|increase|decrease|reduction|absorption|"
    r"resolution|growth|evolution)"
)
_WHOLLY = (
    r"(?:complete(?:ly)?|full(?:y)?|total(?:ly)?|entire(?:ly)?|basic(?:ally)?|almost|"
    r"essentially|mostly)"
)
_SHOW = (
    r"(?:show|reveal|demonstrate|see|find|detect|have|display|include|accompanied|associated|"
    r"observe)\w*"
)
_EXCLUDE = r"(?:exclud(?:ed?|ing)|rul(?:ed?|ing) out|dismiss(?:ed)?)"
# What the verb of a denial may have beside it: `has also been excluded`.
_ALSO = r"(?: (?:also|been|now|then|thus|therefore|completely|entirely|again|both|all))*"
_END = r"(?=\s*(?:[.;,|]|$|but\b|in\b))"
_AFTER_ZERO = r"(?=\s*(?:[.;,|)](?!\s*\d)|$|and\b|but\b))"
_ZERO = r"0(?![.,]?\d)(?: ?/ ?\d+)?(?: (?:patients?|cases?|lobes?|images?))?"
# The cell of a form: `consolidation: none`, `- absent`, `= 0`; no measure such as `0.5 cm`.
_DENIED = rf"no|none|absent|neg(?:ative)?|nil|n|--?(?! ?in)|not {SEEN}|undetect(?:ed|able)"
_CELL = rf"(?:{_DENIED}|{_ZERO}){_END}"
# The same without a mark before it: `consolidation no, GGO yes`; no number such as `no. 5`.
_BARE_CELL = r"(?:no|none|nil|absent)(?=\s*(?:[.;,|)](?!\s*\d)|$))"
DOUBTED = (
    r"(?:(?:very|highly|quite|also|not) )?(?:possibl[ey]|probabl[ey]|(?:un)?likely|suspected|"
    r"suspicious|questionable|improbable|implausible|doubtful|equivocal|uncertain)"
)

# Kind of words, side, phrases; the more special first, for the first that fits hides the others.
# Without a course: what only looks like a cue (`no change`, `not absorbed`, `no fever`).
_PHRASES: tuple[tuple[Course | None, Side, tuple[str, ...]], ...] = (
    (
        Course.NEGATED,
        Side.BEFORE,
        # What something did not become: `GGO that did not progress to consolidation`.
        (
            r"(?:not|never)(?: (?:yet|\w+ly))? (?:progress|develop|evolv|turn|chang|transform|"
            r"convert)\w* (?:in)?to",
            r"(?:no|without) (?:progression|evolution|transformation|conversion|transition) "
            r"(?:in)?to",
        ),
    ),
    (
        None,
        Side.EITHER,
        (
            # But `no consolidative changes` denies what they are changes of.
            r"(?:no|not|without|any|neither)(?!(?: \w+)? (?:ground[ -]?glass|consolidati(?:ve|on)|"
            rf"crazy[ -]paving|septal) changes?)... {_CHANGE}(?: (?:of|in))?",
            rf"(?:not|never)... (?:{_GONE}|{_LESS}|chang\w+|only|merely|just|simply)",
            r"(?:no|without) doubt",
            # Some have it: `with (arrow) and without (arrowhead)`.
            r"with(?: ?\([^()]{1,30}\))?(?: (?:and|or) |/)without(?: ?\([^()]{1,30}\))?",
            rf",(?: which)?(?: \w+)? not {SEEN} (?:on|in|at|before|previously|earlier)",
            # The agent of a verb is there though the verb is denied: `vessels not obscured by GGO`.
            r"(?:not|never)(?: \w+ly)? (?:obscur|mask|hidden|displac|distort|compress)\w* by",
            rf"not (?:previously {SEEN}|{SEEN} previously)",
            rf"not {SEEN}(?: [\w-]+){{1,5}}? "
            r"(?:now|(?:hours?|days?|weeks?) (?:before|earlier|ago))",
            r"not (?:all|every\w*|always|necessarily)",
            r"(?:no|without)(?: (?!or\b|and\b)\w+){0,2}? (?:contrast|enhancement|treatment|fever|"
            r"cough|symptoms?|comorbid\w+|history|underlying|exposure|complaints?|dyspn\w+|"
            r"hypox\w+|smok\w+)",
            # Of its outline, or of the patient.
            r"(?:no|without)(?: (?!(?:or|and|in|on|at|of|along|near|with)\b)\w+){0,2}? "
            r"(?:boundar(?:y|ies)|borders?|margins?|edges?)(?!,? n?or\b)",
            r"(?:absence|lack) of(?: (?!or\b|and\b)\w+){0,2}? (?:fever|cough|symptoms?|dyspn\w+|"
            r"hypox\w+)(?!,? (?:or|and)\b)",
        ),
    ),
    (
        Course.UNCERTAIN,
        Side.EITHER,
        (
            rf"(?:{BE} )?(?:cannot|not|never|unable to|(?:difficult|hard|impossible) to)"
            rf"(?: (?:yet|be|been|\w+ly))* {_EXCLUDE}",
            r"\(\?\)",
        ),
    ),
    (
        Course.RESOLVED,
        Side.EITHER,
        (
            rf"(?:{BE} )?no longer(?: \w+)? {SEEN}",
            r"no more(?! than\b)",
            r"no longer(?: (?:any|shows?|showing|has|have))?",
            rf"(?:{BE} )?not(?: \w+ly)? {SEEN} any ?(?:more|longer)",
        ),
    ),
    (
        Course.NEGATED,
        Side.BEFORE,
        # The head of a list, which begins a statement: `Absent: consolidation, crazy paving`.
        (
            rf"(?<![\w,)%]\s)(?:absent|(?:pertinent )?negatives?|not {SEEN})"
            r"(?: (?:findings?|signs?|features?))?\s*:",
        ),
    ),
    (
        Course.NEGATED,
        Side.AFTER,
        (
            rf"(?:{BE} (?:not|never)|cannot|can't)(?: (?:(?!only\b)\w+ly|been|be|yet|as yet|"
            rf"so far|still))* {SEEN}",
            rf"not(?: (?:\w+ly|yet))? {SEEN}",
            rf"{BE}{_ALSO} (?:absent|negative(?! for\b)|excluded|ruled out|missing|"
            rf"lacking{_END}|undetect(?:ed|able))",
            rf"negative{_END}",
            r"(?:excluded|ruled out)(?=\s*(?:[.;,)]|$|but\b|by\b|on\b|with\b|after\b))",
            r"undetect(?:ed|able)",
            r"-free",
            r"(?:came|come|returned|proved|remained|tested)(?: out| back)? negative(?! for\b)",
            rf"{BE} (?:considered|suspected|discussed|assumed),? but(?: \w+)? "
            r"(?:excluded|ruled out)",
            rf"{BE} not{_END}",
            rf"{BE} not(?: an?)?(?: \w+)? (?:features?|findings?|signs?)",
            rf"{BE} (?:not|never)(?: yet)? (?:develop|occur|appear|exist)\w*",
            rf"(?:{BE} )?(?:{SEEN} )?(?:in|on) (?:none|neither|no|zero|0) "
            r"(?:of|out of|lobes?|lungs?|images?|patients?|cases?)",
            r"\( ?n ?= ?0(?: of \d+| ?/ ?\d+)? ?\)",
            r"(?<=\w\s)free(?= (?:lungs?|lobes?|parenchyma))",
            r"\((?:0(?:\.0+)? ?%|0 ?/ ?\d+|0 of \d+)[^()]{0,20}\)",
            rf"{BE} not(?: (?:very|so))? (?:obvious|noticeable)",
            rf"(?:in|on) none{_END}",
            rf": ?{_CELL}",
            rf"= ?{_CELL}",
            rf"\| ?{_CELL}",
            _BARE_CELL,
            rf"0 ?/ ?\d+{_END}",
            rf"(?<![\d.,>])(?<!>\s)0 ?(?:%|points?|ml|cc){_AFTER_ZERO}",
            rf"(?<=\bscore\s)0{_AFTER_ZERO}",
            # An answer behind a comma or its question: `consolidation, no; GGO, yes`.
            r", (?:no|none|nil|absent)(?=\s*(?:[.;,)](?!\s*\d)|$))",
            r"\? ?(?:no|none|nil)(?=\s*(?:[.;,)](?!\s*\d)|$))",
            rf"- {_CELL}",
            rf"\((?:no|none|absent|nil|negative|0|not {SEEN})\)",
            r"\(-\)",
            # `GGO +, consolidation -, ...`
            r"(?<=\s)-(?=[,;.]|$)",
        ),
    ),
    (
        Course.NEGATED,
        Side.BEFORE,
        (
            rf"(?:not|cannot|never|fail\w* to|unable to)(?: \w+ly)? {_SHOW}(?: (?:by|with|any))*",
            r"(?:not|never)(?: (?:yet|\w+ly))? (?:develop|exhibit|contain|disclose)\w*(?: any)?",
            r"nothing (?:in the way|of the (?:kind|nature)) of",
            r"(?:little|few),? if any,?",
            r"nowhere(?: (?:any|an?))?",
            r"(?:no|nothing|not|without)(?: [\w-]+){0,2}? (?:suggest\w*|"
            r"indicat(?:es?|ing|ive|ions?)|points?|pointing|suspicio\w+)"
            r"(?: (?:of|for|to|towards))*",
            # What a finding was taken for and is not.
            r"mis(?:taken|read|interpreted|classified|diagnosed)(?: \w+ly)? (?:for|as)(?: an?)?",
            r"art[ei]facts?(?: [\w-]+){0,3}? (?:recogni[sz]|identif|classif|detect|label|segment|"
            r"interpret|mark|predict|read|taken|diagnos)\w*(?: by(?: [\w-]+){1,3}?)? (?:as|for)"
            r"(?: an?)?",
            r"(?:wrongly|falsely|erroneously|incorrectly|mistakenly) \w+ (?:as|for)(?: an?)?",
            r"(?:initially|originally|(?:at )?first) (?:thought|believed|assumed|taken|considered|"
            r"held) (?:to be|as|for)(?: an?)?",
            r"no(?: other)? (?:patients?|cases?|one|subjects?|images?|scans?|lobes?)(?: \w+){0,3}? "
            r"(?:had|has|have|showed|shows?|with)",
            r"(?:none of|neither)(?: [\w-]+){0,5}? (?:had|has|have|show(?:s|ed)?|contain(?:s|ed)?)"
            r"(?: any)?",
            # But who has what: `none of the patients with GGO had consolidation`.
            r"none of(?: the)?(?= (?:following|ggo|ground|consolid|crazy|air|interlob|sept|thick))",
            r"(?<!\d\s)(?<!day\s)(?<!week\s)(?<!hour\s)0(?= (?:[\w-]+ ){0,2}"
            r"(?:consolidations|opacities|ggos|bronchograms))",
            rf"nor {BE}(?: \w+){{1,3}}? {_SHOW}(?: any)?",
            rf"(?:nor|neither) {BE}(?: there)?(?: any)?",
            # `Consolidation was absent, as were air bronchograms.`
            r"(?<=absent),? as (?:was|were)",
            r"unaccompanied by|unassociated with",
            # But `no crazy-paving sign` is for the plain `no`: the finding is the word between.
            r"(?:no|zero|absence of|absent|lack of|without|negative for)(?: any)?"
            r"(?: (?!(?:crazy|ground|air|\w*septal)-|ggos?\b|consolidat)[\w-]+)? "
            r"(?:evidence|signs?|findings?|features?)(?: of)?",
            r"(?:no|without|neither|nor|absence of|absent(?: (?:is|are|was|were))?|"
            r"lack(?:s|ed|ing)?(?: of| any)*)",
            r"(?:(?:free|clear|absence|void) (?:of|from)|(?:negative|unremarkable) for|devoid of|"
            r"exclud(?:es|ed|ing)|"
            r"(?:ruled|rules|ruling) out|rather than|instead of|denie[ds])",
            r"(?:zero|0) (?:of|out of) (?:the )?\w+ \w+ (?:with|had|have|showed)",
            r"not(?: (?:an?|any|in|the|yet))?",
            r"never (?:an?|any)",
            r"non(?=[ -]+(?:covid|consolid|ground))",
        ),
    ),
    (
        Course.RESOLVED,
        Side.EITHER,
        (
            rf"{_WHOLLY} {_GONE}",
            rf"{_GONE} (?:completely|totally|entirely|fully)",
            r"(?:has|have|had|was|were|is|are|been) (?:resolved|cleared|gone)",
            r"(?:resolved|disappeared|disappearance|vanished)",
        ),
    ),
    (Course.RESOLVING, Side.EITHER, (_GONE, _LESS)),
    (
        Course.UNCERTAIN,
        Side.AFTER,
        (
            rf"(?:{BE}|seem(?:s|ed)?|appear(?:s|ed)?) (?:considered )?(?:possible|(?:un)?likely|"
            r"suspected|questionable|uncertain|doubtful|improbable|implausible)",
            rf"(?:very )?unlikely{_END}",
            rf"(?:may|might|could) (?:also |well |still )?be (?:{SEEN}|there)",
            # The adjective behind its noun, and the cell of a form: `consolidation: possible`.
            rf"{DOUBTED}{_END}",
            rf"[:=|-] ?{DOUBTED}{_END}",
            rf", {DOUBTED}(?=\s*(?:[.;,]|$))",
            rf"\({DOUBTED}\)",
            r"\?",
        ),
    ),
    (
        Course.UNCERTAIN,
        Side.BEFORE,
        (
            r"(?:possibl[ey]|probabl[ey]|potential(?:ly)?|suspect(?:ed|ing)?|suspici(?:ous|on)|"
            r"suggest(?:s|ed|ing|ive)?|(?:un)?likely|perhaps|may|might|could|questionable|presum(?:ed|ably)|"
            r"rule out|r/o|exclude|atypical (?:for|of)|differential|concern(?:ing)? for|equivocal|"
            r"doubtful|versus|vs)"
            r"(?: (?:of|for|(?:to )?be|represent\w*|reflect\w*|indicat\w*|that))*",
        ),
    ),
)


_MARKS = (":", ",", "=", r"\(", r"\?", r"\|", "-", "(?<=", "[")


def _pattern(phrase: str) -> str:
    words = phrase.replace("...", r"(?: \w+){0,2}?").replace(" ?", r"\s*").replace(" ", r"\s+")
    return ("" if phrase.startswith(_MARKS) else r"\b") + words + r"(?!\w)"


_KINDS = tuple((course, side) for course, side, _ in _PHRASES)
_EXPRESSION = re.compile(
    "|".join(
        f"(?P<kind{number}>{'|'.join(_pattern(phrase) for phrase in phrases)})"
        for number, (_, _, phrases) in enumerate(_PHRASES)
    )
)


def cues(lower: str, start: int, end: int) -> list[Cue]:
    """The cues in `lower[start:end]`, plain text in lower case, in order."""
    found = []
    for match in _EXPRESSION.finditer(lower, start, end):
        course, side = _KINDS[int(str(match.lastgroup).removeprefix("kind"))]
        if course is not None:
            found.append(Cue(course=course, side=side, start=match.start(), end=match.end()))
    return found

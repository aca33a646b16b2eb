"""How far a cue reaches: which findings of its sentence it denies, doubts or sees going away.

In the manner of NegEx and ConText (Chapman 2001, Harkema 2009): a cue reaches over the words next
to it, until one that begins another statement.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ladnn.reports.cues import BE, DOUBTED, SEEN, Course, Cue, Side, cues
from ladnn.reports.vocabulary import Term

ORDER = tuple(Course)
"""From the strongest assertion to none; of several cues that reach a finding the last counts."""

_REACH = 200  # characters between any cue and its finding
_FAR = 10  # words between a finding and the verb that follows it
_NEAR = 5  # words between a cue of change and the finding that follows it
_ITEM = 6  # words of one item in a list of what is denied
_BARE_ITEM = 4  # words of one item in a list that no `or` closes
_MARKED = 2  # words between a finding and a bare mark: `air bronchogram sign = 0`

_BREAK = re.compile(
    r"[;:]|,\s+with\b|\b(?:but|however|although|though|except|whereas|while|yet|apart\s+from|"
    r"other\s+than|than|besides|beyond|aside\s+from|which|that|show(?:s|ed|ing)?|reveal\w*|demonstrat\w+|"
    r"there\s+(?:is|are|was|were)|then|followed\s+by|progress(?:ed|ing)?|develop\w*|appear\w*|"
    r"only|presence\s+of)\b"
)
# After what is denied, the place where it is not: `no air bronchogram in the consolidated lobe`.
_PLACE = re.compile(
    r"\w\s+(?:in|within|inside|throughout|amid|among|around|beside|near|behind|next\s+to|"
    r"adjacent\s+to)\s+(?:(?!(?:or|nor|and|of)\b)[\w-]+\s+){0,3}$"
)
# What is excepted from a denial is there: `none in the right lung, only in the left`.
_EXCEPTED = re.compile(r"[^.;:,]{0,80}(?:,\s*(?:but\s+)?only|,?\s*\bexcept)\s+(?:in|at|on)\b")
_OR = re.compile(r"\b(?:or|nor)\b")
# A list that `or` closed: a comma after its last item, and no other `or` behind it.
_ENDED = re.compile(r"\b(?:or|nor)\b[^,]*,(?!.*\b(?:or|nor)\b)")
_WHERE = re.compile(
    r"\s+(?:bilaterally\b|(?:in|on|at|throughout|within|of)\s+(?!(?:either|any)\b))"
)
_VERB = re.compile(rf"\b(?:{BE}|{SEEN}|increas\w+)\b")
# `negative for consolidation, septal thickening and air bronchogram`: these govern a whole list.
_GOVERNS = re.compile(r"\b(?:for|of|from)$")
_NAME_WORD = r"(?!(?:and|or|nor|in|on|at|with|was|were|is|are)\b)[\w'/-]+"
_NAMED = rf"{_NAME_WORD}(?:\s+{_NAME_WORD}){{0,3}}"
_LISTED = re.compile(
    rf"{_NAMED}(?:\s*,\s*{_NAMED})*(?:\s*,)?\s+(?:and|or|nor)\s+(?:(?:of|from|for|any)\s+)*"
)
# What is denied of a germ or a test denies no lesion beside it: `negative for SARS-CoV-2 with GGO`.
_GERM = re.compile(
    r"covid|cov-?2|virus|influenza|bacteri|mycoplasma|tubercul|nucleic|antibod|\b(?:rna|ig[agm])\b|"
    r"\b(?:(?:rt-?)?pcr|swabs?|tests?|serolog\w+|antigens?|cultures?)\b"
)
# Of two names the first, to the comma: another sign, for `no fever, GGO` denies no sign.
_PAIR = re.compile(
    r"\s*(?:[\w-]+\s+){0,3}?(?:\w*effusions?|cavit\w+|\w*adenopath\w*|(?:lymph\s+)?nodes?|nodul\w+|"
    r"mass(?:es)?|calcifi\w+|\w*thora(?:x|ces)|fibro\w+|emphysema\w*|bronchiecta\w+|atelecta\w+|"
    r"halo|reticul\w+|thickening|infiltrat\w+|opacit\w+|consolidation\w*|ggos?|glass|paving|"
    r"\w*bronchograms?)(?:\s+signs?)?\s*,\s*$"
)
# Who finds nothing at all begins no list: `no abnormality, GGO`; nor is a panel a name.
_ANYTHING = re.compile(r"\b(?:abnormal\w*|lesions?|findings?|[a-k])\s*,")
_MORE_THAN_A_NAME = re.compile(
    r"\b(?:in|on|at|of|to|with|and|under|near|along|from|both|after|yes|no)\b"
)
_NEW_STATEMENT = re.compile(
    r"\band\s+with\b|(?:\band|,|\bwith)\s+(?:an?|the|there|then|some|several|many|few|new|multiple|diffuse|"
    r"bilateral|patchy|scattered|large|extensive|increased|typical|single|small|local|obvious)\b"
    # After words of place or time, what `and` adds is no longer part of a list.
    r"|\b(?:on|at|in|after|before|during)\s+(?:[\w-]+\s+){1,4}(?:and\b|,)"
)
# Between a finding and a verb after it: what begins another subject.
_NEW_SUBJECT = re.compile(
    r"\b(?:in|on|at|of|under|within|near|along)\s+[^,]*?"
    r"(?:,|\band\b(?!\s+(?:left|right|upper|middle|lower|both|bilateral|peripheral|central)\b))"
    r"|,\s*(?:and\s+)?(?:the|an?|his|her|this)\b"
    r"|\b(?:whose|who|when|where|because|since|as|if)\b"
    r"|\bin\s+an?\s+(?:[\w-]+\s+){0,4}?(?:patients?|m[ae]n|wom[ae]n)\b"
)
# Words about a finding as others have it: `the GGO typical of COVID-19 was not found`.
_OF_OTHERS = re.compile(
    r"\s*(?:(?:so|most|more|often|commonly|usually|that\s+(?:is|are|was|were)|which\s+(?:is|are))\s+){0,2}"
    r"(?:(?:typical|characteristic|suggestive|indicative|pathognomonic|diagnostic|common|expected|known)"
    r"\s+(?:of|for|in|with|among)"
    r"|(?:that|which)\s+(?:marks?|characteri[sz]es?|typif\w+|defines?|distinguish\w*)"
    rf"|(?:{SEEN}|described)\s+(?:in|among|by|with)\s+(?:the\s+)?(?:other|most|many|some|all|adult|previous|earlier))"
    r"\s+(?:(?!(?:and|or|but|who|whose|which|that|when|where|is|are|was|were|has|have|had)\b)"
    r"[\w-]+\s+){1,6}"
)
# What an image shows is no subject of a verb behind a comma: `shows GGO, and X was not found`.
_SHOWN = re.compile(
    r"\b(?:show(?:s|ed|ing)?|reveal(?:s|ed|ing)?|demonstrat(?:es?|ed|ing)|depict(?:s|ed|ing)?|"
    r"display(?:s|ed|ing)?)\s+(?!that\b)(?:(?!that\b)[\w-]+,?\s+){0,8}$"
)
_APART = re.compile(r"[,()]|\band\s+the\b")
# A mark, a participle by itself or a verb in the singular is of the words nearest to it.
_ALONE = re.compile(
    r"[(:=?|,0-]|(?:no|none|nil|absent|excluded|ruled|negative|undetect\w+|is|was|has|does|"
    rf"{DOUBTED})\b"
)
# So is a bare denial of the last name of a sentence without `and`: `GGO, effusion not seen`.
_BARE_DENIAL = re.compile(r"(?:not|tested)\b")
_LAST_NAME = re.compile(r",\s*\w(?!.*(?:,|\b(?:and|or|nor)\b))")
# And either, behind `and`, where something is shown before it.
_SINGULAR = re.compile(r"(?:not|is|was|has|does)\b")
_WITH = re.compile(r"\bwith\b")
_ADDED = re.compile(r"\band\b(?=\s+\w)")
# A mark that could be of anything: it denies the bare name before it, with no place or time.
_BESIDE = re.compile(r"[=|,0-]|\? ?n|:\s*[0n]$|(?:no|none|nil|absent)$")
# The cells of a form without any mark: `GGO yes consolidation no crazy paving no`.
_ANSWER = re.compile(r"\s+(?:yes\b|no\s*\.?$)")
_OTHER_CLAUSE = re.compile(
    r"[,;:()]|\b(?:but|with|to|after|showed|while|whereas|although|increas\w+)\b"
)

_ADVERBS = r"(?:(?:\w+ly|later|then|soon|also|now|all|both|only|first)\s+)*"
_IT = rf"(?:(?:it|they|these|this)\s+)?{_ADVERBS}"
_TIME = (
    r"(?:follow-?\s?up|days?|weeks?|hours?|months?|later|afterwards?|subsequent\w*|second|third|"
    r"next|repeat\w*|discharge|now)"
)
# What came has no other subject, and no object: `but developed pneumonia` is of the patient.
_CAME_LATER = re.compile(
    r"(?:(?!\b(?:and|but|while|whereas|with|which|that|who)\b)[^.;:,]){0,60}?,?\s*\b(?:"
    rf"(?:but|and|yet|however|which|that),?\s+{_IT}(?:(?:had|has|have)\s+{_ADVERBS})?"
    r"(?:appear(?:s|ed)?|develop(?:s|ed)?|emerge[sd]?|occur(?:s|red)?|arose)(?=\s*(?:[.,;)]|$)|\s+(?:on|at|in|after|within|"
    r"by|during|over|later|subsequently|bilaterally|(?:[\w-]+\s+){1,3}(?:later|after\w*))\b)"
    r"|(?:(?<=,\s)|(?:and|but|then)\s+)(?:present|visible|evident)\s+(?:on|at|by|after)\b"
    rf"|(?:but|yet|however),?\s+{_IT}(?:was|were|became)\s+{_ADVERBS}{SEEN}\b"
    rf"(?=[^.;:,]*\b{_TIME}\b)"
    # `not visible on the radiograph but seen on CT`
    rf"|but,?\s+{_IT}(?:(?:was|were|is|are)\s+)?{_ADVERBS}{SEEN}\s+(?:in|on|at|by|with)\b"
    r"(?!\s+(?:[\w-]+\s+){0,2}?(?:clinic|hospital|department|ward)))"
)
# A verb without its object takes what another scan, patient or lung was denied:
# `the first scan showed no GGO; the later one did`, not `as the later one did`.
_SUBJECT = r"(?:(?!\b(?:not|never|no|nor|neither|none|as|like|than|so)\b)[^.;,]){1,60}?\s"
_BUT_ANOTHER = re.compile(
    r"[^.;]{0,120}?(?:[.;,]\s+|\(|\b(?:but|and|while|whereas|although)\s+)"
    rf"(?P<another>(?:(?:on|at|after|by|in)\s+[^.;,]{{1,30}},\s+(?:{_SUBJECT})?|{_SUBJECT}))"
    r"(?:did|does|do|had|has|have|there\s+(?:was|were|is|are))(?:\s+(?:so|show\s+(?:it|them|some|one|both)))?"
    r"(?=\s*(?:[.;)]|$)|,(?!\s*(?:too|either|as\s+well)\b))"
)
_ANOTHER = re.compile(
    r"\b(?:scans?|hrct|cts?|images?|imaging|films?|radiographs?|x-?rays?|stud(?:y|ies)|re-?exam\w*|exam\w*|"
    r"ones?|that|those|first|second|third|fourth|fifth|last|next|later|days?|weeks?|follow-?ups?|control|"
    r"lobes?|lungs?|left|right|patients?|cases?|others?|m[ae]n|wom[ae]n|wife|husband|sons?|daughters?|"
    r"mother|father|sisters?|brothers?)\b"
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A term, what is said of it, and the cue that says so; None where it is simply there."""

    term: Term
    course: Course
    cue: Cue | None


def judge(lower: str, sentence: tuple[int, int], terms: Sequence[Term]) -> list[Judged]:
    """The course of each of `terms`, all inside `sentence`, a span of the plain text `lower`."""
    found = [cue for cue in cues(lower, *sentence) if not any(_within(cue, t) for t in terms)]
    found = _answers(found, lower, sentence, terms)
    judged = []
    for term in terms:
        cue = _strongest(found, term, lower, sentence)
        if cue and cue.course is Course.NEGATED and _is_there(lower, term, cue, sentence[1]):
            cue = None
        course = Course.PRESENT if cue is None else cue.course
        judged.append(Judged(term=term, course=course, cue=cue))
    return judged


def _answers(
    found: list[Cue], lower: str, sentence: tuple[int, int], terms: Sequence[Term]
) -> list[Cue]:
    """`found`, where names that `yes` or `no` answers make each bare `no` the answer before it."""
    if not any(_ANSWER.match(lower, term.end, sentence[1]) for term in terms):
        return found
    named = {term.end for term in terms}
    return [
        replace(cue, side=Side.AFTER)
        if lower[cue.start : cue.end] == "no"
        and sentence[0] + len(lower[sentence[0] : cue.start].rstrip()) in named
        else cue
        for cue in found
    ]


def _strongest(
    found: Sequence[Cue], term: Term, lower: str, sentence: tuple[int, int]
) -> Cue | None:
    """Of the cues that reach `term` the first of those that count most."""
    best: Cue | None = None
    for cue in found:  # reach is costly in long lists: only what would count more is asked for it
        counts = best is None or ORDER.index(cue.course) > ORDER.index(best.course)
        if counts and _reaches(cue, term, lower, sentence):
            best = cue
    return best


def _is_there(lower: str, term: Term, cue: Cue, stop: int) -> bool:
    """Whether what is denied is found after all, later or in another."""
    return _came(lower, term, cue, stop) or _another_has(lower, term, cue)


def _within(cue: Cue, term: Term) -> bool:
    return term.start <= cue.start and cue.end <= term.end


def _reaches(cue: Cue, term: Term, lower: str, sentence: tuple[int, int]) -> bool:
    before = cue.end <= term.start
    distance = term.start - cue.end if before else cue.start - term.end
    if distance > _REACH or cue.side is (Side.AFTER if before else Side.BEFORE):
        return False
    gap = lower[cue.end : term.start] if before else lower[term.end : cue.start]
    if cue.course in (Course.RESOLVING, Course.RESOLVED):
        return _changes(gap, before)
    if not before and _OF_OTHERS.fullmatch(gap):
        gap = " "
    if term.lesion is not None and (_GERM.search(gap) or lower.startswith("tested ", cue.start)):
        return False  # a person or a sample is tested, not a lesion
    reaches = _reaches_on if before else _reaches_back
    return reaches(cue, term, lower, sentence, gap)


def _reaches_on(cue: Cue, term: Term, lower: str, sentence: tuple[int, int], gap: str) -> bool:
    """Whether a cue reaches a finding after it, over `gap`."""
    if lower[cue.end - 1] == ":":  # the head of a list
        return not (_BREAK.search(gap) or _VERB.search(gap))
    if lower[cue.start : cue.end] == "non" and gap.strip(" -"):
        return False
    rest = lower[term.end : sentence[1]]
    return _covers(gap, rest) or _governs(lower[cue.start : term.start], gap, rest)


def _reaches_back(cue: Cue, term: Term, lower: str, sentence: tuple[int, int], gap: str) -> bool:
    """Whether a cue reaches a finding before it, over `gap`."""
    words = lower[cue.start : cue.end]
    added = "," in gap or (_SINGULAR.match(words) and _ADDED.search(gap))
    if added and _SHOWN.search(lower, max(sentence[0], term.start - 120), term.start):
        return False
    return _closes(gap, words)


def _came(lower: str, term: Term, cue: Cue, stop: int) -> bool:
    """Whether what is denied is told to have come later: `not seen at first but appeared`."""
    return bool(_CAME_LATER.match(lower, max(term.end, cue.end), stop))


def _another_has(lower: str, term: Term, cue: Cue) -> bool:
    """Whether the next statement gives to another what is denied: `no GGO; the later scan did`."""
    said = term.lesion and _BUT_ANOTHER.match(lower, max(term.end, cue.end))
    return bool(said and _ANOTHER.search(said["another"]))


def _covers(gap: str, rest: str) -> bool:
    """Whether a cue before a finding reaches it over `gap`; `rest` is what follows the finding.

    Over a comma only along a list that `or` or `nor` closes, or one of three bare names or more.
    """
    if any(ends.search(gap) for ends in (_BREAK, _VERB, _NEW_STATEMENT, _PLACE)):
        return False
    if _EXCEPTED.match(rest):
        return False
    items = gap.split(",")[1:]
    tail = re.split(r"[.;:]|\bbut\b", rest)[0]
    if not items or _bare(gap, tail):
        return True
    listed = bool(_OR.search(gap + tail)) and not _closed(gap, tail)
    return listed and all(len(item.split()) <= _ITEM for item in items)


def _closed(gap: str, tail: str) -> bool:
    """Whether the list of what is denied ended before a finding that has its own verb or place.

    So it did in `no effusion or mass, consolidation is seen`, and not without the verb.
    """
    if not _ENDED.search(gap):
        return False
    verb = _VERB.search(tail)
    if verb is None:
        return bool(_WHERE.match(tail)) and not _OR.search(tail)
    return not _OR.search(tail, 0, verb.start())


def _governs(before: str, gap: str, rest: str) -> bool:
    """Whether a cue that ends in a preposition reaches a name in the list that `and` closes."""
    cue = before[: len(before) - len(gap)].rstrip()
    if not _GOVERNS.search(cue) or any(x.search(gap) for x in (_BREAK, _VERB, _NEW_STATEMENT)):
        return False
    if _EXCEPTED.match(rest):
        return False
    text = gap + "it" + rest
    listed = _LISTED.match(text.lstrip())
    return listed is not None and len(gap.lstrip()) <= listed.end()


def _bare(gap: str, tail: str) -> bool:
    """Whether a statement is a list of names and nothing else; of two only without any adjective.

    So `no effusion, consolidation, lymphadenopathy` is, and `no effusion, consolidation`, but not
    `no effusion, bilateral consolidation` nor `no effusion, consolidation in the left lobe`.
    """
    if _ANYTHING.search(gap):
        return False
    if _PAIR.match(gap) and not tail.strip():
        return True
    items = f"{gap} {tail}".split(",")
    if len(items) < 3 or any(len(item.split()) > _BARE_ITEM for item in items):
        return False
    return not any(words.search(gap + tail) for words in (_MORE_THAN_A_NAME, _VERB, _NEW_STATEMENT))


def _closes(gap: str, cue: str) -> bool:
    """Whether a cue after a finding, `gap` away, is the verb of its phrase or its mark.

    A mark such as `(-)` or `: none` is of the nearest words, and so is a verb in the singular or a
    participle by itself where a comma parts it from what comes before.
    """
    if cue == "-free":  # `consolidation-free`
        return not gap
    if _BESIDE.match(cue) and (len(gap.split()) > _MARKED or _MORE_THAN_A_NAME.search(gap)):
        return False
    if _BREAK.search(gap) or _VERB.search(gap) or _NEW_SUBJECT.search(gap):
        return False
    if cue.startswith("(") and _WITH.search(gap):  # `GGO with consolidation (absent)`
        return False
    if _BARE_DENIAL.match(cue) and _LAST_NAME.search(gap):
        return False
    return not (_ALONE.match(cue) and _APART.search(gap)) and len(gap.split()) <= _FAR


def _changes(gap: str, before: bool) -> bool:
    """Whether a cue of change, `gap` away, is about the finding: in its phrase, or its verb."""
    words = gap.split()
    if _OTHER_CLAUSE.search(gap):
        return False
    if not before and words[-1:] in (["and"], ["or"]):
        return False  # `consolidation and reduced ground glass`
    if before:
        return len(words) <= _NEAR and words[:1] not in (["and"], ["or"]) and not _VERB.search(gap)
    return len(words) <= _FAR

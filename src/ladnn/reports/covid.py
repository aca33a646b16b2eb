"""What a report says of COVID-19: its names, tests for it, and what is named in its place."""

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from ladnn.reports.context import Judged, judge
from ladnn.reports.cues import Course
from ladnn.reports.sections import CONTRAST, Aside, Section, section_at
from ladnn.reports.vocabulary import Term


class Covid(StrEnum):
    """What a report says of COVID-19."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNSTATED = "unstated"


_NAMES = (
    r"\bc[o0]v[il1]d(?:[\s-]{0,4}[1li]9)?\b|\bsars\s*-?\s*cov\s*-?\s*2\b|\b(?:hcov\s*-?\s*19|ncp|ncip)\b"
    r"|\b(?:2019\s*-?\s*)?n\s*-?\s*cov(?:\s*-?\s*2019)?\b|\b2019\s*-?\s*cov\b"
    r"|\b(?:2019\s+)?(?:(?:novel|new)\s+)?corona\s?virus"
    r"(?:\s+(?:disease|pneumonia|infection)(?:\s*-?\s*(?:20)?19)?)?\b"
    r"|\b(?:novel|new)\s+coronary\s+pneumonia\b"
)
_TESTS = (
    r"(?:nucleic\s+acid|(?:rt\s*-?\s*)?q?pcr|swabs?|ig[mg]|antibod(?:y|ies)|serolog\w+|antigen)"
)
# What many illnesses are tested by: it is a test for COVID-19 where the report names that.
_ANY_ANTIBODY = re.compile(r"\b(?:ig[mg]|antibod(?:y|ies)|serolog\w+|antigen)\b")
_PCR = re.compile(r"\b(?:nucleic\s+acid|(?:rt\s*-?\s*)?q?pcr|swabs?)\b")
_TEST = rf"\b{_TESTS}\b[^.;,]{{0,60}}?\b"
_SIGN = (
    rf"\b{_TESTS}(?:\s+(?:tests?|assays?|results?))?(?:\s+(?:of|in|from)(?:\s+[\w-]+){{1,2}}?)?"
    r"\s*:?\s*\(%s\)"
)
# The other order: `a positive RT-PCR`, `two negative swabs for SARS-CoV-2`.
_BEFORE_TEST = rf"\s+(?:(?!(?:and|but|or)\b)[\w-]+\s+){{0,3}}?{_TESTS}\b"
_SOUGHT = (
    r"(?:\s+(?:tests?|assays?|results?|testing))?"
    rf"(?:\s+(?:for|of)\s+(?:the\s+)?(?:{_NAMES})|\s*\((?:{_NAMES})\))?"
)
_AGAIN = r"(?:second|third|fourth|fifth|next|last|final|repeat(?:ed)?)"
_ONE_TEST = r"(?:(?:rt\s*-?\s*)?(?:pcr\s+)?(?:test(?:ing)?|swab|sample|specimen|result)|one)"
_POSITIVE = (
    rf"{_TEST}positive\b|\b(?:then|later|subsequently|turned|became|finally)\s+positive\b"
    rf"|\bpositive\s+{_AGAIN}\s+{_ONE_TEST}\b|(?<=,\s)(?:but\s+|then\s+)?positive\s+(?:on|after)\b"
    rf"|\b{_AGAIN}\s+(?:{_ONE_TEST}\s+)?(?:was\s+|came\s+back\s+)?positive\b"
    rf"|\bpositive\s+(?:on|at|in)\s+(?:the\s+)?{_AGAIN}\b"
    rf"|{_SIGN % '[+]'}|(?<!false[\s-])\bpositive{_BEFORE_TEST}"
)
_NEGATIVE = (
    rf"(?:{_TEST}(?:(?<!false[\s-])negative|undetect(?:ed|able)|not\s+detected|non\s*-?\s*reactive)"
    rf"|\btest(?:s|ed|ing)?\s+negative(?=\s*\((?:{_NAMES})\)))\b{_SOUGHT}"
    rf"|{_SIGN % '-'}|(?<!false[\s-])\bnegative{_BEFORE_TEST}{_SOUGHT}"
)
# Not follow-up (`control CT`) and not an authority (`Disease Control`).
_CONTROL = (
    r"(?<!disease\s)(?<!infection\s)(?<!under\s)(?<!good\s)(?<!poor\s)"
    r"\bcontrol(?:s|\s+(?:group|subjects?|patients?))?\b"
    r"(?!\s+(?:ct|chest|scan|imaging|computed|tomograph\w+|radiograph\w*|x-ray|examination)\b)"
)
# What explains the lungs in place of COVID-19; no common comorbidity (emphysema, heart failure).
_PNEUMONIA = (
    r"(?:bacterial|fungal|viral\s+non\s*-\s*covid|mycoplasma|influenza|h1n1|adenovirus|aspiration|"
    r"pneumocystis|lobar|community\s*-?\s*acquired|klebsiella|legionella|\w*coccal|chlamydia\w*|"
    r"cytomegalovirus|cmv|varicella|eosinophilic|cryptogenic\s+organi[sz]ing|lipoid|"
    r"mers(?:\s*-?\s*cov)?|sars(?!\s*-?\s*cov))"
)
_DISEASE = (
    r"(?:(?:mers(?:\s*-?\s*cov)?\s+infection|tuberculosis|lung\s+cancers?|adenocarcinomas?|lung\s+tumou?rs?)"
    r"|(?:hypersensitivity|radiation|drug\s*-?\s*induced)\s+pneumonitis"
    r"|idiopathic\s+pulmonary\s+fibrosis|sarcoidosis|alveolar\s+proteinosis"
    r"|lymphangitic\s+carcinomatosis|(?:pulmonary|lung)\s+(?:metastas[ei]s|lymphoma)"
    r"|(?:aspergill|nocardi|cryptococc|histoplasm|actinomyc|mucormyc)osis|septic\s+(?:pulmonary\s+)?emboli"
    r"|(?:alveolar|pulmonary)\s+ha?emorrhage|cardiogenic\s+(?:pulmonary\s+)?o?edema|evali"
    r"|(?:infectious|respiratory)\s+bronchiolitis)"
)
# Germs, and what brings a heart or a lung to look so, where a text says that they did.
_GERMS = (
    r"(?:influenza|h1n1|\w*(?:adeno|rhino|pneumo|megalo)virus|cmv|rsv|mycoplasma|chlamydia\w*|"
    r"legionella|klebsiella|pseudomonas|h(?:a)?emophilus|\w+cocc(?:us|al|i)|mrsa|pneumocystis|"
    r"aspergillus|tubercul\w+|candida)"
)
_CAUSES = (
    rf"(?:{_GERMS}|(?:pulmonary\s+|lung\s+)?(?:o?edema|infarct\w*|contusions?)|vasculitis|"
    r"(?:heart|cardiac)\s+failure|aspiration)"
)
_CAUSED = (
    r"\b(?:caused\s+by|due\s+to|secondary\s+to|because\s+of|result\w*\s+(?:of|from)|from)"
    rf"\s+(?:(?!(?:and|or|in|with|patients?)\b)[\w-]+\s+){{0,2}}?{_CAUSES}\b"
    r"|\b(?:grew|grow(?:s|ing)|yield(?:ed|ing|s)|isolat(?:ed|ing)|(?:infect(?:ed|ion)|present(?:s|ed|ing)|"
    rf"diagnosed|admitted|ill)\s+(?:with|by))\s+(?:(?!(?:and|or|in|patients?)\b)[\w-]+\s+){{0,2}}?{_GERMS}\b"
)
_NAME = re.compile(_NAMES)
_EXPRESSION = re.compile(
    rf"(?P<without>(?:{_NAMES})[\s-]{{0,2}}neg(?:ative)?\b|\b(?:other(?:\s+\w+){{0,2}}?\s+than|unrelated\s+to)\s+(?:{_NAMES}))"
    rf"|(?P<name>{_NAMES})|(?P<positive>{_POSITIVE})|(?P<negative>{_NEGATIVE})"
    r"|(?P<other>\bhealthy\s+(?:\w+\s+)?"
    r"(?:volunteers?|subjects?|people|persons?|individuals?|adults?|m[ae]n|wom[ae]n|controls?)\b"
    rf"|{_CONTROL}|\b{_PNEUMONIA}(?:\s+[\w()]+){{0,2}}?\s+pneumonia\b|\b{_DISEASE}\b|{_CAUSED})"
)
# A test of something else, by what it is of: `influenza PCR`, `IgM positive for Mycoplasma`.
_ELSE = (
    r"(?:(?:para)?influenza|h1n1|\w*(?:adeno|rhino|pneumo|megalo)virus|cmv|rsv|hiv|syncytial|mycoplasma|"
    r"chlamydia|legionella|urin(?:e|ary)|\w+cocc(?:us|al)|pneumocystis|aspergillus|tuberculosis|"
    r"bacteri\w+|fung(?:i|al)|other\s+(?:\w+\s+){0,2}(?:virus(?:es)?|pathogens?))"
)
_ELSE_IN = re.compile(rf"\b{_ELSE}\b")
_ELSE_BEFORE = re.compile(rf"\b{_ELSE}\s+(?:(?!{_NAMES}|and\b|or\b|but\b|with\b)[\w-]+\s+){{0,2}}$")
_ELSE_AFTER = re.compile(rf"(?:\s+tests?)?\s+for\s+(?:(?!{_NAMES})[\w-]+\s+){{0,2}}?{_ELSE}\b")
_NOT = re.compile(r"\b(?:not|never)\b(?!\s+detected)")
_NOT_BEFORE = re.compile(r"\b(?:not|never)\s+(?:been\s+)?$")
# A negative test that ends the illness tells of a positive one.
_TURNED = re.compile(r"\b(?:turn\w*|became|conver[ts]\w+)\s+(?:to\s+)?(?:be\s+)?negative$")
_DISCHARGED = re.compile(
    r"\b(?:discharged|(?:at|before|until|on|for)\s+discharge|released|recover\w+|cured)\b"
)
# An illness of the past, which explains nothing now.
_PAST = re.compile(
    r"\b(?:history\s+of|previous(?:ly)?|prior|healed|treated\s+for|underlying|concomitant|known)"
    r"\s+(?:(?!(?:with|in|who|and\s+new)\b)[\w-]+\s+){0,3}$"
    r"|(?<!-)(?<!years\s)(?<!year\s)\bold\s+(?:pulmonary\s+)?$"
)
# An infection of a year ago or more, for six months at the least: over, and nobody's finding now.
_YEARS = (
    r"(?:(?:about|around|approximately|more\s+than|over|almost|nearly)\s+)?(?:"
    r"(?:an?|one|two|three|four|five|several|many|some|a\s+few|\d+(?:\.\d+)?)(?:\s+and\s+a\s+half)?\s+years?|"
    r"(?:six|seven|eight|nine|ten|eleven|twelve|eighteen|[6-9]|[1-9]\d)\s+months?)\s+"
    r"(?:ago|earlier|before|previously|prior|back)|(?:in\s+)?(?:the\s+)?(?:last|previous|preceding)\s+year"
)
_LONG_AGO = re.compile(
    r"(?:\s*,?\s+(?:pneumonia|infection|disease|and|was|were|had|has|been|recovered|discharged|cured|"
    r"patients?|case|"
    rf"from\s+(?:it|which)|who|he|she|positive|confirmed|diagnosed)){{0,6}},?\s+\(?(?:{_YEARS})\b"
)
_LONG_AGO_BEFORE = re.compile(
    rf"(?:^|[,;:.(]\s*)(?:{_YEARS}),?\s+(?:(?:he|she|the|this|patient|had|has|was|been|recovered|"
    r"from|diagnosed|with|infected|by|an?|suffered|contracted|mild|moderate|severe)\s+){0,6}$"
)
# A name that tells whom someone met, or what was looked for, is no diagnosis.
_NO_DIAGNOSIS = re.compile(
    r"\b(?:(?:screen|test|examin|check|swab|pcr|assay|cultur|serolog|antibod|antigen|rna)\w*\s+for|"
    r"diagnos(?:is|e|ing)\s+of|detect(?:ion|ing)?\s+of|close\s+to|prevent\w*(?:\s+of)?|"
    r"mimic\w*|resembl\w+|(?:mis)?interpreted\s+as|misdiagnosed\s+as|mistaken\s+for|similar\s+to|"
    r"false[\s-]+positive|during\s+the(?!\s+(?:[\w-]+\s+){0,2}(?:stages?|phases?|course|peak|period|days?)\s+of\b)|(?:outbreak|pandemic|epidemic|era)\s+of)\s+(?:[\w-]+\s+){0,3}$"
)
# But so it was found: `confirmed by a second nucleic acid test for SARS-CoV-2`.
_FOUND_BY = re.compile(
    r"(?<!not\s)(?<!be\s)\b(?:confirmed|diagnosed|proven|verified)\s+(?:by|with|on|in|using|through)\s+"
    r"(?:[\w-]+\s+){0,8}$"
)
# The phrases of standard reports that leave open or only ask, right before the name.
_LEFT_OPEN = re.compile(
    r"(?:\b(?:(?:indeterminate|atypical|non\s?-?specific|equivocal|inconclusive|uncommon(?:ly)?)"
    r"(?:\s+(?!for\b)[\w-]+){0,3}?\s+for|"
    r"(?:can|may|might|could)\s+(?:also\s+)?be\s+(?:seen|found|observed|encountered)\s+with|"
    r"(?:can|may|might|could)\s+be\s+(?:normal|negative|unremarkable)\s+(?:with|in|during|early)"
    r"(?:\s+(?:the|in|early|initial|stages?|phases?|course|of)){0,6}|"
    r"(?:probability|likelihood|risk|chance|possibility)\s+(?:of|for)|"
    r"(?:no|without|denies|denied|any)\s+(?:\w+\s+)?history\s+of|"
    r"(?:evaluat|assess|investigat|work-?up)\w*\s+for|quer(?:y|ied)|"
    rf"{CONTRAST}|(?:differ|distinguish)\w*\s+from)\s+|(?:^|[\s.;:,(])\?\s*)"
    r"(?:(?:an?|the|active|acute|current|prior|previous|recent|typical)\s+)*$"
    # What is only weighed: `differential diagnosis: influenza, COVID-19`.
    r"|\b(?:d+dx|d/d|differential(?:\s+diagnos[ei]s)?)(?:\s+(?:includ\w+|is|was|of))?\s*:?\s+"
    r"(?:(?!confirm|diagnos|prove)[\w-]+,?\s+|vs\.?\s+){0,4}$"
)
# Another disease that is only compared: `unlike bacterial pneumonia`.
_UNLIKE = re.compile(
    rf"\b(?:{CONTRAST}|compared\s+(?:to|with)|(?:differ|distinguish)\w*\s+from)"
    r"\s+(?:(?:an?|the|typical|classic(?:al)?|common|most|other)\s+)*$"
)
_NOT_TYPICAL = re.compile(
    r"\b(?:not|never)\s+(?:\w+\s+)?(?:typical|characteristic|classic(?:al)?|pathognomonic|specific)\s+"
    r"(?:\w+\s+)?(?:of|for|in)\s+$"
)
# Who is without a severe one may have another.
_NOT_SO = re.compile(r"\b(?:no|non|not|without)[\s-]+(?:severe|critical|serious|moderate|mild)\s+$")
# And right after it, where nothing later in the sentence finds it.
_LEFT_OPEN_AFTER = re.compile(
    r"(?:\s+(?:pneumonia|infection|disease|involvement))?(?:"
    r"\s+(?:vs\b\.?|versus)|\s+cannot\s+(?:yet\s+)?be\s+diagnosed|"
    r"\s+(?:is|was|are|were)\s+(?:not\s+(?:suspected|likely|favou?red|probable)|"
    r"(?:\w+\s+){0,2}?less\s+(?:likely|probable))|"
    r"\s+status\s*:?\s+(?:(?:is|was)\s+)?(?:unknown|unclear|uncertain|not\s+known|pending))\b"
    r"(?![^.;]*(?<!not\s)(?<!be\s)\b(?:confirmed|positive|diagnosed|detected|proven)\b)"
)
# And what says that it is not this: `COVID-19 was not the cause`.
_NOT_IT = re.compile(
    r"(?:\s+(?:pneumonia|infection|disease))?\s+(?:is|was|were)\s+(?:not|never)\s+(?:been\s+)?"
    r"(?:diagnosed|the\s+(?:(?!only|sole|main|primary|leading)\w+\s+)?(?:cause|diagnosis|reason|explanation|culprit))\b"
)
# A test or an illness of someone near the patient: `his wife had`, `father died of`.
_KIN = (
    r"(?:\w+-in-law|wife|husband|spouse|partner|sons?|daughters?|mother|father|parents?|brothers?|"
    r"sisters?|child|children|relatives?|family|colleagues?|friends?|neighbou?rs?|roommates?)"
)
_OF_KIN = re.compile(
    rf"(?:\b(?:whose|his|her|their|patient's)\s+(?:own\s+)?{_KIN}(?:'s)?"
    rf"|(?:^|[:,;(]\s*){_KIN}\s+(?:had|has|have|died|was|were|is|tested|recovered|suffer\w+))"
    r"\s+(?:[\w-]+\s+){0,4}$"
)
_FALSELY = re.compile(r"\bfalse(?:ly)?[\s-]+negative\b")
# Whom the patient met, or looked after; and what protects from it.
_MET = re.compile(
    r"\b(?:contact(?:s|ed)?\s+(?:with|of|to)|expos(?:ure|ed)\s+to|met|visit(?:s|ed|ing)|"
    r"(?:liv|work|travel)(?:es|s|ed|ing|led|ling)\s+(?:with|on|in|at)|car(?:es|ed|ing)\s+for|"
    r"look(?:s|ed|ing)\s+after|(?<!\bwe\s)(?:treat|nurs|attend|manag|"
    r"transport|examin|intubat)(?:s|es|ed|ing)(?!\s+(?:for|physician|doctor|clinician|team)\b)|"
    rf"(?!family){_KIN}\s+of|"
    r"(?:vaccin|immuni[sz]|protect)\w+\s+(?:against|for|from))\s+"
    r"(?:(?:persons?|people|patients?|cases?|someone)\s+with\s+|"
    r"(?!(?:and|but|then|who|whose|he|she|they|his|her|was|is|had|has|with|for|as|in|develop\w*|"
    r"contract\w*|acquir\w*|caught|became|present\w*|test\w*|diagnos\w*)\b)[\w-]+\s+){0,4}$"
)
# `a COVID-19 ward`, `the COVID-19 pandemic`, `a COVID-19 contact`: nobody's illness.
_NOBODYS = re.compile(
    rf"[\s-]+patients?'s?\s+{_KIN}\b|"
    r"[\s-]+(?:wards?|units?|hospitals?|clinics?|cent(?:er|re)s?|hotlines?|teams?|pandemic|epidemic|"
    r"mimics?|mimick?ers?|era|outbreak|crisis|lockdown|contacts?|exposure|vaccin\w+|screening|suspects?|suspicion|"
    r"(?:test|swab)s?\s+(?:is|are|was|were)?\s*pending|pending)\b"
)
# What is denied or doubted of a patient with it: `no consolidation in COVID-19`.
_OF_SOMEONE = re.compile(r"\b(?:in|among|from|(?:patients?|cases?|m[ae]n|wom[ae]n)\s+with)\b")
# What a test looks for is not found by being looked for: `SARS-CoV-2 RT-PCR was negative`.
_TARGET = re.compile(
    rf"\s+(?:(?:real\s*-?\s*time|viral|virus|specific)\s+)?(?:{_TESTS}|test(?:s|ing)?)\b"
)
_STATED = re.compile(
    r"(?<!un)(?<!not\s)\b(?:positive|negative|confirmed|proven|detected|known|diagnosed|"
    r"(?:patient|m[ae]n|wom[ae]n|male|female|boy|girl)\s+with)\b"
)
_FOUND = re.compile(
    r"[^.;?]{0,30}?(?<!not\s)(?<!never\s)(?<!be\s)\b(?:positive|confirmed|detected)\b"
)


def judge_covid(
    lower: str, sentences: Sequence[tuple[int, int]], aside: Sequence[Aside] = ()
) -> tuple[Covid, tuple[Judged, ...]]:
    """What the plain text says of COVID-19, and every place where it does.

    One assertion outweighs denials and doubts, for a patient is tested more than once; what is
    only suspected is not stated. What stands in a section of `aside` for relatives states nothing,
    nor does a bare name in one for the question.
    """
    judged: list[Judged] = []
    for sentence in sentences:
        found = list(_EXPRESSION.finditer(lower, *sentence))
        terms = [Term(lesion=None, start=match.start(), end=match.end()) for match in found]
        judged += [
            _in_section(
                section_at(aside, match.start()),
                _polar(str(match.lastgroup), one, lower, sentence),
                lower,
                sentence,
            )
            for match, one in zip(found, judge(lower, sentence, terms), strict=True)
        ]
    courses = {one.course for one in judged}
    if courses - {Course.NEGATED, Course.UNCERTAIN}:
        return Covid.POSITIVE, tuple(judged)
    return (Covid.NEGATIVE if Course.NEGATED in courses else Covid.UNSTATED), tuple(judged)


def _in_section(
    section: Section | None, judged: Judged, lower: str, sentence: tuple[int, int]
) -> Judged:
    """`judged` as it counts where it stands: a question asks for what nobody has confirmed."""
    if section not in (Section.ASKED, Section.OTHERS):
        return judged
    if section is Section.ASKED and _STATED.search(lower, *sentence):
        return judged
    return replace(judged, course=Course.UNCERTAIN)


def _long_ago(judged: Judged, before: str, lower: str, stop: int) -> bool:
    """Whether what is named was over long before this report."""
    return bool(_LONG_AGO_BEFORE.search(before) or _LONG_AGO.match(lower, judged.term.end, stop))


def _polar(kind: str, judged: Judged, lower: str, sentence: tuple[int, int]) -> Judged:
    """`judged` with its course read as that of COVID-19."""
    before = _before(judged, lower, sentence)
    met = kind in ("name", "positive") and (
        _MET.search(before) or _long_ago(judged, before, lower, sentence[1])
    )
    if met or _OF_KIN.search(before):
        return replace(judged, course=Course.UNCERTAIN)
    if kind in ("positive", "negative"):
        return _tested(kind == "positive", judged, lower, sentence)
    if kind == "other" and (_PAST.search(before) or _UNLIKE.search(before)):
        return replace(judged, course=Course.UNCERTAIN)
    if kind in ("other", "without"):
        return _opposite(judged)
    return _named(judged, lower, sentence)


def _tested(positive: bool, judged: Judged, lower: str, sentence: tuple[int, int]) -> Judged:
    """What a test says of COVID-19; that of another germ tells of another cause, or nothing."""
    before = _before(judged, lower, sentence)
    words = lower[judged.term.start : judged.term.end]
    if (
        _ELSE_IN.search(words)
        or _ELSE_BEFORE.search(before)
        or _ELSE_AFTER.match(lower, judged.term.end, sentence[1])
    ):
        return _opposite(judged) if positive else replace(judged, course=Course.UNCERTAIN)
    if _ANY_ANTIBODY.search(words) and not (_PCR.search(words) or _NAME.search(lower)):
        return replace(judged, course=Course.UNCERTAIN)
    if positive:
        denied = _NOT.search(words) or _NOT_BEFORE.search(before)
        return _opposite(judged) if denied else judged
    if _TURNED.search(words) or _NOT.search(words):
        return replace(judged, course=Course.PRESENT)
    if _DISCHARGED.search(before):
        return replace(judged, course=Course.UNCERTAIN)
    return _opposite(judged)


def _before(judged: Judged, lower: str, sentence: tuple[int, int]) -> str:
    """The words of the sentence that lead to the place, as many as can bear on it."""
    return lower[sentence[0] : judged.term.start][-80:]


def _opposite(judged: Judged) -> Judged:
    """What is there tells that COVID-19 is not; what is denied or doubted tells nothing."""
    denied = judged.course in (Course.NEGATED, Course.UNCERTAIN)
    return replace(judged, course=Course.UNCERTAIN if denied else Course.NEGATED)


def _left_open(judged: Judged, lower: str, sentence: tuple[int, int]) -> bool:
    """Whether a phrase beside the name leaves COVID-19 open; `? COVID-19` begins a sentence."""
    before = lower[max(0, judged.term.start - 80) : judged.term.start]
    after = _LEFT_OPEN_AFTER.match(lower, judged.term.end, sentence[1])
    return bool(_LEFT_OPEN.search(before) or after)


def _named(judged: Judged, lower: str, sentence: tuple[int, int]) -> Judged:
    """What is said of COVID-19 by a name of it."""
    before = _before(judged, lower, sentence)
    if _NOBODYS.match(lower, judged.term.end, sentence[1]):
        return replace(judged, course=Course.UNCERTAIN)
    if _NOT_IT.match(lower, judged.term.end, sentence[1]):
        return replace(judged, course=Course.NEGATED)
    if judged.cue and _OF_SOMEONE.search(lower, judged.cue.end, judged.term.start):
        judged = replace(judged, course=Course.PRESENT, cue=None)
    if judged.course is Course.NEGATED and (_NOT_TYPICAL.search(before) or _NOT_SO.search(before)):
        return replace(judged, course=Course.UNCERTAIN)
    sought = (_NO_DIAGNOSIS.search(before) and not _FALSELY.search(before)) or _TARGET.match(
        lower, judged.term.end, sentence[1]
    )
    if judged.course is Course.PRESENT and (sought or _left_open(judged, lower, sentence)):
        found = _FOUND.match(lower, judged.term.end, sentence[1]) or _FOUND_BY.search(before)
        return judged if found else replace(judged, course=Course.UNCERTAIN)
    if judged.course is Course.UNCERTAIN and _FOUND.match(lower, judged.term.end, sentence[1]):
        return replace(judged, course=Course.PRESENT)
    return judged

"""What a report says of COVID-19: its names, tests for it, and what is named in its place."""

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from ladnn.reports.context import Judged, judge
from ladnn.reports.cues import Course
from ladnn.reports.vocabulary import Term


class Covid(StrEnum):
    """What a report says of COVID-19."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNSTATED = "unstated"


_NAMES = (
    r"\bcovid(?:\s*-?\s*19)?\b|\bsars\s*-?\s*cov\s*-?\s*2\b|\b(?:hcov\s*-?\s*19|ncp|ncip)\b"
    r"|\b(?:2019\s*-?\s*)?n\s*-?\s*cov(?:\s*-?\s*2019)?\b|\b2019\s*-?\s*cov\b"
    r"|\b(?:2019\s+)?(?:(?:novel|new)\s+)?corona\s?virus"
    r"(?:\s+(?:disease|pneumonia|infection)(?:\s*-?\s*(?:20)?19)?)?\b"
)
_TEST = (
    r"\b(?:nucleic\s+acid|(?:rt\s*-?\s*)?q?pcr|swabs?|ig[mg]|antibod(?:y|ies)|serolog\w+|antigen)\b"
    r"[^.;,]{0,60}?\b"
)
_THEN_POSITIVE = r"\b(?:then|later|subsequently|turned|became|finally)\s+positive\b"
_OTHER_CAUSE = (
    r"(?:bacterial|fungal|viral\s+non\s*-\s*covid|mycoplasma|influenza|h1n1|adenovirus|aspiration|"
    r"pneumocystis|lobar|community\s*-?\s*acquired)"
)
_EXPRESSION = re.compile(
    rf"(?P<without>(?:{_NAMES})[\s-]{{0,2}}negative\b|\b(?:other\s+than|unrelated\s+to)\s+(?:{_NAMES}))"
    rf"|(?P<name>{_NAMES})"
    rf"|(?P<positive>{_TEST}positive\b|{_THEN_POSITIVE})|(?P<negative>{_TEST}negative\b)"
    r"|(?P<other>\b(?:control(?:s|\s+(?:group|subjects?|patients?))?|healthy\s+(?:\w+\s+)?"
    r"(?:volunteers?|subjects?|people|persons?|individuals?|adults?|m[ae]n|wom[ae]n|controls?))\b"
    rf"|\b{_OTHER_CAUSE}(?:\s+a)?\s+pneumonia\b|\b(?:tuberculosis|lung\s+cancers?|"
    r"adenocarcinomas?|lung\s+tumou?rs?)\b)"
)
# A name that tells whom someone met, or what was looked for, is no diagnosis.
_NO_DIAGNOSIS = re.compile(
    r"\b(?:contact(?:ed)?\s+with|expos(?:ure|ed)\s+to|(?:screen|test|examin|check)\w*\s+for|"
    r"diagnos(?:is|e|ing)\s+of|detect(?:ion|ing)?\s+of|close\s+to|prevent\w*(?:\s+of)?|"
    r"during\s+the|outbreak\s+of|pandemic\s+of|epidemic\s+of)\s+(?:[\w-]+\s+){0,3}$"
)
# A test or an illness of someone near the patient.
_OF_KIN = re.compile(
    r"\b(?:whose|his|her|their|patient's)\s+(?:own\s+)?(?:\w+-in-law|wife|husband|spouse|partner|"
    r"sons?|daughters?|mother|father|parents?|brothers?|sisters?|child|children|relatives?|family|"
    r"colleagues?|friends?|neighbou?rs?|roommates?)(?:'s)?\s+(?:[\w-]+\s+){0,4}$"
)
# What is denied or doubted of a patient with it: `no consolidation in COVID-19`.
_OF_SOMEONE = re.compile(r"\b(?:in|among|from|(?:patients?|cases?|m[ae]n|wom[ae]n)\s+with)\b")
_FOUND = re.compile(r"[^.;]{0,30}?\b(?:positive|confirmed|detected)\b")


def judge_covid(
    lower: str, sentences: Sequence[tuple[int, int]]
) -> tuple[Covid, tuple[Judged, ...]]:
    """What the plain text says of COVID-19, and every place where it does.

    One assertion outweighs denials and doubts, for a patient is tested more than once; what is
    only suspected is not stated.
    """
    judged: list[Judged] = []
    for sentence in sentences:
        found = list(_EXPRESSION.finditer(lower, *sentence))
        terms = [Term(lesion=None, start=match.start(), end=match.end()) for match in found]
        judged += [
            _polar(str(match.lastgroup), one, lower, sentence)
            for match, one in zip(found, judge(lower, sentence, terms), strict=True)
        ]
    courses = {one.course for one in judged}
    if courses - {Course.NEGATED, Course.UNCERTAIN}:
        return Covid.POSITIVE, tuple(judged)
    return (Covid.NEGATIVE if Course.NEGATED in courses else Covid.UNSTATED), tuple(judged)


def _polar(kind: str, judged: Judged, lower: str, sentence: tuple[int, int]) -> Judged:
    """`judged` with its course read as that of COVID-19."""
    before = lower[sentence[0] : judged.term.start][-80:]
    if _OF_KIN.search(before):
        return replace(judged, course=Course.UNCERTAIN)
    if kind == "positive":
        return judged
    if kind in ("negative", "other", "without"):
        denied = judged.course in (Course.NEGATED, Course.UNCERTAIN)
        return replace(judged, course=Course.UNCERTAIN if denied else Course.NEGATED)
    if judged.cue and _OF_SOMEONE.search(lower, judged.cue.end, judged.term.start):
        judged = replace(judged, course=Course.PRESENT, cue=None)
    if judged.course is Course.PRESENT and _NO_DIAGNOSIS.search(before):
        found = _FOUND.match(lower, judged.term.end, sentence[1])
        return judged if found else replace(judged, course=Course.UNCERTAIN)
    if judged.course is Course.UNCERTAIN and _FOUND.match(lower, judged.term.end, sentence[1]):
        return replace(judged, course=Course.PRESENT)
    return judged

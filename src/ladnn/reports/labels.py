"""A report to labels: the five lesions and COVID-19, each with the words that prove it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ladnn.findings import LESIONS, Lesion, LesionLabels
from ladnn.reports.attribution import panels_of
from ladnn.reports.context import ORDER, Judged, judge
from ladnn.reports.covid import Covid, judge_covid
from ladnn.reports.cues import Course
from ladnn.reports.language import is_english
from ladnn.reports.panels import designators
from ladnn.reports.sections import asides, is_history, is_of_others, section_at
from ladnn.reports.sentences import sentences, within
from ladnn.reports.typography import Plain, plain
from ladnn.reports.vocabulary import Term, lesion_terms


@dataclass(frozen=True, kw_only=True)
class Span:
    """Words of the original text: `text[start:end] == words`."""

    start: int
    end: int
    words: str


@dataclass(frozen=True, kw_only=True)
class Mention:
    """One place where a report names a lesion or COVID-19.

    Attributes:
        span: the words that name it.
        course: what is said of it there.
        cue: the words that say so; None where it is simply there.
        panels: of the figure (`A`, `3`, `1A`), where stated.
    """

    span: Span
    course: Course
    cue: Span | None = None
    panels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One lesion in one report: every mention of it, in the order of the text."""

    lesion: Lesion
    mentions: tuple[Mention, ...] = ()

    @property
    def present(self) -> bool:
        """The label: mentioned, whatever its later course, and not only to be denied."""
        return any(mention.course is not Course.NEGATED for mention in self.mentions)

    @property
    def course(self) -> Course | None:
        """The strongest thing said of it; None for a lesion that is not mentioned."""
        courses = [mention.course for mention in self.mentions]
        return min(courses, key=ORDER.index, default=None)

    @property
    def panels(self) -> tuple[str, ...]:
        """The panels that the text names for it, those of denials left out, in order."""
        shown = (m.panels for m in self.mentions if m.course is not Course.NEGATED)
        return tuple(dict.fromkeys(panel for panels in shown for panel in panels))


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a text says.

    Attributes:
        text: as it was given; every span counts its characters.
        findings: one for each lesion, in the order of LESIONS.
        covid: positive, negative, or unstated.
        covid_mentions: the words that this rests on.
        panels: all panels that the text names, in order.
        unread: why nothing was read: `no text`, `no English words` or `not in English`; else empty.
    """

    text: str
    findings: tuple[Finding, ...]
    covid: Covid
    covid_mentions: tuple[Mention, ...]
    panels: tuple[str, ...]
    unread: str = ""

    def __getitem__(self, lesion: Lesion) -> Finding:
        return self.findings[LESIONS.index(lesion)]

    @property
    def labels(self) -> LesionLabels:
        """The five labels, all known: a lesion that is not mentioned counts as absent."""
        return LesionLabels(values=tuple(finding.present for finding in self.findings))

    @property
    def readable(self) -> bool:
        """Whether the text was read; if not, its labels say nothing."""
        return not self.unread

    def of_panel(self, panel: str) -> "Report":
        """The same without the mentions that the text gives to other panels than `panel`."""
        findings = (
            replace(finding, mentions=tuple(m for m in finding.mentions if _concerns(m, panel)))
            for finding in self.findings
        )
        return replace(self, findings=tuple(findings))


def _concerns(mention: Mention, panel: str) -> bool:
    return not mention.panels or panel in mention.panels


def label_report(text: str) -> Report:
    """Read a radiology report or the caption of a figure; any text at all may be given.

    One in another language yields nothing, for its denials would not be read.
    """
    if unread := _unread(text):
        return replace(_NOTHING, text=text, unread=unread)
    read = plain(text)
    spans = sentences(read.text)
    places = designators(read.text)
    aside = asides(read.text, spans)
    lesions = [
        term
        for term in lesion_terms(read.lower)
        if section_at(aside, term.start) is None
        and not is_history(read.lower, term.start)
        and not is_of_others(read.lower, term.start, term.end)
    ]
    mentions = _mentions(text, read, spans, lesions)
    shown = panels_of(read.lower, [(term.start, term.end) for term in lesions], places, spans)
    found: dict[Lesion | None, list[Mention]] = {lesion: [] for lesion in LESIONS}
    for term, mention, panels in zip(lesions, mentions, shown, strict=True):
        found[term.lesion].append(replace(mention, panels=panels))
    covid, judged = judge_covid(read.lower, spans, aside)
    return Report(
        text=text,
        findings=tuple(Finding(lesion=lesion, mentions=tuple(found[lesion])) for lesion in LESIONS),
        covid=covid,
        covid_mentions=tuple(_mention(text, read, one) for one in judged),
        panels=tuple(dict.fromkeys(label for place in places for label in place.labels)),
    )


_NOTHING = Report(
    text="",
    findings=tuple(Finding(lesion=lesion) for lesion in LESIONS),
    covid=Covid.UNSTATED,
    covid_mentions=(),
    panels=(),
)


def _unread(text: str) -> str:
    """Why `text` is not to be read; empty where it is."""
    if not text.strip():
        return "no text"
    if not re.search(r"[A-Za-z]\.?[A-Za-z]", text):
        return "no English words"
    return "" if is_english(text) else "not in English"


def _mentions(
    text: str, read: Plain, spans: Sequence[tuple[int, int]], terms: Sequence[Term]
) -> list[Mention]:
    starts = [term.start for term in terms]
    return [
        _mention(text, read, one)
        for sentence in spans
        for one in judge(read.lower, sentence, terms[within(starts, sentence)])
    ]


def _mention(text: str, read: Plain, judged: Judged) -> Mention:
    term, cue = judged.term, judged.cue
    return Mention(
        span=_span(text, read, term.start, term.end),
        course=judged.course,
        cue=None if cue is None else _span(text, read, cue.start, cue.end),
    )


def _span(text: str, read: Plain, start: int, end: int) -> Span:
    first, last = read.origin(start, end)
    return Span(start=first, end=last, words=text[first:last])

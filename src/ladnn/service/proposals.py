"""What the words of a report propose: lesions, and the text cut into pieces to be highlighted."""

from dataclasses import dataclass

from ladnn.findings import LESIONS, Lesion, LesionLabels
from ladnn.reports import Course, label_report


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a report; `lesion` is what its words name, `course` what they say of it."""

    text: str
    lesion: Lesion | None = None
    course: Course | None = None

    @property
    def denied(self) -> bool:
        """Whether the words say that the lesion is not there."""
        return self.course is Course.NEGATED


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """What a report says.

    Attributes:
        labels: proposed; unknown where the text is not English.
        readable: whether it is.
        pieces: the whole text, in order.
    """

    labels: LesionLabels
    readable: bool
    pieces: tuple[Piece, ...]


def propose(text: str) -> Proposed:
    """Read the report of one image.

    A caption may give its words to several panels; the form asks for none of them, as it takes one
    image at a time, so every panel's words are proposed and a person sees which.
    """
    report = label_report(text)
    labels = report.labels if report.readable else LesionLabels()
    spans = sorted(
        (mention.span.start, mention.span.end, lesion, mention.course)
        for lesion in LESIONS
        for mention in report[lesion].mentions
    )
    pieces, place = [], 0
    for start, end, lesion, course in spans:
        if start < place:  # inside words that are highlighted already
            continue
        pieces += [Piece(text=text[place:start])] if start > place else []
        pieces.append(Piece(text=text[start:end], lesion=lesion, course=course))
        place = end
    pieces += [Piece(text=text[place:])] if place < len(text) else []
    return Proposed(labels=labels, readable=report.readable, pieces=tuple(pieces))

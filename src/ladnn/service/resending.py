"""What a form brought to an answer that refuses it: shown again there, to be sent from there."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from ladnn.service import csrf

LABELS = {
    "report": "contribute.report_short",
    "patient": "contribute.patient_short",
    "source": "contribute.source_short",
    "reason": "again.reason",
    "why": "again.reason",
    "email": "again.email",
    "name": "again.name",
}
"""What a person types: the field's name, and the key of its label."""

LONG = ("report", "reason", "why")
CHOSEN = ("verdict", "agreement", "pcr")
"""What a person chooses in forms that may have nothing typed in them."""

SECRETS = ("password", "old", "again", "proof", "code")
"""A form with one of these is not shown again."""

MAX_CHARACTERS = 100_000
"""Of a form that is shown again, five times what the longest report may have."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a form.

    Attributes:
        label: the key of its label; empty for one that goes along unseen.
    """

    name: str
    value: str
    label: str

    @property
    def long(self) -> bool:
        """Whether it has several lines."""
        return self.name in LONG


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A form as it was sent.

    Attributes:
        action: the address to send it to again.
        fields: in their order, without the token.
        files: the names of its files, which no page can hold: they are chosen again.
    """

    action: str
    fields: Sequence[Field]
    files: Sequence[tuple[str, str]]


def kept(request: Request) -> Kept | None:
    """What a person typed or chose in the form that this request brought; None where nothing."""
    sent: FormData | None = getattr(request.state, csrf.SENT, None)
    items = [] if sent is None else sent.multi_items()
    given = {name for name, value in items if value}
    if not given & {*LABELS, *CHOSEN} or given & {*SECRETS} or not _is_showable(items):
        return None
    items = [(name, value) for name, value in items if name != csrf.FIELD]
    path, query = request.url.path, request.url.query
    return Kept(
        action=f"{path}?{query}" if query else path,
        fields=[
            Field(name=name, value=value, label=LABELS.get(name, ""))
            for name, value in items
            if isinstance(value, str)
        ],
        files=[
            (name, value.filename)
            for name, value in items
            if not isinstance(value, str) and value.filename
        ],
    )


def _is_showable(items: Sequence[tuple[str, str | UploadFile]]) -> bool:
    """Whether a page can hold it, which has no room for everything and no halves of characters."""
    texts = [name for name, _ in items]
    texts += [one if isinstance(one, str) else one.filename or "" for _, one in items]
    if sum(map(len, texts)) > MAX_CHARACTERS:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in "".join(texts))

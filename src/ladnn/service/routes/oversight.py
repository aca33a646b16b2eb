"""The pages of administrators: the audit log, and what is kept how long."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ladnn.service import audit_log, retention
from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.context import Services, services
from ladnn.service.errors import BadRequest
from ladnn.service.pages import render
from ladnn.service.tables import AuditEvent
from ladnn.service.wording import harmless

router = APIRouter(prefix="/admin", include_in_schema=False)

Reader = Annotated[Principal, Depends(requires(Permission.READ_AUDIT))]
Administrator = Annotated[Principal, Depends(requires(Permission.MANAGE_ACCOUNTS))]
Text = Annotated[str, Query(max_length=200)]
LINES = 100  # on one page
COLUMNS = ("sequence", "at", "actor", "role", "action", "object", "detail", "previous", "hash")


def wanted(
    actor: Text = "",
    action: Text = "",
    object: Text = "",  # noqa: A002  # the log's own word
    since: Text = "",
    until: Text = "",
) -> audit_log.Filter:
    """The filter of the page's form; a day that is none does not narrow.

    Raises BadRequest for what stands in no line, before a table is begun that breaks off.
    """
    words = {"actor": actor.strip(), "action": action.strip(), "object": object.strip()}
    if not all(word.isprintable() for word in words.values()):
        raise BadRequest("error.fields")
    last = _day(until)
    return audit_log.Filter(
        **words, since=_day(since), until=last + timedelta(days=1) if last else None
    )


Wanted = Annotated[audit_log.Filter, Depends(wanted)]


@router.get("/audit")
def log(
    request: Request,
    principal: Reader,
    chosen: Wanted,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """Show the newest lines that fit the filter."""
    _note_look(request, principal)
    return _page(request, chosen, before)


@router.get("/audit.csv")
def table(request: Request, principal: Reader, chosen: Wanted) -> Response:
    """All lines that fit, the newest first."""
    site = services(request)
    site.database.write(
        lambda session: audit_log.record(session, principal, "audit.download", "", {})
    )
    return StreamingResponse(
        iterate_in_threadpool(_rows(site, chosen)),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="audit.csv"'},
    )


@router.post("/audit/verify")
def verify(request: Request, principal: Reader) -> Response:
    """Walk the chain as it is found and say whether it holds, above the newest lines."""
    verdict = audit_log.verify(services(request).database)
    _note_look(request, principal)
    return _page(request, audit_log.Filter(), None, verdict)


@router.get("/retention")
def kept(request: Request, _: Administrator) -> Response:
    """Show what is kept how long."""
    site = services(request)
    stocks, done = site.database.read(lambda session: retention.overview(session, site))
    return render(request, "admin_retention.html", stocks=stocks, done=done)


@router.post("/retention/purge")
def purge(request: Request, principal: Administrator) -> Response:
    """Delete now what is due."""
    site = services(request)
    site.database.write(
        lambda session: audit_log.record(session, principal, "retention.ask", "", {})
    )
    retention.purge(site)
    return RedirectResponse("/admin/retention", status_code=303)


def _note_look(request: Request, principal: Principal) -> None:
    """Write down who is about to see lines of the log."""
    services(request).database.write(
        lambda session: audit_log.record(session, principal, "audit.view", "", {})
    )


def _page(
    request: Request,
    chosen: audit_log.Filter,
    before: int | None,
    verdict: audit_log.Verdict | None = None,
) -> Response:
    events = services(request).database.read(
        lambda session: audit_log.browse(session, chosen, before=before, limit=LINES + 1)
    )
    return render(
        request,
        "admin_audit.html",
        events=events[:LINES],
        more=events[LINES - 1].id if len(events) > LINES else None,
        chosen=chosen,
        until=chosen.until - timedelta(days=1) if chosen.until else None,
        query=_query(request),
        verdict=verdict,
    )


def _query(request: Request) -> str:
    """The filter as it stands in the address, without the page."""
    return str(request.url.remove_query_params("before").query)


def _rows(site: Services, chosen: audit_log.Filter) -> Iterator[str]:
    """The table in pieces of many lines: each piece goes through a thread and out by itself."""
    yield _line(COLUMNS)
    before: int | None = None
    while True:

        def read(at: int | None) -> list[AuditEvent]:
            return site.database.read(
                lambda session: audit_log.browse(session, chosen, before=at, limit=1000)
            )

        events = read(before)
        if not events:
            return
        yield "".join(_line(_cell(getattr(event, name)) for name in COLUMNS) for event in events)
        before = events[-1].id


def _cell(value: Any) -> str:  # noqa: ANN401  # of a column
    """A value in a table."""
    text = value.isoformat() if isinstance(value, datetime) else str("" if value is None else value)
    return harmless(text)


def _line(cells: Any) -> str:  # noqa: ANN401  # any row
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _day(text: str) -> datetime | None:
    """A day that has a day behind it; None for anything else."""
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day if day.date() < date.max else None

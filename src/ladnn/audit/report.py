"""An audit as Markdown and as one HTML page, both rendered from what audit.json holds."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ladnn.audit.answers import Cell, words
from ladnn.audit.examination import SCHEMA_VERSION
from ladnn.errors import DataError
from ladnn.findings import RESEARCH_NOTICE
from ladnn.intervals import Difference, Estimate

Report = Mapping[str, Any]
"""The content of audit.json."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2330; background: #fff; margin: 0 auto;
  max-width: 84rem; padding: 1rem 1.5rem 4rem; }
h1 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-top: 1px solid #d5dae3; padding-top: 1.2rem; }
h3 { margin: 1.4rem 0 .4rem; font-size: 1rem; }
.notice { background: #fff4d6; border-left: 4px solid #b7791f; padding: .6rem 1rem;
  font-weight: 600; }
.method { color: #4a5568; max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #e2e7ef;
  vertical-align: top; }
th { background: #f4f6fa; }
td.number { text-align: right; white-space: nowrap; }
td:first-child { white-space: nowrap; }
figure { margin: 1rem 0; } figure img { max-width: 100%; border: 1px solid #d5dae3; }
@media print { body { max-width: none; } figure, tr { break-inside: avoid; } }
"""


def read_report(path: Path) -> Report:
    """The content of an audit.json; raises DataError where it is none."""
    try:
        report: Report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}): give an audit.json of ladnn audit"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: run ladnn audit again") from error
    if not isinstance(report, dict) or report.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{path} is not of this version of ladnn audit: run it again")
    return report


def _cell(data: object) -> Cell:
    """A cell as it was before it became JSON."""
    if isinstance(data, dict):
        return Difference(**data) if "p_value" in data else Estimate(**data)
    return data  # type: ignore[return-value]  # text and numbers stay what they are


def _title(report: Report) -> str:
    return f"{report['model']['name']} {report['model']['version']}"


def _facts(report: Report) -> list[str]:
    images, plan = report["images"], report["plan"]
    intervals = plan["intervals"]
    failed = f", {images['failed']} could not be read" if images["failed"] else ""
    return [
        f"{images['examined']} images of the {plan['split']} split were examined (at most "
        f"{plan['cap']} of each source, seed {plan['seed']}){failed}; labels: "
        f"{report['labels'] or 'of the manifest'}.",
        *report["remarks"],
        f"Numbers in brackets are {100 * intervals['level']:g}% intervals from "
        f"{intervals['replicates']} resamples of patients.",
    ]


# ------------------------------------------------------------------ Markdown


def markdown(report: Report) -> str:
    """The whole report, with links to the overlays beside it."""
    lines = [f"# Audit of {_title(report)}", "", f"**{RESEARCH_NOTICE}**", ""]
    lines += [f"{fact}\n" for fact in _facts(report)]
    for answer in report["answers"]:
        lines += _answer_lines(answer, "##", published=False)
    return "\n".join(lines).rstrip() + "\n"


def published(reports: Sequence[Report]) -> str:
    """The findings of several audits for everyone: no row and no picture of a single image."""
    lines = []
    for report in reports:
        lines += [f"## `{report['model']['name']}`, version {report['model']['version']}", ""]
        lines += [f"{fact}\n" for fact in _facts(report)]
        for answer in report["answers"]:
            lines += _answer_lines(answer, "###", published=True)
    return "\n".join(lines).rstrip() + "\n"


def _answer_lines(answer: Report, heading: str, *, published: bool) -> list[str]:
    lines = [f"{heading} {answer['title']}", "", answer["method"], ""]
    lines += [f"- {_plain(finding)}" for finding in answer["findings"]] + [""]
    for table in answer["tables"]:
        if table["rows"] and not (published and table["of_images"]):
            lines += [f"**{table['title']}**", "", *_table_lines(table), ""]
    sheets = () if published else answer["sheets"]
    return lines + [f"![{_alt(place)}]({sheet})\n" for place, sheet in enumerate(sheets, start=1)]


def _alt(place: int) -> str:
    return f"Image {place} of the table above: the original, its maps and its probabilities"


def _table_lines(table: Report) -> list[str]:
    heads = [_plain(head) for head in table["heads"]]
    rows = [[_plain(words(_cell(cell))) for cell in row] for row in table["rows"]]
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _plain(text: str) -> str:
    """Text in which nothing means anything to Markdown's tables or to HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


# ------------------------------------------------------------------ HTML


def page(report: Report, sheets: Mapping[str, bytes]) -> str:
    """One HTML file that needs no other; `sheets` are JPEGs by the names in the answers."""
    title = html.escape(f"Audit of {_title(report)}")
    body = [f"<h1>{title}</h1>", f'<p class="notice">{RESEARCH_NOTICE}</p>']
    body += [f"<p>{html.escape(fact)}</p>" for fact in _facts(report)]
    body.append(_contents(report))
    for answer in report["answers"]:
        body += _section(answer, sheets)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}{view}</head>\n<body>\n'
        + "\n".join(body)
        + f'\n<p class="notice">{RESEARCH_NOTICE}</p>\n</body></html>\n'
    )


def _contents(report: Report) -> str:
    """The questions, each with its first finding."""
    items = (
        f'<li><a href="#{html.escape(answer["key"])}">{html.escape(answer["title"])}</a>: '
        f"{html.escape(answer['findings'][0])}</li>"
        for answer in report["answers"]
    )
    return f"<ul>{''.join(items)}</ul>"


def _section(answer: Report, sheets: Mapping[str, bytes]) -> list[str]:
    parts = [f'<h2 id="{html.escape(answer["key"])}">{html.escape(answer["title"])}</h2>']
    parts.append(f'<p class="method">{html.escape(answer["method"])}</p><ul>')
    parts += [f"<li>{html.escape(finding)}</li>" for finding in answer["findings"]] + ["</ul>"]
    for table in answer["tables"]:
        if table["rows"]:
            parts.append(_html_table(table))
    for place, name in enumerate(answer["sheets"], start=1):
        data = base64.b64encode(sheets[name]).decode("ascii")
        source = f"data:image/jpeg;base64,{data}"
        image = f'<img loading="lazy" alt="{_alt(place)}" src="{source}">'
        parts.append(f"<figure>{image}<figcaption>Image {place}</figcaption></figure>")
    return parts


def _html_table(table: Report) -> str:
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in table["heads"])
    rows = "".join(f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>" for row in table["rows"])
    title = html.escape(table["title"])
    scrolled = f'<div class="wide" role="region" aria-label="{title}" tabindex="0">'  # by keys too
    return f"<h3>{title}</h3>{scrolled}<table><tr>{heads}</tr>{rows}</table></div>"


def _html_cell(data: object) -> str:
    kind = "" if isinstance(data, str) else ' class="number"'
    return f"<td{kind}>{html.escape(words(_cell(data)))}</td>"

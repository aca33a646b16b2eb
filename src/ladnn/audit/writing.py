"""Writes an audit: all of its files, or none."""

import json
import tempfile
from pathlib import Path

from ladnn.audit.examination import Audit
from ladnn.audit.mistakes import FOLDER, draw_sheets
from ladnn.audit.report import markdown, page
from ladnn.errors import DataError

JSON_FILE, MARKDOWN_FILE, HTML_FILE = "audit.json", "audit.md", "audit.html"
_FILES = (MARKDOWN_FILE, HTML_FILE, JSON_FILE)


def write(audit: Audit, folder: Path) -> None:
    """Write audit.md, audit.html, the overlays and, last, audit.json into an existing folder.

    All is made aside within the folder and moved when it is complete; an audit that stood there
    is replaced, and nothing else is touched.

    Raises:
        DataError: when something cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".ladnn-", dir=folder) as name:
            staging = Path(name)
            _make(audit, staging)
            # Gone first and back last: whoever finds it finds the files that belong to it.
            old = _old_sheets(folder)
            (folder / JSON_FILE).unlink(missing_ok=True)
            for sheet in old:
                sheet.unlink(missing_ok=True)
            (folder / FOLDER).mkdir(exist_ok=True)
            for sheet in (staging / FOLDER).iterdir():
                sheet.replace(folder / FOLDER / sheet.name)
            for part in _FILES:
                (staging / part).replace(folder / part)
    except OSError as error:
        raise DataError(
            f"the audit cannot be written to {folder} ({error.strerror}): give another folder"
        ) from error


def _make(audit: Audit, staging: Path) -> None:
    draw_sheets(audit.card, audit.worst, staging)
    # What is rendered is what a program will read: the JSON's own content.
    text = json.dumps(audit.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    report = json.loads(text)
    sheets = {f"{FOLDER}/{path.name}": path.read_bytes() for path in (staging / FOLDER).iterdir()}
    (staging / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    (staging / MARKDOWN_FILE).write_text(markdown(report), encoding="utf-8")
    (staging / HTML_FILE).write_text(page(report, sheets), encoding="utf-8")


def _old_sheets(folder: Path) -> list[Path]:
    """The overlays of the audit that stands in the folder; what lies beside them is not ours."""
    try:
        answers = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))["answers"]
        names = [Path(name).name for answer in answers for name in answer["sheets"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [folder / FOLDER / name for name in names]

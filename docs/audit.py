"""Write docs/audit.md from the audit.json files given: words and tables, no image: `make audit`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ladnn.audit.report import published, read_report
from ladnn.errors import DataError
from ladnn.findings import RESEARCH_NOTICE

PAGE = Path(__file__).parent / "audit.md"

_HEAD = f"""# Audit

The questions that reviewers of such a model ask, put to the models that ship.
**{RESEARCH_NOTICE}**
Written by `make audit` from what `ladnn audit` measured ([how](how-to/audit.md)); rows of single
images, and all overlays, stay with whoever ran it. What the worst mistakes look like, and how
networks do that were trained without a source, is in [the results](results.md).
"""


def page(paths: Sequence[Path]) -> str:
    """The page of the audits in `paths`; raises DataError where one is no audit."""
    return f"{_HEAD}\n{published([read_report(path) for path in paths])}"


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("give the audit.json files to publish")
    try:
        PAGE.write_text(page([Path(name) for name in sys.argv[1:]]), encoding="utf-8")
    except DataError as error:
        sys.exit(str(error))

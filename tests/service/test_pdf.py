"""The one page of a result: its font, its words, its map."""

import inspect
import re

import pytest
from reportlab.pdfbase import pdfmetrics
from sites import Site
from test_site_cases import send

from ladnn.service import pdf, wording
from ladnn.service.i18n import read_catalogues

ASCII = set(map(chr, range(0x20, 0x7F)))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_pdf_is_one_page_and_a_chinese_one_embeds_its_font(
    page: Site, scan: bytes, language: str
):
    address = send(page.client, scan)
    answer = page.client.get(f"{address}/report.pdf", headers={"accept-language": language})
    assert answer.content.count(b"/Type /Page\n") == 1
    assert (b"/FontFile2" in answer.content) == (language == "zh")


def test_every_character_that_a_chinese_pdf_shows_is_in_its_font():
    source = inspect.getsource(pdf) + inspect.getsource(wording)
    sections = set(re.findall(r'say\(\s*f?"(\w+)\.', source))
    assert {"decision", "output", "result", "site"} <= sections
    chinese = read_catalogues().words["zh"]
    shown = {c for key, said in chinese.items() if key.split(".")[0] in sections for c in said}
    held = pdfmetrics.getFont(pdf.embedded()).face.charToGlyph
    missing = {c for c in shown | ASCII if ord(c) not in held}
    assert not missing, "run deploy/font.py"

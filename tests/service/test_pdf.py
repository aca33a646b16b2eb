"""The one page of a result: its font, its words, its map."""

import inspect
import re
from functools import partial

import pytest
from reportlab.pdfbase import pdfmetrics
from sites import Site
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from test_site_cases import send, slices

from ladnn import overlay
from ladnn.service import pdf, wording
from ladnn.service.i18n import read_catalogues
from ladnn.service.predictions import ACTIVE, RETRACTED
from ladnn.service.tables import Case, CaseImage

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


def test_the_pdf_has_a_colour_bar_and_says_what_its_score_is_of(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    address, said = send(page.client, scan), []
    monkeypatch.setattr(pdf.Canvas, "drawString", lambda *given: said.append(given[-1]))
    content = page.client.get(f"{address}/report.pdf").content
    assert content.count(b"/Subtype /Image") == 3
    assert any(one.endswith("probability") for one in said)
    assert any(
        re.match(r"The image (is|looks) .*like those .* Fitness \d\.\d\d of 1", s) for s in said
    )


def test_a_retracted_result_says_so_on_its_page(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    address, said = send(page.client, scan), []
    monkeypatch.setattr(pdf.Canvas, "drawString", lambda *given: said.append(given[-1]))
    for retracted in (False, True):
        page.services.database.write(
            lambda s, state=RETRACTED if retracted else ACTIVE: s.execute(
                update(Case).values(state=state)
            )
        )
        said.clear()
        page.client.get(f"{address}/report.pdf")
        assert ("You have retracted this result" in " ".join(said)) == retracted
        shown = page.client.get(address).text
        assert ("Whoever has it can see this page" in shown) != retracted


def test_a_slice_that_cannot_be_judged_has_no_number_beside_a_study_s_result(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    address, said = send(page.client, *slices()), []
    page.services.database.write(spoil)
    shown = page.client.get(address).text
    numbers = re.findall(r'Slice \d</span><span class="number">(.*?)</span>', shown)
    assert (len(numbers), numbers[-1]) == (4, "\u2013")
    assert "\u2013" not in numbers[:-1]
    monkeypatch.setattr(pdf.Canvas, "drawString", lambda *given: said.append(given[-1]))
    for position, void in ((0, False), (3, True)):
        said.clear()
        page.client.get(f"{address}/report.pdf?image={position}")
        assert ("These numbers mean nothing for this image." in said) == void


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ([11, 12, 14, 17], ["11", "12", "14", "17"]),
        ([11, 12, 12, 17], ["1", "2", "3", "4"]),
        ([None, 2, 3, 1], ["1", "2", "3", "4"]),
    ],
)
def test_no_two_slices_of_a_study_have_one_name(
    page: Site, numbers: list[int | None], named: list[str]
):
    address = send(page.client, *slices())

    def number(session: Session) -> None:
        for image in session.scalars(select(CaseImage)):
            image.instance = numbers[image.position]

    page.services.database.write(number)
    shown = page.client.get(address).text
    assert sorted(re.findall(r"<span>Slice (\d+)</span>", shown), key=int) == named


def test_of_a_dicom_slice_that_cannot_be_judged_no_other_window_is_asked_for(page: Site):
    address = send(page.client, *slices())
    page.services.database.write(
        lambda session: session.execute(update(Case).values(decision="not_assessable"))
    )
    shown = page.client.get(address).text
    assert "Test axial slices that show the lungs" in shown
    assert "Export the slice in a lung window" not in shown


def spoil(session: Session) -> None:
    """Let a study have three slices that can be judged and one that cannot."""
    for case in session.scalars(select(Case)):
        case.decision, case.study = "positive", (case.study or {}) | {"assessable": 3}
        for image in case.images:
            ok = image.position < 3
            image.decision = "positive" if ok else "not_assessable"
            said = image.prediction
            image.prediction = said | {"in_distribution": said["in_distribution"] | {"ok": ok}}


@pytest.mark.parametrize(
    ("rule", "ends"),
    [
        ({"fraction": 1.0, "minimum": 1}, " Each of its numbers is the mean of theirs."),
        (
            {"fraction": 0.5, "minimum": 1},
            " Each of its numbers is the mean of the 2 highest of theirs.",
        ),
        (None, ""),  # a result of an older site
    ],
)
def test_a_study_says_of_which_slices_it_is_the_mean(rule: dict[str, float] | None, ends: str):
    said = {"slices": 4, "assessable": 3}
    case = Case(study=said, card={} if rule is None else {"study": rule})
    say = partial(read_catalogues().say, "en")
    counted = "One result for 4 slices of a series, of which 3 can be judged."
    assert wording.study_in_words(say, case) == counted + ends
    case.study = said | {"assessable": 0}
    assert wording.study_in_words(say, case).endswith("of which 0 can be judged.")


@pytest.mark.parametrize(
    ("probability", "low", "high", "number", "cuts"),
    [
        (0.60196, 0.602, 0.602, "60.196%", ["60.200"]),  # below, as one digit would not show
        (0.60204, 0.602, 0.602, "60.2%", ["60.2"]),
        (0.4, 0.4004, 0.7, "40.00%", ["70.00", "40.04"]),
        (0.4, 0.39996, 0.7, "40.0%", ["70.0", "40.0"]),
        (0.2, 0.4, 0.7, "20.0%", ["70.0", "40.0"]),
        (0.59999999, 0.6, 0.6, "59.999999%", ["60.000000"]),
    ],
)
def test_a_probability_is_written_so_that_it_lies_on_its_side_of_a_cut(
    probability: float, low: float, high: float, number: str, cuts: list[str]
):
    point = {"low": low, "high": high}
    case = Case(probability=probability, operating_point="balanced", card={"point": point})
    assert wording.chance(case) == number
    said = wording.point_in_words(partial(read_catalogues().say, "en"), case)
    assert re.findall(r"\d+\.\d+", said) == cuts


def test_the_row_of_an_image_reads_like_its_decision(page: Site, scan: bytes):
    address = send(page.client, scan)

    def put_beside_its_cut(session: Session) -> str:
        case = session.scalars(select(Case)).one()
        case.probability = case.card["point"]["high"] - 4e-5
        return wording.chance(case)

    number = page.services.database.write(put_beside_its_cut)
    assert len(number) > len("12.3%")
    assert page.client.get(address).text.count(f">{number}<") == 2


def test_page_and_pdf_of_a_study_say_how_its_slices_make_it(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    address, said = send(page.client, *slices()), []
    page.services.database.write(spoil)
    words = "of which 3 can be judged. Each of its numbers is the mean of the 2 highest of theirs."
    shown = page.client.get(address).text
    assert words in shown
    monkeypatch.setattr(pdf.Canvas, "drawString", lambda *given: said.append(given[-1]))
    page.client.get(f"{address}/report.pdf")
    assert words in " ".join(said)
    case = page.services.database.read(lambda session: session.scalars(select(Case)).one())
    lesions = wording.study_lesions(partial(read_catalogues().say, "en"), case)
    assert lesions[0][0] == "Ground-glass opacity"
    assert len(lesions) == 5
    for name, number, _ in lesions:
        assert re.search(rf"<dt>{name}</dt><dd><span class=\"number\">{number}<", shown)
        assert f"{name} {number}" in " ".join(said)


def test_the_pdf_of_a_study_that_cannot_be_judged_says_how_many_slices_it_has(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    address, said = send(page.client, *slices()), []
    page.services.database.write(
        lambda session: session.execute(update(Case).values(decision="not_assessable"))
    )
    monkeypatch.setattr(pdf.Canvas, "drawString", lambda *given: said.append(given[-1]))
    page.client.get(f"{address}/report.pdf")
    assert "One result for 4 slices" in " ".join(said)


def test_an_overlay_that_was_taken_away_is_no_image_to_test(page: Site, scan: bytes):
    sheet = page.client.get(f"{send(page.client, scan)}/overlay.png").content
    answer = page.client.post("/api/v1/predictions", files={"file": ("a.png", sheet)})
    assert answer.status_code == 422
    assert "is an overlay of LA-DNN" in answer.json()["detail"]


def test_the_overlay_of_a_study_says_which_slice_it_shows(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    address, drawn = send(page.client, *slices()), []
    draw = overlay.draw

    def recorded(*given: object, **named: object) -> object:
        drawn.append(named)
        return draw(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(overlay, "draw", recorded)
    sheets = [page.client.get(f"{address}/overlay.png{q}").content for q in ("", "?image=2")]
    assert all(sheet.startswith(b"\x89PNG") for sheet in sheets)
    assert re.match(r"slice 3 alone, one of 4; study: [a-z ]+ \(0\.\d{3}\)$", drawn[1]["study"])
    ranks = re.findall(r"Slice (\d)</span>", page.client.get(address).text)
    assert drawn[0]["study"].startswith(f"slice {ranks[0]} alone")

"""One page of PDF for a result: decision, numbers, the image with its map, the model."""

import io
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from ladnn import overlay
from ladnn.findings import OUTPUTS, Decision
from ladnn.service.predictions import RETRACTED
from ladnn.service.tables import Case, CaseImage
from ladnn.service.wording import (
    Say,
    chance,
    moment,
    percent,
    point_in_words,
    point_name,
    slice_number,
    study_in_words,
    study_lesions,
)

FONT = "wqy-microhei-subset"
"""Of fonts/: embedded in Chinese pages, because many readers have no Chinese font of their own."""

_WIDTH, _HEIGHT = A4
_MARGIN, _PICTURE = 48.0, 300.0  # points; the picture's place is a square
_INKS = {
    Decision.POSITIVE: (0.66, 0.2, 0.1),
    Decision.NEGATIVE: (0.1, 0.42, 0.23),
    Decision.INDETERMINATE: (0.49, 0.32, 0),
    Decision.NOT_ASSESSABLE: (0.3, 0.33, 0.39),
}
_GREY = (0.33, 0.38, 0.44)


class _Sheet:
    """A page that is written from its top down, in points."""

    def __init__(self, *, chinese: bool, title: str) -> None:
        self.buffer = io.BytesIO()
        self.canvas = Canvas(self.buffer, pagesize=A4, invariant=True)
        self.canvas.setTitle(title)
        self.plain, self.bold = "Helvetica", "Helvetica-Bold"
        if chinese:
            self.plain = self.bold = embedded()
        self.y = _HEIGHT - _MARGIN

    def write(self, text: str, size: float = 10, *, bold: bool = False, ink: Any = _GREY) -> None:  # noqa: ANN401
        """Write lines over the whole width and go below them."""
        font = self.bold if bold else self.plain
        self.canvas.setFillColorRGB(*ink)
        self.canvas.setFont(font, size)
        for line in simpleSplit(text, font, size, _WIDTH - 2 * _MARGIN):
            self.y -= size * 1.35
            self.canvas.drawString(_MARGIN, self.y, line)

    def row(self, name: str, number: str, share: float, remark: str) -> None:
        """Write a name, a number and its bar."""
        self.y -= 17
        self.canvas.setFillColorRGB(0.08, 0.12, 0.17)
        self.canvas.setFont(self.plain, 10)
        self.canvas.drawString(_MARGIN, self.y, name)
        self.canvas.drawRightString(_MARGIN + 240, self.y, number)
        self.canvas.setFillColorRGB(0.9, 0.92, 0.94)
        self.canvas.rect(_MARGIN + 255, self.y, 130, 7, stroke=0, fill=1)
        self.canvas.setFillColorRGB(0.04, 0.39, 0.5)
        self.canvas.rect(_MARGIN + 255, self.y, 130 * share, 7, stroke=0, fill=1)
        self.canvas.setFillColorRGB(*_GREY)
        self.canvas.setFont(self.plain, 8)
        self.canvas.drawString(_MARGIN + 395, self.y, remark)

    def pictures(self, pictures: list[tuple[Image.Image, str]]) -> None:
        """Place pictures beside each other, each with a line below."""
        room = (_WIDTH - 2 * _MARGIN - 12 * (len(pictures) - 1)) / len(pictures)
        tallest = 0.0
        for index, (picture, caption) in enumerate(pictures):
            scale = min(room / picture.width, _PICTURE / picture.height)
            width, height = picture.width * scale, picture.height * scale
            x = _MARGIN + index * (room + 12)
            self.canvas.drawImage(ImageReader(picture), x, self.y - 10 - height, width, height)
            self.canvas.setFillColorRGB(*_GREY)
            self.canvas.setFont(self.plain, 8)
            self.canvas.drawString(x, self.y - 20 - height, caption)
            tallest = max(tallest, height)
        self.y -= tallest + 28

    def ramp(self, name: str) -> None:
        """Below the picture on the right, the colours of its map from 0 to 1."""
        x, width = (_WIDTH + 12) / 2, 130.0
        self.y -= 6
        self.canvas.drawImage(ImageReader(overlay.ramp(8)), x + 9, self.y, width, 7)
        self.canvas.drawString(x, self.y, "0")
        self.canvas.drawString(x + width + 14, self.y, f"1   {name}")
        self.y -= 8

    def finish(self) -> bytes:
        """The file."""
        self.canvas.showPage()
        self.canvas.save()
        return self.buffer.getvalue()


@lru_cache(maxsize=1)
def embedded() -> str:
    """Read the font once; its name."""
    path = resources.files("ladnn.service").joinpath("fonts", f"{FONT}.ttf")
    pdfmetrics.registerFont(TTFont(FONT, io.BytesIO(path.read_bytes())))
    return FONT


def report(
    say: Say,
    *,
    language: str,
    case: Case,
    image: CaseImage,
    pixels: NDArray[np.uint8],
    heatmap: NDArray[np.float32],
    rows: list[tuple[str, float, bool]],
    link: str,
) -> bytes:
    """The page as a file.

    Args:
        say: gives the sentence of a key in the language.
        language: "en" or "zh".
        case: what was tested.
        image: the image to show.
        pixels: uint8 [H, W], the image.
        heatmap: float32 [h, w] in [0, 1], its map for COVID-19.
        rows: output, probability, whether it is calibrated.
        link: the permanent address of the result.
    """
    sheet = _Sheet(chinese=language == "zh", title="LA-DNN")
    _head(sheet, say, case)
    picture = Image.fromarray(pixels).convert("RGB")
    box = (image.box[0], image.box[1], image.box[2], image.box[3])
    looked = overlay.blend(picture, heatmap, box)
    name = say("output.covid")
    if case.study is not None:
        sheet.y -= 8
        sheet.write(say("result.outputs_slice", number=slice_number(case, image)), 11, bold=True)
        sheet.write(_fit(say, image), 8.5)
    sheet.pictures([(picture, say("result.scan")), (looked, say("result.map_of", name=name))])
    sheet.ramp(say("result.ramp"))
    if case.decision != Decision.NOT_ASSESSABLE and image.decision == Decision.NOT_ASSESSABLE:
        sheet.write(say("result.void"), bold=True)
    for output, probability, calibrated in rows:
        remark = "" if calibrated else say("result.too_few")
        alone = output == OUTPUTS[0] and case.study is None
        number = chance(case) if alone else percent(probability)
        sheet.row(say(f"output.{output}"), number, probability, remark)
    sheet.y -= 10
    for line in _facts(say, case, image, link):
        sheet.write(line, 8.5)
    return sheet.finish()


def _head(sheet: _Sheet, say: Say, case: Case) -> None:
    sheet.write(say("site.research"), 11, bold=True, ink=_INKS[Decision.POSITIVE])
    sheet.y -= 8
    if case.state == RETRACTED:
        sheet.write(say("result.retracted"), bold=True)
        sheet.y -= 4
    decision = Decision(case.decision)
    title = say(f"decision.{decision}")
    if decision is Decision.NOT_ASSESSABLE:
        sheet.write(title, 20, bold=True, ink=_INKS[decision])
        sheet.y -= 6
        sheet.write(say("result.not_assessable"))
        if case.study is not None:
            sheet.write(study_in_words(say, case))
        return
    sheet.write(f"{title}  {chance(case)}", 20, bold=True, ink=_INKS[decision])
    sheet.y -= 6
    sheet.write(say("result.probability"))
    sheet.write(point_in_words(say, case))
    if case.study is not None:
        sheet.write(study_in_words(say, case))
        lesions = [
            f"{name} {number}" + ("" if calibrated else f" ({say('result.too_few')})")
            for name, number, calibrated in study_lesions(say, case)
        ]
        if lesions:
            sheet.write(f"{say('result.study_lesions')} {'; '.join(lesions)}", 8.5)


def _facts(say: Say, case: Case, image: CaseImage, link: str) -> list[str]:
    return [
        f"{say('result.model')}: {case.model_name} {case.model_version}",
        f"{say('result.point_name')}: {point_name(say, case.operating_point)}",
        f"{say('result.tested')}: {moment(case.created_at)}",
        *([_fit(say, image)] if case.study is None else []),  # a slice's own stands above it
        f"SHA-256: {image.source_sha256}",
        link,
    ]


def _fit(say: Say, image: CaseImage) -> str:
    """Whether the image is one that the model can judge."""
    guard = image.prediction["in_distribution"]
    fit = say("result.fit_ok" if guard["ok"] else "result.fit_not")
    score = f"{guard['score']:.2f}"
    return f"{fit} {say('result.score', score=score)}"
